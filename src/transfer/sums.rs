//! The digests of the files of a transfer, from what each chunk of its content tells of them.
//!
//! Files are back to back in the content, so a chunk has the end of one file, whole files, and the beginning of another. What it
//! tells of each is computed where the chunk is sealed or opened, in any thread, and joined in any order. So no step of a transfer
//! must wait for the one before it, and what was told can be kept, so that a file need not be hashed again.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    crypto::ChunkPosition,
    id::{FileDigest, Join, Piece},
    manifest::table::Entry,
};

/// Where each file of a transfer is in its content.
#[derive(Debug)]
pub(super) struct Spans {
    /// Where each ends.
    ends: Vec<u64>,
    chunk_size: u32,
}

/// A part of a file that is in a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    /// The number of the file.
    pub(super) file: usize,
    /// Where the part begins in the file.
    pub(super) start: u64,
    /// Where it is in the chunk.
    pub(super) range: Range<usize>,
    /// Bytes of the file.
    pub(super) size: u64,
}

impl Spans {
    /// Of files of these `sizes`, in their order, in chunks of `chunk_size` bytes. The last may have all that comes: [`u64::MAX`].
    pub(super) fn new(sizes: impl IntoIterator<Item = u64>, chunk_size: u32) -> Self {
        let mut end = 0_u64;
        let ends = sizes.into_iter().map(|size| {
            end = end.saturating_add(size);
            end
        });
        let ends = ends.collect();
        Self { ends, chunk_size }
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.ends.len()
    }

    /// Where a file begins and ends.
    pub(super) fn of_file(&self, file: usize) -> Range<u64> {
        let start = file.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[file]
    }

    /// The file that the content goes on with in its middle at `offset`, and how much of it is before.
    pub(super) fn open_at(&self, offset: u64) -> Option<(usize, u64)> {
        let file = self.ends.partition_point(|end| *end <= offset);
        let whole = (file < self.ends.len()).then(|| self.of_file(file))?;
        let before = offset.checked_sub(whole.start)?;
        (before > 0).then_some((file, before))
    }

    /// The file that ends at `offset`, where one does.
    pub(super) fn ending_at(&self, offset: u64) -> Option<usize> {
        let file = self.ends.partition_point(|end| *end < offset);
        (offset > 0 && self.ends.get(file) == Some(&offset)).then_some(file)
    }

    /// Where the chunk at `index` begins.
    pub(super) fn offset_of(&self, index: u64) -> u64 {
        let end = self.ends.last().copied().unwrap_or(0);
        index.saturating_mul(u64::from(self.chunk_size)).min(end)
    }

    /// The files of which something is in the chunk at `index`, which has `length` bytes. None is empty.
    pub(super) fn in_chunk(&self, index: u64, length: usize) -> impl Iterator<Item = Span> + '_ {
        let start = index * u64::from(self.chunk_size);
        let end = start + length as u64;
        let first = self.ends.partition_point(|end| *end <= start);
        let files = (first..self.ends.len()).map(|file| (file, self.of_file(file)));
        let files = files.take_while(move |(_, whole)| whole.start < end);
        let files = files.filter(|(_, whole)| !whole.is_empty());
        files.map(move |(file, whole)| {
            let (from, until) = (whole.start.max(start), whole.end.min(end));
            let in_chunk = |at: u64| usize::try_from(at - start).unwrap_or(length);
            Span {
                file,
                start: from - whole.start,
                range: in_chunk(from)..in_chunk(until),
                size: whole.end - whole.start,
            }
        })
    }

    /// What the chunk at `position`, whose bytes are `plain`, tells of the files in it.
    pub(super) fn sum(&self, position: ChunkPosition, plain: &[u8]) -> ChunkSums {
        let of_part = |span: Span| {
            // The last chunk tells where a file ends whose size is not known.
            let known = span.start + span.range.len() as u64;
            let size = if position.last { known } else { span.size };
            (span.file, Piece::of(&plain[span.range], span.start, size))
        };
        let parts = self.in_chunk(position.index, plain.len());
        ChunkSums(parts.map(of_part).collect())
    }
}

/// What a chunk tells of the files in it: by their numbers, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChunkSums(pub(super) Vec<(usize, Piece)>);

impl ChunkSums {
    /// In the form that [`parse`](Self::parse) takes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (file, piece) in &self.0 {
            bytes.extend_from_slice(&(*file as u64).to_be_bytes());
            piece.write(&mut bytes);
        }
        bytes
    }

    /// `None` for what is not that.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        while let Some((file, rest)) = bytes.split_first_chunk::<8>() {
            bytes = rest;
            let file = usize::try_from(u64::from_be_bytes(*file)).ok()?;
            parts.push((file, Piece::read(&mut bytes)?));
        }
        bytes.is_empty().then_some(Self(parts))
    }
}

/// The files at the top of a table, with their digests. `sums` are those of all files of `entries`, in their order.
pub(super) fn top_sums(entries: &[Entry], sums: &[FileDigest]) -> Vec<(String, FileDigest)> {
    let is_file = |entry: &&Entry| matches!(entry, Entry::File { .. });
    let files = entries.iter().filter(is_file).zip(sums);
    let top = files.filter(|(entry, _)| !entry.path().contains('/'));
    top.map(|(entry, sum)| (entry.path().to_owned(), *sum))
        .collect()
}

/// Collects the digests of all files.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) spans: Spans,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Of files that are not empty, what was told last.
    digests: Vec<FileDigest>,
    /// Those of which there are parts.
    parts: HashMap<usize, Join>,
    /// Those that were in one chunk.
    whole: usize,
}

impl Sums {
    pub(super) fn new(spans: Spans) -> Self {
        let state = State {
            digests: vec![FileDigest::of(&[]); spans.files()],
            parts: HashMap::new(),
            whole: 0,
        };
        let state = Mutex::new(state);
        Self { spans, state }
    }

    /// Adds what a chunk tells.
    pub(super) fn add(&self, sums: ChunkSums) {
        let mut state = self.lock();
        for (file, piece) in sums.0 {
            match piece {
                Piece::Whole(digest) if file < state.digests.len() => {
                    state.digests[file] = digest;
                    state.whole += 1;
                }
                piece => state.parts.entry(file).or_default().add(piece),
            }
        }
    }

    /// The digest of each file; `None` unless all of the content, which has `size` bytes, was added once.
    pub(super) fn finish(&self, size: u64) -> Option<Vec<FileDigest>> {
        let mut state = self.lock();
        let mut digests = std::mem::take(&mut state.digests);
        let ends = |file: usize| self.spans.of_file(file).end.min(size);
        let has_content = |file: &usize| self.spans.of_file(*file).start < ends(*file);
        let wanted = (0..digests.len()).filter(has_content).count();
        if state.whole + state.parts.len() != wanted {
            return None;
        }
        for (file, join) in state.parts.drain() {
            let length = ends(file).checked_sub(self.spans.of_file(file).start)?;
            digests[file] = join.finish(length)?;
        }
        Some(digests)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNK: usize = 64 << 10;

    /// What each chunk of `content` tells, where a journal has kept it meanwhile.
    fn told(spans: &Spans, content: &[u8]) -> Vec<ChunkSums> {
        let chunks = content.chunks(CHUNK).enumerate();
        let last = content.len().div_ceil(CHUNK);
        let told = chunks.map(|(index, plain)| {
            let position = ChunkPosition {
                index: index as u64,
                last: index + 1 == last,
            };
            let told = spans.sum(position, plain);
            let kept = ChunkSums::parse(&told.to_bytes());
            assert_eq!(kept.as_ref(), Some(&told));
            told
        });
        told.collect()
    }

    fn content(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at % 251) as u8).collect()
    }

    proptest! {
        #[test]
        fn chunks_in_any_order_tell_the_digest_of_every_file(
            sizes in prop::collection::vec(
                prop_oneof![0_usize..3000, Just(0), Just(1024), (0_usize..200_000), Just(CHUNK)], 0..20
            ),
            order in any::<u64>(),
            left_out in any::<prop::sample::Index>(),
        ) {
            let content = content(sizes.iter().sum());
            let mut rest = &content[..];
            let expected = sizes.iter().map(|size| {
                let (file, after) = rest.split_at(*size);
                rest = after;
                FileDigest::of(file)
            });
            let expected: Vec<_> = expected.collect();
            let spans = || Spans::new(sizes.iter().map(|size| *size as u64), CHUNK as u32);
            let (sums, size) = (Sums::new(spans()), content.len() as u64);
            let mut told: Vec<_> = told(&sums.spans, &content).into_iter().enumerate().collect();
            told.sort_by_key(|(index, _)| (*index as u64).wrapping_mul(order | 1));
            told.iter().for_each(|(_, told)| sums.add(told.clone()));
            prop_assert_eq!(sums.finish(size), Some(expected));
            if !told.is_empty() {
                told.remove(left_out.index(told.len()));
                let sums = Sums::new(spans());
                told.into_iter().for_each(|(_, told)| sums.add(told));
                prop_assert_eq!(sums.finish(size), None);
            }
        }
    }

    #[test]
    fn a_stream_ends_where_its_last_chunk_does() {
        for size in [
            0,
            1,
            1024,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK,
            3 * CHUNK + 1025,
        ] {
            let content = content(size);
            let sums = Sums::new(Spans::new([u64::MAX], CHUNK as u32));
            let told = told(&sums.spans, &content);
            told.into_iter().rev().for_each(|told| sums.add(told));
            let found = sums.finish(size as u64);
            assert_eq!(found, Some(vec![FileDigest::of(&content)]), "{size}");
        }
    }

    #[test]
    fn where_the_content_stands_in_its_files_is_known() {
        let spans = Spans::new([10, 0, 0, 20, 0], CHUNK as u32);
        assert_eq!((spans.open_at(0), spans.ending_at(0)), (None, None));
        assert_eq!((spans.open_at(9), spans.ending_at(9)), (Some((0, 9)), None));
        assert_eq!((spans.open_at(10), spans.ending_at(10)), (None, Some(0)));
        assert_eq!(
            (spans.open_at(11), spans.ending_at(11)),
            (Some((3, 1)), None)
        );
        assert_eq!((spans.open_at(30), spans.ending_at(30)), (None, Some(3)));
    }
}
