//! A `certs/` folder that is made beside its place, and what killed processes have left of such folders: private keys.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{CertsDir, TlsError, io_error};
use crate::{lock::Locked, private};

const PREFIX: &str = ".certs-";
/// Characters that are chosen by chance.
const RANDOM: usize = 6;
const ATTEMPTS: usize = 3;

/// A private folder beside `certs/`, to become it. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Staging {
    folder: TempDir,
    /// Tells others that the folder is no leftover.
    _held: Locked,
}

impl Staging {
    /// Makes one to become `dir`, and removes those that nobody holds.
    pub(super) fn new(dir: &CertsDir) -> Result<Self, TlsError> {
        let root = root_of(dir);
        let failed = |e| io_error(root, e);
        private::make_folder(root).map_err(failed)?;
        remove_left(root).map_err(failed)?;
        for _ in 0..ATTEMPTS {
            if let Some(staging) = Self::try_new(root).map_err(failed)? {
                return Ok(staging);
            }
        }
        Err(failed(io::ErrorKind::ResourceBusy.into()))
    }

    /// `None` if another has taken it for a leftover before it was held.
    fn try_new(root: &Path) -> io::Result<Option<Self>> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(RANDOM)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(root)?;
        let Ok(opened) = private::open_folder(folder.path()) else {
            return Ok(None);
        };
        let held = Locked::take(opened)?;
        let is_there = folder.path().exists();
        Ok(is_there.then_some(Self {
            folder,
            _held: held,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders of keys that were to become `dir` and that no process holds: it was killed.
///
/// # Errors
/// [`TlsError::Io`].
pub fn remove_left_keys(dir: &CertsDir) -> Result<(), TlsError> {
    let root = root_of(dir);
    not_found_is_fine(remove_left(root)).map_err(|e| io_error(root, e))
}

fn remove_left(root: &Path) -> io::Result<()> {
    for path in staged_in(root)? {
        // One that is held, has got its place meanwhile, or is another user's.
        let Ok(Ok(_held)) = private::open_folder(&path).map(Locked::try_take) else {
            continue;
        };
        not_found_is_fine(fs::remove_dir_all(&path))?;
    }
    Ok(())
}

fn not_found_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn staged_in(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_staged = random.is_some_and(|random| {
            random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric())
        });
        if is_staged && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn root_of(dir: &CertsDir) -> &Path {
    match dir.path().parent() {
        Some(root) if !root.as_os_str().is_empty() => root,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_held_stays_and_one_that_nobody_holds_goes() {
        let home = tempfile::tempdir().unwrap();
        let dir = CertsDir::new(home.path().join("certs"));
        let held = Staging::new(&dir).unwrap();
        let left = home.path().join(".certs-abc123");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("server-key.pem"), "secret").unwrap();
        let second = Staging::new(&dir).unwrap();
        assert!(held.path().exists() && !left.exists());
        let paths = [held.path().to_owned(), second.path().to_owned()];
        drop((held, second));
        assert!(!paths.iter().any(|path| path.exists()));
        remove_left_keys(&CertsDir::new(home.path().join("none/certs"))).unwrap();
    }
}
