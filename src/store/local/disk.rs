//! Durable files in one folder. What is created here is whole and survives loss of power, or it is not there.
//!
//! A file gets its name only after its bytes are safe: it is written without a name (O_TMPFILE), synced, then linked, and
//! the folder is synced before anybody is told. One sync of a folder serves everybody who came before it began.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
        fsync, linkat, openat, renameat_with, unlinkat, utimensat,
    },
    io::Errno,
};

/// What became of a file that was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    New,
    /// A file of that name and length was there; it is durable too.
    WasThere,
}

/// Why a file is not durable.
#[derive(Debug)]
pub(super) enum DiskError {
    /// No space. The disk is well.
    Full,
    /// Writing or syncing failed: what is on disk is not known any more.
    Failed(io::Error),
}

/// One folder, open.
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    sync: GroupSync,
}

impl Folder {
    /// Opens the folder at `path`, which is a real one.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self {
            fd,
            path,
            sync: GroupSync::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file `name` with `bytes`, durably.
    pub(super) fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let created = self.write_new(name, bytes)?;
        self.sync.sync(&self.fd)?;
        Ok(created)
    }

    /// Makes the names in this folder durable.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.sync.sync(&self.fd)
    }

    /// The regular file `name`, open for reading; anything else in its place is as if it were not there.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// The bytes of the file `name`, if it has at most `max`.
    pub(super) fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(length.min(max));
        file.take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() <= max).then_some(bytes))
    }

    /// The length of the regular file `name`.
    pub(super) fn length(&self, name: &str) -> io::Result<Option<u64>> {
        let stat = match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let is_file =
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
        Ok(is_file.then(|| u64::try_from(stat.st_size).unwrap_or(0)))
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
        Ok(utimensat(
            &self.fd,
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Removes the file `name`; it need not be there.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Moves the file `name` to `other`, replacing nothing. Gives whether it was there to be moved.
    pub(super) fn move_to(&self, name: &str, other: &Self) -> io::Result<bool> {
        match renameat_with(&self.fd, name, &other.fd, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT | Errno::EXIST) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The names in this folder, in order.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let named = fs::read_dir(&self.path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = named.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    pub(super) fn free_bytes(&self) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::fstatvfs(&self.fd)?;
        Ok((
            stat.f_bavail.saturating_mul(stat.f_frsize),
            stat.f_blocks.saturating_mul(stat.f_frsize),
        ))
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let mode = Mode::from_raw_mode(0o600);
        match openat(
            &self.fd,
            ".",
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            mode,
        ) {
            Ok(fd) => {
                let file = File::from(fd);
                write_and_sync(&file, bytes)?;
                let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
                let linked = linkat(
                    CWD,
                    unnamed.as_str(),
                    &self.fd,
                    name,
                    AtFlags::SYMLINK_FOLLOW,
                );
                self.created(linked, name, bytes)
            }
            // A file system without unnamed files: a name that no chunk can have, and a rename.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => self.write_named(name, bytes),
            Err(e) => Err(e.into()),
        }
    }

    fn write_named(&self, name: &str, bytes: &[u8]) -> Result<Created, DiskError> {
        let staged = tempfile::Builder::new()
            .prefix(".staged-")
            .tempfile_in(&self.path)
            .map_err(DiskError::from)?;
        write_and_sync(staged.as_file(), bytes)?;
        let renamed = renameat_with(CWD, staged.path(), &self.fd, name, RenameFlags::NOREPLACE);
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
            Err(e) => Err(e.into()),
        }
    }
}

fn write_and_sync(mut file: &File, bytes: &[u8]) -> Result<(), DiskError> {
    file.write_all(bytes)?;
    Ok(file.sync_data()?)
}

/// Makes `path` a folder that only we can use, and its name durable.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(e) => return Err(e),
    }
    File::open(
        path.parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new(".")),
    )?
    .sync_all()
}

impl From<io::Error> for DiskError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::Full,
            _ => Self::Failed(error),
        }
    }
}

impl From<Errno> for DiskError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Lets one sync serve everybody who asked before it began.
#[derive(Default)]
struct GroupSync {
    state: Mutex<SyncState>,
    done: Condvar,
}

#[derive(Default)]
struct SyncState {
    begun: u64,
    finished: u64,
    /// A sync that failed cannot be repeated: Linux has marked the pages clean.
    failed: Option<i32>,
}

impl GroupSync {
    fn sync(&self, fd: &OwnedFd) -> Result<(), DiskError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // The running sync may have begun before our change: only the next one is sure to have it.
        let wanted = state.begun + 1;
        while state.finished < wanted {
            if state.begun == state.finished {
                state.begun += 1;
                drop(state);
                let synced = fsync(fd);
                state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.finished = state.begun;
                state.failed = state.failed.or(synced.err().map(Errno::raw_os_error));
                self.done.notify_all();
            } else {
                state = self
                    .done
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        match state.failed {
            None => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_under_its_name_and_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path().to_owned()).unwrap();
        assert_eq!(folder.create("a", b"one").unwrap(), Created::New);
        assert_eq!(folder.create("a", b"two").unwrap(), Created::WasThere);
        assert_eq!(folder.read("a", 10).unwrap().unwrap(), b"one");
        assert!(
            matches!(folder.create("a", b"three"), Err(DiskError::Failed(_))),
            "another length is no success"
        );
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
}
