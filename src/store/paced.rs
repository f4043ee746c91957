//! A store behind a limit: so many bytes a second go into it or come out of it.

use std::{
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::{
    ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
    Store, StoreFuture,
};
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
};

/// Bytes that are let through at once: chunks wait in pieces of this, so that the rate is smooth.
const PIECE: u32 = 64 << 10;

/// How many bytes a second may pass. Clones share it.
#[derive(Debug, Clone)]
pub struct Pace {
    limiter: Arc<DefaultDirectRateLimiter>,
    piece: u32,
}

impl Pace {
    /// `limit` bytes a second; above 4 GiB there is no telling the difference.
    pub fn new(limit: NonZeroU64) -> Self {
        let limit = NonZeroU32::try_from(limit).unwrap_or(NonZeroU32::MAX);
        let piece = limit.min(NonZeroU32::new(PIECE).unwrap_or(NonZeroU32::MIN));
        let limiter = RateLimiter::direct(Quota::per_second(limit).allow_burst(piece));
        Self {
            limiter: Arc::new(limiter),
            piece: piece.get(),
        }
    }

    /// Ready when `bytes` may pass.
    async fn wait(&self, bytes: usize) {
        let mut left = u32::try_from(bytes).unwrap_or(u32::MAX);
        while let Some(piece) = NonZeroU32::new(left.min(self.piece)) {
            // A piece is never larger than the burst.
            let _ = self.limiter.until_n_ready(piece).await;
            left -= piece.get();
        }
    }
}

/// A store whose chunks pass at a [`Pace`].
pub struct PacedStore {
    store: Arc<dyn Store>,
    pace: Pace,
    near: Option<Arc<dyn Store>>,
}

impl PacedStore {
    /// `store`, at `pace`.
    pub fn new(store: Arc<dyn Store>, pace: Pace) -> Self {
        let near = None;
        Self { store, pace, near }
    }

    /// Takes the chunks that are in `near` from there, and at once: a pace is for a network.
    pub fn with_near(mut self, near: Arc<dyn Store>) -> Self {
        self.near = Some(near);
        self
    }
}

impl Store for PacedStore {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        self.store.put_offer(offer)
    }

    fn bring_offer<'a>(
        &'a self,
        offer: &'a SignedOffer,
        by: PeerId,
    ) -> StoreFuture<'a, OfferAnswer> {
        self.store.bring_offer(offer, by)
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            self.pace.wait(sealed.len()).await;
            self.store.put_chunk(id, sealed, part_of).await
        })
    }

    fn bring_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
        by: PeerId,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            self.pace.wait(sealed.len()).await;
            self.store.bring_chunk(id, sealed, part_of, by).await
        })
    }

    fn check_new_chunk(
        &self,
        length: u64,
        part_of: Option<PartOf>,
        by: Option<PeerId>,
    ) -> StoreFuture<'_, ()> {
        self.store.check_new_chunk(length, part_of, by)
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            if let Some(near) = &self.near
                && let Ok(sealed) = near.get_chunk(id).await
            {
                return Ok(sealed);
            }
            let sealed = self.store.get_chunk(id).await?;
            // Its length is known only now: the next one waits for this one.
            self.pace.wait(sealed.len()).await;
            Ok(sealed)
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        self.store.head_chunk(id)
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        self.store.missing_chunks(ids)
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        self.store.list_chunks(page)
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        self.store.put_manifest(manifest)
    }

    fn bring_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
        by: PeerId,
    ) -> StoreFuture<'a, PutManifest> {
        self.store.bring_manifest(manifest, by)
    }

    fn check_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
    ) -> StoreFuture<'a, Option<PutManifest>> {
        self.store.check_manifest(manifest)
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        self.store.get_manifest(id)
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        self.store.manifest_state(id)
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        self.store.list_manifests(page, reader)
    }

    fn list_with_states(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        self.store.list_with_states(page, reader)
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        self.store.delete_manifest(id)
    }

    fn free_space(&self) -> StoreFuture<'_, Option<u64>> {
        self.store.free_space()
    }

    fn waited_for(&self) -> Option<Duration> {
        self.store.waited_for()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn two_seconds_of_bytes_take_about_two_seconds() {
        let pace = Pace::new(NonZeroU64::new(1 << 20).unwrap());
        let start = Instant::now();
        pace.wait(2 << 20).await;
        let took = start.elapsed();
        assert!(took > Duration::from_millis(1700), "{took:?}");
    }

    #[tokio::test]
    async fn what_is_near_comes_at_once() {
        let sealed = Bytes::from(vec![7; 1 << 20]);
        let id = ChunkId::of(&sealed);
        let near = Arc::new(crate::store::MemoryStore::default());
        near.put_chunk(id, sealed, None).await.unwrap();
        let pace = Pace::new(NonZeroU64::MIN);
        let far = Arc::new(crate::store::MemoryStore::default());
        let paced = PacedStore::new(far, pace).with_near(near);
        // It would take eleven days.
        assert_eq!(paced.get_chunk(id).await.unwrap().len(), 1 << 20);
    }

    #[tokio::test]
    async fn a_limit_below_a_piece_and_one_above_all_counts_let_through() {
        Pace::new(NonZeroU64::new(100).unwrap()).wait(120).await;
        Pace::new(NonZeroU64::MAX).wait(1 << 20).await;
    }
}
