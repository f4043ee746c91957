//! What is not sent of the paths that were named, and why.

use std::{
    collections::HashSet,
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, CWD, OFlags, accessat};

use super::{Filter, Keys, TransferError};
use crate::{
    received::{MARKER, is_marked},
    tls,
};

/// A key file is smaller; a larger file is not looked into.
const MAX_KEY: u64 = 64 << 10;
/// Files of the system that only pretend to have a size are smaller; a larger file is read when its turn comes.
const MAX_PRETENDED: u64 = 64 << 10;
/// What a file is whose size is not the number of its bytes.
pub(super) const NOT_ON_A_DISK: &str = "file that is not on a disk: it has more or fewer bytes than it says, as those of /proc and /sys";

/// Something below a named folder that is not sent.
#[derive(Debug)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// Why it is not sent.
    pub why: WhyLeftOut,
}

/// Why something is not sent.
#[derive(Debug)]
pub enum WhyLeftOut {
    /// It is a FIFO, a socket or the like.
    Unsupported(&'static str),
    /// It cannot be read.
    Unreadable(io::Error),
    /// It changed or vanished while the rest was sent.
    Changed,
    /// It is a folder in which this program works.
    OwnFolder,
    /// It is a private key of colis.
    PrivateKey,
    /// It was named, and the filter leaves it out.
    Filtered,
}

impl WhyLeftOut {
    /// Whether the person may miss it, who named a folder and was not told before that this is never sent.
    pub fn is_missed(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Changed | Self::PrivateKey => true,
            Self::Unsupported(_) | Self::OwnFolder | Self::Filtered => false,
        }
    }

    /// The error for a path that was named itself.
    pub(super) fn into_error(self, path: PathBuf) -> TransferError {
        match self {
            Self::Unsupported(kind) => TransferError::UnsupportedSource { path, kind },
            Self::Unreadable(source) => TransferError::Source { path, source },
            Self::Changed => TransferError::SourceChanged { path },
            Self::Filtered => TransferError::AllFiltered,
            Self::OwnFolder | Self::PrivateKey => TransferError::PrivateKey { path },
        }
    }
}

impl fmt::Display for WhyLeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(kind) => write!(f, "a {kind}"),
            Self::Unreadable(error) => write!(f, "{error}"),
            Self::Changed => f.write_str("it changed or vanished while it was being sent"),
            Self::OwnFolder => f.write_str("colis works in it: it is in the home in use"),
            Self::Filtered => f.write_str("it was named, and --exclude or --git leaves it out"),
            Self::PrivateKey => f.write_str("a private key of colis; --with-keys sends it"),
        }
    }
}

/// What is looked at in each path before it is taken.
pub(super) struct Rules {
    /// Device and inode of folders that are left out: a folder is known whatever path leads to it.
    own_folders: HashSet<(u64, u64)>,
    keys: Keys,
}

impl Rules {
    pub(super) fn of(filter: &Filter) -> Self {
        let metadata = filter.own_folders.iter().map(fs::metadata);
        let identities = metadata.flatten().map(|m| (m.dev(), m.ino()));
        Self {
            own_folders: identities.collect(),
            keys: filter.keys,
        }
    }

    /// Whether `metadata` is of a folder in which this program works.
    pub(super) fn is_own_folder(&self, metadata: &fs::Metadata) -> bool {
        metadata.is_dir() && self.own_folders.contains(&(metadata.dev(), metadata.ino()))
    }

    /// Why `path` cannot or must not be sent, if so.
    pub(super) fn refuse(&self, path: &Path, metadata: &fs::Metadata) -> Option<WhyLeftOut> {
        if let Some(kind) = unsupported(metadata) {
            return Some(WhyLeftOut::Unsupported(kind));
        }
        if !metadata.is_file() {
            return None;
        }
        match pretends(path, metadata) {
            Ok(false) => {}
            Ok(true) => return Some(WhyLeftOut::Unsupported(NOT_ON_A_DISK)),
            Err(error) => return Some(WhyLeftOut::Unreadable(error)),
        }
        if let Err(error) = accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS) {
            return Some(WhyLeftOut::Unreadable(error.into()));
        }
        let is_kept = self.keys == Keys::LeaveOut && is_key(path, metadata.len());
        is_kept.then_some(WhyLeftOut::PrivateKey)
    }
}

/// Whether it is what a folder of received files is known by.
pub(super) fn is_marker(path: &Path) -> bool {
    let is_named = path.file_name().is_some_and(|name| name == MARKER);
    is_named && path.parent().is_some_and(is_marked)
}

/// Whether the file of `size` bytes has a private key of colis in it.
fn is_key(path: &Path, size: u64) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if size > MAX_KEY || !tls::may_be_key_file(&name) {
        return false;
    }
    let mut text = Vec::new();
    let read = open(path).and_then(|file| file.take(MAX_KEY).read_to_end(&mut text));
    read.is_ok() && tls::has_private_key(&name, &text)
}

fn unsupported(metadata: &fs::Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    [
        (kind.is_fifo(), "FIFO"),
        (kind.is_socket(), "socket"),
        (kind.is_char_device(), "character device"),
        (kind.is_block_device(), "block device"),
    ]
    .into_iter()
    .find_map(|(is, name)| is.then_some(name))
}

/// Whether a file has more or fewer bytes than its size. Only one without a block of a disk can, and is read for it.
fn pretends(path: &Path, metadata: &fs::Metadata) -> io::Result<bool> {
    let size = metadata.len();
    if metadata.blocks() > 0 || size > MAX_PRETENDED {
        return Ok(false);
    }
    let mut some = open(path)?.take(size + 1);
    Ok(io::copy(&mut some, &mut io::sink())? != size)
}

/// Opens a file for reading. Never waits for the other end of a FIFO, never follows a link.
pub(super) fn open(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit an int");
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(flags).open(path)
}
