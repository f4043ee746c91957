//! What arrived, for whoever shows it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use super::policy::Waiting;
use crate::{
    id::{ManifestId, PeerId, TransferId},
    manifest::Timestamp,
    peer::arrivals::ArrivalSeq,
    received::NewNames,
    transfer::ReceivedFiles,
};

/// A transfer that came for us, or that its owner has decided about. Its texts are foreign: escape them before showing them.
///
/// A transfer that waits is an arrival, and another one once it was opened or refused. Programs that must do something once for
/// each transfer go by its sender and its id: after a loss of power an arrival may be told twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Arrival {
    /// Its place among the arrivals of this home: whoever has dealt with it continues after it.
    pub seq: ArrivalSeq,
    /// When it was opened, refused, or found to wait.
    pub at: Timestamp,
    /// Its manifest.
    pub id: ManifestId,
    /// The transfer, together with its sender.
    pub transfer: TransferId,
    /// Who signed it.
    pub sender: PeerId,
    /// The signer's name, if the circle knows it.
    pub sender_name: Option<String>,
    /// Bytes of content.
    pub size: u64,
    /// Who decided about it.
    pub decided: DecidedBy,
    /// What became of it.
    pub outcome: Outcome,
}

/// Who decided what becomes of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// The inbox, by the rules that it has.
    Inbox,
    /// The owner: with `colis inbox`, or by [`PeerHandle::accept`](crate::peer::PeerHandle::accept) and
    /// [`refuse`](crate::peer::PeerHandle::refuse).
    Owner,
}

/// What became of an arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outcome {
    /// Its files are there.
    Opened(OpenedFiles),
    /// It waits for the person.
    Waiting(Waiting),
    /// It cannot be opened, now or ever, or the owner does not want it.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedFiles {
    /// The final names of what it has at its top. Serialized, what is not UTF-8 in them is replaced.
    #[serde(serialize_with = "as_text")]
    pub paths: Vec<PathBuf>,
    /// How many others there are: only the first 1,000 are kept for those who read an arrival later.
    pub more_paths: usize,
    /// The text, if it is a message.
    pub message: Option<String>,
    /// Links that were not made, because they lead out of their folder; later the first 1,000 of them.
    pub skipped_links: Vec<String>,
    /// What is not called here what its sender called it.
    pub renamed: NewNames,
}

/// What the history keeps of an arrival, beside what it keeps for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) sender: PeerId,
    pub(crate) sender_name: Option<String>,
    pub(crate) decided: DecidedBy,
    /// Without the text of a message, which is in its file.
    pub(crate) outcome: Outcome,
    pub(crate) is_message: bool,
}

/// Paths and links of an arrival that are kept. They are as many as files that its sender has really brought.
const MAX_KEPT: usize = 1_000;

impl Kept {
    /// What is kept of this outcome.
    pub(crate) fn of(
        sender: PeerId,
        sender_name: Option<&str>,
        decided: DecidedBy,
        outcome: &Outcome,
    ) -> Self {
        let (mut outcome, mut is_message) = (outcome.clone(), false);
        if let Outcome::Opened(files) = &mut outcome {
            is_message = files.message.take().is_some();
            files.more_paths += files.paths.len().saturating_sub(MAX_KEPT);
            files.paths.truncate(MAX_KEPT);
            files.skipped_links.truncate(MAX_KEPT);
        }
        Self {
            sender,
            sender_name: sender_name.map(str::to_owned),
            decided,
            outcome,
            is_message,
        }
    }
}

impl OpenedFiles {
    pub(crate) fn of(received: ReceivedFiles, message: Option<String>) -> Self {
        let mut renamed = received.renamed;
        renamed.count += received.numbered.count;
        renamed.first.extend(received.numbered.first);
        Self {
            paths: received.paths,
            more_paths: 0,
            message,
            skipped_links: received.skipped_links,
            renamed,
        }
    }
}

fn as_text<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}
