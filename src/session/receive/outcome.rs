//! What was received.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    id::{FileDigest, ManifestId, Short as _},
    session::Missed,
    store::ManifestInfo,
    transfer::{OpenedTransfer, Origin, ReceivedFiles},
};

/// What has become of a request to receive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReceiveOutcome {
    /// The transfers that have come.
    pub received: Vec<ReceivedTransfer>,
    /// With `all`: those that only a password opens.
    pub locked: Vec<Locked>,
    /// Those of several that did not come.
    pub missed: Vec<Missed>,
    /// With `all`: those that were left because they are not new.
    pub passed_over: PassedOver,
    /// Whether all of it has come: nothing is locked or missed.
    pub complete: bool,
}

/// How many transfers are not new for this peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Opened or refused here before.
    pub before: usize,
    /// Sent by this peer to others.
    pub mine: usize,
}

/// That a request to receive all that is new has found nothing that could come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NothingNew {
    /// The peers that were asked, as they were named; none if it was looked for here.
    pub from: Vec<String>,
    /// What was left because it is not new.
    #[serde(flatten)]
    pub passed_over: PassedOver,
    /// How many only a password opens.
    pub locked: usize,
}

impl NothingNew {
    /// What `outcome`, in which nothing has come, says of what was asked of these peers.
    pub fn of(from: &[String], outcome: &ReceiveOutcome) -> Self {
        Self {
            from: from.to_vec(),
            passed_over: outcome.passed_over,
            locked: outcome.locked.len(),
        }
    }
}

impl ReceiveOutcome {
    /// Nothing was there, which is complete.
    pub(in crate::session) fn nothing() -> Self {
        Self {
            complete: true,
            ..Self::default()
        }
    }
}

/// A transfer that was received. Its names and its message are foreign: escape them before showing them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedTransfer {
    /// Its manifest.
    #[serde(rename = "id")]
    pub manifest: ManifestId,
    /// Who sent it; the beginning of an id, if that is not verified.
    pub sender: String,
    /// Whether the circle vouches for the sender.
    pub verified: bool,
    /// Bytes of content.
    pub bytes: u64,
    /// The final paths of what it has at its top; none of what went to a writer.
    pub paths: Vec<String>,
    /// The BLAKE3 digest, as `b3sum` prints it, of each of the paths that is a file; of what went to a writer with its name.
    pub blake3: Vec<(String, FileDigest)>,
    /// Whether all of it was there already, identical, so that nothing was written.
    pub already_there: bool,
    /// Those of the paths that were there already, identical, while others were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identical: Vec<String>,
    /// Chunks of content that an earlier, interrupted run had written.
    pub already_chunks: u64,
    /// Links that were not made, because they lead out of their folder.
    pub skipped_links: Vec<String>,
    /// Links that were not made, because the file system there has none.
    pub unmade_links: Vec<String>,
    /// Names that have a number here because another entry has them, the first few, and what they have become.
    pub numbered: Vec<(String, String)>,
    /// How many there are.
    pub numbered_count: usize,
    /// The same of names that cannot be written everywhere or are harmful.
    pub renamed: Vec<(String, String)>,
    /// How many there are.
    pub renamed_count: usize,
    /// Whether the file system there lets no times be set.
    pub lost_times: bool,
    /// Whether it lets nothing be executable that was to be.
    pub lost_executable: bool,
    /// The text, if it is a message.
    pub message: Option<String>,
}

impl ReceivedTransfer {
    pub(super) fn of(
        manifest: ManifestId,
        transfer: &OpenedTransfer,
        files: ReceivedFiles,
        message: Option<String>,
    ) -> Self {
        let (sender, verified) = sender_of(transfer);
        let texts = |paths: &[PathBuf]| {
            let paths = paths.iter().map(|path| path.to_string_lossy().into_owned());
            paths.collect::<Vec<_>>()
        };
        let paths = texts(&files.paths);
        let of_paths = paths.iter().cloned().zip(&files.blake3);
        let of_paths = of_paths.filter_map(|(path, sum)| Some((path, (*sum)?)));
        let blake3 = match paths.is_empty() {
            true => transfer.listing.top_sums(),
            false => of_paths.collect(),
        };
        Self {
            manifest,
            sender,
            verified,
            blake3,
            bytes: files.size,
            paths,
            already_there: files.already_there,
            identical: texts(&files.identical),
            already_chunks: files.already_chunks,
            skipped_links: files.skipped_links,
            unmade_links: files.unmade_links,
            numbered: files.numbered.first,
            numbered_count: files.numbered.count,
            renamed: files.renamed.first,
            renamed_count: files.renamed.count,
            lost_times: files.lost.times,
            lost_executable: files.lost.executable,
            message,
        }
    }
}

/// The sender's name, and whether it is verified; else the beginning of its id.
pub(super) fn sender_of(transfer: &OpenedTransfer) -> (String, bool) {
    match &transfer.origin {
        Origin::Verified { name } => (name.clone(), true),
        Origin::Unverified => (transfer.manifest.payload().sender.short(), false),
    }
}

/// A transfer that was to be received with all others and is not opened without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Its manifest.
    #[serde(rename = "id")]
    pub manifest: ManifestId,
    /// Bytes of content.
    pub bytes: u64,
    /// Whether there is a password that was not tried on it.
    pub not_tried: bool,
}

impl Locked {
    pub(super) fn of(info: &ManifestInfo, not_tried: bool) -> Self {
        Self {
            manifest: info.id,
            bytes: info.size,
            not_tried,
        }
    }
}
