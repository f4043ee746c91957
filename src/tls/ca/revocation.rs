//! The revocation list: what the circle takes back, under a number that only grows.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::{BACKDATE, Mode, issued, issuer, need_ca_key, write};
use crate::{
    manifest::Timestamp,
    tls::{CertsDir, Circle, Identity, TlsError, hold_list},
};

/// Past it the list still applies, and is warned about.
const CRL_LIFE: Duration = Duration::days(30);

/// Revokes every certificate of `name`. Gives how many.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Refused`] if nothing was issued to that name.
pub fn revoke(dir: &CertsDir, name: &str) -> Result<usize, TlsError> {
    need_ca_key(dir)?;
    if Identity::load(dir)?.name() == name {
        return Err(TlsError::Refused {
            reason: "the circle's own machine cannot be revoked".into(),
        });
    }
    let _alone = hold_list(dir)?;
    let circle = Circle::load(dir)?;
    let issued = issued::read(dir)?;
    let of_name: Vec<_> = issued.iter().filter(|i| i.name == name).collect();
    if of_name.is_empty() {
        let name = name.to_owned();
        return Err(TlsError::NeverIssued { name });
    }
    let fresh = of_name
        .iter()
        .filter(|i| !circle.is_revoked(&i.serial))
        .count();
    let revoked: Vec<_> = issued
        .iter()
        .filter(|i| i.name == name || circle.is_revoked(&i.serial))
        .map(|i| i.serial.clone())
        .collect();
    write_crl(dir, &revoked, issued::next_crl_number(&circle))?;
    Ok(fresh)
}

/// Signs the revocation list again before its date is over: the same certificates, a higher number. Gives whether it was
/// time to.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Malformed`], [`TlsError::Io`].
pub fn refresh_list(dir: &CertsDir, now: Timestamp) -> Result<bool, TlsError> {
    need_ca_key(dir)?;
    let _alone = hold_list(dir)?;
    let circle = Circle::load(dir)?;
    let half = CRL_LIFE.whole_seconds().unsigned_abs() / 2;
    if circle
        .crl_next_update()
        .is_some_and(|next| next > now.plus_seconds(half))
    {
        return Ok(false);
    }
    let issued = issued::read(dir)?;
    let revoked = issued.into_iter().map(|issued| issued.serial);
    let revoked: Vec<_> = revoked.filter(|serial| circle.is_revoked(serial)).collect();
    write_crl(dir, &revoked, issued::next_crl_number(&circle))?;
    Ok(true)
}

pub(super) fn write_crl(dir: &CertsDir, revoked: &[Vec<u8>], number: u64) -> Result<(), TlsError> {
    let now = OffsetDateTime::now_utc();
    let revoked_certs = revoked.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: now,
        reason_code: Some(RevocationReason::CessationOfOperation),
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: now - BACKDATE,
        next_update: now + CRL_LIFE,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        key_identifier_method: KeyIdMethod::Sha256,
        revoked_certs: revoked_certs.collect(),
    };
    write(
        &dir.crl(),
        &params.signed_by(&issuer(dir)?)?.pem()?,
        Mode::Public,
    )
}
