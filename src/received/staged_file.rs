//! One file of a staging.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::PathBuf,
};

use rustix::{
    fs::{FallocateFlags, Timespec, Timestamps, UTIME_OMIT, fallocate, futimens},
    io::Errno,
};

use super::{ReceivedError, error_at, io_error};
use crate::sabotage;

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
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
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
    pub fn set_executable(&self) -> Result<(), ReceivedError> {
        let set = self.file.metadata().and_then(|metadata| {
            let mode = metadata.permissions().mode() & 0o777;
            self.file
                .set_permissions(fs::Permissions::from_mode(mode | ((mode & 0o444) >> 2)))
        });
        set.map_err(|e| io_error(&self.path, e))
    }

    /// Sets when it was modified.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn set_times(&self, seconds: i64, nanoseconds: u32) -> Result<(), ReceivedError> {
        futimens(&self.file, &modified(seconds, nanoseconds)).map_err(|e| error_at(&self.path, e))
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
            Err(_) if sabotage::without("sync-errors") => Ok(()),
            synced => synced.map_err(|e| io_error(&self.path, e)),
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
