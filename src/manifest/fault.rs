//! How a document contradicts the format: the parameters of [`ManifestError`](super::ManifestError).

use crate::{
    id::{ChunkId, PeerId},
    name::LibraryError,
};

/// How a text is not the JSON that it must be, or not in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// It is not such JSON. The place comes first: the rest may quote the sender at length, and be cut.
    #[error("line {line} column {column}: {cause}")]
    Json {
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
        /// What the parser says.
        cause: LibraryError,
    },
    /// It can be written otherwise.
    #[error("not in its one spelling at byte {at}")]
    Spelling {
        /// The first byte that differs, from 0.
        at: usize,
    },
    /// A time of an entry has as many nanoseconds as make a second.
    #[error("{0} nanoseconds")]
    Nanoseconds(u32),
    /// A stream of lines is too long.
    #[error("longer than {most} bytes")]
    TooLong {
        /// The limit.
        most: u64,
    },
    /// A stream of lines has too many.
    #[error("more than {most} lines")]
    TooManyLines {
        /// The limit.
        most: usize,
    },
    /// A line is too long.
    #[error("a line of more than {most} bytes")]
    LongLine {
        /// The limit.
        most: usize,
    },
    /// A stream of lines ends without a line feed.
    #[error("ends within a line")]
    CutLine,
    /// A stream of lines is not padded.
    #[error("its length is not a multiple of {0}")]
    NotPadded(usize),
    /// A stream of lines goes on behind its padding.
    #[error("a line after the padding")]
    AfterPadding,
}

/// How a field contradicts the format or another field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// The content has another number of chunks than its size makes.
    #[error("{ids} ids, but {size} bytes make {expected} chunks")]
    ChunkCount {
        /// The chunks that are named.
        ids: usize,
        /// Bytes of content.
        size: u64,
        /// The chunks that they make.
        expected: u64,
    },
    /// The content is too large.
    #[error("{size} bytes make more than {most} chunks of {chunk_size}")]
    TooManyChunks {
        /// Bytes of content.
        size: u64,
        /// The limit.
        most: usize,
        /// The size of a chunk.
        chunk_size: u32,
    },
    /// The size of a chunk is not one of the format.
    #[error("{0} is not a power of two from 64 KiB to 64 MiB")]
    ChunkSize(u32),
    /// The table has no chunk, or too many.
    #[error("{ids} ids, but a table has 1 to {most}")]
    TableLength {
        /// The chunks that are named.
        ids: usize,
        /// The limit.
        most: u64,
    },
    /// There are more chunks of sums than the files of a transfer need.
    #[error("{0} ids are more than sums can need")]
    TooManySums(usize),
    /// A chunk is named twice.
    #[error("{0} stands twice")]
    Twice(ChunkId),
    /// It expires before it is made.
    #[error("not after `created`")]
    Dates,
    /// It is not the name of a peer.
    #[error("{rule}")]
    PeerName {
        /// How such a name is.
        rule: &'static str,
    },
    /// A directory has more members than it may.
    #[error("{members} members, at most {most} are allowed")]
    TooManyMembers {
        /// As many are there.
        members: usize,
        /// The limit.
        most: usize,
    },
    /// Members are not in the order of their names, or have one name.
    #[error("not in the order of their names")]
    MemberOrder,
    /// A peer stands twice in a directory.
    #[error("peer {0} stands twice")]
    MemberTwice(PeerId),
    /// The bundle of a member is too long.
    #[error("a bundle of {length} bytes, at most {most} are allowed")]
    LongBundle {
        /// Its length.
        length: usize,
        /// The limit.
        most: usize,
    },
    /// A member has more addresses than it may.
    #[error("{addresses} addresses of one member, at most {most} are allowed")]
    TooManyAddresses {
        /// As many are there.
        addresses: usize,
        /// The limit.
        most: usize,
    },
    /// The address of a member is none, or can be written otherwise.
    #[error("not an address in its one spelling")]
    Address,
}

/// How the wraps of a transfer contradict the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapFault {
    /// A field has another length.
    #[error("`{field}` has {length} bytes instead of {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The length of the format.
        expected: usize,
    },
    /// There is none, or too many.
    #[error("{wraps} wraps, allowed are 1 to {most}")]
    Count {
        /// As many are there.
        wraps: usize,
        /// The limit.
        most: usize,
    },
    /// Two are for passwords.
    #[error("two password wraps")]
    TwoPasswords,
    /// Two are for one peer.
    #[error("two wraps for {0}")]
    Twice(PeerId),
    /// The sender cannot open it.
    #[error("none for the sender")]
    NoneForSender,
}
