//! Finding peers in the local network by multicast DNS (RFC 6762) as a service of DNS-SD (RFC 6763): hints, never trust.
//!
//! A serving peer announces where it is, its name and its id; so does a machine that shows a pairing code, and says nothing
//! of the code. Whoever looks for one listens for a moment. What is heard comes from anybody: it is parsed or dropped,
//! bounded, kept only while somebody looks, and is worth one thing, an address to try. Who answers there must show, in the
//! handshake, the key that is known already; or, where none is known yet, prove that it knows the code.

mod link;
mod message;
mod responder;
mod table;

use std::{io, net::SocketAddr, time::Duration};

use domain::base::{Rtype, name::FromStrError};
use tokio::{
    task::JoinHandle,
    time::{Instant, Interval, interval, sleep_until, timeout},
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use table::{MAX_ADDRESSES, MAX_SEEN, SeenPeer, Table};

use link::{Links, Message, PORT};
use message::{Instance, Kind, Question};
use responder::Responder;

use crate::id::PeerId;

/// For how long to look for peers: the answer to a question that was asked too soon after another comes a second later.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked whether something is to be asked.
const TICK: Duration = Duration::from_millis(250);
/// Every so many ticks everybody is asked who is there.
const ASKED_EVERY: u32 = 4;
/// To say goodbye when a peer stops.
const GOODBYE: Duration = Duration::from_millis(500);
/// The version of what is announced.
const VERSION: &str = "1";

/// Whether this peer is announced, and others are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discovery {
    /// Yes.
    #[default]
    On,
    /// Not a packet.
    Off,
}

/// What is announced, and looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// A peer that serves.
    Peer,
    /// A machine that shows a pairing code, for as long as it does.
    Pairing,
}

impl Service {
    /// Its type in DNS-SD.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer => "_colis._tcp.local",
            Self::Pairing => "_colis-pair._tcp.local",
        }
    }
}

/// Nobody can be found or told in this network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// The port of multicast DNS is not to be had.
    #[error("UDP port {PORT}: {0}")]
    Port(#[from] io::Error),
    /// What would be announced cannot be written.
    #[error("a name that DNS does not have: {0}")]
    Name(#[from] FromStrError),
}

/// Tells the network about a peer, until it is dropped.
pub struct Announcement {
    task: JoinHandle<()>,
    ends: DropGuard,
}

impl Announcement {
    /// Announces `service` of the peer `name`, `id`, which listens at `address`; none if that is switched off or nobody else
    /// could come there. A failure is logged: it is found without that too, by whoever has its address.
    pub fn start(
        discovery: Discovery,
        service: Service,
        name: &str,
        id: PeerId,
        address: SocketAddr,
    ) -> Option<Self> {
        if discovery == Discovery::Off || address.ip().to_canonical().is_loopback() {
            return None;
        }
        let instance = instance(service, name, id, address.port());
        let announced = instance.and_then(|instance| Self::announce(instance, address));
        announced
            .inspect_err(|error| {
                tracing::warn!(%error, "not announced: others find this peer by its address only");
            })
            .ok()
    }

    fn announce(instance: Instance, address: SocketAddr) -> Result<Self, DiscoverError> {
        let responder = Responder::new(Links::open()?, instance, address);
        let ended = CancellationToken::new();
        Ok(Self {
            task: tokio::spawn(responder.run(ended.clone())),
            ends: ended.drop_guard(),
        })
    }

    /// Says goodbye, so that nobody tries the address any more.
    pub async fn end(self) {
        drop(self.ends);
        let _ = timeout(GOODBYE, self.task).await;
    }
}

/// What is announced. Its labels are made of the id: no two peers have one, whatever they are called. A peer may show two
/// codes, each at a port of its own.
fn instance(
    service: Service,
    name: &str,
    id: PeerId,
    port: u16,
) -> Result<Instance, DiscoverError> {
    let id = id.to_string();
    let mut label: String = id.chars().take(32).collect();
    if service == Service::Pairing {
        label = format!("pair-{label}-{port}");
    }
    let host = format!("colis-{label}.local");
    let texts = [("v", VERSION), ("id", &id), ("name", name)];
    Ok(Instance::new(service.name(), &label, &host, port, &texts)?)
}

/// Looks for peers for a while.
pub struct Browser {
    links: Links,
    service: Service,
    until: Instant,
    ticks: Interval,
    ticked: u32,
    table: Table,
    buffer: Box<[u8]>,
}

impl Browser {
    /// Asks who is there; [`Browser::next`] hears the answers for so long.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub fn start(service: Service, patience: Duration) -> Result<Self, DiscoverError> {
        Ok(Self {
            links: Links::open()?,
            service,
            until: Instant::now() + patience,
            ticks: interval(TICK),
            ticked: 0,
            table: Table::default(),
            buffer: link::buffer(),
        })
    }

    /// The next one that is heard of, or heard of anew; none when the time is over.
    pub async fn next(&mut self) -> Option<SeenPeer> {
        // A flood of answers must not make it longer: they would always be there before the time is looked at.
        while Instant::now() < self.until {
            if let Some(seen) = self.table.news() {
                return Some(seen);
            }
            tokio::select! {
                biased;
                () = sleep_until(self.until) => {}
                _ = self.ticks.tick() => self.ask(),
                heard = self.links.hear(Kind::Response, &mut self.buffer) => self.note(&heard),
            }
        }
        None
    }

    /// Everybody who is heard of until the time is over.
    pub async fn all(mut self) -> Table {
        while self.next().await.is_some() {}
        self.table
    }

    /// Asks who is there, from time to time, and for what was left out.
    fn ask(&mut self) {
        let mut questions = self.table.questions();
        if self.ticked.is_multiple_of(ASKED_EVERY) {
            questions.push(Question {
                name: self.service.name().to_owned(),
                kind: Rtype::PTR,
            });
        }
        self.ticked += 1;
        if questions.is_empty() {
            return;
        }
        if let Ok(question) = message::question(&questions) {
            let links = self.links.all();
            links.for_each(|link| self.links.say(link, &question));
        }
    }

    fn note(&mut self, heard: &Message) {
        let bytes = self.buffer.get(..heard.length).unwrap_or_default();
        match message::read_response(bytes, self.service.name()) {
            Ok(said) => self.table.note(heard.source, said),
            Err(_) => self.table.drop_one(),
        }
    }
}
