//! What is said of a home: its state, its history, its settings, its units; and by the demonstration.

use super::{
    brief::{self, wrap},
    doctor,
    send::unfinished,
    serve::arriving,
    table::{self, Cell, Row},
};
use crate::{
    cli::output::Output,
    config::{
        SetBy, Shown,
        units::{Size, count},
    },
    manifest::Timestamp,
    name::Escaped,
    peer::{Direction, HistoryEntry},
    session::{ChangedSetting, Event, Holds, PutBy, Status},
};

/// Says the events of looking after a home.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Status(status) => said(output, status),
        Event::History(entry) => output.row(row(entry)),
        Event::NotCome(entry) => output.line(format!("did not come: {}", line(entry))),
        Event::Setting(shown) => output.line(setting(shown)),
        Event::ConfigInit { path } => output.line(path),
        Event::ConfigSet(changed) => output.talk(changed_setting(changed, "is set in")),
        Event::ConfigUnset(changed) => {
            output.talk(changed_setting(
                changed,
                "has its default, and is not set in",
            ));
        }
        Event::Installed { path, unit } => {
            output.line(path);
            output.talk(format!(
                "start it, now and at every login: systemctl --user daemon-reload && systemctl --user enable --now {unit}\n\
                 also when nobody is logged in: loginctl enable-linger\n\
                 its log: journalctl --user -u {unit}; what arrived, with its names: colis history"
            ));
        }
        Event::Uninstalled {
            path,
            unit,
            link,
            home,
        } => {
            output.line(format!("removed {path}"));
            if let Some(link) = link {
                output.line(format!("removed {link}"));
            }
            output.talk(format!(
                "the home stays, with keys and files: {home}\n\
                 if it runs, end it: systemctl --user stop {unit} && systemctl --user daemon-reload"
            ));
        }
        Event::Unit {
            unit,
            text,
            as_root,
        } => {
            output.line(text.trim_end());
            output.talk(format!(
                "put it to /etc/systemd/system/{unit}.service, then: systemctl daemon-reload && systemctl enable --now {unit}"
            ));
            if *as_root {
                output.warn(
                    "it would serve as root, which owns the home: give it to an account that does nothing else, with chown -R, and run this again",
                );
            }
        }
        Event::Step { number, text } => output.line(format!("\n{number}. {text}")),
        Event::Fact { text } => output.line(format!("   {text}")),
        _ => doctor::say(output, event),
    }
}

/// That a setting is changed, how, and when it counts.
fn changed_setting(changed: &ChangedSetting, how: &str) -> String {
    let counts = match changed.holds {
        Holds::Overruled if changed.variable.is_some() => {
            let variable = changed.variable.as_deref().unwrap_or_default();
            format!("{variable} is set in this environment, which wins over it")
        }
        Holds::Now => "the peer that serves this home takes it from now on".to_owned(),
        Holds::Next => "it counts from now on".to_owned(),
        Holds::AfterRestart => {
            "the peer that serves this home takes it when it is started again: colis stop, colis serve".to_owned()
        }
        Holds::Overruled => {
            "the peer that serves this home was started with another, by a flag or the environment, which wins".to_owned()
        }
        Holds::Unknown => {
            let why = changed.reason.as_deref().unwrap_or_default();
            format!("the peer that serves this home could not be asked to take it ({})", Escaped::new(why))
        }
    };
    format!("{} {how} {}; {counts}", changed.key, changed.path)
}

fn said(output: Output, status: &Status) {
    let say = |text| output.line(fitting(text));
    say(format!("home: {} ({})", status.home, status.why.describe()));
    let role = match status.has_circle_key {
        true => ", holds the circle's key",
        false => "",
    };
    let id = brief::id(status.peer_id);
    say(format!("peer: {}  {id}{role}", status.name));
    say(certificate(status));
    say_notices(output, status);
    say(serving(status));
    let waiting = count(status.waiting as u64, "transfer waits", "transfers wait");
    say(format!(
        "received files: {}",
        Escaped::new(&status.received)
    ));
    let inbox = format!("{:?}", status.inbox).to_lowercase();
    say(format!("inbox: {inbox}, {waiting} to be opened"));
    for one in &status.arriving {
        say(format!("arriving: {}", arriving(one)));
    }
    for (id, why) in &status.not_opened {
        let (id, why) = (brief::id(id), Escaped::new(why));
        output.warn(format!("{id} could not be opened: {why}"));
    }
    for entry in &status.missed {
        say(format!("did not come: {}", line(entry)));
    }
    say_sends(output, status);
    say_kept(output, status);
    say(format!("peers known: {}", status.peers));
    say(stored(status));
    for one in &status.unnamed {
        say(format!("in no transfer: {}", put_by(one)));
    }
    let quota = status.quota.map(|quota| format!(", quota {}", Size(quota)));
    say(format!(
        "disk: {} free{}, {} can be stored",
        Size(status.free),
        quota.unwrap_or_default(),
        Size(status.usable)
    ));
}

/// As wide as the terminal.
fn fitting(text: String) -> String {
    match table::width() {
        Some(width) => wrap(&text, width),
        None => text,
    }
}

fn certificate(status: &Status) -> String {
    let (days, until) = (status.certificate_days, status.certificate_until);
    let until = brief::time(until);
    match days {
        _ if status.certificate_from > Timestamp::now() => {
            let from = brief::time(status.certificate_from);
            format!("certificate: counts from {from} only")
        }
        0.. => {
            let days = count(days, "day", "days");
            format!("certificate: {days} left, until {until}")
        }
        _ => format!("certificate: expired {until}"),
    }
}

fn stored(status: &Status) -> String {
    let Some(usage) = &status.store else {
        return "store: none yet".to_owned();
    };
    format!(
        "store: {}, {}, {}",
        count(usage.manifests, "transfer", "transfers"),
        count(usage.chunks, "chunk", "chunks"),
        Size(usage.bytes)
    )
}

fn say_notices(output: Output, status: &Status) {
    for notice in &status.notices {
        match notice.care {
            true => output.warn(brief::on_clock_here(&notice.text)),
            false => output.talk(format!("note: {}", brief::on_clock_here(&notice.text))),
        }
    }
}

/// Chunks that no transfer in the store names, and whose they are.
fn put_by(one: &PutBy) -> String {
    let of = match (&one.name, one.what.peer_id) {
        (Some(name), _) => format!("put by {}", Escaped::new(name)),
        (None, Some(id)) => format!("put by {}", brief::id(id)),
        (None, None) => "of transfers that are over, or of nobody known".to_owned(),
    };
    let chunks = count(one.what.chunks, "chunk", "chunks");
    format!("{chunks}, {}, {of}", Size(one.what.bytes))
}

fn serving(status: &Status) -> String {
    let Some(address) = status.listens.as_ref().or(status.serving.as_ref()) else {
        return "serving: no".to_owned();
    };
    let process = status.process;
    let process = process.map_or_else(String::new, |id| format!(", process {id}"));
    match status.since {
        Some(since) => format!("serving: {address} since {}{process}", brief::time(since)),
        None => format!("serving: {address}"),
    }
}

/// What is left of sends that did not end, and how it goes.
fn say_sends(output: Output, status: &Status) {
    let goes = match status.unfinished {
        0 => "",
        _ => {
            ", kept for a week; go on: colis send --resume ID|all, forget: colis send --drop ID|all"
        }
    };
    output.line(fitting(format!(
        "sending: {} unfinished{goes}",
        status.unfinished
    )));
    for one in &status.sends {
        output.line(fitting(format!("unfinished: {}", unfinished(one))));
    }
}

/// What is kept although it has been sent or opened.
fn say_kept(output: Output, status: &Status) {
    if status.kept_sends > 0 {
        output.line(fitting(format!(
            "sent: what {} need to be checked or granted later, {}; until they end",
            count(status.kept_sends, "send", "sends"),
            Size(status.kept_send_bytes)
        )));
    }
    if status.opened > 0 {
        output.line(fitting(format!(
            "opened and still sealed here: {}, {}; a full quota lets them go",
            count(status.opened, "transfer", "transfers"),
            Size(status.opened_bytes)
        )));
    }
}

fn setting(shown: &Shown) -> String {
    let value = match &shown.value {
        Some(value) => value.clone(),
        None => format!("({})", shown.holds),
    };
    let from = match &shown.origin {
        SetBy::Default => "default".to_owned(),
        SetBy::File(path) => path.display().to_string(),
        SetBy::Environment(name) => name.clone(),
    };
    format!("{:<12} = {value:<26} {from}", shown.key)
}

/// What became of a transfer, in a row of a list, with the id that other commands take.
fn row(entry: &HistoryEntry) -> Row {
    let [direction, size, peers, names] = parts(entry);
    let id = entry.manifest.map(|id| id.to_string());
    let id = id.unwrap_or_else(|| entry.transfer.to_string());
    Row(vec![
        Cell::Id(id),
        Cell::Time(entry.at),
        Cell::Word(direction),
        Cell::Number(size),
        Cell::Names(peers),
        Cell::Names(names),
    ])
}

/// The same, in a line.
fn line(entry: &HistoryEntry) -> String {
    let at = brief::time(entry.at);
    // Those that came have theirs where they are now.
    let id = match entry.manifest {
        None => format!("transfer {}", brief::id(entry.transfer)),
        Some(_) => String::new(),
    };
    let parts = parts(entry).into_iter().chain([id]);
    let parts = parts.filter(|part| !part.is_empty());
    [at].into_iter().chain(parts).collect::<Vec<_>>().join("  ")
}

/// What happened, how much it was, with whom, and which.
fn parts(entry: &HistoryEntry) -> [String; 4] {
    let (direction, peers) = match entry.direction {
        Direction::Sent if entry.peers.is_empty() => ("shared", "from here".to_owned()),
        Direction::Sent => ("sent", format!("to {}", escape(&entry.peers))),
        Direction::Received => ("received", from(entry)),
        Direction::Refused => ("refused", from(entry)),
        Direction::Waiting => ("waits", from(entry)),
        Direction::Cut => ("cut", from(entry)),
    };
    let mut which = Vec::new();
    if let Some(of) = entry.of {
        which.push(format!("of {}", Size(of)));
    }
    if !entry.names.is_empty() {
        which.push(escape(&entry.names));
    }
    if let Some(named) = &entry.named {
        which.push(format!("as {}", escape(named)));
    }
    if let Some(reason) = &entry.reason {
        which.push(format!("({})", Escaped::new(reason)));
    }
    if entry.left_out > 0 {
        which.push(format!("({} more left out before)", entry.left_out));
    }
    let size = Size(entry.bytes).to_string();
    [direction.to_owned(), size, peers, which.join("  ")]
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
