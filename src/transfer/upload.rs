//! One transfer on its way to its stores: a few chunks in flight, the manifest last.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::{join_all, try_join, try_join_all};
use tokio::sync::{Mutex as AsyncMutex, mpsc};

use super::{
    Event, Progress, Sender, TransferError, blocking,
    content::{self, PlainChunk, Total},
    draft::{Draft, SealedChunk, Sealing},
    walk::Sources,
};
use crate::{
    crypto::{Stream, chunk::OVERHEAD},
    id::ChunkId,
    manifest::{MAX_CHUNKS, SignedManifest, SignedOffer, table},
    store::{OfferAnswer, PartOf, Store, StoreError},
};

/// Leases last a day; a sender that is at it for longer renews them in time.
const RENEWAL: Duration = Duration::from_secs(3600);
/// How often a transfer whose chunks vanished before its manifest came is tried again.
const MAX_ROUNDS: usize = 3;

/// A store that the transfer goes to.
pub(super) struct Target {
    store: Arc<dyn Store>,
    pub(super) answer: OfferAnswer,
    present: Mutex<HashSet<ChunkId>>,
}

impl Target {
    fn has(&self, id: ChunkId) -> bool {
        self.answer == OfferAnswer::AlreadyReceived || lock(&self.present).contains(&id)
    }
}

/// One transfer on its way to its stores.
pub(super) struct Upload {
    pub(super) offer: SignedOffer,
    table: Vec<SealedChunk>,
    sealing: Arc<Sealing>,
    chunk_size: u32,
    jobs: usize,
    pub(super) targets: Vec<Target>,
    content: Mutex<BTreeMap<u64, ChunkId>>,
    pub(super) already: AtomicU64,
}

impl Upload {
    /// Announces the transfer to every store and asks what they have of it.
    pub(super) async fn announce(
        draft: Draft,
        stores: &[Arc<dyn Store>],
        chunk_size: u32,
        jobs: usize,
    ) -> Result<Self, TransferError> {
        let Draft {
            offer,
            table,
            sealing,
        } = draft;
        let answers = try_join_all(stores.iter().map(|store| store.put_offer(&offer))).await?;
        let targets = stores
            .iter()
            .zip(answers)
            .map(|(store, answer)| match answer {
                OfferAnswer::Refused => Err(TransferError::NotAccepted { answer }),
                _ => Ok(Target {
                    store: store.clone(),
                    answer,
                    present: Mutex::default(),
                }),
            });
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let (content, already) = (Mutex::default(), AtomicU64::new(0));
        let sealing = Arc::new(sealing);
        let upload = Self {
            offer,
            table,
            sealing,
            chunk_size,
            jobs: jobs.max(1),
            targets,
            content,
            already,
        };
        let known: Vec<_> = upload.sealing.earlier().collect();
        upload.ask_present(&known).await?;
        Ok(upload)
    }

    pub(super) fn is_received_everywhere(&self) -> bool {
        self.targets
            .iter()
            .all(|t| t.answer == OfferAnswer::AlreadyReceived)
    }

    async fn ask_present(&self, ids: &[ChunkId]) -> Result<(), TransferError> {
        let waiting = self
            .targets
            .iter()
            .filter(|t| t.answer != OfferAnswer::AlreadyReceived && !ids.is_empty());
        let asked = waiting.map(|target| async move {
            let missing: HashSet<_> = target
                .store
                .missing_chunks(ids)
                .await?
                .into_iter()
                .collect();
            *lock(&target.present) = ids
                .iter()
                .filter(|id| !missing.contains(id))
                .copied()
                .collect();
            Ok::<_, TransferError>(())
        });
        try_join_all(asked).await.map(|_| ())
    }

    /// Puts everything; again, if chunks were gone when the manifest came.
    pub(super) async fn run(
        &self,
        sources: Sources,
        sender: &Sender,
        progress: &dyn Progress,
    ) -> Result<SignedManifest, TransferError> {
        let mut sources = Some(sources);
        for round in 1.. {
            let again = sources.as_ref().and_then(Sources::again);
            let now = sources.take().ok_or(TransferError::Stopped)?;
            self.already.store(0, Ordering::Relaxed);
            progress.event(self.started(&now));
            try_join_all(
                self.table
                    .iter()
                    .map(|(id, sealed)| self.put(*id, sealed, None)),
            )
            .await?;
            let total = self.put_content(now, progress).await?;
            let manifest = self.put_sums(total, sender).await?;
            match self.publish(&manifest).await {
                Err(TransferError::Store(StoreError::MissingChunks { .. }))
                    if again.is_some() && round < MAX_ROUNDS =>
                {
                    let ids: Vec<_> = manifest.payload().all_chunks().collect();
                    self.ask_present(&ids).await?;
                    sources = again;
                }
                result => return result.map(|()| manifest),
            }
        }
        Err(TransferError::Stopped)
    }

    fn started(&self, sources: &Sources) -> Event {
        let already = self.sealing.earlier_content();
        let already = already
            .filter(|id| self.targets.iter().all(|t| t.has(*id)))
            .count() as u64;
        let total_bytes = sources.size();
        let chunk_size = u64::from(self.chunk_size);
        Event::Started {
            total_bytes,
            total_chunks: total_bytes.map(|size| size.div_ceil(chunk_size)),
            already_chunks: already,
            already_bytes: (already * chunk_size).min(total_bytes.unwrap_or(u64::MAX)),
        }
    }

    /// Reads, seals and puts the content, with a few chunks in flight.
    async fn put_content(
        &self,
        sources: Sources,
        progress: &dyn Progress,
    ) -> Result<Total, TransferError> {
        let (sender, receiver) = mpsc::channel(1);
        let receiver = AsyncMutex::new(receiver);
        let chunk_size = self.chunk_size;
        let reading = blocking(move || read(sources, chunk_size, &sender));
        let putting = try_join_all((0..self.jobs).map(|_| self.put_from(&receiver, progress)));
        tokio::select! {
            done = try_join(reading, putting) => done.map(|(total, _)| total),
            failed = self.renew_leases() => Err(failed),
        }
    }

    async fn put_from(
        &self,
        chunks: &AsyncMutex<mpsc::Receiver<PlainChunk>>,
        progress: &dyn Progress,
    ) -> Result<(), TransferError> {
        loop {
            let Some(PlainChunk { position, plain }) = chunks.lock().await.recv().await else {
                return Ok(());
            };
            let sealing = self.sealing.clone();
            let (id, sealed) =
                blocking(move || sealing.seal(Stream::Content, position, plain)).await?;
            let already = self.put(id, &sealed, Some(position.index)).await?;
            lock(&self.content).insert(position.index, id);
            if already {
                self.already.fetch_add(1, Ordering::Relaxed);
            }
            progress.event(Event::Advanced {
                bytes: (sealed.len() - OVERHEAD) as u64,
                already,
            });
        }
    }

    /// Puts a chunk to every store that lacks it. Gives whether none did.
    async fn put(
        &self,
        id: ChunkId,
        sealed: &Bytes,
        index: Option<u64>,
    ) -> Result<bool, TransferError> {
        let part_of = Some(PartOf {
            transfer_id: self.offer.payload().transfer_id,
            index,
        });
        let lacking: Vec<_> = self.targets.iter().filter(|t| !t.has(id)).collect();
        try_join_all(
            lacking
                .iter()
                .map(|t| t.store.put_chunk(id, sealed.clone(), part_of)),
        )
        .await?;
        Ok(lacking.is_empty())
    }

    /// Never ends, but by an error: renews the leases of what was put so far.
    async fn renew_leases(&self) -> TransferError {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let ids: Vec<_> = lock(&self.content)
                .values()
                .copied()
                .chain(self.table.iter().map(|(id, _)| *id))
                .collect();
            let renewed = join_all(self.targets.iter().map(|t| t.store.missing_chunks(&ids))).await;
            if let Some(failed) = renewed
                .into_iter()
                .find_map(Result::err)
                .filter(|e| !e.is_retryable())
            {
                return failed.into();
            }
        }
    }

    async fn put_sums(
        &self,
        total: Total,
        sender: &Sender,
    ) -> Result<SignedManifest, TransferError> {
        let mut plain = Vec::with_capacity(total.sums.len() * table::SUM_LINE);
        total
            .sums
            .iter()
            .for_each(|sum| table::write_line(sum, &mut plain));
        table::pad(&mut plain);
        let sums = self.sealing.seal_stream(Stream::Sums, &plain)?;
        try_join_all(sums.iter().map(|(id, sealed)| self.put(*id, sealed, None))).await?;
        let chunks = std::mem::take(&mut *lock(&self.content))
            .into_values()
            .collect();
        let sums = sums.into_iter().map(|(id, _)| id).collect();
        let manifest = self
            .offer
            .payload()
            .clone()
            .complete(total.size, chunks, sums);
        Ok(SignedManifest::sign(manifest, &*sender.signer)?)
    }

    async fn publish(&self, manifest: &SignedManifest) -> Result<(), TransferError> {
        let lacking = self
            .targets
            .iter()
            .filter(|t| t.answer != OfferAnswer::AlreadyReceived);
        try_join_all(lacking.map(|t| t.store.put_manifest(manifest))).await?;
        Ok(())
    }

    /// There is nothing to continue any more.
    pub(super) fn finish(self) -> Result<(), TransferError> {
        match Arc::into_inner(self.sealing) {
            Some(sealing) => sealing.into_journal().remove(),
            None => Ok(()),
        }
    }
}

fn read(
    sources: Sources,
    chunk_size: u32,
    chunks: &mpsc::Sender<PlainChunk>,
) -> Result<Total, TransferError> {
    let each = |chunk: PlainChunk| {
        if chunk.position.index >= MAX_CHUNKS as u64 {
            return Err(TransferError::TooManyChunks {
                chunks: MAX_CHUNKS,
                chunk_size,
            });
        }
        chunks
            .blocking_send(chunk)
            .map_err(|_| TransferError::Stopped)
    };
    match sources {
        Sources::Tree(tree) => content::read_files(&tree.files, chunk_size, each),
        Sources::Stream { name, reader } => content::read_stream(reader, &name, chunk_size, each),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
