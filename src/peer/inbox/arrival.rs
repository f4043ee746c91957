//! What arrived, for whoever shows it.

use std::path::PathBuf;

use super::policy::Waiting;
use crate::{
    id::{ManifestId, PeerId},
    received::NewNames,
    transfer::ReceivedFiles,
};

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
#[non_exhaustive]
pub enum Outcome {
    /// Its files are there.
    Opened(OpenedFiles),
    /// It waits for the person.
    Waiting(Waiting),
    /// It cannot be opened, now or ever.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What was opened.
#[derive(Debug, Clone)]
pub struct OpenedFiles {
    /// The final names of what it has at its top.
    pub paths: Vec<PathBuf>,
    /// The text, if it is a message.
    pub message: Option<String>,
    /// Links that were not made, because they lead out of their folder.
    pub skipped_links: Vec<String>,
    /// What is not called here what its sender called it.
    pub renamed: NewNames,
}

impl OpenedFiles {
    pub(super) fn of(received: ReceivedFiles, message: Option<String>) -> Self {
        let mut renamed = received.renamed;
        renamed.count += received.numbered.count;
        renamed.first.extend(received.numbered.first);
        Self {
            paths: received.paths,
            message,
            skipped_links: received.skipped_links,
            renamed,
        }
    }
}
