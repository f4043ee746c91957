//! Opening a transfer up to its listing: everything that is known, and checked, before the first content byte.
//!
//! The order is that of the format: dates and signature, our wrap, the commitment, the table, the sums. Any failure
//! stops, and nothing is released.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;

use super::{
    Difference, Part, Seen, TransferError, blocking,
    sums::{Spans, top_sums},
};
use crate::{
    crypto::{
        ChunkOpener, ChunkPosition, CryptoError, FileKey, SealKey, Stream, chunk::NONCE_LENGTH,
        password::Password,
    },
    id::{ChunkId, FileDigest, PeerId},
    manifest::{
        Manifest, ManifestError, SignedManifest, Timestamp, Verifier, VerifyError, Wrap, WrapScope,
        table::{self, Entry, Lines},
    },
    store::Store,
};

/// Who opens, with what.
#[derive(Clone)]
pub struct Reader {
    /// Ourselves.
    pub me: PeerId,
    /// Our seal keys, the newest first.
    pub seal_keys: Arc<[SealKey]>,
    /// A password to try.
    pub password: Option<Password>,
    /// Whose signatures count.
    pub verifier: Arc<dyn Verifier>,
}

impl Reader {
    /// The same reader without its password: nothing is computed for a transfer that only a password opens.
    #[must_use]
    pub fn without_password(&self) -> Self {
        Self {
            password: None,
            ..self.clone()
        }
    }
}

/// Where a transfer comes from, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Signed by a member of the circle with this name.
    Verified {
        /// The name in its certificate. Remote text: escape it before showing it.
        name: String,
    },
    /// Opened by a password, and signed by the key of the sender's id, which the circle does not know: whose it is is not known.
    Unverified,
}

impl Origin {
    /// The name of a verified sender.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Verified { name } => Some(name),
            Self::Unverified => None,
        }
    }
}

/// What is in a transfer.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The table. Its paths are remote text: escape them before showing them.
    pub entries: Vec<Entry>,
    /// BLAKE3 of each plain file, in the order of the table.
    pub sums: Vec<FileDigest>,
}

/// A transfer whose signature, key, table and sums are checked.
pub struct OpenedTransfer {
    /// Its manifest.
    pub manifest: SignedManifest,
    /// Who sent it.
    pub origin: Origin,
    /// What is in it.
    pub listing: Listing,
    key: FileKey,
}

impl OpenedTransfer {
    /// Checks and opens `manifest`, fetching table and sums from `store`.
    ///
    /// # Errors
    /// [`TransferError::Manifest`] if it is not to be trusted, [`TransferError::NotForUs`],
    /// [`TransferError::PasswordNeeded`], [`TransferError::Crypto`], [`TransferError::Integrity`]; those of the store.
    pub async fn open(
        store: &dyn Store,
        manifest: SignedManifest,
        reader: &Reader,
    ) -> Result<Self, TransferError> {
        let origin = check_origin(&manifest, reader, Timestamp::now())?;
        let key = unwrap(manifest.payload(), reader).await?;
        let listing = Listing::fetch(store, manifest.payload(), &key).await?;
        Ok(Self {
            manifest,
            origin,
            listing,
            key,
        })
    }

    pub(super) fn key(&self) -> &FileKey {
        &self.key
    }

    /// Where the content chunk at `index` stands.
    pub(super) fn position(&self, index: u64) -> ChunkPosition {
        let last = index + 1 == self.manifest.payload().chunks.len() as u64;
        ChunkPosition { index, last }
    }

    /// Opens the sealed content chunk at `index`.
    ///
    /// # Errors
    /// [`TransferError::Crypto`], [`TransferError::Integrity`].
    pub fn open_chunk(&self, index: u64, sealed: Bytes) -> Result<Bytes, TransferError> {
        let manifest = self.manifest.payload();
        let position = self.position(index);
        let opener = ChunkOpener::new(&self.key, Stream::Content, manifest.chunk_size);
        let plain = open_bytes(&opener, position, sealed)?;
        let expected = (manifest.size - index * u64::from(manifest.chunk_size))
            .min(u64::from(manifest.chunk_size));
        if plain.len() as u64 == expected {
            return Ok(plain);
        }
        Err(integrity(
            Part::ContentChunk(index),
            Difference::Length {
                length: plain.len(),
                expected,
            },
        ))
    }

    /// Where each file is in the content.
    pub(super) fn spans(&self) -> Spans {
        let entries = self.listing.entries.iter();
        let files = entries.filter(|entry| matches!(entry, Entry::File { .. }));
        let sizes = files.map(|file| self.file_size(file));
        Spans::new(sizes, self.manifest.payload().chunk_size)
    }

    /// The size of the file that is the `entry`; a stream's file has what the others leave.
    pub fn file_size(&self, entry: &Entry) -> u64 {
        match entry {
            Entry::File {
                size: Some(size), ..
            } => *size,
            Entry::File { size: None, .. } => {
                self.manifest.payload().size - self.listing.known_size()
            }
            Entry::Directory { .. } | Entry::Symlink { .. } => 0,
        }
    }
}

impl Listing {
    async fn fetch(
        store: &dyn Store,
        manifest: &Manifest,
        key: &FileKey,
    ) -> Result<Self, TransferError> {
        let (entries, sums) = (
            fetch_table(store, key, manifest.chunk_size, &manifest.table).await?,
            Vec::new(),
        );
        let mut listing = Self { entries, sums };
        if !manifest.sums.is_empty() && listing.file_sizes().next().is_none() {
            let difference = Difference::SumsForNoFile(manifest.sums.len());
            return Err(integrity(Part::Sums, difference));
        }
        let mut lines = Lines::new("sums");
        let mut stream = StreamOpener::new(key, Stream::Sums, manifest.chunk_size, &manifest.sums);
        while let Some(plain) = stream.next(store).await? {
            lines.push(&plain, |line| {
                table::parse_sum(line).map(|sum| listing.sums.push(sum))
            })?;
        }
        lines.finish()?;
        listing.check(manifest.size)?;
        Ok(listing)
    }

    /// What is at the top; foreign text.
    pub fn top_names(&self) -> impl Iterator<Item = &str> {
        let paths = self.entries.iter().map(Entry::path);
        paths.filter(|path| !path.contains('/'))
    }

    /// The files among them, with their digests.
    pub fn top_sums(&self) -> Vec<(String, FileDigest)> {
        top_sums(&self.entries, &self.sums)
    }

    /// Table, sums and content must tell the same.
    fn check(&self, size: u64) -> Result<(), TransferError> {
        let table = |difference| Err(integrity(Part::Table, difference));
        if self.entries.is_empty() {
            return table(Difference::Empty);
        }
        let sizes: Vec<_> = self.file_sizes().collect();
        if sizes.len() != self.sums.len() {
            return table(Difference::SumCount {
                files: sizes.len(),
                sums: self.sums.len(),
            });
        }
        let open_ended = sizes.iter().position(Option::is_none);
        if open_ended.is_some_and(|index| index + 1 != sizes.len()) {
            return table(Difference::UnknownSize);
        }
        let known = sizes
            .iter()
            .flatten()
            .try_fold(0_u64, |sum, size| sum.checked_add(*size));
        match known {
            Some(known) if known == size || (known < size && open_ended.is_some()) => Ok(()),
            _ => table(Difference::Size(size)),
        }
    }

    fn file_sizes(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::File { size, .. } => Some(*size),
            Entry::Directory { .. } | Entry::Symlink { .. } => None,
        })
    }

    fn known_size(&self) -> u64 {
        self.file_sizes().flatten().sum()
    }
}

/// The entries of a table.
pub(super) async fn fetch_table(
    store: &dyn Store,
    key: &FileKey,
    chunk_size: u32,
    table: &[ChunkId],
) -> Result<Vec<Entry>, TransferError> {
    let mut entries = Vec::new();
    let keep = |entry| {
        entries.push(entry);
        ControlFlow::Continue(())
    };
    read_table(store, key, chunk_size, table, u64::MAX, keep).await?;
    Ok(entries)
}

/// Gives the entries in the first `at_most` bytes of a table to `each`, until `each` has seen enough.
pub(super) async fn read_table(
    store: &dyn Store,
    key: &FileKey,
    chunk_size: u32,
    table: &[ChunkId],
    at_most: u64,
    mut each: impl FnMut(Entry) -> ControlFlow<()> + Send,
) -> Result<Seen, TransferError> {
    let (mut lines, mut left) = (Lines::new("table"), at_most);
    let mut flow = ControlFlow::Continue(());
    let mut stream = StreamOpener::new(key, Stream::Table, chunk_size, table);
    while let Some(plain) = stream.next(store).await? {
        if left == 0 {
            return Ok(Seen::Part);
        }
        let length = usize::try_from(left).map_or(plain.len(), |left| left.min(plain.len()));
        lines.push(&plain[..length], |line| {
            if flow.is_continue() {
                flow = each(Entry::parse(line)?);
            }
            Ok(())
        })?;
        left -= length as u64;
        if flow.is_break() || length < plain.len() {
            return Ok(Seen::Part);
        }
    }
    lines.finish()?;
    Ok(Seen::All)
}

/// Opens a stream that is no content, chunk after chunk.
struct StreamOpener<'a> {
    opener: ChunkOpener,
    stream: Stream,
    chunk_size: u32,
    ids: &'a [ChunkId],
    next: usize,
}

impl<'a> StreamOpener<'a> {
    fn new(key: &FileKey, stream: Stream, chunk_size: u32, ids: &'a [ChunkId]) -> Self {
        Self {
            opener: ChunkOpener::new(key, stream, chunk_size),
            stream,
            chunk_size,
            ids,
            next: 0,
        }
    }

    async fn next(&mut self, store: &dyn Store) -> Result<Option<Bytes>, TransferError> {
        let Some(id) = self.ids.get(self.next) else {
            return Ok(None);
        };
        let position = ChunkPosition {
            index: self.next as u64,
            last: self.next + 1 == self.ids.len(),
        };
        self.next += 1;
        let plain = open_bytes(&self.opener, position, store.get_chunk(*id).await?)?;
        if plain.is_empty() || (!position.last && plain.len() != self.chunk_size as usize) {
            let part = Part::StreamChunk {
                stream: self.stream,
                index: position.index,
            };
            return Err(integrity(part, Difference::ChunkLength(plain.len())));
        }
        Ok(Some(plain))
    }
}

/// Opens a chunk where it is, unless somebody else has it too.
pub(super) fn open_bytes(
    opener: &ChunkOpener,
    position: ChunkPosition,
    sealed: Bytes,
) -> Result<Bytes, CryptoError> {
    let mut buffer = sealed
        .try_into_mut()
        .unwrap_or_else(|shared| shared[..].into());
    let length = opener.open(position, &mut buffer)?.len();
    Ok(buffer.freeze().slice(NONCE_LENGTH..NONCE_LENGTH + length))
}

/// Dates and signature. A password transfer may come from somebody whom we do not know, but is then shown as such.
pub(super) fn check_origin(
    manifest: &SignedManifest,
    reader: &Reader,
    now: Timestamp,
) -> Result<Origin, TransferError> {
    match manifest.verify(&*reader.verifier, now) {
        Ok(name) => Ok(Origin::Verified { name }),
        Err(ManifestError::Untrusted(VerifyError::UntrustedSigner { .. }))
            if manifest.payload().has_password() && reader.password.is_some() =>
        {
            manifest.verify_unknown(&*reader.verifier, now)?;
            Ok(Origin::Unverified)
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds our wrap and opens it; the commitment is checked with it.
pub(super) async fn unwrap(manifest: &Manifest, reader: &Reader) -> Result<FileKey, TransferError> {
    let scope = WrapScope {
        key_id: manifest.key_id,
        transfer_id: manifest.transfer_id,
        sender: manifest.sender,
    };
    if let Some(opened) = unwrap_by_key(&manifest.wraps, reader, scope) {
        return Ok(opened?);
    }
    let locked = manifest
        .wraps
        .iter()
        .find(|wrap| wrap.recipient().is_none())
        .cloned();
    match (locked, reader.password.clone()) {
        (Some(wrap), Some(password)) => {
            let opened = blocking(move || wrap.open_with_password(scope, &password)).await;
            Ok(opened.ok_or(TransferError::PasswordNeeded)??)
        }
        (Some(_), None) => Err(TransferError::PasswordNeeded),
        (None, _) => Err(TransferError::NotForUs {
            recipients: manifest.recipients().collect(),
        }),
    }
}

pub(super) fn unwrap_by_key(
    wraps: &[Wrap],
    reader: &Reader,
    scope: WrapScope,
) -> Option<Result<FileKey, CryptoError>> {
    let ours = |key| {
        wraps
            .iter()
            .find_map(|wrap| wrap.open_with_key(scope, reader.me, key))
    };
    reader.seal_keys.iter().find_map(ours)
}

pub(super) fn integrity(part: Part, difference: Difference) -> TransferError {
    TransferError::Integrity { part, difference }
}
