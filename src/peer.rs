//! One running peer: server, inbox and housekeeping, started and stopped together.

mod collect;
mod door;
mod history;
mod inbox;

use std::{
    fs,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

pub use history::{Direction, History, HistoryEntry};
pub use inbox::{Arrival, InboxMode, InboxOptions, InboxPolicy, InboxRule, Outcome, Waiting};

use crate::{
    manifest::{Signer as _, Timestamp},
    received::{Received, ReceivedError},
    server::{self, BindError, Limits, ServerState, Services},
    store::{LocalStore, LocalStoreOptions, Relay, StoreError},
    tls::{CertsDir, Circle, CircleHandle, Identity, TlsError},
};
use collect::Collector;
use door::Door;
use inbox::Inbox;

/// How often files of `certs/` are looked at: a revocation is in force within a second.
const WATCH: Duration = Duration::from_millis(400);
/// How often what has expired is collected.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// Events that a slow reader may lag behind.
const EVENTS: usize = 256;

/// What a peer is made of.
#[derive(Debug, Clone)]
pub struct PeerOptions {
    /// The folder of certificates.
    pub certs: PathBuf,
    /// The folder of the store.
    pub chunks: PathBuf,
    /// The folder where received files appear.
    pub received: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What to do with what arrives.
    pub inbox: InboxOptions,
    /// How the store behaves.
    pub store: LocalStoreOptions,
    /// What it does for others, and asks of them.
    pub relay: RelayOptions,
}

/// How transfers go by way of others.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// The most bytes of content that one sender may store here for others.
    pub quota: Option<u64>,
    /// For how long they are kept, if they do not expire before.
    pub keep: Option<Duration>,
    /// How often known peers are asked for what they store for us; zero for never.
    pub collect: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            quota: None,
            keep: None,
            collect: Duration::from_secs(60),
        }
    }
}

/// Why a peer does not run.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The folder of received files.
    #[error(transparent)]
    Received(#[from] ReceivedError),
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Serving.
    #[error("serving failed: {0}")]
    Serve(#[from] io::Error),
}

/// A peer that is ready to run: it listens, and has its store.
pub struct Peer {
    listener: TcpListener,
    address: SocketAddr,
    state: ServerState,
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    door: Arc<Door>,
    collector: Collector,
    collect: Duration,
    identity: Arc<Identity>,
    keep_opened: Duration,
}

impl Peer {
    /// Takes the store and the port.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn open(options: PeerOptions) -> Result<Self, PeerError> {
        let dir = CertsDir::new(options.certs);
        let identity = Arc::new(Identity::load(&dir)?);
        let circle = CircleHandle::new(Circle::load(&dir)?);
        let relay = Relay {
            owner: identity.peer_id(),
            quota: options.relay.quota,
            keep: options.relay.keep,
        };
        let mut store_options = options.store;
        store_options.relay = Some(relay);
        let store = Arc::new(LocalStore::open(&options.chunks, store_options)?);
        let received = Arc::new(Received::open(&options.received)?);
        let listener = server::bind(options.listen)?;
        let address = listener.local_addr()?;
        store.note_serving(&reachable(address).to_string());
        let door = Arc::new(Door::new(dir.clone(), &identity, circle.clone())?);
        let (events, _) = broadcast::channel(EVENTS);
        let keep_opened = options.inbox.keep_opened;
        let inbox = Inbox::new(
            store.clone(),
            received,
            &identity,
            circle.clone(),
            events.clone(),
            options.inbox,
            History::new(&options.chunks),
        );
        let inbox = Arc::new(inbox);
        let collector = Collector {
            dir,
            circle: circle.clone(),
            store: store.clone(),
            events: events.clone(),
        };
        let state = ServerState::new(Services {
            peer_id: identity.peer_id(),
            store: store.clone(),
            verifier: Arc::new(circle),
            gate: door.clone(),
            bundle: door.bundle(),
            circle: door.clone(),
            offers: inbox.clone(),
            events,
            limits: Limits::default(),
        });
        Ok(Self {
            listener,
            address,
            state,
            store,
            inbox,
            door,
            collector,
            collect: options.relay.collect,
            identity,
            keep_opened,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Tells what arrives from now on.
    pub fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.inbox.arrivals()
    }

    /// Runs until `shutdown` is ready, then lets requests in work finish.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), PeerError> {
        let stopping = CancellationToken::new();
        let _stop_all = stopping.clone().drop_guard();
        let inbox = tokio::spawn(
            stopping
                .clone()
                .run_until_cancelled_owned(self.inbox.clone().run()),
        );
        let watching = tokio::spawn(
            stopping
                .clone()
                .run_until_cancelled_owned(watch(self.door.clone(), self.state.clone())),
        );
        let keeping = housekeeping(self.store.clone(), self.inbox.clone(), self.keep_opened);
        let keeping = tokio::spawn(stopping.clone().run_until_cancelled_owned(keeping));
        let collecting = self.collector.run_every(self.collect);
        let collecting = tokio::spawn(stopping.clone().run_until_cancelled_owned(collecting));
        let served = server::serve(self.listener, self.state, shutdown).await;
        stopping.cancel();
        // Each is at an await soon; what they had begun on disk continues at the next start.
        for task in [inbox, watching, keeping, collecting] {
            let _ = task.await;
        }
        Ok(served?)
    }
}

/// Reads certificates and revocations again when their files change.
async fn watch(door: Arc<Door>, state: ServerState) {
    let mut ticks = tokio::time::interval(WATCH);
    let mut seen = door.modified();
    loop {
        ticks.tick().await;
        let now = door.modified();
        if now != seen {
            seen = now;
            match door.reload() {
                Ok(()) => tracing::info!(
                    closed = state.drop_revoked(),
                    "certificates and revocations read again"
                ),
                Err(error) => {
                    tracing::error!(%error, "certificates unchanged: what is on disk cannot be used")
                }
            }
        }
    }
}

async fn housekeeping(store: Arc<LocalStore>, inbox: Arc<Inbox>, keep_opened: Duration) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    loop {
        ticks.tick().await;
        let (store, inbox) = (store.clone(), inbox.clone());
        let kept = tokio::task::spawn_blocking(move || {
            inbox.remove_stale(SystemTime::now());
            store.let_go_settled(keep_opened, Timestamp::now())?;
            store.gc(Timestamp::now())
        });
        match kept.await {
            Ok(Ok(report)) => tracing::debug!(?report, "collected"),
            Ok(Err(error)) => tracing::error!(%error, "collecting failed"),
            Err(error) => tracing::error!(%error, "collecting failed"),
        }
    }
}

/// An address by which this machine itself reaches the listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) if address.ip().is_unspecified() => {
            SocketAddr::from(([127, 0, 0, 1], address.port()))
        }
        SocketAddr::V6(_) if address.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port()))
        }
        _ => address,
    }
}

/// When the files that a handshake depends on were changed last.
fn modified_of(paths: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    paths
        .iter()
        .map(|path| {
            fs::metadata(path)
                .and_then(|m| Ok((m.modified()?, m.len())))
                .ok()
        })
        .collect()
}
