//! A store in memory that can be told to fail, to wait, or to panic.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, PeerId, TransferId},
    manifest::{SignedManifest, SignedOffer, Timestamp},
    store::{
        BadLength, ChunkInfo, ManifestInfo, Missing, OfferAnswer, Page, PageRequest, PartOf, Put,
        PutManifest, StateAt, Store, StoreError, StoreFuture, TransferState,
    },
};
use tokio::sync::Semaphore;

#[derive(Default)]
pub struct Depot {
    chunks: Mutex<BTreeMap<ChunkId, Bytes>>,
    manifests: Mutex<BTreeMap<ManifestId, SignedManifest>>,
    /// What the next call answers instead.
    pub fault: Mutex<Option<StoreError>>,
    /// Makes the next call panic.
    pub panic: Mutex<bool>,
    /// Calls wait for a permit of it.
    pub barrier: Mutex<Option<Arc<Semaphore>>>,
    /// What came with each chunk.
    pub parts: Mutex<HashMap<ChunkId, PartOf>>,
    /// Transfers that were let go.
    pub received: Mutex<Vec<TransferId>>,
    /// Chunks that calls have asked about.
    pub asked: Mutex<Vec<ChunkId>>,
    /// How many calls there were.
    pub calls: Mutex<usize>,
}

impl Depot {
    pub fn holds(&self, id: ChunkId) -> bool {
        self.chunks.lock().unwrap().contains_key(&id)
    }

    pub fn chunk_count(&self) -> usize {
        self.chunks.lock().unwrap().len()
    }

    /// Lets calls wait until permits are added.
    pub fn close(&self) -> Arc<Semaphore> {
        let barrier = Arc::new(Semaphore::new(0));
        *self.barrier.lock().unwrap() = Some(barrier.clone());
        barrier
    }

    fn note_asked(&self, ids: &[ChunkId]) {
        self.asked.lock().unwrap().extend(ids);
    }

    fn was_received(&self, id: TransferId) -> bool {
        self.received.lock().unwrap().contains(&id)
    }

    async fn enter(&self) -> Result<(), StoreError> {
        *self.calls.lock().unwrap() += 1;
        let barrier = self.barrier.lock().unwrap().clone();
        if let Some(barrier) = barrier {
            barrier.acquire().await.unwrap().forget();
        }
        if std::mem::take(&mut *self.panic.lock().unwrap()) {
            panic!("the store panics, as it was told to");
        }
        self.fault.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

fn page<K: Ord + Copy, V, T>(
    map: &BTreeMap<K, V>,
    page: PageRequest<K>,
    make: impl Fn(&K, &V) -> Option<T>,
) -> Page<T> {
    let mut items: Vec<T> = map
        .iter()
        .filter(|(k, _)| page.after.is_none_or(|a| **k > a))
        .filter_map(|(k, v)| make(k, v))
        .take(page.limit + 1)
        .collect();
    let more = items.len() > page.limit;
    items.truncate(page.limit);
    Page { items, more }
}

impl Store for Depot {
    fn check_new_chunk(&self, _: u64, _: Option<PartOf>, _: Option<PeerId>) -> StoreFuture<'_, ()> {
        let answer = match &*self.fault.lock().unwrap() {
            Some(StoreError::ReadOnly(why)) => Err(StoreError::ReadOnly(why.clone())),
            _ => Ok(()),
        };
        Box::pin(async { answer })
    }

    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            self.enter().await?;
            Ok(if self.was_received(offer.payload().transfer_id) {
                OfferAnswer::AlreadyReceived
            } else {
                OfferAnswer::Accepted
            })
        })
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            self.enter().await?;
            let (expected, actual, length) = (id, ChunkId::of(&sealed), sealed.len() as u64);
            if length < 28 {
                return Err(StoreError::ChunkLength {
                    length,
                    too: BadLength::Short,
                });
            }
            if expected != actual {
                return Err(StoreError::HashMismatch { expected, actual });
            }
            if let Some(part_of) = part_of {
                self.parts.lock().unwrap().insert(id, part_of);
            }
            let before = self.chunks.lock().unwrap().insert(id, sealed);
            Ok(if before.is_some() {
                Put::AlreadyThere
            } else {
                Put::Stored
            })
        })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            self.note_asked(&[id]);
            self.enter().await?;
            self.chunks
                .lock()
                .unwrap()
                .get(&id)
                .cloned()
                .ok_or(StoreError::NotFound(Missing::Chunk(id)))
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        self.note_asked(&[id]);
        Box::pin(async move { Ok(self.chunks.lock().unwrap().get(&id).map(|c| c.len() as u64)) })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        Box::pin(async move {
            self.note_asked(ids);
            self.enter().await?;
            Ok(ids.iter().copied().filter(|id| !self.holds(*id)).collect())
        })
    }

    fn list_chunks(&self, request: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        Box::pin(async move {
            self.enter().await?;
            let info = |id: &ChunkId, c: &Bytes| {
                Some(ChunkInfo {
                    id: *id,
                    length: c.len() as u64,
                })
            };
            Ok(page(&self.chunks.lock().unwrap(), request, info))
        })
    }

    fn check_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
    ) -> StoreFuture<'a, Option<PutManifest>> {
        Box::pin(async move {
            self.enter().await?;
            let received = self.was_received(manifest.payload().transfer_id);
            Ok(received.then_some(PutManifest::AlreadyReceived))
        })
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async move {
            self.enter().await?;
            if self.was_received(manifest.payload().transfer_id) {
                return Ok(PutManifest::AlreadyReceived);
            }
            self.note_asked(&manifest.payload().all_chunks().collect::<Vec<_>>());
            let missing: Vec<_> = manifest
                .payload()
                .all_chunks()
                .filter(|id| !self.holds(*id))
                .collect();
            if !missing.is_empty() {
                let count = missing.len();
                return Err(StoreError::MissingChunks {
                    count,
                    first: missing.into_iter().take(1000).collect(),
                });
            }
            let before = self
                .manifests
                .lock()
                .unwrap()
                .insert(manifest.id(), manifest.clone());
            Ok(if before.is_some() {
                PutManifest::AlreadyThere
            } else {
                PutManifest::Stored
            })
        })
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            self.enter().await?;
            let manifests = self.manifests.lock().unwrap();
            manifests
                .get(&id)
                .map(|m| m.envelope().clone())
                .ok_or(StoreError::NotFound(Missing::Manifest(id)))
        })
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        Box::pin(async move {
            self.enter().await?;
            let known = self.manifests.lock().unwrap().contains_key(&id);
            let since = Timestamp::from_unix_seconds(1_800_000_000);
            let state = TransferState::Stored;
            known
                .then_some(StateAt::new(state, since))
                .ok_or(StoreError::NotFound(Missing::Manifest(id)))
        })
    }

    fn list_manifests(
        &self,
        request: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        Box::pin(async move {
            self.enter().await?;
            let info = |id: &ManifestId, m: &SignedManifest| {
                let info = ManifestInfo::new(*id, m.payload());
                reader.is_none_or(|r| info.is_for(r)).then_some(info)
            };
            Ok(page(&self.manifests.lock().unwrap(), request, info))
        })
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.enter().await?;
            let removed = self.manifests.lock().unwrap().remove(&id);
            removed
                .map(drop)
                .ok_or(StoreError::NotFound(Missing::Manifest(id)))
        })
    }
}
