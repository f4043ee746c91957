//! What a receiver remembers of an unfinished transfer: how far it has come.

use std::{
    fs::{self, File},
    io::Write as _,
    path::PathBuf,
};

use crate::{
    id::Digest,
    received::{ReceivedError, Staging},
    transfer::TransferError,
};

const RECORD: usize = 8 + 1 + 4;

/// How many chunks are done: a header that names content and boot, then records, of which the last whole one counts. It is not
/// synced: losing records costs only fetching again.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// How many chunks counted when it was opened.
    pub(super) done: u64,
}

impl Journal {
    /// Opens or makes the journal in `staging` of a transfer with this `content`: of another, which its sender has signed under
    /// the same id, nothing counts.
    pub(super) fn open(staging: &Staging, content: Digest) -> Result<Self, TransferError> {
        let path = staging.journal_path();
        let failed = |path: &PathBuf, source| TransferError::Journal {
            path: path.clone(),
            source,
        };
        let boot = boot_id();
        let done = done(staging, content)?;
        let mut file = staging.new_journal()?;
        let header = [&content.as_bytes()[..], boot.as_bytes()].concat();
        file.write_all(&header).map_err(|e| failed(&path, e))?;
        let mut journal = Self { path, file, done };
        journal.record(done, false)?;
        Ok(journal)
    }

    /// So many chunks are written, or durable.
    pub(super) fn record(&mut self, chunks: u64, durable: bool) -> Result<(), TransferError> {
        let mut record = chunks.to_be_bytes().to_vec();
        record.push(u8::from(durable));
        record.extend_from_slice(&crc32fast::hash(&record).to_be_bytes());
        let written = self.file.write_all(&record);
        written.map_err(|source| TransferError::Journal {
            path: self.path.clone(),
            source,
        })
    }
}

/// How many chunks of an earlier run count in `staging` of a transfer with this `content`.
pub(super) fn done(staging: &Staging, content: Digest) -> Result<u64, ReceivedError> {
    let kept = staging.journal()?;
    Ok(kept.map_or(0, |bytes| parse(&bytes, content, &boot_id())))
}

/// The number of chunks that count: all if the machine has not been started again since, else the durable ones.
fn parse(bytes: &[u8], content: Digest, boot: &str) -> u64 {
    let Some(rest) = bytes.strip_prefix(content.as_bytes()) else {
        return 0;
    };
    let Some((then, records)) = rest.split_at_checked(boot.len()) else {
        return 0;
    };
    // Where the system does not say, it may have been another.
    let same_boot = then == boot.as_bytes() && !boot.trim().is_empty();
    let whole = records.chunks_exact(RECORD).map_while(|record| {
        let (fields, crc) = record.split_last_chunk::<4>()?;
        let (chunks, durable) = fields.split_first_chunk::<8>()?;
        (u32::from_be_bytes(*crc) == crc32fast::hash(fields))
            .then(|| (u64::from_be_bytes(*chunks), durable == [1]))
    });
    whole
        .filter(|(_, durable)| same_boot || *durable)
        .map(|(chunks, _)| chunks)
        .last()
        .unwrap_or(0)
}

/// Names this run of the machine; the same length always.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{:<36.36}", id.trim())
}
