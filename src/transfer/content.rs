//! The content of a transfer as one stream of plain chunks, read ahead by one so that the last is known as such.

use std::{io::Read, ops::Range, sync::Mutex};

use super::{Sources, TransferError, source_file::SourceFile};
use crate::{
    crypto::{ChunkPosition, PlainBuffer},
    id::{Digest, Hasher},
};

impl Sources {
    /// The bytes that `reader` gives, as a file called `name`. `expected` is how many they are, where that is known.
    pub fn stream(
        name: impl Into<String>,
        expected: Option<u64>,
        reader: impl Read + Send + 'static,
    ) -> Self {
        Self::Stream {
            name: name.into(),
            expected,
            reader: Mutex::new(Box::new(reader)),
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
pub(super) struct Total {
    /// Bytes of content.
    pub size: u64,
    /// SHA-256 of each file, in the order of the table.
    pub sums: Vec<Digest>,
}

/// Reads `files` back to back, hashes each, and hands chunk after chunk to `each`, which may stop it by an error.
///
/// # Errors
/// [`TransferError::SourceChanged`] if a file is not exactly what was walked, [`TransferError::UnsupportedSource`] if its
/// size is not the number of its bytes, [`TransferError::Source`]; what `each` gives.
pub(super) fn read_files(
    files: &[SourceFile],
    chunk_size: u32,
    each: impl FnMut(PlainChunk) -> Result<(), TransferError>,
) -> Result<Total, TransferError> {
    let mut chunks = Chunker::new(chunk_size, each);
    for file in files {
        read_file(file, &mut chunks)?;
    }
    chunks.finish()
}

/// Reads a stream to its end, as the content of one file. `path` names it in errors.
///
/// # Errors
/// [`TransferError::Source`]; what `each` gives.
pub(super) fn read_stream(
    mut stream: impl Read,
    path: &str,
    chunk_size: u32,
    each: impl FnMut(PlainChunk) -> Result<(), TransferError>,
) -> Result<Total, TransferError> {
    let mut chunks = Chunker::new(chunk_size, each);
    let mut hasher = Hasher::default();
    while let taken @ 1.. = {
        let taken = chunks.fill_from(&mut stream, u64::MAX);
        taken.map_err(|e| {
            e.or_source(|source| TransferError::Source {
                path: path.into(),
                source,
            })
        })?
    } {
        hasher.update(chunks.newest(taken));
    }
    chunks.sums.push(hasher.finish());
    chunks.finish()
}

fn read_file(
    source: &SourceFile,
    chunks: &mut Chunker<impl FnMut(PlainChunk) -> Result<(), TransferError>>,
) -> Result<(), TransferError> {
    let mut file = source.open()?;
    let mut hasher = Hasher::default();
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
        if taken as u64 == source.size {
            chunks.sum_with_others(taken);
            return source.check_end(&mut file, || Digest::of(chunks.newest(taken)));
        }
        hasher.update(chunks.newest(taken));
    }
    let sum = hasher.finish();
    chunks.sums.push(sum);
    source.check_end(&mut file, || sum)
}

/// Packs bytes into full chunks. A full chunk is handed on only when more bytes follow: then it was not the last.
struct Chunker<F> {
    chunk_size: usize,
    buffer: PlainBuffer,
    next_index: u64,
    each: F,
    /// The digest of each file so far.
    sums: Vec<Digest>,
    /// The files that are in the buffer from beginning to end: their place in `sums`, and where they are.
    whole: Vec<(usize, Range<usize>)>,
}

/// Reading failed, or whoever takes the chunks stopped it.
enum FillError {
    Read(std::io::Error),
    Stopped(TransferError),
}

impl FillError {
    fn or_source(self, source: impl FnOnce(std::io::Error) -> TransferError) -> TransferError {
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
            sums: Vec::new(),
            whole: Vec::new(),
        }
    }

    /// Takes up to `limit` bytes, at most to the end of the chunk. 0 only at the end of `reader`.
    fn fill_from(&mut self, reader: &mut impl Read, limit: u64) -> Result<usize, FillError> {
        let room = self.chunk_size - self.buffer.bytes().len();
        if room == 0 {
            return self.start_next(reader, limit);
        }
        read(reader, limit.min(room as u64), &mut self.buffer)
    }

    /// The chunk is full: it goes as soon as a first byte shows that it is not the last.
    fn start_next(&mut self, reader: &mut impl Read, limit: u64) -> Result<usize, FillError> {
        let mut next = PlainBuffer::with_capacity(self.chunk_size);
        let taken = read(reader, limit.min(self.chunk_size as u64), &mut next)?;
        if taken > 0 {
            self.sum_whole();
            let full = std::mem::replace(&mut self.buffer, next);
            self.hand_on(full, false).map_err(FillError::Stopped)?;
        }
        Ok(taken)
    }

    /// The last `count` bytes that were taken.
    fn newest(&self, count: usize) -> &[u8] {
        let bytes = self.buffer.bytes();
        &bytes[bytes.len() - count..]
    }

    /// A file ends whose bytes are the last `count`. Small files are hashed together, which may be faster.
    fn sum_with_others(&mut self, count: usize) {
        let end = self.buffer.bytes().len();
        self.whole.push((self.sums.len(), end - count..end));
        self.sums.push(Digest::from_bytes([0; 32]));
    }

    fn sum_whole(&mut self) {
        let bytes = self.buffer.bytes();
        let files = self.whole.iter().map(|(_, range)| &bytes[range.clone()]);
        let digests = Digest::of_each(&files.collect::<Vec<_>>());
        for ((place, _), digest) in self.whole.drain(..).zip(digests) {
            self.sums[place] = digest;
        }
    }

    fn hand_on(&mut self, plain: PlainBuffer, last: bool) -> Result<(), TransferError> {
        let position = ChunkPosition {
            index: self.next_index,
            last,
        };
        self.next_index += 1;
        (self.each)(PlainChunk { position, plain })
    }

    /// Hands on the last chunk.
    fn finish(mut self) -> Result<Total, TransferError> {
        self.sum_whole();
        let length = self.buffer.bytes().len();
        let size = self.next_index * self.chunk_size as u64 + length as u64;
        if length > 0 {
            let last = std::mem::replace(&mut self.buffer, PlainBuffer::with_capacity(0));
            self.hand_on(last, true)?;
        }
        let sums = self.sums;
        Ok(Total { size, sums })
    }
}

fn read(reader: &mut impl Read, limit: u64, buffer: &mut PlainBuffer) -> Result<usize, FillError> {
    let taken = buffer.extend_by(|bytes| reader.take(limit).read_to_end(bytes));
    taken.map_err(FillError::Read)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    fn chunks_of(bytes: &[u8]) -> (Vec<PlainChunk>, Total) {
        let mut chunks = Vec::new();
        let total = read_stream(bytes, "-", CHUNK as u32, |chunk| {
            chunks.push(chunk);
            Ok(())
        });
        (chunks, total.unwrap())
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
            assert_eq!(
                (total.size, total.sums),
                (size as u64, vec![Digest::of(&bytes)])
            );
        }
    }
}
