//! Who signed a transfer, as people are told.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Session;
use crate::{
    id::{PeerId, Short as _},
    manifest::{SignedManifest, Timestamp},
    name::Escaped,
};

/// Who signed a transfer, as far as that is known here.
///
/// A name is told only of who has proved it: by the certificate that goes with a good signature. Everybody else is an id, which
/// is not looked up: anybody can write anybody's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedBy {
    /// What it is called here, or the beginning of its id. Remote text.
    #[serde(rename = "sender_name")]
    pub name: String,
    /// Whether the circle vouches for it, and it is not blocked here.
    pub verified: bool,
    /// Whether it may do nothing here.
    pub blocked: bool,
}

impl SignedBy {
    /// Who signed `manifest`.
    pub(crate) fn of(us: &Session, manifest: &SignedManifest) -> Self {
        let sender = manifest.payload().sender;
        match manifest.verify(us.circle(), Timestamp::now()) {
            Ok(name) => {
                let blocked = us.is_blocked(sender);
                Self {
                    name: us.known_name(sender).unwrap_or(name),
                    verified: !blocked,
                    blocked,
                }
            }
            Err(_) => Self::unknown(sender),
        }
    }

    /// Somebody who says to be `sender`.
    pub(crate) fn unknown(sender: PeerId) -> Self {
        Self {
            name: sender.short(),
            verified: false,
            blocked: false,
        }
    }

    /// What it is, in a word.
    pub(crate) fn standing(&self) -> &'static str {
        match (self.verified, self.blocked) {
            (true, _) => "verified",
            (false, true) => "blocked",
            (false, false) => "not verified",
        }
    }
}

/// The name, escaped, and what is to be known of it unless it is verified.
impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped::new(&self.name))?;
        match self.verified {
            true => Ok(()),
            false => write!(f, " ({})", self.standing()),
        }
    }
}
