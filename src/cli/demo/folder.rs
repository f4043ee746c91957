//! The folder of a demonstration, with the keys of its peers: it goes when the demonstration ends, and the next one removes
//! what a killed one has left.

use std::{
    env,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::{cli::report::Failure, lock::Locked, private};

const PREFIX: &str = "colis-demo-";
/// Held by the demonstration as long as it uses the folder: without it, the folder is nobody's to remove.
const LOCK: &str = "demonstration.lock";
/// A peer that was just stopped may still write a file.
const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) struct DemoFolder {
    root: TempDir,
    _lock: Locked,
}

impl DemoFolder {
    /// Makes one, and removes those of earlier demonstrations that were killed.
    pub(super) fn make() -> Result<Self, Failure> {
        remove_left(&env::temp_dir());
        let failed = |e: io::Error| Failure::io(Path::new("the temporary folder"), &e);
        let mut builder = tempfile::Builder::new();
        let builder = builder
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700));
        let root = builder.tempdir();
        let root = root.map_err(failed)?;
        // Only what is locked has the name: nobody takes the lock before us.
        let unnamed = root.path().join("new.lock");
        let file = private::file().write(true).create_new(true).open(&unnamed);
        let lock = file.and_then(Locked::wait).map_err(failed)?;
        fs::rename(&unnamed, root.path().join(LOCK)).map_err(failed)?;
        Ok(Self { root, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Leaves it to the person, who removes it.
    pub(super) fn keep(self) -> PathBuf {
        let _ = fs::remove_file(self.path().join(LOCK));
        self.root.keep()
    }

    /// Removes it.
    pub(super) fn remove(self) {
        remove(self.path());
    }
}

fn remove(folder: &Path) {
    for _ in 1..ATTEMPTS {
        match fs::remove_dir_all(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => thread::sleep(PAUSE),
        }
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "the demonstration's folder stays; remove it");
    }
}

/// Removes the folders in `temporary` that are surely of a demonstration of this user that does not run any more.
fn remove_left(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX))
            && let Some(_unused) = unused(&entry.path())
        {
            remove(&entry.path());
        }
    }
}

/// The lock of the folder, if it is ours, for nobody else to enter, and not in use.
fn unused(folder: &Path) -> Option<Locked> {
    let us = rustix::process::geteuid().as_raw();
    let is_ours = |at: &fs::Metadata| at.uid() == us && at.mode() & 0o077 == 0;
    let at = folder.symlink_metadata().ok()?;
    let lock = folder.join(LOCK);
    let locked = lock.symlink_metadata().ok()?;
    let ours = at.is_dir() && is_ours(&at) && locked.is_file() && is_ours(&locked);
    ours.then(|| File::options().write(true).open(lock).ok())?
        .and_then(|file| Locked::try_take(file).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_demonstrations_that_have_ended_are_removed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = |name: &str, lock: Option<u32>| {
            let folder = temporary.path().join(name);
            private::make_folder(&folder.join("anna/certs")).unwrap();
            if let Some(mode) = lock {
                let path = folder.join(LOCK);
                File::create(&path).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            }
            folder
        };
        let left = folder("colis-demo-left", Some(0o600));
        let kept = [
            folder("colis-demo-used", Some(0o600)),
            folder("colis-demo-kept", None),
            folder("colis-demo-open", Some(0o644)),
            folder("other-demo-x", Some(0o600)),
        ];
        let used = File::options().write(true).open(kept[0].join(LOCK));
        let _used = Locked::try_take(used.unwrap()).unwrap();
        remove_left(temporary.path());
        assert!(!left.exists());
        for folder in kept {
            assert!(folder.join("anna/certs").exists(), "{}", folder.display());
        }
    }
}
