//! Roles: what a peer may do with the store of this one. Its owner decides, for each peer by its id, and for the scripts
//! of a peer if they are to do something else. Beside them, the rights of a peer beyond the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::Right;
use crate::id::PeerId;

/// What a peer may do here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything that is not for the owner alone.
    #[default]
    Member,
    /// Put, and see its own.
    Sender,
    /// See what is addressed to it.
    Reader,
    /// Know how the peer is, in full, and see nothing of the store.
    Monitor,
    /// Nothing. A peer with this role is not let in, unless it has a right beyond the store.
    None,
}

impl Role {
    /// Whether what a peer of this role signs is taken, whoever brings it.
    pub fn may_put(self) -> bool {
        match self {
            Self::Member | Self::Sender => true,
            Self::Reader | Self::Monitor | Self::None => false,
        }
    }

    /// Whether a `peer` of this role may bring what `sender` has signed.
    pub fn may_bring(self, peer: PeerId, sender: PeerId) -> bool {
        self.may_put() && (self == Self::Member || peer == sender)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Member => "member",
            Self::Sender => "sender",
            Self::Reader => "reader",
            Self::Monitor => "monitor",
            Self::None => "none",
        })
    }
}

/// Who shows a certificate for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    /// The peer itself.
    Peer,
    /// A script of it.
    Script,
}

/// What the owner has said of one peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// Its role, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// That of its scripts, if it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Role>,
    /// What it may do beyond the store.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rights: BTreeSet<Right>,
}

/// Every role that counts at one store.
#[derive(Debug, Clone)]
pub struct Roles {
    owner: PeerId,
    default: Role,
    assigned: BTreeMap<PeerId, Assigned>,
}

impl Roles {
    /// Those of the store of `owner`; whoever has none of its own has the `default`.
    pub fn new(owner: PeerId, default: Role, assigned: BTreeMap<PeerId, Assigned>) -> Self {
        Self {
            owner,
            default,
            assigned,
        }
    }

    /// The role of `peer`. The owner's is beyond change, and scripts of a peer that is out are out.
    pub fn of(&self, peer: PeerId, bearer: Bearer) -> Role {
        let assigned = self.assigned.get(&peer);
        let own = match peer == self.owner {
            true => Role::Member,
            false => assigned.and_then(|a| a.role).unwrap_or(self.default),
        };
        match (bearer, own) {
            (Bearer::Script, Role::Member | Role::Sender | Role::Reader | Role::Monitor) => {
                assigned.and_then(|a| a.scripts).unwrap_or(own)
            }
            _ => own,
        }
    }

    /// The rights of `peer` beyond the store. Its scripts have them too, unless their own role is none.
    pub fn rights_of(&self, peer: PeerId, bearer: Bearer) -> BTreeSet<Right> {
        let assigned = self.assigned.get(&peer);
        let is_narrowed = assigned.is_some_and(|a| a.scripts == Some(Role::None));
        match bearer {
            Bearer::Script if is_narrowed => BTreeSet::new(),
            _ => assigned.map(|a| a.rights.clone()).unwrap_or_default(),
        }
    }

    /// Whether `peer` is not let in: it has neither a role nor a right.
    pub fn shuts_out(&self, peer: PeerId, bearer: Bearer) -> bool {
        self.of(peer, bearer) == Role::None && self.rights_of(peer, bearer).is_empty()
    }

    /// Whether `peer` may do nothing with the store: then nothing that it signed counts either.
    pub fn is_blocked(&self, peer: PeerId) -> bool {
        self.of(peer, Bearer::Peer) == Role::None
    }

    /// What was said of single peers.
    pub fn assigned(&self) -> &BTreeMap<PeerId, Assigned> {
        &self.assigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_stays_and_scripts_follow_their_peer_unless_said_otherwise() {
        let [owner, b, c] = [b"a", b"b", b"c"].map(|name| PeerId::of(name));
        let with = |role, scripts| Assigned {
            role,
            scripts,
            ..Assigned::default()
        };
        let assigned = [
            (owner, with(Some(Role::None), Some(Role::Reader))),
            (b, with(Some(Role::None), Some(Role::Member))),
            (c, with(None, Some(Role::Reader))),
        ];
        let roles = Roles::new(owner, Role::Sender, assigned.into());
        for (peer, role, scripts) in [
            (owner, Role::Member, Role::Reader),
            (b, Role::None, Role::None),
            (c, Role::Sender, Role::Reader),
            (PeerId::of(b"d"), Role::Sender, Role::Sender),
        ] {
            assert_eq!(roles.of(peer, Bearer::Peer), role);
            assert_eq!(roles.of(peer, Bearer::Script), scripts);
        }
    }

    #[test]
    fn a_right_lets_in_without_a_role_and_scripts_without_a_role_have_none() {
        let [owner, b] = [b"a", b"b"].map(|name| PeerId::of(name));
        let right: Right = "bank:atm".parse().unwrap();
        let with = |scripts, rights: &[&Right]| {
            let assigned = Assigned {
                role: Some(Role::None),
                scripts,
                rights: rights.iter().copied().cloned().collect(),
            };
            Roles::new(owner, Role::Member, [(b, assigned)].into())
        };
        assert!(with(None, &[]).shuts_out(b, Bearer::Peer));
        let roles = with(None, &[&right]);
        for bearer in [Bearer::Peer, Bearer::Script] {
            assert!(!roles.shuts_out(b, bearer));
            assert_eq!(roles.of(b, bearer), Role::None);
            assert!(roles.rights_of(b, bearer).contains(&right));
            assert!(roles.rights_of(owner, bearer).is_empty());
        }
        let narrowed = with(Some(Role::None), &[&right]);
        assert!(narrowed.shuts_out(b, Bearer::Script));
        assert!(!narrowed.shuts_out(b, Bearer::Peer));
    }
}
