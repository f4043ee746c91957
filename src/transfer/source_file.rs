//! A file of a table on the sender's disk, which must stay what it was when it was walked.

use std::{
    fs::{self, File, Metadata},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use super::{TransferError, left_out, walk::source};

/// A regular file as it was when it was walked.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    identity: Identity,
    /// It was named itself, so that it cannot be left out.
    pub(super) is_named: bool,
}

/// What must not change while a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
}

impl SourceFile {
    pub(super) fn new(path: PathBuf, metadata: &Metadata, is_named: bool) -> Self {
        Self {
            path,
            size: metadata.len(),
            identity: Identity::of(metadata),
            is_named,
        }
    }

    /// Opens it for reading, if it still is what was walked.
    ///
    /// # Errors
    /// [`TransferError::Source`], [`TransferError::SourceChanged`].
    pub fn open(&self) -> Result<File, TransferError> {
        let file = left_out::open(&self.path).map_err(|e| {
            match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::LOOP | rustix::io::Errno::NOENT) => self.changed(),
                _ => source(&self.path, e),
            }
        })?;
        self.check_unchanged(&file)?;
        Ok(file)
    }

    /// Compares the open file with what was walked.
    ///
    /// # Errors
    /// [`TransferError::SourceChanged`].
    pub fn check_unchanged(&self, file: &File) -> Result<(), TransferError> {
        let metadata = file.metadata().map_err(|e| source(&self.path, e))?;
        if metadata.is_file() && Identity::of(&metadata) == self.identity {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    /// Compares the open file, which was read to the end of its size, with what was walked.
    ///
    /// # Errors
    /// As [`SourceFile::check_unchanged`]; [`TransferError::UnsupportedSource`] if it has more bytes than it says.
    pub(super) fn check_end(&self, file: &mut File) -> Result<(), TransferError> {
        self.check_unchanged(file)?;
        match file.read(&mut [0]).map_err(|e| source(&self.path, e))? {
            0 => Ok(()),
            // It may have grown since.
            _ => Err(self.other_size(file)),
        }
    }

    /// The error for a file that has not the bytes that it said: it changed, or it says so always.
    pub(super) fn other_size(&self, file: &File) -> TransferError {
        match self.check_unchanged(file) {
            Ok(()) => TransferError::UnsupportedSource {
                path: self.path.clone(),
                kind: left_out::NOT_ON_A_DISK,
            },
            Err(error) => error,
        }
    }

    /// Whether the file under its name still is what was walked.
    pub(super) fn is_unchanged(&self) -> bool {
        let metadata = fs::symlink_metadata(&self.path);
        metadata.is_ok_and(|m| m.is_file() && Identity::of(&m) == self.identity)
    }

    /// The error that says that it changed.
    pub fn changed(&self) -> TransferError {
        TransferError::SourceChanged {
            path: self.path.clone(),
        }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
