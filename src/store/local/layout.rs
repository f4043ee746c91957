//! The folders of a store, and the version that they were written by.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use super::{
    disk::{DiskError, Folder},
    io as io_error,
    known::StoreId,
};
use crate::{
    disk::sync_folder,
    private,
    store::{BadFormat, StoreError},
};

/// What FORMAT begins with; the number of the version follows.
const FORMAT: &str = "colis store ";
/// The version that is written here.
const VERSION: u64 = 1;

const FOLDERS: [&str; 5] = ["data", "manifests", "trash", "corrupt", "state"];
const STATE_FOLDERS: [&str; 6] = [
    "receipts",
    "transfers",
    "deleted",
    "sending",
    "sent",
    "announced",
];

/// The id of the store at `root`, `None` if there is none. Refuses what another version wrote, before anything is touched.
pub(super) fn id_at(root: &Path) -> Result<Option<StoreId>, StoreError> {
    let path = root.join("FORMAT");
    let text = match private::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(&path, e)),
    };
    let lines = text
        .strip_prefix(FORMAT)
        .and_then(|rest| rest.split_once('\n'));
    let version = lines.and_then(|(version, _)| version.parse::<u64>().ok());
    let id = lines.and_then(|(_, rest)| StoreId::parse(rest));
    let fault = match (version, id) {
        (Some(VERSION), Some(id)) => return Ok(Some(id)),
        (Some(later), _) if later > VERSION => return Err(StoreError::Later { path }),
        _ if text.is_empty() => BadFormat::Empty,
        _ => BadFormat::NoStore,
    };
    Err(StoreError::Format { path, fault })
}

/// Makes the folder of a store, and those that it stands in.
pub(super) fn make_root(root: &Path) -> io::Result<()> {
    make_durable(root, !is_whole(root))
}

/// Makes the folders of a store, and again those that a backup left out because they were empty. FORMAT comes last: a
/// store without it is made anew.
pub(super) fn make_layout(root: &Path) -> io::Result<()> {
    let whole = is_whole(root);
    let shards = (0..=255_u8).map(|shard| format!("{shard:02x}"));
    make_all(root, FOLDERS, whole)?;
    make_all(&root.join("state"), STATE_FOLDERS, whole)?;
    make_all(&root.join("data"), shards, whole)?;
    if whole {
        return Ok(());
    }
    let folder = Folder::open(root.to_owned())?;
    let text = format!("{FORMAT}{VERSION}\n{}", StoreId::random()?);
    match folder.create("FORMAT", text.as_bytes()) {
        Ok(_) => Ok(()),
        Err(DiskError::Failed(e) | DiskError::Other(e)) => Err(e),
        Err(DiskError::Full) => Err(io::ErrorKind::StorageFull.into()),
        Err(DiskError::TooLarge) => Err(io::ErrorKind::FileTooLarge.into()),
    }
}

fn is_whole(root: &Path) -> bool {
    root.join("FORMAT").exists()
}

/// Makes those of `names` that are not in `parent`, under one sync.
fn make_all(
    parent: &Path,
    names: impl IntoIterator<Item = impl AsRef<str>>,
    whole: bool,
) -> io::Result<()> {
    // One list is much less work than asking for each of them.
    let there = folders_in(parent)?;
    let mut made = false;
    for name in names {
        made |= !there.contains(OsStr::new(name.as_ref())) && make(&parent.join(name.as_ref()))?;
    }
    // What a crash interrupted may be there and not yet durable.
    if made || !whole {
        sync_folder(private::open_folder(parent)?)?;
    }
    Ok(())
}

fn folders_in(parent: &Path) -> io::Result<HashSet<OsString>> {
    let mut folders = HashSet::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.insert(entry.file_name());
        }
    }
    Ok(folders)
}

/// Makes `path` and what it stands in, each with its name durable.
fn make_durable(path: &Path, sync_anyway: bool) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    if !parent.exists() {
        make_durable(parent, true)?;
    }
    if make(path)? || sync_anyway {
        sync_folder(private::open_folder(parent)?)?;
    }
    Ok(())
}

/// Makes a folder that only we can use. Gives whether it is new.
fn make(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(e) => Err(e),
    }
}
