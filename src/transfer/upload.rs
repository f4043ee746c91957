//! One transfer on its way to its stores: a few chunks in flight, the manifest last.

mod batches;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, try_join, try_join_all},
    stream,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use batches::{Batches, Counted, read, received};

use super::{
    Progress, SendOptions, Sender, TransferError, TransferEvent, blocking,
    content::Read,
    draft::{Draft, SealedChunk, Sealing},
    journal::Sealed as Kept,
    kept::KeptSend,
    sums::{Spans, Sums},
    target::{Target, Targets},
    walk::Sources,
};
use crate::{
    crypto::{
        Nonce, Stream,
        chunk::{OVERHEAD, Tag},
    },
    id::{ChunkId, Digest, FileDigest},
    manifest::{SignedManifest, SignedOffer, table},
    store::{PartOf, Store, StoreError},
};

/// Leases last a day; a sender that is at it for longer renews them in time.
const RENEWAL: Duration = Duration::from_secs(3600);
/// Plain bytes that are collected to be hashed side by side; larger chunks are hashed alone.
const MAX_BATCH: usize = 8 << 20;
/// How often a transfer whose chunks vanished before its manifest came is tried again.
const MAX_ROUNDS: usize = 3;

/// One transfer on its way to its stores.
pub(super) struct Upload {
    pub(super) offer: SignedOffer,
    table: Vec<SealedChunk>,
    sealing: Arc<Sealing>,
    chunk_size: u32,
    jobs: usize,
    pub(super) targets: Targets,
    content: Mutex<BTreeMap<u64, Kept>>,
    /// What of the last round its sender may keep.
    kept: Mutex<Keepsake>,
    pub(super) already: AtomicU64,
    /// The files at the top, and their digests, once they are known.
    top_sums: Mutex<Vec<(String, FileDigest)>>,
}

impl Upload {
    /// Announces the transfer to every store and asks what they have of it.
    pub(super) async fn announce(
        draft: Draft,
        stores: &[Arc<dyn Store>],
        chunk_size: u32,
        options: &SendOptions,
    ) -> Result<Self, TransferError> {
        let Draft {
            offer,
            table,
            sealing,
        } = draft;
        let targets = Targets::announce(stores, &offer, options.patience).await?;
        let (content, kept, already) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        let sealing = Arc::new(sealing);
        let upload = Self {
            offer,
            table,
            sealing,
            chunk_size,
            jobs: options.jobs.max(1),
            targets,
            content,
            kept,
            already,
            top_sums: Mutex::default(),
        };
        let known: Vec<_> = upload.sealing.earlier().collect();
        upload.ask_present(&known).await?;
        if let Some(content) = upload.sealing.whole_content(upload.offer.payload().size) {
            upload.targets.note_had_all(&content);
        }
        Ok(upload)
    }

    pub(super) fn is_received_everywhere(&self) -> bool {
        !self.targets.any(Target::is_open)
    }

    async fn ask_present(&self, ids: &[ChunkId]) -> Result<(), TransferError> {
        if ids.is_empty() {
            return Ok(());
        }
        let asking = self.targets.each(Target::is_open, |target| {
            Box::pin(async move {
                let missing = target.store.missing_chunks(ids).await?;
                let missing: HashSet<_> = missing.into_iter().collect();
                let present = ids.iter().copied().filter(|id| !missing.contains(id));
                target.note_present(present.collect());
                Ok(())
            })
        });
        asking.await
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
            let top_files = now.top_files();
            let total = self.put_content(now, progress).await?;
            let top_sums = top_files.into_iter();
            let top_sums = top_sums.filter_map(|(file, name)| Some((name, *total.sums.get(file)?)));
            *lock(&self.top_sums) = top_sums.collect();
            let manifest = self.put_sums(total, sender).await?;
            let may_repeat = again.is_some() && round < MAX_ROUNDS;
            if self.publish(&manifest, may_repeat).await? {
                return Ok(manifest);
            }
            let ids: Vec<_> = manifest.payload().all_chunks().collect();
            self.ask_present(&ids).await?;
            sources = again;
        }
        Err(TransferError::Stopped)
    }

    fn started(&self, sources: &Sources) -> TransferEvent {
        let already = self.sealing.earlier_content();
        let already = already
            .filter(|id| !self.targets.any(|target| target.lacks(*id)))
            .count() as u64;
        let total_bytes = sources.size();
        let chunk_size = u64::from(self.chunk_size);
        TransferEvent::Started {
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
        let batch = MAX_BATCH / self.chunk_size.max(1) as usize;
        let batch = batch.clamp(1, Digest::side_by_side());
        let room = Arc::new(Semaphore::new(batch + self.jobs));
        let chunk_size = self.chunk_size;
        let sums = Arc::new(Sums::new(Spans::new(sources.sizes(), chunk_size)));
        let reading =
            blocking(move || read(sources, chunk_size, Batches::new(sender, batch, room)));
        // Collected chunks are hashed side by side, in one thread; single ones in several.
        let sealers = self.jobs.div_ceil(batch);
        let sealed = received(receiver)
            .map(|batch| self.seal(batch, sums.clone()))
            .buffered(sealers);
        let each = sealed
            .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
            .try_flatten();
        let putting =
            each.try_for_each_concurrent(self.jobs, |chunk| self.put_sealed(chunk, progress));
        // Boxed, because the compiler cannot see outside of here that a stream of borrowing futures is `Send`.
        let putting: BoxFuture<'_, Result<(), TransferError>> = Box::pin(putting);
        let (read, ()) = tokio::select! {
            done = try_join(reading, putting) => done?,
            failed = self.renew_leases() => return Err(failed),
        };
        Total::of(read, &sums)
    }

    fn seal(
        &self,
        batch: Vec<Counted>,
        sums: Arc<Sums>,
    ) -> BoxFuture<'_, Result<Vec<Sealed>, TransferError>> {
        let sealing = self.sealing.clone();
        Box::pin(blocking(move || {
            let (chunks, permits): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let indices: Vec<_> = chunks.iter().map(|chunk| chunk.position.index).collect();
            let sum = |position, plain: &[u8]| sums.spans.sum(position, plain);
            let sealed = sealing.seal(Stream::Content, chunks, sum)?;
            let numbered = indices.into_iter().zip(sealed).zip(permits);
            let sealed = numbered.map(|((index, (chunk, told)), permit)| {
                sums.add(told);
                Sealed {
                    index,
                    chunk,
                    _permit: permit,
                }
            });
            Ok(sealed.collect())
        }))
    }

    async fn put_sealed(
        &self,
        sealed: Sealed,
        progress: &dyn Progress,
    ) -> Result<(), TransferError> {
        let (index, (id, bytes)) = (sealed.index, &sealed.chunk);
        let already = self.put(*id, bytes, Some(index)).await?;
        lock(&self.content).insert(index, Kept::of(*id, bytes));
        if already {
            self.already.fetch_add(1, Ordering::Relaxed);
        }
        progress.event(TransferEvent::Advanced {
            bytes: (bytes.len() - OVERHEAD) as u64,
            already,
        });
        Ok(())
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
            by: self.offer.payload().sender,
            index,
        });
        let lacking = self.targets.lacking(id);
        let putting = self.targets.each(
            |target| target.lacks(id),
            |target| {
                Box::pin(async move {
                    target.store.put_chunk(id, sealed.clone(), part_of).await?;
                    if lacking == 1 {
                        target.note_caught_up(sealed.len());
                    }
                    Ok(())
                })
            },
        );
        putting.await?;
        Ok(lacking == 0)
    }

    /// Never ends, but by an error: renews the leases of what was put so far.
    async fn renew_leases(&self) -> TransferError {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let ids: Vec<_> = lock(&self.content)
                .values()
                .map(|kept| kept.id)
                .chain(self.table.iter().map(|(id, _)| *id))
                .collect();
            let ids = &ids;
            let renewed = self.targets.each(Target::is_open, |target| {
                Box::pin(async move {
                    match target.store.missing_chunks(ids).await {
                        Err(error) if !error.is_retryable() => Err(error.into()),
                        _ => Ok(()),
                    }
                })
            });
            if let Err(failed) = renewed.await {
                return failed;
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
        let content: Vec<_> = std::mem::take(&mut *lock(&self.content))
            .into_values()
            .collect();
        let chunks = content.iter().map(|kept| kept.id).collect();
        let seals = content.iter().map(|kept| (kept.nonce, kept.tag)).collect();
        let ids = sums.iter().map(|(id, _)| *id).collect();
        *lock(&self.kept) = Keepsake { seals, sums };
        let manifest = self
            .offer
            .payload()
            .clone()
            .complete(total.size, chunks, ids);
        Ok(SignedManifest::sign(manifest, &*sender.signer)?)
    }

    /// The files at the top, and their digests.
    pub(super) fn top_sums(&self) -> Vec<(String, FileDigest)> {
        std::mem::take(&mut *lock(&self.top_sums))
    }

    /// Gives whether it is published everywhere; not if chunks were gone where that may be mended.
    async fn publish(
        &self,
        manifest: &SignedManifest,
        may_repeat: bool,
    ) -> Result<bool, TransferError> {
        let published = &AtomicBool::new(true);
        let publishing = self.targets.each(Target::is_open, |target| {
            Box::pin(async move {
                match target.store.put_manifest(manifest).await {
                    Err(StoreError::MissingChunks { .. }) if may_repeat => {
                        published.store(false, Ordering::Relaxed);
                    }
                    put => {
                        put?;
                    }
                }
                Ok(())
            })
        });
        publishing.await?;
        Ok(published.load(Ordering::Relaxed))
    }

    /// What its sender may keep of it, now that it is published.
    pub(super) fn keep(
        &self,
        manifest: &SignedManifest,
        places: HashMap<String, PathBuf>,
    ) -> KeptSend {
        let Keepsake { seals, sums } = std::mem::take(&mut *lock(&self.kept));
        KeptSend {
            manifest: manifest.clone(),
            seals,
            sealed: self.table.iter().cloned().chain(sums).collect(),
            places,
        }
    }

    /// There is nothing to continue any more: every store has it.
    pub(super) fn finish(self) {
        if let Some(sealing) = Arc::into_inner(self.sealing) {
            sealing.into_journal().remove();
        }
    }
}

/// The content, when all of it is put.
struct Total {
    /// Its bytes.
    size: u64,
    /// The digest of each file, in the order of the table.
    sums: Vec<FileDigest>,
}

impl Total {
    /// # Errors
    /// [`TransferError::SourceChanged`] if a file was read twice and was another the second time.
    fn of(read: Read, sums: &Sums) -> Result<Self, TransferError> {
        let sums = sums.finish(read.size).ok_or(TransferError::Stopped)?;
        for again in read.again {
            if sums.get(again.file) != Some(&again.digest) {
                return Err(again.changed);
            }
        }
        let size = read.size;
        Ok(Self { size, sums })
    }
}

/// What is needed to seal the same chunks again.
#[derive(Default)]
struct Keepsake {
    /// Of each content chunk, in their order.
    seals: Vec<(Nonce, Tag)>,
    sums: Vec<SealedChunk>,
}

/// A sealed content chunk on its way.
struct Sealed {
    index: u64,
    chunk: SealedChunk,
    _permit: OwnedSemaphorePermit,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
