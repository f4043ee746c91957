//! Setting, changing and removing a passphrase: all keys of a home at once, whenever the process is killed.
//!
//! The files as they will be are made in a folder in `certs/`. It gets its name by one rename, and from then on they count, wherever
//! they are ([`on_its_way`]): before it every key is as it was, after it as it will be. Then each takes its place, and the folder goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Scope, covered, keep, read, read_private, to_text, unusable};
use crate::{
    crypto::{locked::NewPassphrase, password::Password},
    disk::sync_folder,
    private,
    tls::{CertsDir, TlsError, WhyRefused, ca, hold_list, identity::check_key, io_error},
    trust::write_durably,
};

/// The folder of files that count.
const CHANGED: &str = "keys-changed";
/// The same before all of it is there.
const CHANGING: &str = "keys-changing";

/// Where the file that is on its way to `path` would be.
pub(super) fn on_its_way(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    folder.join(CHANGED).join(name)
}

/// Puts the private keys of `dir` under `new`, or under no passphrase. They must be open in this process. Returns the files. If it fails or
/// is killed, either nothing has changed or all of it.
///
/// # Errors
/// [`TlsError::Locked`]; [`TlsError::Refused`] while a machine joins; [`TlsError::Malformed`] for a key that cannot be used: nothing is
/// changed; [`TlsError::Io`].
pub fn change_passphrase(dir: &CertsDir, new: Option<&Password>) -> Result<Vec<PathBuf>, TlsError> {
    // Its lock is on the file of the circle's key, which becomes another one.
    let _nobody_joins = match dir.ca_key().exists() {
        true => Some(ca::hold_alone(dir, Duration::ZERO)?.ok_or(WhyRefused::Pairing)?),
        false => None,
    };
    let _alone = hold_list(dir)?;
    finish(dir)?;
    let new = new.map(NewPassphrase::new).transpose();
    let new = new.map_err(|fault| unusable(dir.path(), fault))?;
    let files = covered(dir)?;
    let changing = dir.path().join(CHANGING);
    private::make_folder(&changing).map_err(|e| io_error(&changing, e))?;
    for (path, scope) in &files {
        write_changed(path, *scope, &changing, new.as_ref())?;
    }
    let changed = dir.path().join(CHANGED);
    fs::rename(&changing, &changed).map_err(|e| io_error(&changed, e))?;
    sync(dir.path())?;
    if let Some(new) = new {
        keep(new.into_keys());
    }
    finish(dir)?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Writes the file at `path` as it will be into the folder `to`.
fn write_changed(
    path: &Path,
    scope: Scope,
    to: &Path,
    new: Option<&NewPassphrase>,
) -> Result<(), TlsError> {
    let plain = read_private(path)?;
    // What cannot be used is not for a passphrase to hide.
    check_key(path, &plain)?;
    let name = path.file_name().unwrap_or_default();
    let to = to.join(name);
    let written = match new {
        Some(new) => {
            let locked = new.seal(scope, &plain).map_err(|e| unusable(path, e))?;
            write_durably(&to, to_text(&locked).as_bytes(), 0o600)
        }
        None => write_durably(&to, &plain, 0o600),
    };
    written.map_err(|e| io_error(&to, e))
}

/// Finishes a change of the passphrase of `dir` that was interrupted, or takes back what was not begun to count.
///
/// # Errors
/// [`TlsError::Io`].
pub fn finish_change(dir: &CertsDir) -> Result<(), TlsError> {
    let is_there = |name: &str| dir.path().join(name).symlink_metadata().is_ok();
    if !is_there(CHANGED) && !is_there(CHANGING) {
        return Ok(());
    }
    let _alone = hold_list(dir)?;
    finish(dir)
}

fn finish(dir: &CertsDir) -> Result<(), TlsError> {
    let changed = dir.path().join(CHANGED);
    if changed.is_dir() {
        let failed = |e| io_error(&changed, e);
        for entry in fs::read_dir(&changed).map_err(failed)? {
            let from = entry.map_err(failed)?.path();
            let to = dir.path().join(from.file_name().unwrap_or_default());
            // Copied: a file that is in neither folder after a loss of power would be lost.
            let bytes = read(&from)?;
            write_durably(&to, &bytes, 0o600).map_err(|e| io_error(&to, e))?;
        }
        remove(&changed)?;
        sync(dir.path())?;
    }
    remove(&dir.path().join(CHANGING))
}

fn remove(folder: &Path) -> Result<(), TlsError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(folder, error)),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> Result<(), TlsError> {
    let synced = private::open_folder(folder).and_then(|opened| Ok(sync_folder(opened)?));
    synced.map_err(|e| io_error(folder, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        manifest::Signer as _,
        tls::{Identity, has_passphrase, needs_passphrase, passphrase::ring, unlock},
    };

    struct Home {
        root: tempfile::TempDir,
        dir: CertsDir,
    }

    impl Home {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let dir = CertsDir::new(root.path().join("certs"));
            ca::init(&dir, "a", &ca::CertificateOptions::default()).unwrap();
            fs::copy(dir.seal_key(), dir.path().join("seal-key-1.pem")).unwrap();
            Self { root, dir }
        }

        fn keys(&self) -> Vec<Vec<u8>> {
            let covered = covered(&self.dir).unwrap().into_iter();
            covered.map(|(path, _)| fs::read(path).unwrap()).collect()
        }

        /// What another process has of it, which was given nothing yet.
        fn forget(&self) {
            let salts = super::super::locked(&self.dir);
            let is_ours = |keys: &crate::crypto::locked::PassphraseKeys| {
                let mut salts = salts.iter();
                salts.any(|(.., locked)| keys.open_what(locked.salt(), Scope::Peer))
            };
            ring().retain(|keys| !is_ours(keys));
        }

        fn opens_with(&self, text: &str) -> bool {
            self.forget();
            let opened = unlock(&self.dir, &Password::new(text));
            opened.is_ok()
                && Identity::load(&self.dir).is_ok()
                && ca::key_fault(&self.dir).is_none()
                && !needs_passphrase(&self.dir, Scope::Circle)
        }
    }

    #[test]
    fn a_passphrase_is_set_changed_and_removed_and_every_key_is_as_before() {
        let home = Home::new();
        let (dir, before) = (&home.dir, home.keys());
        let peer = Identity::load(dir).unwrap().peer_id();
        assert_eq!(before.len(), 4);
        assert!(!has_passphrase(dir) && !needs_passphrase(dir, Scope::Circle));
        for text in ["the first passphrase", "the second passphrase"] {
            change_passphrase(dir, Some(&Password::new(text))).unwrap();
            let begin = b"-----BEGIN COLIS LOCKED KEY-----";
            assert!(home.keys().iter().all(|key| key.starts_with(begin)));
            assert!(has_passphrase(dir) && !home.opens_with("another passphrase"));
            home.forget();
            let closed = Identity::load(dir).err().unwrap();
            assert!(matches!(closed, TlsError::Locked { .. }), "{closed}");
            let closed = Identity::load_or_closed(dir).unwrap();
            assert!(closed.peer_id() == peer && closed.sign(b"x").is_err());
            assert!(home.opens_with(text));
            assert_eq!(Identity::load(dir).unwrap().peer_id(), peer);
        }
        home.forget();
        let closed = change_passphrase(dir, None).unwrap_err();
        assert!(matches!(closed, TlsError::Locked { .. }), "{closed}");
        assert!(home.opens_with("the second passphrase"));
        change_passphrase(dir, None).unwrap();
        assert_eq!(home.keys(), before);
        assert!(home.root.path().join("certs/client-key.pem").exists());
    }

    #[test]
    fn a_change_counts_from_one_rename_on() {
        let home = Home::new();
        let (dir, plain) = (&home.dir, home.keys());
        let at = |name: &str| dir.path().join(name);
        change_passphrase(dir, Some(&Password::new("the first passphrase"))).unwrap();
        let locked = home.keys();
        let half = |folder: &str, keys: &[Vec<u8>], moved: usize| {
            fs::create_dir(at(folder)).unwrap();
            for (number, (path, _)) in covered(dir).unwrap().iter().enumerate() {
                let name = path.file_name().unwrap();
                write_durably(&at(folder).join(name), &keys[number], 0o600).unwrap();
                if number < moved {
                    write_durably(path, &keys[number], 0o600).unwrap();
                }
            }
        };
        // Before it all is as it was.
        half(CHANGING, &plain, 0);
        assert!(has_passphrase(dir) && home.opens_with("the first passphrase"));
        finish_change(dir).unwrap();
        assert!(!at(CHANGING).exists() && home.keys() == locked);
        // After it everything counts, wherever it is.
        for moved in 0..=plain.len() {
            half(CHANGED, &plain, moved);
            assert!(!has_passphrase(dir), "{moved}");
            Identity::load(dir).unwrap();
            finish_change(dir).unwrap();
            assert!(!at(CHANGED).exists() && home.keys() == plain);
            for ((path, _), key) in covered(dir).unwrap().iter().zip(&locked) {
                write_durably(path, key, 0o600).unwrap();
            }
        }
    }

    #[test]
    fn nothing_is_changed_where_a_key_cannot_be_used_or_a_machine_joins() {
        let home = Home::new();
        let (dir, before) = (&home.dir, home.keys());
        let new = Password::new("the first passphrase");
        let joining = ca::hold_alone(dir, Duration::ZERO).unwrap();
        let refused = change_passphrase(dir, Some(&new)).unwrap_err();
        assert!(
            matches!(refused, TlsError::Refused(WhyRefused::Pairing)),
            "{refused}"
        );
        drop(joining);
        fs::write(dir.path().join("seal-key-1.pem"), "damaged").unwrap();
        let refused = change_passphrase(dir, Some(&new)).unwrap_err();
        assert!(matches!(refused, TlsError::Malformed { .. }), "{refused}");
        fs::write(dir.path().join("seal-key-1.pem"), &before[2]).unwrap();
        finish_change(dir).unwrap();
        assert_eq!(home.keys().len(), before.len());
        assert!(!has_passphrase(dir));
    }
}
