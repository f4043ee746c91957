//! Taking over certificates that an outside authority has signed: all that a home needs, or what was renewed.

use std::path::{Path, PathBuf};

use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::{
    BadFile, Caller, CertsDir, Circle, Identity, OtherPeer, TlsError, WhyRefused,
    ca::{remember, write_seal_key},
    certificate::is_for,
    circle::Usage,
    identity::read_key_of,
    import::{check, publish},
    io_error,
    outside::AUTHORITY,
    outside_members::OutsideMembers,
    pem_fault::pem_fault,
    signature::public_key,
    staging::Staging,
};
use crate::{manifest::Distrust, private, trust::write_durably};

/// Files of an outside authority.
#[derive(Debug, Clone, Default)]
pub struct OutsideFiles {
    /// Its root and intermediate certificates, in any order.
    pub ca: Option<PathBuf>,
    /// The certificate of this peer. Others that come along with it are left out.
    pub cert: Option<PathBuf>,
    /// The key for it.
    pub key: Option<PathBuf>,
    /// The revocation lists.
    pub crl: Option<PathBuf>,
}

/// Makes a home's certificates in `dir`, which must be empty or not be there, of files of an outside authority: all of it, or
/// nothing. The originals stay as they are.
///
/// # Errors
/// [`TlsError::Missing`], [`TlsError::Malformed`], [`TlsError::KeyForm`], [`TlsError::Refused`], [`TlsError::Distrusted`] if they
/// cannot be used; [`TlsError::Exists`] if there is something already.
pub fn import_outside(files: &OutsideFiles, dir: &CertsDir) -> Result<Identity, TlsError> {
    let staged = Staging::new(dir)?;
    let copy = CertsDir::new(staged.path());
    files.copy_to(&copy)?;
    write_seal_key(&copy)?;
    check(&copy).map_err(|error| files.named(error))?;
    // By its name it is known here as every peer is.
    remember(&copy, &Identity::load(&copy)?)?;
    publish(&copy, &CertsDir::new(dir.path()))?;
    Identity::load(&CertsDir::new(dir.path()))
}

/// Replaces what is given of the files of an outside authority that `dir` has. The certificate must be for the same key.
///
/// # Errors
/// As [`import_outside`]; [`WhyRefused::OtherPeer`] for another key; [`WhyRefused::OwnAuthority`] in the home of a circle with an
/// authority of its own. Then nothing has changed.
pub fn update_outside(files: &OutsideFiles, dir: &CertsDir) -> Result<Identity, TlsError> {
    if dir.outside().is_none() {
        return Err(WhyRefused::OwnAuthority.into());
    }
    let (own, staged) = (Identity::load(dir)?, Staging::new(dir)?);
    let copy = CertsDir::new(staged.path());
    for (from, to, mode) in [
        (dir.ca_cert(), staged.path().join(AUTHORITY), 0o644),
        (dir.server_cert(), copy.server_cert(), 0o644),
        (dir.server_key(), copy.server_key(), 0o600),
        (dir.seal_key(), copy.seal_key(), 0o600),
        (dir.crl(), copy.crl(), 0o644),
    ] {
        if from.exists() {
            copy_file(&from, &to, mode)?;
        }
    }
    let with_key = OutsideFiles {
        key: files
            .key
            .clone()
            .or(files.cert.as_ref().map(|_| dir.server_key())),
        ..files.clone()
    };
    // Before the certificate is looked for by the key that is here: it may be one for another.
    if let Some(cert) = &files.cert {
        check_same_peer(cert, &own)?;
    }
    with_key.copy_to(&copy)?;
    check(&copy).map_err(|error| with_key.named(error))?;
    if let (Some(_), Ok(before)) = (&files.crl, Circle::load(dir)) {
        let newer = Circle::load(&copy)?.check_not_behind(&before, &copy);
        newer.map_err(|error| with_key.named(error))?;
    }
    for (given, from, to) in [
        (&files.ca, staged.path().join(AUTHORITY), dir.ca_cert()),
        (&files.crl, copy.crl(), dir.crl()),
        (&files.cert, copy.server_cert(), dir.server_cert()),
    ] {
        if given.is_some() {
            copy_file(&from, &to, 0o644)?;
        }
    }
    Identity::load(dir)
}

impl OutsideFiles {
    /// Copies what is given into `copy`, which becomes a home's certificates.
    fn copy_to(&self, copy: &CertsDir) -> Result<(), TlsError> {
        if let Some(ca) = &self.ca {
            copy_file(ca, &copy.path().join(AUTHORITY), 0o644)?;
        }
        if let Some(crl) = &self.crl {
            copy_file(crl, &copy.crl(), 0o644)?;
        }
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Ok(());
        };
        copy_file(key, &copy.server_key(), 0o600)?;
        let chosen = choose(cert, key, &copy.server_key());
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", chosen?.to_vec()));
        let to = copy.server_cert();
        write_durably(&to, pem.as_bytes(), 0o644).map_err(|e| io_error(&to, e))
    }

    /// The same error about the file that was given, where it is about the copy of one.
    fn named(&self, error: TlsError) -> TlsError {
        let given = |path: PathBuf| {
            let given = match path.file_name().and_then(|name| name.to_str()) {
                Some(AUTHORITY) => self.ca.clone(),
                Some("crl.pem") => self.crl.clone(),
                Some("server-cert.pem") => self.cert.clone(),
                Some("server-key.pem") => self.key.clone(),
                _ => None,
            };
            given.unwrap_or(path)
        };
        match error {
            TlsError::Malformed { path, fault } => TlsError::Malformed {
                path: given(path),
                fault,
            },
            TlsError::KeyForm { path, form } => TlsError::KeyForm {
                path: given(path),
                form,
            },
            other => other,
        }
    }
}

/// The certificates of a file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let malformed = |fault| TlsError::Malformed {
        path: path.to_owned(),
        fault: BadFile::NoCertificate(fault),
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let read = read.map_err(|e| malformed(pem_fault(&e)))?;
    match read.is_empty() {
        false => Ok(read),
        true => Err(malformed(pem_fault(
            &rustls_pki_types::pem::Error::NoItemsFound,
        ))),
    }
}

/// The certificate in the file `cert` that is of the key `key`, whose copy is in `copied`, wherever it stands there.
fn choose(cert: &Path, key: &Path, copied: &Path) -> Result<CertificateDer<'static>, TlsError> {
    let all = certificates(cert)?;
    let mut fault = None;
    for der in all.iter().filter(|der| public_key(der).is_some()) {
        match read_key_of(copied, der) {
            Ok(_) => {
                OutsideMembers::check_form(der, &Caller::from_certificate(der)?)
                    .map_err(Distrust::from)?;
                check_use(der, key)?;
                return Ok(der.clone());
            }
            Err(error) => fault = Some(error),
        }
    }
    let other_kind = all.iter().find_map(|der| kind_of(der));
    Err(match fault {
        // What is wrong with the key itself.
        Some(TlsError::KeyForm { form, .. }) if other_kind.is_none() => TlsError::KeyForm {
            path: key.to_owned(),
            form,
        },
        Some(TlsError::Malformed { fault, .. })
            if fault != BadFile::OtherKey && other_kind.is_none() =>
        {
            TlsError::Malformed {
                path: key.to_owned(),
                fault,
            }
        }
        _ => match other_kind {
            Some((name, kind)) => WhyRefused::KeyKind { kind, name }.into(),
            None => WhyRefused::NotOfKey {
                cert: cert.to_owned(),
                key: key.to_owned(),
            }
            .into(),
        },
    })
}

/// The name in the certificate and what kind of key it is for, if that of a peer cannot be it. Authorities may have any.
fn kind_of(der: &[u8]) -> Option<(String, String)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    if parsed.is_ca() || public_key(der).is_some() {
        return None;
    }
    let kind = match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA of {} bits", key.key_size()),
        Ok(PublicKey::EC(_)) => "of another elliptic curve".to_owned(),
        _ => "of another kind".to_owned(),
    };
    let caller = Caller::from_certificate(der);
    Some((
        caller.map_or_else(|_| "NAME".to_owned(), |caller| caller.name),
        kind,
    ))
}

/// Fails for a certificate that a peer cannot sign with.
fn check_use(der: &[u8], key: &Path) -> Result<(), TlsError> {
    if is_for(der, Usage::Server) {
        return Ok(());
    }
    Err(WhyRefused::NotForServers {
        for_clients: is_for(der, Usage::Client),
        name: Caller::from_certificate(der)?.name,
        key: key.to_owned(),
    }
    .into())
}

/// Fails if `cert` has certificates of the name of `own` for other keys alone.
fn check_same_peer(cert: &Path, own: &Identity) -> Result<(), TlsError> {
    let old = own.caller().key_id;
    let read = certificates(cert)?;
    let callers = read.iter().filter(|der| !is_authority(der));
    let callers: Vec<_> = callers
        .filter_map(|der| Caller::from_certificate(der).ok())
        .collect();
    match callers.first() {
        Some(new) if callers.iter().all(|caller| caller.key_id != old) => {
            let name = own.name().to_owned();
            let other = OtherPeer {
                name,
                old,
                new: new.key_id,
            };
            Err(WhyRefused::OtherPeer(Box::new(other)).into())
        }
        _ => Ok(()),
    }
}

fn is_authority(der: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(der).is_ok_and(|(_, parsed)| parsed.is_ca())
}

fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<(), TlsError> {
    let bytes = read(from)?;
    write_durably(to, &bytes, mode).map_err(|e| io_error(to, e))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    Ok(Zeroizing::new(
        private::read(path).map_err(|e| io_error(path, e))?,
    ))
}
