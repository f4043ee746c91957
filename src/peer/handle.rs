//! A peer in the hands of the program that runs it, also while it runs and after it has ended.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    AnswerError, ArrivalSeq, Arrivals, History, InboxRules, OpenedFiles, PeerOptions,
    PendingTransfer, door::Door, inbox::Inbox, owner::Reading, whereabouts::Noted,
};
use crate::{
    crypto::password::Password,
    id::{ManifestId, PeerId},
    received::ReceivedError,
    server::WeakServerState,
    store::{LocalStore, Store, StoreError},
    tls::{Identity, TlsError},
    trust::TrustError,
    wire::{Arriving, ReloadBody},
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
    pub(super) reading: Weak<Reading>,
    pub(super) history: History,
    pub(super) noted: Weak<Noted>,
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
    /// The settings, in the words of the program that reads them. Those that were in force before still are.
    #[error("the settings: {0}")]
    Settings(String),
    /// The folder of received files cannot be used.
    #[error(transparent)]
    Received(#[from] ReceivedError),
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

    /// Its id.
    pub fn peer_id(&self) -> PeerId {
        self.identity.caller().peer_id
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

    /// Tells what arrives from now on, and then that the peer has ended.
    pub fn arrivals(&self) -> Arrivals {
        self.follow(None)
    }

    /// Tells what has arrived since `after`, also while no program was there to be told, then what arrives from now on.
    /// [`ArrivalSeq::START`] begins with the oldest that the history has; an arrival's own [`seq`](super::Arrival::seq) goes on after
    /// it. After the end of the peer what it has left is told.
    ///
    /// Of one sender the history keeps 32 transfers that wait or cannot be opened, then one in 15 minutes; the others are told to
    /// those who follow at that time. [`waiting`](Self::waiting) has all that wait.
    pub fn arrivals_after(&self, after: ArrivalSeq) -> Arrivals {
        self.follow(Some(after))
    }

    fn follow(&self, after: Option<ArrivalSeq>) -> Arrivals {
        match self.inbox.upgrade() {
            Some(inbox) => inbox.arrivals(after),
            None => Arrivals::of_ended(self.history.clone(), after),
        }
    }

    /// What members are bringing now, the latest to move first; nothing after the end of the peer.
    pub async fn arriving(&self) -> Vec<Arriving> {
        self.state.arriving().await
    }

    /// What waits for an answer, in the order of ids. The inbox of a session shows what is in it.
    ///
    /// # Errors
    /// [`AnswerError::Store`], [`AnswerError::Ended`].
    pub async fn waiting(&self) -> Result<Vec<PendingTransfer>, AnswerError> {
        self.ask(async |inbox| Ok(inbox.pending().await?)).await
    }

    /// Opens a transfer that waits or was refused, whatever the rules of the inbox say, as if it arrived now. Where `password` is
    /// given, it is tried.
    ///
    /// If the future is dropped or the peer ends, nothing was opened, and what was written is continued by the next try.
    ///
    /// # Errors
    /// [`AnswerError`]. The transfer waits as before.
    pub async fn accept(
        &self,
        id: ManifestId,
        password: Option<Password>,
    ) -> Result<OpenedFiles, AnswerError> {
        self.ask(async |inbox| inbox.accept(id, password).await)
            .await
    }

    /// Says no to a transfer that waits: its sender is told, and it is collected later.
    ///
    /// # Errors
    /// [`AnswerError`]. The transfer waits as before.
    pub async fn refuse(&self, id: ManifestId) -> Result<(), AnswerError> {
        self.ask(async |inbox| inbox.refuse(id).await).await
    }

    /// Asks the inbox as long as the peer has not ended, and holds nothing of it any longer.
    async fn ask<T>(
        &self,
        what: impl AsyncFnOnce(&Inbox) -> Result<T, AnswerError>,
    ) -> Result<T, AnswerError> {
        let inbox = self.inbox.upgrade().ok_or(AnswerError::Ended)?;
        let answer = self.stop.run_until_cancelled(what(&inbox)).await;
        answer.unwrap_or(Err(AnswerError::Ended))
    }

    /// What the inbox does with what arrives, which may be changed; `None` after the end of the peer.
    pub fn inbox_rules(&self) -> Option<InboxRules> {
        self.inbox.upgrade().map(|inbox| inbox.rules())
    }

    /// Reads certificates, revocations, roles and rights again, and cuts the connections of those who may not have one any more.
    /// Then the program's own settings are read, if it has said how ([`Peer::reload_with`](super::Peer::reload_with)). Gives how many
    /// connections were cut. A running peer does all but the settings by itself within half a second of a change.
    ///
    /// # Errors
    /// [`ReloadError`]. What can be used is in force all the same.
    pub async fn reload(&self) -> Result<usize, ReloadError> {
        let reading = self.reading.upgrade().ok_or(ReloadError::Ended)?;
        let read = tokio::task::spawn_blocking(move || {
            let trust = reading.trust.get().ok_or(ReloadError::Ended)?.read_all();
            let settings = reading.settings.get();
            let settings = settings.map_or(Ok(ReloadBody::default()), |reload| reload());
            settings.map_err(ReloadError::Settings)?;
            trust
        });
        // It ends early only if the runtime does.
        read.await.map_err(|_| ReloadError::Ended)?
    }

    /// Tells the peer to end, as the future does that was given to [`Peer::run`](super::Peer::run), and does not wait for it. One that
    /// does not run yet ends as soon as it is run.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells the peer to end, and returns once nothing of the home is held, so that it can be opened again. Requests in work may
    /// finish, for ten seconds at most.
    ///
    /// It waits for ever if the peer is not run, or if something else of the program keeps its store. A handler of a route of one's
    /// own is a request in work, which would wait for itself: there [`stop`](Self::stop) is the right call.
    pub async fn shutdown(&self) {
        self.stop();
        self.released().await;
    }

    /// Returns once nothing of the home is held, for example after the future of [`Peer::run`](super::Peer::run) was dropped.
    pub async fn released(&self) {
        self.released.cancelled().await;
    }
}
