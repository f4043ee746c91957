//! The inbox: opens what arrives for us, or lets it wait for a yes. The server beside it stays blind.

mod arrival;
mod decided;
mod desk;
mod early;
mod policy;
mod queue;
mod said;
mod table;
mod tally;
mod why;

use std::{sync::Arc, time::SystemTime};

use futures::future::BoxFuture;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, timeout_at},
};

pub use arrival::{Arrival, OpenedFiles, Outcome};
pub use policy::{InboxMode, InboxOptions, InboxPolicy, InboxRule, InboxRules, Waiting};

use super::{adjust::InForce, door::Door, history::History, reasons::Reasons};
use crate::{
    id::{ManifestId, PeerId, Short as _, TransferId},
    manifest::{SignedManifest, Signer as _, Timestamp},
    received::Received,
    server,
    store::{LocalStore, PageRequest, StateAt, Store as _, TransferState, WaitReason},
    tls::Identity,
    transfer::{self, OpenedTransfer, Reader, Silent, TransferError},
    trust::AddressBook,
    wire::{DEFAULT_PAGE, Event, InboxCounts},
};
use early::Early;
use policy::names_of;
use queue::Queue;
use said::failed;
use tally::Tally;
use why::WhyWaits;

/// Arrivals that whoever shows them may lag behind.
const ARRIVALS: usize = 64;

/// Opens arrivals, one after the other.
pub(super) struct Inbox {
    store: Arc<LocalStore>,
    received: Arc<Received>,
    book: AddressBook,
    reader: Reader,
    events: broadcast::Sender<Event>,
    arrivals: broadcast::Sender<Arrival>,
    rules: InboxRules,
    options: InForce,
    history: History,
    reasons: Reasons,
    why: WhyWaits,
    early: Early,
    tally: Tally,
}

/// When the stored transfers are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// Those that wait are looked at again too: what the person wants may have changed.
    Anew,
    Later,
}

/// Whether a transfer is to be tried again.
enum Tried {
    Settled,
    Failed,
}

/// What became of a transfer that was looked at.
enum Looked {
    /// It is not for us, or was settled before.
    Nothing,
    /// It is opened now.
    Opened(Opened),
    /// It waits for the person.
    Waits(Waiting),
}

/// A transfer that was opened now.
struct Opened {
    files: OpenedFiles,
    names: Vec<String>,
    seconds: f64,
}

impl Inbox {
    pub(super) fn new(
        store: Arc<LocalStore>,
        received: Arc<Received>,
        identity: &Identity,
        door: Arc<Door>,
        events: broadcast::Sender<Event>,
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
            arrivals: broadcast::channel(ARRIVALS).0,
            rules,
            options,
            history,
            reasons,
            why: WhyWaits::default(),
            early: Early::default(),
            tally: Tally::default(),
        }
    }

    pub(super) fn rules(&self) -> InboxRules {
        self.rules.clone()
    }

    /// What it has done since it was made.
    pub(super) fn counts(&self) -> InboxCounts {
        self.tally.counts()
    }

    /// Opens no more of a transfer that `by` is bringing.
    pub(super) fn cancel(&self, by: PeerId, transfer: TransferId) {
        self.early.cancel(by, transfer);
    }

    pub(super) fn arrivals(&self) -> broadcast::Receiver<Arrival> {
        self.arrivals.subscribe()
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
                Some(Ok(Event::Published { id, sender, .. })) => queue.arrived((sender, id)),
                Some(Ok(Event::State { .. } | Event::Notice { .. })) => {}
                // Too many at once to be told one by one.
                Some(Err(RecvError::Lagged(_))) => self.list(&mut queue, Listed::Later).await,
                Some(Err(RecvError::Closed)) => return std::future::pending().await,
                None => self.open_next(&mut queue).await,
            }
        }
    }

    pub(super) fn remove_stale(&self, now: SystemTime) {
        if let Err(error) = self.received.remove_stale(now) {
            tracing::warn!(error = error.kind(), "stale receives stay");
        }
    }

    async fn finish_interrupted(&self) {
        let received = self.received.clone();
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
            let page = match self.store.list_manifests(page, Some(self.reader.me)).await {
                Ok(page) => page,
                Err(error) => return tracing::error!(%error, "the inbox cannot be listed"),
            };
            after = page.items.last().map(|info| info.id);
            for info in page.items {
                let state = self.store.manifest_state(info.id).await;
                match state.map(|state| state.state) {
                    Ok(TransferState::Stored) => queue.arrived((info.sender, info.id)),
                    Ok(TransferState::Waiting) if listed == Listed::Anew => {
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
        match self.open(transfer.1).await {
            Tried::Settled => queue.settled(transfer),
            Tried::Failed => queue.failed(transfer, Instant::now()),
        }
    }

    /// Opens a transfer if it is for us, wanted and not yet settled, and remembers what became of it.
    ///
    /// Boxed, because the compiler cannot see that the loop around it is `Send`.
    fn open(&self, id: ManifestId) -> BoxFuture<'_, Tried> {
        Box::pin(async move {
            let (manifest, before) = match self.unsettled(id).await {
                Ok(Some(found)) => found,
                Ok(None) => return Tried::Settled,
                Err(error) => {
                    tracing::error!(
                        manifest = id.short(),
                        error = error.kind(),
                        "cannot be looked at"
                    );
                    return Tried::Failed;
                }
            };
            let sender_name = manifest
                .verify(&*self.reader.verifier, Timestamp::now())
                .ok();
            let (state, outcome) = match self.look(&manifest, sender_name.as_deref()).await {
                Ok(Looked::Nothing) => return Tried::Settled,
                Ok(Looked::Opened(opened)) => {
                    self.remember_opened(&manifest, sender_name.as_deref(), &opened);
                    (TransferState::Opened, Outcome::Opened(opened.files))
                }
                Ok(Looked::Waits(why)) => (TransferState::Waiting, Outcome::Waiting(why)),
                Err(error) => {
                    self.tally.failed(error.kind());
                    failed(&manifest, sender_name.as_deref(), &error)
                }
            };
            // Before the state says that it waits.
            if let Outcome::Waiting(why) = &outcome {
                self.why.note(id, manifest.payload().sender, why);
            } else {
                self.why.forget(id);
            }
            let tried = match &outcome {
                Outcome::Waiting(Waiting::Failed { reason, .. }) => {
                    self.note_reason(id, reason);
                    Tried::Failed
                }
                _ => {
                    self.reasons.forget(id);
                    Tried::Settled
                }
            };
            // A transfer that waits is told once, not at every try.
            if state == before {
                return tried;
            }
            self.tally.settled(&outcome);
            self.settle(id, state).await;
            self.remember_not_opened(&manifest, sender_name.as_deref(), &outcome);
            let payload = manifest.payload();
            let arrival = Arrival {
                id,
                sender: payload.sender,
                sender_name,
                size: payload.size,
                outcome,
            };
            // Nobody listening is no error.
            let _ = self.arrivals.send(arrival);
            tried
        })
    }

    /// A transfer that the person or the inbox has still to decide about, with its state.
    async fn unsettled(
        &self,
        id: ManifestId,
    ) -> Result<Option<(SignedManifest, TransferState)>, TransferError> {
        let manifest = SignedManifest::parse(self.store.get_manifest(id).await?)?;
        let before = self.store.manifest_state(id).await?.state;
        let settled = !matches!(before, TransferState::Stored | TransferState::Waiting);
        let was_opened = self.was_opened(manifest.payload().sender, &manifest);
        Ok((!settled && !was_opened).then_some((manifest, before)))
    }

    async fn look(
        &self,
        manifest: &SignedManifest,
        sender: Option<&str>,
    ) -> Result<Looked, TransferError> {
        let payload = manifest.payload();
        if payload.sender == self.reader.me {
            return Ok(Looked::Nothing);
        }
        if !payload.recipients().any(|peer| peer == self.reader.me) {
            // Carried for somebody else, unless only a password says for whom.
            let locked =
                payload.has_password() && payload.recipients().all(|peer| peer == payload.sender);
            let waits = || Looked::Waits(Waiting::Locked);
            return Ok(if locked { waits() } else { Looked::Nothing });
        }
        let waits = match self.waits(payload.sender, sender, Some(payload.size)) {
            None => table::waits(&self.store, &payload.table).await?,
            why => why,
        };
        if let Some(why) = waits {
            tracing::info!(
                transfer = payload.transfer_id.short(),
                manifest = manifest.id().short(),
                sender = %said::who(sender, payload.sender),
                bytes = payload.size,
                why = why.kind(),
                "not opened unasked"
            );
            return Ok(Looked::Waits(why));
        }
        self.receive(manifest.clone(), sender).await
    }

    /// Why a transfer of `sender`, whose certificate says `certified` if it is verified, is not opened unasked, if so.
    fn waits(&self, sender: PeerId, certified: Option<&str>, size: Option<u64>) -> Option<Waiting> {
        let policy = self.rules.now();
        let names = match certified {
            Some(name) if !policy.senders.is_empty() => names_of(&self.book, sender, name),
            _ => Ok(Vec::new()),
        };
        match names {
            Ok(names) => policy.waits(names.iter().map(String::as_str), size),
            // Which rule counts is not known until the book can be read.
            Err(error) => Some(Waiting::Failed {
                code: WaitReason::CannotOpen,
                reason: error.to_string(),
            }),
        }
    }

    async fn receive(
        &self,
        manifest: SignedManifest,
        sender: Option<&str>,
    ) -> Result<Looked, TransferError> {
        let (start, id) = (std::time::Instant::now(), manifest.id());
        let payload = manifest.payload();
        let begun = self.early.take(payload.sender, payload.transfer_id).await;
        // What was begun is charged until it is written.
        let (begun, _charge) = begun.map(|begun| (begun.arriving, begun.charge)).unzip();
        let transfer = Arc::new(OpenedTransfer::open(&*self.store, manifest, &self.reader).await?);
        let (root, options) = (&self.received, self.receiving());
        let written =
            transfer::receive_rest(&*self.store, &transfer, root, begun, options, &Silent).await?;
        let seconds = start.elapsed().as_secs_f64();
        let (short, bytes) = (id.short(), written.size);
        let payload = transfer.manifest.payload();
        tracing::info!(
            transfer = payload.transfer_id.short(),
            manifest = &*short,
            sender = %said::who(sender, payload.sender),
            bytes,
            seconds,
            rate = server::per_second(bytes, start.elapsed()),
            "opened"
        );
        said::warn_of_changes(&short, &written);
        let message = transfer::message(&transfer, &written).await;
        let names = transfer.listing.top_names().map(str::to_owned).collect();
        let files = OpenedFiles::of(written, message);
        let opened = Opened {
            files,
            names,
            seconds,
        };
        Ok(Looked::Opened(opened))
    }

    /// A copy of a transfer id under another manifest must not deliver twice.
    fn was_opened(&self, sender: PeerId, manifest: &SignedManifest) -> bool {
        let receipt = self
            .store
            .receipt_of(sender, manifest.payload().transfer_id);
        receipt.is_some_and(|receipt| receipt.state == TransferState::Opened)
    }

    async fn settle(&self, id: ManifestId, state: TransferState) {
        let keep = self.options.borrow().inbox.keep_opened;
        let store = self.store.clone();
        let settled = tokio::task::spawn_blocking(move || {
            if state == TransferState::Opened && keep.is_zero() {
                store.let_go(id, state)
            } else {
                store.record_state(id, state)
            }
        });
        if let Ok(Err(error)) = settled.await {
            return tracing::error!(manifest = id.short(), %error, "the state of a transfer is not recorded");
        }
        let state = StateAt::new(state, Timestamp::now());
        // Nobody listening is no error.
        let _ = self.events.send(Event::State { id, state });
    }
}

/// The next event; `None` if a transfer of `queue` is due before.
async fn next_event(
    events: &mut broadcast::Receiver<Event>,
    queue: &Queue,
) -> Option<Result<Event, RecvError>> {
    match queue.due(Instant::now()) {
        // An event that is there already is taken before the time is looked at.
        Some(due) => timeout_at(due, events.recv()).await.ok(),
        None => Some(events.recv().await),
    }
}
