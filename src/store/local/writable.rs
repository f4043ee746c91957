//! Whether a store may be written to, and what a failed write means for that.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{DiskError, Inner, LocalStore, Promised, ReadOnly, StoreError, io};

/// Looks for a folder that has gone, and gives its path.
pub(super) type Gone = Box<dyn Fn() -> Option<PathBuf> + Send + Sync>;

impl LocalStore {
    /// Has nothing written any more while `gone` gives a folder: one beside the store that is not where it was. The first
    /// one counts.
    pub(crate) fn write_only_beside(
        &self,
        gone: impl Fn() -> Option<PathBuf> + Send + Sync + 'static,
    ) {
        let _ = self.inner.gone.set(Box::new(gone));
    }

    /// Checks that it may be written to.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`].
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        self.inner.writable()
    }
}

impl Inner {
    /// Refuses every write once one has failed: what is on disk is not known any more.
    pub(super) fn writable(&self) -> Result<(), StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::ReadOnly(ReadOnly::OpenedToRead));
        }
        self.not_failed()
    }

    pub(super) fn not_failed(&self) -> Result<(), StoreError> {
        if let Some(failed) = self.failed.get() {
            return Err(StoreError::ReadOnly(failed.clone()));
        }
        // What is written to a folder without its name would be found by nobody after a restart.
        if !self.place.is_in_place() {
            return Err(self.displaced());
        }
        match self.gone.get().and_then(|gone| gone()) {
            None => Ok(()),
            Some(root) => Err(StoreError::ReadOnly(ReadOnly::MovedAway { root })),
        }
    }

    fn displaced(&self) -> StoreError {
        let root = self.root.clone();
        StoreError::ReadOnly(ReadOnly::MovedAway { root })
    }

    /// A path that fails in a store that is not in its place has failed for that reason.
    pub(super) fn explained(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Io { .. } if !self.place.is_in_place() => self.displaced(),
            error => error,
        }
    }

    /// What a failed write means: a full disk heals, a failing one ends writing.
    pub(super) fn write_failed(&self, needed: u64, path: &Path, error: DiskError) -> StoreError {
        match error {
            DiskError::Full => StoreError::NoSpace {
                needed,
                free: self.disk().map_or(0, |disk| disk.free),
                quota: None,
                promised: Promised::default(),
                remote: None,
            },
            DiskError::TooLarge => StoreError::file_too_large(),
            DiskError::Other(error) => io(path, error),
            DiskError::Failed(error) => {
                let reason = format!("{}: {error}", path.display());
                tracing::error!(%reason, "the store is read-only from now on");
                let failed = ReadOnly::WriteFailed {
                    path: path.to_owned(),
                    source: Arc::new(error),
                };
                StoreError::ReadOnly(self.failed.get_or_init(|| failed).clone())
            }
        }
    }
}
