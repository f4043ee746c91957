//! Undo: a transfer is deleted here, or what this peer has sent is recalled from a peer that stores it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Error, Event, Session, TransferRow, TransferSelector, all_with_states, row,
    serving::through_serving,
    store::{self, blocking},
};
use crate::{
    client::PeerClient,
    id::{ManifestId, TransferId},
    manifest::Timestamp,
    peer::{Direction, Reasons},
    store::{Freed, ManifestInfo, Store, StoreError, TransferState},
    transfer::TransferError,
    wire::DeleteQuestion,
};

/// Which transfers go, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// The transfers: ids of manifests or transfers, their beginnings, or names at their top.
    pub which: Vec<String>,
    /// The peer that stores them: there only what this peer has sealed is deleted. Without one the own store.
    pub at: Option<String>,
    /// Whether nothing is deleted: it is only said what would be.
    pub dry_run: bool,
}

impl DeleteRequest {
    /// Of the own store.
    pub fn of<T: Into<String>>(which: impl IntoIterator<Item = T>) -> Self {
        Self {
            which: which.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }
}

/// A transfer that is deleted, or would be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeletedTransfer {
    /// What it is.
    #[serde(flatten)]
    pub row: TransferRow,
    /// The peer that stored it; none for the own store.
    pub at: Option<String>,
    /// When it was opened there: the files that came of it stay.
    pub opened: Option<Timestamp>,
    /// What it leaves in the own store. Of another's only its owner knows that.
    pub freed: Option<Freed>,
}

/// The store that transfers go from.
struct Origin {
    store: Arc<dyn Store>,
    /// `None` for the own one.
    peer: Option<(String, PeerClient)>,
}

impl Origin {
    fn name(&self) -> Option<String> {
        self.peer.as_ref().map(|(name, _)| name.clone())
    }
}

impl Session {
    /// Deletes transfers from the own store, through the peer that serves it if one does; or recalls from a peer what this one has
    /// sent. All are looked for first: if one is not there, nothing is deleted. Each is told as [`Event::Deleted`], or as
    /// [`Event::WouldDelete`].
    ///
    /// # Errors
    /// Fails if something named is not there, is another's, or is meant by a name that several have; or if a store does not answer.
    pub async fn delete(&self, request: &DeleteRequest) -> Result<Vec<DeletedTransfer>, Error> {
        let (from, found) = self.to_delete(request).await?;
        let mut deleted = Vec::new();
        for mut one in found {
            one.freed = self.delete_one(&from, one.row.info.id, request).await?;
            self.tell(match request.dry_run {
                true => Event::WouldDelete(Box::new(one.clone())),
                false => Event::Deleted(Box::new(one.clone())),
            });
            deleted.push(one);
        }
        Ok(deleted)
    }

    /// What a request would delete, and would leave. Tells nothing of it.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn deletable(&self, request: &DeleteRequest) -> Result<Vec<DeletedTransfer>, Error> {
        let (from, mut found) = self.to_delete(request).await?;
        let only_look = DeleteRequest {
            dry_run: true,
            ..request.clone()
        };
        for one in &mut found {
            one.freed = self.delete_one(&from, one.row.info.id, &only_look).await?;
        }
        Ok(found)
    }

    async fn to_delete(
        &self,
        request: &DeleteRequest,
    ) -> Result<(Origin, Vec<DeletedTransfer>), Error> {
        let from = match &request.at {
            Some(at) => {
                let connected = self.connect(at).await?;
                let store = Arc::new(connected.client.clone().for_looking());
                let peer = Some((connected.peer.shown(), connected.client));
                Origin { store, peer }
            }
            None => Origin {
                store: self.store_to_read(None).await?,
                peer: None,
            },
        };
        let infos = all_with_states(self, &*from.store, None).await?;
        let mut meant = Vec::new();
        for text in &request.which {
            let info = self.one_to_delete(&from, &infos, text).await?;
            if !meant.iter().any(|known: &ManifestInfo| known.id == info.id) {
                meant.push(info.clone());
            }
        }
        let mut found = Vec::new();
        for info in meant {
            let at = info.state;
            let opened = at.filter(|at| at.state == TransferState::Opened);
            let Some(row) = row(self, &*from.store, None, info).await? else {
                continue;
            };
            found.push(DeletedTransfer {
                row,
                at: from.name(),
                opened: opened.map(|at| at.since),
                freed: None,
            });
        }
        Ok((from, found))
    }

    /// The one transfer that `text` means: at a peer one of ours.
    async fn one_to_delete<'a>(
        &self,
        from: &Origin,
        infos: &'a [ManifestInfo],
        text: &str,
    ) -> Result<&'a ManifestInfo, Error> {
        let me = self.peer_id();
        let is_here = from.peer.is_none();
        let candidates = infos.iter().filter(|info| is_here || info.sender == me);
        let candidates: Vec<_> = candidates.collect();
        let which = TransferSelector::new(text);
        // One that was granted has two manifests, of which one may go.
        let found = self.meant(&*from.store, &candidates, text).await?;
        match self.only(&*from.store, &found, text).await? {
            Some(info) => Ok(info),
            None if !which.matching(infos).is_empty() => {
                Err(TransferError::NotOurs { sender: me }.into())
            }
            None => Err(self.nothing_to_delete(from, text).await),
        }
    }

    /// Why `text` means nothing that could be deleted. What was sent, and is not kept any more where it was opened, is known.
    async fn nothing_to_delete(&self, from: &Origin, text: &str) -> Error {
        if let Some((peer, client)) = &from.peer {
            for id in self.sent_before(text) {
                if let Ok(at) = client.manifest_state(id).await
                    && at.state == TransferState::Opened
                {
                    return Error::OpenedThere {
                        peer: peer.clone(),
                        since: at.since,
                    };
                }
            }
        }
        Error::NothingToDelete {
            at: from.name(),
            text: text.to_owned(),
        }
    }

    /// The manifests of what was sent under this id or name, the newest first.
    pub(super) fn sent_before(&self, text: &str) -> Vec<ManifestId> {
        let entries = self.history().unwrap_or_default();
        let sent = entries.into_iter().rev().filter_map(|entry| {
            let is_meant = super::which::begins(entry.transfer, text)
                || entry
                    .manifest
                    .is_some_and(|id| super::which::begins(id, text))
                || entry.names.iter().any(|name| name == text);
            let is_meant = is_meant && entry.direction == Direction::Sent;
            entry.manifest.filter(|_| is_meant)
        });
        sent.take(MOST_ASKED).collect()
    }

    /// The transfer that was sent under a manifest whose id begins so.
    pub(super) fn transfer_sent_as(&self, text: &str) -> Option<TransferId> {
        let entries = self.history().unwrap_or_default();
        let mut sent = entries.into_iter().rev().filter(|entry| {
            let begins = |id| super::which::begins(id, text);
            entry.direction == Direction::Sent && entry.manifest.is_some_and(begins)
        });
        sent.next().map(|entry| entry.transfer)
    }

    async fn delete_one(
        &self,
        from: &Origin,
        manifest: ManifestId,
        request: &DeleteRequest,
    ) -> Result<Option<Freed>, Error> {
        let dry_run = request.dry_run;
        if let Some((_, client)) = &from.peer {
            if !dry_run {
                gone_is_deleted(client.delete_manifest(manifest).await)?;
            }
            return Ok(None);
        }
        let question = &DeleteQuestion { manifest, dry_run };
        let ask = |peer: PeerClient| async move { peer.delete_own(question).await };
        let here = || async {
            let store = store::open(&self.home, &self.config)?;
            let freed = blocking(move || store.delete(manifest, dry_run)).await?;
            if !dry_run {
                Reasons::new(&self.home.chunks()).forget(manifest);
            }
            Ok(freed)
        };
        match through_serving(|| self.serving(), ask, here).await {
            Ok(freed) => Ok(Some(freed)),
            Err(Error::Store(StoreError::NotFound { .. })) => Ok(Some(Freed::default())),
            Err(error) => Err(error),
        }
    }
}

/// Manifests of the history that a peer is asked for.
const MOST_ASKED: usize = 8;

/// What went since it was found is deleted.
fn gone_is_deleted(deleted: Result<(), StoreError>) -> Result<(), StoreError> {
    match deleted {
        Err(StoreError::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}
