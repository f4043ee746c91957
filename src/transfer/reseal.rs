//! Sealing again what was sent before: the same bytes under the same nonces, and nothing else ever leaves.
//!
//! A nonce that is used again is safe only if the text is the same: two texts under one nonce give away the key that authenticates,
//! and the difference of the two. So a chunk is read once into memory, sealed there with the nonce that was kept, and given out only
//! if its tag is the one that was kept and its SHA-256 the id that stands in our own signed manifest: then it is byte for byte what
//! has been sent already. What differs is overwritten where it is.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    NotAsSent, OpenedTransfer, Reader, TransferError, blocking,
    kept::{KeptSend, KeptSends, place_of},
    left_out,
};
use crate::{
    crypto::{ChunkPosition, ChunkSealer, FileKey, PlainBuffer, Stream, chunk::nonce_and_tag},
    id::{ChunkId, FileDigest, FileHasher, ManifestId},
    manifest::{Manifest, SignedManifest, table::Entry},
    store::Store as _,
};

/// A file of the transfer, and where its bytes are in the content.
struct Source {
    /// What it is called in the table.
    name: String,
    /// Where it was read; `None` if that cannot be read again.
    path: Option<PathBuf>,
    start: u64,
    size: u64,
    sum: FileDigest,
}

/// A transfer that was sent, whose chunks can be had again.
pub struct Resealing {
    kept: KeptSend,
    key: FileKey,
    sealer: ChunkSealer,
    sources: Vec<Source>,
}

impl Resealing {
    /// Opens what is kept of the transfer `id`: its signature is checked, and its table and sums are opened.
    ///
    /// # Errors
    /// As [`OpenedTransfer::open`]; [`StoreError::NotFound`](crate::store::StoreError::NotFound) if nothing is kept of it.
    pub async fn open(
        sends: &KeptSends,
        id: ManifestId,
        reader: &Reader,
    ) -> Result<Arc<Self>, TransferError> {
        let envelope = sends.get_manifest(id).await?;
        let kept = sends.sends.iter().find(|kept| kept.manifest.id() == id);
        let manifest = SignedManifest::parse(envelope)?;
        let kept = kept.ok_or(TransferError::LetGo)?.clone();
        let opened = OpenedTransfer::open(sends, manifest, reader).await?;
        let chunk_size = opened.manifest.payload().chunk_size;
        let sealer = ChunkSealer::new(opened.key(), Stream::Content, chunk_size);
        let files = opened.listing.entries.iter();
        let files = files.filter(|entry| matches!(entry, Entry::File { .. }));
        let mut start = 0;
        let sources = files.zip(&opened.listing.sums).map(|(entry, sum)| {
            let size = opened.file_size(entry);
            let source = Source {
                name: entry.path().to_owned(),
                path: place_of(&kept.places, entry.path()),
                start,
                size,
                sum: *sum,
            };
            start += size;
            source
        });
        let sources = sources.collect();
        Ok(Arc::new(Self {
            kept,
            key: opened.key().clone(),
            sealer,
            sources,
        }))
    }

    /// What was signed.
    pub fn manifest(&self) -> &SignedManifest {
        &self.kept.manifest
    }

    pub(super) fn key(&self) -> &FileKey {
        &self.key
    }

    /// What is kept of it from now on, with another manifest of the same chunks.
    pub(super) fn kept_as(&self, manifest: SignedManifest) -> KeptSend {
        self.kept.with(manifest)
    }

    fn payload(&self) -> &Manifest {
        self.kept.manifest.payload()
    }

    /// The sealed chunk `id` of this transfer, as it was sent.
    ///
    /// # Errors
    /// [`TransferError::NotAsSent`] if a file that is in it is gone or has changed; [`TransferError::Store`] if the transfer has no
    /// such chunk.
    pub async fn chunk(self: &Arc<Self>, id: ChunkId) -> Result<Bytes, TransferError> {
        let sealed = self.kept.sealed.iter().find(|(known, _)| *known == id);
        if let Some((_, sealed)) = sealed {
            return Ok(sealed.clone());
        }
        let index = self.payload().chunks.iter().position(|known| *known == id);
        let index = index.ok_or_else(|| crate::store::no_chunk(id))?;
        let this = self.clone();
        blocking(move || this.seal(index, id)).await
    }

    fn seal(&self, index: usize, id: ChunkId) -> Result<Bytes, TransferError> {
        let payload = self.payload();
        let chunk_size = u64::from(payload.chunk_size);
        let start = index as u64 * chunk_size;
        let end = (start + chunk_size).min(payload.size);
        let plain = self.read(start, end)?;
        let position = ChunkPosition {
            index: index as u64,
            last: index + 1 == payload.chunks.len(),
        };
        let (nonce, tag) = self.kept.seals[index];
        let sealed = self.sealer.seal_again_with(nonce, position, plain);
        if nonce_and_tag(&sealed) == (nonce, tag) && ChunkId::of(&sealed) == id {
            return Ok(sealed.into());
        }
        Err(self.what_differs(start, end))
    }

    /// The files of which something is between two places of the content.
    fn between(&self, start: u64, end: u64) -> impl Iterator<Item = &Source> {
        let first = self
            .sources
            .partition_point(|source| source.start + source.size <= start);
        let rest = self.sources[first..].iter();
        rest.take_while(move |source| source.start < end)
            .filter(|source| source.size > 0)
    }

    fn read(&self, start: u64, end: u64) -> Result<PlainBuffer, TransferError> {
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        let mut plain = PlainBuffer::with_capacity(length);
        for source in self.between(start, end) {
            let (path, file) = source.open()?;
            let from = start.max(source.start) - source.start;
            let until = end.min(source.start + source.size) - source.start;
            let count = usize::try_from(until - from).unwrap_or(usize::MAX);
            let read = plain.extend_by(|bytes| {
                let had = bytes.len();
                bytes.resize(had + count, 0);
                file.read_exact_at(&mut bytes[had..], from)
            });
            read.map_err(|error| source.unreadable(path, error))?;
        }
        Ok(plain)
    }

    /// Which file is another than it was, of those that are between two places of the content.
    fn what_differs(&self, start: u64, end: u64) -> TransferError {
        for source in self.between(start, end) {
            match source.open().and_then(|(path, file)| {
                let sum = digest(&file, source.size);
                let sum = sum.map_err(|error| source.unreadable(path, error))?;
                Ok((sum == source.sum, path.to_owned()))
            }) {
                Ok((true, _)) => {}
                Ok((false, path)) => {
                    let why = NotAsSent::Content;
                    return TransferError::NotAsSent { path, why };
                }
                Err(error) => return error,
            }
        }
        // The files are what they were, so what was kept is not.
        let path = PathBuf::from(self.payload().transfer_id.to_string());
        let why = NotAsSent::Kept;
        TransferError::NotAsSent { path, why }
    }
}

impl Source {
    fn open(&self) -> Result<(&Path, File), TransferError> {
        let not_as_sent = |path: &Path, why| TransferError::NotAsSent {
            path: path.to_owned(),
            why,
        };
        let Some(path) = self.path.as_deref() else {
            return Err(not_as_sent(Path::new(&self.name), NotAsSent::Stream));
        };
        let file = left_out::open(path).map_err(|error| self.unreadable(path, error))?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| self.unreadable(path, error))?;
        if !metadata.is_file() {
            return Err(not_as_sent(path, NotAsSent::NoFile));
        }
        let (was, is) = (self.size, metadata.len());
        match was == is {
            true => Ok((path, file)),
            false => Err(not_as_sent(path, NotAsSent::Size { was, is })),
        }
    }

    fn unreadable(&self, path: &Path, error: io::Error) -> TransferError {
        let path = path.to_owned();
        let is_gone = matches!(
            error
                .raw_os_error()
                .map(rustix::io::Errno::from_raw_os_error),
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP)
        ) || error.kind() == io::ErrorKind::UnexpectedEof;
        match is_gone {
            true => TransferError::NotAsSent {
                path,
                why: NotAsSent::Gone,
            },
            false => TransferError::Source {
                path,
                source: error,
            },
        }
    }
}

fn digest(file: &File, size: u64) -> io::Result<FileDigest> {
    let (mut hasher, mut buffer, mut at) = (FileHasher::default(), vec![0; 1 << 20], 0);
    while at < size {
        let count = usize::try_from(size - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        file.read_exact_at(&mut buffer[..count], at)?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok(hasher.finish())
}
