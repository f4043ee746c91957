//! What a caller can do about an error: the one place that sorts the errors of all rooms.

use std::io;

use super::{Error, Kind};
use crate::{
    crypto::CryptoError,
    manifest::{ManifestError, VerifyError},
    pair::PairError,
    peer::PeerError,
    received::ReceivedError,
    store::{Refusal, StoreError},
    tls::TlsError,
    transfer::TransferError,
    trust::TrustError,
    wire::Code,
};

impl Error {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoHomeFolder(_)
            | Self::UnmarkedHome(_)
            | Self::NotAHome(_)
            | Self::NoHome(_)
            | Self::Config(_) => Kind::Config,
            Self::Usage(_) | Self::Address(_) | Self::NoPassword(_) => Kind::Usage,
            Self::UnknownPeer { .. }
            | Self::NoAddress { .. }
            | Self::NothingNamed { .. }
            | Self::NothingWaits { .. }
            | Self::NothingOfOurs { .. }
            | Self::NoCopy { .. }
            | Self::MakerUnknown
            | Self::NoCircleKey
            | Self::NowhereToRenew { .. } => Kind::NotFound,
            Self::Unreachable { tries, .. } => tries.last().map_or(Kind::Network, Self::kind),
            Self::NamedWithPort { source, .. } | Self::PastRenewal { source, .. } => source.kind(),
            Self::NameDiffers { .. }
            | Self::OtherBundle { .. }
            | Self::Revoked { .. }
            | Self::NameHeld { .. } => Kind::Trust,
            Self::NotWhole(_) | Self::CannotInvite(_) => Kind::Config,
            Self::LookAround(_) => Kind::Network,
            Self::NoInviter(error) => error.kind(),
            Self::Bind(_) => Kind::Storage,
            Self::Io { source, .. } => of_io(source),
            Self::Store(error) => of_store(error),
            Self::Manifest(error) => of_manifest(error),
            Self::Crypto(error) => of_crypto(error),
            Self::Transfer(error) => of_transfer(error),
            Self::Received(error) => of_received(error),
            Self::Folder(error) => error.kind(),
            Self::Tls(error) => of_tls(error),
            Self::Trust(error) => of_trust(error),
            Self::Pair(error) => of_pair(error),
            Self::Peer(error) => of_peer(error),
            Self::NoRandom(_) | Self::Task(_) => Kind::Storage,
        }
    }
}

impl Kind {
    pub(in crate::session) fn of_store(error: &StoreError) -> Self {
        of_store(error)
    }
}

fn of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Storage,
    }
}

fn of_store(error: &StoreError) -> Kind {
    match error {
        StoreError::NotFound { .. } => Kind::NotFound,
        StoreError::HashMismatch { .. }
        | StoreError::ChunkLength { .. }
        | StoreError::MissingChunks { .. } => Kind::Integrity,
        StoreError::NoRoom { .. }
        | StoreError::NoSpace { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Displaced { .. } => Kind::Storage,
        StoreError::Locked { .. } => Kind::Locked,
        StoreError::Format { .. } | StoreError::Later { .. } => Kind::Config,
        StoreError::Manifest(error) => of_manifest(error),
        StoreError::Refused {
            code: Refusal::Known(Code::Internal),
            ..
        } => Kind::Network,
        StoreError::Deleted
        | StoreError::EndsTooSoon { .. }
        | StoreError::Refused { .. }
        | StoreError::Untrusted { .. } => Kind::Trust,
        StoreError::TooSlow { .. }
        | StoreError::Busy { .. }
        | StoreError::Network { .. }
        | StoreError::NobodyToAsk { .. }
        | StoreError::Protocol { .. } => Kind::Network,
        StoreError::Io { source, .. } => of_io(source),
    }
}

fn of_manifest(error: &ManifestError) -> Kind {
    match error {
        ManifestError::TooLarge { .. }
        | ManifestError::Syntax { .. }
        | ManifestError::UnsupportedVersion { .. }
        | ManifestError::UnsupportedType { .. } => Kind::Config,
        ManifestError::Invariant { .. }
        | ManifestError::BadWrap { .. }
        | ManifestError::KdfParameters(_)
        | ManifestError::Untrusted(VerifyError::BadSignature) => Kind::Integrity,
        ManifestError::Expired { .. }
        | ManifestError::FromTheFuture { .. }
        | ManifestError::Untrusted(_) => Kind::Trust,
    }
}

fn of_crypto(error: &CryptoError) -> Kind {
    match error {
        CryptoError::WrongPassword => Kind::Trust,
        _ => Kind::Integrity,
    }
}

fn of_transfer(error: &TransferError) -> Kind {
    match error {
        TransferError::Source { source, .. } | TransferError::Journal { source, .. } => {
            of_io(source)
        }
        TransferError::DanglingLink { .. } | TransferError::LetGo => Kind::NotFound,
        TransferError::PrivateKey { .. }
        | TransferError::BadGlob { .. }
        | TransferError::DuplicateSource { .. }
        | TransferError::UnsendableName { .. }
        | TransferError::TooDeep { .. }
        | TransferError::NamelessSource { .. }
        | TransferError::TooManyChunks { .. }
        | TransferError::TooManyEntries { .. }
        | TransferError::NotOneFile { .. } => Kind::Usage,
        TransferError::UnsupportedSource { .. } | TransferError::Output(_) => Kind::Storage,
        TransferError::SourceChanged { .. }
        | TransferError::Integrity { .. }
        | TransferError::Name(_) => Kind::Integrity,
        TransferError::Stopped => Kind::Interrupted,
        TransferError::EveryStore { failures } => failures
            .last()
            .map_or(Kind::Network, |(_, last)| of_transfer(last)),
        TransferError::AlreadySending => Kind::Locked,
        TransferError::NotAccepted { .. }
        | TransferError::NotForUs { .. }
        | TransferError::NotOurs { .. } => Kind::Trust,
        TransferError::PasswordNeeded => Kind::Partial,
        TransferError::Store(error) => of_store(error),
        TransferError::Manifest(error) => of_manifest(error),
        TransferError::Crypto(error) => of_crypto(error),
        TransferError::Received(error) => of_received(error),
    }
}

fn of_received(error: &ReceivedError) -> Kind {
    match error {
        ReceivedError::InUse { .. } => Kind::Locked,
        ReceivedError::BadTable { .. } => Kind::Integrity,
        ReceivedError::Io { source, .. } => of_io(source),
        _ => Kind::Storage,
    }
}

fn of_tls(error: &TlsError) -> Kind {
    match error {
        TlsError::BadName => Kind::Usage,
        TlsError::NeverIssued { .. } => Kind::NotFound,
        TlsError::AlreadyIssued { .. } | TlsError::Distrusted(_) | TlsError::Refused { .. } => {
            Kind::Trust
        }
        TlsError::Io { source, .. } => of_io(source),
        TlsError::Trust(error) => of_trust(error),
        _ => Kind::Config,
    }
}

fn of_trust(error: &TrustError) -> Kind {
    match error {
        TrustError::NameTaken { .. }
        | TrustError::OldBundle { .. }
        | TrustError::AliasTaken { .. } => Kind::Trust,
        TrustError::InUse { .. } | TrustError::BadName { .. } => Kind::Usage,
        TrustError::Unknown { .. } => Kind::NotFound,
        TrustError::Newer { .. } | TrustError::Damaged { .. } => Kind::Config,
        TrustError::Io { source, .. } => of_io(source),
    }
}

fn of_pair(error: &PairError) -> Kind {
    match error {
        PairError::WrongCode { .. }
        | PairError::Burned
        | PairError::Expired
        | PairError::Impostor
        | PairError::Refused { .. } => Kind::Trust,
        PairError::Tls(error) => of_tls(error),
        PairError::Failed(_) => Kind::Storage,
        _ => Kind::Network,
    }
}

fn of_peer(error: &PeerError) -> Kind {
    match error {
        PeerError::Store(error) => of_store(error),
        PeerError::Tls(error) => of_tls(error),
        PeerError::Received(error) => of_received(error),
        PeerError::Bind(_) | PeerError::Serve(_) => Kind::Storage,
    }
}
