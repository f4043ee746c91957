//! What becomes of a transfer: it is opened, waits for a yes, or is refused, and that is remembered.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{
    DecidedBy, Inbox, News, OpenedFiles, Outcome, Waiting,
    gone::certified,
    policy::names_of,
    said::{self, About, Told},
    table,
    why::Waits,
};
use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::{SignedManifest, Timestamp},
    server,
    store::{StateAt, Store as _, StoreError, TransferState, WaitReason},
    transfer::{self, OpenedTransfer, Reader, Silent, TransferError},
    wire::ServerEvent,
};

/// Whether a transfer is to be tried again.
pub(super) enum Tried {
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
pub(super) struct Opened {
    pub(super) files: OpenedFiles,
    pub(super) told: Told,
}

impl Inbox {
    /// Opens a transfer if it is for us, wanted and not yet settled, and remembers what became of it.
    ///
    /// Boxed, because the compiler cannot see that the loop around it is `Send`.
    pub(super) fn open(&self, (sender, id): (PeerId, ManifestId)) -> BoxFuture<'_, Tried> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            let (manifest, before) = match self.unsettled(id).await {
                Ok(Some(found)) => found,
                Ok(None) => return Tried::Settled,
                // Its sender has deleted it meanwhile.
                Err(TransferError::Store(StoreError::NotFound { .. })) => {
                    tracing::debug!(manifest = id.short(), "it is not there any more");
                    return Tried::Settled;
                }
                Err(error) => {
                    self.log_not_read(sender, id, &error).await;
                    return Tried::Failed;
                }
            };
            let over = manifest.payload().expires;
            if over.is_some_and(|over| over <= Timestamp::now()) {
                // It is told when it is let go, which is soon.
                return Tried::Settled;
            }
            let sender = self.certified(&manifest);
            let about = About {
                manifest: &manifest,
                sender: sender.as_deref(),
                decided: DecidedBy::Inbox,
            };
            let (state, outcome) = match self.look(&about).await {
                Ok(Looked::Nothing) => return Tried::Settled,
                Ok(Looked::Opened(opened)) => {
                    self.conclude_opened(&about, opened).await;
                    return Tried::Settled;
                }
                Ok(Looked::Waits(why)) => (TransferState::Waiting, Outcome::Waiting(why)),
                Err(error) => self.failed(&about, &error),
            };
            self.conclude_not_opened(&about, (before, state), outcome)
                .await
        })
    }

    /// The name in the certificate of who signed, if the circle vouches for it.
    pub(super) fn certified(&self, manifest: &SignedManifest) -> Option<String> {
        certified(manifest, &self.reader)
    }

    /// The files are there: that is remembered before the state says so, which others wait for.
    pub(super) async fn conclude_opened(&self, about: &About<'_>, opened: Opened) -> OpenedFiles {
        let (id, files) = (about.manifest.id(), opened.files.clone());
        self.why.forget(id);
        self.reasons.forget(id);
        let outcome = Outcome::Opened(opened.files);
        let news = self.remember_outcome(about, &outcome, Some(opened.told));
        self.tally.settled(&outcome);
        self.settle(id, TransferState::Opened).await;
        self.tell(news);
        files
    }

    async fn conclude_not_opened(
        &self,
        about: &About<'_>,
        (before, state): (TransferState, TransferState),
        outcome: Outcome,
    ) -> Tried {
        let id = about.manifest.id();
        // Before the state says that it waits.
        if let Outcome::Waiting(why) = &outcome {
            self.why.note(id, Waits::new(about, why));
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
        if state == TransferState::Refused {
            let payload = about.manifest.payload();
            self.drop_staged(payload.sender, payload.transfer_id);
        }
        // A transfer that waits is told once, not at every try.
        if state != before {
            self.tally.settled(&outcome);
            self.settle(id, state).await;
            self.tell(self.remember_outcome(about, &outcome, None));
        }
        tried
    }

    pub(super) fn tell(&self, news: News) {
        // Nobody listening is no error.
        let _ = self.news.send(news);
    }

    /// A transfer that the person or the inbox has still to decide about, with its state.
    async fn unsettled(
        &self,
        id: ManifestId,
    ) -> Result<Option<(SignedManifest, TransferState)>, TransferError> {
        let manifest = SignedManifest::parse(self.store.get_manifest(id).await?)?;
        let before = self.store.manifest_state(id).await?.state;
        let settled = !before.is_undecided();
        let was_opened = self.store.was_opened(&manifest);
        Ok((!settled && !was_opened).then_some((manifest, before)))
    }

    async fn look(&self, about: &About<'_>) -> Result<Looked, TransferError> {
        let (manifest, sender) = (about.manifest, about.sender);
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
            self.log_waits(about, &why);
            return Ok(Looked::Waits(why));
        }
        let opened = self.receive(about, &self.reader).await?;
        Ok(Looked::Opened(opened))
    }

    /// Why a transfer of `sender`, whose certificate says `certified` if it is verified, is not opened unasked, if so.
    pub(super) fn waits(
        &self,
        sender: PeerId,
        certified: Option<&str>,
        size: Option<u64>,
    ) -> Option<Waiting> {
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

    pub(super) async fn receive(
        &self,
        about: &About<'_>,
        reader: &Reader,
    ) -> Result<Opened, TransferError> {
        // What cannot be recorded as opened would be opened again.
        self.store.check_writable()?;
        let (manifest, sender) = (about.manifest.clone(), about.sender);
        let (start, id) = (std::time::Instant::now(), manifest.id());
        let payload = manifest.payload();
        let begun = self.early.take(payload.sender, payload.transfer_id).await;
        // What was begun is charged until it is written, and ends where it was begun.
        let (begun, root, _charge) = match begun {
            Some(begun) => (Some(begun.arriving), begun.received, Some(begun.charge)),
            None => (None, self.received.now(), None),
        };
        let transfer = match OpenedTransfer::open(&*self.store, manifest, reader).await {
            Ok(transfer) => Arc::new(transfer),
            Err(error) => {
                if let Some(begun) = begun {
                    begun.discard().await;
                }
                return Err(error);
            }
        };
        let options = self.receiving();
        let written =
            transfer::receive_rest(&*self.store, &transfer, &root, begun, options, &Silent).await?;
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
        let told = Told {
            names: transfer.listing.top_names().map(str::to_owned).collect(),
            blake3: transfer.listing.top_sums(),
            seconds,
        };
        let files = OpenedFiles::of(written, message);
        Ok(Opened { files, told })
    }

    async fn settle(&self, id: ManifestId, state: TransferState) {
        if let Err(error) = self.record(id, state).await {
            tracing::error!(manifest = id.short(), %error, "the state of a transfer is not recorded");
        }
    }

    /// Records what became of a transfer, and tells those who wait for it.
    pub(super) async fn record(
        &self,
        id: ManifestId,
        state: TransferState,
    ) -> Result<(), StoreError> {
        let (keep, me) = (self.options.borrow().inbox.keep, self.reader.me);
        let store = self.store.clone();
        let recorded = tokio::task::spawn_blocking(move || match state {
            TransferState::Opened => store.record_opened(id, keep, me),
            _ => store.record_state(id, state),
        });
        // It ends early only if the runtime does.
        if let Ok(recorded) = recorded.await {
            recorded?;
        }
        let state = StateAt::new(state, Timestamp::now());
        // Nobody listening is no error.
        let _ = self.events.send(ServerEvent::State { id, state });
        Ok(())
    }
}
