//! The file by which a folder of received files is known: nothing in it, which others chose, is ever taken as a home.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, openat},
    io::Errno,
};

/// Its name. No received entry can have it: the names at the top of a transfer begin with no dot here.
pub const MARKER: &str = ".colis-received";
const TEXT: &str = "Files that others sent with colis are received into this folder. Nothing in it is taken as a home of colis.\n";

/// Marks the folder `root`, unless it is.
pub(super) fn mark(root: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(root, MARKER, flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => File::from(file).write_all(TEXT.as_bytes()),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether `folder` is marked. Where many can write, only the owner of the folder and this user can mark it: nobody else keeps
/// a home from being one.
pub fn is_marked(folder: &Path) -> bool {
    let marker = fs::symlink_metadata(folder.join(MARKER));
    marker.is_ok_and(|marker| {
        let by_owner = || fs::metadata(folder).is_ok_and(|folder| folder.uid() == marker.uid());
        let by_us = marker.uid() == rustix::process::geteuid().as_raw();
        marker.is_file() && (by_us || by_owner())
    })
}

/// The marked folder that `path` is or is in, wherever links lead.
pub fn marked_around(path: &Path) -> Option<PathBuf> {
    // What is not there yet would be made in the nearest that is.
    let there = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    let marked = there.ancestors().find(|folder| is_marked(folder));
    marked.map(Path::to_owned)
}
