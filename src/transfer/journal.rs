//! What a sender remembers of an unfinished transfer, so that it can be continued after a crash.
//!
//! An append-only file: the signed offer, then a record (stream, index, nonce, tag, id) for every chunk that was sealed, and what it
//! tells of the digests of files, if that is short: what is long is computed again. It holds no key: the offer's wraps do, and the sender unwraps its own. Losing records costs only sending again, never
//! safety, so nothing here is synced, and a damaged record ends the part that is believed.

use std::{
    collections::HashMap,
    fs::{self, TryLockError},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;

use super::{TransferError, sums::ChunkSums};
use crate::{
    crypto::{
        Nonce, Stream,
        chunk::{NONCE_LENGTH, TAG_LENGTH, Tag, nonce_and_tag},
    },
    id::{ChunkId, Digest},
    lock::Locked,
    manifest::SignedOffer,
    private,
};

const MAGIC: &[u8; 16] = b"colis sending 3\n";
/// How often, and how long apart, a journal in use is tried.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// What the name of a note has behind the name of its journal.
pub(super) const NOTE: &str = "note";
const RECORD: usize = 1 + 8 + NONCE_LENGTH + TAG_LENGTH + 32;
/// Longer sums are not kept: these are of a chunk in which a file begins off a border of BLAKE3, or of many files.
const MOST_SUMS: usize = 255;

/// A chunk that was sealed in an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sealed {
    /// The nonce that it was sealed with.
    pub nonce: Nonce,
    /// What authenticates it: the same again under this nonce if its plain bytes are the same, and only then.
    pub tag: Tag,
    /// Its id.
    pub id: ChunkId,
}

impl Sealed {
    /// Of the chunk `id`, whose bytes are `sealed`.
    pub(super) fn of(id: ChunkId, sealed: &[u8]) -> Self {
        let (nonce, tag) = nonce_and_tag(sealed);
        Self { nonce, tag, id }
    }
}

/// Chunks by stream and index, with what is kept of the digests of the files in them.
pub(super) type Records = HashMap<(Stream, u64), (Sealed, Option<ChunkSums>)>;

/// The journal of one transfer, locked against a second process. Losing it costs only sending again: where it cannot be
/// written, as on a full disk or one to read only, the transfer goes on without it.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// `None` if there can be none.
    file: Option<Locked>,
    /// Whether what is sent is still written down.
    written: bool,
}

impl Journal {
    /// Opens or makes the journal named `key` in `folder`. Gives what an earlier run left in it.
    ///
    /// # Errors
    /// [`TransferError::AlreadySending`], [`TransferError::Journal`].
    pub(super) fn open(
        folder: &Path,
        key: &Digest,
    ) -> Result<(Self, Option<(SignedOffer, Records)>), TransferError> {
        let path = folder.join(key.to_string());
        let opened = open_locked(folder, &path)?;
        let (file, written) = (None, true);
        let mut journal = Self {
            path,
            file,
            written,
        };
        let mut bytes = Vec::new();
        let read = opened.and_then(|mut file| {
            bytes = private::read_whole(&mut file)?;
            Ok(file)
        });
        match read {
            Ok(file) => journal.file = Some(file),
            Err(error) => journal.give_up(&error),
        }
        let Some((offer, records, length)) = parse(&bytes) else {
            return Ok((journal, None));
        };
        journal.write(|file| file.set_len(length as u64));
        Ok((journal, Some((offer, records))))
    }

    /// Forgets what is in it and begins with `offer`.
    pub(super) fn begin(&mut self, offer: &SignedOffer) {
        let envelope = offer.envelope();
        let length = u32::try_from(envelope.len()).expect("an envelope has at most 8 MiB");
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(envelope);
        head.extend_from_slice(&crc32fast::hash(envelope).to_be_bytes());
        self.write(|file| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&head)
        });
    }

    /// Remembers a sealed chunk.
    pub(super) fn record(&mut self, stream: Stream, index: u64, sealed: &Sealed, sums: &ChunkSums) {
        let sums = Some(sums.to_bytes()).filter(|sums| sums.len() <= MOST_SUMS);
        let sums = sums.unwrap_or_default();
        let mut record = Vec::with_capacity(RECORD + 1 + sums.len() + 4);
        record.push(stream_code(stream));
        record.extend_from_slice(&index.to_be_bytes());
        record.extend_from_slice(&sealed.nonce);
        record.extend_from_slice(&sealed.tag);
        record.extend_from_slice(sealed.id.as_bytes());
        record.push(u8::try_from(sums.len()).unwrap_or(0));
        record.extend_from_slice(&sums);
        record.extend_from_slice(&crc32fast::hash(&record).to_be_bytes());
        self.write(|file| file.write_all(&record));
    }

    /// Keeps what the caller wants to know again of an unfinished send, in a file beside it.
    pub(super) fn keep_note(&self, note: &[u8]) {
        let path = self.path.with_extension(NOTE);
        if self.file.is_none() || private::read(&path).is_ok_and(|kept| kept == note) {
            return;
        }
        let mut options = private::file();
        options.create(true).truncate(true).write(true);
        let kept =
            private::open_with(&mut options, &path).and_then(|mut file| file.write_all(note));
        if let Err(error) = kept {
            tracing::warn!(%error, "what is in this send is not noted: it is continued by the same command");
        }
    }

    /// The transfer is published: there is nothing to continue.
    pub(super) fn remove(self) {
        let _ = fs::remove_file(self.path.with_extension(NOTE));
        if self.file.is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "the journal of a send that is done stays");
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Locked) -> io::Result<()>) {
        if let Some(file) = self.file.as_mut().filter(|_| self.written)
            && let Err(error) = write(file)
        {
            self.give_up(&error);
        }
    }

    /// The file stays locked: a second process must not send the same.
    fn give_up(&mut self, error: &io::Error) {
        self.written = false;
        tracing::warn!(%error, "no journal of this send: if it is interrupted, it begins anew");
    }
}

/// Opens the file for us alone. A run that was just stopped may still be ending: that is waited for, briefly.
fn open_locked(folder: &Path, path: &Path) -> Result<io::Result<Locked>, TransferError> {
    let open = || {
        private::make_folder(folder)?;
        let mut options = private::file();
        options.read(true).append(true).create(true);
        private::open_with(&mut options, path)
    };
    for attempt in 1.. {
        let file = match open() {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        match Locked::try_take(file) {
            Ok(locked) => return Ok(Ok(locked)),
            Err(TryLockError::WouldBlock) if attempt == ATTEMPTS => break,
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) => return Ok(Err(error)),
        }
    }
    Err(TransferError::AlreadySending)
}

/// What is whole in the bytes of a journal.
pub(super) fn read_journal(bytes: &[u8]) -> Option<(SignedOffer, Records)> {
    parse(bytes).map(|(offer, records, _)| (offer, records))
}

/// What is whole in `bytes`, and how long that is.
fn parse(bytes: &[u8]) -> Option<(SignedOffer, Records, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (envelope, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*crc) != crc32fast::hash(envelope) {
        return None;
    }
    let offer = SignedOffer::parse(Bytes::copy_from_slice(envelope)).ok()?;
    let (mut records, mut rest) = (Records::new(), rest);
    while let Some((chunk, record, after)) = parse_record(rest) {
        records.insert(chunk, record);
        rest = after;
    }
    Some((offer, records, bytes.len() - rest.len()))
}

/// The first record, and what is behind it.
#[allow(clippy::type_complexity, reason = "an entry of the records")]
fn parse_record(bytes: &[u8]) -> Option<((Stream, u64), (Sealed, Option<ChunkSums>), &[u8])> {
    let length = RECORD + 1 + usize::from(*bytes.get(RECORD)?);
    let (record, rest) = bytes.split_at_checked(length)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_be_bytes(*crc) != crc32fast::hash(record) {
        return None;
    }
    let (fields, sums) = record.split_at(RECORD);
    let sums = ChunkSums::parse(&sums[1..])?;
    let sums = Some(sums).filter(|sums| !sums.0.is_empty());
    let (stream, fields) = fields.split_first()?;
    let (index, fields) = fields.split_first_chunk::<8>()?;
    let (nonce, fields) = fields.split_first_chunk::<NONCE_LENGTH>()?;
    let (tag, id) = fields.split_first_chunk::<TAG_LENGTH>()?;
    let sealed = Sealed {
        nonce: *nonce,
        tag: *tag,
        id: ChunkId::from_bytes(id.try_into().ok()?),
    };
    let stream = [Stream::Content, Stream::Table, Stream::Sums]
        .into_iter()
        .find(|s| stream_code(*s) == *stream)?;
    Some(((stream, u64::from_be_bytes(*index)), (sealed, sums), rest))
}

fn stream_code(stream: Stream) -> u8 {
    match stream {
        Stream::Content => b'c',
        Stream::Table => b't',
        Stream::Sums => b's',
    }
}
