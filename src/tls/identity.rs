//! This peer: its certificate, its identity key, its seal keys.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::DecodePrivateKey as _,
};
use rcgen::KeyPair;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::{
    BadFile, Caller, CertsDir, KeyForm, TlsError, WhyRefused, certificate::ACTS_FOR, io_error,
    passphrase::read_private, pem_fault::pem_fault, signature::public_key,
};
use crate::{
    crypto::SealKey,
    id::PeerId,
    manifest::{SignError, Signed, Signer, Timestamp},
    name::LibraryError,
    private,
    trust::{PeerBundle, SignedBundle, write_durably},
};

/// The PEM label of a seal key: its 32-byte X-Wing seed.
pub(super) const SEAL_KEY_LABEL: &str = "COLIS SEAL KEY";

/// Who we are, and the power to act as such.
pub struct Identity {
    caller: Caller,
    certificate: CertificateDer<'static>,
    /// None where they are closed, and nothing is done that needs them.
    keys: Option<Keys>,
    seal_keys: Arc<[SealKey]>,
}

/// The private key of an identity.
struct Keys {
    der: Zeroizing<Vec<u8>>,
    signing: SigningKey,
}

impl Identity {
    /// Reads the identity of `dir`.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::TooOpen`], [`TlsError::Malformed`]; [`TlsError::Locked`] where the keys are under a
    /// passphrase that this process was not given.
    pub fn load(dir: &CertsDir) -> Result<Self, TlsError> {
        let mut identity = Self::read(dir)?;
        let (der, signing) = read_key_of(&dir.server_key(), &identity.certificate)?;
        identity.check_peer(dir)?;
        identity.keys = Some(Keys { der, signing });
        identity.seal_keys = read_seal_keys(dir)?.into();
        Ok(identity)
    }

    /// The same where its keys are closed: it can neither sign, nor prove who it is, nor open anything.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for the passphrase.
    pub fn load_or_closed(dir: &CertsDir) -> Result<Self, TlsError> {
        match Self::load(dir) {
            Err(TlsError::Locked { .. }) => {
                let closed = Self::read(dir)?;
                closed.check_peer(dir)?;
                Ok(closed)
            }
            loaded => loaded,
        }
    }

    /// What the certificate says.
    fn read(dir: &CertsDir) -> Result<Self, TlsError> {
        let certificate = read_certificate(&dir.server_cert())?;
        Ok(Self {
            caller: Caller::from_certificate(&certificate)?,
            certificate,
            keys: None,
            seal_keys: Arc::new([]),
        })
    }

    fn check_peer(&self, dir: &CertsDir) -> Result<(), TlsError> {
        let (path, fault) = (dir.server_cert(), BadFile::OfScript);
        match self.caller.script {
            true => Err(TlsError::Malformed { path, fault }),
            false => Ok(()),
        }
    }

    /// What we are called.
    pub fn name(&self) -> &str {
        &self.caller.name
    }

    /// What our certificate says.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Our seal keys, the one in use first.
    pub fn seal_keys(&self) -> &Arc<[SealKey]> {
        &self.seal_keys
    }

    /// What we tell others of us.
    ///
    /// # Errors
    /// [`TlsError::Crypto`].
    pub fn bundle(&self) -> Result<SignedBundle, TlsError> {
        self.bundle_from(0)
    }

    /// The same with a sequence of at least `sequence`. A serving peer takes the time: a home that was restored from an older
    /// copy must not tell less than others know.
    ///
    /// # Errors
    /// [`TlsError::Crypto`].
    pub fn bundle_from(&self, sequence: u64) -> Result<SignedBundle, TlsError> {
        let current = self
            .seal_keys
            .first()
            .ok_or_else(|| TlsError::Crypto(LibraryError::new("no seal key")))?;
        // Whoever renews certificate or seal key has a later certificate or one more key.
        let own = self.caller.not_before.unix_seconds() + self.seal_keys.len() as u64;
        let bundle = PeerBundle {
            v: 1,
            created: Timestamp::now(),
            peer_id: self.caller.key_id,
            name: self.caller.name.clone(),
            certificate: self.certificate.to_vec(),
            seal_key: current.public().clone(),
            sequence: own.max(sequence),
        };
        Signed::sign(bundle, self).map_err(|e| TlsError::Crypto(LibraryError::new(e)))
    }

    pub(super) fn certificate_der(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Fails where the keys are closed.
    pub(super) fn private_key(&self) -> Result<PrivatePkcs8KeyDer<'static>, TlsError> {
        let keys = self.keys.as_ref().ok_or(TlsError::Closed)?;
        Ok(PrivatePkcs8KeyDer::from(keys.der.to_vec()))
    }
}

impl Signer for Identity {
    fn peer_id(&self) -> PeerId {
        self.caller.peer_id
    }

    fn certificate(&self) -> Vec<u8> {
        self.certificate.to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let keys = self.keys.as_ref();
        let keys = keys.ok_or_else(|| SignError(TlsError::Closed.to_string()))?;
        let signature: Signature = keys
            .signing
            .try_sign(message)
            .map_err(|e| SignError(e.to_string()))?;
        Ok(signature.normalize_s().to_bytes().into())
    }
}

/// Which certificate of a folder is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// This peer's own.
    Peer,
    /// That of its scripts.
    Script,
}

/// A signing request for the key that `dir` has, as PEM. That of scripts says for which peer they act.
///
/// # Errors
/// [`TlsError`].
pub fn renewal_request(dir: &CertsDir, which: Renewed) -> Result<String, TlsError> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = match which {
        Renewed::Peer => key_pair(&dir.server_key())?,
        Renewed::Script => {
            let acts_for = format!("{ACTS_FOR}{}", Identity::load(dir)?.caller.key_id);
            params.subject_alt_names = vec![rcgen::SanType::URI(acts_for.try_into()?)];
            key_pair(&dir.client_key())?
        }
    };
    Ok(params.serialize_request(&key)?.pem()?)
}

/// Replaces a certificate of this peer by a renewed one for the same key, unless it is the same.
///
/// # Errors
/// [`TlsError::Refused`] if it is for another key, name or use.
pub fn install_renewed(dir: &CertsDir, which: Renewed, pem: &str) -> Result<Caller, TlsError> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| WhyRefused::NoRenewal)?;
    let (new, own) = (Caller::from_certificate(&der)?, Identity::load(dir)?.caller);
    let (path, key) = match which {
        Renewed::Peer => (dir.server_cert(), dir.server_key()),
        Renewed::Script => (dir.client_cert(), dir.client_key()),
    };
    let is_ours = new.peer_id == own.key_id && new.name == own.name;
    let is_script = which == Renewed::Script;
    if !is_ours || new.script != is_script || read_key_of(&key, &der).is_err() {
        return Err(WhyRefused::OtherRenewal.into());
    }
    if read_certificate(&path).is_ok_and(|before| before == der) {
        return Ok(new);
    }
    write_durably(&path, pem.as_bytes(), 0o644).map_err(|e| io_error(&path, e))?;
    Ok(new)
}

pub(super) fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let pem = private::read(path).map_err(|e| io_error(path, e))?;
    CertificateDer::from_pem_slice(&pem).map_err(|e| TlsError::Malformed {
        path: path.to_owned(),
        fault: BadFile::NoCertificate(pem_fault(&e)),
    })
}

pub(super) fn key_pair(path: &Path) -> Result<KeyPair, TlsError> {
    let der = read_key(path)?;
    let key = PrivatePkcs8KeyDer::from(der.as_slice());
    Ok(KeyPair::try_from(&key)?)
}

/// The private key in a PEM file, which must be that of `certificate`.
pub(super) fn read_key_of(
    path: &Path,
    certificate: &CertificateDer<'_>,
) -> Result<(Zeroizing<Vec<u8>>, SigningKey), TlsError> {
    let malformed = |fault| TlsError::Malformed {
        path: path.to_owned(),
        fault,
    };
    let der = read_key(path)?;
    let signing = SigningKey::from_pkcs8_der(&der).map_err(|_| malformed(BadFile::OtherKind))?;
    if public_key(certificate).as_ref() != Some(signing.verifying_key()) {
        return Err(malformed(BadFile::OtherKey));
    }
    Ok((der, signing))
}

/// The one private key of a PEM file that only we can read.
fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    parse_key(path, &read_private(path)?)
}

/// Fails if `pem`, of the file at `path`, is no private key that is read.
pub(super) fn check_key(path: &Path, pem: &[u8]) -> Result<(), TlsError> {
    let name = path.file_name().and_then(|name| name.to_str());
    match name.is_some_and(|name| name.starts_with("seal-key")) {
        true => parse_seal_key(path, pem).map(drop),
        false => parse_key(path, pem).map(drop),
    }
}

fn parse_key(path: &Path, pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let malformed = |fault| TlsError::Malformed {
        path: path.to_owned(),
        fault,
    };
    let mut keys = PrivatePkcs8KeyDer::pem_slice_iter(pem);
    let Some(key) = keys.next().and_then(Result::ok) else {
        return Err(match KeyForm::of(pem) {
            Some(form) => TlsError::KeyForm {
                path: path.to_owned(),
                form,
            },
            None => malformed(BadFile::NoKey),
        });
    };
    if keys.next().is_some() {
        return Err(malformed(BadFile::SeveralKeys));
    }
    Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec()))
}

/// Refuses a private file that is not a regular one of ours, which only we can read.
///
/// # Errors
/// [`TlsError::Missing`], [`TlsError::TooOpen`], [`TlsError::Malformed`].
pub fn check_private(path: &Path) -> Result<(), TlsError> {
    let metadata = fs::symlink_metadata(path).map_err(|e| io_error(path, e))?;
    let malformed = |fault| TlsError::Malformed {
        path: path.to_owned(),
        fault,
    };
    if !metadata.is_file() {
        return Err(malformed(BadFile::NotRegular));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(TlsError::TooOpen {
            path: path.to_owned(),
            mode: metadata.mode() & 0o777,
        });
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(malformed(BadFile::OtherOwner));
    }
    Ok(())
}

/// `seal-key.pem`, then older ones: `seal-key-*.pem`, kept until their transfers have expired.
pub(super) fn seal_key_paths(dir: &CertsDir) -> Result<Vec<PathBuf>, TlsError> {
    let mut paths = vec![dir.seal_key()];
    let listed = fs::read_dir(dir.path()).map_err(|e| io_error(dir.path(), e))?;
    let is_older = |name: &str| {
        name.starts_with("seal-key-") && Path::new(name).extension().is_some_and(|e| e == "pem")
    };
    let mut older: Vec<_> = listed.filter_map(|e| Some(e.ok()?.path())).collect();
    older.retain(|path| {
        path.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(is_older)
    });
    older.sort();
    paths.extend(older.into_iter().rev());
    Ok(paths)
}

fn read_seal_keys(dir: &CertsDir) -> Result<Vec<SealKey>, TlsError> {
    seal_key_paths(dir)?
        .iter()
        .map(|path| read_seal_key(path))
        .collect()
}

fn read_seal_key(path: &Path) -> Result<SealKey, TlsError> {
    parse_seal_key(path, &read_private(path)?)
}

fn parse_seal_key(path: &Path, pem: &[u8]) -> Result<SealKey, TlsError> {
    let malformed = || TlsError::Malformed {
        path: path.to_owned(),
        fault: BadFile::NoSealKey,
    };
    let parsed = ::pem::parse(pem).map_err(|_| malformed())?;
    let seed = Zeroizing::new(parsed.into_contents());
    let seed: [u8; 32] = seed.as_slice().try_into().map_err(|_| malformed())?;
    SealKey::from_bytes(Zeroizing::new(seed)).map_err(|_| malformed())
}
