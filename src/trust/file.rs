//! The file of the address book: what a newer version wrote is told from what is damaged.

use std::path::Path;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Book, Role, TrustError, Unknown};

/// The version that is written here.
pub(super) const VERSION: u64 = 1;

/// The fields of the file, and of the objects in it, as they are declared.
const BOOK: [&str; 6] = ["v", "peers", "roles", "forgotten", "pinned", "second"];
const PEER: [&str; 10] = [
    "name",
    "alias",
    "peer_id",
    "seal_key",
    "sequence",
    "addresses",
    "seen",
    "certificate",
    "bundle",
    "moved",
];
const ASSIGNED: [&str; 3] = ["role", "scripts", "rights"];

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Book, TrustError> {
    let path = path.to_owned();
    match serde_json::from_slice::<Book>(bytes) {
        Ok(book) if book.v > VERSION => Err(TrustError::Newer {
            path,
            unknown: Unknown::Version(book.v),
        }),
        Ok(book) => Ok(book),
        Err(source) => {
            let value: Option<Value> = serde_json::from_slice(bytes).ok();
            Err(match value.as_ref().and_then(unknown) {
                Some(unknown) => TrustError::Newer { path, unknown },
                None => TrustError::Damaged { path, source },
            })
        }
    }
}

/// The first of what this version does not know in a file that it cannot read.
fn unknown(book: &Value) -> Option<Unknown> {
    let book = book.as_object()?;
    let inner = |name| {
        book.get(name)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    let version = book
        .get("v")
        .and_then(Value::as_u64)
        .filter(|v| *v > VERSION);
    let of_peers =
        || inner("peers").find_map(|(_, peer)| unknown_field(peer.as_object()?, &PEER, "a peer"));
    let of_roles = || inner("roles").find_map(|(_, assigned)| unknown_of(assigned.as_object()?));
    version
        .map(Unknown::Version)
        .or_else(|| unknown_field(book, &BOOK, "the file"))
        .or_else(of_peers)
        .or_else(of_roles)
}

fn unknown_of(assigned: &Map<String, Value>) -> Option<Unknown> {
    let unknown_role = |name| {
        let role = assigned.get(name)?;
        let text = role.as_str()?;
        Role::deserialize(role)
            .is_err()
            .then(|| Unknown::Role(text.to_owned()))
    };
    unknown_field(assigned, &ASSIGNED, "a role")
        .or_else(|| unknown_role("role"))
        .or_else(|| unknown_role("scripts"))
}

fn unknown_field(object: &Map<String, Value>, known: &[&str], of: &'static str) -> Option<Unknown> {
    let name = object.keys().find(|key| !known.contains(&key.as_str()))?;
    let name = name.clone();
    Some(Unknown::Field { name, of })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{
        id::{PeerId, SealPublicKey},
        manifest::Timestamp,
        trust::{Assigned, KnownPeer},
    };

    /// A book that has every field.
    fn full() -> Book {
        let (id, now) = (PeerId::of(b"a"), Timestamp::now());
        let peer = KnownPeer {
            name: "a".to_owned(),
            alias: Some("b".to_owned()),
            peer_id: id,
            seal_key: SealPublicKey::from_bytes(&[0; SealPublicKey::LENGTH]).unwrap(),
            sequence: 1,
            addresses: Vec::new(),
            seen: now,
            certificate: Vec::new(),
            bundle: Some(String::new()),
            moved: Some(id),
        };
        let assigned = Assigned {
            role: Some(Role::Reader),
            scripts: Some(Role::None),
            rights: BTreeSet::from(["bank:atm".parse().unwrap()]),
        };
        Book {
            v: VERSION,
            peers: BTreeMap::from([("a".to_owned(), peer)]),
            roles: BTreeMap::from([(id, assigned)]),
            forgotten: BTreeMap::from([(id, "c".to_owned())]),
            pinned: BTreeMap::from([("d".to_owned(), id)]),
            second: BTreeMap::from([("d".to_owned(), id)]),
        }
    }

    fn parsed(value: &Value) -> Result<Book, TrustError> {
        parse(Path::new("peers.json"), value.to_string().as_bytes())
    }

    #[test]
    fn every_field_that_is_written_is_known() {
        let value = serde_json::to_value(full()).unwrap();
        assert_eq!(unknown(&value), None);
        let count = |value: &Value| value.as_object().unwrap().len();
        let first = |name: &str| value[name].as_object().unwrap().values().next().unwrap();
        assert_eq!(count(&value), BOOK.len());
        assert_eq!(count(first("peers")), PEER.len());
        assert_eq!(count(first("roles")), ASSIGNED.len());
        assert!(parsed(&value).is_ok());
    }

    #[test]
    fn what_is_new_is_named_and_what_is_damaged_is_not_called_new() {
        let id = PeerId::of(b"a").to_string();
        let with = |path: &str, new: Value| {
            let mut value = serde_json::to_value(full()).unwrap();
            let (parent, name) = path.rsplit_once('/').unwrap();
            let parent = value.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().insert(name.to_owned(), new);
            match parsed(&value) {
                Err(TrustError::Newer { unknown, .. }) => Some(unknown),
                Err(TrustError::Damaged { .. }) => None,
                other => panic!("{other:?}", other = other.map(|_| ())),
            }
        };
        let field = |of| {
            let name = "new".to_owned();
            Some(Unknown::Field { name, of })
        };
        assert_eq!(with("/new", 1.into()), field("the file"));
        assert_eq!(with("/peers/a/new", 1.into()), field("a peer"));
        assert_eq!(with(&format!("/roles/{id}/new"), 1.into()), field("a role"));
        let role = Some(Unknown::Role("guest".to_owned()));
        assert_eq!(with(&format!("/roles/{id}/role"), "guest".into()), role);
        assert_eq!(with(&format!("/roles/{id}/scripts"), "guest".into()), role);
        assert_eq!(with("/v", 2.into()), Some(Unknown::Version(2)));
        assert_eq!(with("/peers/a/sequence", "unknown field".into()), None);
        assert_eq!(with(&format!("/roles/{id}/role"), 1.into()), None);
    }
}
