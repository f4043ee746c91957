//! Who and what an error of a store is about: the parameters of [`StoreError`](super::StoreError).

use std::{fmt, io, path::PathBuf, sync::Arc};

use crate::{
    address::PeerAddress,
    disk::NoRoom,
    id::{ChunkId, ManifestId, PeerId},
    manifest::Distrust,
    name::LibraryError,
};

/// The peer that an error is about. Clones share one, so that an error stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(Arc<(PeerAddress, Option<PeerId>)>);

impl Remote {
    /// A peer that was asked at `address`.
    pub fn new(address: PeerAddress, peer: Option<PeerId>) -> Self {
        Self(Arc::new((address, peer)))
    }

    /// Where it was asked.
    pub fn address(&self) -> &PeerAddress {
        &self.0.0
    }

    /// Which peer answers there, as its certificate has proved; else the one that was expected there. `None` if neither is
    /// known.
    pub fn peer(&self) -> Option<PeerId> {
        self.0.1
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// A chunk.
    #[error("chunk {0}")]
    Chunk(ChunkId),
    /// A chunk that is damaged on the disk of this store.
    #[error("chunk {0}, whose copy on disk is damaged,")]
    Damaged(ChunkId),
    /// A manifest, or the state of its transfer.
    #[error("manifest {0}")]
    Manifest(ManifestId),
    /// A store.
    #[error("a store in {}", .0.display())]
    Store(PathBuf),
    /// The circle's revocation list, certificate or key.
    #[error("the circle's list or key")]
    Circle,
    /// What a peer was asked for at this path.
    #[error("{0}")]
    Path(String),
}

/// How a sealed chunk is of an impossible length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLength {
    /// It has no room for nonce and tag.
    #[error("short")]
    Short,
    /// It is longer than the largest chunk.
    #[error("long")]
    Long,
}

/// What else than bytes is exhausted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Exhausted {
    /// The file system can have no more files.
    #[error("{0}; remove files there")]
    Files(NoRoom),
    /// The system does not let this process write a file that large.
    #[error(
        "a file as large as a chunk may not be written there; raise the limit of the process, `ulimit -f` or LimitFSIZE= of its service"
    )]
    FileSize,
    /// A peer says so.
    #[error("{detail}")]
    AtPeer {
        /// Which.
        remote: Remote,
        /// Its sentence, which says what to do. Remote text: escape it before showing it.
        detail: String,
    },
}

/// Why nothing is written to a store.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadOnly {
    /// A write failed, so what is on disk is not known any more.
    #[error("the store is read-only since a write failed: {}: {source}", path.display())]
    WriteFailed {
        /// Where.
        path: PathBuf,
        /// How.
        source: Arc<io::Error>,
    },
    /// Its folder was moved away while it was open.
    #[error(
        "the store is read-only: {} is not the folder that was opened: move that back, or restart",
        root.display()
    )]
    MovedAway {
        /// Where it was.
        root: PathBuf,
    },
    /// It was opened only to read.
    #[error("the store is read-only: it was opened only to read")]
    OpenedToRead,
    /// The program is ending.
    #[error("the store is read-only: the program is ending")]
    Ending,
    /// A peer cannot write.
    #[error("the store is read-only: {0} cannot write")]
    AtPeer(Remote),
    /// It stands for several sources.
    #[error("the store is read-only: several sources are only read from")]
    Sources,
}

/// Who has a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LockedBy {
    /// A process, with its id.
    #[error("process {0}")]
    Process(u32),
    /// A process that has not said which.
    #[error("another process")]
    Unknown,
    /// A process that seals into this folder.
    #[error("another process, which is sealing into {}", .0.display())]
    Sealing(PathBuf),
}

/// What is in the place of the store that a home has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InPlace {
    /// No store.
    #[error("the store of this home is not there")]
    Nothing,
    /// Another store.
    #[error("another store is in the place of the one that this home has")]
    AnotherStore,
    /// A link without a folder behind it.
    #[error("a link that leads nowhere")]
    DeadLink,
}

/// How a file or folder of a store is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFormat {
    /// The file that names the format is empty.
    #[error("empty; not touched")]
    Empty,
    /// The file that names the format says something else.
    #[error("not the format of a store of colis; not touched")]
    NoStore,
    /// The file that names the store of a home says something else.
    #[error("not the id of a store")]
    NoStoreId,
    /// A folder of sealed files lacks one of its folders.
    #[error("there is no folder {0}/ in it")]
    NoFolder(&'static str),
    /// Something else is in a folder that should have sealed files.
    #[error("it is no folder of sealed files, there is {0:?} in it")]
    Occupied(String),
    /// A file has other bytes than its name says.
    #[error("it is not what its name says")]
    Misnamed,
    /// A file of the store cannot be parsed.
    #[error(transparent)]
    Unreadable(#[from] LibraryError),
}

/// Which side refuses the certificate of the other, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// We do not trust the peer's.
    WeRefusedThem(Distrust),
    /// The peer does not trust ours.
    TheyRefusedUs(Alert),
}

/// How a peer says that it refuses our certificate: an alert of TLS (RFC 8446, section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Alert {
    /// It is revoked.
    #[error("it is revoked")]
    Revoked,
    /// It has ended.
    #[error("it has expired, or a clock is wrong")]
    Expired,
    /// The owner of the peer has given us the role `none`.
    #[error("its owner has blocked us")]
    Blocked,
    /// It is of another circle.
    #[error("it does not come from that peer's circle")]
    OtherCircle,
    /// There was none.
    #[error("none was shown")]
    NoneShown,
    /// TLS 1.3 is not spoken there.
    #[error("it speaks another version of TLS")]
    OtherVersion,
    /// Another alert, with its number.
    #[error("the handshake failed")]
    Other(u8),
}

/// How a connection failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkCause {
    /// Nobody knows the name of the host.
    #[error("cannot connect: {0}")]
    UnknownHost(#[source] io::Error),
    /// Nothing listens at the port.
    #[error("nobody serves colis there: {0}")]
    Refused(#[source] io::Error),
    /// No way leads there.
    #[error("cannot connect: {0}")]
    Unreachable(#[source] io::Error),
    /// No connection came about for another reason of the system.
    #[error("cannot connect: {0}")]
    NotConnected(#[source] io::Error),
    /// No connection came about in time.
    #[error("no answer within the time to connect")]
    ConnectTimeout,
    /// No answer came in time.
    #[error("no answer in time")]
    NoAnswer,
    /// What was asked was not answered in all the time that a question may take.
    #[error("no answer within {seconds} s")]
    Unanswered {
        /// How long it was waited for.
        seconds: u64,
    },
    /// It was waited for, and does not answer any more.
    #[error("no answer for {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The connection stood still for too long.
    #[error("the peer has stalled")]
    Stalled,
    /// The peer closed the connection without a word: it may not accept our certificate.
    #[error("the connection was closed at once; our certificate may not be accepted there")]
    ClosedAtOnce,
    /// The connection ended in the middle of an answer.
    #[error("the connection was cut")]
    Cut,
    /// The connection was reset.
    #[error("{0}")]
    Reset(#[source] io::Error),
    /// What we sent was damaged on the way.
    #[error("what we sent was damaged on the way")]
    Damaged,
    /// The address cannot be used on this machine.
    #[error("{0}")]
    BadAddress(LibraryError),
    /// Something else failed.
    #[error("{0}")]
    Other(#[source] LibraryError),
}

impl NetworkCause {
    /// How a connection to `remote` failed, in words.
    pub(super) fn at(&self, remote: &Remote) -> String {
        match self {
            Self::Refused(error) => format!("nobody serves colis at {remote}: {error}"),
            Self::Unanswered { seconds } => format!("{remote} did not answer within {seconds} s"),
            _ => format!("{remote}: {self}"),
        }
    }
}

/// How a peer does not speak our protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolFault {
    /// It speaks something else than TLS.
    #[error("does not speak TLS")]
    NoTls,
    /// It speaks something else than HTTP.
    #[error("does not answer in HTTP")]
    NoHttp,
    /// It failed without a problem document.
    #[error("answered {0} without saying why")]
    NoProblem(u16),
    /// It sent JSON of another shape.
    #[error("sent JSON that is not understood: {0}")]
    Json(LibraryError),
    /// An answer has no length.
    #[error("sent no length")]
    NoLength,
    /// A body is longer than it may be.
    #[error("sent a longer body than it may have")]
    TooLong,
    /// A body is longer than its length says.
    #[error("sent a longer body than it declared")]
    LongerThanDeclared,
    /// A body is shorter than its length says.
    #[error("sent a shorter body than it declared")]
    ShorterThanDeclared,
    /// A text is none.
    #[error("sent a text that is not UTF-8")]
    NotUtf8,
    /// An answer to a deletion has a status that such answers do not have.
    #[error("sent something else than 204 for a deletion")]
    OtherStatus,
    /// Another chunk than the one that was asked for.
    #[error("sent a chunk that is not the one that was asked for")]
    OtherChunk,
    /// Another manifest than the one that was asked for.
    #[error("sent a manifest that is not the one that was asked for")]
    OtherManifest,
    /// Ids that were not in the question.
    #[error("sent ids that were not asked for")]
    OtherIds,
    /// Another page of a list than the one that was asked for.
    #[error("sent a page that is not the one that was asked for")]
    OtherPage,
    /// Another number of proofs of custody than of chunks.
    #[error("sent another number of proofs than was asked for")]
    OtherCount,
    /// Its list says something else of a transfer than its sender has signed.
    #[error("lists a transfer as another than was signed")]
    OtherListing,
    /// It sent a body of another media type.
    #[error("sent something else than {0}")]
    MediaType(&'static str),
}
