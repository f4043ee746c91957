//! What arrived, for whoever shows it.

use std::path::PathBuf;

use super::policy::Waiting;
use crate::id::{ManifestId, PeerId};

/// A transfer that came for us. Its texts are foreign: escape them before showing them.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its manifest.
    pub id: ManifestId,
    /// Who signed it.
    pub sender: PeerId,
    /// The signer's name, if the circle knows it.
    pub sender_name: Option<String>,
    /// Bytes of content.
    pub size: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an arrival.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Its files are there.
    Opened {
        /// The final names of what it has at its top.
        paths: Vec<PathBuf>,
        /// The text, if it is a message.
        message: Option<String>,
    },
    /// It waits for the person.
    Waiting(Waiting),
    /// It cannot be opened, now or ever.
    Refused {
        /// Why.
        reason: String,
    },
}
