//! The address book, whatever is done with it in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use colis::{
    id::{PeerId, SealPublicKey},
    manifest::Timestamp,
    trust::{AddressBook, Assigned, Bearer, PeerBundle, Role},
};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["a", "b", "c", "ben", "carl"];

#[derive(Debug, Clone)]
enum Step {
    Remember {
        name: usize,
        key: u8,
        sequence: u64,
    },
    Rename {
        name: usize,
        alias: usize,
    },
    Role {
        name: usize,
        script: bool,
        role: Role,
    },
    Forget {
        name: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    let role = prop::sample::select(vec![Role::Member, Role::Sender, Role::Reader, Role::None]);
    prop_oneof![
        3 => (name.clone(), 0..6_u8, 1..4_u64)
            .prop_map(|(name, key, sequence)| Step::Remember { name, key, sequence }),
        2 => (name.clone(), name.clone()).prop_map(|(name, alias)| Step::Rename { name, alias }),
        2 => (name.clone(), any::<bool>(), role)
            .prop_map(|(name, script, role)| Step::Role { name, script, role }),
        1 => name.prop_map(|name| Step::Forget { name }),
    ]
}

fn bundle(name: &str, key: u8, sequence: u64) -> PeerBundle {
    PeerBundle {
        v: 1,
        created: Timestamp::now(),
        peer_id: PeerId::of(&[key]),
        name: name.to_owned(),
        certificate: vec![key],
        seal_key: SealPublicKey::from_bytes(&[7; SealPublicKey::LENGTH]).unwrap(),
        sequence,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Names mean one peer each; aliases last until they are changed or their peer is forgotten; roles last for ever, and
    /// only what sets one changes one.
    #[test]
    fn names_stay_unique_and_roles_and_aliases_survive(steps in prop::collection::vec(step(), 1..24)) {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::new(folder.path().join("peers.json"));
        let mut roles: BTreeMap<PeerId, Assigned> = BTreeMap::new();
        let mut aliases: BTreeMap<String, String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Remember { name, key, sequence } => {
                    let before = book.by_certificate_name(NAMES[name]).unwrap();
                    if let Ok(peer) = book.remember(&bundle(NAMES[name], key, sequence), None) {
                        prop_assert!(before.is_none_or(|b| b.peer_id == peer.peer_id && b.sequence <= sequence));
                    }
                }
                Step::Rename { name, alias } => {
                    if let Ok(peer) = book.rename(NAMES[name], NAMES[alias]) {
                        aliases.remove(&peer.name);
                        if let Some(alias) = peer.alias {
                            aliases.insert(peer.name, alias);
                        }
                    }
                }
                Step::Role { name, script, role } => {
                    let bearer = if script { Bearer::Script } else { Bearer::Peer };
                    let known = book.by_name(NAMES[name]).unwrap();
                    let set = book.set_role(NAMES[name], bearer, role);
                    prop_assert_eq!(set.as_ref().ok(), known.as_ref().map(|k| &k.peer_id));
                    if let Ok(id) = set {
                        let assigned = roles.entry(id).or_default();
                        if script { assigned.scripts = Some(role) } else { assigned.role = Some(role) }
                        if !script && role == Role::None { assigned.rights.clear() }
                    }
                }
                Step::Forget { name } => {
                    let known = book.by_name(NAMES[name]).unwrap();
                    prop_assert_eq!(book.forget(NAMES[name]).is_ok(), known.is_some());
                    if let Some(known) = known { aliases.remove(&known.name); }
                }
            }
            prop_assert_eq!(&book.roles().unwrap(), &roles);
            let peers = book.peers().unwrap();
            let kept: BTreeMap<_, _> = peers.iter().filter_map(|p| Some((p.name.clone(), p.alias.clone()?))).collect();
            prop_assert_eq!(&kept, &aliases);
            let words: Vec<_> = peers.iter().flat_map(|p| [Some(p.name.clone()), p.alias.clone()]).flatten().collect();
            let unique: BTreeSet<_> = words.iter().collect();
            prop_assert_eq!(unique.len(), words.len(), "{:?}", words);
            for peer in &peers {
                let found = book.by_name(peer.called()).unwrap().unwrap();
                prop_assert_eq!(found.peer_id, peer.peer_id);
            }
        }
    }
}
