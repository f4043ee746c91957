//! Why an operation of a session fails.

mod candidate;
mod cause;
mod kind;
mod mistake;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use tokio::task::JoinError;

use super::{
    FolderError, certs::LeaveError, home::NoFolder, pair::NoInviter, received::NoPlace,
    service::UnitError,
};
use crate::{
    address::{AddressError, PeerAddress},
    config::ConfigError,
    crypto::CryptoError,
    discover::DiscoverError,
    id::{PeerId, Short as _},
    manifest::{ManifestError, Timestamp},
    pair::PairError,
    peer::PeerError,
    received::ReceivedError,
    server::BindError,
    store::{Remote, StoreError},
    tls::TlsError,
    transfer::TransferError,
    trust::TrustError,
};

pub use candidate::Candidate;
pub use cause::Cause;
pub use kind::Kind;
pub use mistake::Mistake;

/// Why an operation fails. What was transferred before stays, and the same request continues it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No folder can be the home.
    #[error("there is no home folder: {0}")]
    NoHomeFolder(NoFolder),
    /// The current folder looks like a home, and was not made here.
    #[error("{} looks like a home of colis, but was not made here or was moved here", .0.display())]
    UnmarkedHome(PathBuf),
    /// A folder is, or is in, one that received files appear in: it is what others sent, and no home.
    #[error("{} is no home: it is among received files, which {} is for", .home.display(), .received.display())]
    AmongReceived {
        /// The folder.
        home: PathBuf,
        /// The folder of received files.
        received: PathBuf,
    },
    /// A folder cannot become the one of received files.
    #[error("nothing can be received there: {0}")]
    NoPlace(#[from] NoPlace),
    /// A folder has no certificates.
    #[error("{} is no home: it has no certs/", .0.display())]
    NotAHome(PathBuf),
    /// A home is not where it should be.
    #[error("{} is not there", .0.display())]
    NoHome(PathBuf),
    /// A request that cannot be meant.
    #[error(transparent)]
    Usage(#[from] Mistake),
    /// No peer of the address book is called so.
    #[error("no peer is called {name}")]
    UnknownPeer {
        /// As it was typed.
        name: String,
        /// The name of a known peer that it may be a misspelling of.
        nearest: Option<String>,
    },
    /// The person has forgotten the peer, so that no directory brings it back.
    #[error("{name} was forgotten here")]
    Forgotten {
        /// Its name.
        name: String,
    },
    /// A known peer has no address.
    #[error("{}", match is_self {
        true => format!("{peer} is this peer itself"),
        false => format!("no address of {peer} is known"),
    })]
    NoAddress {
        /// Its name.
        peer: String,
        /// Whether it is this peer itself, which needs no connection.
        is_self: bool,
    },
    /// A known peer answers at none of its addresses.
    #[error("{}", Joined(.tries))]
    Unreachable {
        /// Its name.
        peer: String,
        /// Each address that was tried, and why it failed.
        tries: Vec<Self>,
    },
    /// None of several peers is reached that were to store something.
    #[error("{}", Joined(.tries))]
    NobodyReached {
        /// Each peer that was named, in this order, and why it is not reached.
        tries: Vec<NotReached>,
    },
    /// A host was typed that is the name of a known peer with a port.
    #[error("{source}")]
    NamedWithPort {
        /// The known peer.
        peer: String,
        /// Why the host cannot be reached.
        source: Box<Self>,
    },
    /// A peer calls itself otherwise than its certificate does.
    #[error("{address} calls itself {claimed}, its certificate says {certified}")]
    NameDiffers {
        /// Where it answers.
        address: PeerAddress,
        /// What it calls itself.
        claimed: String,
        /// What the circle calls it.
        certified: String,
    },
    /// A peer showed what another has signed.
    #[error("{address} showed the bundle of another peer ({})", .peer.short())]
    OtherBundle {
        /// Where it answers.
        address: PeerAddress,
        /// The other peer.
        peer: PeerId,
    },
    /// A recipient was revoked.
    #[error("{peer} is revoked (list {list} of the circle)")]
    Revoked {
        /// As it was named.
        peer: String,
        /// Which peer that is.
        peer_id: PeerId,
        /// The number of the revocation list.
        list: u64,
    },
    /// A member knows a peer of a name that was to be given, and that peer is on no record here.
    #[error("{by} knows a {name} of this circle, which is on no record here: peer {peer}")]
    NameHeld {
        /// The member.
        by: String,
        /// The name.
        name: String,
        /// The peer that has it.
        peer: PeerId,
    },
    /// A folder to import lacks a file.
    #[error("{0}")]
    NotWhole(#[source] TlsError),
    /// No peer is known that made the circle.
    #[error("it is not known which machine made the circle")]
    MakerUnknown,
    /// The peer that is to renew a certificate has no circle's key.
    #[error("the circle's key is not on that machine")]
    NoCircleKey,
    /// No address is known of the peer that is to renew a certificate that has ended.
    #[error("no address of {peer} is known")]
    NowhereToRenew {
        /// As it was named.
        peer: String,
    },
    /// A certificate was not renewed, and the time is over in which it can be.
    #[error("{source}")]
    PastRenewal {
        /// Why it was not renewed.
        source: Box<Self>,
        /// What to do instead, in words.
        todo: String,
    },
    /// A certificate is young by the clock of the circle's machine, and old by the one here.
    #[error(
        "not renewed: the clocks differ. The clock here says {now}, and the certificate (until {not_after}) is renewed from \
         {renewable_from}; by the clock of the circle's machine that is yet to come"
    )]
    ClocksDiffer {
        /// By the clock here.
        now: Timestamp,
        /// Until when the certificate counts.
        not_after: Timestamp,
        /// From when it is renewed.
        renewable_from: Timestamp,
    },
    /// A home that belongs to a circle cannot let others in: the circle's key is elsewhere.
    #[error("{source}")]
    CannotInvite {
        /// What is missing here.
        source: TlsError,
        /// The name of the machine that made the circle, if the circle's certificate says it.
        maker: Option<String>,
    },
    /// No machine is found that shows a code.
    #[error(transparent)]
    NoInviter(#[from] NoInviter),
    /// A port cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The network cannot be listened to.
    #[error("cannot look around: {0}")]
    LookAround(#[source] DiscoverError),
    /// No transfer for this peer has such an id or name.
    #[error("no transfer for us is or has {text}")]
    NothingNamed {
        /// What was given.
        text: String,
        /// Whether there is a password, which is not tried on everything.
        has_password: bool,
    },
    /// Nothing that waits has such an id or name.
    #[error("nothing that waits is or has {text}")]
    NothingWaits {
        /// What was given.
        text: String,
    },
    /// Nothing that is arriving has such an id or name.
    #[error("nothing that is arriving is or has {text}")]
    NothingArrives {
        /// What was given.
        text: String,
    },
    /// The owner of a peer takes no more of a transfer that was arriving there.
    #[error("{peer} stopped it")]
    StoppedBy {
        /// The peer, as it was named.
        peer: String,
        /// What the peer said.
        source: Box<Self>,
    },
    /// No send that was not finished is called so.
    #[error("no unfinished send has an id that begins with {text}, or a file of that name")]
    NothingUnfinished {
        /// What was given.
        text: String,
    },
    /// A peer that was to end has not.
    #[error("the peer at {serving} has not ended yet")]
    StillServing {
        /// Where it serves.
        serving: String,
    },
    /// A peer that serves says so in its store, which is not there or cannot be read.
    #[error("whether a peer serves this home cannot be told: {0}")]
    ServedUnknown(#[source] StoreError),
    /// No transfer that this peer has sealed has such an id or name.
    #[error("no transfer of ours in {} is or has {text}", .at.as_deref().unwrap_or("the local store"))]
    NothingOfOurs {
        /// The peer that was asked; none for the own store.
        at: Option<String>,
        /// What was given.
        text: String,
    },
    /// No transfer has such an id or name that could be deleted.
    #[error("{}", match at {
        Some(at) => format!("no transfer of ours at {at} is or has {text}"),
        None => format!("no transfer in the local store is or has {text}"),
    })]
    NothingToDelete {
        /// The peer that was asked; none for the own store.
        at: Option<String>,
        /// What was given.
        text: String,
    },
    /// A transfer cannot be recalled: it was opened there, and is not kept.
    #[error("{peer} opened it at {since} and does not keep it any more: the files there stay")]
    OpenedThere {
        /// The peer.
        peer: String,
        /// When.
        since: Timestamp,
    },
    /// A transfer was sealed by this home in a circle that it has left: nobody can sign for that identity any more.
    #[error(
        "{text} was sealed in a circle that this home has left, and cannot be granted in another"
    )]
    OfAFormerSelf {
        /// What was given.
        text: String,
    },
    /// The own store has no copy of a transfer to compare with.
    #[error("no copy of the chunks of {transfer} is here to compare with")]
    NoCopy {
        /// What was given.
        transfer: String,
    },
    /// The system has no random numbers.
    #[error("the system has no random numbers: {0}")]
    NoRandom(getrandom::Error),
    /// A password is needed, and whoever was asked for it gave none.
    #[error("{0}")]
    NoPassword(Box<dyn std::error::Error + Send + Sync>),
    /// A file or folder of this machine.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store of a peer, or our own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Sealing or opening.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// A transfer.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// The folder of received files.
    #[error(transparent)]
    Received(#[from] ReceivedError),
    /// A folder of sealed files.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address book.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A circle that is not left, or was.
    #[error(transparent)]
    Leave(#[from] LeaveError),
    /// Pairing.
    #[error(transparent)]
    Pair(#[from] PairError),
    /// A peer that was to serve.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A unit of systemd.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// Work that ended without a result.
    #[error(transparent)]
    Task(#[from] JoinError),
}

/// A peer that is not reached.
#[derive(Debug, thiserror::Error)]
#[error("{peer}: {error}")]
pub struct NotReached {
    /// As it was named.
    pub peer: String,
    /// Why.
    pub error: Box<Error>,
}

/// Several errors, in one line.
struct Joined<'a, E>(&'a [E]);

impl<E: fmt::Display> fmt::Display for Joined<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{error}")?;
        }
        Ok(())
    }
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, source }
    }

    /// That of the only one, or those of all.
    pub(super) fn of_several(mut tries: Vec<NotReached>) -> Self {
        match tries.len() {
            1 => *tries.swap_remove(0).error,
            _ => Self::NobodyReached { tries },
        }
    }

    /// The peer that misbehaved, if its id is known: it broke the protocol, or is another than it should be. One that is off, busy,
    /// full or refuses us has not. Of several tries that of the last.
    pub fn culprit(&self) -> Option<PeerId> {
        match self {
            Self::Store(error) | Self::Peer(PeerError::Store(error)) => error.culprit(),
            Self::Transfer(error) => error.culprit(),
            Self::Trust(TrustError::NameTaken { shown, .. }) => Some(*shown),
            other => other.stands_for()?.culprit(),
        }
    }

    /// The peer that it is about, if it is about one and its id is known. Of several tries that of the last.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Store(error) | Self::Peer(PeerError::Store(error)) => error.peer(),
            Self::Transfer(error) => error.peer(),
            Self::Revoked { peer_id, .. } => Some(*peer_id),
            Self::OtherBundle { peer, .. } | Self::NameHeld { peer, .. } => Some(*peer),
            Self::Trust(TrustError::NameTaken { shown, .. }) => Some(*shown),
            other => other.stands_for()?.peer(),
        }
    }

    /// Where that peer was asked, if it was. Of several tries that of the last.
    pub fn address(&self) -> Option<&PeerAddress> {
        match self {
            Self::Store(error) | Self::Peer(PeerError::Store(error)) => {
                error.remote().map(Remote::address)
            }
            Self::Transfer(error) => error.remote().map(Remote::address),
            Self::NameDiffers { address, .. } | Self::OtherBundle { address, .. } => Some(address),
            other => other.stands_for()?.address(),
        }
    }

    /// The error that it stands for.
    pub(super) fn stands_for(&self) -> Option<&Self> {
        match self {
            Self::Unreachable { tries, .. } => tries.last(),
            Self::NobodyReached { tries } => tries.last().map(|missed| &*missed.error),
            Self::NamedWithPort { source, .. }
            | Self::PastRenewal { source, .. }
            | Self::StoppedBy { source, .. } => Some(source),
            Self::Folder(FolderError::NotContinued(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether it says that something is not there.
    pub fn is_absent(&self) -> bool {
        self.kind() == Kind::NotFound
    }
}
