//! A peer in the hands of the program that runs it, also while it runs and after it has ended.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::{Arrival, PeerOptions, door::Door, inbox::Inbox};
use crate::{
    server::WeakServerState,
    store::{LocalStore, Store, StoreError},
    tls::{Identity, TlsError},
    trust::TrustError,
};

/// A handle of a [`Peer`](super::Peer), from [`Peer::handle`](super::Peer::handle). Clones are handles of the same peer.
///
/// It does not keep the peer alive, and holds nothing of its home.
#[derive(Clone)]
pub struct PeerHandle {
    pub(super) address: SocketAddr,
    /// As it was when the peer was opened.
    pub(super) identity: Arc<Identity>,
    pub(super) store: Weak<LocalStore>,
    pub(super) inbox: Weak<Inbox>,
    pub(super) door: Weak<Door>,
    pub(super) state: WeakServerState,
    pub(super) options: Arc<watch::Sender<PeerOptions>>,
    pub(super) stop: CancellationToken,
    pub(super) released: CancellationToken,
}

/// Why what is on disk was not taken in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The certificates or the revocations. Those that were in force before still are.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address book. The roles and rights that were in force before still are.
    #[error(transparent)]
    Book(#[from] TrustError),
    /// The store cannot be counted for a quota.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The peer has ended.
    #[error("the peer has ended")]
    Ended,
}

impl PeerHandle {
    /// Who the peer is, with the certificate that it has now; after its end, with the one that it was opened with.
    pub fn identity(&self) -> Arc<Identity> {
        let door = self.door.upgrade();
        door.map_or_else(|| self.identity.clone(), |door| door.identity())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its store; `None` after its end.
    ///
    /// The home is held until the store is dropped, and [`shutdown`](Self::shutdown) waits for that: take it for a piece of work,
    /// and do not keep it.
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.upgrade().map(|store| store as Arc<dyn Store>)
    }

    /// Tells what arrives from now on. It is closed when the peer ends.
    ///
    /// A reader may lag behind by 64 arrivals. One that lags further misses the oldest, and the next call of `recv` says how
    /// many: [`RecvError::Lagged`](broadcast::error::RecvError::Lagged).
    pub fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        let inbox = self.inbox.upgrade();
        inbox.map_or_else(|| broadcast::channel(1).1, |inbox| inbox.arrivals())
    }

    /// Reads certificates, revocations, roles and rights again, and cuts the connections of those who may not have one any more.
    /// Gives how many were cut. A running peer does the same within half a second of a change.
    ///
    /// # Errors
    /// [`ReloadError`]. What can be used is in force all the same.
    pub async fn reload(&self) -> Result<usize, ReloadError> {
        let door = self.door.upgrade().ok_or(ReloadError::Ended)?;
        let read = tokio::task::spawn_blocking(move || (door.reload_book(), door.reload()));
        let read = read.await;
        let cut = self.state.drop_revoked();
        // It ends early only if the runtime does.
        let (book, certificates) = read.map_err(|_| ReloadError::Ended)?;
        book?;
        certificates?;
        Ok(cut)
    }

    /// Tells the peer to end, as the future does that was given to [`Peer::run`](super::Peer::run), and does not wait for it. One that
    /// does not run yet ends as soon as it is run.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells the peer to end, and returns once nothing of the home is held, so that it can be opened again. Requests in work may
    /// finish, for ten seconds at most.
    ///
    /// It waits for ever if the peer is not run, or if something else of the program keeps its store.
    pub async fn shutdown(&self) {
        self.stop();
        self.released().await;
    }

    /// Returns once nothing of the home is held, for example after the future of [`Peer::run`](super::Peer::run) was dropped.
    pub async fn released(&self) {
        self.released.cancelled().await;
    }
}
