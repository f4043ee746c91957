//! One file of a staging.

use std::{
    fs::File,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use rustix::{
    fs::{FallocateFlags, Mode, Timespec, Timestamps, UTIME_OMIT, fallocate, fchmod, futimens},
    io::Errno,
};

use super::{ReceivedError, error_at, io_error};
use crate::{
    disk::{drop_synced, is_lacking},
    sabotage,
};

/// From so many bytes on, a file is not kept in memory for whoever opens it first.
const LARGE: u64 = 64 << 20;

/// Whether a file system could keep what it was told of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It has it.
    Yes,
    /// It has nothing of the kind, or lets nobody set it.
    No,
}

impl Kept {
    pub(super) fn of(set: Result<(), Errno>) -> Result<Self, Errno> {
        match set {
            Ok(()) => Ok(Self::Yes),
            Err(error) if is_lacking(error) => Ok(Self::No),
            Err(error) => Err(error),
        }
    }
}

/// A file of a staging, open for writing.
#[derive(Debug)]
pub struct StagedFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) is_new: bool,
}

impl StagedFile {
    /// Takes the space for `length` bytes, so that a full disk is found now.
    ///
    /// # Errors
    /// [`ReceivedError::NoSpace`].
    pub fn preallocate(&self, length: u64) -> Result<(), ReceivedError> {
        if length == 0 {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, length) {
            // A file system without it finds out while writing.
            Ok(()) => Ok(()),
            Err(error) if is_lacking(error) => Ok(()),
            Err(e) => Err(error_at(&self.path, e)),
        }
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), ReceivedError> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| io_error(&self.path, e))
    }

    /// Reads back what was written at `offset`.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), ReceivedError> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|e| io_error(&self.path, e))
    }

    /// When it was written to, or changed otherwise, last. No program can set it back.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn changed_at(&self) -> Result<(i64, i64), ReceivedError> {
        let metadata = self.file.metadata().map_err(|e| io_error(&self.path, e))?;
        Ok((metadata.ctime(), metadata.ctime_nsec()))
    }

    /// Cuts off what an earlier run may have left after the first `length` bytes.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn cut_to(&self, length: u64) -> Result<(), ReceivedError> {
        if self.is_new {
            return Ok(());
        }
        self.file
            .set_len(length)
            .map_err(|e| io_error(&self.path, e))
    }

    /// Lets everybody execute it who may read it.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn set_executable(&self) -> Result<Kept, ReceivedError> {
        let metadata = self.file.metadata().map_err(|e| io_error(&self.path, e))?;
        let mode = metadata.permissions().mode() & 0o777;
        let set = fchmod(
            &self.file,
            Mode::from_raw_mode(mode | ((mode & 0o444) >> 2)),
        );
        Kept::of(set).map_err(|e| error_at(&self.path, e))
    }

    /// Sets when it was modified.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn set_times(&self, seconds: i64, nanoseconds: u32) -> Result<Kept, ReceivedError> {
        let set = futimens(&self.file, &modified(seconds, nanoseconds));
        Kept::of(set).map_err(|e| error_at(&self.path, e))
    }

    /// Makes its bytes durable.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn sync(&self) -> Result<(), ReceivedError> {
        if sabotage::without("received-sync") {
            return Ok(());
        }
        match self.file.sync_data() {
            Err(_) if sabotage::without("sync-errors") => return Ok(()),
            synced => synced.map_err(|e| io_error(&self.path, e))?,
        }
        self.drop_synced();
        Ok(())
    }

    /// Lets the pages of a large file go that was synced. What is smaller is often opened as soon as it is there.
    pub(super) fn drop_synced(&self) {
        if let Ok(metadata) = self.file.metadata()
            && metadata.len() >= LARGE
        {
            drop_synced(&self.file, metadata.len());
        }
    }
}

/// Times that set when something was modified, and leave the rest.
pub(super) fn modified(seconds: i64, nanoseconds: u32) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: i64::from(nanoseconds),
        },
    }
}
