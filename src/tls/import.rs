//! Taking over the `certs/` folder that the circle's machine made for this one.

use std::{fs, io, path::Path};

use super::{
    BadFile, CertsDir, Circle, Identity, TlsError, WhyRefused, circle::Usage, io_error,
    staging::Staging,
};
use crate::{
    disk::sync_folder,
    manifest::Timestamp,
    private,
    trust::{AddressBook, write_durably},
};

/// The largest file of such a folder that is read.
const MAX_FILE: u64 = 16 << 20;

/// What is private in such a folder.
const PRIVATE: [&str; 5] = [
    "server-key.pem",
    "client-key.pem",
    "seal-key.pem",
    "peers.json",
    "directory.json",
];
/// What is not.
const PUBLIC: [&str; 4] = [
    "ca-cert.pem",
    "server-cert.pem",
    "client-cert.pem",
    "crl.pem",
];
/// What a folder may lack.
const OPTIONAL: [&str; 5] = [
    "client-key.pem",
    "client-cert.pem",
    "peers.json",
    "directory.json",
    "crl.pem",
];

/// Copies the folder `from` to `dir`, which must be empty or not be there: all of it, or nothing. The copies are private
/// whatever the original is, which may come from a disk that knows no modes.
///
/// # Errors
/// [`TlsError::Missing`], [`TlsError::Malformed`], [`TlsError::Distrusted`] if it cannot be used; [`TlsError::Exists`] if
/// there is something already; [`TlsError::Refused`] for the folder of the circle's own machine.
pub fn import(from: &CertsDir, dir: &CertsDir) -> Result<Identity, TlsError> {
    if from.ca_key().exists() {
        let folder = from.path().to_owned();
        return Err(WhyRefused::HasCircleKey { folder }.into());
    }
    fs::metadata(from.server_key()).map_err(|e| io_error(&from.server_key(), e))?;
    let staged = Staging::new(dir)?;
    let copy = CertsDir::new(staged.path());
    for (names, mode) in [(&PRIVATE[..], 0o600), (&PUBLIC[..], 0o644)] {
        for name in names {
            copy_file(&from.path().join(name), &copy.path().join(name), mode)?;
        }
    }
    check(&copy)?;
    publish(&copy, dir)?;
    Identity::load(dir)
}

fn copy_file(from: &Path, to: &Path, mode: u32) -> Result<(), TlsError> {
    let name = from.file_name().unwrap_or_default();
    let metadata = match fs::metadata(from) {
        Err(e) if e.kind() == io::ErrorKind::NotFound && OPTIONAL.iter().any(|o| name == *o) => {
            return Ok(());
        }
        metadata => metadata.map_err(|e| io_error(from, e))?,
    };
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        let (path, fault) = (from.to_owned(), BadFile::NotCertificates);
        return Err(TlsError::Malformed { path, fault });
    }
    let bytes = zeroize::Zeroizing::new(private::read(from).map_err(|e| io_error(from, e))?);
    write_durably(to, &bytes, mode).map_err(|e| io_error(to, e))
}

/// Whether a peer could run with it.
pub(super) fn check(copy: &CertsDir) -> Result<(), TlsError> {
    let identity = Identity::load(copy)?;
    let circle = Circle::load(copy)?;
    circle.judge(&identity.certificate_der(), Usage::Server, Timestamp::now())?;
    AddressBook::new(copy.peers()).peers()?;
    Ok(())
}

/// Gives the checked copy its name. A folder is only ever put in the place of an empty one.
pub(super) fn publish(copy: &CertsDir, dir: &CertsDir) -> Result<(), TlsError> {
    fs::rename(copy.path(), dir.path()).map_err(|e| match e.kind() {
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => TlsError::Exists {
            path: dir.path().to_owned(),
        },
        _ => io_error(dir.path(), e),
    })?;
    let root = dir.path().parent().unwrap_or(Path::new("."));
    let synced = private::open_folder(root).and_then(|root| Ok(sync_folder(root)?));
    synced.map_err(|e| io_error(root, e))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::{manifest::Signer as _, tls::ca};

    fn issued() -> (tempfile::TempDir, CertsDir, CertsDir) {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        let (a, b) = (CertsDir::new(a), CertsDir::new(b));
        let options = ca::CertificateOptions::default();
        ca::init(&a, "a", &options).unwrap();
        ca::issue(&a, "b", &b, &options).unwrap();
        (root, a, b)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_from_a_disk_without_modes_becomes_private() {
        let (root, _, b) = issued();
        set_mode(&b.server_key(), 0o755);
        set_mode(&b.seal_key(), 0o755);
        let home = CertsDir::new(root.path().join("home/certs"));
        let identity = import(&b, &home).unwrap();
        assert_eq!(identity.name(), "b");
        assert_eq!(
            AddressBook::new(home.peers()).names().unwrap()["b"],
            identity.peer_id()
        );
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(home.path()), 0o700);
        assert_eq!(mode(&home.server_key()), 0o600);
        assert_eq!(mode(&home.ca_cert()), 0o644);
        assert!(!home.ca_key().exists());
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_half_is_left() {
        let (root, a, b) = issued();
        let before = fs::read(a.server_key()).unwrap();
        assert!(matches!(import(&b, &a), Err(TlsError::Exists { .. })));
        assert_eq!(fs::read(a.server_key()).unwrap(), before);
        let home = CertsDir::new(root.path().join("home/certs"));
        assert!(matches!(import(&a, &home), Err(TlsError::Refused { .. })));
        fs::copy(a.server_key(), b.server_key()).unwrap();
        assert!(matches!(import(&b, &home), Err(TlsError::Malformed { .. })));
        fs::remove_file(b.seal_key()).unwrap();
        assert!(matches!(import(&b, &home), Err(TlsError::Missing { .. })));
        assert!(
            fs::read_dir(root.path().join("home"))
                .unwrap()
                .next()
                .is_none()
        );
    }

    #[test]
    fn a_certificate_of_another_circle_is_refused() {
        let (root, _, b) = issued();
        let (_other_root, other, _) = issued();
        fs::copy(other.ca_cert(), b.ca_cert()).unwrap();
        fs::remove_file(b.crl()).unwrap();
        let home = CertsDir::new(root.path().join("home/certs"));
        assert!(matches!(import(&b, &home), Err(TlsError::Distrusted(_))));
        assert!(!home.path().exists());
    }
}
