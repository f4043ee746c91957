//! The beginning of a staging, beside other processes that begin and end theirs.

use std::{
    fs::{File, TryLockError},
    io::ErrorKind::NotFound,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
    sync::Arc,
};

use rustix::fs::{AtFlags, Mode, OFlags, unlinkat};

use super::{ATTEMPTS, LOCK, TREE};
use crate::{
    lock::Locked,
    received::{
        Received, ReceivedError, STAGINGS, io_error, kind_at, make_folder, open_beneath, probe,
    },
};

/// A staging that was begun: its root, its folder, the folder of what is built in it, and its lock.
type Begun = (Arc<OwnedFd>, OwnedFd, OwnedFd, Locked);

/// Begins or continues the staging `key` in the folder that the path of `received` leads to now. A receive that ends meanwhile
/// removes the folder of stagings if it is empty, which it is until ours is in it: then it is made again.
pub(super) fn begin(received: &Received, key: &str, path: &Path) -> Result<Begun, ReceivedError> {
    let mut attempts = 0..ATTEMPTS;
    loop {
        let root = received.root()?;
        match begin_in(&root, key, path) {
            Ok((folder, tree, lock)) => return Ok((root, folder, tree, lock)),
            Err(error) if vanished(&error) && attempts.next().is_some() => {}
            Err(error) => {
                // An empty folder of stagings does not stay.
                let _ = unlinkat(&root, STAGINGS, AtFlags::REMOVEDIR);
                return Err(error);
            }
        }
    }
}

fn vanished(error: &ReceivedError) -> bool {
    matches!(error, ReceivedError::Io { source, .. } if source.kind() == NotFound)
}

/// The staging `key` in `root`, made if it is not there: its folder, the folder of what is built, and its lock.
fn begin_in(
    root: &OwnedFd,
    key: &str,
    path: &Path,
) -> Result<(OwnedFd, OwnedFd, Locked), ReceivedError> {
    let all = make_folder(root, STAGINGS, 0o700, path)?;
    probe::check_ours(&all, root, path)?;
    let (folder, lock) = make_locked(&all, key, path).inspect_err(|_| {
        // One that another process builds in is not empty.
        let _ = unlinkat(&all, key, AtFlags::REMOVEDIR);
    })?;
    let tree = make_folder(&folder, TREE, 0o700, path)?;
    Ok((folder, tree, lock))
}

/// The folder `key`, made if it is not there, and its lock. The holder of a lock may remove the folder with it when it is
/// done, for example a receive of the same transfer in another process: then it is made anew.
fn make_locked(all: &OwnedFd, key: &str, path: &Path) -> Result<(OwnedFd, Locked), ReceivedError> {
    let flags = OFlags::RDWR | OFlags::CREATE;
    loop {
        let folder = make_folder(all, key, 0o700, path)?;
        let mode = Mode::from_raw_mode(0o600);
        let file = File::from(open_beneath(&folder, LOCK, flags, mode, path)?);
        let file = match Locked::take(file) {
            Ok(locked) => locked,
            Err(TryLockError::WouldBlock) => {
                return Err(ReceivedError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(e)) => return Err(io_error(path, e)),
        };
        // Removed while it is open it may have become a hidden file, which counts as a link.
        let links = file.metadata().map_err(|e| io_error(path, e))?.nlink();
        if links > 0 && kind_at(&folder, LOCK).is_some() {
            return Ok((folder, file));
        }
    }
}
