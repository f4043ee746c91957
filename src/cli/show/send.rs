//! What is said of a transfer on its way.

use super::brief;
use crate::{
    cli::{output::Output, report::Hint, terminal},
    config::units::{Size, count},
    manifest::table::Entry,
    name::Escaped,
    session::{Cause, Event, Granted, LeftOut, Missed, Planned, Sealed, Sent, UnfinishedSend},
    store::{TransferState, WaitReason},
};

/// Says the events of sending.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Sent(sent) => say_sent(output, sent),
        Event::Sealed(sealed) => say_sealed(output, sealed),
        Event::Granted(granted) => {
            output.line(now_open(granted));
            for to in &granted.to {
                output.talk(how_to_receive(to, granted));
            }
        }
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
        Event::Unfinished(left) => output.warn(how_to_go_on(left)),
        Event::SendDropped(one) => output.line(format!("dropped: {}", unfinished(one))),
        Event::NoAnswer { peer, seconds, .. } => output.warn(format!(
            "no answer from {} for {seconds} s",
            Escaped::new(peer)
        )),
        Event::AnswersAgain { peer, seconds } => output.talk(format!(
            "{} answers again after {seconds} s",
            Escaped::new(peer)
        )),
        Event::Pending {
            peer,
            manifest,
            state,
            reason,
        } => {
            let peer = Escaped::new(peer);
            let why = why_unopened(*state, *reason, &brief::id(manifest));
            output.warn(format!(
                "stored with {peer}; waiting until {peer} opens it{why}. Ctrl-C ends only the waiting"
            ));
        }
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

/// Less is over before a rate means anything.
const LEAST_RATED: u64 = 1 << 20;

/// `, 12.3 MiB/s`, of what was moved: nothing if that is little, for example because all of it was there already.
fn rate(bytes: u64, (already, chunks): (u64, u64), seconds: f64) -> String {
    let moved = match chunks.checked_sub(already) {
        Some(0) if already > 0 => return String::new(),
        Some(lacking) if already > 0 => bytes / chunks * lacking,
        _ => bytes,
    };
    match moved {
        ..LEAST_RATED => String::new(),
        _ => format!(", {}/s", Size::per_second(moved, seconds)),
    }
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

/// The command of one who can open it now.
fn how_to_receive(to: &str, granted: &Granted) -> String {
    let (to, from) = (Escaped::new(to), Escaped::new(&granted.from));
    let while_served = match granted.here {
        true => ", while this machine serves",
        false => "",
    };
    format!(
        "{to}: colis receive --from {from} {}{while_served}",
        brief::id(granted.manifest)
    )
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
    let reason = brief::on_clock_here(&missed.reason);
    let reason = Escaped::new(&reason);
    match (&missed.peer, &missed.manifest) {
        (Some(peer), _) => {
            let hint = match missed.cause {
                Cause::UnknownPeer => Hint::from("see who is known: colis peers"),
                Cause::NoAddress => "say where it is once: colis peers add HOST:PORT".into(),
                Cause::Revoked => {
                    "leave it out; or give that machine a new certificate: colis certs issue".into()
                }
                Cause::TooSlow => Hint::from("go on with it alone: colis send --resume all")
                    .in_menu("go on with it alone: 5"),
                _ => Hint::from(
                    "the same command again reaches who is missing, or --via a peer that is there",
                )
                .in_menu("the same again reaches who is missing, or by a relay that is there"),
            };
            let hint = hint.text(terminal::is_held());
            let peer = Escaped::new(peer);
            format!("colis: not sent to {peer}: {reason}\nhint: {hint}")
        }
        (None, Some(id)) => format!("colis: not received: {}: {reason}", brief::id(id)),
        (None, None) => match missed.send {
            Some(id) => format!("colis: not sent: {}: {reason}", brief::id(id)),
            None => format!("colis: missed: {reason}"),
        },
    }
}

/// A send that was not finished: what, to whom, and how far it was.
pub(in crate::cli) fn unfinished(one: &UnfinishedSend) -> String {
    let id = brief::id(one.transfer);
    let names = match one.names.is_empty() {
        true => "(what is in it is not known)".to_owned(),
        false => escaped(&one.names),
    };
    let whom = match one.to.is_empty() && one.via.is_empty() {
        true => String::new(),
        false => format!(" {}", in_words(&one.to, &one.via)),
    };
    let done = match one.total_bytes {
        Some(total) => format!("{} of {}", Size(one.bytes), Size(total)),
        None => format!("{}", Size(one.bytes)),
    };
    let running = if one.running { ", at it now" } else { "" };
    format!("{id}  {done}{whom}  {names}{running}")
}

fn how_to_go_on(left: &UnfinishedSend) -> String {
    if terminal::is_held() {
        return format!(
            "not finished: {}\ngo on, or forget it: 5 Transfers",
            unfinished(left)
        );
    }
    let id = brief::id(left.transfer);
    let go_on = match left.resumable {
        true => format!("go on: colis send --resume {id}"),
        false => "the same command goes on".to_owned(),
    };
    let what = unfinished(left);
    format!("not finished: {what}\n{go_on}  |  forget it: colis send --drop {id}")
}

/// Why it is not opened, and what helps.
fn why_unopened(state: TransferState, reason: Option<WaitReason>, id: &str) -> String {
    let yes = format!("there it is opened by: colis inbox accept {id}");
    let receive = format!("there it is opened by: colis receive {id}");
    let again = "it is tried again by itself";
    let (why, help) = match reason {
        Some(WaitReason::Asks) => ("its inbox asks first", yes),
        Some(WaitReason::Larger) => ("it is larger than what is opened unasked", yes),
        Some(WaitReason::LongTable) => ("it has more files than what is opened unasked", yes),
        Some(WaitReason::Locked) => ("it is locked by a password", receive),
        Some(WaitReason::Off) => ("it stays sealed, because the inbox is off", receive),
        Some(WaitReason::NoSpace) => (
            "it cannot be written, because the disk for received files is full",
            again.to_owned(),
        ),
        Some(WaitReason::CannotWrite) => (
            "it cannot be written: its folder of received files must be mended, which `colis doctor` examines there",
            again.to_owned(),
        ),
        Some(WaitReason::CannotOpen) => (
            "it could not be opened; its owner sees why by: colis inbox",
            again.to_owned(),
        ),
        None if state == TransferState::Waiting => (
            "it waits; its owner sees why by: colis inbox",
            "it may wait for a yes".to_owned(),
        ),
        None => return String::new(),
    };
    format!(": {why}; {help}")
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
        assert_eq!(rate(0, (0, 0), 2.0), "");
        assert_eq!(rate(147, (0, 1), 0.05), "", "a small file has no rate");
    }
}
