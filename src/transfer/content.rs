//! The content of a transfer as one stream of plain chunks, read ahead by one so that the last is known as such.

use std::{
    io::{self, Read as _},
    sync::Mutex,
};

use super::{Sources, TransferError, source_file::SourceFile};
use crate::{
    crypto::{ChunkPosition, PlainBuffer},
    id::FileDigest,
    manifest::table::Entry,
};

impl Sources {
    /// The bytes that `reader` gives, as a file called `name`. `expected` is how many they are, where that is known.
    pub fn stream(
        name: impl Into<String>,
        expected: Option<u64>,
        reader: impl io::Read + Send + 'static,
    ) -> Self {
        Self::Stream {
            name: name.into(),
            expected,
            reader: Mutex::new(Box::new(reader)),
        }
    }

    /// The sizes of the files, in the order of the table.
    pub(super) fn sizes(&self) -> Vec<u64> {
        match self {
            Self::Tree(tree) => tree.files.iter().map(|file| file.size).collect(),
            Self::Stream { .. } => vec![u64::MAX],
        }
    }

    /// The files at the top, by their numbers, with their names.
    pub(super) fn top_files(&self) -> Vec<(usize, String)> {
        match self {
            Self::Tree(tree) => {
                let is_file = |entry: &&Entry| matches!(entry, Entry::File { .. });
                let files = tree.entries.iter().filter(is_file).map(Entry::path);
                let top = files.enumerate().filter(|(_, path)| !path.contains('/'));
                top.map(|(file, path)| (file, path.to_owned())).collect()
            }
            Self::Stream { name, .. } => vec![(0, name.clone())],
        }
    }
}

/// The plain bytes of one content chunk.
#[derive(Debug)]
pub(super) struct PlainChunk {
    /// Where it stands.
    pub position: ChunkPosition,
    /// Its bytes: a full chunk, or the end of the content.
    pub plain: PlainBuffer,
}

/// What was read in all.
#[derive(Debug)]
pub(super) struct Read {
    /// Bytes of content.
    pub size: u64,
    /// What must be the digest of some of the files; see [`SourceFile::check_end`].
    pub again: Vec<ReadAgain>,
}

/// A file that was read twice, because it is not known whether it was written to while it was read.
#[derive(Debug)]
pub(super) struct ReadAgain {
    /// Its number.
    pub file: usize,
    /// The digest of what was read the second time.
    pub digest: FileDigest,
    /// The error if that of the first time is another.
    pub changed: TransferError,
}

/// Reads `files` back to back, and hands chunk after chunk to `each`, which may stop it by an error.
///
/// # Errors
/// [`TransferError::SourceChanged`] if a file is not exactly what was walked, [`TransferError::UnsupportedSource`] if its
/// size is not the number of its bytes, [`TransferError::Source`]; what `each` gives.
pub(super) fn read_files(
    files: &[SourceFile],
    chunk_size: u32,
    each: impl FnMut(PlainChunk) -> Result<(), TransferError>,
) -> Result<Read, TransferError> {
    let (mut chunks, mut again) = (Chunker::new(chunk_size, each), Vec::new());
    for (number, file) in files.iter().enumerate() {
        if let Some(digest) = read_file(file, &mut chunks)? {
            let changed = file.changed();
            again.push(ReadAgain {
                file: number,
                digest,
                changed,
            });
        }
    }
    let size = chunks.finish()?;
    Ok(Read { size, again })
}

/// Reads a stream to its end, as the content of one file. `path` names it in errors.
///
/// # Errors
/// [`TransferError::Source`]; what `each` gives.
pub(super) fn read_stream(
    mut stream: impl io::Read,
    path: &str,
    chunk_size: u32,
    each: impl FnMut(PlainChunk) -> Result<(), TransferError>,
) -> Result<Read, TransferError> {
    let mut chunks = Chunker::new(chunk_size, each);
    let failed = |source| TransferError::Source {
        path: path.into(),
        source,
    };
    while chunks
        .fill_from(&mut stream, u64::MAX)
        .map_err(|e| e.or_source(failed))?
        > 0
    {}
    let (size, again) = (chunks.finish()?, Vec::new());
    Ok(Read { size, again })
}

/// Gives the digest that it must have been, if that is not known otherwise.
fn read_file(
    source: &SourceFile,
    chunks: &mut Chunker<impl FnMut(PlainChunk) -> Result<(), TransferError>>,
) -> Result<Option<FileDigest>, TransferError> {
    let mut file = source.open()?;
    let mut left = source.size;
    while left > 0 {
        let taken = chunks.fill_from(&mut file.file, left);
        let taken = taken.map_err(|e| {
            e.or_source(|error| TransferError::Source {
                path: source.path.clone(),
                source: error,
            })
        })?;
        if taken == 0 {
            return Err(source.other_size(&file));
        }
        left -= taken as u64;
    }
    source.check_end(&mut file)
}

/// Packs bytes into full chunks. A full chunk is handed on only when more bytes follow: then it was not the last.
struct Chunker<F> {
    chunk_size: usize,
    buffer: PlainBuffer,
    next_index: u64,
    each: F,
}

/// Reading failed, or whoever takes the chunks stopped it.
enum FillError {
    Read(io::Error),
    Stopped(TransferError),
}

impl FillError {
    fn or_source(self, source: impl FnOnce(io::Error) -> TransferError) -> TransferError {
        match self {
            Self::Read(error) => source(error),
            Self::Stopped(error) => error,
        }
    }
}

impl<F: FnMut(PlainChunk) -> Result<(), TransferError>> Chunker<F> {
    fn new(chunk_size: u32, each: F) -> Self {
        let chunk_size = chunk_size as usize;
        Self {
            chunk_size,
            buffer: PlainBuffer::with_capacity(chunk_size),
            next_index: 0,
            each,
        }
    }

    /// Takes up to `limit` bytes, at most to the end of the chunk. 0 only at the end of `reader`.
    fn fill_from(&mut self, reader: &mut impl io::Read, limit: u64) -> Result<usize, FillError> {
        let room = self.chunk_size - self.buffer.bytes().len();
        if room == 0 {
            return self.start_next(reader, limit);
        }
        read(reader, limit.min(room as u64), &mut self.buffer)
    }

    /// The chunk is full: it goes as soon as a first byte shows that it is not the last.
    fn start_next(&mut self, reader: &mut impl io::Read, limit: u64) -> Result<usize, FillError> {
        let mut next = PlainBuffer::with_capacity(self.chunk_size);
        let taken = read(reader, limit.min(self.chunk_size as u64), &mut next)?;
        if taken > 0 {
            let full = std::mem::replace(&mut self.buffer, next);
            self.hand_on(full, false).map_err(FillError::Stopped)?;
        }
        Ok(taken)
    }

    fn hand_on(&mut self, plain: PlainBuffer, last: bool) -> Result<(), TransferError> {
        let position = ChunkPosition {
            index: self.next_index,
            last,
        };
        self.next_index += 1;
        (self.each)(PlainChunk { position, plain })
    }

    /// Hands on the last chunk. Gives the bytes of all.
    fn finish(mut self) -> Result<u64, TransferError> {
        let length = self.buffer.bytes().len();
        let size = self.next_index * self.chunk_size as u64 + length as u64;
        if length > 0 {
            let last = std::mem::replace(&mut self.buffer, PlainBuffer::with_capacity(0));
            self.hand_on(last, true)?;
        }
        Ok(size)
    }
}

fn read(
    reader: &mut impl io::Read,
    limit: u64,
    buffer: &mut PlainBuffer,
) -> Result<usize, FillError> {
    let taken = buffer.extend_by(|bytes| reader.take(limit).read_to_end(bytes));
    taken.map_err(FillError::Read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    fn chunks_of(bytes: &[u8]) -> (Vec<PlainChunk>, u64) {
        let mut chunks = Vec::new();
        let total = read_stream(bytes, "-", CHUNK as u32, |chunk| {
            chunks.push(chunk);
            Ok(())
        });
        (chunks, total.unwrap().size)
    }

    #[test]
    fn every_chunk_but_the_last_is_full_and_only_the_last_is_marked() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let (chunks, total) = chunks_of(&bytes);
            assert_eq!(chunks.len(), size.div_ceil(CHUNK), "{size}");
            assert_eq!(
                chunks
                    .iter()
                    .flat_map(|c| c.plain.bytes().to_vec())
                    .collect::<Vec<_>>(),
                bytes
            );
            for (index, chunk) in chunks.iter().enumerate() {
                let last = index + 1 == chunks.len();
                assert_eq!(
                    chunk.position,
                    ChunkPosition {
                        index: index as u64,
                        last
                    }
                );
                assert!(last || chunk.plain.bytes().len() == CHUNK);
            }
            assert_eq!(total, size as u64);
        }
    }
}
