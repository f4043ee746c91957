//! The acting side: a member opens its home and acts, and every program that embeds this library does so as the command line does.
//!
//! A [`Session`] is a home with its identity, its circle and its address book. Each operation is a method with a typed request
//! and outcome:
//!
//! - files: [`send`](Session::send), [`plan`](Session::plan), [`share`](Session::share), [`receive`](Session::receive),
//!   [`grant`](Session::grant), [`delete`](Session::delete), [`inbox`](Session::inbox), [`list`](Session::list), [`seal`](Session::seal) and
//!   [`open_folder`](Session::open_folder) for what is carried by hand, [`check_custody`](Session::check_custody) of what others store;
//! - peers: [`connect`](Session::connect), [`add_peer`](Session::add_peer), [`peer_rows`](Session::peer_rows),
//!   [`set_role`](Session::set_role) and others, [`look_around`](look_around()), [`pair`];
//! - the home: [`certs`], [`check`](Session::check), [`collect_garbage`](Session::collect_garbage),
//!   [`history`](Session::history), [`status`](Session::status), [`care`] for what needs its owner, [`peer_options`] to serve it,
//!   [`service`] to have systemd do that.
//!
//! What a home without certificates needs, such as [`pair`] and [`certs`], is there as functions of a [`Home`].
//!
//! What happens meanwhile is told to a [`Reporter`] as an [`Event`]; the outcome is an event too, so that `--json` prints nothing
//! but events. An [`Error`] says by its [`Kind`] what can be done about it.
//!
//! Every future of an operation is `Send`, and needs a Tokio runtime with time and I/O enabled. Operations of one process may run
//! side by side, also in several sessions of one home: they share its store.
//!
//! An operation is cancelled by dropping its future. What was transferred until then stays where it is, and the same request
//! continues it.

pub(crate) mod advice;
mod ask;
pub mod care;
pub mod certs;
mod check;
mod connect;
mod custody;
pub(crate) mod damage;
mod delete;
mod error;
mod event;
mod exchange;
mod find;
mod finding;
mod folder;
mod former;
mod fresh;
mod grant;
mod history;
mod home;
mod inbox;
mod list;
mod look_around;
mod mark;
pub(crate) mod meant;
mod members;
pub mod pair;
mod patience;
mod peers;
mod progress;
mod receive;
mod received;
mod recipients;
mod reporter;
mod send;
mod serve;
pub mod service;
mod serving;
mod settings;
mod signed_by;
mod sources;
mod status;
pub(crate) mod store;
mod which;
mod whom;

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    num::{NonZeroU64, NonZeroUsize},
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arc_swap::ArcSwap;

use crate::{
    client::{ClientOptions, Line},
    config::{Config, template},
    id::PeerId,
    manifest::{Claim, Signer as _, Verifier, VerifyError},
    private,
    store::{LocalStoreOptions, Pace},
    tls::{CertsDir, CircleHandle, Identity, TlsError},
    transfer::{Reader, SendOptions, Sender},
    trust::{AddressBook, KnownPeer, Role, Roles},
};

pub use check::{CheckRequest, Checked, Collected, check_store, collect_garbage};
pub use connect::ConnectedPeer;
pub(crate) use custody::kept_sends;
pub use custody::{Custody, CustodyRequest};
pub use delete::{DeleteRequest, DeletedTransfer};
pub use error::{Candidate, Cause, Error, Kind, Mistake, NotReached};
pub use event::{Event, Failed, LeftOut, Missed};
pub use finding::{Finding, Summary, Verdict};
pub use folder::{FolderError, SealRequest, Sealed};
pub use grant::{GrantRequest, Granted};
pub use history::{history, read_history};
pub use home::{ChosenBy, Home, host_name};
pub use inbox::{Extent, Inbox, RefusedTransfer, WaitingTransfer};
pub use list::{ListedChunks, TransferRow};
pub use look_around::{KnownAround, SeenRow, Surroundings, look_around};
pub use mark::Mark;
pub use patience::RETRY_FOR;
pub use peers::{CheckedPeer, PeerHealth, PeerRow, RightsRow, RoleRow};
pub use progress::{Progress, Work};
pub use receive::{
    Locked, NothingNew, PassedOver, PasswordSource, ReceiveInto, ReceiveOutcome, ReceiveRequest,
    ReceivedTransfer,
};
pub use received::NoPlace;
pub use reporter::{Reporter, Silent};
pub use send::{
    Fault, Lifetime, Planned, ResumeRequest, Sealing, SendRequest, Sent, StoredAt, UnfinishedSend,
    message, walk,
};
pub use serve::{Arrived, ServeRequest, ServingPeer, discovery, inbox_policy, peer_options};
pub use serving::StoppedPeer;
pub use settings::{ChangedSetting, Holds, ServedSettings, change_setting, take_back_setting};
pub use signed_by::SignedBy;
pub use sources::MAX_SOURCES;
pub use status::{PutBy, Status, StatusRequest};
pub use store::OwnStore;
pub use which::TransferSelector;

pub(crate) use care::{LITTLE, MOVED, existing, moved};
use former::Former;
use fresh::Fresh;
use home::platform_folder;
pub(crate) use list::all_manifests;
use list::{all_with_states, row};
pub(crate) use progress::Told;
use recipients::Recipients;
use send::{paced, tell_sources};
#[cfg(feature = "cli")]
pub(crate) use settings::LOG_DAYS;
#[cfg(feature = "cli")]
pub(crate) use which::is_short_id;
use which::{manifest_of, named};
pub(crate) use whom::{Whom, nearest};

/// A member that acts: its home, its identity, and whom it knows.
pub struct Session {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) dir: CertsDir,
    fresh: Fresh,
    pub(crate) book: AddressBook,
    pub(crate) reporter: Arc<dyn Reporter>,
    client_options: ClientOptions,
    /// For how long a peer is waited for once a transfer has begun.
    retry_for: Option<Duration>,
    /// The measured line, which all clients of this session share.
    line: Line,
    members: members::Members,
    too_slow: exchange::TooSlow,
    /// Read when they are needed.
    former: OnceLock<Vec<Former>>,
}

/// Verifies members of the circle that are not blocked here.
struct Judge {
    circle: CircleHandle,
    roles: Arc<ArcSwap<Roles>>,
}

impl Judge {
    fn check_not_blocked(&self, sender: PeerId) -> Result<(), VerifyError> {
        match self.roles.load().is_blocked(sender) {
            true => Err(VerifyError::Blocked { sender }),
            false => Ok(()),
        }
    }
}

impl Verifier for Judge {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let name = self.circle.verify(claim)?;
        self.check_not_blocked(claim.sender)?;
        Ok(name)
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        self.check_not_blocked(claim.sender)?;
        self.circle.verify_unknown(claim)
    }
}

impl Session {
    /// Opens the home in the folder `home`, with the settings of its `colis.toml`. The environment is not read.
    ///
    /// Its settings are those of this moment. Certificates, revocations, roles and the address book are looked at again by each
    /// operation: a session may stay open for as long as the program runs.
    ///
    /// # Errors
    /// Fails if there is no home, or it has settings that cannot be used.
    pub fn open(home: impl AsRef<Path>) -> Result<Self, Error> {
        let home = Home::resolve(Some(home.as_ref()))?;
        home.check_there()?;
        let config = Config::load(&home.config(), |_| None::<OsString>)?;
        Self::with(home, config, Arc::new(Silent))
    }

    /// Opens `home` with settings that were made elsewhere, such as by the environment or flags.
    ///
    /// # Errors
    /// Fails if the home has no certificates, or its keys are under a passphrase that this process was not given
    /// ([`certs::open_keys`]).
    pub fn with(home: Home, config: Config, reporter: Arc<dyn Reporter>) -> Result<Self, Error> {
        Self::loading(home, config, reporter, Identity::load)
    }

    /// The same for what needs no keys, where they may be under a passphrase that was not given.
    #[cfg(feature = "cli")]
    pub(crate) fn or_closed(
        home: Home,
        config: Config,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self, Error> {
        Self::loading(home, config, reporter, Identity::load_or_closed)
    }

    fn loading(
        home: Home,
        config: Config,
        reporter: Arc<dyn Reporter>,
        load: fresh::Load,
    ) -> Result<Self, Error> {
        let dir = CertsDir::new(home.certs()).with(home.outside(&config));
        let fresh = Fresh::open(dir.clone(), config.default_role.unwrap_or_default(), load);
        Ok(Self {
            fresh: fresh.map_err(|error| home.explain(error))?,
            book: AddressBook::new(dir.peers()),
            home,
            config,
            dir,
            reporter,
            client_options: ClientOptions::default(),
            retry_for: Some(RETRY_FOR),
            line: Line::default(),
            members: members::Members::default(),
            too_slow: exchange::TooSlow::default(),
            former: OnceLock::new(),
        })
    }

    /// The same session, with another listener for its events.
    #[must_use]
    pub fn reporting_to(mut self, reporter: Arc<dyn Reporter>) -> Self {
        self.reporter = reporter;
        self
    }

    /// The same session, which is as patient with peers as `options` say: a transfer does not wait for [`RETRY_FOR`] then, unless its
    /// request says so.
    #[must_use]
    pub fn with_client_options(mut self, options: ClientOptions) -> Self {
        self.client_options = options;
        self.retry_for = None;
        self
    }

    /// The home that it acts from.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Who it acts as, by the certificate that is in `certs/` now.
    pub fn identity(&self) -> Arc<Identity> {
        self.fresh.identity()
    }

    /// Its id.
    pub fn peer_id(&self) -> PeerId {
        self.fresh.peer_id()
    }

    /// The circle whose members it trusts, with the revocations that are in `certs/` now.
    pub fn circle(&self) -> &CircleHandle {
        self.fresh.circle()
    }

    /// The peers that it knows.
    pub fn address_book(&self) -> &AddressBook {
        &self.book
    }

    /// The known peers, this one among them if it has served.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn peers(&self) -> Result<Vec<KnownPeer>, Error> {
        Ok(self.book.peers()?)
    }

    pub(crate) fn tell(&self, event: impl Into<Event>) {
        self.reporter.tell(&event.into());
    }

    pub(crate) fn sender(&self) -> Sender {
        let identity = self.identity();
        Sender {
            seal_keys: identity.seal_keys().clone(),
            signer: identity,
            journals: self.home.journals(),
        }
    }

    /// Chunks in flight: as asked, else as the settings say.
    pub(crate) fn jobs(&self, asked: Option<usize>) -> usize {
        let configured = self.config.jobs.map(NonZeroUsize::get);
        asked.or(configured).unwrap_or(SendOptions::default().jobs)
    }

    /// Bytes a second: as asked, else as the settings say.
    fn pace(&self, asked: Option<&Pace>) -> Result<Option<Pace>, Mistake> {
        match (asked, self.config.limit) {
            (Some(asked), _) => Ok(Some(asked.clone())),
            (None, Some(limit)) => {
                let limit = NonZeroU64::new(limit.bytes()).ok_or(Mistake::MovesNothing)?;
                Ok(Some(Pace::new(limit)))
            }
            (None, None) => Ok(None),
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        let identity = self.identity();
        Reader {
            me: identity.peer_id(),
            seal_keys: identity.seal_keys().clone(),
            password: None,
            verifier: Arc::new(Judge {
                circle: self.circle().clone(),
                roles: self.fresh.roles(),
            }),
        }
    }

    /// Returns the name by which a peer is known here. The peer must have proved its id.
    pub(crate) fn known_name(&self, id: PeerId) -> Option<String> {
        if id == self.peer_id() {
            return Some(self.identity().name().to_owned());
        }
        let known = self.book.peers().unwrap_or_default();
        let known = known.into_iter().find(|peer| peer.peer_id == id);
        known.map(|peer| peer.shown())
    }

    /// Whether a peer has the role `none` here.
    pub(crate) fn is_blocked(&self, id: PeerId) -> bool {
        self.fresh.roles().load().is_blocked(id)
    }

    /// Fails for a peer that nothing is sealed for: revoked, or no member any more. It was named `text`.
    pub(crate) fn check_not_revoked(&self, text: &str, peer: &KnownPeer) -> Result<(), Error> {
        self.check_key_not_revoked(text, peer)?;
        let known = self.circle().now().check_known(peer);
        Ok(known.map_err(TlsError::from)?)
    }

    /// Fails for a peer whose key the circle has revoked. One that an outside authority has revoked may show another certificate.
    pub(crate) fn check_key_not_revoked(&self, text: &str, peer: &KnownPeer) -> Result<(), Error> {
        let circle = self.circle().now();
        match circle.is_key_revoked(&peer.peer_id) {
            false => Ok(()),
            true => Err(Error::Revoked {
                peer: text.trim().to_owned(),
                peer_id: peer.peer_id,
                list: circle.crl_number(),
            }),
        }
    }

    /// What members may do here that have no role of their own.
    pub fn default_role(&self) -> Role {
        self.config.default_role.unwrap_or_default()
    }
}

/// How the store of a home with these settings behaves.
pub(crate) fn store_options(config: &Config) -> LocalStoreOptions {
    LocalStoreOptions {
        reserve: config.reserve.map(|size| size.bytes()),
        quota: config.quota.map(|size| size.bytes()),
        relay: None,
    }
}

/// Writes the file of settings of `home`, with every setting as a comment. It must not be there yet.
///
/// # Errors
/// Fails if it is there, the home is not, or it cannot be written.
pub fn init_settings(home: &Home) -> io::Result<()> {
    let mut file = private::file();
    let mut file = file.write(true).create_new(true).open(home.config())?;
    file.write_all(template().as_bytes())
}

/// The settings of `home`, with what the environment says of them.
///
/// # Errors
/// Fails if one of them cannot be used.
pub fn load_config(home: &Home) -> Result<Config, Error> {
    Ok(Config::load(&home.config(), |name| env::var_os(name))?)
}
