//! What is said of a home: its state, its history, its settings, its units; and by the demonstration.

use super::{doctor, serve::arriving};
use crate::{
    cli::output::Output,
    config::{
        SetBy, Shown,
        units::{Size, count},
    },
    id::Short as _,
    manifest::Timestamp,
    name::Escaped,
    peer::{Direction, HistoryEntry},
    session::{ChangedSetting, Event, Holds, PutBy, Status},
};

/// Says the events of looking after a home.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Status(status) => said(output, status),
        Event::History(entry) => output.line(line(entry)),
        Event::NotCome(entry) => output.line(format!("did not come: {}", line(entry))),
        Event::Setting(shown) => output.line(setting(shown)),
        Event::ConfigInit { path } => output.line(path),
        Event::ConfigSet(changed) => output.talk(changed_setting(changed)),
        Event::Installed { path, unit } => {
            output.line(path);
            output.talk(format!(
                "start it, now and at every login: systemctl --user daemon-reload && systemctl --user enable --now {unit}\n\
                 also when nobody is logged in: loginctl enable-linger\n\
                 its log: journalctl --user -u {unit}; what arrived, with its names: colis history"
            ));
        }
        Event::Uninstalled { path, unit } => {
            output.line(path);
            output.talk(format!(
                "end it too: systemctl --user stop {unit} && systemctl --user daemon-reload"
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

/// That a setting is changed, and when it counts.
fn changed_setting(changed: &ChangedSetting) -> String {
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
    format!("{} is set in {}; {counts}", changed.key, changed.path)
}

fn said(output: Output, status: &Status) {
    output.line(format!("home: {} ({})", status.home, status.why.describe()));
    let role = match status.has_circle_key {
        true => ", holds the circle's key",
        false => "",
    };
    output.line(format!("peer: {}  {}{role}", status.name, status.peer_id));
    let (days, until) = (status.certificate_days, status.certificate_until);
    output.line(match days {
        _ if status.certificate_from > Timestamp::now() => {
            format!("certificate: counts from {} only", status.certificate_from)
        }
        0.. => format!(
            "certificate: {} left, until {until}",
            count(days, "day", "days")
        ),
        _ => format!("certificate: expired on {until}"),
    });
    say_notices(output, status);
    output.line(serving(status));
    let waiting = count(status.waiting as u64, "transfer waits", "transfers wait");
    output.line(format!(
        "received files: {}",
        Escaped::new(&status.received)
    ));
    let inbox = format!("{:?}", status.inbox).to_lowercase();
    output.line(format!("inbox: {inbox}, {waiting} to be opened"));
    for one in &status.arriving {
        output.line(format!("arriving: {}", arriving(one)));
    }
    for (id, why) in &status.not_opened {
        let (id, why) = (id.short(), Escaped::new(why));
        output.warn(format!("{id} could not be opened: {why}"));
    }
    for entry in &status.missed {
        output.line(format!("did not come: {}", line(entry)));
    }
    output.line(sending(status.unfinished));
    output.line(format!("peers known: {}", status.peers));
    output.line(match &status.store {
        Some(usage) => format!(
            "store: {} transfers, {} chunks, {}",
            usage.manifests,
            usage.chunks,
            Size(usage.bytes)
        ),
        None => "store: none yet".to_owned(),
    });
    for one in &status.unnamed {
        output.line(format!("in no transfer: {}", put_by(one)));
    }
    let quota = status.quota.map(|quota| format!(", quota {}", Size(quota)));
    output.line(format!(
        "disk: {} free{}, {} can be stored",
        Size(status.free),
        quota.unwrap_or_default(),
        Size(status.usable)
    ));
}

fn say_notices(output: Output, status: &Status) {
    for notice in &status.notices {
        match notice.care {
            true => output.warn(notice),
            false => output.talk(format!("note: {notice}")),
        }
    }
}

/// Chunks that no transfer in the store names, and whose they are.
fn put_by(one: &PutBy) -> String {
    let of = match (&one.name, one.what.peer_id) {
        (Some(name), _) => format!("put by {}", Escaped::new(name)),
        (None, Some(id)) => format!("put by {id}"),
        (None, None) => "of transfers that are over, or of nobody known".to_owned(),
    };
    let chunks = count(one.what.chunks, "chunk", "chunks");
    format!("{chunks}, {}, {of}", Size(one.what.bytes))
}

fn serving(status: &Status) -> String {
    match (&status.serving, status.since) {
        (Some(address), Some(since)) => {
            let process = status.process;
            let process = process.map_or(String::new(), |id| format!(", process {id}"));
            format!("serving: {address} since {since}{process}")
        }
        (Some(address), None) => format!("serving: {address}"),
        (None, _) => "serving: no".to_owned(),
    }
}

/// What is left of sends that did not end, and how it goes.
fn sending(unfinished: usize) -> String {
    let goes = match unfinished {
        0 => "",
        _ => ", by interrupted sends: the same command continues one, after a week it is forgotten",
    };
    format!("sending: {unfinished} unfinished{goes}")
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

fn line(entry: &HistoryEntry) -> String {
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
    // Those that came have theirs where they are now.
    if entry.manifest.is_none() {
        line.push_str(&format!("  transfer {}", entry.transfer.short()));
    }
    if entry.left_out > 0 {
        line.push_str(&format!("  ({} more left out before)", entry.left_out));
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
