//! The inbox: opens what arrives for us, or lets it wait for a yes. The server beside it stays blind.

mod answer;
mod arrival;
mod decided;
mod desk;
mod early;
mod glimpses;
mod gone;
mod open;
mod policy;
mod queue;
mod said;
mod table;
mod tally;
mod turns;
mod why;

use std::{sync::Arc, time::SystemTime};

use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, timeout_at},
};

pub use answer::{AnswerError, PendingTransfer};
pub(crate) use arrival::Kept;
pub use arrival::{Arrival, DecidedBy, OpenedFiles, Outcome};
pub(crate) use gone::expired_entry;
pub use policy::{InboxMode, InboxOptions, InboxPolicy, InboxRule, InboxRules, Waiting};

use super::{
    adjust::InForce,
    arrivals::{ArrivalSeq, Arrivals, News},
    door::Door,
    folder::Folder,
    history::History,
    reasons::Reasons,
};
use crate::{
    id::{ManifestId, PeerId, TransferId},
    manifest::Signer as _,
    server::TellLimits,
    store::{LocalStore, PageRequest, Store as _, TransferState},
    tls::Identity,
    transfer::{Reader, discard_staged},
    trust::AddressBook,
    wire::{DEFAULT_PAGE, InboxCounts, ServerEvent},
};
use early::Early;
use glimpses::Glimpses;
use open::Tried;
use queue::Queue;
use tally::Tally;
use turns::Turns;
use why::WhyWaits;

/// Arrivals that are not in the history and whoever shows them may lag behind.
const ARRIVALS: usize = 64;

/// Opens arrivals, one after the other.
pub(super) struct Inbox {
    store: Arc<LocalStore>,
    received: Arc<Folder>,
    book: AddressBook,
    reader: Reader,
    events: broadcast::Sender<ServerEvent>,
    news: broadcast::Sender<News>,
    rules: InboxRules,
    options: InForce,
    history: History,
    reasons: Reasons,
    why: WhyWaits,
    early: Early,
    glimpses: Glimpses,
    tally: Tally,
    /// Of transfers that cannot be opened.
    limits: TellLimits,
    /// One of the inbox and its owner at a time has a transfer in work.
    turns: Turns<ManifestId>,
}

/// When the stored transfers are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// Those that wait are looked at again too: what the person wants may have changed.
    Anew,
    Later,
}

impl Inbox {
    pub(super) fn new(
        store: Arc<LocalStore>,
        received: Arc<Folder>,
        identity: &Identity,
        door: Arc<Door>,
        events: broadcast::Sender<ServerEvent>,
        options: InForce,
        (history, reasons): (History, Reasons),
    ) -> Self {
        let book = AddressBook::new(door.dir().peers());
        let reader = Reader {
            me: identity.peer_id(),
            seal_keys: identity.seal_keys().clone(),
            password: None,
            verifier: door,
        };
        let rules = InboxRules::new(options.borrow().inbox.policy.clone());
        Self {
            store,
            received,
            book,
            reader,
            events,
            news: broadcast::channel(ARRIVALS).0,
            rules,
            options,
            history,
            reasons,
            why: WhyWaits::default(),
            early: Early::default(),
            glimpses: Glimpses::default(),
            tally: Tally::default(),
            limits: TellLimits::default(),
            turns: Turns::default(),
        }
    }

    pub(super) fn rules(&self) -> InboxRules {
        self.rules.clone()
    }

    /// Where received files appear.
    pub(super) fn folder(&self) -> &Folder {
        &self.received
    }

    /// What it has done since it was made.
    pub(super) fn counts(&self) -> InboxCounts {
        self.tally.counts()
    }

    /// Opens no more of a transfer that `by` is bringing.
    pub(super) fn cancel(&self, by: PeerId, transfer: TransferId) {
        self.early.cancel(by, transfer);
        self.glimpses.forget(by, transfer);
    }

    /// Nothing more is to be done with the transfer of `sender`: what was staged of it goes.
    fn drop_staged(&self, sender: PeerId, transfer: TransferId) {
        let received = self.received.now();
        // Nobody waits for it.
        tokio::task::spawn_blocking(move || discard_staged(&received, sender, transfer));
    }

    pub(super) fn history(&self) -> History {
        self.history.clone()
    }

    pub(super) fn arrivals(&self, after: Option<ArrivalSeq>) -> Arrivals {
        // Before the history is looked at, so that what comes in between is heard of.
        let news = self.news.subscribe();
        Arrivals::new(self.history.clone(), after, Some(news))
    }

    /// Opens what came while nobody was here, then what arrives, and heeds what the owner decides elsewhere. Never ends.
    pub(super) async fn run(self: Arc<Self>) {
        tokio::join!(self.open_all(), self.heed());
    }

    async fn open_all(&self) {
        let mut events = self.events.subscribe();
        self.reasons.clear();
        self.finish_interrupted().await;
        let mut queue = Queue::default();
        self.list(&mut queue, Listed::Anew).await;
        loop {
            let next = tokio::select! {
                next = next_event(&mut events, &queue) => next,
                () = self.rules.changed() => {
                    self.list(&mut queue, Listed::Anew).await;
                    continue;
                }
            };
            match next {
                Some(Ok(ServerEvent::Published { id, sender, .. })) => queue.arrived((sender, id)),
                Some(Ok(ServerEvent::State { .. } | ServerEvent::Notice { .. })) => {}
                // Too many at once to be told one by one.
                Some(Err(RecvError::Lagged(_))) => self.list(&mut queue, Listed::Later).await,
                Some(Err(RecvError::Closed)) => return std::future::pending().await,
                None => self.open_next(&mut queue).await,
            }
        }
    }

    pub(super) fn me(&self) -> PeerId {
        self.reader.me
    }

    pub(super) fn remove_stale(&self, now: SystemTime) {
        self.limits.forget_rested();
        if let Err(error) = self.received.now().remove_stale(now) {
            tracing::warn!(error = error.kind(), "stale receives stay");
        }
    }

    async fn finish_interrupted(&self) {
        let received = self.received.now();
        match tokio::task::spawn_blocking(move || received.finish_interrupted()).await {
            Ok(Ok(paths)) if !paths.is_empty() => {
                tracing::info!(files = paths.len(), "finished an interrupted receive")
            }
            Ok(Err(error)) => {
                tracing::error!(
                    error = error.kind(),
                    "an interrupted receive cannot be finished"
                );
            }
            _ => {}
        }
    }

    /// Queues the stored transfers that may be for us.
    async fn list(&self, queue: &mut Queue, listed: Listed) {
        let mut after = None;
        loop {
            let page = PageRequest {
                after,
                limit: DEFAULT_PAGE,
            };
            let reader = Some(self.reader.me);
            let page = match self.store.list_with_states(page, reader).await {
                Ok(page) => page,
                Err(error) => return tracing::error!(%error, "the inbox cannot be listed"),
            };
            after = page.items.last().map(|info| info.id);
            for info in page.items {
                match info.state.map(|at| at.state) {
                    Some(TransferState::Stored) => queue.arrived((info.sender, info.id)),
                    Some(TransferState::Waiting) if listed == Listed::Anew => {
                        queue.waited((info.sender, info.id));
                    }
                    _ => {}
                }
            }
            if !page.more {
                return;
            }
        }
    }

    async fn open_next(&self, queue: &mut Queue) {
        let Some(transfer) = queue.next(Instant::now()) else {
            return;
        };
        match self.open(transfer).await {
            Tried::Settled => queue.settled(transfer),
            Tried::Failed => queue.failed(transfer, Instant::now()),
        }
    }
}

/// The next event; `None` if a transfer of `queue` is due before.
async fn next_event(
    events: &mut broadcast::Receiver<ServerEvent>,
    queue: &Queue,
) -> Option<Result<ServerEvent, RecvError>> {
    match queue.due(Instant::now()) {
        // An event that is there already is taken before the time is looked at.
        Some(due) => timeout_at(due, events.recv()).await.ok(),
        None => Some(events.recv().await),
    }
}
