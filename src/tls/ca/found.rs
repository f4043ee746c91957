//! Certificates of the circle that are on no record: they were issued after the copy was made from which this machine was
//! restored. They are recorded when their machine is met, so that its name is taken, and it can be renewed and revoked.

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    Issued, Purpose, Revocation,
    issued::{self, read},
    need_ca_key, revoke,
};
use crate::{
    id::PeerId,
    tls::{
        Caller, CertsDir, Circle, TlsError, WhyRefused, circle::Usage, hold_list, inspect::names,
    },
};

/// Records a certificate that a member has shown, if this is the circle's machine and it is on no record. Returns the name in it,
/// if so.
///
/// A record that is missing altogether is not begun anew: without it nothing is issued.
///
/// # Errors
/// [`TlsError::Distrusted`] if the circle has not signed it; [`TlsError::Malformed`], [`TlsError::Io`].
pub fn record_found(dir: &CertsDir, certificate: &[u8]) -> Result<Option<String>, TlsError> {
    if !dir.ca_key().exists() || !dir.issued().exists() {
        return Ok(None);
    }
    let caller = Caller::from_certificate(certificate)?;
    let is_known = || Ok::<_, TlsError>(read(dir)?.iter().any(|i| i.serial == caller.serial));
    if is_known()? {
        return Ok(None);
    }
    check_signed(dir, certificate, &caller)?;
    let _alone = hold_list(dir)?;
    if is_known()? {
        return Ok(None);
    }
    let purpose = match caller.script {
        true => Purpose::Script,
        false => Purpose::Peer,
    };
    let found = Issued::new(certificate, purpose, names(certificate))?;
    issued::append(dir, &found)?;
    Ok(Some(found.name))
}

/// Revokes the peer whose certificate, or whose scripts' certificate, this is, as PEM.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Refused`] if it is no certificate, [`TlsError::Distrusted`] if it is none of this
/// circle.
pub fn revoke_certificate(dir: &CertsDir, pem: &[u8]) -> Result<Revocation, TlsError> {
    need_ca_key(dir)?;
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| WhyRefused::NoCertificate)?;
    let caller = Caller::from_certificate(&certificate)?;
    check_signed(dir, &certificate, &caller)?;
    record_found(dir, &certificate)?;
    revoke(dir, &caller.peer_id.to_string())
}

/// Whose `certificate` is, if the circle in `dir` has signed it for a peer called `name`, whatever its dates.
pub fn holder_of(dir: &CertsDir, name: &str, certificate: &[u8]) -> Option<PeerId> {
    let caller = Caller::from_certificate(certificate).ok()?;
    check_signed(dir, certificate, &caller).ok()?;
    (caller.name == name).then_some(caller.peer_id)
}

/// Fails unless the circle has signed it, whatever its dates.
fn check_signed(dir: &CertsDir, certificate: &[u8], caller: &Caller) -> Result<(), TlsError> {
    let usage = match caller.script {
        true => Usage::Client,
        false => Usage::Server,
    };
    let certificate = CertificateDer::from(certificate);
    Circle::without_revocations(dir)?.judge(&certificate, usage, caller.not_before)?;
    Ok(())
}
