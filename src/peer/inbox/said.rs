//! What became of transfers: for the log, without names of files, and for the history, with them.

use std::io;

use super::{Arrival, ArrivalSeq, DecidedBy, Inbox, Kept, News, Outcome, Waiting, why::code_of};
use crate::{
    id::{FileDigest, ManifestId, PeerId, Short as _},
    manifest::SignedManifest,
    name::Escaped,
    peer::history::{Direction, History, HistoryEntry},
    server::{Cut, NotTaken},
    store::{Store as _, TransferState},
    transfer::{ReceivedFiles, TransferError},
};

/// A sender, for the log: its name if it is verified, else the beginning of its id.
pub(super) fn who(name: Option<&str>, id: PeerId) -> String {
    name.map_or_else(|| id.short(), |name| Escaped::new(name).to_string())
}

/// A transfer, and who has decided about it.
pub(super) struct About<'a> {
    pub(super) manifest: &'a SignedManifest,
    /// The name in its sender's certificate, if the circle vouches for it.
    pub(super) sender: Option<&'a str>,
    pub(super) decided: DecidedBy,
}

impl<'a> About<'a> {
    /// The owner has decided about it, whatever the rules say.
    pub(super) fn by_owner(manifest: &'a SignedManifest, sender: Option<&'a str>) -> Self {
        Self {
            manifest,
            sender,
            decided: DecidedBy::Owner,
        }
    }

    /// Who is charged for what is told of it. Anybody can make any number of ids that nobody vouches for: those are one.
    fn charged(&self) -> PeerId {
        charged(self.sender, self.manifest.payload().sender)
    }
}

pub(super) fn charged(name: Option<&str>, sender: PeerId) -> PeerId {
    match name {
        Some(_) => sender,
        None => PeerId::of(b""),
    }
}

/// What is told of what is in a transfer.
#[derive(Default)]
pub(super) struct Told {
    /// The names at its top.
    pub(super) names: Vec<String>,
    /// The digests of the files among them.
    pub(super) blake3: Vec<(String, FileDigest)>,
    /// How long it took to open it.
    pub(super) seconds: f64,
}

impl Inbox {
    /// Puts into the history what became of a transfer, and what is told of what is in it. Gives what is
    /// to be told to those who follow the arrivals.
    pub(super) fn remember_outcome(
        &self,
        about: &About<'_>,
        outcome: &Outcome,
        told: Option<Told>,
    ) -> News {
        let (direction, reason) = match outcome {
            Outcome::Opened(_) => (Direction::Received, None),
            Outcome::Waiting(why) => (Direction::Waiting, Some(why.reason())),
            Outcome::Refused { reason } => (Direction::Refused, Some(reason.as_str())),
        };
        let payload = about.manifest.payload();
        let seconds = told.as_ref().map(|told| told.seconds);
        let told = told.unwrap_or_default();
        let sender = about.sender;
        let mut entry = HistoryEntry {
            sender: Some(payload.sender),
            manifest: Some(about.manifest.id()),
            verified: sender.is_some(),
            peers: vec![sender.map_or_else(|| payload.sender.short(), str::to_owned)],
            bytes: payload.size,
            reason: reason
                .filter(|_| about.decided == DecidedBy::Inbox)
                .map(str::to_owned),
            seconds: seconds.filter(|_| direction == Direction::Received),
            names: told.names,
            blake3: told.blake3,
            ..HistoryEntry::new(direction, payload.transfer_id)
        };
        if let Outcome::Opened(files) = outcome {
            entry.set_paths(&files.paths);
        }
        let kept = Kept::of(payload.sender, sender, about.decided, outcome);
        let written = self.enters(about, outcome).is_some_and(|left_out| {
            entry.left_out = left_out;
            self.write(|history| history.append_arrival(&entry, &kept).map(drop))
        });
        match written {
            true => News::Written,
            false => News::Unwritten(Box::new(Arrival {
                seq: ArrivalSeq::START,
                at: entry.at,
                id: about.manifest.id(),
                transfer: payload.transfer_id,
                sender: payload.sender,
                sender_name: kept.sender_name,
                size: payload.size,
                decided: about.decided,
                outcome: outcome.clone(),
            })),
        }
    }

    /// Whether this goes into the history, with how many before it did not. Nobody fills a disk with entries of what the owner has
    /// neither taken nor refused.
    fn enters(&self, about: &About<'_>, outcome: &Outcome) -> Option<u64> {
        match outcome {
            Outcome::Refused { .. } | Outcome::Waiting(_) if about.decided == DecidedBy::Inbox => {
                self.limits.entry(&about.charged())
            }
            _ => Some(0),
        }
    }

    /// Logs why a transfer waits, of each sender a few.
    pub(super) fn log_waits(&self, about: &About<'_>, why: &Waiting) {
        let Some(silenced) = self.limits.line(&about.charged()) else {
            return;
        };
        let payload = about.manifest.payload();
        tracing::info!(
            transfer = payload.transfer_id.short(),
            manifest = about.manifest.id().short(),
            sender = %who(about.sender, payload.sender),
            bytes = payload.size,
            why = why.kind(),
            silenced,
            "not opened unasked"
        );
    }

    /// Logs that a transfer of `sender` cannot be read, of each sender a few. One whose manifest cannot be read either may be anybody's.
    pub(super) async fn log_not_read(&self, sender: PeerId, id: ManifestId, error: &TransferError) {
        let envelope = self.store.get_manifest(id).await.ok();
        let manifest = envelope.and_then(|bytes| SignedManifest::parse(bytes).ok());
        let name = manifest.and_then(|manifest| self.certified(&manifest));
        let name = name.as_deref();
        if let Some(silenced) = self.limits.line(&charged(name, sender)) {
            tracing::error!(
                manifest = id.short(),
                sender = %who(name, sender),
                id = %sender,
                error = error.kind(),
                silenced,
                "cannot be looked at"
            );
        }
    }

    pub(super) fn remember_cut(&self, cut: &Cut) {
        self.remember(&HistoryEntry {
            sender: Some(cut.sender),
            peers: vec![cut.name.clone()],
            bytes: cut.bytes,
            of: cut.of,
            reason: cut.by_owner.then(|| "cancelled by the owner".to_owned()),
            left_out: cut.left_out,
            ..HistoryEntry::new(Direction::Cut, cut.transfer)
        });
    }

    pub(super) fn remember_not_taken(&self, not_taken: &NotTaken) {
        self.remember(&HistoryEntry {
            sender: Some(not_taken.sender),
            peers: vec![not_taken.name.clone()],
            bytes: not_taken.bytes,
            of: not_taken.of,
            reason: Some(not_taken.why.clone()),
            left_out: not_taken.left_out,
            ..HistoryEntry::new(Direction::Refused, not_taken.transfer)
        });
    }

    /// Where the store was moved away nothing is begun in its place.
    pub(super) fn note_reason(&self, id: ManifestId, reason: &str) {
        if self.store.is_in_place() {
            self.reasons.note(id, reason);
        }
    }

    pub(super) fn remember(&self, entry: &HistoryEntry) {
        self.write(|history| history.append(entry));
    }

    /// Gives whether it is written. Not being able to write the history is no reason not to deliver. Where the store was moved away
    /// nothing is begun in its place.
    fn write(&self, append: impl FnOnce(&History) -> io::Result<()>) -> bool {
        if !self.store.is_in_place() {
            return false;
        }
        let written = append(&self.history);
        if let Err(error) = &written {
            tracing::warn!(%error, "the history is not written");
        }
        written.is_ok()
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

impl Inbox {
    /// What follows from not being able to open a transfer.
    pub(super) fn failed(
        &self,
        about: &About<'_>,
        error: &TransferError,
    ) -> (TransferState, Outcome) {
        let (reason, payload) = (error.to_string(), about.manifest.payload());
        self.tally.failed(error.kind());
        if let Some(silenced) = self.limits.line(&about.charged()) {
            // The reason may have names of files, which a log must not have.
            tracing::error!(
                transfer = payload.transfer_id.short(),
                manifest = about.manifest.id().short(),
                sender = %who(about.sender, payload.sender),
                id = %payload.sender,
                error = error.kind(),
                silenced,
                "not opened"
            );
        }
        if error.is_final() {
            (TransferState::Refused, Outcome::Refused { reason })
        } else {
            let code = code_of(error);
            let waiting = Waiting::Failed { code, reason };
            (TransferState::Waiting, Outcome::Waiting(waiting))
        }
    }
}
