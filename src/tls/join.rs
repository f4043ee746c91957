//! Joining a circle: keys that are made here and stay here, and a `certs/` folder that is there whole or not at all.

use std::fs;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use super::{
    Caller, CertsDir, CircleHandle, Identity, TlsError, WhyRefused,
    circle::{Circle, Usage},
    directory::install_directory,
    identity::{SEAL_KEY_LABEL, read_certificate, read_key_of},
    import, io_error, left,
    staging::Staging,
};
use crate::{
    crypto::SealKey,
    id::SealPublicKey,
    manifest::Timestamp,
    name::LibraryError,
    trust::{AddressBook, SignedBundle, write_durably},
};

/// The keys of a machine that wants to join, in memory only.
pub struct Joining {
    name: String,
    identity: KeyPair,
    script: KeyPair,
    seal: SealKey,
}

/// What the circle's machine gave.
#[derive(Debug)]
pub struct Membership {
    /// The circle, as PEM.
    pub ca_cert: String,
    /// What is revoked, as PEM.
    pub crl: String,
    /// Our certificate, as PEM.
    pub certificate: String,
    /// That of our scripts, as PEM.
    pub script_certificate: String,
    /// Who gave it.
    pub issuer: SignedBundle,
    /// Where that one serves.
    pub address: Option<String>,
}

/// A checked folder that is not in its place yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Staged {
    folder: Staging,
}

impl Joining {
    /// Makes the keys of a peer called `name`.
    ///
    /// # Errors
    /// [`TlsError::BadName`], [`TlsError::Crypto`].
    pub fn new(name: &str) -> Result<Self, TlsError> {
        if !crate::trust::is_peer_name(name) {
            return Err(TlsError::BadName);
        }
        Ok(Self {
            name: name.to_owned(),
            identity: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            script: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            seal: SealKey::generate().map_err(|e| TlsError::Crypto(LibraryError::new(e)))?,
        })
    }

    /// Whether a `certs/` folder could be made at `dir`: nothing is ever overwritten. A circle without another member makes way,
    /// which is left then.
    ///
    /// # Errors
    /// [`TlsError::Exists`].
    pub fn check_place(dir: &CertsDir) -> Result<(), TlsError> {
        let is_empty =
            fs::read_dir(dir.path()).map_or(true, |mut entries| entries.next().is_none());
        if is_empty || left::is_alone(dir) {
            return Ok(());
        }
        let cert = dir.server_cert();
        let path = if cert.exists() {
            cert
        } else {
            dir.path().to_owned()
        };
        Err(TlsError::Exists { path })
    }

    /// What it is to be called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calls it otherwise: its signing requests have no name.
    ///
    /// # Errors
    /// [`TlsError::BadName`].
    pub fn rename(&mut self, name: &str) -> Result<(), TlsError> {
        if !crate::trust::is_new_peer_name(name) {
            return Err(TlsError::BadName);
        }
        name.clone_into(&mut self.name);
        Ok(())
    }

    /// The signing requests for identity and scripts, as PEM.
    ///
    /// # Errors
    /// [`TlsError::Crypto`].
    pub fn requests(&self) -> Result<[String; 2], TlsError> {
        let request = |key| {
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            Ok::<_, TlsError>(params.serialize_request(key)?.pem()?)
        };
        Ok([request(&self.identity)?, request(&self.script)?])
    }

    /// To which transfers for it are sealed.
    pub fn seal_key(&self) -> &SealPublicKey {
        self.seal.public()
    }

    /// Writes keys and certificates beside `dir` and checks that a peer could run with them.
    ///
    /// # Errors
    /// [`TlsError::Refused`], [`TlsError::Distrusted`], [`TlsError::Malformed`], [`TlsError::Io`].
    pub fn stage(&self, dir: &CertsDir, given: &Membership) -> Result<Staged, TlsError> {
        Self::check_place(dir)?;
        let folder = Staging::new(dir)?;
        let copy = CertsDir::new(folder.path());
        self.write(&copy, given)?;
        import::check(&copy)?;
        self.check_script(&copy)?;
        let identity = Identity::load(&copy)?;
        if identity.name() != self.name {
            return Err(WhyRefused::OtherName.into());
        }
        let circle = CircleHandle::new(Circle::load(&copy)?);
        let certified = given.issuer.verify(&circle, Timestamp::now());
        let certified = certified.map_err(WhyRefused::Issuer)?;
        let issuer = given.issuer.payload();
        if certified != issuer.name {
            return Err(WhyRefused::IssuerName.into());
        }
        let book = AddressBook::new(copy.peers());
        book.remember_signed(&given.issuer, given.address.as_deref())?;
        book.remember_signed(&identity.bundle()?, None)?;
        Ok(Staged { folder })
    }

    fn write(&self, copy: &CertsDir, given: &Membership) -> Result<(), TlsError> {
        let seal = pem::Pem::new(SEAL_KEY_LABEL, self.seal.expose().to_vec());
        let private = [
            (copy.server_key(), self.identity.serialize_pem()),
            (copy.client_key(), self.script.serialize_pem()),
            (copy.seal_key(), pem::encode(&seal)),
        ];
        for (path, text) in private {
            let text = Zeroizing::new(text);
            write_durably(&path, text.as_bytes(), 0o600).map_err(|e| io_error(&path, e))?;
        }
        let public = [
            (copy.ca_cert(), &given.ca_cert),
            (copy.server_cert(), &given.certificate),
            (copy.client_cert(), &given.script_certificate),
            (copy.crl(), &given.crl),
        ];
        for (path, text) in public {
            write_durably(&path, text.as_bytes(), 0o644).map_err(|e| io_error(&path, e))?;
        }
        Ok(())
    }

    fn check_script(&self, copy: &CertsDir) -> Result<(), TlsError> {
        let certificate = read_certificate(&copy.client_cert())?;
        read_key_of(&copy.client_key(), &certificate)?;
        let circle = Circle::load(copy)?;
        let script = circle.judge(&certificate, Usage::Client, Timestamp::now())?;
        let peer = Caller::from_certificate(&read_certificate(&copy.server_cert())?)?;
        if script.script && script.peer_id == peer.key_id {
            Ok(())
        } else {
            Err(WhyRefused::OtherScript.into())
        }
    }
}

impl Staged {
    /// What this machine says of itself, in its envelope.
    ///
    /// # Errors
    /// [`TlsError::Crypto`].
    pub fn bundle(&self) -> Result<Vec<u8>, TlsError> {
        let identity = Identity::load(&CertsDir::new(self.folder.path()))?;
        Ok(identity.bundle()?.envelope().to_vec())
    }

    /// Takes the directory that the circle's machine gave. One that cannot be used is left: members have it too.
    pub fn take_directory(&self, envelope: &[u8]) {
        let copy = CertsDir::new(self.folder.path());
        let circle = Circle::load(&copy).map(CircleHandle::new);
        let taken = circle.and_then(|circle| install_directory(&copy, &circle, envelope));
        if let Err(error) = taken {
            tracing::debug!(%error, "the directory that was given is left");
        }
    }

    /// Gives the folder its place. A circle without another member that is there is left, and stays if this fails; the second of
    /// what is returned says where it is then.
    ///
    /// # Errors
    /// [`TlsError::Exists`] if something has come there meanwhile, [`TlsError::Io`].
    pub fn publish(self, dir: &CertsDir) -> Result<(Identity, Option<CertsDir>), TlsError> {
        let left = left::set_aside_alone(dir)?;
        let published = import::publish(&CertsDir::new(self.folder.path()), dir);
        if let (Err(_), Some(left)) = (&published, &left) {
            left::take_back(left, dir)?;
        }
        published?;
        Ok((Identity::load(dir)?, left))
    }
}
