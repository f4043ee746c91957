//! Exclusive advisory locks on files (`flock(2)`).

use std::{
    fs::{File, TryLockError},
    ops::{Deref, DerefMut},
    thread,
    time::Duration,
};

const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// A file that no other process has locked, until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// Locks `file`, or fails with [`TryLockError::WouldBlock`] if another holds the lock for half a second: a run that was
    /// stopped may still be ending, and another process may just be looking whether the lock is held.
    pub(crate) fn take(file: File) -> Result<Self, TryLockError> {
        for _ in 1..ATTEMPTS {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                done => return done.map(|()| Self(file)),
            }
        }
        Self::try_take(file)
    }

    /// Locks `file`, or fails at once.
    pub(crate) fn try_take(file: File) -> Result<Self, TryLockError> {
        file.try_lock().map(|()| Self(file))
    }
}

/// Closing the file is not enough: a child process that another thread is just starting has the file too, until it
/// executes its program.
impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
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
}
