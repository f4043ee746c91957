//! What became of transfers: for the log, without names of files, and for the history, with them.

use super::{Inbox, Opened, Outcome, Waiting, why::code_of};
use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::SignedManifest,
    name::Escaped,
    peer::history::{Direction, HistoryEntry},
    server::{Cut, NotTaken},
    store::TransferState,
    transfer::{ReceivedFiles, TransferError},
};

/// A sender, for the log: its name if it is verified, else the beginning of its id.
pub(super) fn who(name: Option<&str>, id: PeerId) -> String {
    name.map_or_else(|| id.short(), |name| Escaped::new(name).to_string())
}

impl Inbox {
    pub(super) fn remember_opened(
        &self,
        manifest: &SignedManifest,
        sender: Option<&str>,
        opened: &Opened,
    ) {
        let mut entry = HistoryEntry {
            seconds: Some(opened.seconds),
            names: opened.names.clone(),
            ..entry(Direction::Received, manifest, sender)
        };
        entry.set_paths(&opened.files.paths);
        self.remember(&entry);
    }

    pub(super) fn remember_not_opened(
        &self,
        manifest: &SignedManifest,
        sender: Option<&str>,
        outcome: &Outcome,
    ) {
        let (direction, reason) = match outcome {
            Outcome::Opened(_) => return,
            Outcome::Waiting(why) => (Direction::Waiting, why.reason()),
            Outcome::Refused { reason } => (Direction::Refused, reason.as_str()),
        };
        self.remember(&HistoryEntry {
            reason: Some(reason.to_owned()),
            ..entry(direction, manifest, sender)
        });
    }

    pub(super) fn remember_cut(&self, cut: &Cut) {
        self.remember(&HistoryEntry {
            peers: vec![cut.name.clone()],
            bytes: cut.bytes,
            of: cut.of,
            ..HistoryEntry::new(Direction::Cut, cut.transfer)
        });
    }

    pub(super) fn remember_not_taken(&self, not_taken: &NotTaken) {
        self.remember(&HistoryEntry {
            peers: vec![not_taken.name.clone()],
            bytes: not_taken.bytes,
            of: not_taken.of,
            reason: Some(not_taken.why.clone()),
            ..HistoryEntry::new(Direction::Refused, not_taken.transfer)
        });
    }

    /// Where the store was moved away nothing is begun in its place.
    pub(super) fn note_reason(&self, id: ManifestId, reason: &str) {
        if self.store.is_in_place() {
            self.reasons.note(id, reason);
        }
    }

    /// Not being able to write the history is no reason not to deliver. Where the store was moved away nothing is begun in its
    /// place.
    fn remember(&self, entry: &HistoryEntry) {
        if !self.store.is_in_place() {
            return;
        }
        if let Err(error) = self.history.append(entry) {
            tracing::warn!(%error, "the history is not written");
        }
    }
}

fn entry(direction: Direction, manifest: &SignedManifest, sender: Option<&str>) -> HistoryEntry {
    let payload = manifest.payload();
    HistoryEntry {
        manifest: Some(manifest.id()),
        verified: sender.is_some(),
        peers: vec![sender.map_or_else(|| payload.sender.short(), str::to_owned)],
        bytes: payload.size,
        ..HistoryEntry::new(direction, payload.transfer_id)
    }
}

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
pub(super) fn failed(
    manifest: &SignedManifest,
    sender: Option<&str>,
    error: &TransferError,
) -> (TransferState, Outcome) {
    let (reason, payload) = (error.to_string(), manifest.payload());
    // The reason may have names of files, which a log must not have.
    tracing::error!(
        transfer = payload.transfer_id.short(),
        manifest = manifest.id().short(),
        sender = %who(sender, payload.sender),
        error = error.kind(),
        "not opened"
    );
    if error.is_final() {
        (TransferState::Refused, Outcome::Refused { reason })
    } else {
        let code = code_of(error);
        let waiting = Waiting::Failed { code, reason };
        (TransferState::Waiting, Outcome::Waiting(waiting))
    }
}
