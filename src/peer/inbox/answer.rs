//! What the owner says in this process about what waits: yes or no.

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{
    Inbox, OpenedFiles, Outcome,
    said::{About, Told},
};
use crate::{
    crypto::password::Password,
    id::{ManifestId, Short as _},
    manifest::SignedManifest,
    store::{ManifestInfo, PageRequest, Store as _, StoreError, TransferState, WaitReason},
    transfer::{TransferError, top_names},
    wire::DEFAULT_PAGE,
};

/// A transfer that waits for a yes or a no of the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingTransfer {
    /// What the store tells of it.
    #[serde(flatten)]
    pub info: ManifestInfo,
    /// The signer's name, if the circle knows it. Foreign text.
    pub sender_name: Option<String>,
    /// Why it waits.
    pub waits: Option<WaitReason>,
    /// Why it was not opened when that was tried, if so. May have foreign text.
    pub not_opened: Option<String>,
}

/// Why a yes or a no of the owner came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No such transfer is here, or it does not wait any more.
    #[error("{0} does not wait for an answer")]
    NotWaiting(ManifestId),
    /// It cannot be opened, and waits as before. [`TransferError::PasswordNeeded`] if only a password opens it.
    #[error(transparent)]
    Open(#[from] TransferError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The peer has ended, or ends.
    #[error("the peer has ended")]
    Ended,
}

impl Inbox {
    /// What waits, whoever brought it first by its id.
    pub(in crate::peer) async fn pending(&self) -> Result<Vec<PendingTransfer>, StoreError> {
        let (mut pending, mut after) = (Vec::new(), None);
        loop {
            let limit = DEFAULT_PAGE;
            let page = PageRequest { after, limit };
            let page = self
                .store
                .list_with_states(page, Some(self.reader.me))
                .await?;
            after = page.items.last().map(|info| info.id);
            for info in page.items {
                pending.extend(self.pending_one(info).await);
            }
            if !page.more {
                return Ok(pending);
            }
        }
    }

    /// `None` of what does not wait, or is gone since it was listed.
    async fn pending_one(&self, mut info: ManifestInfo) -> Option<PendingTransfer> {
        if info.state.take()?.state != TransferState::Waiting {
            return None;
        }
        let envelope = self.store.get_manifest(info.id).await.ok()?;
        let manifest = SignedManifest::parse(envelope).ok()?;
        Some(PendingTransfer {
            sender_name: self.certified(&manifest),
            waits: self.why.of(info.id).map(|(_, why)| why),
            not_opened: self.reasons.of(info.id),
            info,
        })
    }

    /// Opens a transfer that waits, whatever the rules say.
    ///
    /// Boxed, because the compiler cannot see that it is `Send`.
    pub(in crate::peer) fn accept(
        &self,
        id: ManifestId,
        password: Option<Password>,
    ) -> BoxFuture<'_, Result<OpenedFiles, AnswerError>> {
        Box::pin(async move {
            let _turn = self.turns.take(id).await;
            let manifest = self.waiting(id).await?;
            let sender = self.certified(&manifest);
            let about = About::by_owner(&manifest, sender.as_deref());
            let mut reader = self.reader.clone();
            reader.password = password;
            let opened = self.receive(&about, &reader).await?;
            Ok(self.conclude_opened(&about, opened).await)
        })
    }

    /// Remembers a no.
    pub(in crate::peer) async fn refuse(&self, id: ManifestId) -> Result<(), AnswerError> {
        let _turn = self.turns.take(id).await;
        let manifest = self.waiting(id).await?;
        let sender = self.certified(&manifest);
        let about = About::by_owner(&manifest, sender.as_deref());
        let names = top_names(&*self.store, &self.reader, &manifest).await;
        // Before the state says so: what is decided here is not to be taken for what another process has decided.
        self.why.forget(id);
        self.record(id, TransferState::Refused).await?;
        self.reasons.forget(id);
        self.tally.refused_by_owner();
        self.drop_staged(manifest.payload().sender, manifest.payload().transfer_id);
        let (short, by) = (id.short(), manifest.payload().sender.short());
        tracing::info!(manifest = short, sender = by, "refused by the owner");
        let reason = "refused by the owner".to_owned();
        let told = Told {
            names: names.map_or_else(Vec::new, |top| top.names),
            ..Told::default()
        };
        let news = self.remember_outcome(&about, &Outcome::Refused { reason }, Some(told));
        self.tell(news);
        Ok(())
    }

    /// A transfer for us that is not opened, nor was under another manifest.
    async fn waiting(&self, id: ManifestId) -> Result<SignedManifest, AnswerError> {
        use TransferState::{Refused, Stored, Waiting};
        let gone = |error| match error {
            StoreError::NotFound(_) => AnswerError::NotWaiting(id),
            error => error.into(),
        };
        let state = self.store.manifest_state(id).await.map_err(gone)?.state;
        let envelope = self.store.get_manifest(id).await.map_err(gone)?;
        let manifest = SignedManifest::parse(envelope).map_err(TransferError::from)?;
        let sender = manifest.payload().sender;
        // One that was refused may be wanted after all.
        let waits = matches!(state, Stored | Waiting | Refused)
            && sender != self.reader.me
            && !self.store.was_opened(&manifest);
        waits.then_some(manifest).ok_or(AnswerError::NotWaiting(id))
    }
}
