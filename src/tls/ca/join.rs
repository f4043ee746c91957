//! Signing the keys that another machine made for itself. Of what it asks for it gets its name, if that is free, and the
//! address that it came from: everything else in its signing requests is left out.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use p256::ecdsa::VerifyingKey;
use rcgen::{CertificateSigningRequestParams, PublicKeyData as _};
use time::OffsetDateTime;

use super::{
    CertificateOptions, Issued, Purpose, check_name, issued, issuer, last_second, leaf_of,
    need_ca_key, pending::hold_pending,
};
use crate::{
    id::{PeerId, SealPublicKey},
    lock::Locked,
    manifest::Timestamp,
    name::LibraryError,
    tls::{
        Caller, CertsDir, Circle, CircleHandle, Identity, TlsError, WhyRefused, hold_list,
        inspect::names,
        revoked::{MAX_KEYS, key_entry},
    },
    trust::{AddressBook, KnownPeer, PeerBundle, SignedBundle},
};

/// What a machine that joins brings along. The private halves stay where they are.
#[derive(Debug, Clone)]
pub struct Newcomer {
    /// What it wants to be called.
    pub name: String,
    /// A signing request for its identity key, as PEM.
    pub identity: String,
    /// One for the key of its scripts.
    pub script: String,
    /// To which transfers for it are sealed.
    pub seal_key: SealPublicKey,
    /// Where it came from, for programs that compare names in certificates.
    pub address: Option<IpAddr>,
}

/// What it gets.
///
/// As long as it lives its certificates are on their way: they are pending, and no other program gives them up.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Its certificate, as PEM.
    pub certificate: String,
    /// That of its scripts.
    pub script_certificate: String,
    bundle: PeerBundle,
    _on_its_way: Arc<Locked>,
}

impl Admitted {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.bundle.name
    }
}

/// Signs the keys of `newcomer`. Its certificates are pending until [`remember_admitted`].
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::BadName`], [`TlsError::AlreadyIssued`], [`TlsError::Refused`].
pub fn admit(dir: &CertsDir, newcomer: &Newcomer) -> Result<Admitted, TlsError> {
    let name = &newcomer.name;
    need_ca_key(dir)?;
    let on_its_way = Arc::new(hold_pending(dir)?);
    let _alone = hold_list(dir)?;
    check_free(dir, name)?;
    let sans = host_names(dir, name, newcomer.address)?;
    let (mut identity, mut script) = (parse(&newcomer.identity)?, parse(&newcomer.script)?);
    let peer_id = PeerId::of(&identity.public_key.subject_public_key_info());
    let script_id = PeerId::of(&script.public_key.subject_public_key_info());
    if script_id == peer_id {
        return Err(WhyRefused::SharedKey.into());
    }
    check_new_keys(dir, [peer_id, script_id])?;
    let (issuer, last) = (issuer(dir)?, last_second(dir, OffsetDateTime::now_utc())?);
    let options = CertificateOptions {
        sans,
        ..CertificateOptions::default()
    };
    let sign = |request: &mut CertificateSigningRequestParams, purpose| {
        request.params = leaf_of(name, (purpose, peer_id), &options, &options.sans, last)?;
        let certificate = request.signed_by(&issuer)?;
        // Recorded first: a certificate that nobody could revoke must not exist.
        let issued = Issued {
            pending: true,
            ..Issued::new(certificate.der(), purpose, options.sans.clone())?
        };
        issued::append(dir, &issued)?;
        Ok::<_, TlsError>(certificate)
    };
    let certificate = sign(&mut identity, Purpose::Peer)?;
    let script_certificate = sign(&mut script, Purpose::Script)?;
    let caller = Caller::from_certificate(certificate.der())?;
    let bundle = PeerBundle {
        v: 1,
        created: Timestamp::now(),
        peer_id,
        name: name.clone(),
        certificate: certificate.der().to_vec(),
        seal_key: newcomer.seal_key.clone(),
        // As its own first bundle has it: one seal key.
        sequence: caller.not_before.unix_seconds() + 1,
    };
    Ok(Admitted {
        certificate: certificate.pem(),
        script_certificate: script_certificate.pem(),
        bundle,
        _on_its_way: on_its_way,
    })
}

/// Enters a machine that has its certificates now into the address book of `dir`: they are not pending any more. `said` is the
/// bundle that it has signed. One that it did not is left, and asked for when the machine is met.
///
/// # Errors
/// [`TlsError::Trust`], [`TlsError::Io`].
pub fn remember_admitted(
    dir: &CertsDir,
    admitted: &Admitted,
    said: &[u8],
    address: Option<&str>,
) -> Result<KnownPeer, TlsError> {
    let book = AddressBook::new(dir.peers());
    give_name(&book, &admitted.bundle.name, admitted.bundle.peer_id)?;
    let peer = match own_bundle(dir, admitted, said)? {
        Some(bundle) => book.remember_signed(&bundle, address)?,
        None => book.remember(&admitted.bundle, address)?,
    };
    // Last: what ends before is taken back, with the entry of the book.
    issued::settle(dir, admitted.bundle.peer_id)?;
    Ok(peer)
}

/// The bundle that the machine has signed, if it says what was signed for it.
fn own_bundle(
    dir: &CertsDir,
    admitted: &Admitted,
    said: &[u8],
) -> Result<Option<SignedBundle>, TlsError> {
    let Ok(bundle) = SignedBundle::parse(said.to_vec()) else {
        return Ok(None);
    };
    let circle = CircleHandle::new(Circle::load(dir)?);
    let (its, ours) = (bundle.payload(), &admitted.bundle);
    let is_ours = its.peer_id == ours.peer_id
        && its.name == ours.name
        && its.certificate == ours.certificate
        && its.seal_key == ours.seal_key;
    let is_signed = bundle.verify(&circle, Timestamp::now()).is_ok();
    Ok((is_ours && is_signed).then_some(bundle))
}

/// Revokes what was signed for a machine that never got it, and forgets the machine.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Trust`], [`TlsError::Io`].
pub fn take_back(dir: &CertsDir, name: &str) -> Result<(), TlsError> {
    super::revoke(dir, name)?;
    let book = AddressBook::new(dir.peers());
    if book.by_certificate_name(name)?.is_some() {
        book.remove(name)?;
    }
    Ok(())
}

/// Whether `name` may be issued now, by what is on record here.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::BadName`], [`TlsError::AlreadyIssued`], [`TlsError::Refused`].
pub fn check_free(dir: &CertsDir, name: &str) -> Result<(), TlsError> {
    check_name(name)?;
    need_ca_key(dir)?;
    if Identity::load(dir).is_ok_and(|own| own.name() == name) {
        let name = name.to_owned();
        return Err(WhyRefused::OwnName { name }.into());
    }
    AddressBook::new(dir.peers()).check_no_alias(name)?;
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let is_live = |issued: &Issued| issued.name == name && !issued.is_revoked(&circle);
    let known = AddressBook::new(dir.peers()).by_certificate_name(name)?;
    let is_known = known.is_some_and(|known| !circle.is_key_revoked(&known.peer_id));
    let until = issued
        .iter()
        .filter(|issued| is_live(issued))
        .map(|issued| issued.not_after)
        .max();
    if is_known || until.is_some() {
        let name = name.to_owned();
        return Err(TlsError::AlreadyIssued { name, until });
    }
    let peers: BTreeSet<_> = issued
        .iter()
        .map(|issued| key_entry(&issued.peer_id))
        .collect();
    match circle.revoked().entries().union(&peers).count() < MAX_KEYS {
        true => Ok(()),
        false => Err(WhyRefused::CircleFull.into()),
    }
}

/// Fails if a machine that joins cannot be called `name`.
///
/// # Errors
/// As [`check_free`], and [`TlsError::Refused`] for the name of a host.
pub fn check_joining_name(dir: &CertsDir, name: &str) -> Result<(), TlsError> {
    check_free(dir, name)?;
    host_names(dir, name, None).map(drop)
}

/// Fails if a key was signed or revoked before: a peer that was revoked makes a new key, and no key gets a second name.
fn check_new_keys(dir: &CertsDir, keys: [PeerId; 2]) -> Result<(), TlsError> {
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let is_known = |key: &PeerId| {
        let has = |issued: &Issued| issued.key_id == *key || issued.peer_id == *key;
        circle.is_key_revoked(key) || issued.iter().any(has)
    };
    match keys.iter().any(is_known) {
        true => Err(WhyRefused::KnownKey.into()),
        false => Ok(()),
    }
}

/// A name that was revoked and is issued again belongs to the new key.
pub(super) fn give_name(book: &AddressBook, name: &str, key: PeerId) -> Result<(), TlsError> {
    let known = book.by_certificate_name(name)?;
    if known.is_some_and(|known| known.peer_id != key) {
        book.remove(name)?;
    }
    Ok(())
}

/// The host names and addresses that a machine which joins gets: its name, loopback, and where it came from, unless another
/// peer's certificate has that address.
///
/// Fails if its name is that of a host. A certificate of the circle must not pass for one, wherever its authority is
/// trusted: a name with a dot is a host's, and of names without one those are taken that a certificate has.
fn host_names(
    dir: &CertsDir,
    name: &str,
    address: Option<IpAddr>,
) -> Result<Vec<String>, TlsError> {
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let live = issued.iter().filter(|issued| !issued.is_revoked(&circle));
    let taken: BTreeSet<_> = live.flat_map(|issued| names(&issued.certificate)).collect();
    let own = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let is_own = own.split('.').next() == Some(name);
    if name.contains('.') || name == "localhost" || is_own || taken.contains(name) {
        return Err(WhyRefused::HostName.into());
    }
    let address = address.filter(|address| !taken.contains(&address.to_string()));
    Ok(own_names(name, address))
}

/// Names for curl and browsers: its own, loopback, and an address.
pub(super) fn own_names(name: &str, address: Option<IpAddr>) -> Vec<String> {
    let fixed = [name, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let address = address.filter(|address| !address.is_loopback());
    fixed
        .into_iter()
        .chain(address.map(|address| address.to_string()))
        .collect()
}

/// A signing request whose signature is right, for an ECDSA P-256 key.
pub(super) fn parse(pem: &str) -> Result<CertificateSigningRequestParams, TlsError> {
    let request = CertificateSigningRequestParams::from_pem(pem)
        .map_err(|e| WhyRefused::NoRequest(LibraryError::new(e)))?;
    VerifyingKey::from_sec1_bytes(request.public_key.der_bytes())
        .map_err(|_| WhyRefused::OtherKind)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
        PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType,
    };
    use x509_parser::pem::parse_x509_pem;

    use super::*;
    use crate::{crypto::SealKey, tls::ca};

    struct Site {
        _root: tempfile::TempDir,
        dir: CertsDir,
        key: KeyPair,
        script: KeyPair,
    }

    impl Site {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let dir = CertsDir::new(root.path().join("a"));
            ca::init(&dir, "a", &CertificateOptions::default()).unwrap();
            let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
            Self {
                _root: root,
                dir,
                key: key(),
                script: key(),
            }
        }

        fn newcomer(&self, name: &str, params: &CertificateParams) -> Newcomer {
            Newcomer {
                name: name.into(),
                identity: request(params, &self.key),
                script: request(params, &self.script),
                seal_key: SealKey::generate().unwrap().public().clone(),
                address: Some("192.0.2.7".parse().unwrap()),
            }
        }

        fn refuses(&self, newcomer: &Newcomer) -> String {
            let before = issued::read(&self.dir).unwrap().len();
            let refused = admit(&self.dir, newcomer).unwrap_err().to_string();
            assert_eq!(issued::read(&self.dir).unwrap().len(), before, "{refused}");
            refused
        }
    }

    fn request(params: &CertificateParams, key: &KeyPair) -> String {
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    /// A request for everything that there is.
    fn greedy() -> CertificateParams {
        let mut params = CertificateParams::new(vec!["bank.example".into()]).unwrap();
        params.distinguished_name = super::super::distinguished_name("a");
        params.subject_alt_names.extend([
            SanType::IpAddress("198.51.100.1".parse().unwrap()),
            SanType::URI("urn:colis:peer:00".try_into().unwrap()),
        ]);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params
    }

    #[test]
    fn of_a_greedy_request_nothing_is_granted() {
        let site = Site::new();
        let admitted = admit(&site.dir, &site.newcomer("b", &greedy())).unwrap();
        for (pem, is_peer) in [
            (&admitted.certificate, true),
            (&admitted.script_certificate, false),
        ] {
            let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
            let certificate = pem.parse_x509().unwrap();
            assert!(!certificate.is_ca());
            let usage = certificate.key_usage().unwrap().unwrap().value;
            assert!(usage.digital_signature() && usage.flags == 1, "{usage}");
            let extended = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(extended.client_auth && !extended.code_signing && !extended.any);
            assert_eq!(extended.server_auth, is_peer);
            let names = certificate
                .subject_alternative_name()
                .unwrap()
                .unwrap()
                .value;
            let names: Vec<_> = names
                .general_names
                .iter()
                .map(ToString::to_string)
                .collect();
            let expected: &[&str] = match is_peer {
                true => &[
                    "DNSName(b)",
                    "DNSName(localhost)",
                    "IPAddress(7f:00:00:01)",
                    "IPAddress(00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01)",
                    "IPAddress(c0:00:02:07)",
                ],
                false => &[&format!(
                    "URI({}{})",
                    super::super::ACTS_FOR,
                    admitted.bundle.peer_id
                )],
            };
            assert_eq!(names, expected);
            assert_eq!(certificate.subject().to_string(), "CN=b");
        }
        // And a renewal has no other names: not those of the machine that signs.
        let caller = Caller::from_certificate(&admitted.bundle.certificate).unwrap();
        let renewed = ca::sign_renewal(&site.dir, &request(&greedy(), &site.key), &caller).unwrap();
        let (_, pem) = parse_x509_pem(renewed.as_bytes()).unwrap();
        let renewed = pem.parse_x509().unwrap();
        let names = renewed.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(names.general_names.len(), 5);
    }

    #[test]
    fn a_request_to_be_an_authority_signs_nobody() {
        let site = Site::new();
        let mut params = CertificateParams::default();
        // cA = TRUE, as rcgen itself would not ask.
        let content = vec![0x30, 0x03, 0x01, 0x01, 0xff];
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&[2, 5, 29, 19], content)];
        let newcomer = site.newcomer("b", &params);
        // To refuse it is fine, and to leave that out is too: no authority comes of it.
        match admit(&site.dir, &newcomer) {
            Err(refused) => assert!(matches!(refused, TlsError::Refused { .. }), "{refused}"),
            Ok(admitted) => {
                let (_, pem) = parse_x509_pem(admitted.certificate.as_bytes()).unwrap();
                assert!(!pem.parse_x509().unwrap().is_ca());
            }
        }
    }

    /// Wherever the circle is trusted, a certificate of it would pass for those hosts.
    #[test]
    fn a_joiner_gets_no_name_and_no_address_of_another_host() {
        let site = Site::new();
        let plain = CertificateParams::default();
        let options = CertificateOptions {
            sans: ["nas", "192.0.2.7"].map(str::to_owned).to_vec(),
            ..CertificateOptions::default()
        };
        let x = CertsDir::new(site.dir.path().join("x"));
        ca::issue(&site.dir, "x", &x, &options).unwrap();
        let own = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .to_lowercase();
        let dotted = ["192.0.2.1", "www.bank.example", "b.", &own];
        for name in ["a", "x", "nas", "localhost"].into_iter().chain(dotted) {
            site.refuses(&site.newcomer(name, &plain));
        }
        let admitted = admit(&site.dir, &site.newcomer("b", &plain)).unwrap();
        let loopback = ["localhost", "127.0.0.1", "::1"];
        let has = names(&admitted.bundle.certificate);
        assert_eq!(has, [&["b"], &loopback[..]].concat(), "x has its address");
        // Nor do those for whom the folder is made here, or whose certificate is renewed here, get names of this machine.
        let certificate = std::fs::read_to_string(x.server_cert()).unwrap();
        let (_, pem) = parse_x509_pem(certificate.as_bytes()).unwrap();
        let x = [&["x"], &loopback[..], &["nas", "192.0.2.7"]].concat();
        assert_eq!(names(&pem.contents), x);
    }

    #[test]
    fn names_and_keys_that_are_not_its_own_are_refused() {
        let site = Site::new();
        let plain = CertificateParams::default();
        for name in ["a", "B", "", "../b"] {
            site.refuses(&site.newcomer(name, &plain));
        }
        let good = site.newcomer("b", &plain);
        let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        for identity in [
            String::new(),
            "nonsense".into(),
            request(&plain, &other),
            // The signature of another key, or of another text.
            good.identity.replacen("MI", "MJ", 1),
            good.script.clone(),
        ] {
            let refused = site.refuses(&Newcomer {
                identity,
                ..good.clone()
            });
            assert!(!refused.is_empty());
        }
        admit(&site.dir, &good).unwrap();
        // One key has one name, also when it is revoked.
        assert!(
            site.refuses(&Newcomer {
                name: "c".into(),
                ..good.clone()
            })
            .contains("before")
        );
        // Nor does the key of its scripts become that of a peer.
        let identity = good.script.clone();
        let other = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(
            site.refuses(&Newcomer {
                name: "second".into(),
                identity,
                script: request(&plain, &other),
                ..good.clone()
            })
            .contains("before")
        );
        let record = std::fs::read(site.dir.issued()).unwrap();
        ca::revoke(&site.dir, "b").unwrap();
        assert!(site.refuses(&good).contains("before"));
        // Also where the record of it is lost.
        let own: Vec<_> = record.split_inclusive(|b| *b == b'\n').take(2).collect();
        std::fs::write(site.dir.issued(), own.concat()).unwrap();
        assert!(site.refuses(&good).contains("before"));
    }
}
