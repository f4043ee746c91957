//! Exclusive advisory locks on files (`flock(2)`): held until the file is closed.

use std::{
    fs::{File, TryLockError},
    thread,
    time::Duration,
};

const ATTEMPTS: usize = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// Locks `file`, or fails with [`TryLockError::WouldBlock`] after half a second.
///
/// A lock can outlive its holder for a moment: a run that was stopped is still ending, another process looks whether the
/// lock is held, or a child process that was just started has inherited the file until it executes its program.
pub(crate) fn exclusive(file: &File) -> Result<(), TryLockError> {
    for _ in 1..ATTEMPTS {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            done => return done,
        }
    }
    file.try_lock()
}
