//! What the server is told about certificates and roles: who may connect and what he may do, as of now, and what the
//! circle's machine answers.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use rustls::ServerConfig;

use super::{
    Places,
    neighbours::{say_conflict, settle_lists},
    stamps::{Stamp, stamps_of},
};
use crate::{
    id::PeerId,
    manifest::{Claim, Signer as _, Timestamp, Verifier, VerifyError},
    server::{CircleDesk, Gate, ListError, RenewError},
    tls::{
        self, Admission, Caller, CertsDir, CircleHandle, Endings, Identity, Inspected, Standing,
        Taken, TlsError, ca,
    },
    trust::{AddressBook, Bearer, Role, Roles, TrustError},
};

/// The certificates and roles of a running peer, which may be replaced while it runs.
pub(super) struct Door {
    dir: CertsDir,
    circle: CircleHandle,
    current: Arc<ArcSwap<Current>>,
    roles: Arc<ArcSwap<Roles>>,
    default_role: Role,
    places: Places,
}

/// The versions of the files that a door reads.
#[derive(Clone, PartialEq)]
pub(super) struct Files {
    pub(super) certificates: Vec<Stamp>,
    pub(super) book: Vec<Stamp>,
}

impl Files {
    /// To be asked before they are read: what changes after that is read again.
    pub(super) fn of(dir: &CertsDir) -> Self {
        let certificates: [PathBuf; 6] = [
            dir.ca_cert(),
            dir.crl(),
            dir.server_cert(),
            dir.server_key(),
            dir.client_cert(),
            dir.seal_key(),
        ];
        Self {
            certificates: stamps_of(&certificates),
            book: stamps_of(&[dir.peers()]),
        }
    }
}

/// An identity, and what it gives to every handshake.
struct Current {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
    bundle: String,
    /// Until when the certificate of its scripts counts.
    scripts_until: Option<Timestamp>,
}

impl Current {
    fn new(
        dir: &CertsDir,
        identity: Arc<Identity>,
        circle: &CircleHandle,
        roles: &Arc<ArcSwap<Roles>>,
    ) -> Result<Self, TlsError> {
        let (roles, ca_key) = (roles.clone(), dir.ca_key());
        let admitted: Admission = Arc::new(move |caller, standing| {
            let may = match standing {
                Standing::Member => true,
                Standing::Ended => ca_key.exists(),
            };
            may && role_of(&roles, caller) != Role::None
        });
        let config = tls::server_config_for(&identity, circle, admitted)?;
        let bundle = String::from_utf8_lossy(identity.bundle()?.envelope()).into_owned();
        Ok(Self {
            identity,
            config,
            bundle,
            scripts_until: Inspected::script(dir).ok().map(|i| i.caller.not_after),
        })
    }
}

fn role_of(roles: &ArcSwap<Roles>, caller: &Caller) -> Role {
    let bearer = match caller.script {
        true => Bearer::Script,
        false => Bearer::Peer,
    };
    roles.load().of(caller.peer_id, bearer)
}

impl Door {
    pub(super) fn new(
        dir: CertsDir,
        identity: Arc<Identity>,
        circle: CircleHandle,
        default_role: Role,
        places: Places,
    ) -> Result<Self, TlsError> {
        let assigned = AddressBook::new(dir.peers()).roles()?;
        let roles = Roles::new(identity.peer_id(), default_role, assigned);
        let roles = Arc::new(ArcSwap::from_pointee(roles));
        let current = Current::new(&dir, identity, &circle, &roles)?;
        Ok(Self {
            dir,
            circle,
            current: Arc::new(ArcSwap::from_pointee(current)),
            roles,
            default_role,
            places,
        })
    }

    /// The folder whose files it reads.
    pub(super) fn dir(&self) -> &CertsDir {
        &self.dir
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn circle(&self) -> &CircleHandle {
        &self.circle
    }

    /// Who this peer is, as of now.
    pub(super) fn identity(&self) -> Arc<Identity> {
        self.current.load().identity.clone()
    }

    pub(super) fn bundle(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let current = self.current.clone();
        Arc::new(move || current.load().bundle.clone())
    }

    /// The files that it has read, as they are now.
    pub(super) fn files(&self) -> Files {
        Files::of(&self.dir)
    }

    /// Reads certificates and revocations again. What cannot be used changes nothing, and keeps nothing else from changing.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let before = self.circle.now();
        let circle = self.circle.reload(&self.dir);
        if before.crl_pem() != self.circle.now().crl_pem() {
            say_conflict(&self.circle);
        }
        let identity = Arc::new(Identity::load(&self.dir)?);
        let current = Current::new(&self.dir, identity, &self.circle, &self.roles)?;
        self.current.store(Arc::new(current));
        circle
    }

    /// What the peer may do here.
    pub(super) fn role_of(&self, peer: PeerId) -> Role {
        self.roles.load().of(peer, Bearer::Peer)
    }

    /// Reads the roles again. A damaged book changes nothing. Gives whether a role has changed.
    pub(super) fn reload_roles(&self) -> Result<bool, TrustError> {
        let assigned = AddressBook::new(self.dir.peers()).roles()?;
        if *self.roles.load().assigned() == assigned {
            return Ok(false);
        }
        let roles = Roles::new(self.identity().peer_id(), self.default_role, assigned);
        self.roles.store(Arc::new(roles));
        Ok(true)
    }
}

impl Door {
    /// What a sender delivers counts as if it had put it here, whoever brings it.
    fn check_may_put(&self, sender: PeerId) -> Result<(), VerifyError> {
        let role = self.role_of(sender);
        if role.may_put() {
            return Ok(());
        }
        Err(match role {
            Role::None => VerifyError::Blocked { sender },
            _ => VerifyError::UntrustedSigner {
                reason: format!("its sender's role here is {role}, which delivers nothing"),
            },
        })
    }
}

impl Gate for Door {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    fn caller(&self, certificate: &[u8]) -> Option<Caller> {
        Caller::from_certificate(certificate).ok()
    }

    fn is_revoked(&self, caller: &Caller) -> bool {
        self.circle.now().is_revoked(caller) || self.role(caller) == Role::None
    }

    fn role(&self, caller: &Caller) -> Role {
        role_of(&self.roles, caller)
    }

    fn is_in_place(&self) -> bool {
        self.places.displaced().is_empty()
    }

    fn may_renew(&self, caller: &Caller) -> bool {
        ca::may_still_renew(caller, Timestamp::now()) && self.dir.ca_key().exists()
    }
}

/// Every way in asks here: the server before it stores, the collector before it fetches, the inbox before it opens. So who
/// may put nothing has nothing delivered by others either.
impl Verifier for Door {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let name = self.circle.verify(claim)?;
        self.check_may_put(claim.sender)?;
        Ok(name)
    }

    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        self.check_may_put(claim.sender)?;
        self.circle.verify_unknown(claim)
    }
}

impl CircleDesk for Door {
    fn endings(&self) -> Endings {
        let current = self.current.load();
        let own = current.identity.caller().not_after;
        Endings::of(Some(own), current.scripts_until, Some(&self.circle.now()))
    }

    fn revocation_list(&self) -> Option<String> {
        self.circle.now().crl_pem().map(str::to_owned)
    }

    fn take_revocation_list<'a>(&'a self, pem: &'a str) -> BoxFuture<'a, Result<bool, ListError>> {
        let (dir, circle, pem) = (self.dir.clone(), self.circle.clone(), pem.to_owned());
        Box::pin(async move {
            let taken = tokio::task::spawn_blocking(move || {
                let taken = circle.install_crl(&dir, &pem)?;
                settle_lists(&dir, &circle, taken);
                Ok(taken)
            });
            let taken = taken.await;
            let failed = |reason: String| ListError::Failed { reason };
            match taken.map_err(|e| failed(e.to_string()))? {
                Ok(taken) => Ok(taken == Taken::Newer),
                Err(TlsError::Malformed { reason, .. }) => Err(ListError::NotOurs { reason }),
                Err(error) => Err(failed(error.to_string())),
            }
        })
    }

    fn renew<'a>(
        &'a self,
        caller: &'a Caller,
        request: &'a str,
    ) -> BoxFuture<'a, Result<String, RenewError>> {
        let (dir, caller, request) = (self.dir.clone(), caller.clone(), request.to_owned());
        Box::pin(async move {
            let signed =
                tokio::task::spawn_blocking(move || ca::sign_renewal(&dir, &request, &caller))
                    .await;
            let signed = signed.map_err(|e| RenewError::Failed {
                reason: e.to_string(),
            })?;
            signed.map_err(|error| match error {
                TlsError::NotTheCircle { .. } => RenewError::NotTheCircle,
                TlsError::Refused { reason } => RenewError::Refused { reason },
                other => RenewError::Failed {
                    reason: other.to_string(),
                },
            })
        })
    }
}
