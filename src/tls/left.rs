//! Circles that this machine has left: each `certs/` folder as it was, below `left/` beside `certs/`.
//!
//! Leaving is one rename of a whole folder. Killed before it a home is as it was, after it the home has left; there is nothing in
//! between, and moving the folder back takes it back.

use std::{
    cmp::Reverse,
    fs, io,
    path::{Path, PathBuf},
};

use rustix::{fs::symlinkat, io::Errno};

use super::{
    CertsDir, Circle, Inspected, OutsideOptions, TlsError,
    ca::{others, own_name},
    hold_list, io_error,
};
use crate::{
    disk::{move_new, sync_folder},
    id::Short as _,
    manifest::Timestamp,
    private,
    trust::write_durably,
};

/// The folder beside `certs/`.
const LEFT: &str = "left";
/// Characters of a date.
const DATE: usize = "2026-11-30".len();
/// What says, in a folder, that the circle has revoked its keys.
const REVOKED: &str = "revoked";
/// Folders of one day.
const MOST: usize = 1000;

/// The folder that circles which were left are in, beside `dir`.
pub fn left_root(dir: &CertsDir) -> PathBuf {
    dir.path().with_file_name(LEFT)
}

/// The circles that were left, the last one first. Whom an outside authority's settings allow now counts for one that was left too.
pub fn left(dir: &CertsDir) -> Vec<CertsDir> {
    let options = OutsideOptions {
        allowed: dir.allowed(),
        ..OutsideOptions::default()
    };
    let listed = fs::read_dir(left_root(dir)).into_iter().flatten();
    let folders = listed.filter_map(|entry| {
        let folder = CertsDir::new(entry.ok()?.path());
        Some(folder.with(options.clone()))
    });
    let mut folders: Vec<_> = folders.filter(|dir| dir.ca_cert().exists()).collect();
    folders.sort_by_cached_key(|dir| Reverse((date_of(dir), number_of(dir))));
    folders
}

/// Notes that the keys in `left`, a folder that was set aside, are revoked: moved back they would be of no use.
pub fn note_revoked(left: &CertsDir, now: Timestamp) {
    let path = left.path().join(REVOKED);
    if let Err(error) = write_durably(&path, format!("{now}\n").as_bytes(), 0o600) {
        tracing::debug!(%error, "it is not noted that what was left is revoked");
    }
}

/// Whether the keys in `dir` are known to be revoked: by the revocation list there, or because the circle's machine said so when
/// they were left.
pub fn is_known_revoked(dir: &CertsDir) -> bool {
    let by_list = || {
        let own = Inspected::peer(dir)?;
        Ok::<_, TlsError>(Circle::load(dir)?.is_revoked(&own.caller))
    };
    dir.path().join(REVOKED).exists() || by_list().unwrap_or(false)
}

/// A folder of another circle that was moved into `dir` instead of to its place, which another one had taken.
pub fn nested(dir: &CertsDir) -> Option<CertsDir> {
    let listed = fs::read_dir(dir.path()).into_iter().flatten();
    let mut folders = listed.filter_map(|entry| Some(CertsDir::new(entry.ok()?.path())));
    folders.find(|folder| folder.ca_cert().exists())
}

/// The date in the name of a folder.
fn date_of(dir: &CertsDir) -> String {
    name_of(dir).chars().take(DATE).collect()
}

/// The number in the name of a folder, where several circles were left on one day: year, month, day and circle come before it.
fn number_of(dir: &CertsDir) -> usize {
    let number = name_of(dir).split('-').nth(4).map(str::to_owned);
    number.and_then(|number| number.parse().ok()).unwrap_or(1)
}

fn name_of(dir: &CertsDir) -> String {
    let name = dir.path().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether `dir` is of a circle that has no other member, so that it can be left for another one without a question. A record of
/// what was issued that cannot be read says nothing.
pub fn is_alone(dir: &CertsDir) -> bool {
    dir.ca_key().exists() && others(dir).is_ok_and(|others| others.is_empty())
}

/// The name of the peer of `dir`, if its circle has no other member.
pub fn name_alone(dir: &CertsDir) -> Option<String> {
    is_alone(dir).then(|| own_name(dir).ok()).flatten()
}

/// Moves the folder `dir` to those that were left, and returns where it is. Its name has the date and the beginning of the
/// circle's id; if one was left on that day, a number too, by which the last one is known.
///
/// # Errors
/// [`TlsError::Mounted`] if the folder is a mount point; [`TlsError::Io`].
pub fn set_aside(dir: &CertsDir, now: Timestamp) -> Result<CertsDir, TlsError> {
    let root = left_root(dir);
    private::make_folder(&root).map_err(|e| io_error(&root, e))?;
    let circle = Circle::id_of(dir).map_or("unknown".to_owned(), |id| id.short());
    let date: String = now.to_string().chars().take(DATE).collect();
    let of_today = left(dir).into_iter().filter(|dir| date_of(dir) == date);
    let first = of_today.map(|dir| number_of(&dir)).max().unwrap_or(0) + 1;
    for number in first..first.saturating_add(MOST) {
        let name = match number {
            1 => format!("{date}-{circle}"),
            number => format!("{date}-{circle}-{number}"),
        };
        match move_to(dir, &root, &name) {
            Ok(()) => return Ok(CertsDir::new(root.join(name))),
            Err(Errno::EXIST | Errno::NOTEMPTY) => {}
            Err(Errno::BUSY | Errno::XDEV) => {
                let path = dir.path().to_owned();
                return Err(TlsError::Mounted { path });
            }
            Err(error) => return Err(io_error(dir.path(), error.into())),
        }
    }
    Err(io_error(&root, io::ErrorKind::AlreadyExists.into()))
}

/// Gives `dir` the name `name` in the folder `root`, which is beside it. A link to a folder elsewhere is made anew there before the
/// old one goes: a relative one would lead somewhere else.
fn move_to(dir: &CertsDir, root: &Path, name: &str) -> Result<(), Errno> {
    let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let home = private::open_folder(home_of(dir)).map_err(errno)?;
    let to = private::open_folder(root).map_err(errno)?;
    match dir.path().is_symlink() {
        true => {
            let target = fs::canonicalize(dir.path()).map_err(errno)?;
            symlinkat(target, &to, name)?;
            sync_folder(&to)?;
            fs::remove_file(dir.path()).map_err(errno)?;
        }
        false => {
            let certs = dir.path().file_name().unwrap_or_default();
            move_new((&home, &certs.to_string_lossy()), (&to, name))?;
            sync_folder(&to)?;
        }
    }
    sync_folder(&home)
}

fn home_of(dir: &CertsDir) -> &Path {
    match dir.path().parent() {
        Some(home) if !home.as_os_str().is_empty() => home,
        _ => Path::new("."),
    }
}

/// [`set_aside`] of a circle without another member, while nobody can be let in. Returns `None` where no circle's key is.
///
/// # Errors
/// [`TlsError::Exists`] if another member is in it; those of [`set_aside`].
pub fn set_aside_alone(dir: &CertsDir) -> Result<Option<CertsDir>, TlsError> {
    if !dir.ca_key().exists() {
        return Ok(None);
    }
    let _nobody_joins = hold_list(dir)?;
    match is_alone(dir) {
        true => set_aside(dir, Timestamp::now()).map(Some),
        false => Err(TlsError::Exists {
            path: dir.server_cert(),
        }),
    }
}

/// Moves a folder that was set aside back to `dir`.
pub(super) fn take_back(left: &CertsDir, dir: &CertsDir) -> Result<(), TlsError> {
    let home = home_of(dir);
    fs::rename(left.path(), dir.path()).map_err(|e| io_error(dir.path(), e))?;
    let synced = private::open_folder(home).and_then(|home| Ok(sync_folder(home)?));
    synced.map_err(|e| io_error(home, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ca::{self, CertificateOptions};

    fn circle(dir: &CertsDir) -> Vec<u8> {
        ca::init(dir, "a", &CertificateOptions::default()).unwrap();
        fs::read(dir.server_key()).unwrap()
    }

    #[test]
    fn each_circle_that_is_left_has_a_folder_of_its_own_and_the_last_is_first() {
        let root = tempfile::tempdir().unwrap();
        let dir = CertsDir::new(root.path().join("certs"));
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let mut keys = Vec::new();
        for days in [0, 0, 1] {
            keys.push(circle(&dir));
            let left = set_aside(&dir, now.plus_seconds(days * 24 * 3600)).unwrap();
            assert!(!dir.path().exists());
            assert_eq!(fs::read(left.server_key()).unwrap(), keys[keys.len() - 1]);
        }
        let key = |dir: &CertsDir| fs::read(dir.server_key()).unwrap();
        let in_order: Vec<_> = left(&dir).iter().map(key).collect();
        keys.reverse();
        assert_eq!(in_order, keys);
        assert_eq!(left(&dir).len(), 3);
        // The same circle twice on one day.
        let first = left(&dir).remove(2);
        take_back(&first, &dir).unwrap();
        fs::create_dir(first.path()).unwrap();
        let again = set_aside(&dir, now).unwrap();
        assert!(number_of(&again) == 3, "{:?}", again.path());
    }

    #[test]
    fn a_record_that_is_missing_does_not_say_that_nobody_else_is_there() {
        let root = tempfile::tempdir().unwrap();
        let dir = CertsDir::new(root.path().join("certs"));
        circle(&dir);
        assert!(is_alone(&dir));
        let record = fs::read(dir.issued()).unwrap();
        for wrong in [None, Some(&b"{}"[..]), Some(b"nonsense\n")] {
            match wrong {
                None => fs::remove_file(dir.issued()).unwrap(),
                Some(text) => fs::write(dir.issued(), text).unwrap(),
            }
            assert!(!is_alone(&dir), "{wrong:?}");
            set_aside_alone(&dir).unwrap_err();
            assert!(dir.server_key().exists());
        }
        fs::write(dir.issued(), record).unwrap();
        let b = CertsDir::new(root.path().join("b"));
        ca::issue(&dir, "b", &b, &CertificateOptions::default()).unwrap();
        assert!(!is_alone(&dir));
        ca::revoke(&dir, "b").unwrap();
        assert!(is_alone(&dir));
    }

    #[test]
    fn a_link_to_a_folder_elsewhere_leads_there_still() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home");
        fs::create_dir(&home).unwrap();
        let elsewhere = CertsDir::new(root.path().join("keys"));
        let key = circle(&elsewhere);
        let dir = CertsDir::new(home.join("certs"));
        std::os::unix::fs::symlink("../keys", dir.path()).unwrap();
        let left = set_aside(&dir, Timestamp::now()).unwrap();
        assert!(!dir.path().is_symlink());
        assert_eq!(fs::read(left.server_key()).unwrap(), key);
        take_back(&left, &dir).unwrap();
        assert_eq!(fs::read(dir.server_key()).unwrap(), key);
    }
}
