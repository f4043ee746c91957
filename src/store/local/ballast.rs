//! Bytes that are given up when the disk is full: then there is room to record that something is let go. Without them a full
//! disk could not be emptied, for what goes is recorded first.

use std::{io, path::Path, path::PathBuf};

use super::{
    Inner, LocalStore,
    disk::{DiskError, Folder},
};
use crate::disk::Disk;

const NAME: &str = "ballast";
/// Room for some records of a block each.
const LENGTH: usize = 64 << 10;
/// It is kept only where there is so much more.
const ROOM: u64 = 16 * LENGTH as u64;

impl LocalStore {
    /// Gives up the ballast of the store at `root` if the disk of `folder` is nearly full: something must be written there.
    pub fn make_room(root: &Path, folder: &Path) {
        if Disk::at(folder).is_ok_and(|disk| disk.free < LENGTH as u64) {
            // Without it there is no more to give.
            let _ = give_up(root);
        }
    }
}

impl Inner {
    /// Makes the ballast if it is not there and the disk has room for it.
    pub(super) fn keep_ballast(&self) {
        let kept = self.disk().is_ok_and(|disk| disk.free > ROOM) && !self.has_ballast();
        if kept && let Err(error) = self.make_ballast() {
            tracing::debug!(?error, "no ballast is kept");
        }
    }

    /// Does `write`, once more without the ballast if the disk is full.
    pub(super) fn write_surely(
        &self,
        write: impl Fn() -> Result<(), (PathBuf, DiskError)>,
    ) -> Result<(), (PathBuf, DiskError)> {
        match write() {
            Err((_, DiskError::Full)) if give_up(&self.root).is_ok() => write(),
            done => done,
        }
    }

    fn has_ballast(&self) -> bool {
        self.root.join("state").join(NAME).exists()
    }

    fn make_ballast(&self) -> Result<(), DiskError> {
        // A file system that compresses must not make it small.
        let mut bytes = vec![0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        let folder = Folder::open(self.root.join("state"))?;
        folder.create(NAME, &bytes).map(drop)
    }
}

fn give_up(root: &Path) -> io::Result<()> {
    std::fs::remove_file(root.join("state").join(NAME))
}
