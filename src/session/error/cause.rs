//! Why something failed, in one word that a program can match: finer than what can be done about it.

use serde::{Deserialize, Serialize};

use super::{Error, Kind};
use crate::{
    manifest::Distrust,
    store::{Refusal, Rejection, StoreError},
    transfer::TransferError,
    wire::Code,
};

/// Why something failed. Where it is about a peer, [`Error::peer`] says about which; else it is about this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// Nobody is known by that name.
    UnknownPeer,
    /// It is known, and nowhere where it could be asked.
    NoAddress,
    /// The circle has revoked the peer.
    Revoked,
    /// It does not answer, or the connection failed.
    NotReached,
    /// It asks to come back later.
    Busy,
    /// The line is too slow for its patience, or it is too slow for that of the others.
    TooSlow,
    /// What may be stored there is used up.
    QuotaExceeded,
    /// A disk is full, or can have no more files.
    NoSpace,
    /// A disk or a store has failed, or cannot be written.
    StoreFailed,
    /// It does not accept our certificate, or has blocked us.
    RefusesUs,
    /// It refuses what was asked, for example because of our role there.
    Refused,
    /// A recipient does not want the transfer.
    NotAccepted,
    /// The owner of the peer takes no more of a transfer that was arriving there.
    Stopped,
    /// Somebody is not who was expected, or is not trusted.
    NotTrusted,
    /// It does not speak the protocol.
    BrokeProtocol,
    /// Bytes are not what they should be.
    Integrity,
    /// Something is not there.
    NotFound,
    /// Only a password opens it.
    PasswordNeeded,
    /// Another process is at it.
    InUse,
    /// The request cannot be meant.
    Usage,
    /// Something else, or a cause of a newer version.
    #[default]
    #[serde(other)]
    Other,
}

impl Error {
    /// Why it failed, in one word.
    pub fn cause(&self) -> Cause {
        match self {
            Self::UnknownPeer { .. } | Self::Forgotten { .. } => Cause::UnknownPeer,
            Self::NoAddress { .. } => Cause::NoAddress,
            Self::Revoked { .. } => Cause::Revoked,
            Self::Store(error) => of_store(error),
            Self::Transfer(error) => of_transfer(error),
            other => match other.stands_for() {
                Some(error) => error.cause(),
                None => of_kind(other.kind()),
            },
        }
    }
}

fn of_transfer(error: &TransferError) -> Cause {
    match error {
        TransferError::Store(error) => of_store(error),
        TransferError::NoStore { failures } => failures.last().map_or(Cause::Other, of_transfer),
        TransferError::NotAccepted { .. } => Cause::NotAccepted,
        TransferError::KeptWaiting { .. } => Cause::TooSlow,
        TransferError::PasswordNeeded => Cause::PasswordNeeded,
        other => of_kind(Kind::from(other)),
    }
}

fn of_store(error: &StoreError) -> Cause {
    match error {
        StoreError::NoSpace { quota: Some(_), .. } => Cause::QuotaExceeded,
        StoreError::NoSpace { .. } | StoreError::NoRoom(_) => Cause::NoSpace,
        StoreError::Busy { .. } => Cause::Busy,
        StoreError::TooSlow { .. } => Cause::TooSlow,
        StoreError::Refused {
            code: Refusal::Known(Code::Cancelled),
            ..
        } => Cause::Stopped,
        StoreError::Refused { .. } => Cause::Refused,
        StoreError::Protocol { .. } => Cause::BrokeProtocol,
        StoreError::Untrusted { cause, .. } => match cause {
            Rejection::TheyRefusedUs(_) => Cause::RefusesUs,
            Rejection::WeRefusedThem(Distrust::Revoked { .. }) => Cause::Revoked,
            Rejection::WeRefusedThem(_) => Cause::NotTrusted,
        },
        other => of_kind(Kind::from(other)),
    }
}

fn of_kind(kind: Kind) -> Cause {
    match kind {
        Kind::Usage => Cause::Usage,
        Kind::Trust => Cause::NotTrusted,
        Kind::Integrity => Cause::Integrity,
        Kind::NotFound => Cause::NotFound,
        Kind::Storage => Cause::StoreFailed,
        Kind::Network => Cause::NotReached,
        Kind::Locked => Cause::InUse,
        Kind::Config | Kind::Partial | Kind::Interrupted => Cause::Other,
    }
}
