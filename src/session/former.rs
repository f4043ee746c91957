//! The identities that this home had in circles that it has left. They sign nothing any more, and still open what was sealed for
//! them.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Judge, Session};
use crate::{
    id::PeerId,
    manifest::{Claim, Manifest, Signer as _, Verifier, VerifyError},
    tls::{self, CertsDir, Circle, CircleHandle, Identity, TlsError},
    transfer::Reader,
    trust::{AddressBook, Role, Roles},
};

/// An identity of another circle, and who that one trusts.
pub(super) struct Former {
    identity: Identity,
    verifier: Arc<dyn Verifier>,
}

/// Verifies members of a circle that was left. Their names say so: a member of the circle of today may be called so too.
struct FormerJudge(Judge);

impl Verifier for FormerJudge {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let name = self.0.verify(claim)?;
        Ok(format!("{name} of a circle that was left"))
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        self.0.verify_unknown(claim)
    }
}

impl Former {
    fn load(dir: &CertsDir) -> Result<Self, TlsError> {
        let identity = Identity::load(dir)?;
        let book = AddressBook::new(dir.peers());
        let roles = Roles::new(identity.peer_id(), Role::default(), book.roles()?);
        let judge = Judge {
            circle: CircleHandle::new(Circle::load(dir)?),
            roles: Arc::new(ArcSwap::from_pointee(roles)),
        };
        Ok(Self {
            identity,
            verifier: Arc::new(FormerJudge(judge)),
        })
    }

    fn reader(&self) -> Reader {
        Reader {
            me: self.identity.peer_id(),
            seal_keys: self.identity.seal_keys().clone(),
            password: None,
            verifier: self.verifier.clone(),
        }
    }
}

impl Session {
    /// The identities of circles that were left, the last one first. One that cannot be read opens nothing.
    fn former(&self) -> &[Former] {
        self.former.get_or_init(|| {
            let load = |dir: CertsDir| {
                let loaded = Former::load(&dir);
                let told = loaded.inspect_err(
                    |error| tracing::warn!(%error, "a circle that was left cannot be read"),
                );
                told.ok()
            };
            let former = tls::left(&self.dir).into_iter().filter_map(load);
            former
                .filter(|former| former.identity.peer_id() != self.peer_id())
                .collect()
        })
    }

    /// The ids that this peer had in other circles.
    pub(super) fn former_ids(&self) -> Vec<PeerId> {
        let former = self.former().iter();
        former.map(|former| former.identity.peer_id()).collect()
    }

    /// Whether it is this peer, now or in a circle that was left.
    pub(super) fn is_us(&self, id: PeerId) -> bool {
        id == self.peer_id() || self.former_ids().contains(&id)
    }

    /// Who opens `manifest`: this peer as it is now, unless it was sealed for one that it has been.
    pub(super) fn reader_of(&self, manifest: &Manifest) -> Reader {
        let is_for = |id: PeerId| manifest.recipients().any(|recipient| recipient == id);
        if is_for(self.peer_id()) {
            return self.reader();
        }
        let mut former = self.former().iter();
        let former = former.find(|former| is_for(former.identity.peer_id()));
        former.map_or_else(|| self.reader(), Former::reader)
    }
}
