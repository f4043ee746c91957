//! What is said of a peer that serves, and of what arrives there.

use std::{path::Path, time::Duration};

use indicatif::HumanDuration;

use super::{brief, delete};
use crate::{
    address::PeerAddress,
    cli::output::Output,
    config::units::{Size, count},
    id::Short as _,
    name::Escaped,
    session::{Arrived, Event, StoppedPeer},
    store::{TransferState, WaitReason},
    wire::Arriving,
};

/// Seconds without a chunk from which on it is said that nothing comes.
const STILL_MOVES: f64 = 5.0;

/// Says the events of serving.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Serving(peer) => output.talk(format!(
            "{} serves on {}, inbox {}; peer {}",
            peer.name,
            PeerAddress::from(peer.address),
            format!("{:?}", peer.inbox).to_lowercase(),
            brief::id(peer.peer_id)
        )),
        Event::Arrival(arrived) => output.line(arrival(arrived)),
        Event::Stopped(StoppedPeer { serving, .. }) => output.talk(match serving {
            Some(serving) => {
                format!("the peer at {serving} has ended; everything acknowledged is on disk")
            }
            None => "nobody serves this home".to_owned(),
        }),
        Event::Arriving(one) => output.line(format!("arriving: {}", arriving(one))),
        Event::Cancelled(one) => {
            output.line(format!("stopped: {}", arriving(one)));
            output.talk(format!(
                "its sender is told. To have it after all, it is sent anew; there: colis send --drop {}, then as before",
                brief::id(one.transfer)
            ));
        }
        Event::Dropped { count } => output.line(format!(
            "{count} arrivals were too fast to show: colis history"
        )),
        // The log has it, and is on standard error too.
        Event::Notice(_) => {}
        _ => delete::say(output, event),
    }
}

/// The same for a menu, where it is among what runs.
pub(in crate::cli) fn coming(one: &Arriving) -> String {
    let names = one.names.iter().flatten();
    let mut names: Vec<_> = names.map(|name| Escaped::new(name).to_string()).collect();
    if one.more_names {
        names.push("…".to_owned());
    }
    let (what, from) = (names.join(", "), Escaped::new(&one.name));
    let came = match one.of {
        Some(of) => {
            let percent = u128::from(one.done) * 100 / u128::from(of.max(1));
            format!("{percent}% of {}", Size(of))
        }
        None => Size(one.bytes).to_string(),
    };
    let (pace, left) = pace(one);
    let what = if what.is_empty() { "something" } else { &what };
    format!("arriving: {what} from {from}  {came}{pace}{left}")
}

/// What is arriving, and how far it is.
pub(in crate::cli) fn arriving(one: &Arriving) -> String {
    let (id, from) = (brief::id(one.transfer), Escaped::new(&one.name));
    let came = match one.of {
        Some(of) => format!("{} of {}", Size(one.done), Size(of)),
        None => Size(one.bytes).to_string(),
    };
    let (pace, left) = pace(one);
    let names = one.names.iter().flatten();
    let mut names: Vec<_> = names.map(|name| Escaped::new(name).to_string()).collect();
    if one.more_names {
        names.push("…".to_owned());
    }
    let names = match names.is_empty() {
        true => String::new(),
        false => format!("  {}", names.join(", ")),
    };
    format!("{id}  {came} from {from}{pace}{left}{names}")
}

/// How fast it comes, and how long it takes, each after a comma.
fn pace(one: &Arriving) -> (String, String) {
    let pace = match (one.idle_seconds, one.per_second) {
        (STILL_MOVES.., _) => format!(", nothing for {:.0} s", one.idle_seconds),
        (_, Some(rate)) => format!(", {}/s", Size(rate)),
        _ => String::new(),
    };
    let left = match one.seconds_left {
        Some(left) => format!(", {:#} left", HumanDuration(Duration::from_secs(left))),
        None => String::new(),
    };
    (pace, left)
}

/// One line for the person, with everything foreign escaped, and what to do.
fn arrival(arrived: &Arrived) -> String {
    let what = what(arrived, None);
    match arrived.state {
        TransferState::Waiting => {
            format!("{what}: colis inbox list {}", brief::id(arrived.manifest))
        }
        _ => what,
    }
}

/// What has come, what became of it and where it is; below the folder of `user`, if that is given, the path begins with `~`.
pub(in crate::cli) fn what(arrived: &Arrived, user: Option<&Path>) -> String {
    let from = sender(arrived);
    let from = Escaped::new(&from);
    let size = Size(arrived.bytes);
    if let Some(text) = &arrived.message {
        return format!("message from {from}: {}", Escaped::new(text.trim_end()));
    }
    if let Some(paths) = &arrived.paths {
        let (at, changed) = (place(paths, user), changed(arrived));
        return format!("received {size} from {from}: {at}{changed}");
    }
    let reason = Escaped::new(arrived.reason.as_deref().unwrap_or_default());
    match arrived.waits {
        Some(why) => format!("{size} from {from} {}", waits(arrived, why)),
        None => format!("{size} from {from} cannot be opened: {reason}"),
    }
}

/// The whole path of one entry; of several the folder that they are in, and their names.
fn place(paths: &[String], user: Option<&Path>) -> String {
    let folder = match paths {
        [first, _, ..] => Path::new(first).parent(),
        _ => None,
    };
    let names = paths.iter().map(|path| {
        let path = Path::new(path);
        match folder.and_then(|folder| path.strip_prefix(folder).ok()) {
            Some(below) => Escaped::new(&below.to_string_lossy()).to_string(),
            None => short(path, user),
        }
    });
    let names = names.collect::<Vec<_>>().join(", ");
    match folder {
        Some(folder) => format!("{}: {names}", short(folder, user)),
        None => names,
    }
}

fn short(path: &Path, user: Option<&Path>) -> String {
    let below = user.and_then(|user| path.strip_prefix(user).ok());
    let text = match below {
        Some(below) => Path::new("~").join(below),
        None => path.to_owned(),
    };
    Escaped::new(&text.to_string_lossy()).to_string()
}

fn waits(arrived: &Arrived, why: WaitReason) -> String {
    let than = Size(arrived.limit.unwrap_or_default());
    match why {
        WaitReason::Asks => "waits for a yes".to_owned(),
        WaitReason::Larger => format!("is larger than {than}, waits for a yes"),
        WaitReason::LongTable => {
            format!("has very many files (a table of more than {than}), waits for a yes")
        }
        WaitReason::Locked => "is locked by a password".to_owned(),
        WaitReason::Off => "stays sealed, the inbox is off".to_owned(),
        WaitReason::NoSpace | WaitReason::CannotWrite | WaitReason::CannotOpen => {
            let reason = arrived.reason.as_deref().unwrap_or_default();
            format!("could not be opened yet ({})", Escaped::new(reason))
        }
    }
}

/// What is not as it was sent: links that were left out, names that were changed.
fn changed(arrived: &Arrived) -> String {
    let mut text = String::new();
    if let Some([first, more @ ..]) = arrived.skipped_links.as_deref() {
        let (links, first) = (
            count(1 + more.len() as u64, "link", "links"),
            Escaped::new(first),
        );
        text = format!("; skipped {links} that lead out of their folders, first {first}");
    }
    if let Some([(from, to), ..]) = arrived.renamed.as_deref() {
        let many = arrived.renamed_count.unwrap_or(1) as u64;
        let names = count(many, "name was", "names were");
        let (from, to) = (Escaped::new(from), Escaped::new(to));
        text.push_str(&format!("; {names} changed, first {from} to {to}"));
    }
    text
}

fn sender(arrived: &Arrived) -> String {
    let name = arrived.sender_name.clone();
    name.unwrap_or_else(|| format!("{} (not verified)", arrived.sender.short()))
}
