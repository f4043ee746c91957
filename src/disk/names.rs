//! Names of a folder on every file system: giving one without replacing another, and making them durable.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, fsync, linkat, mkdirat, openat,
        renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};

/// Moves `from` to a name that must be free: [`Errno::EXIST`] if it is taken. Nothing is ever replaced.
///
/// NFS, 9p and most FUSE file systems know no rename that replaces nothing. A file gets its second name by a link there,
/// a folder goes over an empty one that was made for it.
pub(crate) fn move_new(
    (folder, from): (impl AsFd, &str),
    (to_folder, to): (impl AsFd, &str),
) -> Result<(), Errno> {
    let (from, to) = ((folder.as_fd(), from), (to_folder.as_fd(), to));
    match renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        Err(error) if is_lacking(error) => move_without_flag(from, to),
        done => done,
    }
}

/// One end of a move: the folder and the name in it.
type End<'a> = (BorrowedFd<'a>, &'a str);

fn move_without_flag(from: End<'_>, to: End<'_>) -> Result<(), Errno> {
    let moved = look(from.0, from.1)?;
    if FileType::from_raw_mode(moved.st_mode).is_dir() {
        return move_folder(from, to);
    }
    match linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
        Ok(()) => unlinkat(from.0, from.1, AtFlags::empty()),
        // A run that was killed before it took the first name away, or a server whose answer was lost.
        Err(Errno::EXIST) if look(to.0, to.1).is_ok_and(|there| is_same(&there, &moved)) => {
            unlinkat(from.0, from.1, AtFlags::empty())
        }
        Err(error) if is_lacking(error) => move_over_own(from, to),
        Err(error) => Err(error),
    }
}

fn move_folder(from: End<'_>, to: End<'_>) -> Result<(), Errno> {
    mkdirat(to.0, to.1, Mode::RWXU)?;
    match renameat(from.0, from.1, to.0, to.1) {
        Ok(()) => Ok(()),
        // Somebody put something into it meanwhile: then it is theirs.
        Err(Errno::NOTEMPTY) => Err(Errno::EXIST),
        Err(error) => {
            let _ = unlinkat(to.0, to.1, AtFlags::REMOVEDIR);
            Err(error)
        }
    }
}

/// Without links, the free name is taken by an empty file, which only a file of ours replaces. A crash between the two
/// leaves the empty file.
fn move_over_own(from: End<'_>, to: End<'_>) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let own = fstat(openat(to.0, to.1, flags, Mode::RUSR | Mode::WUSR)?)?;
    let there = look(to.0, to.1)?;
    if there.st_size != 0 || !is_same(&there, &own) {
        return Err(Errno::EXIST);
    }
    let moved = renameat(from.0, from.1, to.0, to.1);
    if moved.is_err() {
        let _ = unlinkat(to.0, to.1, AtFlags::empty());
    }
    moved
}

/// Makes the names in `folder` durable, where the file system can: CIFS and some others refuse to sync a folder, which
/// says nothing of the disk.
pub(crate) fn sync_folder(folder: impl AsFd) -> Result<(), Errno> {
    match fsync(folder.as_fd()) {
        Err(error) if is_lacking(error) => Ok(()),
        synced => synced,
    }
}

/// Whether `error` says that a file system cannot do a thing at all. Which of these it is differs from one to the next.
pub(crate) fn is_lacking(error: Errno) -> bool {
    matches!(
        error,
        Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::PERM | Errno::NOTTY
    )
}

/// Whether a file system that answers `error` to a new link has none. A mount of cloud storage says so with errors of broken
/// disks, which other writes will meet too; a full one has links.
pub(crate) fn has_no_links(error: Errno) -> bool {
    is_lacking(error)
        || matches!(
            error,
            Errno::IO | Errno::ACCESS | Errno::NOENT | Errno::REMOTEIO
        )
}

fn look(folder: impl AsFd, name: &str) -> Result<Stat, Errno> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn nothing_is_replaced_without_the_flag_either() {
        type Way = fn(End<'_>, End<'_>) -> Result<(), Errno>;
        let ways: [(Way, bool); 3] = [
            (move_without_flag, false),
            (move_without_flag, true),
            (move_over_own, false),
        ];
        for (way, folders) in ways {
            let root = tempfile::tempdir().unwrap();
            let path = |name: &str| root.path().join(name);
            let make = |name: &str| {
                if folders {
                    fs::create_dir(path(name)).unwrap();
                }
                fs::write(
                    if folders {
                        path(name).join("in")
                    } else {
                        path(name)
                    },
                    name,
                )
                .unwrap();
            };
            let read = |name: &str| {
                fs::read_to_string(if folders {
                    path(name).join("in")
                } else {
                    path(name)
                })
                .unwrap()
            };
            make("from");
            make("taken");
            let folder = File::open(root.path()).unwrap();
            let end = |name| (folder.as_fd(), name);
            assert_eq!(way(end("from"), end("taken")), Err(Errno::EXIST));
            assert_eq!(
                (read("from"), read("taken")),
                ("from".into(), "taken".into())
            );
            assert_eq!(way(end("from"), end("free")), Ok(()));
            assert_eq!(
                (read("free"), path("from").exists()),
                ("from".into(), false)
            );
            assert_eq!(way(end("from"), end("other")), Err(Errno::NOENT));
            assert!(!path("other").exists());
        }
    }

    #[test]
    fn a_move_that_was_killed_between_its_two_names_is_finished() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("from"), "x").unwrap();
        fs::hard_link(root.path().join("from"), root.path().join("to")).unwrap();
        let folder = File::open(root.path()).unwrap();
        let end = |name| (folder.as_fd(), name);
        assert_eq!(move_without_flag(end("from"), end("to")), Ok(()));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
