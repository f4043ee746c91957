//! Which peer is meant by what lists and the log show of it: the beginning of an id, or the name in a certificate.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Mistake, Session, list::all_manifests, which::manifest_of};
use crate::{
    id::{PeerId, Short as _},
    manifest::Timestamp,
    name::Escaped,
    trust::TrustError,
};

/// Digits from which on the beginning of an id counts as one.
const MIN_DIGITS: usize = 4;

/// The ids of peers that this home has seen, with their names, those in certificates too.
type Seen = BTreeMap<PeerId, BTreeSet<String>>;

/// The id of the peer that is meant by `text`. What the address book does not have is looked for among those who sent what is
/// stored here.
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

fn matching(seen: &Seen, text: &str) -> Vec<PeerId> {
    let begins = |id: &PeerId| text.len() >= MIN_DIGITS && id.to_string().starts_with(text);
    let all = seen.iter();
    all.filter(|(id, names)| begins(id) || names.contains(text))
        .map(|(id, _)| *id)
        .collect()
}
