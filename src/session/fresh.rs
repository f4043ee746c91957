//! What a session has read of `certs/`: its identity, its circle and the roles, read again when their files have changed.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::{
    id::PeerId,
    manifest::Signer as _,
    peer::Files,
    tls::{CertsDir, Circle, CircleHandle, Identity, TlsError},
    trust::{AddressBook, Role, Roles},
};

use super::Error;

/// The identity, the circle and the roles of a home. Each access looks at the files first, so that a session that is open for
/// months knows what another process, the serving peer or the session itself has written.
pub(super) struct Fresh {
    dir: CertsDir,
    default_role: Role,
    identity: ArcSwap<Identity>,
    circle: CircleHandle,
    roles: Arc<ArcSwap<Roles>>,
    load: Load,
    /// The versions of the files that are in use.
    read: Mutex<Files>,
}

/// How an identity is read: with its keys, or also where they are closed.
pub(super) type Load = fn(&CertsDir) -> Result<Identity, TlsError>;

impl Fresh {
    pub(super) fn open(dir: CertsDir, default_role: Role, load: Load) -> Result<Self, TlsError> {
        let read = Files::of(&dir);
        let identity = load(&dir)?;
        let circle = CircleHandle::new(Circle::load(&dir)?);
        let assigned = AddressBook::new(dir.peers()).roles()?;
        let roles = Roles::new(identity.peer_id(), default_role, assigned);
        Ok(Self {
            default_role,
            identity: ArcSwap::from_pointee(identity),
            circle,
            roles: Arc::new(ArcSwap::from_pointee(roles)),
            load,
            read: Mutex::new(read),
            dir,
        })
    }

    pub(super) fn identity(&self) -> Arc<Identity> {
        self.look();
        self.identity.load_full()
    }

    /// Who it is, by its key, which no renewal changes: no file is looked at.
    pub(super) fn peer_id(&self) -> PeerId {
        self.identity.load().peer_id()
    }

    pub(super) fn circle(&self) -> &CircleHandle {
        self.look();
        &self.circle
    }

    pub(super) fn roles(&self) -> Arc<ArcSwap<Roles>> {
        self.look();
        self.roles.clone()
    }

    /// Reads again what has changed. As with a serving peer, what cannot be used is logged and changes nothing.
    fn look(&self) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Files::of(&self.dir);
        // While the folder is away, for example with its disk, what was read last counts: else nobody would be blocked.
        if now == *read || !self.dir.server_key().exists() {
            return;
        }
        if now.has_other_certificates(&read)
            && let Err(error) = self.read_certificates()
        {
            tracing::error!(%error, "certificates unchanged: what is on disk cannot be used");
        }
        if let Err(error) = self.read_roles() {
            tracing::error!(%error, "roles unchanged: what is on disk cannot be used");
        }
        *read = now;
    }

    /// A circle that cannot be read keeps no new certificate from being used, and the other way round.
    fn read_certificates(&self) -> Result<(), Error> {
        let circle = self.circle.reload(&self.dir);
        self.identity.store(Arc::new((self.load)(&self.dir)?));
        Ok(circle?)
    }

    fn read_roles(&self) -> Result<(), Error> {
        self.circle.reload_members(&self.dir)?;
        let assigned = AddressBook::new(self.dir.peers()).roles()?;
        let us = self.identity.load().peer_id();
        let roles = Roles::new(us, self.default_role, assigned);
        self.roles.store(Arc::new(roles));
        Ok(())
    }
}
