//! Exclusive advisory locks on files (`flock(2)`).
//!
//! A file system may refuse them: NFS without its lock service, Lustre, some of FUSE. Then a name of this machine, which
//! goes with the process as a lock does, keeps other processes of this machine out; those of others it cannot.

use std::{
    fs::{File, TryLockError},
    io,
    ops::{Deref, DerefMut},
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            fs::MetadataExt as _,
            net::{SocketAddr, UnixListener},
        },
    },
    thread,
    time::Duration,
};

const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// A file that no other process has locked, until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    file: File,
    /// Held in place of a lock that the file system refuses.
    _name: Option<UnixListener>,
}

impl Locked {
    /// Locks `file`, or fails with [`TryLockError::WouldBlock`] if another holds the lock for half a second: a run that was
    /// stopped may still be ending, and another process may just be looking whether the lock is held.
    pub(crate) fn take(file: File) -> Result<Self, TryLockError> {
        for _ in 1..ATTEMPTS {
            match try_lock(&file) {
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                done => return done.map(|name| Self { file, _name: name }),
            }
        }
        Self::try_take(file)
    }

    /// Locks `file` as soon as no other holds it.
    pub(crate) fn wait(file: File) -> io::Result<Self> {
        let locked = file.lock();
        Self::or_by_name(file, locked)
    }

    /// Locks `file` beside others that do so, as soon as none holds it alone.
    pub(crate) fn wait_shared(file: File) -> io::Result<Self> {
        let locked = file.lock_shared();
        Self::or_by_name(file, locked)
    }

    fn or_by_name(file: File, locked: io::Result<()>) -> io::Result<Self> {
        match locked {
            Err(error) if is_refused(&error) => loop {
                match name_of(&file) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => thread::sleep(PAUSE),
                    named => {
                        return named.map(|name| Self {
                            file,
                            _name: Some(name),
                        });
                    }
                }
            },
            locked => locked.map(|()| Self { file, _name: None }),
        }
    }

    /// Locks `file`, or fails at once.
    pub(crate) fn try_take(file: File) -> Result<Self, TryLockError> {
        let name = try_lock(&file)?;
        Ok(Self { file, _name: name })
    }
}

/// Whether a process holds `file`.
pub(crate) fn is_held(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => matches!(try_lock(file), Err(TryLockError::WouldBlock)),
    }
}

fn try_lock(file: &File) -> Result<Option<UnixListener>, TryLockError> {
    match file.try_lock() {
        Err(TryLockError::Error(error)) if is_refused(&error) => {
            name_of(file).map(Some).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => TryLockError::WouldBlock,
                _ => TryLockError::Error(error),
            })
        }
        done => done.map(|()| None),
    }
}

/// Not `EIO` or the like: those are failures of a disk that has locks. `EBADF` is NFS, which locks for writing only what is
/// open for writing.
fn is_refused(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lacking = [
        Errno::NOLCK,
        Errno::BADF,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
        Errno::INVAL,
        Errno::PERM,
    ];
    Errno::from_io_error(error).is_some_and(|errno| lacking.contains(&errno))
}

/// Takes the name that stands for `file` on this machine.
fn name_of(file: &File) -> io::Result<UnixListener> {
    let file = file.metadata()?;
    let name = format!("colis/lock/{:x}-{:x}", file.dev(), file.ino());
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Closing the file is not enough: a child process that another thread is just starting has the file too, until it
/// executes its program.
impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_holder_also_where_the_file_was_inherited() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let open = || File::open(&path).unwrap();
        let first = Locked::try_take(open()).unwrap();
        // As a child process has it.
        let _inherited = first.try_clone().unwrap();
        assert!(matches!(
            Locked::try_take(open()),
            Err(TryLockError::WouldBlock)
        ));
        drop(first);
        Locked::try_take(open()).unwrap();
    }

    #[test]
    fn a_name_of_the_machine_stands_for_a_lock_that_is_refused() {
        let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let open = || File::open(&path).unwrap();
        let first = name_of(&open()).unwrap();
        let second = name_of(&open()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        name_of(&open()).unwrap();
    }
}
