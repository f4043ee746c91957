//! What a disk has room for, in bytes and in files, less a reserve that stays free. Whoever writes what others sent asks here.
//! And what its file system cannot do, with what is done in its place: one place for each.

mod cache;
mod held;
mod lacks;
mod names;
mod replace;
mod size;

use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt as _},
    path::Path,
};

use rustix::fs::{StatVfs, fstatvfs, statfs, statvfs};

pub(crate) use cache::drop_synced;
pub(crate) use held::{Held, Link, is_at, is_same};
pub use lacks::{Lack, lacks};
pub(crate) use names::{has_no_links, is_lacking, move_new, sync_folder};
pub use replace::write_durably;
pub(crate) use size::SIZES;
pub use size::Size;

/// What is kept free for manifests, receipts, journals and logs, unless the disk is small.
const RESERVE: u64 = 1 << 30;
/// The same in files.
const RESERVE_FILES: u64 = 10_000;
/// What `statfs(2)` calls btrfs.
const BTRFS: rustix::fs::FsWord = 0x9123_683e;
/// The reserve of a small disk is this part of it.
const SMALL: u64 = 50;

/// Whether what is written to one of two folders takes from what the other has. So it is on one file system, and on two subvolumes
/// of btrfs, which have devices of their own. Where the system does not tell, it is.
pub(crate) fn is_shared(one: &Path, other: &Path) -> bool {
    let device = |path| fs::metadata(path).map(|found| found.dev());
    let (Ok(here), Ok(there)) = (device(one), device(other)) else {
        return true;
    };
    let size = |path| {
        let found = statfs(path).ok()?;
        (found.f_type == BTRFS).then_some(found.f_blocks)
    };
    here == there || size(one).is_some_and(|blocks| size(other) == Some(blocks))
}

/// What the disk says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free for us; as many as there can be if the file system does not count them.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
    /// How many more files and folders there can be, and how many in all; `None` if the file system does not count them.
    pub files: Option<(u64, u64)>,
}

impl Disk {
    /// The disk that `path` is on.
    ///
    /// # Errors
    /// That the system does not tell.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::new(&statvfs(path)?))
    }

    /// The disk that an open file or folder is on.
    ///
    /// # Errors
    /// That the system does not tell.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::new(&fstatvfs(file)?))
    }

    fn new(stat: &StatVfs) -> Self {
        // Many a FUSE file system does not tell: it finds out while writing.
        let told = |blocks: u64| match stat.f_blocks {
            0 => u64::MAX,
            _ => blocks.saturating_mul(stat.f_frsize),
        };
        Self {
            free: told(stat.f_bavail),
            size: told(stat.f_blocks),
            files: (stat.f_files > 0).then_some((stat.f_favail, stat.f_files)),
        }
    }

    /// What it has room for beside `reserve` bytes; by default 1 GiB, or 2 % of a small disk.
    pub fn room(self, reserve: Option<u64>) -> Room {
        let usable = |(free, all): (u64, u64)| {
            let reserve = RESERVE_FILES.min(all / SMALL);
            free.saturating_sub(reserve)
        };
        Room {
            free: self.free,
            reserve: reserve.unwrap_or_else(|| RESERVE.min(self.size / SMALL)),
            files: self.files.map_or(u64::MAX, usable),
        }
    }
}

/// What a disk has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free on the disk, for us.
    pub free: u64,
    /// Bytes of it that stay free.
    pub reserve: u64,
    /// How many files and folders may still be made.
    pub files: u64,
}

impl Room {
    /// Bytes that may still be written.
    pub fn usable(self) -> u64 {
        self.free.saturating_sub(self.reserve)
    }

    /// Whether so many bytes in so many files and folders may be written.
    ///
    /// # Errors
    /// What there is not enough of.
    pub fn check(self, bytes: u64, files: u64) -> Result<(), NoRoom> {
        let lacks = |needed, free| (needed > free).then_some((needed, free));
        if let Some((needed, free)) = lacks(bytes, self.usable()) {
            return Err(NoRoom::Bytes { needed, free });
        }
        match lacks(files, self.files) {
            Some((needed, free)) => Err(NoRoom::Files { needed, free }),
            None => Ok(()),
        }
    }
}

/// Why something must not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoom {
    /// Too few bytes are free beside the reserve.
    #[error("no space: {} needed, {} free", Size(*.needed), Size(*.free))]
    Bytes {
        /// Bytes needed.
        needed: u64,
        /// Bytes that may be written.
        free: u64,
    },
    /// The file system can have too few files more beside the reserve.
    #[error("no space for so many files: {needed} needed, {free} can still be made on this disk")]
    Files {
        /// Files and folders needed.
        needed: u64,
        /// Files and folders that may be made.
        free: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_of_bytes_and_of_files_stays_free() {
        let disk = Disk {
            free: 1_000,
            size: 2_000,
            files: Some((500, 5_000)),
        };
        let room = disk.room(None);
        assert_eq!((room.usable(), room.files), (960, 400));
        room.check(960, 400).unwrap();
        let (needed, free) = (961, 960);
        assert_eq!(room.check(961, 401), Err(NoRoom::Bytes { needed, free }));
        let (needed, free) = (401, 400);
        assert_eq!(room.check(960, 401), Err(NoRoom::Files { needed, free }));
        assert_eq!(disk.room(Some(2_000)).usable(), 0);
        let uncounted = Disk {
            files: None,
            ..disk
        };
        uncounted.room(Some(0)).check(1_000, u64::MAX).unwrap();
    }
}
