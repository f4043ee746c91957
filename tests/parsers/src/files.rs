//! Files that somebody else may have written: certificates, settings, the address book, a store.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use colis::{
    config::Config,
    manifest::Timestamp,
    store::{LocalStore, LocalStoreOptions},
    tls::{self, Caller, CertsDir, Circle, Identity},
    trust::AddressBook,
};

fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A certificate as it comes in a handshake or a manifest.
pub fn certificate(data: &[u8]) {
    if let Ok(caller) = Caller::from_certificate(data) {
        assert!(caller.not_before <= Timestamp::from_unix_seconds(u64::MAX));
    }
}

/// Writes the parts of `data`, which zeros divide, to files of these names.
fn scatter(data: &[u8], root: &Path, names: &[&str]) {
    for (name, part) in names.iter().zip(data.split(|byte| *byte == 0)) {
        let path = root.join(name);
        fs::write(&path, part).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A folder of certificates that somebody was given: nothing of it is kept unless all of it is good.
pub fn certs(data: &[u8]) {
    let root = folder();
    let from = root.path().join("from");
    fs::create_dir(&from).unwrap();
    let names = [
        "ca-cert.pem",
        "crl.pem",
        "server-cert.pem",
        "server-key.pem",
        "seal-key.pem",
        "peers.json",
    ];
    scatter(data, &from, &names);
    let (from, into) = (CertsDir::new(from), root.path().join("certs"));
    let _ = Circle::load(&from);
    let _ = Identity::load(&from);
    if tls::import(&from, &CertsDir::new(&into)).is_err() {
        assert!(!into.exists(), "half of a folder was kept");
    }
}

/// Settings and the address book.
pub fn settings(data: &[u8]) {
    let root = folder();
    scatter(data, root.path(), &["colis.toml", "peers.json"]);
    let _ = Config::load(&root.path().join("colis.toml"), |_| None);
    let _ = AddressBook::new(root.path().join("peers.json")).peers();
}

/// A store in whose folders lies what was never put there: it opens, says so, collects, and gives nothing of it out.
pub fn store(data: &[u8]) {
    let root = folder();
    drop(LocalStore::open(root.path(), LocalStoreOptions::default()).unwrap());
    let hex = "ab".repeat(32);
    let names = [
        format!("data/ab/{hex}"),
        format!("manifests/{hex}"),
        format!("trash/{hex}"),
        format!("state/transfers/{hex}"),
        format!("state/receipts/{hex}.{}", "ab".repeat(16)),
        "data/ab/foreign".to_owned(),
        "LOCK".to_owned(),
    ];
    scatter(data, root.path(), &names.each_ref().map(String::as_str));
    let store = LocalStore::open(root.path(), LocalStoreOptions::default()).unwrap();
    let now = Timestamp::now();
    let _ = store.usage();
    let keep = colis::store::KeepSettled::default();
    let _ = store.let_go_settled(keep, colis::id::PeerId::of(b"owner"), now);
    let _ = store.gc(now);
    let report = store.check(true).unwrap();
    assert_eq!((report.chunks, report.manifests), (0, 0), "{report:?}");
    if let Ok(text) = std::str::from_utf8(data) {
        fs::write(root.path().join("FORMAT"), text).unwrap();
        drop(store);
        let _ = LocalStore::open(root.path(), LocalStoreOptions::default());
    }
}
