//! Why a transfer is not sealed into a folder, or not opened from it.

use std::{fmt, path::PathBuf};

use crate::{
    session::{Error, Kind},
    store::StoreError,
};

/// Why a transfer is not sealed into a folder, or not opened from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// Something else is in the folder that is to be sealed into.
    #[error(transparent)]
    NotForSealing(StoreError),
    /// The folder to open is none that was sealed.
    #[error(transparent)]
    NotSealed(StoreError),
    /// Another transfer was sealed into it.
    #[error("{} has another sealed transfer in it", .0.display())]
    Taken(PathBuf),
    /// It was sealed to its end, and is not whole any more.
    #[error("{} lacks {missing} chunk{} of its manifest", .folder.display(), if *.missing == 1 { "" } else { "s" })]
    Lacks {
        /// The folder.
        folder: PathBuf,
        /// As many chunks are not there.
        missing: usize,
    },
    /// It was sealed to its end, and does not open any more.
    #[error("{0}")]
    NotContinued(Box<Error>),
    /// A manifest in it is none.
    #[error("a manifest in {}: {source}", .folder.display())]
    BadManifest {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
    /// It has no manifest, which is written last.
    #[error("there is no manifest in {}", .0.display())]
    NoManifest(PathBuf),
    /// Chunks are not what they should be.
    #[error("{} is damaged{}", .first.display(), More(*.more))]
    Damaged {
        /// The file of the first.
        first: PathBuf,
        /// As many others are.
        more: usize,
    },
    /// Chunks are not there.
    #[error("{} is missing{}", .first.display(), More(*.more))]
    Missing {
        /// Where the first should be.
        first: PathBuf,
        /// As many others are.
        more: usize,
    },
}

/// `, and 3 more`.
struct More(usize);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl FolderError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotForSealing(_) | Self::NotSealed(_) => Kind::Config,
            Self::Taken(_) => Kind::Usage,
            Self::Lacks { .. } | Self::Damaged { .. } => Kind::Integrity,
            Self::NotContinued(error) => error.kind(),
            Self::BadManifest { source, .. } => source.into(),
            Self::NoManifest(_) | Self::Missing { .. } => Kind::NotFound,
        }
    }
}
