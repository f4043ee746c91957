//! BLAKE3 of a file whose pieces are hashed apart: in any order, in any thread.
//!
//! BLAKE3 is a tree over leaves of 1,024 bytes. Leaves `n` to `n + 2^k - 1` form a subtree wherever `n` is a multiple of `2^k`,
//! however long the file is, and a subtree is known by a value of 32 bytes. So a piece of a file is known by the values of the
//! subtrees in it, and by the bytes of the leaves that it has only in part: at most two edges, each shorter than a leaf. The root
//! is computed differently from all other nodes. That is why a piece that is the whole file has its digest, and why subtrees that
//! begin at 0 are joined last: only then is it known which of them is below the root.

use std::{collections::BTreeMap, iter};

use blake3::{
    Hasher,
    hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root},
};

use super::FileDigest;

/// Bytes of a leaf; the last one of a file may have fewer.
const LEAF: u64 = blake3::CHUNK_LEN as u64;
/// The end of the longest file that a file system can have.
const LAST: u64 = i64::MAX as u64;
/// Bytes of a value.
const VALUE: usize = blake3::OUT_LEN;

/// What stands for a subtree.
type Value = [u8; VALUE];

/// What is known of a piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// It is the whole file.
    Whole(FileDigest),
    /// It is a part of it.
    Part(Box<Part>),
}

/// What is known of a part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    start: u64,
    length: u64,
    /// The bytes before the first border of leaves.
    head: Vec<u8>,
    /// The values of the subtrees between, from left to right, as `subtrees` lists them.
    values: Vec<Value>,
    /// The bytes after the last border.
    tail: Vec<u8>,
}

impl Piece {
    /// Of `bytes`, which begin at `start` of a file of `size` bytes; a size that is not known is [`u64::MAX`].
    pub fn of(bytes: &[u8], start: u64, size: u64) -> Self {
        if start == 0 && bytes.len() as u64 == size {
            return Self::Whole(FileDigest::of(bytes));
        }
        let cut = Cut::of(start, bytes.len() as u64);
        let (head, rest) = bytes.split_at(cut.head);
        let (mut rest, tail) = rest.split_at(rest.len() - cut.tail);
        let values = cut.subtrees().map(|(at, length)| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let (subtree, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            value(subtree, at)
        });
        Self::Part(Box::new(Part {
            start,
            length: bytes.len() as u64,
            values: values.collect(),
            head: head.to_vec(),
            tail: tail.to_vec(),
        }))
    }

    /// Appends it to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(digest) => {
                out.push(b'w');
                out.extend_from_slice(digest.as_bytes());
            }
            Self::Part(part) => {
                out.push(b'p');
                out.extend_from_slice(&part.start.to_be_bytes());
                out.extend_from_slice(&part.length.to_be_bytes());
                out.extend_from_slice(&part.head);
                out.extend_from_slice(part.values.as_flattened());
                out.extend_from_slice(&part.tail);
            }
        }
    }

    /// Takes one from the beginning of `bytes`; `None` if there is none.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        match kind {
            b'w' => Some(Self::Whole(FileDigest::from_bytes(take_array(bytes)?))),
            b'p' => {
                let start = u64::from_be_bytes(take_array(bytes)?);
                let length = u64::from_be_bytes(take_array(bytes)?);
                end_of(start, length)?;
                let cut = Cut::of(start, length);
                let head = take(bytes, cut.head)?.to_vec();
                let values = cut.subtrees().map(|_| take_array(bytes));
                let values = values.collect::<Option<_>>()?;
                let tail = take(bytes, cut.tail)?.to_vec();
                Some(Self::Part(Box::new(Part {
                    start,
                    length,
                    head,
                    values,
                    tail,
                })))
            }
            _ => None,
        }
    }
}

fn end_of(start: u64, length: u64) -> Option<u64> {
    start.checked_add(length).filter(|end| *end <= LAST)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Where a part is cut: an edge, subtrees, an edge.
struct Cut {
    head: usize,
    tail: usize,
    from: u64,
    to: u64,
}

impl Cut {
    fn of(start: u64, length: u64) -> Self {
        let end = start + length;
        let from = start.next_multiple_of(LEAF).min(end);
        let to = (end - end % LEAF).max(from);
        let edge = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            head: edge(from - start),
            tail: edge(end - to),
            from,
            to,
        }
    }

    /// The largest subtrees, from left to right: where each begins, and its length.
    fn subtrees(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (mut at, to) = (self.from, self.to);
        iter::from_fn(move || {
            let left = (to - at) / LEAF;
            let fits = 1_u64 << left.checked_ilog2()?;
            let begins = match at / LEAF {
                0 => fits,
                leaf => 1 << leaf.trailing_zeros(),
            };
            let subtree = (at, fits.min(begins) * LEAF);
            at += subtree.1;
            Some(subtree)
        })
    }
}

/// The value of the subtree of `bytes`, which begins at `at`.
fn value(bytes: &[u8], at: u64) -> Value {
    Hasher::new()
        .set_input_offset(at)
        .update(bytes)
        .finalize_non_root()
}

/// Joins the pieces of one file, in whatever order they come. What it holds is small: of pieces that come in order, a value for
/// each doubling of the length, and an edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Join {
    whole: Option<FileDigest>,
    /// By where they begin; each with its length.
    subtrees: BTreeMap<u64, (u64, Value)>,
    /// Bytes of leaves that are not complete, by where they begin. The first leaf stays here: it may be the whole file.
    edges: BTreeMap<u64, Vec<u8>>,
}

impl Join {
    /// Adds a piece.
    pub fn add(&mut self, piece: Piece) {
        match piece {
            Piece::Whole(digest) => self.whole = Some(digest),
            Piece::Part(part) => self.add_part(*part),
        }
    }

    fn add_part(&mut self, part: Part) {
        let cut = Cut::of(part.start, part.length);
        for ((at, length), value) in cut.subtrees().zip(part.values) {
            self.add_subtree(at, length, value);
        }
        self.add_edge(part.start, part.head);
        self.add_edge(cut.to, part.tail);
    }

    fn add_edge(&mut self, mut at: u64, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let left = self.edges.range(..at).next_back();
        let left = left.map(|(left, edge)| (*left, *left + edge.len() as u64));
        if let Some((left, end)) = left
            && end == at
            && !at.is_multiple_of(LEAF)
            && let Some(mut edge) = self.edges.remove(&left)
        {
            edge.append(&mut bytes);
            (at, bytes) = (left, edge);
        }
        let end = at + bytes.len() as u64;
        if !end.is_multiple_of(LEAF)
            && let Some(right) = self.edges.remove(&end)
        {
            bytes.extend(right);
        }
        if at > 0 && bytes.len() as u64 == LEAF {
            self.add_subtree(at, LEAF, value(&bytes, at));
        } else {
            self.edges.insert(at, bytes);
        }
    }

    /// Adds a subtree, and joins it with those beside it that have the same length, but for what begins at 0.
    fn add_subtree(&mut self, mut at: u64, mut length: u64, mut value: Value) {
        loop {
            let is_right = (at / length) % 2 == 1;
            let (parent, beside) = match is_right {
                true => (at - length, at - length),
                false => (at, at + length),
            };
            let same = |(other, _): &&(u64, Value)| *other == length;
            let beside = self.subtrees.get(&beside).filter(same).map(|found| found.1);
            let Some(other) = beside.filter(|_| parent > 0) else {
                self.subtrees.insert(at, (length, value));
                return;
            };
            self.subtrees
                .remove(&(if is_right { parent } else { at + length }));
            let (left, right) = if is_right {
                (other, value)
            } else {
                (value, other)
            };
            value = merge_subtrees_non_root(&left, &right, Mode::Hash);
            (at, length) = (parent, length * 2);
        }
    }

    /// The digest of the file, which has `size` bytes; `None` unless each of them was in exactly one piece.
    pub fn finish(mut self, size: u64) -> Option<FileDigest> {
        if let Some(whole) = self.whole {
            return (self.subtrees.is_empty() && self.edges.is_empty()).then_some(whole);
        }
        if size <= LEAF {
            let bytes = self.edges.remove(&0).unwrap_or_default();
            let is_all = self.edges.is_empty() && self.subtrees.is_empty();
            return (is_all && bytes.len() as u64 == size).then(|| FileDigest::of(&bytes));
        }
        for (at, bytes) in std::mem::take(&mut self.edges) {
            let length = bytes.len() as u64;
            let is_leaf = at.is_multiple_of(LEAF) && (length == LEAF || at + length == size);
            if !is_leaf || self.subtrees.contains_key(&at) {
                return None;
            }
            self.subtrees.insert(at, (length, value(&bytes, at)));
        }
        root(self.subtrees, size)
    }

    /// What it knows of the first `length` bytes, in the form that [`read`](Self::read) reads.
    pub fn write(&self, length: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for (at, (bytes, value)) in self.subtrees.range(..length) {
            out.push(b's');
            out.extend_from_slice(&at.to_be_bytes());
            out.extend_from_slice(&bytes.to_be_bytes());
            out.extend_from_slice(value);
        }
        for (at, bytes) in self.edges.range(..length) {
            out.push(b'e');
            out.extend_from_slice(&at.to_be_bytes());
            out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            out.extend_from_slice(bytes);
        }
        out
    }

    /// What was written; `None` if it is not that.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut join = Self::default();
        let bytes = &mut bytes;
        while let Some((kind, rest)) = bytes.split_first() {
            *bytes = rest;
            let at = u64::from_be_bytes(take_array(bytes)?);
            let length = u64::from_be_bytes(take_array(bytes)?);
            let end = end_of(at, length)?;
            match kind {
                b's' => {
                    let subtree = (length, take_array(bytes)?);
                    join.subtrees.insert(at, subtree);
                }
                b'e' if length > 0 && at / LEAF == (end - 1) / LEAF => {
                    let edge = take(bytes, usize::try_from(length).ok()?)?;
                    join.edges.insert(at, edge.to_vec());
                }
                _ => return None,
            }
        }
        Some(join)
    }
}

/// The digest of a file of `size` bytes, more than a leaf, with these subtrees.
fn root(subtrees: BTreeMap<u64, (u64, Value)>, size: u64) -> Option<FileDigest> {
    let mut row: Vec<(u64, Value)> = Vec::new();
    let mut end = 0;
    for (at, (length, value)) in subtrees {
        if at != end {
            return None;
        }
        end = at.checked_add(length)?;
        row.push((length, value));
        // Only at the beginning are there two of one length side by side: the others were joined as they came.
        while end < size
            && let [.., (left_length, left), (length, right)] = &row[..]
            && left_length == length
        {
            let parent = (length * 2, merge_subtrees_non_root(left, right, Mode::Hash));
            row.truncate(row.len() - 2);
            row.push(parent);
        }
    }
    let (_, mut right) = row.pop().filter(|_| end == size)?;
    let (_, first) = (!row.is_empty()).then(|| row.remove(0))?;
    for (_, left) in row.into_iter().rev() {
        right = merge_subtrees_non_root(&left, &right, Mode::Hash);
    }
    Some(merge_subtrees_root(&first, &right, Mode::Hash).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    /// The pieces of a file that is cut at `cuts`.
    fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Piece> {
        let size = bytes.len() as u64;
        let mut borders: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        borders.extend([0, bytes.len()]);
        borders.sort_unstable();
        borders.dedup();
        let pieces = borders.windows(2).map(|pair| {
            let piece = Piece::of(&bytes[pair[0]..pair[1]], pair[0] as u64, size);
            let mut written = Vec::new();
            piece.write(&mut written);
            let mut rest = &written[..];
            assert_eq!(Piece::read(&mut rest), Some(piece.clone()));
            assert!(rest.is_empty());
            piece
        });
        pieces.collect()
    }

    fn joined(pieces: impl IntoIterator<Item = Piece>, size: usize) -> Option<FileDigest> {
        let mut join = Join::default();
        pieces.into_iter().for_each(|piece| join.add(piece));
        join.finish(size as u64)
    }

    #[test]
    fn pieces_of_every_interesting_length_make_the_digest_of_the_whole_in_every_order() {
        let borders = (0..=7).flat_map(|power| [-1, 0, 1].map(|by| (1024 << power) + by));
        for length in borders.chain([0, 1, 2, 3 * 1024, 100_000]) {
            let length = usize::try_from(length).unwrap();
            let bytes = content(length);
            let expected = FileDigest::of(&bytes);
            for first in [0, 1, 1023, 1024, 1025, 4096] {
                for step in [1023, 1024, 1025, 5000, 65_536] {
                    let cuts: Vec<_> = (first..length).step_by(step).collect();
                    let pieces = pieces(&bytes, &cuts);
                    let forward = joined(pieces.iter().cloned(), length);
                    let backward = joined(pieces.into_iter().rev(), length);
                    assert_eq!(
                        (forward, backward),
                        (Some(expected), Some(expected)),
                        "{length} bytes, cut at {first} and every {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_missing_or_comes_twice_has_no_digest() {
        let bytes = content(10_000);
        let all = pieces(&bytes, &[1000, 3000, 4096, 8192]);
        for left_out in 0..all.len() {
            let mut rest = all.clone();
            let out = rest.remove(left_out);
            assert_eq!(
                joined(rest.clone(), bytes.len()),
                None,
                "without {left_out}"
            );
            let twice = Piece::of(&bytes[..5], 0, 10_000);
            assert_eq!(joined(all.iter().cloned().chain([twice]), 10_000), None);
            rest.push(out);
            assert_eq!(joined(rest.clone(), 9_999), None);
            assert_eq!(joined(rest, 10_001), None);
        }
        assert_eq!(joined([], 1), None);
        assert_eq!(joined([], 0), Some(FileDigest::of(b"")));
    }

    #[test]
    fn pieces_that_come_in_order_leave_little_to_hold() {
        let mut join = Join::default();
        let piece = content(64 << 10);
        for number in 0..5_000 {
            let start = 700 + number * piece.len() as u64;
            join.add(Piece::of(&piece, start, u64::MAX));
            assert!(
                join.subtrees.len() < 32 && join.edges.len() <= 2,
                "{number}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_file_is_the_same_however_it_is_cut(
            length in 0_usize..40_000,
            cuts in prop::collection::vec(any::<usize>(), 0..30),
            order in any::<u64>(),
            kept in any::<prop::sample::Index>(),
        ) {
            let bytes = content(length);
            let expected = Some(FileDigest::of(&bytes));
            let in_order = pieces(&bytes, &cuts);
            let mut shuffled: Vec<_> = in_order.iter().cloned().enumerate().collect();
            shuffled.sort_by_key(|(place, _)| (*place as u64).wrapping_mul(order | 1));
            prop_assert_eq!(joined(shuffled.into_iter().map(|(_, piece)| piece), length), expected);
            // What was kept of the beginning goes on with the rest, also if something of the rest had come before.
            let (mut join, mut done) = (Join::default(), 0);
            let begun = kept.index(in_order.len() + 1);
            for piece in &in_order[..begun] {
                join.add(piece.clone());
                done += match piece {
                    Piece::Whole(_) => 0,
                    Piece::Part(part) => part.length,
                };
            }
            if let Some(last @ Piece::Part(_)) = in_order.get(begun + 1..).and_then(<[_]>::last) {
                join.add(last.clone());
            }
            let mut again = Join::read(&join.write(done)).unwrap();
            for piece in &in_order[begun..] {
                again.add(piece.clone());
            }
            if !matches!(in_order[..], [Piece::Whole(_)]) || begun == 0 {
                prop_assert_eq!(again.finish(length as u64), expected);
            }
        }

        #[test]
        fn what_is_no_piece_is_refused_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in ["w", "p", "s", "e", ""] {
                let bytes = [kind.as_bytes(), &bytes].concat();
                let read = Piece::read(&mut &bytes[..]);
                let mut join = Join::read(&bytes).unwrap_or_default();
                read.into_iter().for_each(|piece| join.add(piece));
                let _ = join.finish(bytes.len() as u64);
            }
        }
    }
}
