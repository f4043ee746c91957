//! Which peer is meant by what lists and the log show of it: the beginning of an id, or the name in a certificate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use super::{
    Error, Mistake, Session,
    list::all_manifests,
    which::{begins, manifest_of},
};
use crate::{
    id::{PeerId, Short as _},
    manifest::Timestamp,
    name::Escaped,
    private,
    trust::TrustError,
};

/// Bytes of the log that are looked through.
const MAX_LOG: usize = 64 << 20;

/// The ids of peers that this home has seen, with their names, those in certificates too.
type Seen = BTreeMap<PeerId, BTreeSet<String>>;

/// The id of the peer that is meant by `text`. What the address book does not have is looked for among those who sent what is
/// stored here, and then in the log: it names callers that were refused, who are nowhere else.
///
/// # Errors
/// Several are meant, or none.
pub(crate) async fn id_of(us: &Session, text: &str) -> Result<PeerId, Error> {
    if let Some(peer) = us.book.by_name(text)? {
        return Ok(peer.peer_id);
    }
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let mut seen = of_the_book(us)?;
    let mut found = matching(&seen, text);
    if found.is_empty() {
        senders(us, &mut seen).await?;
        found = matching(&seen, text);
    }
    if found.is_empty() {
        in_logs(&us.home.logs(), &mut seen);
        found = matching(&seen, text);
    }
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(TrustError::Unknown {
            name: text.to_owned(),
        }
        .into()),
        several => {
            let each = several.iter().map(|id| {
                let names = seen.get(id).into_iter().flatten();
                let names: Vec<_> = names.map(|name| Escaped::new(name).to_string()).collect();
                format!("{} {}", id.short(), names.join(" "))
            });
            let (text, peers) = (text.to_owned(), each.collect());
            Err(Mistake::SeveralPeers { text, peers }.into())
        }
    }
}

fn of_the_book(us: &Session) -> Result<Seen, Error> {
    let mut seen = Seen::new();
    for peer in us.book.peers()? {
        let names = seen.entry(peer.peer_id).or_default();
        names.insert(peer.name);
        names.extend(peer.alias);
    }
    for peer in us.other_members()? {
        seen.entry(peer.peer_id).or_default().insert(peer.name);
    }
    for id in us.book.roles()?.into_keys() {
        seen.entry(id).or_default();
    }
    Ok(seen)
}

async fn senders(us: &Session, seen: &mut Seen) -> Result<(), Error> {
    let store = us.own().await?.as_store();
    for info in all_manifests(us, &*store, None).await? {
        let names = seen.entry(info.sender).or_default();
        if !names.is_empty() {
            continue;
        }
        if let Some(manifest) = manifest_of(&*store, info.id).await {
            names.extend(manifest.verify(us.circle(), Timestamp::now()).ok());
        }
    }
    Ok(())
}

/// Adds the peers that are in the newest lines of the log, each with its whole id beside its name.
fn in_logs(logs: &Path, seen: &mut Seen) {
    let files = fs::read_dir(logs).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|file| file.path()).collect();
    // They are called by their days.
    files.sort_by(|one, other| other.cmp(one));
    let mut left = MAX_LOG;
    for file in files {
        let Ok(lines) = private::read_text(&file) else {
            continue;
        };
        let Some(less) = left.checked_sub(lines.len()) else {
            return;
        };
        left = less;
        let lines = lines.lines();
        lines
            .filter(|line| line.contains("\"id\":"))
            .for_each(|line| in_line(line, seen));
    }
}

fn in_line(line: &str, seen: &mut Seen) {
    let Ok(line) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let fields = line.get("fields").unwrap_or(&line);
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if let Some(id) = text("id").and_then(|id| id.parse::<PeerId>().ok()) {
        let names = ["peer", "name", "sender"].into_iter().filter_map(text);
        let known = seen.entry(id).or_default();
        known.extend(names.map(str::to_owned));
    }
}

fn matching(seen: &Seen, text: &str) -> Vec<PeerId> {
    let all = seen.iter();
    all.filter(|(id, names)| begins(id, text) || names.contains(text))
        .map(|(id, _)| *id)
        .collect()
}
