//! The circle and its certificates: making, issuing, importing, revoking and renewing them.
//!
//! These need no [`Session`]: a home may have no certificates yet, or some that count no more. What happens
//! meanwhile, such as the questions to other members, is told to the reporter.

mod leave;
mod outside;
mod passphrase;
mod renew;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};

use super::{Error, Home, Mistake, Reporter, Session, ask::Asked};
use crate::{
    config::Config,
    id::PeerId,
    manifest::{Signer as _, Timestamp},
    peer::refresh_directory,
    private,
    tls::{
        self, CertsDir, Circle, Identity, TlsError,
        ca::{self, CertificateOptions, Purpose},
    },
};

pub use leave::{
    Departure, LeaveError, LeaveRequest, LeftCircle, NotRevoked, check_leave, departure, is_alone,
    leave,
};
pub(super) use leave::{check_may_leave, rules_of};
#[cfg(feature = "cli")]
pub(crate) use outside::other_key;
pub use outside::{ImportedOutside, import_outside};
pub(super) use outside::{OfOwnAuthority, need_own_authority};
pub use passphrase::{
    ChangedPassphrase, check_not_served, open_keys, remove_passphrase, set_passphrase,
};
pub use renew::{CertificateOf, RenewRequest, RenewedCertificate, renew, renew_circle};

/// A peer whose certificates were made or taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadePeer {
    /// Its name.
    pub name: String,
    /// Its id.
    pub peer_id: PeerId,
    /// The folder that its certificates and keys are in, as text.
    pub folder: String,
}

impl MadePeer {
    pub(super) fn of(identity: &Identity, dir: &CertsDir) -> Self {
        Self {
            name: identity.name().to_owned(),
            peer_id: identity.peer_id(),
            folder: dir.path().to_string_lossy().into_owned(),
        }
    }
}

/// The certificate of this peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCertificate {
    /// The name in it.
    pub name: String,
    /// The id of this peer.
    pub peer_id: PeerId,
    /// Until when it counts.
    pub not_after: Timestamp,
}

/// A certificate that the circle has issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// The name in it.
    pub name: String,
    /// Whether a peer or a script of it shows it.
    pub purpose: Purpose,
    /// The peer; for a script, the peer that it acts for.
    pub peer_id: PeerId,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// Whether it is revoked.
    pub revoked: bool,
}

/// The circle as it is known in a home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircleView {
    /// Until when the circle's own certificate counts.
    pub not_after: Timestamp,
    /// When the revocation list is to be signed again, if there is one. It applies after that too.
    pub next_list: Option<Timestamp>,
    /// The certificates that were issued; empty where the circle's key is not.
    pub issued: Vec<IssuedCertificate>,
}

/// A peer whose certificates were revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedPeer {
    /// As it was named.
    pub name: String,
    /// Its id; several, if several peers had the name and all were revoked before.
    pub peer_ids: Vec<PeerId>,
    /// How many certificates on record are newly revoked.
    pub certificates: usize,
    /// Whether it was revoked before: nothing was to be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before: bool,
}

/// The peer that certificates are issued to.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct IssueRequest {
    /// Its name.
    pub name: String,
    /// The folder to make.
    pub out: PathBuf,
    /// Further host names and addresses for its certificate.
    pub sans: Vec<String>,
}

impl IssueRequest {
    /// Certificates for the peer `name`, in the folder `out`.
    pub fn new(name: impl Into<String>, out: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            out: out.into(),
            sans: Vec::new(),
        }
    }
}

/// Makes a circle in `home`, and the peer `name` as its first member, with further host names and addresses in its
/// certificate.
///
/// # Errors
/// Fails if there are certificates already, or the name is none.
pub fn init(home: &Home, name: &str, sans: Vec<String>) -> Result<MadePeer, Error> {
    let dir = home.dir();
    need_own_authority(&dir, OfOwnAuthority::Init)?;
    let identity = ca::init(&dir, name, &options(sans)?)?;
    refresh_directory(&dir, &[]);
    home.keep_store();
    Ok(MadePeer::of(&identity, &dir))
}

/// Makes the `certs/` folder of another machine. The members that answer are asked first whether they know the name.
///
/// # Errors
/// Fails without the circle's key, if the name is taken or none, or if the folder has certificates already.
pub async fn issue(
    home: &Home,
    config: &Config,
    reporter: &Arc<dyn Reporter>,
    request: &IssueRequest,
) -> Result<MadePeer, Error> {
    let (dir, name) = (home.dir(), &request.name);
    need_own_authority(&dir, OfOwnAuthority::Issue)?;
    let options = options(request.sans.clone())?;
    if dir.ca_key().exists() {
        // What is on record here needs no question, and says more than the answer of a member.
        ca::check_free(&dir, name)?;
        let asked = Asked::known_peers(home, config, reporter).await;
        asked.check_free(name).await?;
    }
    let out = CertsDir::new(request.out.clone());
    let identity = ca::issue(&dir, name, &out, &options)?;
    refresh_directory(&dir, &[]);
    ca::give_directory(&dir, &out)?;
    Ok(MadePeer::of(&identity, &out))
}

/// Takes over the folder that [`issue`] has made for this machine.
///
/// # Errors
/// Fails if the folder is not whole, or `home` has certificates already.
pub fn import(home: &Home, folder: &Path) -> Result<MadePeer, Error> {
    let (from, dir) = (CertsDir::new(folder), home.dir());
    let identity = tls::import(&from, &dir).map_err(|error| match error {
        TlsError::Missing { .. } => Error::NotWhole(error),
        other => other.into(),
    })?;
    home.keep_store();
    Ok(MadePeer::of(&identity, &dir))
}

/// The certificate of the peer of `home`.
///
/// # Errors
/// Fails if it cannot be read.
pub fn own(home: &Home) -> Result<OwnCertificate, Error> {
    let identity = Identity::load_or_closed(&home.dir());
    let identity = identity.map_err(|error| home.explain(error))?;
    let caller = identity.caller();
    Ok(OwnCertificate {
        name: caller.name.clone(),
        peer_id: caller.key_id,
        not_after: caller.not_after,
    })
}

/// The circle of `home`, and on the circle's machine the certificates that were issued.
///
/// # Errors
/// Fails if the circle or the record of what was issued cannot be read.
pub fn circle(home: &Home) -> Result<CircleView, Error> {
    let dir = home.dir();
    let circle = Circle::load(&dir)?;
    let issued = match dir.ca_key().exists() {
        true => ca::list(&dir)?,
        false => Vec::new(),
    };
    let row = |(issued, revoked): (ca::Issued, bool)| IssuedCertificate {
        name: issued.name,
        purpose: issued.purpose,
        peer_id: issued.peer_id,
        not_after: issued.not_after,
        revoked,
    };
    let issued = issued.into_iter().map(row).collect();
    Ok(CircleView {
        not_after: circle.not_after(),
        next_list: circle.crl_next_update(),
        issued,
    })
}

/// The peer that would be revoked.
#[cfg(feature = "cli")]
pub(crate) struct Doomed {
    /// The beginnings of its ids.
    pub(crate) ids: Vec<String>,
    /// Whether a certificate of each is on record.
    pub(crate) recorded: bool,
}

/// Whom [`revoke`] means, as far as it is known before others are asked; `None` if it is nobody, or revoked already.
#[cfg(feature = "cli")]
pub(crate) fn to_be_revoked(home: &Home, peer: &str) -> Option<Doomed> {
    let dir = home.dir();
    let (keys, recorded) = ca::whom(&dir, peer).ok()?;
    let circle = Circle::load(&dir).ok()?;
    let lives = keys.iter().any(|key| !circle.is_key_revoked(key));
    lives.then(|| Doomed {
        ids: keys.iter().map(crate::id::Short::short).collect(),
        recorded,
    })
}

/// Revokes every certificate of a peer, which is meant by its name, its id, the first eight digits of that, or the path of a
/// file with its certificate. A name means the one peer called so that is not revoked. The members that answer are asked first for
/// what they know as revoked.
///
/// # Errors
/// Fails without the circle's key, for this peer itself, if nothing was issued to such a peer, or if several have the name.
pub async fn revoke(
    home: &Home,
    config: &Config,
    reporter: &Arc<dyn Reporter>,
    peer: &str,
) -> Result<RevokedPeer, Error> {
    let dir = home.dir();
    need_own_authority(&dir, OfOwnAuthority::Revoke)?;
    if dir.ca_key().exists() {
        Asked::known_peers(home, config, reporter).await;
    }
    let revoked = match ca::revoke(&dir, peer) {
        Err(TlsError::NeverIssued { .. }) if Path::new(peer).is_file() => {
            let pem = private::read(Path::new(peer)).map_err(|e| Error::io(Path::new(peer), e))?;
            ca::revoke_certificate(&dir, &pem)?
        }
        revoked => revoked?,
    };
    refresh_directory(&dir, &[]);
    Ok(RevokedPeer {
        name: peer.to_owned(),
        peer_ids: revoked.peers.into_iter().collect(),
        certificates: revoked.certificates,
        before: revoked.before,
    })
}

impl Session {
    /// Makes the `certs/` folder of another machine.
    ///
    /// # Errors
    /// As [`issue`].
    pub async fn issue(&self, request: &IssueRequest) -> Result<MadePeer, Error> {
        issue(&self.home, &self.config, &self.reporter, request).await
    }

    /// Revokes every certificate of a peer.
    ///
    /// # Errors
    /// As [`revoke`].
    pub async fn revoke(&self, peer: &str) -> Result<RevokedPeer, Error> {
        revoke(&self.home, &self.config, &self.reporter, peer).await
    }
}

/// Fails for a host that no certificate can name.
fn options(sans: Vec<String>) -> Result<CertificateOptions, Mistake> {
    if let Some(host) = sans
        .iter()
        .find(|host| ServerName::try_from(host.as_str()).is_err())
    {
        let host = host.clone();
        return Err(Mistake::NoHost { host });
    }
    Ok(CertificateOptions {
        sans,
        ..CertificateOptions::default()
    })
}
