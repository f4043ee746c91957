//! What arrives, as it is shown to the person who serves.

use std::path::Path;

use serde_json::json;

use super::output::{Output, count};
use crate::{
    config::units::Size,
    id::Short as _,
    name::{Escaped, PathText},
    peer::{Arrival, OpenedFiles, Outcome, Waiting},
};

/// One line for the person, with everything foreign escaped, and what to do.
pub(super) fn describe(arrival: &Arrival) -> String {
    let what = what(arrival, Path::new(""));
    match &arrival.outcome {
        Outcome::Waiting(_) => format!("{what}: colis inbox list {}", arrival.id.short()),
        _ => what,
    }
}

/// What has come and what became of it, with paths as they are under `root`.
pub(super) fn what(arrival: &Arrival, root: &Path) -> String {
    let from = sender(arrival);
    let from = Escaped::new(&from);
    let size = Size(arrival.size);
    match &arrival.outcome {
        Outcome::Opened(OpenedFiles {
            message: Some(text),
            ..
        }) => format!("message from {from}: {}", Escaped::new(text.trim_end())),
        Outcome::Opened(opened) => {
            let paths = opened.paths.iter().map(|path| {
                let path = path.strip_prefix(root).unwrap_or(path);
                Escaped::new(&path.to_string_lossy()).to_string()
            });
            let paths = paths.collect::<Vec<_>>().join(", ");
            format!("received {size} from {from}: {paths}{}", changed(opened))
        }
        Outcome::Waiting(why) => {
            let why = match why {
                Waiting::Asks => "waits for a yes".to_owned(),
                Waiting::Larger { than } => {
                    format!("is larger than {}, waits for a yes", Size(*than))
                }
                Waiting::LongTable { than } => format!(
                    "has very many files (a table of more than {}), waits for a yes",
                    Size(*than)
                ),
                Waiting::Locked => "is locked by a password".to_owned(),
                Waiting::Off => "stays sealed, the inbox is off".to_owned(),
                Waiting::Failed { reason, .. } => {
                    format!("could not be opened yet ({})", Escaped::new(reason))
                }
            };
            format!("{size} from {from} {why}")
        }
        Outcome::Refused { reason } => {
            let reason = Escaped::new(reason);
            format!("{size} from {from} cannot be opened: {reason}")
        }
    }
}

/// What is not as it was sent: links that were left out, names that were changed.
fn changed(opened: &OpenedFiles) -> String {
    let mut text = String::new();
    if let [first, more @ ..] = opened.skipped_links.as_slice() {
        let (links, first) = (
            count(1 + more.len() as u64, "link", "links"),
            Escaped::new(first),
        );
        text = format!("; skipped {links} that lead out of their folders, first {first}");
    }
    if let Some((from, to)) = opened.renamed.first.first() {
        let names = count(opened.renamed.count as u64, "name was", "names were");
        let (from, to) = (Escaped::new(from), Escaped::new(to));
        text.push_str(&format!("; {names} changed, first {from} to {to}"));
    }
    text
}

/// Tells the person and programs.
pub(super) fn tell(output: Output, arrival: &Arrival) {
    let (state, opened, reason) = match &arrival.outcome {
        Outcome::Opened(opened) => ("opened", Some(opened), None),
        Outcome::Waiting(why) => ("waiting", None, Some(why.reason())),
        Outcome::Refused { reason } => ("refused", None, Some(reason.as_str())),
    };
    output.happened(
        describe(arrival),
        "arrival",
        &json!({
            "manifest": arrival.id, "sender": arrival.sender, "sender_name": arrival.sender_name,
            "bytes": arrival.size, "state": state, "reason": reason,
            "paths": opened.map(|opened| opened.paths.iter().map(|path| PathText(path)).collect::<Vec<_>>()),
            "message": opened.and_then(|opened| opened.message.as_ref()),
            "skipped_links": opened.map(|opened| &opened.skipped_links),
            "renamed": opened.map(|opened| &opened.renamed.first),
        }),
    );
}

fn sender(arrival: &Arrival) -> String {
    let name = arrival.sender_name.clone();
    name.unwrap_or_else(|| format!("{} (not verified)", arrival.sender.short()))
}
