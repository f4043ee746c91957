//! `history`: what was sent and received.

use std::path::Path;

use super::{
    Context, args,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    manifest::Timestamp,
    name::Escaped,
    peer::{Direction, History, HistoryEntry},
    session::SignedBy,
    session::store::check_there,
    store::ManifestInfo,
};

pub(super) fn run(context: &Context, args: &args::History) -> Result<ExitCode, Failure> {
    context.home.check_there()?;
    check_there(&context.home)?;
    let history = History::new(&context.home.chunks());
    let entries = history
        .entries()
        .map_err(|e| Failure::io(history.path(), &e))?;
    if entries.is_empty() {
        context.output.talk("nothing was sent or received yet");
    }
    let skip = entries.len().saturating_sub(args.number);
    for entry in &entries[skip..] {
        context.output.object("history", entry);
        context.output.line(line(entry));
    }
    Ok(ExitCode::Ok)
}

/// What was brought of late and did not come. A history that cannot be read keeps nobody from the rest.
pub(super) fn missed(context: &Context) -> Vec<HistoryEntry> {
    let history = History::new(&context.home.chunks());
    let missed = history.missed(Timestamp::now());
    missed.unwrap_or_else(|error| {
        let path = history.path().display();
        context
            .output
            .warn(format!("the history cannot be read: {path}: {error}"));
        Vec::new()
    })
}

/// An entry as people read it.
pub(super) fn line(entry: &HistoryEntry) -> String {
    let (direction, peers) = match entry.direction {
        Direction::Sent if entry.peers.is_empty() => ("shared", "from here".to_owned()),
        Direction::Sent => ("sent", format!("to {}", escape(&entry.peers))),
        Direction::Received => ("received", from(entry)),
        Direction::Refused => ("refused", from(entry)),
        Direction::Waiting => ("waits", from(entry)),
        Direction::Cut => ("cut", from(entry)),
    };
    let size = Size(entry.bytes).to_string();
    let mut line = format!("{}  {direction:<8}  {size:>10}  {peers}", entry.at);
    if let Some(of) = entry.of {
        line.push_str(&format!("  of {}", Size(of)));
    }
    if !entry.names.is_empty() {
        line.push_str(&format!("  {}", escape(&entry.names)));
    }
    if let Some(named) = &entry.named {
        line.push_str(&format!("  as {}", escape(named)));
    }
    if let Some(reason) = &entry.reason {
        line.push_str(&format!("  ({})", Escaped::new(reason)));
    }
    line
}

fn from(entry: &HistoryEntry) -> String {
    let note = if entry.verified {
        ""
    } else {
        " (not verified)"
    };
    format!("from {}{note}", escape(&entry.peers))
}

fn escape(texts: &[String]) -> String {
    let escaped = texts.iter().map(|text| Escaped::new(text).to_string());
    escaped.collect::<Vec<_>>().join(", ")
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
