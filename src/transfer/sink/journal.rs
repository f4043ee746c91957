//! What a receiver remembers of an unfinished transfer: how far it has come, and what it knows by then of the digest of the file
//! that is not complete.

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

/// Bytes of a record without its state and its CRC: the number of chunks, whether they are durable, the length of the state.
const HEAD: usize = 8 + 1 + 4;
/// The longest state. It has a value for each doubling of a file, and an edge.
const MOST_STATE: usize = 64 << 10;

/// How many chunks are done: a header that names content and boot, then records, of which the last whole one counts. It is not
/// synced: losing records costs only fetching again.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

/// What an earlier run left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// How many chunks count.
    pub(super) chunks: u64,
    /// The state of the digest of the file that was not complete after so many chunks, which are not more.
    pub(super) state: Option<(u64, Vec<u8>)>,
}

impl Journal {
    /// Begins one in `staging` for a transfer with this `content`, with what counts of an earlier run.
    pub(super) fn begin(
        staging: &Staging,
        content: Digest,
        left: &Left,
    ) -> Result<Self, TransferError> {
        let path = staging.journal_path();
        let failed = |path: &PathBuf, source| TransferError::Journal {
            path: path.clone(),
            source,
        };
        let mut file = staging.new_journal()?;
        let header = [&content.as_bytes()[..], boot_id().as_bytes()].concat();
        file.write_all(&header).map_err(|e| failed(&path, e))?;
        let mut journal = Self { path, file };
        if let Some((chunks, state)) = &left.state {
            journal.record(*chunks, false, state)?;
        }
        journal.record(left.chunks, false, &[])?;
        Ok(journal)
    }

    /// So many chunks are written, or durable. `state` is that of the digest of the file that is not complete then, if it is kept.
    pub(super) fn record(
        &mut self,
        chunks: u64,
        durable: bool,
        state: &[u8],
    ) -> Result<(), TransferError> {
        let state = if state.len() > MOST_STATE { &[] } else { state };
        let mut record = chunks.to_be_bytes().to_vec();
        record.push(u8::from(durable));
        record.extend_from_slice(&u32::try_from(state.len()).unwrap_or(0).to_be_bytes());
        record.extend_from_slice(state);
        record.extend_from_slice(&crc32fast::hash(&record).to_be_bytes());
        let written = self.file.write_all(&record);
        written.map_err(|source| TransferError::Journal {
            path: self.path.clone(),
            source,
        })
    }
}

/// What an earlier run left in `staging` of a transfer with this `content`: of another, which its sender has signed under the same id,
/// nothing counts.
pub(super) fn left(staging: &Staging, content: Digest) -> Result<Left, ReceivedError> {
    let kept = staging.journal()?;
    Ok(kept.map_or_else(Left::default, |bytes| parse(&bytes, content, &boot_id())))
}

/// What counts: all chunks if the machine has not been started again since, else the durable ones.
fn parse(bytes: &[u8], content: Digest, boot: &str) -> Left {
    let Some(rest) = bytes.strip_prefix(content.as_bytes()) else {
        return Left::default();
    };
    let Some((then, records)) = rest.split_at_checked(boot.len()) else {
        return Left::default();
    };
    // Where the system does not say, it may have been another.
    let same_boot = then == boot.as_bytes() && !boot.trim().is_empty();
    let counts = Records(records).filter(|record| same_boot || record.durable);
    let chunks = counts.last().map_or(0, |record| record.chunks);
    let states = Records(records).filter(|record| !record.state.is_empty());
    let state = states.filter(|record| record.chunks <= chunks).last();
    Left {
        chunks,
        state: state.map(|record| (record.chunks, record.state.to_vec())),
    }
}

/// The whole records at the beginning of what is left.
struct Records<'a>(&'a [u8]);

struct Record<'a> {
    chunks: u64,
    durable: bool,
    state: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (chunks, rest) = self.0.split_first_chunk::<8>()?;
        let ([durable], rest) = rest.split_first_chunk::<1>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (state, rest) = rest.split_at_checked(length)?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let fields = &self.0[..HEAD + length];
        if u32::from_be_bytes(*crc) != crc32fast::hash(fields) {
            return None;
        }
        self.0 = rest;
        Some(Record {
            chunks: u64::from_be_bytes(*chunks),
            durable: *durable == 1,
            state,
        })
    }
}

/// Names this run of the machine; the same length always.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{:<36.36}", id.trim())
}
