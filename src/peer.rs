//! One running peer: server, inbox and housekeeping, started and stopped together.

mod acquainted;
mod adjust;
mod arrivals;
mod collect;
mod condition;
mod directory;
mod door;
mod elsewhere;
mod files;
mod folder;
mod hand;
mod handle;
mod history;
mod housekeeping;
mod inbox;
mod known;
mod neighbours;
mod notices;
mod options;
mod owner;
mod places;
mod reasons;
mod refused;
mod renewal;
mod reread;
mod stamps;
mod whereabouts;

use std::{
    future::{Future, pending},
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{broadcast, watch},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use arrivals::{ArrivalSeq, Arrivals, ArrivalsEnded};
pub use directory::{Bring, exchange_directory};
pub(crate) use directory::{refresh_directory, take_in_directory};
pub use elsewhere::Elsewhere;
pub(crate) use files::Files;
pub use hand::take_keys;
pub use handle::{PeerHandle, ReloadError};
pub use history::{Direction, History, HistoryEntry, ReadHistory};
pub use inbox::{
    AnswerError, Arrival, DecidedBy, InboxMode, InboxOptions, InboxPolicy, InboxRule, InboxRules,
    OpenedFiles, Outcome, PendingTransfer, Waiting,
};
pub(crate) use inbox::{Kept, expired_entry};
pub(crate) use known::others;
pub(crate) use neighbours::record_found;
pub use neighbours::{ASK_EVERY, ExchangeError, exchange_lists};
pub use notices::{
    CircleEnds, MOVE_OUT, Notice, after_the_end, circle_ends, early_list, holds_another, merging,
    notices, old_list, renewal,
};
pub(crate) use notices::{directory_fault, moving_directory, said_revoked, second_key};
pub use options::{PeerError, PeerOptions, RelayOptions};
pub use owner::Reload;
pub use reasons::Reasons;
pub use refused::SaidRevoked;
pub(crate) use refused::heed;
pub use whereabouts::Whereabouts;

use crate::{
    address::{PeerAddress, loopback},
    id::PeerId,
    manifest::Signer as _,
    server::{
        self, App, GuardedRoutes, OwnRoutes, OwnerError, RoutesCollide, ServerState, Services,
    },
    store::{LocalStore, LocalStoreOptions},
    tls::{CertsDir, Identity},
    wire::{ReloadBody, ServerEvent},
};
use adjust::announce;
use collect::Collector;
use condition::ConditionDesk;
use door::Door;
use folder::Folder;
use hand::Hand;
use housekeeping::{expiring, housekeeping, renew_old_list, revoke_pending, revoking};
use inbox::Inbox;
use known::Known;
use neighbours::{AT_START, Neighbours};
use owner::Owner;
use places::Places;
use renewal::Renewal;
use reread::Reread;
use whereabouts::Noted;

/// For how long an ended peer waits for what still has its store.
const RELEASE: Duration = Duration::from_secs(10);
/// Events that a slow reader may lag behind.
const EVENTS: usize = 256;

/// A peer that is ready to run: it listens, and has its store.
pub struct Peer {
    listener: TcpListener,
    address: SocketAddr,
    state: ServerState,
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    door: Arc<Door>,
    collector: Collector,
    identity: Arc<Identity>,
    neighbours: Neighbours,
    renewal: Renewal,
    reread: Arc<Reread>,
    owner: Arc<Owner>,
    options: Arc<watch::Sender<PeerOptions>>,
    own: Option<GuardedRoutes>,
    /// Gives the keys to commands of the owner, where they are under a passphrase.
    hand: Option<Hand>,
    /// Dropped when nothing of the home is held any more.
    noted: Arc<Noted>,
    /// Ends with the peer what its owner has asked for in this process.
    ending: DropGuard,
}

impl Peer {
    /// Takes the store and the port.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn open(options: PeerOptions) -> Result<Self, PeerError> {
        let dir = CertsDir::new(&options.certs).with(options.outside.clone());
        catch_up(&dir);
        let read = Files::of(&dir);
        let identity = Arc::new(Identity::load(&dir)?);
        let circle = neighbours::load_circle(&dir)?;
        let store = open_store(&options, &dir, identity.peer_id())?;
        let (listener, address, noted) = listen(options.listen, &store, &dir)?;
        let received = Arc::new(Folder::open(&options, dir.received())?);
        noted.set_received(&options.received);
        let places = Places::open(&dir, identity.peer_id(), store.clone(), received.clone())?;
        let door = Door::new(dir, identity.clone(), circle, options.default_role, places)?;
        door.directory_desk().serves_at(address);
        let door = Arc::new(door);
        let (known, every) = (Known::new(&door, 0), options.ask_every);
        let neighbours = Neighbours { known, every };
        let (events, _) = broadcast::channel(EVENTS);
        let (options, in_force) = watch::channel(options);
        let renewal = Renewal::new(&door, &events);
        let collector = Collector::new(
            Known::new(&door, 1),
            store.clone(),
            events.clone(),
            in_force.clone(),
        );
        let chunks = in_force.borrow().chunks.clone();
        let inbox = Arc::new(Inbox::new(
            store.clone(),
            received,
            &identity,
            door.clone(),
            events.clone(),
            in_force.clone(),
            (History::new(&chunks), Reasons::new(&chunks)),
        ));
        let health = ConditionDesk::new(&door, &store, &inbox, chunks, in_force.clone());
        let owner = Arc::new(Owner::new(&store, &inbox, in_force));
        let state = ServerState::new(services(&store, &door, &inbox, &owner, health, events));
        let ending = owner.stop.clone().drop_guard();
        let reread = Arc::new(Reread::new(&door, state.downgrade(), read));
        let _ = owner.reading().trust.set(reread.clone());
        Ok(Self {
            listener,
            address,
            state,
            store,
            inbox,
            hand: Hand::open(door.dir()),
            door,
            collector,
            identity,
            neighbours,
            renewal,
            reread,
            owner,
            options: Arc::new(options),
            own: None,
            noted,
            ending,
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
    pub fn arrivals(&self) -> Arrivals {
        self.inbox.arrivals(None)
    }

    /// What its inbox does with what arrives, which may be changed while it runs.
    pub fn inbox_rules(&self) -> InboxRules {
        self.inbox.rules()
    }

    /// Tells from now on what needs its owner, each notice once a day.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.renewal.notices()
    }

    /// Sets what reads the settings again, for an owner who asks for it. The first one counts.
    pub fn reload_with(
        &self,
        reload: impl Fn() -> Result<ReloadBody, String> + Send + Sync + 'static,
    ) {
        let _ = self.owner.reading().settings.set(Box::new(reload));
    }

    /// Does what a peer does whose owner asks for a reload, for a program that is asked otherwise, as by a signal. Blocks.
    pub fn reloader(&self) -> impl Fn() -> Result<ReloadBody, OwnerError> + Send + Sync + 'static {
        let reading = Arc::downgrade(self.owner.reading());
        move || match reading.upgrade() {
            Some(reading) => reading.read(),
            None => Ok(ReloadBody::default()),
        }
    }

    /// Serves `own` beside its own routes, behind the same guard: the callers are those that the peer lets in now. The last call
    /// counts.
    ///
    /// # Errors
    /// [`RoutesCollide`] if two of them have the same address and method, or two groups a fallback.
    pub fn with_routes(mut self, own: OwnRoutes) -> Result<Self, RoutesCollide> {
        self.own = Some(App::guard(&self.state, own)?);
        Ok(self)
    }

    /// A handle that is of use while the peer runs, and after its end.
    pub fn handle(&self) -> PeerHandle {
        PeerHandle {
            address: self.address,
            identity: self.identity.clone(),
            store: Arc::downgrade(&self.store),
            inbox: Arc::downgrade(&self.inbox),
            door: Arc::downgrade(&self.door),
            state: self.state.downgrade(),
            options: self.options.clone(),
            stop: self.owner.stop.clone(),
            reading: Arc::downgrade(self.owner.reading()),
            history: self.inbox.history(),
            noted: Arc::downgrade(&self.noted),
            released: self.store.released(),
        }
    }

    /// Runs until `shutdown` is ready or the owner ends it, then lets requests in work finish. When it returns, nothing of the
    /// home is held: it can be opened again, unless something else of the program has the store still, which is waited for a few
    /// seconds and then logged.
    ///
    /// Dropping the future cuts at once. Its tasks end at their next await, so that [`Peer::open`] of the same home, which waits
    /// half a second for the lock, succeeds if the runtime has another thread for them.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), PeerError> {
        let (released, _noted) = (self.store.released(), self.noted.clone());
        let hand = self.hand.take();
        let served = tokio::select! {
            served = self.serve(shutdown) => served,
            () = hand_over(hand) => Ok(()),
        };
        if timeout(RELEASE, released.cancelled()).await.is_err() {
            tracing::error!("the store is still in use by this program, and stays locked");
        }
        served
    }

    async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), PeerError> {
        let (stop, _ending) = (self.owner.stop.clone(), self.ending);
        let mut shutdown = pin!(async {
            tokio::select! {
                () = shutdown => {}
                () = stop.cancelled() => {}
            }
        });
        // Connections wait until the known peers were asked: who was revoked since is not to be let in.
        tokio::select! {
            () = self.neighbours.ask_all(AT_START) => {}
            () = &mut shutdown => return Ok(()),
        }
        let stopping = CancellationToken::new();
        let _stop_all = stopping.clone().drop_guard();
        let inbox = tokio::spawn(
            stopping
                .clone()
                .run_until_cancelled_owned(self.inbox.clone().run()),
        );
        let in_force = self.options.subscribe();
        let (who, ends) = (self.identity.clone(), stopping.clone());
        let announcing = announce(in_force.clone(), who, self.address, ends);
        let announcing = tokio::spawn(announcing);
        let watching = self.reread.clone().run();
        let watching = tokio::spawn(stopping.clone().run_until_cancelled_owned(watching));
        let keeping = housekeeping(
            self.store.clone(),
            self.inbox.clone(),
            in_force,
            self.door.dir().clone(),
        );
        let keeping = tokio::spawn(stopping.clone().run_until_cancelled_owned(keeping));
        let expiring = expiring(self.store.clone(), self.inbox.clone());
        let expiring = tokio::spawn(stopping.clone().run_until_cancelled_owned(expiring));
        let revoking = revoking(self.door.dir().clone());
        let revoking = tokio::spawn(stopping.clone().run_until_cancelled_owned(revoking));
        let collecting = self.collector.run();
        let collecting = tokio::spawn(stopping.clone().run_until_cancelled_owned(collecting));
        let asking = self.neighbours.run();
        let asking = tokio::spawn(stopping.clone().run_until_cancelled_owned(asking));
        let renewing = self.renewal.run();
        let renewing = tokio::spawn(stopping.clone().run_until_cancelled_owned(renewing));
        let app = match self.own {
            Some(own) => App::with(self.state, own),
            None => App::new(self.state, OwnRoutes::new()),
        };
        let served = app.serve(self.listener, shutdown).await;
        stopping.cancel();
        let _ = announcing.await;
        // Each is at an await soon; what they had begun on disk continues at the next start.
        for task in [
            inbox, watching, keeping, expiring, revoking, collecting, asking, renewing,
        ] {
            let _ = task.await;
        }
        Ok(served?)
    }
}

/// Gives the keys to commands, where they are under a passphrase. It does not end.
async fn hand_over(hand: Option<Hand>) {
    if let Some(hand) = hand
        && let Err(error) = hand.run().await
    {
        tracing::warn!(%error, "commands ask for the passphrase while this peer serves");
    }
    pending().await
}

fn services(
    store: &Arc<LocalStore>,
    door: &Arc<Door>,
    inbox: &Arc<Inbox>,
    owner: &Arc<Owner>,
    health: ConditionDesk,
    events: broadcast::Sender<ServerEvent>,
) -> Services {
    Services {
        peer_id: door.identity().peer_id(),
        store: store.clone(),
        verifier: door.clone(),
        gate: door.clone(),
        bundle: door.bundle(),
        circle: door.clone(),
        health: Arc::new(health),
        owner: owner.clone(),
        offers: inbox.clone(),
        events,
        limits: owner.limits(),
    }
}

fn open_store(
    options: &PeerOptions,
    dir: &CertsDir,
    us: PeerId,
) -> Result<Arc<LocalStore>, PeerError> {
    let store_options = LocalStoreOptions {
        relay: Some(options.relay.of(us)),
        ..options.store
    };
    let store = LocalStore::open_known(&options.chunks, &dir.store(), store_options)?;
    Ok(Arc::new(store))
}

/// Does what an earlier run left, and what is due.
fn catch_up(dir: &CertsDir) {
    revoke_pending(dir);
    renewal::renew_here(dir);
    renew_old_list(dir);
}

/// Takes the port, and tells other processes of this machine.
fn listen(
    wanted: SocketAddr,
    store: &LocalStore,
    dir: &CertsDir,
) -> Result<(TcpListener, SocketAddr, Arc<Noted>), PeerError> {
    let listener = server::bind(wanted)?;
    let address = listener.local_addr()?;
    let reached = PeerAddress::from(reachable(address)).to_string();
    store.note_listening(&reached, &PeerAddress::from(address).to_string());
    let noted = Whereabouts::note(dir, reached);
    Ok((listener, address, Arc::new(noted)))
}

/// An address by which this machine itself reaches the listener.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => SocketAddr::new(loopback(), address.port()),
        false => address,
    }
}
