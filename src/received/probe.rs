//! What the file system of a staging can do, tried before anything is planned.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fstat, openat, symlinkat, unlinkat},
    io::Errno,
    process::geteuid,
};

use super::{Danger, Names, ReceivedError, Staging, error_at, kind_at, staging::LOCK};
use crate::disk::has_no_links;

/// A name that has a second normal form, and that form.
const PROBE: [&str; 2] = ["probe-\u{e9}", "probe-e\u{301}"];
/// A link that shows whether there can be any.
const LINK_PROBE: &str = "probe-link";

impl Staging {
    /// Which names are one on its file system, as far as that can be found out. Where it cannot,
    /// [`check_count`](Self::check_count) finds it.
    pub fn names(&self) -> Names {
        let is_there = |name: &str| kind_at(&self.folder, name).is_some();
        let folds_case = is_there(&LOCK.to_uppercase());
        let [probe, other_form] = PROBE;
        let folds_forms = || self.new_file(probe).is_ok() && is_there(other_form);
        let names = if folds_case || folds_forms() {
            Names::Folded
        } else {
            Names::Exact
        };
        // It may not have been made.
        let _ = unlinkat(&self.folder, probe, AtFlags::empty());
        names
    }

    /// Whether its file system has symbolic links.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn has_symlinks(&self) -> Result<bool, ReceivedError> {
        let made = symlinkat("probe", &self.folder, LINK_PROBE);
        // It may not have been made.
        let _ = unlinkat(&self.folder, LINK_PROBE, AtFlags::empty());
        match made {
            Ok(()) | Err(Errno::EXIST) => Ok(true),
            Err(error) if has_no_links(error) => Ok(false),
            Err(error) => Err(error_at(&self.path, error)),
        }
    }
}

/// Where many can write, somebody may have made the folder of stagings before us, to lead what we write elsewhere.
///
/// # Errors
/// [`ReceivedError::Unsafe`] if that can be.
pub(super) fn check_ours(
    stagings: &OwnedFd,
    root: &OwnedFd,
    path: &Path,
) -> Result<(), ReceivedError> {
    let stat = fstat(stagings).map_err(|e| error_at(path, e))?;
    let is_ours = stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o022 == 0;
    if is_ours || !keeps_modes(root) {
        return Ok(());
    }
    Err(ReceivedError::Unsafe {
        path: path.to_owned(),
        danger: Danger::NotOurs,
    })
}

/// Whether the file system says whose a file is. FAT, and often CIFS and 9p, have one owner and one mode for all: then
/// nothing there can be told to be ours. A file that is made here and now is looked at, which nobody can exchange.
fn keeps_modes(folder: &OwnedFd) -> bool {
    let made = make_unnamed(folder).or_else(|_| make_and_remove(folder));
    let stat = made.and_then(|file| fstat(&file));
    stat.map_or(true, |stat| {
        stat.st_uid == geteuid().as_raw() && stat.st_mode & 0o077 == 0
    })
}

fn make_unnamed(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(folder, ".", flags, Mode::RUSR | Mode::WUSR)
}

/// The same where a file system has no files without names.
fn make_and_remove(folder: &OwnedFd) -> Result<OwnedFd, Errno> {
    let number = getrandom::u64().map_err(|_| Errno::IO)?;
    let name = format!(".colis-probe-{number:x}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let made = openat(folder, &name, flags, Mode::RUSR | Mode::WUSR)?;
    let _ = unlinkat(folder, &name, AtFlags::empty());
    Ok(made)
}
