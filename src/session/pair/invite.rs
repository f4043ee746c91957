//! The machine that holds the circle's key: it shows a code, and lets one machine in.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::{
    OfOwnAuthority, PairedPeer, doorstep::Doorstep, find::is_name, hosts, need_own_authority,
    serving_port, take_back_pending,
};
use crate::{
    address::DEFAULT_LISTEN,
    config::Config,
    discover::{Announcement, Service},
    id::PeerId,
    manifest::Signer as _,
    pair::{self, Code, Invitation, PAIRING_PORT, PairError, PairOptions},
    server::{self, BindError},
    session::{Error, Event, Home, PeerRow, Reporter, ask::Asked, discovery},
    tls::{self, Identity},
    trust::{AddressBook, Role, Roles},
};

/// How a code is shown.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct InviteRequest {
    /// The port to listen on while it is shown; none for the usual one, or a free one.
    pub port: Option<u16>,
    /// How long it counts; none for five minutes.
    pub life: Option<Duration>,
    /// The port where this machine will serve; none for that of its settings, if that is free.
    pub serving_port: Option<u16>,
}

/// A code that is shown, and where it is to be typed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownCode {
    /// The code. It must not be logged.
    pub code: String,
    /// The addresses of this machine, each as it is typed.
    pub hosts: Vec<String>,
    /// The name of this machine, if that is announced and can be typed instead.
    pub name: Option<String>,
    /// The port that is listened on.
    pub port: u16,
    /// The port where this peer serves, or will.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_port: Option<u16>,
    /// How long the code counts.
    pub seconds: u64,
    /// How many wrong codes may be tried.
    pub tries: u8,
}

impl fmt::Debug for ShownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ShownCode");
        shown.field("hosts", &self.hosts).field("port", &self.port);
        shown.finish_non_exhaustive()
    }
}

/// A code that is shown, until a machine has joined by it. [`Self::finish`] must follow, however that ends.
pub struct Inviting {
    home: Home,
    reporter: Arc<dyn Reporter>,
    own: PeerId,
    default_role: Role,
    /// None once it is over.
    open: Option<(TcpListener, Invitation)>,
    shown: ShownCode,
    doorstep: Doorstep,
    announcement: Option<Announcement>,
    patience: Duration,
}

impl Inviting {
    /// Listens, and tells the code as [`Event::Code`]. The members that answer are asked first for what they know as revoked.
    ///
    /// # Errors
    /// Fails without the circle's key, or if the port cannot be had.
    pub async fn start(
        home: &Home,
        config: &Config,
        reporter: &Arc<dyn Reporter>,
        request: InviteRequest,
    ) -> Result<Self, Error> {
        let certs = home.dir();
        need_own_authority(&certs, OfOwnAuthority::Pair)?;
        tls::remove_left_keys(&certs)?;
        take_back_pending(home, &**reporter, Duration::ZERO).await?;
        let asked = Asked::known_peers(home, config, reporter).await;
        let listener = bind(config, request.port)?;
        let address = listener.local_addr().map_err(super::failed)?;
        let mut options = PairOptions::default();
        options.life = request.life.unwrap_or(options.life);
        let (tries, patience) = (options.tries, options.step);
        let code = Code::generate().map_err(super::failed)?;
        let own = Identity::load(&certs)?;
        let announcement = Announcement::start(
            discovery(config),
            Service::Pairing,
            own.name(),
            own.peer_id(),
            address,
        );
        let name = announcement.is_some().then_some(own.name());
        let port = match request.serving_port {
            Some(port) => Some(port),
            None => serving_port(home, config, None).unwrap_or_default(),
        };
        let mut shown = shown(&code, address, name, &options);
        shown.serving_port = port;
        reporter.tell(&Event::Code(shown.clone()));
        let invitation = Invitation {
            code,
            certs,
            port,
            options,
            taken: asked.into_check(),
        };
        Ok(Self {
            home: home.clone(),
            reporter: reporter.clone(),
            own: own.peer_id(),
            default_role: config.default_role.unwrap_or_default(),
            open: Some((listener, invitation)),
            shown,
            doorstep: Doorstep::new(reporter.clone(), tries),
            announcement,
            patience,
        })
    }

    /// The code, and where it is to be typed.
    pub fn shown(&self) -> &ShownCode {
        &self.shown
    }

    /// Waits until a machine has joined. Those who come in vain are told. When this ends, or is dropped, the code counts no
    /// more.
    ///
    /// # Errors
    /// Fails if wrong codes or the time have used the code up.
    pub async fn paired(&mut self) -> Result<PairedPeer, Error> {
        let (listener, invitation) = self.open.take().ok_or(PairError::Expired)?;
        let doorstep = &mut self.doorstep;
        let paired = pair::invite(listener, invitation, |came| doorstep.came(&came)).await?;
        let book = AddressBook::new(self.home.dir().peers());
        let roles = Roles::new(self.own, self.default_role, book.roles()?);
        Ok(PairedPeer {
            peer: PeerRow::new(paired.peer, &roles, false),
            from: paired.from.ip().to_canonical(),
        })
    }

    /// Takes the announcement back, and what was on its way to a machine that did not say that it has it.
    ///
    /// # Errors
    /// Fails if what was on its way cannot be revoked.
    pub async fn finish(mut self) -> Result<(), Error> {
        self.doorstep.sum_up();
        if let Some(announcement) = self.announcement {
            announcement.end().await;
        }
        take_back_pending(&self.home, &*self.reporter, self.patience).await
    }
}

/// Listens where this peer does, on a port of its own. If that is taken and was not asked for, another one does as well: what
/// is to be typed is shown anyway.
fn bind(config: &Config, asked: Option<u16>) -> Result<TcpListener, Error> {
    let mut listen = config.listen.unwrap_or(DEFAULT_LISTEN);
    listen.set_port(asked.unwrap_or(PAIRING_PORT));
    let mut bound = server::bind(listen);
    if asked.is_none() && matches!(bound, Err(BindError::AddressInUse { .. })) {
        listen.set_port(0);
        bound = server::bind(listen);
    }
    TcpListener::from_std(bound?).map_err(super::failed)
}

/// The code, and what to type where: an address, or the `name` if that is announced.
fn shown(code: &Code, listen: SocketAddr, name: Option<&str>, options: &PairOptions) -> ShownCode {
    ShownCode {
        code: code.expose().to_owned(),
        hosts: hosts::of(listen),
        name: name.filter(|name| is_name(name)).map(str::to_owned),
        port: listen.port(),
        serving_port: None,
        seconds: options.life.as_secs(),
        tries: options.tries,
    }
}
