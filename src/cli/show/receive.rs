//! What is said of what was received.

use super::{
    brief, connect,
    send::listed,
    table::{Cell, Row},
};
use crate::{
    cli::output::Output,
    config::units::Size,
    name::Escaped,
    session::{Event, Locked, NothingNew, PassedOver, ReceivedTransfer, WaitingTransfer},
};

/// Says the events of receiving.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Received(received) => said(output, received),
        Event::NothingNew(nothing) => output.talk(nothing_new(nothing)),
        Event::Locked(locked) => output.line(still_locked(locked)),
        Event::PasswordLimit { most } => output.warn(format!(
            "a password is tried on {most} transfers that were not named; name others: colis receive ID"
        )),
        Event::NotRecorded(missed) => output.warn(format!(
            "colis: that {} was received is not recorded: {}",
            missed.manifest.map(brief::id).unwrap_or_default(),
            Escaped::new(&missed.reason)
        )),
        Event::Waiting(waiting) => waits(output, waiting),
        Event::Refused(refused) => output.line(format!(
            "{}  refused, from {}",
            brief::id(refused.info.id),
            refused.from
        )),
        _ => connect::say(output, event),
    }
}

/// That nothing has come from there, and what was passed over.
fn nothing_new(nothing: &NothingNew) -> String {
    let from = match nothing.from.as_slice() {
        [] => "here".to_owned(),
        peers => format!("from {}", peers.join(", ")),
    };
    if nothing.locked > 0 {
        return "nothing there that we can open".to_owned();
    }
    let PassedOver { before, mine } = nothing.passed_over;
    let left = [
        (before, "decided on before: --again"),
        (mine, "sent from here: --mine"),
    ];
    let left = left.into_iter().filter(|(count, _)| *count > 0);
    let left = left.map(|(count, what)| format!("{count} {what}"));
    let left = left.collect::<Vec<_>>().join(", ");
    match left.is_empty() {
        true => format!("nothing new {from}"),
        false => format!("nothing new {from} ({left})"),
    }
}

fn still_locked(locked: &Locked) -> String {
    let (id, size) = (brief::id(locked.manifest), Size(locked.bytes));
    let not_tried = if locked.not_tried { ", not tried" } else { "" };
    format!("{id}  {size}  locked by a password{not_tried}")
}

fn said(output: Output, received: &ReceivedTransfer) {
    for path in &received.paths {
        let there = match received.already_there || received.identical.contains(path) {
            true => "  (already there, identical)",
            false => "",
        };
        output.line(format!("{}{there}", Escaped::new(path)));
    }
    if let Some(text) = &received.message {
        output.line(format!("message: {}", Escaped::new(text.trim_end())));
    }
    for link in &received.skipped_links {
        output.warn(format!(
            "skipped the link {}: it leads out of its folder",
            Escaped::new(link)
        ));
    }
    say_losses(output, received);
    say_new_names(
        output,
        (&received.numbered, received.numbered_count),
        "another entry has its name on this disk",
    );
    say_new_names(
        output,
        (&received.renamed, received.renamed_count),
        "its name cannot be written here or elsewhere, or is harmful",
    );
    let unverified = match received.verified {
        true => "",
        false => " (sender not verified)",
    };
    output.talk(format!(
        "{} from {}{unverified}, transfer {}",
        Size(received.bytes),
        Escaped::new(&received.sender),
        brief::id(received.manifest)
    ));
}

/// What the file system there could not keep.
fn say_losses(output: Output, received: &ReceivedTransfer) {
    for link in &received.unmade_links {
        let link = Escaped::new(link);
        output.warn(format!(
            "skipped the link {link}: this file system has no links"
        ));
    }
    if received.lost_times {
        output.warn("this file system lets no times be set: files are dated when they came");
    }
    if received.lost_executable {
        output.warn("this file system lets no modes be set: nothing is executable by --keep-exec");
    }
}

/// Which entries do not have the names that they were sent with, and why.
fn say_new_names(output: Output, (first, count): (&[(String, String)], usize), why: &str) {
    for (from, to) in first {
        let (from, to) = (Escaped::new(from), Escaped::new(to));
        output.warn(format!("{from} is called {to} here: {why}"));
    }
    let more = count.saturating_sub(first.len());
    if more > 0 {
        output.warn(format!("{more} more entries have new names: {why}"));
    }
}

/// A transfer that waits, what is in it, and what can be done with it.
fn waits(output: Output, waiting: &WaitingTransfer) {
    let (info, from) = (&waiting.info, &waiting.from);
    let note = match (&waiting.reason, &waiting.not_opened) {
        (Some(reason), _) => format!("  cannot be opened: {}", Escaped::new(reason)),
        (None, _) if waiting.locked => "  locked by a password".to_owned(),
        (None, Some(why)) => format!("  could not be opened: {}", Escaped::new(why)),
        (None, None) => String::new(),
    };
    let sender = Escaped::new(&from.name);
    output.row(Row(vec![
        Cell::Id(info.id.to_string()),
        Cell::Time(info.created),
        Cell::Number(Size(info.size).to_string()),
        Cell::Names(format!("from {sender} ({}){note}", from.standing())),
    ]));
    for entry in &waiting.entries {
        output.line(listed(entry));
    }
    let id = brief::id(info.id);
    if waiting.more_entries {
        output.line(format!("  … and more: colis inbox list {id}"));
    }
    output.talk(match from.blocked {
        true => format!(
            "  colis peers role {} member  |  colis inbox refuse {id}",
            brief::id(info.sender)
        ),
        false => format!("  colis inbox accept {id}  |  colis inbox refuse {id}"),
    });
}
