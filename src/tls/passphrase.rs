//! The passphrase on a home's private keys: which files are under it, and what opens them in this process.
//!
//! The circle's key, the identity key and the seal keys are under it; the key of scripts is not, since curl reads it. What a
//! passphrase gives is kept in memory by its salt, so that it is derived once in a process, whichever home and file it is for.

mod change;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use pem::Pem;
use zeroize::Zeroizing;

use super::{
    BadFile, CertsDir, TlsError,
    identity::{check_private, seal_key_paths},
    io_error,
};
use crate::{
    crypto::{
        CryptoError,
        locked::{Locked, PassphraseKeys},
        password::Password,
    },
    private,
};

pub use crate::crypto::locked::Scope;
pub use change::{change_passphrase, finish_change};

/// The PEM label of a file under a passphrase.
pub(super) const LOCKED_LABEL: &str = "COLIS LOCKED KEY";

/// As many passphrases are tried that files of one home may be under: copies of older ones may lie beside the one in use.
const MAX_SALTS: usize = 4;

/// What was derived in this process, or handed to it.
static RING: Mutex<Vec<PassphraseKeys>> = Mutex::new(Vec::new());

fn ring() -> MutexGuard<'static, Vec<PassphraseKeys>> {
    RING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep(keys: PassphraseKeys) {
    ring().push(keys);
}

/// The private file at `path` as it is without a passphrase. Every private key is read here.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let bytes = read_in_force(path)?;
    match parse(path, &bytes)? {
        None => Ok(bytes),
        Some(locked) => open(path, &locked),
    }
}

/// The bytes that count for the file at `path`: while a passphrase is being changed, those that are on their way to it.
fn read_in_force(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    match read(&change::on_its_way(path)) {
        Err(TlsError::Missing { .. }) => read(path),
        read => read,
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    check_private(path)?;
    let bytes = private::read(path).map_err(|e| io_error(path, e))?;
    Ok(Zeroizing::new(bytes))
}

/// `None` if the file is not under a passphrase of ours.
fn parse(path: &Path, bytes: &[u8]) -> Result<Option<Locked>, TlsError> {
    let begin = format!("-----BEGIN {LOCKED_LABEL}-----");
    if !bytes.starts_with(begin.as_bytes()) {
        return Ok(None);
    }
    let malformed = CryptoError::Malformed { what: "locked key" };
    let parsed = pem::parse(bytes).map_err(|_| malformed);
    let locked = parsed.and_then(|pem| Locked::parse(pem.contents()));
    locked.map(Some).map_err(|fault| unusable(path, fault))
}

fn open(path: &Path, locked: &Locked) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let opened = ring().iter().find_map(|keys| locked.open(keys));
    match opened {
        Some(opened) => opened.map_err(|fault| unusable(path, fault)),
        None => Err(TlsError::Locked {
            path: path.to_owned(),
        }),
    }
}

/// The text of a file under a passphrase.
fn to_text(locked: &Locked) -> String {
    pem::encode(&Pem::new(LOCKED_LABEL, locked.to_bytes()))
}

fn unusable(path: &Path, fault: CryptoError) -> TlsError {
    TlsError::Malformed {
        path: path.to_owned(),
        fault: BadFile::Locked(fault),
    }
}

/// The files that a passphrase covers, with whose keys they have. The identity key is the first.
fn covered(dir: &CertsDir) -> Result<Vec<(PathBuf, Scope)>, TlsError> {
    let mut files = vec![(dir.server_key(), Scope::Peer)];
    let seals = seal_key_paths(dir)?.into_iter();
    files.extend(seals.map(|path| (path, Scope::Peer)));
    files.push((dir.ca_key(), Scope::Circle));
    files.retain(|(path, _)| path.symlink_metadata().is_ok());
    Ok(files)
}

/// The files of `dir` that are under a passphrase. What cannot be read is said by who uses it.
fn locked(dir: &CertsDir) -> Vec<(PathBuf, Scope, Locked)> {
    let covered = covered(dir).unwrap_or_default().into_iter();
    let locked = covered.filter_map(|(path, scope)| {
        let locked = parse(&path, &read_in_force(&path).ok()?).ok()??;
        Some((path, scope, locked))
    });
    locked.collect()
}

/// Whether keys of `dir` are under a passphrase.
pub fn has_passphrase(dir: &CertsDir) -> bool {
    !locked(dir).is_empty()
}

/// Whether keys of `dir` are under a passphrase that this process was not given: those of the peer, or with [`Scope::Circle`] that
/// of the circle too.
pub fn needs_passphrase(dir: &CertsDir, scope: Scope) -> bool {
    let is_closed = |(_, of, locked): &(PathBuf, Scope, Locked)| {
        let is_meant = *of == Scope::Peer || scope == Scope::Circle;
        is_meant && !ring().iter().any(|keys| keys.open_what(locked.salt(), *of))
    };
    locked(dir).iter().any(is_closed)
}

/// Opens the keys of `dir` for this process. It takes time and memory, on purpose. A file that is under another passphrase than the
/// identity key, as a copy from a backup, stays closed.
///
/// # Errors
/// [`TlsError::WrongPassphrase`]; [`TlsError::Malformed`] for a cost that is not computed.
pub fn unlock(dir: &CertsDir, passphrase: &Password) -> Result<(), TlsError> {
    let mut salts = Vec::new();
    for (number, (path, _, locked)) in locked(dir).iter().enumerate() {
        if salts.contains(&locked.salt()) || salts.len() == MAX_SALTS {
            continue;
        }
        salts.push(locked.salt());
        match PassphraseKeys::derive(passphrase, locked) {
            Ok(keys) => keep(keys),
            Err(CryptoError::WrongPassword) if number > 0 => {}
            Err(CryptoError::WrongPassword) => return Err(TlsError::WrongPassphrase),
            Err(fault) => return Err(unusable(path, fault)),
        }
    }
    Ok(())
}

/// What opens the keys of the peer of `dir`, and not the circle's, for another process of its owner; `None` if they are under no
/// passphrase, or this process has not opened them.
pub fn to_hand(dir: &CertsDir) -> Option<Zeroizing<Vec<u8>>> {
    let locked = locked(dir);
    let (_, scope, locked) = locked.first()?;
    let ring = ring();
    let mut keys = ring.iter();
    let keys = keys.find(|keys| keys.open_what(locked.salt(), *scope))?;
    Some(keys.to_hand())
}

/// Takes what another process of the owner has handed over. Returns whether it opens the keys of the peer of `dir`.
pub fn take_handed(dir: &CertsDir, handed: &[u8]) -> bool {
    let keys = handed.try_into().ok().and_then(PassphraseKeys::handed);
    let locked = locked(dir);
    let opens = |keys: &PassphraseKeys| {
        let opened = locked.first().and_then(|(.., locked)| locked.open(keys));
        matches!(opened, Some(Ok(_)))
    };
    let Some(keys) = keys.filter(opens) else {
        return false;
    };
    keep(keys);
    true
}
