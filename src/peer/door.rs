//! What the server is told about certificates and roles: who may connect and what he may do, as of now, and what the
//! circle's machine answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::future::BoxFuture;
use rustls::ServerConfig;
use tokio::sync::Notify;

use super::{
    Elsewhere, Places,
    acquainted::{Acquainted, Met},
    directory::DirectoryDesk,
    files::Files,
    neighbours::{note_found, say_conflict, settle_lists},
    stamps::{Stamp, stamps_of},
};
use crate::{
    id::PeerId,
    manifest::{Claim, Signer as _, SignerFault, Timestamp, Verifier, VerifyError},
    name::Escaped,
    server::{CircleDesk, DirectoryError, Gate, ListError, RenewError},
    tls::{
        self, Admission, Caller, CertsDir, CircleHandle, Endings, Identity, Inspected, Lifetime,
        OutsideOptions, Standing, Taken, TlsError, ca,
    },
    trust::{AddressBook, Assigned, Bearer, Right, Role, Roles, SignedBundle, TrustError},
};

/// The certificates and roles of a running peer, which may be replaced while it runs.
pub(super) struct Door {
    dir: CertsDir,
    circle: CircleHandle,
    current: Arc<ArcSwap<Current>>,
    roles: Arc<ArcSwap<Roles>>,
    known: ArcSwap<Acquainted>,
    default_role: Mutex<Role>,
    places: Places,
    met: Met,
    directory: DirectoryDesk,
    /// The version of the file of revocation lists that was read for a caller last.
    list: ArcSwap<Vec<Stamp>>,
    /// Told when it has another certificate than before.
    renewed: Notify,
}

/// An identity, and what it gives to every handshake.
struct Current {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
    bundle: String,
    /// Until when the certificate of its scripts counts.
    scripts: Option<Lifetime>,
    /// The sequence of the bundle.
    sequence: u64,
}

impl Current {
    fn new(
        dir: &CertsDir,
        identity: Arc<Identity>,
        circle: &CircleHandle,
        roles: &Arc<ArcSwap<Roles>>,
        sequence: u64,
    ) -> Result<Self, TlsError> {
        let (roles, ca_key) = (roles.clone(), dir.ca_key());
        let admitted: Admission = Arc::new(move |caller, standing| {
            let may = match standing {
                Standing::Member => true,
                Standing::Ended => ca_key.exists(),
                Standing::Owner => return true,
            };
            may && !roles.load().shuts_out(caller.peer_id, bearer_of(caller))
        });
        let config = tls::server_config_for(&identity, circle, admitted)?;
        let bundle = identity.bundle_from(sequence)?;
        Ok(Self {
            identity,
            config,
            scripts: Inspected::script(dir)
                .ok()
                .map(|script| Lifetime::of(&script.caller)),
            sequence: bundle.payload().sequence,
            bundle: String::from_utf8_lossy(bundle.envelope()).into_owned(),
        })
    }
}

/// Reads the circle again, and says if its lists contradict each other now.
fn reload_circle(circle: &CircleHandle, dir: &CertsDir) -> Result<(), TlsError> {
    let before = circle.now();
    let read = circle.reload(dir);
    if before.crl_pem() != circle.now().crl_pem() {
        say_conflict(circle);
    }
    read
}

fn bearer_of(caller: &Caller) -> Bearer {
    match caller.script {
        true => Bearer::Script,
        false => Bearer::Peer,
    }
}

impl Door {
    pub(super) fn new(
        dir: CertsDir,
        identity: Arc<Identity>,
        circle: CircleHandle,
        default_role: Role,
        places: Places,
    ) -> Result<Self, TlsError> {
        let book = AddressBook::new(dir.peers());
        let roles = Roles::new(identity.peer_id(), default_role, book.roles()?);
        let roles = Arc::new(ArcSwap::from_pointee(roles));
        let told = Elsewhere::load(&dir).map_or(0, |note| note.sequence.saturating_add(1));
        let sequence = Timestamp::now().unix_seconds().max(told);
        let current = Current::new(&dir, identity, &circle, &roles, sequence)?;
        Ok(Self {
            roles,
            known: ArcSwap::from_pointee(Acquainted::of(&book)?),
            default_role: Mutex::new(default_role),
            met: Met::default(),
            directory: DirectoryDesk::new(&dir, &circle),
            list: ArcSwap::default(),
            renewed: Notify::new(),
            dir,
            circle,
            current: Arc::new(ArcSwap::from_pointee(current)),
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

    /// What it answers about the directory.
    pub(super) fn directory_desk(&self) -> &DirectoryDesk {
        &self.directory
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
        let circle = reload_circle(&self.circle, &self.dir);
        let identity = Arc::new(Identity::load(&self.dir)?);
        let is_renewed = identity.caller().serial != self.identity().caller().serial;
        self.become_now(identity, self.current.load().sequence)?;
        if is_renewed {
            self.renewed.notify_one();
        }
        circle
    }

    /// Returns once this peer has another certificate than before. For one waiter.
    pub(super) async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// Signs a new bundle if the peer `by` has a newer one of this peer than it has itself, and notes that. A bundle that this
    /// peer's key has not signed proves nothing.
    pub(super) fn outgrow(&self, known: String, by: &str) -> Result<(), TlsError> {
        let Ok(bundle) = SignedBundle::parse(known) else {
            return Ok(());
        };
        let (payload, us) = (bundle.payload(), self.identity().peer_id());
        let known = payload.sequence;
        if payload.peer_id != us || known <= self.current.load().sequence {
            return Ok(());
        }
        // Whatever its dates: it may have been signed by a clock that was wrong.
        if bundle.verify(&self.circle, payload.created).is_err() {
            return Ok(());
        }
        self.become_now(self.identity(), known)?;
        let note = Elsewhere {
            at: Timestamp::now(),
            by: by.to_owned(),
            sequence: self.current.load().sequence,
        };
        tracing::error!("{}; a new bundle was signed", Escaped::new(&note.meaning()));
        note.save(&self.dir).map_err(|source| TlsError::Io {
            path: self.dir.path().to_owned(),
            source,
        })
    }

    /// Takes `identity`, with a bundle that is later than that of the sequence `last`.
    fn become_now(&self, identity: Arc<Identity>, last: u64) -> Result<(), TlsError> {
        let sequence = Timestamp::now().unix_seconds().max(last.saturating_add(1));
        let current = Current::new(&self.dir, identity, &self.circle, &self.roles, sequence)?;
        self.current.store(Arc::new(current));
        Ok(())
    }

    /// What the peer may do here.
    pub(super) fn role_of(&self, peer: PeerId) -> Role {
        self.roles.load().of(peer, Bearer::Peer)
    }

    /// Reads the address book again. A damaged one changes nothing. Gives whether a role, or who is a member, has changed.
    pub(super) fn reload_book(&self) -> Result<bool, TrustError> {
        let book = AddressBook::new(self.dir.peers());
        self.known.store(Arc::new(Acquainted::of(&book)?));
        let is_other = self.circle.reload_members(&self.dir)?;
        let default = self.default_role();
        let assigned = book.roles()?;
        if *self.roles.load().assigned() == assigned {
            return Ok(is_other);
        }
        self.assign(*default, assigned);
        Ok(true)
    }

    /// From now on `role` is that of members without one of their own. Gives whether that is another one.
    pub(super) fn set_default_role(&self, role: Role) -> bool {
        let mut default = self.default_role();
        let is_other = *default != role;
        if is_other {
            *default = role;
            self.assign(role, self.roles.load().assigned().clone());
        }
        is_other
    }

    /// From now on the settings say this of an outside authority. Gives whether that is something else.
    pub(super) fn set_outside(&self, options: &OutsideOptions) -> Result<bool, TlsError> {
        let is_other = self.dir.adjust(options);
        if is_other {
            self.reload()?;
        }
        Ok(is_other)
    }

    fn assign(&self, default: Role, assigned: BTreeMap<PeerId, Assigned>) {
        let roles = Roles::new(self.identity().peer_id(), default, assigned);
        self.roles.store(Arc::new(roles));
    }

    /// Held while roles are changed, by one at a time.
    fn default_role(&self) -> MutexGuard<'_, Role> {
        self.default_role
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
                fault: SignerFault::DeliversNothing,
            },
        })
    }
}

impl Gate for Door {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    fn caller(&self, certificate: &[u8]) -> Option<Caller> {
        let caller = Caller::from_certificate(certificate).ok()?;
        self.circle.pin(&caller).ok()?;
        if self.met.add(&caller, certificate) && self.dir.ca_key().exists() {
            let (dir, certificate) = (self.dir.clone(), certificate.to_owned());
            tokio::task::spawn_blocking(move || note_found(&dir, &certificate));
        }
        Some(caller)
    }

    fn is_revoked(&self, caller: &Caller) -> bool {
        let roles = self.roles.load();
        roles.shuts_out(caller.peer_id, bearer_of(caller)) || self.circle.now().is_out(caller)
    }

    fn role(&self, caller: &Caller) -> Role {
        self.roles.load().of(caller.peer_id, bearer_of(caller))
    }

    fn rights(&self, caller: &Caller) -> BTreeSet<Right> {
        let roles = self.roles.load();
        roles.rights_of(caller.peer_id, bearer_of(caller))
    }

    fn is_in_place(&self) -> bool {
        // Without received/ everything is stored, and waits.
        self.places.has_certs()
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
    fn circle_certificate(&self) -> Option<String> {
        self.circle.now().certificate_pem()
    }

    fn endings(&self) -> Endings {
        let current = self.current.load();
        let own = Lifetime::of(current.identity.caller());
        Endings::of(Some(own), current.scripts, Some(&self.circle.now()))
    }

    fn bundle_of(&self, peer: PeerId) -> Option<String> {
        self.known.load().bundles.get(&peer).cloned()
    }

    fn named(&self, name: &str) -> Option<Vec<u8>> {
        let (known, circle) = (self.known.load(), self.circle.now());
        let known = known.names.get(name).cloned();
        let mut named = known.into_iter().chain(self.met.named(name));
        let named = named.find(|named| !circle.is_key_revoked(&named.peer_id))?;
        Some(named.certificate.to_vec())
    }

    /// What another process of this home has just written is in it.
    fn revocation_list(&self) -> BoxFuture<'_, Option<String>> {
        Box::pin(async {
            let there = stamps_of(&[self.dir.crl()]);
            if **self.list.load() != there && self.places.has_certs() {
                self.list.store(Arc::new(there));
                let (circle, dir) = (self.circle.clone(), self.dir.clone());
                let read = tokio::task::spawn_blocking(move || reload_circle(&circle, &dir)).await;
                if let Ok(Err(error)) = read {
                    tracing::error!(%error, "revocations unchanged: what is on disk cannot be used");
                }
            }
            self.circle.now().crl_pem().map(str::to_owned)
        })
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
            match taken.map_err(|e| ListError::Failed(e.into()))? {
                Ok(taken) => Ok(taken == Taken::Newer),
                Err(TlsError::BadList(list)) => Err(ListError::NotOurs(list)),
                Err(error) => Err(ListError::Failed(error.into())),
            }
        })
    }

    fn directory(&self) -> BoxFuture<'_, Option<(u64, Bytes)>> {
        Box::pin(self.directory.now())
    }

    fn directory_number(&self) -> BoxFuture<'_, Option<u64>> {
        Box::pin(async { Some(self.directory.now().await.map_or(0, |(number, _)| number)) })
    }

    fn take_directory<'a>(
        &'a self,
        given: &'a Bytes,
    ) -> BoxFuture<'a, Result<bool, DirectoryError>> {
        Box::pin(self.directory.take(given))
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
            let signed = signed.map_err(|e| RenewError::Failed(e.into()))?;
            signed.map_err(refused)
        })
    }
    fn leave<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, Result<(), RenewError>> {
        let (dir, id) = (self.dir.clone(), caller.peer_id.to_string());
        Box::pin(async move {
            let revoked = tokio::task::spawn_blocking(move || ca::revoke(&dir, &id)).await;
            let revoked = revoked.map_err(|e| RenewError::Failed(e.into()))?;
            revoked.map(drop).map_err(refused)
        })
    }
}

fn refused(error: TlsError) -> RenewError {
    match error {
        TlsError::NotTheCircle { .. } => RenewError::NotTheCircle,
        TlsError::Refused(why) => RenewError::Refused(why),
        other => RenewError::Failed(other.into()),
    }
}
