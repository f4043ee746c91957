//! The circle's machine: making the circle, issuing, revoking and renewing certificates.

mod directory;
mod found;
mod issued;
mod join;
mod members;
mod pending;
mod renew;
mod revocation;

use std::{net::IpAddr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

pub use directory::{
    NewDirectory, directory_to_give, give_directory, join_directory, refresh_directory,
};
pub use found::{holder_of, record_found, revoke_certificate};
pub use issued::{Issued, Purpose};
pub use join::{
    Admitted, Newcomer, admit, check_free, check_joining_name, remember_admitted, take_back,
};
pub(super) use members::own_name;
pub use members::{holder_on_record, others};
pub(super) use pending::hold_alone;
pub use pending::revoke_pending;
pub use renew::{
    GRACE_DAYS, RENEW_DAYS, clocks_differ, due_from, last_renewal, may_still_renew, renew_circle,
    renew_own, renew_own_if_due, renewable_from, sign_renewal,
};
pub use revocation::{Revocation, merge_lists, refresh_list, revoke, whom};

use super::{
    CertsDir, Circle, Identity, TlsError, WhyRefused,
    certificate::ACTS_FOR,
    identity::{SEAL_KEY_LABEL, key_pair, read_certificate, read_key_of},
    io_error, remove_left_keys,
};
use crate::{
    crypto::SealKey,
    id::PeerId,
    name::LibraryError,
    private,
    trust::{AddressBook, is_new_peer_name, is_peer_name, write_durably},
};

const CA_LIFE: Duration = Duration::days(3650);
const LEAF_LIFE: Duration = Duration::days(365);
/// Before the name of the peer that made a circle, in the circle's certificate.
pub(super) const CIRCLE_OF: &str = "colis circle of ";
/// Clocks differ: what was issued just now must count everywhere.
const BACKDATE: Duration = Duration::minutes(5);

/// What a certificate says beside its name.
#[derive(Debug, Clone)]
pub struct CertificateOptions {
    /// Further host names and addresses.
    pub sans: Vec<String>,
    /// From when it counts.
    pub not_before: OffsetDateTime,
    /// Until when it counts.
    pub not_after: OffsetDateTime,
}

impl Default for CertificateOptions {
    fn default() -> Self {
        Self::beginning(OffsetDateTime::now_utc())
    }
}

impl CertificateOptions {
    fn beginning(now: OffsetDateTime) -> Self {
        Self {
            sans: Vec::new(),
            not_before: now - BACKDATE,
            not_after: now + LEAF_LIFE,
        }
    }
}

/// Makes a circle in `dir`, and the peer `name` as its first member.
///
/// # Errors
/// [`TlsError::Exists`] if there is one already: nothing is ever overwritten. [`TlsError::Refused`] for a bad name.
pub fn init(
    dir: &CertsDir,
    name: &str,
    options: &CertificateOptions,
) -> Result<Identity, TlsError> {
    check_new_name(name)?;
    for path in [
        dir.ca_key(),
        dir.ca_cert(),
        dir.server_key(),
        dir.server_cert(),
        dir.seal_key(),
    ] {
        if path.exists() {
            return Err(TlsError::Exists { path });
        }
    }
    remove_left_keys(dir)?;
    make_private_folder(dir.path())?;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = circle_certificate(&format!("{CIRCLE_OF}{name}"), &key)?;
    write(&dir.ca_key(), &key.serialize_pem(), Mode::Private)?;
    write(&dir.ca_cert(), &certificate, Mode::Public)?;
    revocation::write_first_list(dir)?;
    write_peer(dir, dir, name, options, &names_here(name, &options.sans))?;
    let identity = Identity::load(dir)?;
    remember(dir, &identity)?;
    Ok(identity)
}

/// A certificate of the circle, as PEM, which begins now.
fn circle_certificate(common_name: &str, key: &KeyPair) -> Result<String, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::now_utc() - BACKDATE;
    params.not_after = OffsetDateTime::now_utc() + CA_LIFE;
    params.serial_number = Some(random_serial()?);
    Ok(params.self_signed(key)?.pem())
}

/// Makes the `certs/` folder `out` of another machine: its own keys and certificates, never the circle's key.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Exists`], [`TlsError::Refused`].
pub fn issue(
    dir: &CertsDir,
    name: &str,
    out: &CertsDir,
    options: &CertificateOptions,
) -> Result<Identity, TlsError> {
    check_new_name(name)?;
    join::check_free(dir, name)?;
    for path in [
        out.server_key(),
        out.server_cert(),
        out.seal_key(),
        out.ca_cert(),
        out.ca_key(),
    ] {
        if path.exists() {
            return Err(TlsError::Exists { path });
        }
    }
    make_private_folder(out.path())?;
    copy(&dir.ca_cert(), &out.ca_cert())?;
    copy(&dir.crl(), &out.crl())?;
    let options = CertificateOptions {
        sans: [join::own_names(name, None), options.sans.clone()].concat(),
        ..options.clone()
    };
    write_peer(dir, out, name, &options, &options.sans)?;
    let (identity, issuer) = (Identity::load(out)?, Identity::load(dir)?);
    join::give_name(
        &AddressBook::new(dir.peers()),
        name,
        identity.caller().key_id,
    )?;
    remember(dir, &identity)?;
    remember(out, &issuer)?;
    remember(out, &identity)?;
    Ok(identity)
}

/// Every certificate that this circle has issued, with whether it is revoked.
///
/// # Errors
/// [`TlsError`].
pub fn list(dir: &CertsDir) -> Result<Vec<(Issued, bool)>, TlsError> {
    let circle = Circle::load(dir)?;
    let issued = issued::read(dir)?;
    Ok(issued
        .into_iter()
        .map(|i| (i.is_revoked(&circle), i))
        .map(|(revoked, i)| (i, revoked))
        .collect())
}

/// Makes the keys and certificates of the peer `name` in `out`, signed by the circle of `dir`, with these host names and
/// addresses.
fn write_peer(
    dir: &CertsDir,
    out: &CertsDir,
    name: &str,
    options: &CertificateOptions,
    names: &[String],
) -> Result<(), TlsError> {
    let peer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let peer_id = PeerId::of(&peer.subject_public_key_info());
    let script = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let (issuer, last) = (issuer(dir)?, last_second(dir, OffsetDateTime::now_utc())?);
    for (key, purpose, key_path, cert_path) in [
        (&peer, Purpose::Peer, out.server_key(), out.server_cert()),
        (
            &script,
            Purpose::Script,
            out.client_key(),
            out.client_cert(),
        ),
    ] {
        let certificate =
            leaf_of(name, (purpose, peer_id), options, names, last)?.signed_by(key, &issuer)?;
        // Recorded first: a certificate that nobody could revoke must not exist.
        let issued = Issued::new(certificate.der(), purpose, options.sans.clone())?;
        issued::append(dir, &issued)?;
        write(&key_path, &key.serialize_pem(), Mode::Private)?;
        write(&cert_path, &certificate.pem(), Mode::Public)?;
    }
    write_seal_key(out)
}

/// Makes a seal key for the peer of `out`.
pub(super) fn write_seal_key(out: &CertsDir) -> Result<(), TlsError> {
    let seal = SealKey::generate().map_err(|e| TlsError::Crypto(LibraryError::new(e)))?;
    write(
        &out.seal_key(),
        &pem::encode(&pem::Pem::new(SEAL_KEY_LABEL, seal.expose().to_vec())),
        Mode::Private,
    )
}

/// A certificate of the peer with this id, or of its scripts, with these host names and addresses. It ends at `last` at the
/// latest.
fn leaf_of(
    name: &str,
    (purpose, peer): (Purpose, PeerId),
    options: &CertificateOptions,
    names: &[String],
    last: OffsetDateTime,
) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = options.not_before;
    params.not_after = options.not_after.min(last);
    params.serial_number = Some(random_serial()?);
    match purpose {
        Purpose::Script => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![SanType::URI(format!("{ACTS_FOR}{peer}").try_into()?)];
        }
        Purpose::Peer => {
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            params.subject_alt_names = alternative_names(names)?;
        }
    }
    Ok(params)
}

/// For curl and browsers, which compare names: ours, loopback, this machine's, and what was asked for. Only this machine's own
/// certificate has them.
fn names_here(name: &str, extra: &[String]) -> Vec<String> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let own = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|i| i.ip().to_string());
    let fixed = [name, "localhost", "127.0.0.1", "::1", &host].map(str::to_owned);
    let names = fixed.into_iter().chain(own).chain(extra.iter().cloned());
    names.filter(|text| !text.is_empty()).collect()
}

fn alternative_names(texts: &[String]) -> Result<Vec<SanType>, TlsError> {
    let mut names = Vec::new();
    for text in texts {
        let parsed = match text.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(text.clone().try_into()?),
        };
        if !names.contains(&parsed) {
            names.push(parsed);
        }
    }
    Ok(names)
}

/// The number of a list or a directory that is signed at the time `now`, after one with the number `last`: the time, so that no
/// number is given twice by a machine that was restored from an older copy; or the next one, where the clock was set back.
fn number_after(last: u64, now: u64) -> u64 {
    now.max(last.saturating_add(1))
}

fn issuer(dir: &CertsDir) -> Result<Issuer<'static, KeyPair>, TlsError> {
    let certificate = read_certificate(&dir.ca_cert())?;
    Ok(Issuer::from_ca_cert_der(
        &certificate,
        key_pair(&dir.ca_key())?,
    )?)
}

/// When the circle's own certificate ends: nothing that it signs counts longer, since other programs stop trusting it then.
///
/// Fails if that is over.
fn last_second(dir: &CertsDir, now: OffsetDateTime) -> Result<OffsetDateTime, TlsError> {
    let end = Circle::without_revocations(dir)?.not_after();
    let seconds = i64::try_from(end.unix_seconds()).unwrap_or(i64::MAX);
    match OffsetDateTime::from_unix_timestamp(seconds) {
        Ok(last) if last > now => Ok(last),
        _ => Err(WhyRefused::CircleEnded { ended: end }.into()),
    }
}

/// What is wrong with the circle's key in `dir`, if it should be there and cannot be used.
pub fn key_fault(dir: &CertsDir) -> Option<TlsError> {
    let path = dir.ca_key();
    // What is wrong with the circle's certificate is said of that.
    let certificate = read_certificate(&dir.ca_cert()).ok();
    let certificate = certificate.filter(|_| path.exists())?;
    let fault = read_key_of(&path, &certificate).err();
    // One that was not opened is not looked at.
    fault.filter(|error| !matches!(error, TlsError::Locked { .. }))
}

/// Why what was issued in `dir` cannot be read, where the circle's key is. What is wrong with who may write it is said elsewhere.
pub fn record_fault(dir: &CertsDir) -> Option<TlsError> {
    if !dir.ca_key().exists() {
        return None;
    }
    let error = issued::read(dir).err()?;
    (!matches!(error, TlsError::Writable { .. })).then_some(error)
}

fn need_ca_key(dir: &CertsDir) -> Result<(), TlsError> {
    let path = dir.ca_key();
    if path.exists() {
        Ok(())
    } else {
        Err(TlsError::NotTheCircle { path })
    }
}

/// Enters a peer that was made just now into the address book of `dir`.
pub(super) fn remember(dir: &CertsDir, peer: &Identity) -> Result<(), TlsError> {
    AddressBook::new(dir.peers()).remember_signed(&peer.bundle()?, None)?;
    Ok(())
}

fn check_name(name: &str) -> Result<(), TlsError> {
    if is_peer_name(name) {
        Ok(())
    } else {
        Err(TlsError::BadName)
    }
}

/// Of a machine that joins more is asked: its name is no host's.
fn check_new_name(name: &str) -> Result<(), TlsError> {
    match is_new_peer_name(name) {
        true => Ok(()),
        false => Err(TlsError::BadName),
    }
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// RFC 5280 section 4.1.2.2: positive, at most 20 octets; CA/Browser Forum: at least 64 random bits.
fn random_serial() -> Result<SerialNumber, TlsError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| TlsError::Crypto(LibraryError::new(e)))?;
    bytes[0] = (bytes[0] & 0x3f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn make_private_folder(path: &Path) -> Result<(), TlsError> {
    private::make_folder(path).map_err(|e| io_error(path, e))
}

fn copy(from: &Path, to: &Path) -> Result<(), TlsError> {
    let bytes = private::read(from).map_err(|e| io_error(from, e))?;
    write_durably(to, &bytes, 0o644).map_err(|e| io_error(to, e))
}

#[derive(Clone, Copy)]
enum Mode {
    Private,
    Public,
}

fn write(path: &Path, text: &str, mode: Mode) -> Result<(), TlsError> {
    let mode = match mode {
        Mode::Private => 0o600,
        Mode::Public => 0o644,
    };
    write_durably(path, text.as_bytes(), mode).map_err(|e| io_error(path, e))
}
