//! What is said of a store, ours or a peer's.

use std::collections::BTreeMap;

use super::{brief, home};
use crate::{
    cli::output::Output,
    config::units::{Size, count},
    id::PeerId,
    name::Escaped,
    session::{Checked, Collected, Custody, Event},
    store::Unnamed,
};

/// Says the events of looking after a store.
pub(super) fn say(output: Output, event: &Event) {
    match event {
        Event::Check(checked) => say_checked(output, checked),
        Event::Gc(collected) => {
            output.line(freed(collected));
            for one in &collected.report.by {
                if let Some(of) = put_by(one, &collected.names) {
                    output.line(of);
                }
            }
        }
        Event::Custody(custody) => say_custody(output, custody),
        Event::NewStore { path } => output.talk(format!(
            "{} is the store of this home from now on; transfers that were opened before may come once more, if their sender or a \
             relay still has them",
            Escaped::new(path)
        )),
        Event::OnlyLooks { holder, reason } => {
            let why = match holder {
                Some(holder) => format!("{holder} is using the store"),
                None => Escaped::new(reason).to_string(),
            };
            output.talk(format!("{why}: damage is reported and left where it is"));
        }
        _ => home::say(output, event),
    }
}

fn say_checked(output: Output, checked: &Checked) {
    if !checked.exists {
        return output.line("nothing is stored here yet");
    }
    let report = &checked.report;
    for problem in &report.problems {
        output.line(format!("{}: {}", Escaped::new(&problem.path), problem.what));
    }
    let how = match checked.read_data {
        true => "read and hashed",
        false => "in place; their bytes were not read, see --read-data",
    };
    output.line(format!(
        "{}, {}, {how}; {} complete",
        count(report.chunks, "chunk", "chunks"),
        Size(report.bytes),
        count(report.manifests, "transfer", "transfers"),
    ));
}

fn put_by(one: &Unnamed, names: &BTreeMap<PeerId, String>) -> Option<String> {
    let id = one.peer_id?;
    let name = names.get(&id).map(|name| Escaped::new(name).to_string());
    let who = name.unwrap_or_else(|| brief::id(id));
    let chunks = count(one.chunks, "chunk", "chunks");
    Some(format!(
        "of it: {chunks}, {}, put by {who} in no transfer",
        Size(one.bytes)
    ))
}

fn freed(collected: &Collected) -> String {
    let report = &collected.report;
    let kept = match report.sends {
        0 => String::new(),
        sends => format!("; forgot {} that ended", count(sends, "send", "sends")),
    };
    format!(
        "let go of {} opened and {}; {} ({}) to the trash, {} out of it{kept}",
        collected.opened,
        count(report.expired, "expired transfer", "expired transfers"),
        count(report.chunks, "chunk", "chunks"),
        Size(report.bytes),
        report.removed
    )
}

fn say_custody(output: Output, custody: &Custody) {
    let lists = [
        (&custody.missing, "missing"),
        (&custody.wrong, "wrong"),
        (&custody.not_compared, "not compared: no good copy is here"),
    ];
    for (ids, what) in lists {
        brief::note(ids);
        for id in ids {
            output.line(format!("{}  {what}", brief::id(id)));
        }
    }
    let peer = Escaped::new(&custody.peer);
    if let (true, Some(opened)) = (custody.manifest_missing, custody.opened) {
        let opened = brief::time(opened);
        return output.line(format!(
            "{peer} opened it {opened}, and does not keep it sealed any more"
        ));
    }
    if custody.manifest_missing {
        output.line(format!(
            "{peer} does not have the manifest, so it may let go of the chunks at any time"
        ));
    }
    if custody.repaired > 0 {
        let chunks = count(custody.repaired, "chunk", "chunks");
        output.talk(format!("{chunks} put back"));
    }
    let (chunks, size) = (
        count(custody.chunks, "chunk", "chunks"),
        Size(custody.bytes),
    );
    let held = format!("{peer} holds every byte of {chunks} ({size})");
    output.line(match custody.bad() as u64 {
        0 => held,
        bad => format!("{held}; {} missing or wrong", count(bad, "is", "are")),
    });
}
