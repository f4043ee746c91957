//! The address book: the peers that are known, and what they may do here.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Mistake, Session, meant, pair::peer_name};
use crate::{
    id::{PeerId, SealPublicKey},
    manifest::{Signer as _, Timestamp},
    trust::{Assigned, Bearer, KnownPeer, Right, Role, Roles, TrustError, is_peer_name, name_of},
    wire::Health,
};

/// A peer of the address book, and what it may do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerRow {
    /// The name in its certificate.
    pub name: String,
    /// Its name on this machine, if the person gave it another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Its id.
    pub peer_id: PeerId,
    /// The key that transfers for it are sealed to.
    pub seal_key: SealPublicKey,
    /// The sequence of the bundle that told so.
    pub sequence: u64,
    /// Where it was seen, the latest first.
    pub addresses: Vec<String>,
    /// When it was last heard of.
    pub seen: Timestamp,
    /// Its certificate, DER; base64 in JSON.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
    /// The bundle that it signed, in its envelope, if it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Its role here.
    pub role: Role,
    /// The role of its scripts here.
    pub script_role: Role,
    /// What it may do here beyond the store.
    #[serde(default)]
    pub rights: BTreeSet<Right>,
    /// Whether it is this peer.
    pub is_self: bool,
    /// Whether only the circle's directory has it, and not the address book.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_directory: bool,
    /// Whether the circle has revoked it: it is a member no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

impl PeerRow {
    pub(super) fn new(peer: KnownPeer, roles: &Roles, is_self: bool) -> Self {
        Self {
            role: roles.of(peer.peer_id, Bearer::Peer),
            script_role: roles.of(peer.peer_id, Bearer::Script),
            rights: roles.rights_of(peer.peer_id, Bearer::Peer),
            name: peer.name,
            alias: peer.alias,
            peer_id: peer.peer_id,
            seal_key: peer.seal_key,
            sequence: peer.sequence,
            addresses: peer.addresses,
            seen: peer.seen,
            certificate: peer.certificate,
            bundle: peer.bundle,
            is_self,
            in_directory: false,
            revoked: false,
        }
    }

    /// The name that the person uses for it.
    pub fn called(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// Both names, if there are two: `alias (name)`.
    pub fn shown(&self) -> String {
        match &self.alias {
            Some(alias) => format!("{alias} ({})", self.name),
            None => self.name.clone(),
        }
    }
}

/// A role of one peer or of its scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRow {
    /// The peer.
    pub peer_id: PeerId,
    /// The role.
    pub role: Role,
    /// Whether it is the role of its scripts only.
    pub script: bool,
    /// The peer as it was named; none for a role that is kept of a peer that is not known.
    pub peer: Option<String>,
}

/// The rights of one peer, and of its scripts with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsRow {
    /// The peer.
    pub peer_id: PeerId,
    /// All that it has.
    pub rights: BTreeSet<Right>,
    /// The peer as it was named; none for rights that are kept of a peer that is not known.
    pub peer: Option<String>,
}

/// How a peer answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerHealth {
    /// Where it answers.
    pub address: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
}

/// A peer that was checked.
#[derive(Debug, Clone)]
pub struct CheckedPeer {
    /// The peer.
    pub peer: PeerRow,
    /// How it answers.
    pub answer: PeerHealth,
}

impl Session {
    /// The known peers with their roles, this one among them if it has served; then the other members of the circle.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn peer_rows(&self) -> Result<Vec<PeerRow>, Error> {
        let roles = self.read_roles()?;
        let peers = self.book.peers()?.into_iter();
        let peers = peers.map(|peer| self.row(peer, &roles));
        let others = self.other_members()?.into_iter();
        let others = others.map(|peer| PeerRow {
            in_directory: true,
            ..self.row(peer, &roles)
        });
        Ok(peers.chain(others).collect())
    }

    /// The roles of peers that are not known: a role outlives the peer that it was given to.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn roles_of_unknown(&self) -> Result<Vec<RoleRow>, Error> {
        let (known, default) = (self.book.peers()?, self.default_role());
        let mut roles = self.book.roles()?;
        roles.retain(|id, _| known.iter().all(|peer| peer.peer_id != *id));
        let row = |(peer_id, assigned): (PeerId, Assigned)| RoleRow {
            peer_id,
            role: assigned.role.unwrap_or(default),
            script: false,
            peer: None,
        };
        Ok(roles.into_iter().map(row).collect())
    }

    /// The rights of peers that are not known, which outlive them as well.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn rights_of_unknown(&self) -> Result<Vec<RightsRow>, Error> {
        let known = self.book.peers()?;
        let mut assigned = self.book.roles()?;
        assigned.retain(|id, has| {
            !has.rights.is_empty() && known.iter().all(|peer| peer.peer_id != *id)
        });
        let row = |(peer_id, assigned): (PeerId, Assigned)| RightsRow {
            peer_id,
            rights: assigned.rights,
            peer: None,
        };
        Ok(assigned.into_iter().map(row).collect())
    }

    /// The role of a peer, or of its scripts.
    ///
    /// # Errors
    /// Fails if the address book cannot be read.
    pub fn role_of(&self, peer: PeerId, bearer: Bearer) -> Result<Role, Error> {
        Ok(self.read_roles()?.of(peer, bearer))
    }

    /// Asks the peer at an address who it is, and remembers it. For example `box`, `box:9443` or `[::1]:9443`.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn add_peer(&self, address: &str) -> Result<PeerRow, Error> {
        let connected = self.connect_new(address).await?;
        self.row_of(connected.peer)
    }

    /// Connects to a peer, by name or address, and asks how it is.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn check_peer(&self, peer: &str) -> Result<CheckedPeer, Error> {
        let connected = self.connect(peer).await?;
        let health = connected.client.health().await?;
        let address = connected.client.address().to_string();
        Ok(CheckedPeer {
            peer: self.row_of(connected.peer)?,
            answer: PeerHealth { address, health },
        })
    }

    /// Calls the peer `old` by the name `new` on this machine. The name in its certificate takes an alias away again.
    ///
    /// # Errors
    /// Fails if no peer is called `old`, or another peer, a member that only the directory knows or this one is called `new`.
    pub fn rename_peer(&self, old: &str, new: &str) -> Result<PeerRow, Error> {
        // As at pairing: what a person types is made a name.
        let new = &match is_peer_name(new) || name_of(new).is_none() {
            true => new.to_owned(),
            false => peer_name(new, &*self.reporter)?,
        };
        if new == self.identity().name() {
            let name = new.to_owned();
            return Err(Mistake::OwnName { name }.into());
        }
        let known = self.known_here(old)?;
        let old = known.as_ref().map_or(old, |known| known.called());
        let is_other = |id| known.as_ref().is_none_or(|known| known.peer_id != id);
        if self
            .member_called(new)?
            .is_some_and(|member| is_other(member.peer_id))
        {
            let name = new.to_owned();
            return Err(TrustError::InUse { name }.into());
        }
        self.adopt(old)?;
        self.row_of(self.book.rename(old, new)?)
    }

    /// Gives a role to a peer, or to its scripts. The peer is meant by its name, by its id or the beginning of that, or by the
    /// name under which it sent a transfer that is stored here.
    ///
    /// # Errors
    /// Fails if no peer or several are meant, or if it is the role of this peer itself.
    pub async fn set_role(&self, peer: &str, bearer: Bearer, role: Role) -> Result<RoleRow, Error> {
        let own = self.peer_id();
        let is_self = peer == self.identity().name() || peer == own.to_string();
        let id = match (is_self, bearer) {
            (true, Bearer::Peer) => return Err(Mistake::OwnRole.into()),
            (true, Bearer::Script) => own,
            (false, _) => meant::id_of(self, peer).await?,
        };
        let peer_id = self.book.set_role(&id.to_string(), bearer, role)?;
        self.read_roles()?;
        self.have_it_read().await;
        Ok(RoleRow {
            peer_id,
            role,
            script: bearer == Bearer::Script,
            peer: Some(peer.to_owned()),
        })
    }

    /// Gives a peer a right, for routes of one's own that ask for it. The peer is meant as in [`Self::set_role`]; the owner has no right
    /// either unless it is given.
    ///
    /// # Errors
    /// Fails if no peer or several are meant.
    pub async fn allow(&self, peer: &str, right: &Right) -> Result<RightsRow, Error> {
        let id = self.anybody(peer).await?;
        self.book.allow(&id.to_string(), right)?;
        self.rights_row(id, peer).await
    }

    /// Takes a right away from a peer, from its next request on. That it has none is no failure.
    ///
    /// # Errors
    /// Fails if no peer or several are meant.
    pub async fn deny(&self, peer: &str, right: &Right) -> Result<RightsRow, Error> {
        let id = self.anybody(peer).await?;
        self.book.deny(&id.to_string(), right)?;
        self.rights_row(id, peer).await
    }

    /// Who is meant, this peer itself among them.
    async fn anybody(&self, peer: &str) -> Result<PeerId, Error> {
        let own = self.peer_id();
        match peer == self.identity().name() || peer == own.to_string() {
            true => Ok(own),
            false => meant::id_of(self, peer).await,
        }
    }

    async fn rights_row(&self, peer_id: PeerId, peer: &str) -> Result<RightsRow, Error> {
        let roles = self.read_roles()?;
        self.have_it_read().await;
        let assigned = roles.assigned().get(&peer_id);
        Ok(RightsRow {
            peer_id,
            rights: assigned.map_or_else(BTreeSet::new, |assigned| assigned.rights.clone()),
            peer: Some(peer.to_owned()),
        })
    }

    /// Forgets the peer of this name, or of this id or the beginning of one. Its role stays. The circle's directory does not bring it
    /// back; meeting it does.
    ///
    /// # Errors
    /// Fails if no peer or several are meant, or this one.
    pub async fn forget_peer(&self, peer: &str) -> Result<(), Error> {
        let own = self.identity();
        let is_self = match self.known_here(peer)? {
            Some(known) => known.peer_id == own.peer_id(),
            None => peer == own.name() || peer == own.peer_id().to_string(),
        };
        if is_self {
            let name = own.name().to_owned();
            return Err(Mistake::ForgetsItself { name }.into());
        }
        self.adopt(peer)?;
        let was_pinned = self.book.unpin(peer)?;
        if self.book.by_name(peer)?.is_some() {
            self.book.forget(peer)?;
            self.have_it_read().await;
            return Ok(());
        }
        // The key of a name may have called, and never have been called.
        if was_pinned {
            self.have_it_read().await;
            return Ok(());
        }
        let id = meant::id_of(self, peer).await?;
        let known = self.book.peers()?;
        let known = known.iter().find(|known| known.peer_id == id);
        Ok(self.book.forget(known.map_or(peer, |known| &known.name))?)
    }

    /// A known peer with its roles.
    pub(super) fn row_of(&self, peer: KnownPeer) -> Result<PeerRow, Error> {
        Ok(self.row(peer, &self.read_roles()?))
    }

    fn row(&self, peer: KnownPeer, roles: &Roles) -> PeerRow {
        let is_self = peer.name == self.identity().name();
        let revoked = !is_self && self.circle().now().is_revoked_known(&peer);
        PeerRow {
            revoked,
            ..PeerRow::new(peer, roles, is_self)
        }
    }

    /// The roles as they are on disk. Fails if they cannot be read there.
    pub(super) fn read_roles(&self) -> Result<Roles, Error> {
        let (us, assigned) = (self.peer_id(), self.book.roles()?);
        Ok(Roles::new(us, self.default_role(), assigned))
    }
}
