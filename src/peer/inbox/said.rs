//! What the log is told of transfers that are not opened, or not as they were sent; without names.

use super::{Outcome, Waiting};
use crate::{
    id::{ManifestId, Short as _},
    store::TransferState,
    transfer::{ReceivedFiles, TransferError},
};

pub(super) fn warn_of_changes(manifest: &str, written: &ReceivedFiles) {
    let links = written.skipped_links.len();
    if links > 0 {
        tracing::warn!(manifest, links, "links that lead out were skipped");
    }
    let links = written.unmade_links.len();
    if links > 0 {
        tracing::warn!(
            manifest,
            links,
            "links were skipped: this file system has none"
        );
    }
    let entries = written.numbered.count;
    if entries > 0 {
        tracing::warn!(manifest, entries, "names that are one here were numbered");
    }
    let entries = written.renamed.count;
    if entries > 0 {
        tracing::warn!(manifest, entries, "names were changed");
    }
    let (times, executable) = (written.lost.times, written.lost.executable);
    if times || executable {
        tracing::warn!(
            manifest,
            times,
            executable,
            "this file system cannot keep these"
        );
    }
}

/// What follows from not being able to open a transfer.
pub(super) fn failed(id: ManifestId, error: &TransferError) -> (TransferState, Outcome) {
    let reason = error.to_string();
    // The reason may have names of files, which a log must not have.
    tracing::error!(manifest = id.short(), error = error.kind(), "not opened");
    if error.is_final() {
        (TransferState::Refused, Outcome::Refused { reason })
    } else {
        let waiting = Waiting::Failed { reason };
        (TransferState::Waiting, Outcome::Waiting(waiting))
    }
}
