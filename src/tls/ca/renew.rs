//! Renewing: a certificate for a key that has one, by the circle's machine.

use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use time::OffsetDateTime;

use super::{
    CertificateOptions, Issued, LEAF_LIFE, Mode, circle_certificate, issued, issuer, join,
    last_second, leaf_of, names_here, need_ca_key, refused, write,
};
use crate::{
    id::PeerId,
    manifest::Timestamp,
    tls::{
        Caller, CertsDir, Circle, Identity, Renewed, TlsError, hold_list, identity::key_pair,
        install_renewed, renewal_request,
    },
};

/// Days before its end from which a serving peer renews a certificate by itself.
pub const RENEW_DAYS: u64 = 30;
/// Days after its end for which a certificate is still renewed: the key is the one that the circle has signed, and a machine
/// that was off for a season need not become another peer.
pub const GRACE_DAYS: u64 = 90;
const DAY: u64 = 24 * 3600;

/// Renews a certificate of the circle's machine itself, however young it is.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Refused`].
pub fn renew_own(dir: &CertsDir, which: Renewed) -> Result<Caller, TlsError> {
    need_ca_key(dir)?;
    let mut request = join::parse(&renewal_request(dir, which)?)?;
    let key_id = PeerId::of(&request.public_key.subject_public_key_info());
    let own = Identity::load(dir)?.caller().key_id;
    let alone = hold_list(dir)?;
    let before = newest(dir, key_id, own)?;
    let pem = sign_again(dir, &mut request, &before, OffsetDateTime::now_utc())?;
    drop(alone);
    install_renewed(dir, which, &pem)
}

/// The same by the rule for others: a young certificate stays, and so does one that would not count longer. An old one is
/// renewed however long its end was ago.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Refused`].
pub fn renew_own_if_due(dir: &CertsDir, which: Renewed) -> Result<Caller, TlsError> {
    let request = renewal_request(dir, which)?;
    let own = Identity::load(dir)?;
    let pem = renew(dir, &request, own.caller(), OffsetDateTime::now_utc())?;
    install_renewed(dir, which, &pem)
}

/// Renews the circle's own certificate: the same name and key, for another ten years from now. What was issued stays good, and
/// members take the new one over when they meet one that has it. Returns until when it counts.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Missing`], [`TlsError::Malformed`], [`TlsError::Io`].
pub fn renew_circle(dir: &CertsDir) -> Result<Timestamp, TlsError> {
    need_ca_key(dir)?;
    let _alone = hold_list(dir)?;
    let circle = Circle::without_revocations(dir)?;
    let key = key_pair(&dir.ca_key())?;
    let pem = circle_certificate(circle.anchor().common_name(), &key)?;
    write(&dir.ca_cert(), &pem, Mode::Public)?;
    Ok(Circle::without_revocations(dir)?.not_after())
}

/// A certificate, as PEM, for the key that `caller` has; or, if that is a peer, for the key that its scripts have. If the
/// newest one for that key is younger than a third of its life, or a new one would not count longer, it is that one: nothing
/// is signed, and nothing recorded.
///
/// Nothing that `request` asks for is granted: its key is looked up, and name and addresses are those of the certificate
/// before.
///
/// # Errors
/// [`TlsError::NotTheCircle`]; [`TlsError::Refused`], also if the certificate of `caller` ended more than [`GRACE_DAYS`]
/// ago.
pub fn sign_renewal(dir: &CertsDir, request: &str, caller: &Caller) -> Result<String, TlsError> {
    let now = Timestamp::now();
    if caller.not_after < now && !may_still_renew(caller, now) {
        return Err(refused(&format!(
            "its certificate ended on {}, and was to be renewed within {GRACE_DAYS} days",
            caller.not_after
        )));
    }
    renew(dir, request, caller, OffsetDateTime::now_utc())
}

/// The same as of `now`, whenever the certificate of `caller` ended.
fn renew(
    dir: &CertsDir,
    request: &str,
    caller: &Caller,
    now: OffsetDateTime,
) -> Result<String, TlsError> {
    need_ca_key(dir)?;
    let mut request = join::parse(request)?;
    let key_id = PeerId::of(&request.public_key.subject_public_key_info());
    if caller.script && key_id != caller.key_id {
        return Err(refused("a certificate is renewed for the key that it has"));
    }
    let _alone = hold_list(dir)?;
    let before = newest(dir, key_id, caller.peer_id)?;
    let circle = Circle::load(dir)?;
    if before.is_revoked(&circle) {
        return Err(refused("its certificates are revoked"));
    }
    check_name_is_its(dir, &before, &circle)?;
    let from = renewable_from(&Caller::from_certificate(&before.certificate)?);
    let is_young = seconds(now) < from.unix_seconds();
    let until = last_second(dir, now)?.min(now + LEAF_LIFE);
    if is_young || seconds(until) <= before.not_after.unix_seconds() {
        return Ok(before.pem());
    }
    sign_again(dir, &mut request, &before, now)
}

/// From when a certificate is renewed: when a third of its life is over. A key has four live certificates at most.
pub fn renewable_from(caller: &Caller) -> Timestamp {
    let (begin, end) = (caller.not_before, caller.not_after);
    begin.plus_seconds(end.unix_seconds().saturating_sub(begin.unix_seconds()) / 3)
}

/// Whether the clock of the circle's machine, or this one, must be wrong: it has not renewed this certificate although that is
/// due by the clock here, and although a new one would count longer under a circle that ends at `circle`.
pub fn clocks_differ(caller: &Caller, circle: Timestamp, now: Timestamp) -> bool {
    now >= renewable_from(caller) && caller.not_after < circle
}

/// From when a serving peer has a certificate renewed by itself: [`RENEW_DAYS`] before its end, or when the circle's machine
/// renews it, if that is later.
pub fn due_from(caller: &Caller) -> Timestamp {
    let end = caller.not_after.unix_seconds();
    let due = Timestamp::from_unix_seconds(end.saturating_sub(RENEW_DAYS * DAY));
    due.max(renewable_from(caller))
}

/// Until when a certificate that ends at `end` is renewed: [`GRACE_DAYS`] longer than it counts.
pub fn last_renewal(end: Timestamp) -> Timestamp {
    end.plus_seconds(GRACE_DAYS * DAY)
}

/// Whether a certificate that has ended may still be renewed.
pub fn may_still_renew(caller: &Caller, now: Timestamp) -> bool {
    now <= last_renewal(caller.not_after)
}

fn seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or(0)
}

/// A name belongs to one key at a time, also where records were lost and restored.
fn check_name_is_its(dir: &CertsDir, before: &Issued, circle: &Circle) -> Result<(), TlsError> {
    let issued = issued::read(dir)?;
    let is_others = |i: &Issued| i.name == before.name && i.peer_id != before.peer_id;
    match issued.iter().any(|i| is_others(i) && !i.is_revoked(circle)) {
        true => Err(refused("its name belongs to another key by now")),
        false => Ok(()),
    }
}

/// The newest certificate of the key `key_id` that was issued for `peer_id`.
fn newest(dir: &CertsDir, key_id: PeerId, peer_id: PeerId) -> Result<Issued, TlsError> {
    let issued = issued::read(dir)?;
    let mut of_key = issued.into_iter().rev().filter(|i| i.key_id == key_id);
    of_key
        .find(|i| i.peer_id == peer_id)
        .ok_or_else(|| refused("this circle has issued nothing to that key"))
}

/// Signs the key of `request` once more as `before`, and records that.
fn sign_again(
    dir: &CertsDir,
    request: &mut CertificateSigningRequestParams,
    before: &Issued,
    now: OffsetDateTime,
) -> Result<String, TlsError> {
    let options = CertificateOptions {
        sans: before.sans.clone(),
        ..CertificateOptions::beginning(now)
    };
    let is_own = before.peer_id == Identity::load(dir)?.caller().key_id;
    let names = match is_own {
        true => names_here(&before.name, &options.sans),
        false => options.sans.clone(),
    };
    let (name, peer) = (&before.name, before.peer_id);
    let last = last_second(dir, now)?;
    request.params = leaf_of(name, (before.purpose, peer), &options, &names, last)?;
    let certificate = request.signed_by(&issuer(dir)?)?;
    // Recorded first: a certificate that nobody could revoke must not exist.
    let issued = Issued::new(certificate.der(), before.purpose, options.sans)?;
    issued::append(dir, &issued)?;
    Ok(certificate.pem())
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::tls::ca::{init, issue};

    #[test]
    fn a_key_that_is_renewed_every_week_for_ten_years_has_four_live_certificates_at_most() {
        let root = tempfile::tempdir().unwrap();
        let [dir, out] = ["a", "b"].map(|name| CertsDir::new(root.path().join(name)));
        let options = CertificateOptions::default();
        init(&dir, "a", &options).unwrap();
        let b = issue(&dir, "b", &out, &options).unwrap();
        let both = [Renewed::Peer, Renewed::Script];
        let requests = both.map(|which| renewal_request(&out, which).unwrap());
        for week in 0..520 {
            let now = OffsetDateTime::now_utc() + Duration::weeks(week);
            for request in &requests {
                let pem = renew(&dir, request, b.caller(), now).unwrap();
                assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
            }
            let at = u64::try_from(now.unix_timestamp()).unwrap();
            let is_live = |i: &&Issued| i.name == "b" && i.not_after.unix_seconds() > at;
            let live = issued::read(&dir).unwrap();
            let live: Vec<_> = live.iter().filter(is_live).map(|i| i.key_id).collect();
            for key in &live {
                let count = live.iter().filter(|other| *other == key).count();
                assert!(count <= 4, "{count} in week {week}");
            }
        }
        assert!(issued::read(&dir).unwrap().len() < 70);
    }
}
