//! Why a store did not do what it was asked, by what the caller can do about it.

use super::{
    Code,
    cause::{
        BadFormat, BadLength, Exhausted, InPlace, LockedBy, Missing, NetworkCause, ProtocolFault,
        ReadOnly, Rejection, Remote,
    },
    code::Refusal,
};
use crate::{
    disk::{NoRoom, Size},
    id::{ChunkId, ManifestId, PeerId},
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
#[non_exhaustive]
pub enum StoreError {
    /// It is not there (or not for us to see).
    #[error("{0} is not there")]
    NotFound(Missing),
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
        /// How it is impossible.
        too: BadLength,
    },
    /// A manifest came before its chunks.
    #[error("{count} {} missing", if *count == 1 { "chunk is" } else { "chunks are" })]
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
    #[error("{}", no_space(*needed, *free, *quota, *promised))]
    NoSpace {
        /// Bytes needed.
        needed: u64,
        /// Bytes that may still be used.
        free: u64,
        /// The quota that binds, if one does.
        quota: Option<u64>,
        /// What would be free as well.
        promised: Promised,
        /// The peer that says so, if the store is one.
        remote: Option<Remote>,
    },
    /// The peer that brings it has as much here as it may have without a manifest or an own offer that names it. Heals when it
    /// publishes, and within a day.
    #[error("{}", too_much_unnamed(*needed, *free))]
    TooMuchUnnamed {
        /// Bytes needed.
        needed: u64,
        /// Bytes that it may still put.
        free: u64,
        /// The most that it may have here so.
        limit: u64,
    },
    /// Something else than bytes is exhausted: the files of the disk, or how large one may be. Heals when it is seen to.
    #[error(transparent)]
    NoRoom(Exhausted),
    /// Nothing is written to it: mostly since a write could not be made durable, until the store is opened again.
    #[error(transparent)]
    ReadOnly(ReadOnly),
    /// Another process has the store.
    #[error("the store is in use by {holder}")]
    Locked {
        /// Who has it.
        holder: LockedBy,
    },
    /// The store that a home has is not there, or another is in its place. Nothing was made.
    #[error("{path}: {found}")]
    Displaced {
        /// Where it should be.
        path: std::path::PathBuf,
        /// What is there.
        found: InPlace,
    },
    /// The store was written by a later version.
    #[error("{path}: written by a later version of colis; not touched")]
    Later {
        /// The file that says so.
        path: std::path::PathBuf,
    },
    /// A file of the store is damaged, or something else.
    #[error("{path}: {fault}")]
    Format {
        /// The file that says so.
        path: std::path::PathBuf,
        /// What is wrong.
        fault: BadFormat,
    },
    /// An offer or manifest is malformed or not trusted.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store understood and said no.
    #[error("{}", refused(code, detail))]
    Refused {
        /// The stable problem code.
        code: Refusal,
        /// Its sentence. Remote text: escape it before showing it.
        detail: String,
        /// The peer that says so, if the store is one.
        by: Option<Remote>,
    },
    /// The peer or its certificate is not the one that we trust, or ours is not trusted there.
    #[error("{}", rejected(remote, cause))]
    Untrusted {
        /// Which peer.
        remote: Remote,
        /// Which side refuses the other, and why.
        cause: Rejection,
    },
    /// It asked to come back later.
    #[error("busy, try again in {seconds} s")]
    Busy {
        /// When.
        seconds: u64,
        /// The peer that says so, if the store is one.
        remote: Option<Remote>,
    },
    /// It gave up a body that came too slowly.
    #[error("{remote}: the line is too slow; what we sent was given up there")]
    TooSlow {
        /// Which peer.
        remote: Remote,
    },
    /// The connection failed or stalled.
    #[error("{}", cause.at(remote))]
    Network {
        /// Which peer.
        remote: Remote,
        /// How.
        cause: NetworkCause,
    },
    /// There is nobody to ask: no source is left, or the peer has no address that can be tried.
    #[error("{}", nobody(*peer))]
    NobodyToAsk {
        /// The peer, if it is one.
        peer: Option<PeerId>,
    },
    /// The other side does not speak our protocol.
    #[error("the peer broke the protocol: {remote} {fault}")]
    Protocol {
        /// Which peer.
        remote: Remote,
        /// What it did.
        fault: ProtocolFault,
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
                remote: None,
            },
            NoRoom::Files { .. } => Self::NoRoom(Exhausted::Files(no_room)),
        }
    }
}

impl StoreError {
    /// For a file that the system does not let this process write.
    pub(crate) fn file_too_large() -> Self {
        Self::NoRoom(Exhausted::FileSize)
    }

    /// The same, if it is too little space, with what is promised.
    pub(super) fn beside(self, promised: Promised) -> Self {
        match self {
            Self::NoSpace {
                needed,
                free,
                quota,
                remote,
                ..
            } => Self::NoSpace {
                needed,
                free,
                quota,
                promised,
                remote,
            },
            other => other,
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. }
                | Self::TooSlow { .. }
                | Self::Network { .. }
                | Self::NobodyToAsk { .. }
        )
    }

    /// The peer that it is about, if it is about one.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Untrusted { remote, .. }
            | Self::TooSlow { remote }
            | Self::Network { remote, .. }
            | Self::Protocol { remote, .. }
            | Self::ReadOnly(ReadOnly::AtPeer(remote))
            | Self::NoRoom(Exhausted::AtPeer { remote, .. }) => Some(remote),
            Self::Refused { by, .. } => by.as_ref(),
            Self::NoSpace { remote, .. } | Self::Busy { remote, .. } => remote.as_ref(),
            _ => None,
        }
    }

    /// The peer that misbehaved, if its id is known: it broke the protocol, or is another than it should be. One that is off, busy,
    /// full or refuses us has not.
    pub fn culprit(&self) -> Option<PeerId> {
        match self {
            Self::Protocol { .. }
            | Self::Untrusted {
                cause: Rejection::WeRefusedThem(_),
                ..
            } => self.peer(),
            _ => None,
        }
    }

    /// The peer that it is about, if its id is known.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Untrusted {
                cause: Rejection::WeRefusedThem(distrust),
                remote,
            } => distrust.peer().or(remote.peer()),
            Self::NobodyToAsk { peer } => *peer,
            other => other.remote()?.peer(),
        }
    }

    /// The problem code that tells a peer of it; `None` for what is an internal matter of this machine.
    pub fn code(&self) -> Option<Refusal> {
        let code = match self {
            Self::NotFound(Missing::Chunk(_) | Missing::Damaged(_)) => Code::NoSuchChunk,
            Self::NotFound(Missing::Manifest(_)) => Code::NoSuchManifest,
            Self::NotFound(Missing::Circle) => Code::NotTheCircle,
            Self::HashMismatch { .. } => Code::HashMismatch,
            Self::ChunkLength {
                too: BadLength::Short,
                ..
            } => Code::ChunkTooShort,
            Self::ChunkLength { .. } => Code::TooLarge,
            Self::MissingChunks { .. } => Code::MissingChunks,
            Self::Deleted => Code::Deleted,
            Self::EndsTooSoon { .. } => Code::EndsTooSoon,
            Self::NoSpace { quota: Some(_), .. } | Self::TooMuchUnnamed { .. } => {
                Code::QuotaExceeded
            }
            Self::NoSpace { .. } | Self::NoRoom(_) => Code::NoSpace,
            Self::ReadOnly(_) => Code::StorageFailed,
            Self::Manifest(error) => Code::of_manifest(error),
            Self::Refused { code, .. } => return Some(code.clone()),
            Self::Busy { .. } | Self::TooSlow { .. } => Code::Busy,
            Self::NotFound(Missing::Store(_) | Missing::Path(_))
            | Self::Locked { .. }
            | Self::Displaced { .. }
            | Self::Later { .. }
            | Self::Format { .. }
            | Self::Untrusted { .. }
            | Self::Network { .. }
            | Self::NobodyToAsk { .. }
            | Self::Protocol { .. }
            | Self::Io { .. } => return None,
        };
        Some(Refusal::Known(code))
    }
}

fn rejected(remote: &Remote, cause: &Rejection) -> String {
    match cause {
        Rejection::WeRefusedThem(distrust) => format!("{remote} is not trusted: {distrust}"),
        Rejection::TheyRefusedUs(alert) => format!("{remote} refused our certificate ({alert})"),
    }
}

fn refused(code: &Refusal, detail: &str) -> String {
    match code {
        Refusal::Known(Code::Internal) => "something failed at the peer, not here".to_owned(),
        Refusal::Known(Code::Cancelled) => "it was stopped there while it arrived".to_owned(),
        _ => format!("refused ({code}): {detail}"),
    }
}

fn no_space(needed: u64, free: u64, quota: Option<u64>, promised: Promised) -> String {
    let bound = quota.map_or("on its disk".to_owned(), |quota| {
        format!("of a quota of {}", Size(quota))
    });
    let (needed, free) = (Size(needed), Size(free));
    let what = format!("no space: {needed} needed, {free} free {bound}");
    match promised.bytes {
        0 => what,
        bytes => format!(
            "{what}; {} more is promised to transfers under way",
            Size(bytes)
        ),
    }
}

fn too_much_unnamed(needed: u64, free: u64) -> String {
    let (needed, free) = (Size(needed), Size(free));
    format!(
        "no space: {needed} needed, {free} left of what one peer may have here before it publishes or announces it"
    )
}

fn nobody(peer: Option<PeerId>) -> &'static str {
    match peer {
        Some(_) => "no address that can be tried",
        None => "no source is left to ask",
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

pub(crate) fn no_chunk(id: ChunkId) -> StoreError {
    StoreError::NotFound(Missing::Chunk(id))
}

pub(crate) fn no_manifest(id: ManifestId) -> StoreError {
    StoreError::NotFound(Missing::Manifest(id))
}
