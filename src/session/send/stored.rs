//! What became of a transfer at each store that it was for.

use serde::{Deserialize, Serialize};

use crate::{
    address::PeerAddress,
    id::PeerId,
    session::{Cause, Error, Kind},
    store::OfferAnswer,
};

/// What became of a transfer at one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAt {
    /// The peer, as it was named; or `the local store`, or `the given store`.
    pub peer: String,
    /// Its id.
    pub peer_id: Option<PeerId>,
    /// Where it was reached.
    pub address: Option<String>,
    /// What it answered to the offer, if it has the transfer.
    pub answer: Option<OfferAnswer>,
    /// Why it does not have the transfer.
    pub error: Option<Fault>,
}

/// Why one of several failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What can be done about it.
    pub kind: Kind,
    /// Why it failed, in one word.
    #[serde(default)]
    pub cause: Cause,
    /// What can be done, as the exit code says it of one alone.
    pub exit: u8,
    /// What failed, for a person.
    pub message: String,
    /// The peer that misbehaved, if its id is known.
    pub culprit: Option<PeerId>,
    /// The peer that it is about, if its id is known; none if it is this machine.
    #[serde(default)]
    pub peer_id: Option<PeerId>,
    /// Where it was asked.
    pub address: Option<String>,
}

impl StoredAt {
    /// A store that was given, whose peer is not known.
    pub(super) fn given(name: &str) -> Self {
        Self {
            peer: name.to_owned(),
            peer_id: None,
            address: None,
            answer: None,
            error: None,
        }
    }

    /// A store that was reached.
    pub(super) fn reached(name: &str, id: PeerId, address: Option<&PeerAddress>) -> Self {
        Self {
            peer_id: Some(id),
            address: address.map(ToString::to_string),
            ..Self::given(name)
        }
    }

    /// A store that is not reached.
    pub(super) fn missed(name: &str, peer_id: Option<PeerId>, error: &Error) -> Self {
        Self {
            peer_id,
            error: Some(Fault::of(error)),
            ..Self::given(name)
        }
    }
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        let kind = error.kind();
        Self {
            kind,
            cause: error.cause(),
            exit: kind as u8,
            message: error.to_string(),
            culprit: error.culprit(),
            peer_id: error.peer(),
            address: error.address().map(ToString::to_string),
        }
    }
}
