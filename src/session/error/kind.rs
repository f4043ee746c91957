//! What a caller can do about an error: the one place that sorts the errors of all rooms.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Error, Mistake};
use crate::{
    address::AddressError,
    config::{ConfigError, units::UnitError},
    crypto::CryptoError,
    manifest::{ManifestError, VerifyError},
    pair::PairError,
    peer::PeerError,
    received::ReceivedError,
    session::FolderError,
    store::{Missing, Refusal, StoreError},
    tls::{TlsError, WhyRefused},
    transfer::TransferError,
    trust::TrustError,
    wire::Code,
};

/// What a caller can do about an error, in one word. Its number is the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// The request cannot be meant: change it.
    Usage = 2,
    /// A file of this home, or a format, cannot be used.
    Config = 3,
    /// Someone is not who was expected, or may not do this.
    Trust = 4,
    /// Bytes are not what they should be.
    Integrity = 5,
    /// Something is not there.
    NotFound = 6,
    /// A disk or another part of a machine.
    Storage = 7,
    /// The network: try again.
    Network = 8,
    /// Another process is at it: wait.
    Locked = 9,
    /// Part of it is done.
    Partial = 10,
    /// It was interrupted.
    Interrupted = 130,
}

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoHomeFolder(_)
            | Self::UnmarkedHome(_)
            | Self::AmongReceived { .. }
            | Self::NotAHome(_)
            | Self::NoPlace(_)
            | Self::NoHome(_) => Kind::Config,
            Self::Config(error) => error.into(),
            Self::Usage(mistake) => mistake.into(),
            Self::Address(error) => error.into(),
            Self::NoPassword(_) => Kind::Usage,
            Self::UnknownPeer { .. }
            | Self::Forgotten { .. }
            | Self::NoAddress { .. }
            | Self::NothingNamed { .. }
            | Self::NothingWaits { .. }
            | Self::NothingArrives { .. }
            | Self::NothingUnfinished { .. }
            | Self::NothingOfOurs { .. }
            | Self::NothingToDelete { .. }
            | Self::OpenedThere { .. }
            | Self::NoCopy { .. }
            | Self::MakerUnknown
            | Self::NoCircleKey
            | Self::NowhereToRenew { .. } => Kind::NotFound,
            Self::Unreachable { tries, .. } => tries.last().map_or(Kind::Network, Self::kind),
            Self::NobodyReached { tries } => {
                let last = tries.last();
                last.map_or(Kind::Network, |missed| missed.error.kind())
            }
            Self::NamedWithPort { source, .. }
            | Self::PastRenewal { source, .. }
            | Self::StoppedBy { source, .. } => source.kind(),
            Self::NameDiffers { .. }
            | Self::OtherBundle { .. }
            | Self::Revoked { .. }
            | Self::NameHeld { .. }
            | Self::OfAFormerSelf { .. }
            | Self::ClocksDiffer { .. } => Kind::Trust,
            Self::NotWhole(_) | Self::CannotInvite { .. } => Kind::Config,
            Self::LookAround(_) => Kind::Network,
            Self::StillServing { .. } => Kind::Locked,
            Self::ServedUnknown(error) => error.into(),
            Self::NoInviter(error) => error.kind(),
            Self::Bind(_) => Kind::Storage,
            Self::Io { source, .. } => source.into(),
            Self::Store(error) => error.into(),
            Self::Manifest(error) => error.into(),
            Self::Crypto(error) => error.into(),
            Self::Transfer(error) => error.into(),
            Self::Received(error) => error.into(),
            Self::Folder(error) => error.kind(),
            Self::Unit(error) => error.kind(),
            Self::Leave(error) => error.kind(),
            Self::Tls(error) => error.into(),
            Self::Trust(error) => error.into(),
            Self::Pair(error) => error.into(),
            Self::Peer(error) => error.into(),
            Self::NoRandom(_) | Self::Task(_) => Kind::Storage,
        }
    }
}

impl From<&Error> for Kind {
    fn from(error: &Error) -> Self {
        error.kind()
    }
}

impl From<&FolderError> for Kind {
    fn from(error: &FolderError) -> Self {
        error.kind()
    }
}

impl From<&ConfigError> for Kind {
    fn from(_: &ConfigError) -> Self {
        Self::Config
    }
}

impl From<&AddressError> for Kind {
    fn from(_: &AddressError) -> Self {
        Self::Usage
    }
}

impl From<&UnitError> for Kind {
    fn from(_: &UnitError) -> Self {
        Self::Usage
    }
}

impl From<&Mistake> for Kind {
    fn from(_: &Mistake) -> Self {
        Self::Usage
    }
}

impl From<&io::Error> for Kind {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Storage,
        }
    }
}

impl From<&StoreError> for Kind {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::NotFound(Missing::Damaged(_)) => Self::Integrity,
            StoreError::NotFound { .. } => Self::NotFound,
            StoreError::HashMismatch { .. }
            | StoreError::ChunkLength { .. }
            | StoreError::MissingChunks { .. } => Self::Integrity,
            StoreError::NoRoom { .. }
            | StoreError::NoSpace { .. }
            | StoreError::TooMuchUnnamed { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Displaced { .. } => Self::Storage,
            StoreError::Locked { .. } => Self::Locked,
            StoreError::Format { .. } | StoreError::Later { .. } => Self::Config,
            StoreError::Manifest(error) => error.into(),
            StoreError::Refused {
                code: Refusal::Known(Code::Internal),
                ..
            } => Self::Network,
            // As what a recipient refuses later.
            StoreError::Refused {
                code: Refusal::Known(Code::Cancelled),
                ..
            } => Self::Partial,
            StoreError::Deleted
            | StoreError::EndsTooSoon { .. }
            | StoreError::Refused { .. }
            | StoreError::Untrusted { .. } => Self::Trust,
            StoreError::TooSlow { .. }
            | StoreError::Busy { .. }
            | StoreError::Network { .. }
            | StoreError::NobodyToAsk { .. }
            | StoreError::Protocol { .. } => Self::Network,
            StoreError::Io { source, .. } => source.into(),
        }
    }
}

impl From<&ManifestError> for Kind {
    fn from(error: &ManifestError) -> Self {
        match error {
            ManifestError::TooLarge { .. }
            | ManifestError::Syntax { .. }
            | ManifestError::UnsupportedVersion { .. }
            | ManifestError::UnsupportedType { .. } => Self::Config,
            ManifestError::Invariant { .. }
            | ManifestError::BadWrap(_)
            | ManifestError::KdfParameters(_)
            | ManifestError::Untrusted(VerifyError::BadSignature) => Self::Integrity,
            ManifestError::Expired { .. }
            | ManifestError::FromTheFuture { .. }
            | ManifestError::Untrusted(_) => Self::Trust,
        }
    }
}

impl From<&CryptoError> for Kind {
    fn from(error: &CryptoError) -> Self {
        match error {
            CryptoError::WrongPassword => Self::Trust,
            _ => Self::Integrity,
        }
    }
}

impl From<&TransferError> for Kind {
    fn from(error: &TransferError) -> Self {
        match error {
            TransferError::Source { source, .. } | TransferError::Journal { source, .. } => {
                source.into()
            }
            TransferError::DanglingLink { .. }
            | TransferError::NotAsSent { .. }
            | TransferError::LetGo => Self::NotFound,
            TransferError::PrivateKey { .. }
            | TransferError::BadGlob { .. }
            | TransferError::NothingNamed
            | TransferError::AllFiltered
            | TransferError::DuplicateSource { .. }
            | TransferError::UnsendableName { .. }
            | TransferError::TooDeep { .. }
            | TransferError::NamelessSource { .. }
            | TransferError::TooManyChunks { .. }
            | TransferError::TooManyEntries { .. }
            | TransferError::NotOneFile { .. } => Self::Usage,
            TransferError::UnsupportedSource { .. } | TransferError::Output(_) => Self::Storage,
            TransferError::SourceChanged { .. }
            | TransferError::Integrity { .. }
            | TransferError::Name(_) => Self::Integrity,
            TransferError::Stopped => Self::Interrupted,
            TransferError::KeptWaiting { .. } => Self::Network,
            TransferError::AlreadySending => Self::Locked,
            TransferError::NotAccepted { .. }
            | TransferError::NotForUs { .. }
            | TransferError::NotOurs { .. } => Self::Trust,
            TransferError::PasswordNeeded => Self::Partial,
            TransferError::Store(error) => error.into(),
            TransferError::NoStore { failures } => {
                failures.last().map_or(Self::Network, Self::from)
            }
            TransferError::Manifest(error) => error.into(),
            TransferError::Crypto(error) => error.into(),
            TransferError::Received(error) => error.into(),
        }
    }
}

impl From<&ReceivedError> for Kind {
    fn from(error: &ReceivedError) -> Self {
        match error {
            ReceivedError::InUse { .. } => Self::Locked,
            ReceivedError::BadTable { .. } => Self::Integrity,
            ReceivedError::Io { source, .. } => source.into(),
            _ => Self::Storage,
        }
    }
}

impl From<&TlsError> for Kind {
    fn from(error: &TlsError) -> Self {
        match error {
            TlsError::BadName => Self::Usage,
            TlsError::Locked { .. } | TlsError::Closed | TlsError::WrongPassphrase => Self::Locked,
            TlsError::Refused(WhyRefused::OutsideAuthority(_)) => Self::Usage,
            TlsError::NeverIssued { .. } => Self::NotFound,
            TlsError::AlreadyIssued { .. } | TlsError::Distrusted(_) | TlsError::Refused { .. } => {
                Self::Trust
            }
            TlsError::Io { source, .. } => source.into(),
            TlsError::Trust(error) => error.into(),
            _ => Self::Config,
        }
    }
}

impl From<&TrustError> for Kind {
    fn from(error: &TrustError) -> Self {
        match error {
            TrustError::NameTaken { .. }
            | TrustError::OldBundle { .. }
            | TrustError::AliasTaken { .. } => Self::Trust,
            TrustError::InUse { .. } | TrustError::BadName { .. } => Self::Usage,
            TrustError::Unknown { .. } => Self::NotFound,
            TrustError::Newer { .. } | TrustError::Damaged { .. } => Self::Config,
            TrustError::Io { source, .. } => source.into(),
        }
    }
}

impl From<&PairError> for Kind {
    fn from(error: &PairError) -> Self {
        match error {
            PairError::WrongCode { .. }
            | PairError::Burned
            | PairError::Used
            | PairError::Expired
            | PairError::Impostor
            | PairError::NameTaken { .. }
            | PairError::Refused { .. } => Self::Trust,
            PairError::HasCertificates { .. } => Self::Config,
            PairError::Tls(error) => error.into(),
            PairError::Failed(_) => Self::Storage,
            _ => Self::Network,
        }
    }
}

impl From<&PeerError> for Kind {
    fn from(error: &PeerError) -> Self {
        match error {
            PeerError::Store(error) => error.into(),
            PeerError::Tls(error) => error.into(),
            PeerError::Received(error) => error.into(),
            PeerError::Bind(_) | PeerError::Serve(_) => Self::Storage,
        }
    }
}
