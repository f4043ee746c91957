//! Why plaintext cannot be written.

use std::{io, path::PathBuf};

use crate::{disk::NoRoom, name::Escaped};

/// Why plaintext cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceivedError {
    /// Something that could lead the writing elsewhere is in the way.
    #[error("unsafe destination {path}: {danger}")]
    Unsafe {
        /// What is in the way.
        path: PathBuf,
        /// Why it is unsafe.
        danger: Danger,
    },
    /// The folder was there before, or is to be in one that was, and its disk is not mounted now.
    #[error("the folder of received files is not there: {path} ({why})")]
    Gone {
        /// The folder.
        path: PathBuf,
        /// What tells that.
        why: Gone,
    },
    /// Another process receives the same transfer.
    #[error("{path} is in use by another process")]
    InUse {
        /// The staging.
        path: PathBuf,
    },
    /// The table contradicts itself.
    #[error("the table is not consistent: {fault} at {}", Escaped::new(path))]
    BadTable {
        /// Where; remote text.
        path: String,
        /// How.
        fault: TableFault,
    },
    /// The file system takes two names of the transfer for one.
    #[error(
        "names of the transfer that differ are one on the file system of {path}: {found} of {planned} entries"
    )]
    OneName {
        /// Where it was built.
        path: PathBuf,
        /// Entries that are there.
        found: usize,
        /// Entries that the transfer has.
        planned: usize,
    },
    /// The disk has too little room beside its reserve.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The disk is full.
    #[error("no space left for {path}")]
    NoSpace {
        /// What did not fit.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What tells that a folder of received files is on a disk that is not mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Gone {
    /// The folder that it is to be in is not there.
    #[error("the folder that it is in is not there")]
    NoParent,
    /// The folder that it is in is another one than before.
    #[error("the folder that it is in is another one than before")]
    OtherParent,
    /// It was where a disk is mounted.
    #[error("a disk was mounted there, and is not now")]
    NotMounted,
}

/// How something could lead the writing elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Danger {
    /// A link, or something else, is where a folder should be.
    #[error("it is not a real folder")]
    NoFolder,
    /// A link or a file is in the path.
    #[error("a link or a file is in the way")]
    InTheWay,
    /// The folder of stagings is not ours alone.
    #[error("somebody else has made it or can write to it")]
    NotOurs,
    /// A staged file is a link, or has other names.
    #[error("it is not a plain file of ours")]
    NotPlain,
    /// It is around the home, or keys and chunks are in it.
    #[error("it is around the home, or among what colis works with")]
    OfHome,
    /// The name of a staging is none.
    #[error("not a key of a staging")]
    BadKey,
}

/// How the table of a transfer contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// A path came before.
    #[error("a path that stands twice")]
    Twice,
    /// The folder of an entry is not in the table, or comes later.
    #[error("an entry whose parent is not a folder before it")]
    NoParent,
}

impl ReceivedError {
    /// What kind of error it is, without a name or a path: fit for a log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsafe { .. } => "the destination is not safe",
            Self::Gone { .. } => "its disk is not mounted",
            Self::InUse { .. } => "another process receives it",
            Self::BadTable { .. } => "its table contradicts itself",
            Self::OneName { .. } => "the disk takes names in it for one",
            Self::NoRoom(_) | Self::NoSpace { .. } => "no space",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "its folder may not be written",
                io::ErrorKind::ReadOnlyFilesystem => "its disk is read-only",
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "its folder is not there",
                _ => "the disk failed",
            },
        }
    }
}
