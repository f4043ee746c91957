//! A file of a table on the sender's disk, which must stay what it was when it was walked.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read as _, Seek as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use super::{TransferError, left_out, walk::source};
use crate::id::{FileDigest, FileHasher};

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

/// A file that is open for reading.
pub(super) struct OpenSource {
    pub(super) file: File,
    /// When its inode changed last, as of when it was opened. Unlike the time of its content, no program can set it back.
    ctime: (i64, i64),
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
    pub(super) fn open(&self) -> Result<OpenSource, TransferError> {
        let file = left_out::open(&self.path).map_err(|e| {
            match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::LOOP | rustix::io::Errno::NOENT) => self.changed(),
                _ => source(&self.path, e),
            }
        })?;
        let ctime = self.check_unchanged(&file)?;
        Ok(OpenSource { file, ctime })
    }

    /// Compares the open file with what was walked. Returns when its inode changed last.
    fn check_unchanged(&self, file: &File) -> Result<(i64, i64), TransferError> {
        let metadata = file.metadata().map_err(|e| source(&self.path, e))?;
        if metadata.is_file() && Identity::of(&metadata) == self.identity {
            Ok((metadata.ctime(), metadata.ctime_nsec()))
        } else {
            Err(self.changed())
        }
    }

    /// Checks that `file`, which was read to the end of its size, was one and the same from its first byte to its last. Where that
    /// cannot be told, gives the digest that what was read must have.
    ///
    /// # Errors
    /// [`TransferError::Source`]; [`TransferError::SourceChanged`] if it is not what was walked, or was written to while it was
    /// read; [`TransferError::UnsupportedSource`] if it has more bytes than it says.
    pub(super) fn check_end(
        &self,
        file: &mut OpenSource,
    ) -> Result<Option<FileDigest>, TransferError> {
        let ctime = self.check_unchanged(&file.file)?;
        let more = file.file.read(&mut [0]);
        if more.map_err(|e| source(&self.path, e))? > 0 {
            // It may have grown since.
            return Err(self.other_size(file));
        }
        if ctime == file.ctime {
            return Ok(None);
        }
        // A new name or other rights change the inode too, and not the content. What is the same twice, and was not written to
        // the second time, was not written to between its first byte and its last.
        let again = digest(&mut file.file, self.size).map_err(|e| source(&self.path, e))?;
        if self.check_unchanged(&file.file)? == ctime {
            Ok(Some(again))
        } else {
            Err(self.changed())
        }
    }

    /// The error for a file that has not the bytes that it said: it changed, or it says so always.
    pub(super) fn other_size(&self, file: &OpenSource) -> TransferError {
        match self.check_unchanged(&file.file) {
            Ok(_) => TransferError::UnsupportedSource {
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

/// The digest of the first `size` bytes of `file`.
fn digest(file: &mut File, size: u64) -> io::Result<FileDigest> {
    file.rewind()?;
    let (mut hasher, mut buffer) = (FileHasher::default(), vec![0; 1 << 20]);
    let mut bytes = file.take(size);
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
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

/// When it was changed last: seconds since 1970, and nanoseconds.
pub(super) fn mtime(metadata: &Metadata) -> (i64, u32) {
    (
        metadata.mtime(),
        u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _, path::Path};

    use super::*;

    const BEFORE: &[u8] = b"as it was walked";
    const AFTER: &[u8] = b"written to since";

    /// What becomes of a file to which `change` happens between its first byte and its last, when `read` was read of it.
    fn checked(read: &[u8], change: impl Fn(&Path)) -> Result<(), TransferError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, BEFORE).unwrap();
        let walked = SourceFile::new(path.clone(), &fs::metadata(&path).unwrap(), true);
        let mut file = walked.open().unwrap();
        // The clock of a file system may stand still for some milliseconds.
        let is_newer = |file: &OpenSource| {
            let now = file.file.metadata().unwrap();
            (now.ctime(), now.ctime_nsec()) != file.ctime
        };
        while !is_newer(&file) {
            change(&path);
        }
        file.file.seek(io::SeekFrom::End(0)).unwrap();
        match walked.check_end(&mut file)? {
            Some(again) if again != FileDigest::of(read) => Err(walked.changed()),
            _ => Ok(()),
        }
    }

    fn write_and_set_time_back(path: &Path) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        fs::write(path, AFTER).unwrap();
        file.set_modified(before).unwrap();
    }

    #[test]
    fn a_file_that_is_written_to_is_not_sent_even_if_its_time_is_set_back() {
        let torn = [&BEFORE[..4], &AFTER[4..]].concat();
        for read in [BEFORE, &torn] {
            let refused = checked(read, write_and_set_time_back);
            assert!(matches!(refused, Err(TransferError::SourceChanged { .. })));
        }
    }

    #[test]
    fn a_file_that_gets_other_rights_or_another_name_is_sent() {
        checked(BEFORE, |path| {
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        })
        .unwrap();
        checked(BEFORE, |path| {
            let _ = fs::rename(path, path.with_extension("1"));
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }
}
