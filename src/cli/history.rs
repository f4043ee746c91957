//! `history`: what was sent and received.

use std::path::Path;

use super::{
    Context, args,
    report::{ExitCode, Failure},
};
use crate::{
    peer::{Direction, History, HistoryEntry},
    session::{self, Event, SignedBy},
    store::ManifestInfo,
};

pub(super) fn run(context: &Context, args: &args::History) -> Result<ExitCode, Failure> {
    let mut entries = session::history(&context.home)?;
    if entries.is_empty() {
        context.output.talk("nothing was sent or received yet");
    }
    let skip = entries.len().saturating_sub(args.number);
    for entry in entries.drain(skip..) {
        context.tell(&Event::History(Box::new(entry)));
    }
    Ok(ExitCode::Ok)
}

/// Adds to the history. Not being able to is said, and is no reason to fail.
pub(super) fn note(context: &Context, entry: &HistoryEntry) {
    let history = History::new(&context.home.chunks());
    if let Err(error) = history.append(entry) {
        let path: &Path = history.path();
        context.output.warn(format!(
            "the history is not written: {}: {error}",
            path.display()
        ));
    }
}

/// Adds that the person said no.
pub(super) fn note_refused(
    context: &Context,
    info: &ManifestInfo,
    sender: SignedBy,
    names: Vec<String>,
) {
    note(
        context,
        &HistoryEntry {
            manifest: Some(info.id),
            verified: sender.verified || sender.blocked,
            peers: vec![sender.name],
            bytes: info.size,
            names,
            ..HistoryEntry::new(Direction::Refused, info.transfer_id)
        },
    );
}
