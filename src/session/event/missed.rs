//! What failed, was left out or missed.

use serde::{Deserialize, Serialize};

use super::Event;
use crate::{
    id::{ManifestId, PeerId, TransferId},
    session::{Cause, Error, Session},
    transfer,
};

/// Why what was asked for failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// What can be done about it, as its exit code says it.
    pub exit: u8,
    /// What failed, on what.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The peer that misbehaved, if its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<PeerId>,
    /// The peer that it is about, if its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<PeerId>,
    /// Where that peer was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Something that is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Where it is.
    pub path: String,
    /// Why it is not sent.
    pub reason: String,
}

impl LeftOut {
    /// A link that no recipient makes.
    pub(crate) fn leads_out(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            reason: "a link that leads out of its folder: no recipient makes it".to_owned(),
        }
    }

    /// Tells each of `left_out`. Returns whether that is all that was meant to be sent.
    pub(crate) fn tell(session: &Session, left_out: &[transfer::LeftOut]) -> bool {
        for transfer::LeftOut { path, why } in left_out {
            let (path, reason) = (path.to_string_lossy().into_owned(), why.to_string());
            session.tell(Self { path, reason });
        }
        Self::is_all_sent(left_out)
    }

    pub(crate) fn is_all_sent(left_out: &[transfer::LeftOut]) -> bool {
        !left_out.iter().any(|left| left.why.is_missed())
    }
}

impl From<LeftOut> for Event {
    fn from(left_out: LeftOut) -> Self {
        Self::LeftOut(left_out)
    }
}

/// Which of several did not get there, or did not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The peer that does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The transfer that did not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "id")]
    pub manifest: Option<ManifestId>,
    /// The unfinished send that could not be gone on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<TransferId>,
    /// What can be done about it, as the exit code says it of one alone.
    pub exit: u8,
    /// Why, in one word.
    #[serde(default)]
    pub cause: Cause,
    /// Why, for a person.
    pub reason: String,
    /// The peer that misbehaved, if its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<PeerId>,
    /// The peer that it is about, if its id is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<PeerId>,
    /// Where that peer was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Missed {
    pub(in crate::session) fn peer(peer: String, error: &Error) -> Self {
        Self {
            peer: Some(peer),
            ..Self::of(error)
        }
    }

    pub(in crate::session) fn transfer(manifest: ManifestId, error: &Error) -> Self {
        Self {
            manifest: Some(manifest),
            ..Self::of(error)
        }
    }

    /// An unfinished send that could not be gone on with, of several.
    #[cfg(feature = "cli")]
    pub(crate) fn send(transfer: TransferId, error: &Error) -> Self {
        Self {
            send: Some(transfer),
            ..Self::of(error)
        }
    }

    fn of(error: &Error) -> Self {
        Self {
            peer: None,
            manifest: None,
            send: None,
            exit: error.kind() as u8,
            cause: error.cause(),
            reason: error.to_string(),
            culprit: error.culprit(),
            peer_id: error.peer(),
            address: error.address().map(ToString::to_string),
        }
    }
}
