//! Reading the content in chunks, and collecting those that are sealed together.

use std::sync::{Arc, PoisonError};

use futures::stream;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    manifest::MAX_CHUNKS,
    transfer::{
        TransferError,
        content::{self, PlainChunk, Read},
        walk::Sources,
    },
};

/// A plain chunk with the permit to be in memory.
pub(super) type Counted = (PlainChunk, OwnedSemaphorePermit);

/// Collects chunks that are sealed together.
pub(super) struct Batches {
    sender: mpsc::Sender<Vec<Counted>>,
    size: usize,
    room: Arc<Semaphore>,
    runtime: Handle,
    batch: Vec<Counted>,
}

impl Batches {
    pub(super) fn new(
        sender: mpsc::Sender<Vec<Counted>>,
        size: usize,
        room: Arc<Semaphore>,
    ) -> Self {
        Self {
            sender,
            size,
            room,
            runtime: Handle::current(),
            batch: Vec::new(),
        }
    }

    /// Adds a chunk, as soon as memory allows.
    fn add(&mut self, chunk: PlainChunk) -> Result<(), TransferError> {
        let permit = self.runtime.block_on(self.room.clone().acquire_owned());
        let permit = permit.map_err(|_| TransferError::Stopped)?;
        let last = chunk.position.last;
        self.batch.push((chunk, permit));
        if !last && self.batch.len() < self.size {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.sender
            .blocking_send(batch)
            .map_err(|_| TransferError::Stopped)
    }
}

/// What comes through `receiver`, as a stream.
pub(super) fn received<T>(receiver: mpsc::Receiver<T>) -> impl stream::Stream<Item = T> {
    stream::unfold(receiver, async |mut receiver| {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
}

/// Reads all of `sources` into `batches`.
pub(super) fn read(
    sources: Sources,
    chunk_size: u32,
    mut batches: Batches,
) -> Result<Read, TransferError> {
    let each = |chunk: PlainChunk| {
        if chunk.position.index >= MAX_CHUNKS as u64 {
            return Err(TransferError::TooManyChunks {
                chunks: MAX_CHUNKS,
                chunk_size,
            });
        }
        batches.add(chunk)
    };
    match sources {
        Sources::Tree(tree) => content::read_files(&tree.files, chunk_size, each),
        Sources::Stream { reader, .. } => {
            let reader = reader.into_inner().unwrap_or_else(PoisonError::into_inner);
            content::read_stream(reader, "standard input", chunk_size, each)
        }
    }
}
