//! What is kept of sends, as a store that is read: it has their manifests, tables and sums, and of their content nothing.

use bytes::Bytes;

use super::kept::KeptSends;
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest,
        ReadOnly, StateAt, Store, StoreError, StoreFuture, TransferState, no_chunk, no_manifest,
        take_page,
    },
};

fn answer<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(answer))
}

fn read_only<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    answer(Err(StoreError::ReadOnly(ReadOnly::OpenedToRead)))
}

impl KeptSends {
    fn chunk(&self, id: ChunkId) -> Option<&Bytes> {
        let mut sealed = self.sends.iter().flat_map(|kept| &kept.sealed);
        sealed
            .find(|(known, _)| *known == id)
            .map(|(_, bytes)| bytes)
    }

    fn manifest(&self, id: ManifestId) -> Result<&SignedManifest, StoreError> {
        let mut manifests = self.sends.iter().map(|kept| &kept.manifest);
        let manifest = manifests.find(|manifest| manifest.id() == id);
        manifest.ok_or_else(|| no_manifest(id))
    }

    /// What is known of each, as of a list.
    pub fn infos(&self) -> Vec<ManifestInfo> {
        let manifests = self.sends.iter().map(|kept| &kept.manifest);
        manifests
            .map(|manifest| ManifestInfo::new(manifest.id(), manifest.payload()))
            .collect()
    }
}

impl Store for KeptSends {
    fn put_offer<'a>(&'a self, _: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        read_only()
    }

    fn put_chunk(&self, _: ChunkId, _: Bytes, _: Option<PartOf>) -> StoreFuture<'_, Put> {
        read_only()
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        answer(self.chunk(id).cloned().ok_or_else(|| no_chunk(id)))
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        answer(Ok(self.chunk(id).map(|bytes| bytes.len() as u64)))
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        let missing = ids.iter().filter(|id| self.chunk(**id).is_none());
        answer(Ok(missing.copied().collect()))
    }

    fn list_chunks(&self, _: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        let (items, more) = (Vec::new(), false);
        answer(Ok(Page { items, more }))
    }

    fn put_manifest<'a>(&'a self, _: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        read_only()
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        answer(
            self.manifest(id)
                .map(|manifest| manifest.envelope().clone()),
        )
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        let manifest = self.manifest(id);
        let state = |m: &SignedManifest| StateAt::new(TransferState::Stored, m.payload().created);
        answer(manifest.map(state))
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        let mut infos = self.infos();
        infos.retain(|info| reader.is_none_or(|reader| info.is_for(reader)));
        infos.sort_by_key(|info| info.id);
        let rest = infos
            .into_iter()
            .filter(|info| page.after.is_none_or(|after| info.id > after));
        answer(Ok(take_page(rest, page.limit)))
    }

    fn delete_manifest(&self, _: ManifestId) -> StoreFuture<'_, ()> {
        read_only()
    }
}
