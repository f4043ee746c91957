//! What is said of a transfer on its way.

use super::brief;
use crate::{
    cli::output::Output,
    config::units::{Size, count},
    manifest::table::Entry,
    name::Escaped,
    session::{Cause, Event, Granted, LeftOut, Missed, Planned, Sealed, Sent},
    store::{TransferState, WaitReason},
};

/// Says the events of sending.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Sent(sent) => say_sent(output, sent),
        Event::Sealed(sealed) => say_sealed(output, sealed),
        Event::Granted(granted) => output.line(now_open(granted)),
        Event::WouldSend(planned) => say_planned(output, planned),
        Event::Entry(entry) => output.line(listed(entry)),
        Event::LeftOut(left_out) => output.warn(skipped(left_out)),
        Event::Renamed { path, name } => output.warn(format!(
            "{} is sent as {}: its name is no UTF-8, and another entry is called so",
            Escaped::new(path),
            Escaped::new(name)
        )),
        Event::Filtered { count } => {
            output.talk(format!("left out {count} by --exclude or --git"));
        }
        Event::StreamLimit { bytes, most } => output.talk(stream_limit(*bytes, *most)),
        Event::Missed(missed) => output.warn(not_sent(missed)),
        Event::Pending {
            peer,
            manifest,
            state,
            reason,
        } => output.warn(format!(
            "at {} it {}. Ctrl-C ends only the waiting",
            Escaped::new(peer),
            why_unopened(*state, *reason, &brief::id(manifest))
        )),
        Event::HistoryUnread { path, reason } => output.warn(format!(
            "what did not come of late is not known: {}: {}",
            Escaped::new(path),
            Escaped::new(reason)
        )),
        Event::HistoryUnwritten { path, reason } => output.warn(format!(
            "the history is not written: {}: {}",
            Escaped::new(path),
            Escaped::new(reason)
        )),
        _ => super::receive::say(output, event),
    }
}

/// `to ben, carl via relay`.
fn in_words(names: &[String], via: &[String]) -> String {
    let mut words = Vec::new();
    if !names.is_empty() {
        words.push(format!("to {}", escaped(names)));
    }
    if !via.is_empty() {
        words.push(format!("via {}", escaped(via)));
    }
    match words.is_empty() {
        true => "to the local store".to_owned(),
        false => words.join(" "),
    }
}

fn escaped(names: &[String]) -> String {
    let names = names.iter().map(|name| Escaped::new(name).to_string());
    names.collect::<Vec<_>>().join(", ")
}

fn say_sent(output: Output, sent: &Sent) {
    let to = in_words(&sent.to, &sent.via);
    let Some(manifest) = sent.manifest else {
        return output.line(format!("received before, nothing sent {to}"));
    };
    let id = brief::id(manifest);
    output.line(format!(
        "{id}  {} in {} {to}",
        Size(sent.bytes),
        count(sent.chunks, "chunk", "chunks")
    ));
    let rate = rate(sent.bytes, (sent.already_chunks, sent.chunks), sent.seconds);
    let resumed = resumed(sent.already_chunks, sent.chunks);
    let state = sent.state.map_or(String::new(), |state| {
        format!(", {state:?} there").to_lowercase()
    });
    output.talk(format!(
        "stored durably in {:.2} s{rate}{resumed}{state} (transfer {})",
        sent.seconds,
        brief::id(sent.transfer)
    ));
}

fn say_sealed(output: Output, sealed: &Sealed) {
    let size = Size(sealed.bytes);
    if let Some(manifest) = sealed.manifest {
        let chunks = count(sealed.chunks, "chunk", "chunks");
        let (id, folder) = (brief::id(manifest), Escaped::new(&sealed.folder));
        output.line(format!("{id}  {size} in {chunks} in {folder}"));
    }
    output.talk(format!(
        "sealed in {:.2} s{}{} (transfer {})",
        sealed.seconds,
        rate(
            sealed.bytes,
            (sealed.already_chunks, sealed.chunks),
            sealed.seconds
        ),
        resumed(sealed.already_chunks, sealed.chunks),
        brief::id(sealed.transfer)
    ));
}

/// `, 12.3 MiB/s`, of what was moved: nothing if all of it was there already.
fn rate(bytes: u64, (already, chunks): (u64, u64), seconds: f64) -> String {
    let moved = match chunks.checked_sub(already) {
        Some(0) if already > 0 => return String::new(),
        Some(lacking) if already > 0 => bytes / chunks * lacking,
        _ => bytes,
    };
    format!(", {}/s", Size::per_second(moved, seconds))
}

/// `, 3 of 5 chunks there already`.
fn resumed(already: u64, chunks: u64) -> String {
    match already {
        0 => String::new(),
        already => format!(
            ", {already} of {} there already",
            count(chunks, "chunk", "chunks")
        ),
    }
}

fn now_open(granted: &Granted) -> String {
    let (id, to) = (brief::id(granted.manifest), escaped(&granted.to));
    match granted.added {
        0 => format!("{id}  {to} can open it already"),
        added => format!(
            "{id}  {} more can open it: {to}",
            count(added as u64, "peer", "peers")
        ),
    }
}

fn say_planned(output: Output, planned: &Planned) {
    let to = in_words(&planned.to, &planned.via);
    output.line(match (planned.bytes, planned.chunks) {
        (Some(bytes), Some(chunks)) => format!(
            "would send {}, {} in {} {to}",
            count(planned.entries, "entry", "entries"),
            Size(bytes),
            count(chunks, "chunk", "chunks")
        ),
        _ => format!("would send a stream of unknown length {to}"),
    });
}

/// An entry of a table. Its names may be foreign.
pub(super) fn listed(entry: &Entry) -> String {
    let path = Escaped::new(entry.path());
    match entry {
        Entry::File { size, .. } => {
            let size = size.map_or("?".to_owned(), |size| Size(size).to_string());
            format!("  {size:>10}  {path}")
        }
        Entry::Directory { .. } => format!("  {:>10}  {path}/", ""),
        Entry::Symlink { target, .. } => {
            format!("  {:>10}  {path} -> {}", "", Escaped::new(target))
        }
    }
}

fn skipped(left_out: &LeftOut) -> String {
    let (path, reason) = (Escaped::new(&left_out.path), Escaped::new(&left_out.reason));
    format!("skipped {path}: {reason}")
}

fn stream_limit(bytes: u64, most: u64) -> String {
    let more = match bytes < most {
        true => format!("; --chunk-size 64MiB for up to {}", Size(most)),
        false => String::new(),
    };
    format!("standard input may have up to {}{more}", Size(bytes))
}

fn not_sent(missed: &Missed) -> String {
    let reason = Escaped::new(&missed.reason);
    match (&missed.peer, &missed.manifest) {
        (Some(peer), _) => {
            let hint = match missed.cause {
                Cause::UnknownPeer => "see who is known: colis peers",
                Cause::NoAddress => "say where it is once: colis peers add HOST:PORT",
                Cause::Revoked => {
                    "leave it out; or give that machine a new certificate: colis certs issue"
                }
                _ => "the same command again reaches who is missing, or --via a peer that is there",
            };
            let peer = Escaped::new(peer);
            format!("colis: not sent to {peer}: {reason}\nhint: {hint}")
        }
        (None, Some(id)) => format!("colis: not received: {}: {reason}", brief::id(id)),
        (None, None) => format!("colis: missed: {reason}"),
    }
}

/// Why it is not opened, and what helps.
fn why_unopened(state: TransferState, reason: Option<WaitReason>, id: &str) -> String {
    let yes = format!("there it is opened by: colis inbox accept {id}");
    let receive = format!("there it is opened by: colis receive {id}");
    let again = "it is tried again by itself";
    let (why, help) = match reason {
        Some(WaitReason::Asks) => ("waits for a yes", yes),
        Some(WaitReason::Larger) => ("is larger than what is opened unasked", yes),
        Some(WaitReason::LongTable) => ("has more files than what is opened unasked", yes),
        Some(WaitReason::Locked) => ("is locked by a password", receive),
        Some(WaitReason::Off) => ("stays sealed, because the inbox is off", receive),
        Some(WaitReason::NoSpace) => (
            "cannot be written, because the disk for received files is full",
            again.to_owned(),
        ),
        Some(WaitReason::CannotWrite) => (
            "cannot be written: its folder of received files must be mended, which `colis doctor` examines there",
            again.to_owned(),
        ),
        Some(WaitReason::CannotOpen) => (
            "could not be opened; its owner sees why by: colis inbox",
            again.to_owned(),
        ),
        None if state == TransferState::Waiting => (
            "waits; its owner sees why by: colis inbox",
            "it may wait for a yes".to_owned(),
        ),
        None => (
            "is stored and not opened yet",
            "its peer may be busy".to_owned(),
        ),
    };
    format!("{why}; {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_what_was_moved() {
        let mib = 1 << 20;
        let of = |already| rate(100 * mib, (already, 100), 2.0);
        let expected = |moved| format!(", {}/s", Size::per_second(moved, 2.0));
        assert_eq!(of(0), expected(100 * mib));
        assert_eq!(of(75), expected(25 * mib));
        assert_eq!(of(100), "");
        assert_eq!(rate(0, (0, 0), 2.0), expected(0));
    }
}
