//! Moving files between disk and stores: the pipelines of a send and a receive, bounded in memory whatever the size.
//!
//! A send walks its sources into a table, announces an offer, then reads, seals and puts chunk after chunk, and publishes
//! the manifest last. A receive opens the table and the sums first, so it knows every name and digest before the first
//! content byte, then fetches, opens and writes. Both begin by asking which chunks are there already: resuming is not a
//! mode, only what happens when some are.
//!
//! This room knows stores, never HTTP, and reports through a [`Progress`].

mod arriving;
mod browse;
mod content;
mod draft;
mod fault;
mod filter;
mod grant;
mod journal;
mod kept;
mod kept_store;
mod left_out;
mod open;
mod plan;
mod receive;
mod reseal;
mod schedule;
mod send;
mod sink;
mod source_file;
mod sums;
mod swarm;
mod target;
mod there;
mod unfinished;
mod upload;
mod walk;

use std::{fmt, path::PathBuf};

pub use arriving::{Arriving, discard_staged};
pub(crate) use browse::{GLANCE, Glimpse, read_top_names, top_names, top_names_at};
pub use browse::{Seen, browse};
pub use fault::{Difference, EntryLimit, NotAsSent, Part};
pub use filter::{Filter, Keys};
pub use grant::{Granted, grant, grant_again};
pub use kept::{KeptSend, KeptSends};
pub use left_out::{LeftOut, WhyLeftOut};
pub use open::{Listing, OpenedTransfer, Origin, Reader};
pub use receive::{
    MAX_MESSAGE, MESSAGE_NAME, ReceiveOptions, ReceivedFiles, message, receive, receive_rest,
    stream_content,
};
pub use reseal::Resealing;
pub use send::{
    Recipient, SendOptions, Sender, Sent, fitting_chunk_size, send, wait_until_settled,
};
pub use sink::Lost;
pub use swarm::{Share, Source, Swarm};
pub use unfinished::{Unfinished, unfinished};
pub use walk::{Sources, Tree};

use crate::{
    crypto::CryptoError,
    id::PeerId,
    manifest::ManifestError,
    name::{LibraryError, NameError, NameFault},
    received::ReceivedError,
    store::{OfferAnswer, Remote, StoreError},
};

/// What happens during a transfer, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferEvent {
    /// What there is to do, known once the table is.
    Started {
        /// Bytes of content; unknown for a stream.
        total_bytes: Option<u64>,
        /// Content chunks; unknown for a stream.
        total_chunks: Option<u64>,
        /// Content chunks that are there already.
        already_chunks: u64,
        /// Their plain bytes.
        already_bytes: u64,
    },
    /// A content chunk is done.
    Advanced {
        /// Its plain bytes.
        bytes: u64,
        /// Whether it was there already, so that nothing was transferred.
        already: bool,
    },
    /// Every chunk is done and everything is durable.
    Finished,
}

/// Is told how a transfer goes. Called from several threads, often; must not block.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: TransferEvent);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: TransferEvent) {}
}

/// Why a transfer failed. Whatever was stored before stays and is not sent again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A path to send cannot be read.
    #[error("{path}: {source}")]
    Source {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path to send is neither file, folder nor symbolic link.
    #[error("{path} is a {kind}, only files, folders and symbolic links can be sent")]
    UnsupportedSource {
        /// Which.
        path: PathBuf,
        /// "FIFO", "socket"...
        kind: &'static str,
    },
    /// A path to send is a symbolic link that leads nowhere.
    #[error("{path} is a link to {target}, which is not there")]
    DanglingLink {
        /// Which.
        path: PathBuf,
        /// Its text.
        target: PathBuf,
    },
    /// A path to send is a private key of colis.
    #[error("{path} is a private key of colis: whoever has it can be its owner")]
    PrivateKey {
        /// Which.
        path: PathBuf,
    },
    /// A glob that leaves something out is malformed.
    #[error("bad glob {glob:?}: {cause}")]
    BadGlob {
        /// The glob.
        glob: String,
        /// How.
        cause: LibraryError,
    },
    /// No path was named.
    #[error("nothing to send was named")]
    NothingNamed,
    /// Every path that was named is left out by the filter.
    #[error("nothing to send: --exclude or --git leaves out all that was named")]
    AllFiltered,
    /// Two sources would have the same name on the other side.
    #[error("two sources are called {name:?}")]
    DuplicateSource {
        /// The name.
        name: String,
    },
    /// A source has no name of its own, as `/` has none.
    #[error("{path} has no name that could be sent")]
    NamelessSource {
        /// Which.
        path: PathBuf,
    },
    /// A source has a name that no recipient would take.
    #[error("a name that cannot be sent, {fault}: {path}")]
    UnsendableName {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: NameFault,
    },
    /// A source lies so deep in the folder that was named that no recipient would take its path.
    #[error(
        "a path that cannot be sent, of more than {} folders or {} bytes: {path}",
        crate::name::MAX_DEPTH,
        crate::name::MAX_PATH
    )]
    TooDeep {
        /// Which.
        path: PathBuf,
    },
    /// A source changed while it was sent. Nothing was published.
    #[error("source-changed: {path} changed while it was being sent")]
    SourceChanged {
        /// Which.
        path: PathBuf,
    },
    /// A file is not any more what was sent, so it cannot be sealed again as it was.
    #[error("{} {why}", .path.display())]
    NotAsSent {
        /// Which.
        path: PathBuf,
        /// What differs.
        why: NotAsSent,
    },
    /// The content needs more chunks than a transfer may have.
    #[error("more than {chunks} chunks of {chunk_size} bytes")]
    TooManyChunks {
        /// The limit.
        chunks: usize,
        /// The chunk size in use.
        chunk_size: u32,
    },
    /// More files than a transfer may have, or names too long together.
    #[error("the sources do not fit one transfer: {limit}")]
    TooManyEntries {
        /// What is exceeded.
        limit: EntryLimit,
    },
    /// A store is much slower than the others that the transfer goes to, which waited for it.
    #[error("it is much slower than the others, and was left behind: its answers took {seconds} s")]
    KeptWaiting {
        /// How long its answers took in all.
        seconds: u64,
    },
    /// Another part of the transfer failed first; its error is the one to show.
    #[error("stopped")]
    Stopped,
    /// The same sources are being sent by another process.
    #[error("these sources are already being sent by another process")]
    AlreadySending,
    /// The recipient does not want it, now or ever.
    #[error("the offer was answered `{answer:?}`")]
    NotAccepted {
        /// The answer.
        answer: OfferAnswer,
    },
    /// No wrap is for us.
    #[error("the transfer is not addressed to us")]
    NotForUs {
        /// Who can open it.
        recipients: Vec<PeerId>,
    },
    /// Somebody else sent it.
    #[error("the transfer is not ours")]
    NotOurs {
        /// Who sent it.
        sender: PeerId,
    },
    /// A store has opened the transfer, and keeps it for nobody.
    #[error("it was received there, and is not kept any more")]
    LetGo,
    /// Only a password opens it, and none was given.
    #[error("the transfer is locked by a password")]
    PasswordNeeded,
    /// What arrived is not what was signed.
    #[error("{part} is not what the sender signed: {difference}")]
    Integrity {
        /// File, table...
        part: Part,
        /// How it differs.
        difference: Difference,
    },
    /// Only a transfer of one file can be written to a stream.
    #[error("the transfer has {entries} entries, only a single file can be written to a stream")]
    NotOneFile {
        /// How many it has.
        entries: usize,
    },
    /// The output stream was closed or failed.
    #[error("cannot write the output: {0}")]
    Output(#[source] std::io::Error),
    /// A journal of this program cannot be kept.
    #[error("{path}: {source}")]
    Journal {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Each of several stores failed.
    #[error("{}", Joined(.failures))]
    NoStore {
        /// Why, of each, in the order of the stores.
        failures: Vec<Self>,
    },
    /// An offer or a manifest is malformed or not trusted.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Something does not open.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A name in the table is refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The plain files cannot be written.
    #[error(transparent)]
    Received(#[from] ReceivedError),
}

/// Several errors, in one line.
struct Joined<'a>(&'a [TransferError]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{error}")?;
        }
        Ok(())
    }
}

impl TransferError {
    /// That of the only store, or those of all.
    fn of_stores(mut failures: Vec<Self>) -> Self {
        match failures.len() {
            1 => failures.swap_remove(0),
            _ => Self::NoStore { failures },
        }
    }

    /// The peer that it is about, where one is, and where it was asked. Of several stores the last.
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Store(error) => error.remote(),
            Self::NoStore { failures } => failures.last()?.remote(),
            _ => None,
        }
    }

    /// The peer that it is about, if its id is known. Of several stores the last.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Store(error) => error.peer(),
            Self::NoStore { failures } => failures.last()?.peer(),
            _ => None,
        }
    }

    /// The peer that misbehaved, if its id is known. Of several stores the last.
    pub fn culprit(&self) -> Option<PeerId> {
        match self {
            Self::Store(error) => error.culprit(),
            Self::NoStore { failures } => failures.last()?.culprit(),
            _ => None,
        }
    }

    /// What kind of error it is, in words that have no name, path or other text of a transfer: fit for a log.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Integrity { .. } => "it is not what the sender signed",
            Self::Crypto(_) => "it does not open with our key",
            Self::Manifest(_) | Self::Store(StoreError::Manifest(_)) => {
                "its manifest is malformed or not trusted"
            }
            Self::Name(_) => "a name in its table is refused",
            Self::Received(error) => error.kind(),
            Self::NotForUs { .. } => "it is not for us",
            Self::PasswordNeeded => "it is locked by a password",
            Self::LetGo => "it is not kept any more",
            Self::Store(StoreError::NotFound { .. }) => "a part of it is not there",
            Self::Store(_) | Self::NoStore { .. } => "the store failed",
            Self::Journal { .. } => "a journal cannot be kept",
            _ => "it failed",
        }
    }

    /// Whether another try to open the same transfer cannot help, for the transfer itself is wrong: it contradicts
    /// itself, or is not what its sender signed.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Manifest(_)
            | Self::Crypto(_)
            | Self::Integrity { .. }
            | Self::Name(_)
            | Self::NotForUs { .. }
            | Self::Store(StoreError::Manifest(_))
            | Self::Received(ReceivedError::BadTable { .. }) => true,
            // Of this machine, of the store, or of the person.
            Self::Source { .. }
            | Self::UnsupportedSource { .. }
            | Self::DanglingLink { .. }
            | Self::PrivateKey { .. }
            | Self::BadGlob { .. }
            | Self::NothingNamed
            | Self::AllFiltered
            | Self::DuplicateSource { .. }
            | Self::NamelessSource { .. }
            | Self::UnsendableName { .. }
            | Self::TooDeep { .. }
            | Self::SourceChanged { .. }
            | Self::NotAsSent { .. }
            | Self::TooManyChunks { .. }
            | Self::TooManyEntries { .. }
            | Self::KeptWaiting { .. }
            | Self::Stopped
            | Self::AlreadySending
            | Self::NotAccepted { .. }
            | Self::NotOurs { .. }
            | Self::LetGo
            | Self::PasswordNeeded
            | Self::NotOneFile { .. }
            | Self::Output(_)
            | Self::Journal { .. }
            | Self::Store(_)
            | Self::NoStore { .. }
            | Self::Received(_) => false,
        }
    }
}

/// Runs `work` where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
