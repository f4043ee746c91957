//! The store as a peer sees it whose role does not let it see everything. For such a peer, what its role hides is not
//! there: every answer is the store's own answer for what it does not have. The store is asked about chunks and manifests
//! that the peer sees, and about nothing else; whether it would take something is asked of it without naming a chunk.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::view::Views;
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
        Store, StoreError, StoreFuture, missing_chunks_error, no_chunk, no_manifest,
    },
    trust::Role,
    wire::Code,
};

/// Who looks, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Looker {
    pub(super) peer: PeerId,
    pub(super) role: Role,
}

impl Looker {
    /// Whether the transfer that `info` describes is for its eyes.
    pub(super) fn sees(self, info: &ManifestInfo) -> bool {
        match self.role {
            Role::Member => true,
            Role::Sender => info.sender == self.peer,
            Role::Reader => info.recipients.contains(&self.peer),
            Role::Monitor | Role::None => false,
        }
    }

    /// Refuses to take what `sender` signed from somebody who may not bring it.
    pub(super) fn may_bring(self, sender: PeerId) -> Result<(), StoreError> {
        self.may_put()?;
        match self.role.may_bring(self.peer, sender) {
            true => Ok(()),
            false => Err(refused(
                "your role here is sender: bring only transfers that you have signed",
            )),
        }
    }

    /// Refuses to take anything from somebody who may only read.
    pub(super) fn may_put(self) -> Result<(), StoreError> {
        match self.role.may_put() {
            true => Ok(()),
            false => Err(refused(&format!(
                "your role here is {}, which puts nothing; ask the owner",
                self.role
            ))),
        }
    }
}

fn refused(detail: &str) -> StoreError {
    StoreError::Refused {
        code: Code::NotAllowed.into(),
        detail: detail.to_owned(),
        by: None,
    }
}

/// `store`, as `looker` sees it.
pub(super) struct Narrow {
    pub(super) store: Arc<dyn Store>,
    pub(super) views: Arc<Views>,
    pub(super) looker: Looker,
}

impl Narrow {
    async fn sees_chunk(&self, id: ChunkId) -> Result<bool, StoreError> {
        if self.views.has_put(self.looker.peer, id.as_bytes()) {
            return Ok(true);
        }
        let view = self.views.of(&*self.store, self.looker).await?;
        Ok(view.has_chunk(id))
    }

    async fn sees_manifest(&self, id: ManifestId) -> Result<bool, StoreError> {
        let view = self.views.of(&*self.store, self.looker).await?;
        Ok(view.has_manifest(id))
    }

    /// Those of `ids` that are to be seen.
    async fn visible(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        let view = self.views.of(&*self.store, self.looker).await?;
        let peer = self.looker.peer;
        let seen = |id: &ChunkId| view.has_chunk(*id) || self.views.has_put(peer, id.as_bytes());
        Ok(ids.iter().copied().filter(seen).collect())
    }

    async fn missing(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        let visible = self.visible(ids).await?;
        let gone: HashSet<_> = self
            .store
            .missing_chunks(&visible)
            .await?
            .into_iter()
            .collect();
        let there: HashSet<_> = visible
            .into_iter()
            .filter(|id| !gone.contains(id))
            .collect();
        Ok(ids
            .iter()
            .copied()
            .filter(|id| !there.contains(id))
            .collect())
    }
}

impl Store for Narrow {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            self.looker.may_bring(offer.payload().sender)?;
            self.store.put_offer(offer).await
        })
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        self.bring_chunk(id, sealed, part_of, self.looker.peer)
    }

    fn bring_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
        by: PeerId,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            self.looker.may_put()?;
            let length = sealed.len() as u64;
            let mut put = self.store.bring_chunk(id, sealed, part_of, by).await?;
            // That somebody else has put it before is not for it to know.
            if put == Put::AlreadyThere && !self.sees_chunk(id).await? {
                let new = self.store.check_new_chunk(length, part_of, Some(by));
                new.await?;
                put = Put::Stored;
            }
            self.views.note_put(self.looker.peer, id.as_bytes());
            Ok(put)
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            match self.sees_chunk(id).await? {
                true => self.store.get_chunk(id).await,
                false => Err(no_chunk(id)),
            }
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async move {
            match self.sees_chunk(id).await? {
                true => self.store.head_chunk(id).await,
                false => Ok(None),
            }
        })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        Box::pin(self.missing(ids))
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        Box::pin(async move {
            let view = self.views.of(&*self.store, self.looker).await?;
            let own = self.views.puts_of(self.looker.peer);
            let mut ids = view.chunks_after(page.after, &own);
            let mut items = Vec::new();
            while items.len() < page.limit {
                let Some(id) = ids.next() else { break };
                if let Some(length) = self.store.head_chunk(id).await? {
                    items.push(ChunkInfo { id, length });
                }
            }
            let more = ids.next().is_some();
            Ok(Page { items, more })
        })
    }

    /// Whoever could publish chunks that he cannot see would see them afterwards: such chunks are missing.
    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async move {
            self.looker.may_bring(manifest.payload().sender)?;
            let ids: Vec<_> = manifest.payload().all_chunks().collect();
            let missing = self.missing(&ids).await?;
            let put = if missing.is_empty() {
                self.store.put_manifest(manifest).await?
            } else {
                let known = self.store.check_manifest(manifest).await?;
                known.ok_or_else(|| missing_chunks_error(missing))?
            };
            self.views
                .note_put(self.looker.peer, manifest.id().as_bytes());
            Ok(put)
        })
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            match self.sees_manifest(id).await? {
                true => self.store.get_manifest(id).await,
                false => Err(no_manifest(id)),
            }
        })
    }

    /// Also of a transfer that it has published and that was let go since: its sender waits for this.
    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        Box::pin(async move {
            let own = self.views.has_put(self.looker.peer, id.as_bytes());
            match own || self.sees_manifest(id).await? {
                true => self.store.manifest_state(id).await,
                false => Err(no_manifest(id)),
            }
        })
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        Box::pin(async move {
            let view = self.views.of(&*self.store, self.looker).await?;
            Ok(view.page(page, reader))
        })
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            match self.sees_manifest(id).await? {
                true => self.store.delete_manifest(id).await,
                false => Err(no_manifest(id)),
            }
        })
    }

    fn free_space(&self) -> StoreFuture<'_, Option<u64>> {
        self.store.free_space()
    }
}
