//! A store in memory with somebody who sees, stops or changes the chunks that pass.

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, MemoryStore, OfferAnswer, Page, PageRequest, PartOf, Put,
        PutManifest, StateAt, Store, StoreError, StoreFuture,
    },
};

/// Who stands at the store.
pub trait Tap: Send + Sync {
    /// A chunk is about to be put.
    fn put(&self, id: ChunkId, sealed: &Bytes) -> Result<(), StoreError>;

    /// A chunk is about to be read. Gives what the reader gets instead, if not the chunk.
    fn get(&self, _: ChunkId) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }
}

pub struct Tapped<T> {
    pub inner: MemoryStore,
    pub tap: T,
}

impl<T> Tapped<T> {
    pub fn new(tap: T) -> Self {
        Self {
            inner: MemoryStore::default(),
            tap,
        }
    }
}

impl<T: Tap> Store for Tapped<T> {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        self.inner.put_offer(offer)
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            self.tap.put(id, &sealed)?;
            self.inner.put_chunk(id, sealed, part_of).await
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            if let Some(instead) = self.tap.get(id)? {
                return Ok(instead);
            }
            self.inner.get_chunk(id).await
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        self.inner.head_chunk(id)
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        self.inner.missing_chunks(ids)
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        self.inner.list_chunks(page)
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        self.inner.put_manifest(manifest)
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        self.inner.get_manifest(id)
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        self.inner.manifest_state(id)
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        self.inner.list_manifests(page, reader)
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        self.inner.delete_manifest(id)
    }
}
