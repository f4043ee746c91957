//! Durable files in one folder. What is created here is whole and survives loss of power, or it is not there.
//!
//! A file gets its name only after its bytes are safe: it is written without a name (O_TMPFILE), synced, then linked, and
//! the folder is synced before anybody is told. One sync of a folder serves everybody who came before it began.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{
    buffer::spare_capacity,
    fs::{
        AtFlags, CWD, Dir, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, linkat,
        openat, statat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::group_sync::{GroupSync, Naming};
use crate::{
    disk::{Disk, drop_synced, is_lacking, move_new},
    sabotage,
};

/// What became of a file that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Created {
    New,
    /// A file of that name and length was there; it is durable too.
    WasThere,
    /// Something else has that name. Nothing was changed.
    InTheWay,
}

/// Why a file is not durable.
#[derive(Debug)]
pub(in crate::store) enum DiskError {
    /// No space. The disk is well.
    Full,
    /// No file may be so large. The disk is well.
    TooLarge,
    /// The disk or a sync failed: what is on disk is not known any more.
    Failed(io::Error),
    /// Nothing was written, for a reason that passes: no descriptor or memory left, say.
    Other(io::Error),
}

/// What became of a file that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Done,
    NotThere,
    /// The name is taken where it should go. Nothing was changed.
    InTheWay,
}

/// What the names of files begin with that are not yet in their place.
pub(in crate::store) const STAGED: &str = ".staged-";

/// One folder, open.
pub(in crate::store) struct Folder {
    /// `None` of one that is read as empty, because it is not there.
    fd: Option<OwnedFd>,
    path: PathBuf,
    sync: GroupSync,
}

impl Folder {
    /// Opens the folder at `path`, which is a real one.
    pub(in crate::store) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self {
            fd: Some(fd),
            path,
            sync: GroupSync::default(),
        })
    }

    /// The same for reading alone: a folder that is not there is empty. A backup may leave out empty ones.
    pub(in crate::store) fn open_or_empty(path: PathBuf) -> io::Result<Self> {
        match Self::open(path.clone()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self {
                fd: None,
                path,
                sync: GroupSync::default(),
            }),
            opened => opened,
        }
    }

    fn fd(&self) -> Result<&OwnedFd, Errno> {
        self.fd.as_ref().ok_or(Errno::NOENT)
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file `name` with `bytes`, durably.
    pub(in crate::store) fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let created = self.write_new(name, bytes)?;
        self.sync.sync(self.fd()?)?;
        Ok(created)
    }

    /// Waits until the names that can be seen in this folder are durable.
    pub(in crate::store) fn settle(&self) -> Result<(), DiskError> {
        self.sync.settle(self.fd()?)
    }

    /// Waits until every change of this folder that came before is durable.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.sync.sync(self.fd()?)
    }

    /// Puts `bytes` in the place of the file `name`, durably: after a crash it has the old content or the new.
    pub(super) fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        let staged = tempfile::Builder::new()
            .prefix(STAGED)
            .tempfile_in(&self.path)?;
        write_and_sync(staged.as_file(), bytes)?;
        let naming = self.naming();
        let replaced = staged.persist(self.path.join(name));
        drop(naming);
        replaced.map_err(|e| e.error)?;
        self.sync.sync(self.fd()?)
    }

    /// The regular file `name`, open for reading; anything else in its place is as if it were not there.
    pub(in crate::store) fn file(&self, name: &str) -> io::Result<Option<File>> {
        Ok(self.file_of_length(name)?.map(|(file, _)| file))
    }

    /// The same, with its length.
    fn file_of_length(&self, name: &str) -> io::Result<Option<(File, u64)>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = self
            .fd()
            .and_then(|fd| openat(fd, name, flags, Mode::empty()));
        let file = match opened {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let found = file.metadata()?;
        Ok(found.is_file().then_some((file, found.len())))
    }

    /// The bytes of the file `name`, if it has at most `max`.
    pub(in crate::store) fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some((file, length)) = self.file_of_length(name)? else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > max {
            return Ok(None);
        }
        // One byte more than it has, so that its end is seen without asking for its length again.
        let mut bytes = Vec::with_capacity(length + 1);
        while bytes.len() <= length {
            match rustix::io::read(&file, spare_capacity(&mut bytes)) {
                Ok(0) => return Ok(Some(bytes)),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        // It grows while it is read. No file of a store does.
        Ok(None)
    }

    /// The length of the regular file `name`.
    pub(in crate::store) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        let stat = match self.stat(name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let is_file =
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
        Ok(is_file.then(|| u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// The length of the file `name`, and when it was last touched.
    pub(super) fn touched(&self, name: &str) -> io::Result<Option<(u64, SystemTime)>> {
        let stat = match self.stat(name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let seconds = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
        let nanoseconds = Duration::from_nanos(stat.st_mtime_nsec);
        let touched = SystemTime::UNIX_EPOCH + seconds + nanoseconds;
        Ok(Some((u64::try_from(stat.st_size).unwrap_or(0), touched)))
    }

    /// Whether anything at all is called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.stat(name).is_ok()
    }

    fn stat(&self, name: &str) -> Result<Stat, Errno> {
        statat(self.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Lets every sync from now on fail with `error`, or none.
    #[cfg(test)]
    pub(super) fn break_with(&self, error: Option<Errno>) {
        self.sync.break_with(error);
    }

    /// How long ago the file `name` was last touched.
    pub(super) fn age(&self, name: &str, now: SystemTime) -> io::Result<Option<Duration>> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        Ok(Some(
            now.duration_since(file.metadata()?.modified()?)
                .unwrap_or_default(),
        ))
    }

    /// Renews the time of the file `name`: its lease.
    pub(super) fn touch(&self, name: &str) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
        };
        match utimensat(self.fd()?, name, &times, AtFlags::SYMLINK_NOFOLLOW) {
            Err(error) if is_lacking(error) => self.write_again(name),
            touched => Ok(touched?),
        }
    }

    /// Writes the first byte of the file `name` again, which gives it a new time where none can be set.
    fn write_again(&self, name: &str) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat(self.fd()?, name, flags, Mode::empty())?);
        let mut first = [0];
        file.read_exact_at(&mut first, 0)?;
        file.write_all_at(&first, 0)
    }

    /// Removes the file `name`; it need not be there. It may come back after a crash.
    pub(in crate::store) fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self
            .fd()
            .and_then(|fd| unlinkat(fd, name, AtFlags::empty()));
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the file `name`, which does not come back.
    pub(in crate::store) fn remove_durably(&self, name: &str) -> Result<(), DiskError> {
        self.remove(name)?;
        self.sync.sync(self.fd()?)
    }

    /// Moves what is called `name` to `other`. It may be back after a crash.
    pub(super) fn move_to(&self, name: &str, other: &Self) -> io::Result<Moved> {
        match move_new((self.fd()?, name), (other.fd()?, name)) {
            Ok(()) => Ok(Moved::Done),
            Err(Errno::NOENT) => Ok(Moved::NotThere),
            Err(Errno::EXIST) => Ok(Moved::InTheWay),
            Err(e) => Err(e.into()),
        }
    }

    /// Moves what is called `name` to `other`, under another name if that one is taken there.
    pub(super) fn move_aside(&self, name: &str, other: &Self) -> io::Result<()> {
        let mut aside = name.to_owned();
        for again in 1_u64.. {
            match move_new((self.fd()?, name), (other.fd()?, &aside)) {
                Err(Errno::EXIST) => aside = format!("{name}.{again}"),
                Ok(()) | Err(Errno::NOENT) => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Takes the file `name` back from `other`, durably.
    pub(super) fn take_back(&self, name: &str, other: &Self) -> Result<Moved, DiskError> {
        let naming = self.naming();
        let moved = other.move_to(name, self);
        drop(naming);
        let moved = moved?;
        if moved == Moved::Done {
            self.touch(name)?;
            self.sync.sync(self.fd()?)?;
        }
        Ok(moved)
    }

    /// The names in this folder, in order.
    pub(in crate::store) fn names(&self) -> io::Result<Vec<String>> {
        let Ok(fd) = self.fd() else {
            return Ok(Vec::new());
        };
        let mut names = entries(fd)?.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    pub(super) fn is_empty(&self) -> io::Result<bool> {
        match self.fd() {
            Ok(fd) => Ok(entries(fd)?.next().transpose()?.is_none()),
            Err(_) => Ok(true),
        }
    }

    pub(in crate::store) fn disk(&self) -> io::Result<Disk> {
        Disk::of(self.fd()?)
    }

    /// Says that a name is about to appear, so that nobody takes it for durable before it is synced.
    fn naming(&self) -> Naming<'_> {
        self.sync.naming()
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let mode = Mode::from_raw_mode(0o600);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = match openat(self.fd()?, ".", flags, mode) {
            Ok(fd) => File::from(fd),
            // A file system without unnamed files: a name that no chunk can have, and a rename.
            Err(error) if is_lacking(error) || matches!(error, Errno::ISDIR | Errno::NOENT) => {
                return self.write_named(name, bytes);
            }
            Err(e) => return Err(e.into()),
        };
        write_and_sync(&file, bytes)?;
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        let naming = self.naming();
        let linked = linkat(
            CWD,
            unnamed.as_str(),
            self.fd()?,
            name,
            AtFlags::SYMLINK_FOLLOW,
        );
        drop(naming);
        match linked {
            // No /proc here, or no links.
            Err(error) if is_lacking(error) || error == Errno::NOENT => {
                self.write_named(name, bytes)
            }
            linked => self.created(linked, name, bytes),
        }
    }

    fn write_named(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let staged = tempfile::Builder::new()
            .prefix(STAGED)
            .tempfile_in(&self.path)?;
        write_and_sync(staged.as_file(), bytes)?;
        let staged_name = staged.path().file_name().unwrap_or_default();
        let staged_name = staged_name.to_string_lossy();
        let naming = self.naming();
        let renamed = move_new((self.fd()?, &staged_name), (self.fd()?, name));
        drop(naming);
        self.created(renamed, name, bytes)
    }

    fn created(
        &self,
        named: Result<(), Errno>,
        name: &str,
        bytes: &[u8],
    ) -> Result<Created, DiskError> {
        match named {
            Ok(()) => Ok(Created::New),
            Err(Errno::EXIST) if self.length(name)? == Some(bytes.len() as u64) => {
                Ok(Created::WasThere)
            }
            Err(Errno::EXIST) => Ok(Created::InTheWay),
            Err(e) => Err(e.into()),
        }
    }
}

/// The names in an open folder, whatever has become of its path.
fn entries(folder: &OwnedFd) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let named = Dir::read_from(folder)?.map(|entry| {
        let entry = entry?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    });
    Ok(named.filter(|name| !matches!(name.as_deref(), Ok("." | ".."))))
}

fn write_and_sync(mut file: &File, bytes: &[u8]) -> Result<(), DiskError> {
    file.write_all(bytes)?;
    if sabotage::without("file-sync") {
        return Ok(());
    }
    match file.sync_data() {
        Err(_) if sabotage::without("sync-errors") => return Ok(()),
        synced => synced.map_err(DiskError::of_sync)?,
    }
    drop_synced(file, bytes.len() as u64);
    Ok(())
}

impl DiskError {
    /// A sync is never tried again: Linux has marked the pages clean, so the second would lie.
    pub(super) fn of_sync(error: io::Error) -> Self {
        match Self::from(error) {
            Self::Other(error) => Self::Failed(error),
            error => error,
        }
    }
}

impl From<io::Error> for DiskError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::Full,
            Some(Errno::FBIG) => Self::TooLarge,
            Some(Errno::IO | Errno::ROFS) => Self::Failed(error),
            _ => Self::Other(error),
        }
    }
}

impl From<Errno> for DiskError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_whole_under_its_name_and_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        assert_eq!(folder.create("a", b"one").unwrap(), Created::New);
        assert_eq!(folder.create("a", b"two").unwrap(), Created::WasThere);
        assert_eq!(folder.read("a", 10).unwrap().unwrap(), b"one");
        assert_eq!(folder.create("a", b"three").unwrap(), Created::InTheWay);
        assert_eq!(folder.write_named("b", b"x").unwrap(), Created::New);
        assert_eq!(folder.names().unwrap(), ["a", "b"], "nothing else is left");
    }

    #[test]
    fn what_is_no_regular_file_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("link")).unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        rustix::fs::mknodat(
            CWD,
            root.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for name in ["link", "dir", "fifo", "nothing"] {
            assert!(folder.read(name, 1000).unwrap().is_none(), "{name}");
            assert_eq!(folder.length(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn many_syncs_at_once_all_end() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..16 {
                let folder = &folder;
                scope.spawn(move || {
                    for file in 0..20 {
                        folder.create(&format!("{thread}-{file}"), b"x").unwrap();
                    }
                });
            }
        });
        assert_eq!(folder.names().unwrap().len(), 320);
    }

    #[test]
    fn a_folder_without_changes_is_not_synced_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        folder.settle().unwrap();
        folder.create("a", b"x").unwrap();
        folder.break_with(Some(Errno::IO));
        folder.settle().unwrap();
        assert!(matches!(
            folder.create("b", b"x"),
            Err(DiskError::Failed(_))
        ));
        assert!(
            matches!(folder.settle(), Err(DiskError::Failed(_))),
            "the second file can be seen and is not durable"
        );
    }

    #[test]
    fn a_folder_is_not_taken_for_durable_before_its_first_sync() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        folder.break_with(Some(Errno::IO));
        assert!(
            folder.settle().is_err(),
            "a killed process may have left names"
        );
    }

    #[test]
    fn what_passes_is_no_failure_of_the_disk() {
        for (error, is_failure) in [
            (Errno::IO, true),
            (Errno::ROFS, true),
            (Errno::MFILE, false),
            (Errno::NOMEM, false),
        ] {
            let judged = DiskError::from(error);
            assert_eq!(
                matches!(judged, DiskError::Failed(_)),
                is_failure,
                "{error}"
            );
        }
        assert!(matches!(DiskError::from(Errno::DQUOT), DiskError::Full));
        assert!(matches!(DiskError::from(Errno::FBIG), DiskError::TooLarge));
        let of_sync = DiskError::of_sync(io::Error::from(Errno::INVAL));
        assert!(matches!(of_sync, DiskError::Failed(_)));
    }
}
