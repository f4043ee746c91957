//! What of a transfer is not as it was signed, and what is too much for one: the parameters of
//! [`TransferError`](super::TransferError).

use crate::{crypto::Stream, id::FileDigest};

/// A part of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Part {
    /// A chunk of the content, by its number from 0.
    #[error("content chunk {0}")]
    ContentChunk(u64),
    /// A chunk of the table or the sums.
    #[error("{stream:?} chunk {index}")]
    StreamChunk {
        /// Which of both.
        stream: Stream,
        /// Its number, from 0.
        index: u64,
    },
    /// The table.
    #[error("the table")]
    Table,
    /// The sums.
    #[error("the sums")]
    Sums,
    /// The content.
    #[error("the content")]
    Content,
    /// The file of a transfer that has one.
    #[error("the file")]
    File,
    /// An entry, by its path here.
    #[error("{0}")]
    Entry(String),
}

/// How a file differs from what was sent of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAsSent {
    /// It is not there.
    #[error("was sent, and is not there any more")]
    Gone,
    /// Something else is there.
    #[error("was sent, and is no regular file any more")]
    NoFile,
    /// It has another length.
    #[error("was sent with {was} bytes, and has {is} now")]
    Size {
        /// Its bytes when it was sent.
        was: u64,
        /// Its bytes now.
        is: u64,
    },
    /// It has other bytes.
    #[error("was sent with other content than it has now")]
    Content,
    /// It was no file on a disk, such as standard input.
    #[error("was sent from what cannot be read again")]
    Stream,
    /// The files are as they were: what was kept of the transfer is damaged.
    #[error("cannot be sealed again: what was kept of this transfer is damaged")]
    Kept,
}

/// How it is not what the sender signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// A chunk of the content has another length.
    #[error("{length} bytes instead of {expected}")]
    Length {
        /// Its length.
        length: usize,
        /// The length that the manifest gives it.
        expected: u64,
    },
    /// A chunk of the table or the sums is empty, or not full and not the last.
    #[error("{0} bytes")]
    ChunkLength(usize),
    /// A file has another digest.
    #[error("BLAKE3 is {found} instead of {expected}")]
    Digest {
        /// That of what came.
        found: FileDigest,
        /// That of the sums.
        expected: FileDigest,
    },
    /// There are sums, and no file.
    #[error("{0} chunks for no file")]
    SumsForNoFile(usize),
    /// The table is empty.
    #[error("it has no entry")]
    Empty,
    /// There are not as many sums as files.
    #[error("{files} files, but {sums} sums")]
    SumCount {
        /// Files of the table.
        files: usize,
        /// Sums.
        sums: usize,
    },
    /// Another file than the last has no size.
    #[error("a file of unknown size that is not the last")]
    UnknownSize,
    /// The sizes of the files are not that of the content.
    #[error("its files do not have {0} bytes in all")]
    Size(u64),
    /// The content is shorter than its files.
    #[error("it ends before its files do")]
    Short,
}

/// What is more than one transfer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryLimit {
    /// Files and folders.
    #[error("more than {0} files and folders")]
    Count(usize),
    /// Bytes of the table, which has their names.
    #[error("their names need more than {0} bytes")]
    Names(u64),
}
