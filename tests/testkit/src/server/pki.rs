//! A circle of test certificates, and the gate and verifier of a peer in it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex},
};

use colis::{
    id::PeerId,
    manifest::{Claim, SignError, Signer, SignerFault, Verifier, VerifyError},
    server::Gate,
    tls::Caller,
    trust::{Right, Role},
};
use p256::{
    ecdsa::{
        Signature, SigningKey, VerifyingKey,
        signature::{Signer as _, Verifier as _},
    },
    pkcs8::DecodePrivateKey as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    RevokedCertParams, SerialNumber,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use time::{Duration, OffsetDateTime};

/// A certificate authority and what it has issued.
pub struct Circle {
    issuer: CertifiedIssuer<'static, KeyPair>,
    issued: Mutex<HashSet<Vec<u8>>>,
    revoked: Mutex<HashSet<Vec<u8>>>,
}

/// A peer's certificate and key.
#[derive(Clone)]
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub key: Vec<u8>,
    pub id: PeerId,
}

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub enum Validity {
    Now,
    Past,
    Future,
}

impl Circle {
    pub fn new(name: &str) -> Arc<Self> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = params(name, Validity::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Arc::new(Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            issued: Mutex::default(),
            revoked: Mutex::default(),
        })
    }

    pub fn issue(&self, name: &str, validity: Validity) -> Identity {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = params(name, validity);
        params.subject_alt_names = CertificateParams::new([name.to_owned(), "127.0.0.1".into()])
            .unwrap()
            .subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let certificate = certificate.der().clone();
        self.issued.lock().unwrap().insert(certificate.to_vec());
        Identity {
            id: read(&certificate).unwrap().peer_id,
            key: key.serialize_der(),
            certificate,
        }
    }

    pub fn revoke(&self, who: &Identity) {
        let serial = read(&who.certificate).unwrap().serial;
        self.revoked.lock().unwrap().insert(serial);
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    fn revocation_list(&self) -> rustls::pki_types::CertificateRevocationListDer<'static> {
        let now = OffsetDateTime::now_utc();
        let revoke = |serial: &Vec<u8>| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: now - Duration::minutes(5),
            next_update: now + Duration::days(7),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: self.revoked.lock().unwrap().iter().map(revoke).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().into()
    }

    /// A client's TLS configuration, as `who`, or as nobody.
    pub fn client_config(&self, who: Option<&Identity>) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match who {
            Some(who) => builder
                .with_client_auth_cert(vec![who.certificate.clone()], who.key())
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

impl Identity {
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

impl Signer for Identity {
    fn peer_id(&self) -> PeerId {
        self.id
    }

    fn certificate(&self) -> Vec<u8> {
        self.certificate.to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let key = SigningKey::from_pkcs8_der(&self.key).unwrap();
        let signature: Signature = key.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

/// The door of the peer `own` in `circle`.
pub struct TestGate {
    pub circle: Arc<Circle>,
    pub own: Identity,
    /// Roles other than member.
    pub roles: Arc<Mutex<HashMap<PeerId, Role>>>,
    pub rights: Arc<Mutex<HashMap<PeerId, BTreeSet<Right>>>>,
}

impl Gate for TestGate {
    fn server_config(&self) -> Arc<ServerConfig> {
        let roots = Arc::new(self.circle.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .with_crls([self.circle.revocation_list()])
            .build()
            .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![self.own.certificate.clone()], self.own.key())
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn caller(&self, certificate: &[u8]) -> Option<Caller> {
        read(certificate)
    }

    fn is_revoked(&self, caller: &Caller) -> bool {
        let revoked = self.circle.revoked.lock().unwrap();
        let is_out = self.role(caller) == Role::None && self.rights(caller).is_empty();
        revoked.contains(&caller.serial) || is_out
    }

    fn role(&self, caller: &Caller) -> Role {
        let roles = self.roles.lock().unwrap();
        roles.get(&caller.peer_id).copied().unwrap_or_default()
    }

    fn rights(&self, caller: &Caller) -> BTreeSet<Right> {
        let rights = self.rights.lock().unwrap();
        rights.get(&caller.peer_id).cloned().unwrap_or_default()
    }
}

impl Verifier for TestGate {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let stranger = || VerifyError::UntrustedSigner {
            fault: SignerFault::WrongUsage,
        };
        let caller = read(claim.certificate).ok_or_else(stranger)?;
        if !self
            .circle
            .issued
            .lock()
            .unwrap()
            .contains(claim.certificate)
        {
            return Err(stranger());
        }
        if self.is_revoked(&caller) {
            return Err(VerifyError::Revoked);
        }
        if caller.peer_id != claim.sender {
            return Err(VerifyError::SenderMismatch {
                sender: claim.sender,
            });
        }
        let (_, x509) = x509_parser::parse_x509_certificate(claim.certificate).unwrap();
        let key =
            VerifyingKey::from_sec1_bytes(&x509.public_key().subject_public_key.data).unwrap();
        let signature =
            Signature::from_slice(claim.signature).map_err(|_| VerifyError::BadSignature)?;
        key.verify(claim.message, &signature)
            .map_err(|_| VerifyError::BadSignature)?;
        Ok(caller.name)
    }
}

/// Reads a certificate without judging it.
fn read(certificate: &[u8]) -> Option<Caller> {
    Caller::from_certificate(certificate).ok()
}

fn params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    let (from, to) = match validity {
        Validity::Now => (-1, 30),
        Validity::Past => (-30, -1),
        Validity::Future => (1, 30),
    };
    params.not_before = now + Duration::days(from);
    params.not_after = now + Duration::days(to);
    params.use_authority_key_identifier_extension = true;
    params
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
