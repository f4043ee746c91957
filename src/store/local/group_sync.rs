//! One sync of a folder for everybody who changed it before the sync began.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::{fs::fstat, io::Errno};

use super::disk::DiskError;
use crate::{disk::sync_folder, sabotage};

/// The syncs of one folder.
pub(super) struct GroupSync {
    state: Mutex<State>,
    done: Condvar,
    /// The error that every sync from now on gives.
    #[cfg(test)]
    broken: std::sync::atomic::AtomicI32,
}

struct State {
    begun: u64,
    finished: u64,
    /// The last sync that worked.
    succeeded: u64,
    /// The error of the last sync that did not.
    error: Option<i32>,
    /// Names that are appearing just now...
    naming: usize,
    /// ...that have appeared...
    named: u64,
    /// ...and that are durable.
    durable: u64,
}

impl Default for GroupSync {
    fn default() -> Self {
        let state = State {
            begun: 0,
            finished: 0,
            succeeded: 0,
            error: None,
            naming: 0,
            // A process that was killed may have left names that it never synced.
            named: 1,
            durable: 0,
        };
        Self {
            state: Mutex::new(state),
            done: Condvar::new(),
            #[cfg(test)]
            broken: 0.into(),
        }
    }
}

impl GroupSync {
    /// Says that a name is about to appear. Drop it once it has.
    pub(super) fn naming(&self) -> Naming<'_> {
        self.lock().naming += 1;
        Naming(self)
    }

    /// Returns once every name that can be seen in the folder is durable; at once if nothing has changed.
    pub(super) fn settle(&self, fd: &OwnedFd) -> Result<(), DiskError> {
        let state = self.lock();
        if state.naming == 0 && state.named == state.durable {
            return Ok(());
        }
        drop(state);
        self.sync(fd)
    }

    /// Returns once every change that came before the call is durable.
    pub(super) fn sync(&self, fd: &OwnedFd) -> Result<(), DiskError> {
        let mut state = self.lock();
        // The running sync may have begun before our change: only the next one is sure to have it.
        let wanted = state.begun + 1;
        while state.finished < wanted {
            state.refuse_after_failure()?;
            if state.begun > state.finished {
                state = self
                    .done
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.begun += 1;
            let named = state.named;
            drop(state);
            let synced = self.fsync(fd);
            state = self.lock();
            state.finish(synced, named);
            self.done.notify_all();
        }
        if state.succeeded >= wanted {
            return Ok(());
        }
        Err(state.failure().unwrap_or(DiskError::Full))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fsync(&self, fd: &OwnedFd) -> Result<(), Errno> {
        #[cfg(test)]
        match self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            0 => {}
            code => return Err(Errno::from_raw_os_error(code)),
        }
        if sabotage::without("folder-sync") {
            return Ok(());
        }
        sync_folder(fd)?;
        if sabotage::without("shutdown-check") {
            return Ok(());
        }
        // XFS that has shut itself down still says that a folder is synced; its metadata it refuses.
        fstat(fd).map(drop)
    }

    #[cfg(test)]
    pub(super) fn break_with(&self, error: Option<Errno>) {
        let code = error.map_or(0, Errno::raw_os_error);
        self.broken.store(code, std::sync::atomic::Ordering::SeqCst);
    }
}

impl State {
    fn finish(&mut self, synced: Result<(), Errno>, named: u64) {
        self.finished = self.begun;
        match synced {
            Ok(()) => (self.succeeded, self.durable) = (self.finished, named),
            Err(error) => self.error = Some(error.raw_os_error()),
        }
    }

    fn failure(&self) -> Option<DiskError> {
        let error = io::Error::from_raw_os_error(self.error?);
        Some(DiskError::of_sync(error))
    }

    /// A sync that failed is never repeated; one that found the disk full may be.
    fn refuse_after_failure(&self) -> Result<(), DiskError> {
        match self.failure() {
            Some(error @ DiskError::Failed(_)) => Err(error),
            _ => Ok(()),
        }
    }
}

/// While it lives, a name may appear that is not synced.
pub(super) struct Naming<'a>(&'a GroupSync);

impl Drop for Naming<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.naming -= 1;
        state.named += 1;
    }
}
