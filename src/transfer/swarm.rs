//! Several sources as one store: chunks come from all of them at once, from each as fast as it is.
//!
//! A source need not have everything: it is asked what it lacks, and again while it may still be receiving. What a chunk
//! is, its id says, so a source that sends something else is found out by the first byte and asked for nothing more; who
//! carries a manifest does not matter, who signed it does.

mod driver;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt as _, future::join_all, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::{
    crypto::chunk::OVERHEAD,
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
    store::{
        ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest,
        ReadOnly, StateAt, Store, StoreError, StoreFuture,
    },
};
use driver::{Ask, Driver};

/// Questions that wait for the driver.
const ASKS: usize = 64;
/// Sealed bytes that are fetched ahead of what was written, unless the chunks in flight alone are more.
const WINDOW: u64 = 64 << 20;

/// One of several sources.
#[derive(Clone)]
pub struct Source {
    /// What it is called. May be remote text: escape it before showing it.
    pub name: String,
    /// What it has.
    pub store: Arc<dyn Store>,
}

/// What came from a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What it is called.
    pub name: String,
    /// Chunks that it gave.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why nothing more is asked of it. May have remote text: escape it before showing it.
    pub dropped: Option<String>,
}

/// Several sources, to be read as one store. Nothing can be put into it.
pub struct Swarm {
    sources: Arc<[Source]>,
    at_once: usize,
    asks: mpsc::Sender<Ask>,
    ledger: Ledger,
}

/// What came from whom, written by the driver.
#[derive(Clone)]
struct Ledger(Arc<Mutex<Vec<Share>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Share>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Swarm {
    /// Of `sources`, each asked for `at_once` chunks at a time. Its work is done by a task of the runtime that it is made
    /// in, which ends with it.
    pub fn new(sources: Vec<Source>, at_once: usize) -> Self {
        let shares = sources.iter().map(|source| Share {
            name: source.name.clone(),
            ..Share::default()
        });
        let ledger = Ledger(Arc::new(Mutex::new(shares.collect())));
        let sources: Arc<[Source]> = sources.into();
        let (asks, asked) = mpsc::channel(ASKS);
        let driver = Driver::new(sources.clone(), at_once, ledger.clone());
        tokio::spawn(driver.run(asked));
        Self {
            sources,
            at_once,
            asks,
            ledger,
        }
    }

    /// What came from each source so far.
    pub fn shares(&self) -> Vec<Share> {
        self.ledger.lock().clone()
    }

    /// How many chunks of so many plain bytes to want at once, so that every source has work while the first of them is
    /// waited for.
    pub fn window(&self, chunk_size: u32) -> usize {
        let flying = self.at_once.max(1) * self.sources.len();
        let fit = usize::try_from(WINDOW / u64::from(chunk_size.max(1))).unwrap_or(usize::MAX);
        (2 * flying).min(fit).max(flying)
    }

    /// Asks all at once, and takes the first good answer; else tells why none came.
    async fn first<'a, T>(
        &'a self,
        ask: impl Fn(&'a dyn Store) -> StoreFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let mut asked: FuturesUnordered<_> = self.sources.iter().map(|s| ask(&*s.store)).collect();
        let mut worst = None;
        while let Some(answer) = asked.next().await {
            match (answer, &worst) {
                (Ok(answer), _) => return Ok(answer),
                // That one does not have it says less than that another could not be asked.
                (Err(StoreError::NotFound { .. }), Some(_)) => {}
                (Err(error), _) => worst = Some(error),
            }
        }
        Err(worst.unwrap_or_else(nobody))
    }
}

impl Store for Swarm {
    fn put_offer<'a>(&'a self, _: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async { Err(only_read()) })
    }

    fn put_chunk(&self, _: ChunkId, _: Bytes, _: Option<PartOf>) -> StoreFuture<'_, Put> {
        Box::pin(async { Err(only_read()) })
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // The driver ends with us, not before.
            let asked = self.asks.send(Ask::Chunk(id, answer)).await;
            asked.map_err(|_| nobody())?;
            answered.await.map_err(|_| nobody())?
        })
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async move {
            let heads = self.sources.iter().map(|s| s.store.head_chunk(id));
            let heads = join_all(heads).await;
            Ok(heads.into_iter().flatten().flatten().next())
        })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        Box::pin(async move {
            let lacking = self.sources.iter().map(|s| s.store.missing_chunks(ids));
            let mut missing = ids.to_vec();
            for lacking in join_all(lacking).await.into_iter().flatten() {
                let lacking: HashSet<_> = lacking.into_iter().collect();
                missing.retain(|id| lacking.contains(id));
            }
            Ok(missing)
        })
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        Box::pin(async move {
            let pages = self.sources.iter().map(|s| s.store.list_chunks(page));
            merge(page.limit, join_all(pages).await, |info| info.id)
        })
    }

    fn put_manifest<'a>(&'a self, _: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async { Err(only_read()) })
    }

    /// From whoever has it; its chunks are those that will be wanted next.
    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        Box::pin(async move {
            let envelope = self.first(|store| store.get_manifest(id)).await?;
            let manifest = SignedManifest::parse(envelope.clone())?;
            let payload = manifest.payload();
            let coming = Ask::Coming {
                ids: payload.all_chunks().collect(),
                full: payload.chunk_size as usize + OVERHEAD,
            };
            self.asks.send(coming).await.map_err(|_| nobody())?;
            Ok(envelope)
        })
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        Box::pin(self.first(move |store| store.manifest_state(id)))
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        Box::pin(async move {
            let sources = self.sources.iter();
            let pages = sources.map(|s| s.store.list_manifests(page, reader));
            merge(page.limit, join_all(pages).await, |info| info.id)
        })
    }

    fn delete_manifest(&self, _: ManifestId) -> StoreFuture<'_, ()> {
        Box::pin(async { Err(only_read()) })
    }
}

/// One page of all lists together, as far as all those that answered can tell.
fn merge<K: Ord + Copy, T>(
    limit: usize,
    pages: Vec<Result<Page<T>, StoreError>>,
    id: impl Fn(&T) -> K,
) -> Result<Page<T>, StoreError> {
    let (pages, mut errors): (Vec<_>, Vec<_>) = pages.into_iter().partition(Result::is_ok);
    if pages.is_empty() {
        return Err(errors.pop().and_then(Result::err).unwrap_or_else(nobody));
    }
    let pages: Vec<_> = pages.into_iter().flatten().collect();
    // Where the first page ends that is not the last of its list, the next one begins.
    let unfinished = pages.iter().filter(|page| page.more);
    let end = unfinished
        .filter_map(|page| page.items.last().map(&id))
        .min();
    let items = pages.into_iter().flat_map(|page| page.items);
    let mut merged: BTreeMap<K, T> = items.map(|item| (id(&item), item)).collect();
    merged.retain(|id, _| end.is_none_or(|end| *id <= end));
    let more = end.is_some() || merged.len() > limit;
    let items = merged.into_values().take(limit).collect();
    Ok(Page { items, more })
}

fn only_read() -> StoreError {
    StoreError::ReadOnly(ReadOnly::Sources)
}

fn nobody() -> StoreError {
    StoreError::NobodyToAsk { peer: None }
}
