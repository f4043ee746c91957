//! Sends that were begun and not finished: what their journals say, and a note of whoever sends about what is in them.
//!
//! A journal names neither paths nor recipients. The note beside it does, in the words of the caller: this room only keeps
//! its bytes, for the owner alone.

use std::{
    fs::{self, TryLockError},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    TransferError,
    journal::{NOTE, read_journal},
};
use crate::{
    crypto::Stream,
    id::TransferId,
    lock::{self, Locked},
    manifest::Timestamp,
    private,
};

/// A send that was begun and not finished.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// The transfer.
    pub transfer: TransferId,
    /// When it was begun.
    pub created: Timestamp,
    /// When something of it was sealed last.
    pub moved: SystemTime,
    /// Bytes of its content; unknown for a stream.
    pub size: Option<u64>,
    /// Plain bytes of a chunk.
    pub chunk_size: u32,
    /// Content chunks that were sealed, of which the last may not have been stored.
    pub chunks: u64,
    /// What [`SendOptions::note`](super::SendOptions::note) said; empty if that is not known.
    pub note: Vec<u8>,
    /// Whether a process is at it.
    pub running: bool,
    journal: PathBuf,
}

impl Unfinished {
    /// Bytes of content that were sealed.
    pub fn bytes(&self) -> u64 {
        let sealed = self.chunks.saturating_mul(u64::from(self.chunk_size));
        sealed.min(self.size.unwrap_or(u64::MAX))
    }

    /// Forgets it: it cannot be continued any more. Blocks.
    ///
    /// # Errors
    /// [`TransferError::AlreadySending`] if a process is at it, [`TransferError::Journal`].
    pub fn forget(&self) -> Result<(), TransferError> {
        let path = self.journal.clone();
        let failed = |source| TransferError::Journal { path, source };
        let opened = private::open_with(private::file().read(true).append(true), &self.journal);
        // Another process may have finished it meanwhile.
        let Ok(file) = opened else { return Ok(()) };
        let _alone = match Locked::take(file) {
            Ok(locked) => locked,
            Err(TryLockError::WouldBlock) => return Err(TransferError::AlreadySending),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        let _ = fs::remove_file(self.journal.with_extension(NOTE));
        fs::remove_file(&self.journal).map_err(failed)
    }
}

/// The unfinished sends whose journals are in `folder`, the latest first. What cannot be read is passed over: the same send
/// begins anew then. Blocks.
pub fn unfinished(folder: &Path) -> Vec<Unfinished> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_none())
        .filter_map(read)
        .collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.moved));
    all
}

fn read(journal: PathBuf) -> Option<Unfinished> {
    let mut file = private::open(&journal).ok()?;
    let (offer, records) = read_journal(&private::read_whole(&mut file).ok()?)?;
    let payload = offer.payload();
    let content = |(stream, _): &&(Stream, u64)| *stream == Stream::Content;
    Some(Unfinished {
        transfer: payload.transfer_id,
        created: payload.created,
        moved: file.metadata().ok()?.modified().ok()?,
        size: payload.size,
        chunk_size: payload.chunk_size,
        chunks: records.keys().filter(content).count() as u64,
        note: private::read(&journal.with_extension(NOTE)).unwrap_or_default(),
        running: lock::is_held(&file),
        journal,
    })
}
