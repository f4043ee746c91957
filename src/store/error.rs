//! Why a store did not do what it was asked, by what the caller can do about it.

use crate::{
    disk::NoRoom,
    id::ChunkId,
    manifest::{ManifestError, Timestamp},
};

/// How many missing chunks an error names.
const MISSING_NAMED: usize = 1_000;

/// Space that is kept for transfers that are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promised {
    /// Bytes of them that have not come.
    pub bytes: u64,
    /// Seconds until the last of it is free again if nothing more comes.
    pub seconds: u64,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there (or not for us to see).
    #[error("{what} is not there")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The bytes are not those that the id names. Nothing was stored.
    #[error("the bytes hash to {actual}, not to {expected}")]
    HashMismatch {
        /// The id that was given.
        expected: ChunkId,
        /// The id of the bytes.
        actual: ChunkId,
    },
    /// A sealed chunk of impossible length. Nothing was stored.
    #[error("a sealed chunk of {length} bytes is too {too}")]
    ChunkLength {
        /// Its length.
        length: u64,
        /// "short" or "long".
        too: &'static str,
    },
    /// A manifest came before its chunks.
    #[error("{count} chunks are missing")]
    MissingChunks {
        /// How many.
        count: usize,
        /// The first 1,000 of them.
        first: Vec<ChunkId>,
    },
    /// The transfer was deleted here, and another than its sender brings what was made before.
    #[error("this transfer was deleted here: only its sender may put or grant it again")]
    Deleted,
    /// The transfer ends sooner than [`LEAST_LIFE`](super::LEAST_LIFE) from now. Nothing was stored.
    #[error("it expires at {expires}, within a minute: nobody could fetch it")]
    EndsTooSoon {
        /// When it ends.
        expires: Timestamp,
    },
    /// Not enough space, or over the quota. Heals when space is freed.
    #[error("no space: {needed} bytes needed, {free} free")]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes that may still be used.
        free: u64,
        /// The quota that binds, if one does.
        quota: Option<u64>,
        /// What would be free as well.
        promised: Promised,
    },
    /// Something else than bytes is exhausted: the files of the disk, or how large one may be. Heals when it is seen to.
    #[error("{detail}")]
    NoRoom {
        /// What is, and what to do. Remote text if a peer said it: escape it before showing it.
        detail: String,
    },
    /// A write could not be made durable, so nothing is written any more until the store is opened again.
    #[error("the store is read-only since a write failed: {reason}")]
    ReadOnly {
        /// What failed.
        reason: String,
    },
    /// Another process has the store.
    #[error("the store is in use by {holder}")]
    Locked {
        /// "process 123".
        holder: String,
    },
    /// The store that a home has is not there, or another is in its place. Nothing was made.
    #[error("{path}: {reason}")]
    Displaced {
        /// Where it should be.
        path: std::path::PathBuf,
        /// What is there.
        reason: &'static str,
    },
    /// The store was written by a later version.
    #[error("{path}: written by a later version of colis; not touched")]
    Later {
        /// The file that says so.
        path: std::path::PathBuf,
    },
    /// A file of the store is damaged, or something else.
    #[error("{path}: {reason}")]
    Format {
        /// The file that says so.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An offer or manifest is malformed or not trusted.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store understood and said no.
    #[error("refused ({code}): {detail}")]
    Refused {
        /// The stable problem code.
        code: String,
        /// Its sentence. Remote text: escape it before showing it.
        detail: String,
    },
    /// The peer or its certificate is not the one that we trust, or ours is not trusted there.
    #[error("{reason}")]
    Untrusted {
        /// What failed.
        reason: String,
    },
    /// It asked to come back later.
    #[error("busy, try again in {seconds} s")]
    Busy {
        /// When.
        seconds: u64,
    },
    /// It gave up a body that came too slowly.
    #[error("{address}: the line is too slow; what we sent was given up there")]
    TooSlow {
        /// Where it is.
        address: String,
    },
    /// The connection failed or stalled.
    #[error("{reason}")]
    Network {
        /// What failed.
        reason: String,
    },
    /// The other side does not speak our protocol.
    #[error("the peer broke the protocol: {reason}")]
    Protocol {
        /// What it did.
        reason: String,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// On what.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl From<NoRoom> for StoreError {
    fn from(no_room: NoRoom) -> Self {
        match no_room {
            NoRoom::Bytes { needed, free } => Self::NoSpace {
                needed,
                free,
                quota: None,
                promised: Promised::default(),
            },
            NoRoom::Files { .. } => Self::NoRoom {
                detail: format!("{no_room}; remove files there"),
            },
        }
    }
}

impl StoreError {
    /// For a file that the system does not let this process write.
    pub(crate) fn file_too_large() -> Self {
        Self::NoRoom {
            detail: "a file as large as a chunk may not be written there; raise the limit of the process, `ulimit -f` or \
                LimitFSIZE= of its service"
                .into(),
        }
    }

    /// The same, if it is too little space, with what is promised.
    pub(super) fn beside(self, promised: Promised) -> Self {
        match self {
            Self::NoSpace {
                needed,
                free,
                quota,
                ..
            } => Self::NoSpace {
                needed,
                free,
                quota,
                promised,
            },
            other => other,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. } | Self::TooSlow { .. } | Self::Network { .. }
        )
    }
}

pub(crate) fn missing_chunks_error(mut missing: Vec<ChunkId>) -> StoreError {
    let count = missing.len();
    missing.truncate(MISSING_NAMED);
    StoreError::MissingChunks {
        count,
        first: missing,
    }
}

pub(crate) fn not_found(what: &str, id: &dyn std::fmt::Display) -> StoreError {
    StoreError::NotFound {
        what: format!("{what} {id}"),
    }
}
