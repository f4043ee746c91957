//! What is in an open folder, by its descriptor: its path may have become another's, and `/proc`, by which a descriptor has
//! a path, is not mounted everywhere.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io,
    os::fd::OwnedFd,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat, unlinkat},
    io::Errno,
    path::Arg,
};

use crate::{id::Digest, private};

/// Entries, and the bytes that they take on the disk.
#[derive(Debug, Default)]
pub(super) struct Size {
    pub(super) entries: usize,
    pub(super) bytes: u64,
}

/// The names in `folder`.
pub(super) fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Adds what is in `folder`, and in the folders in it.
pub(super) fn measure(folder: &OwnedFd, size: &mut Size) -> Result<(), Errno> {
    for name in names(folder)? {
        let stat = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        size.entries += 1;
        size.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            measure(&open(folder, &name)?, size)?;
        }
    }
    Ok(())
}

/// Removes `name` from `folder`, with all that is in it. It need not be there. No link is followed.
pub(super) fn remove_all(folder: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    let inner = open(folder, name)?;
    for name in names(&inner)? {
        remove_all(&inner, &name)?;
    }
    match unlinkat(folder, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The bytes of the file `name` in `folder`, if it is there.
pub(super) fn read(folder: &OwnedFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    private::read_whole(&mut File::from(file)).map(Some)
}

/// What `name` in `folder` is now: another file or folder, another length of a file or another time of change give another digest.
/// Where it is, what it is called and what a folder has in it do not count.
pub(super) fn state(folder: &OwnedFd, name: &str) -> Result<Digest, Errno> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
    let mut state = format!("{} {} {is_folder}", stat.st_dev, stat.st_ino);
    if !is_folder {
        // A folder has other times once something beside what was built was in it.
        state += &format!(" {} {} {}", stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    }
    Ok(Digest::of(state.as_bytes()))
}

fn open(folder: &OwnedFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_folder_is_measured_and_removed_and_no_link_in_it_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("all/a/b/c")).unwrap();
        fs::write(path("all/a/b/f"), vec![1; 10_000]).unwrap();
        fs::create_dir(path("outside")).unwrap();
        fs::write(path("outside/f"), "kept").unwrap();
        symlink(path("outside"), path("all/a/link")).unwrap();
        let folder = OwnedFd::from(File::open(root.path()).unwrap());
        let mut size = Size::default();
        measure(&open(&folder, "all").unwrap(), &mut size).unwrap();
        assert_eq!(size.entries, 5);
        assert!(size.bytes >= 10_000);
        assert_eq!(read(&folder, "nothing").unwrap(), None);
        remove_all(&folder, c"all").unwrap();
        remove_all(&folder, c"all").unwrap();
        assert_eq!(names(&folder).unwrap(), [c"outside".to_owned()]);
        assert_eq!(fs::read_to_string(path("outside/f")).unwrap(), "kept");
    }
}
