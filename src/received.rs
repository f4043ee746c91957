//! Where plaintext may be written: staged, verified, renamed; never outside of its root, never over a file.
//!
//! Everything of a transfer is first built in `ROOT/.colis/KEY/tree/`. Only when all of it is verified and durable do
//! its top-level names move into the root, by a rename that replaces nothing; the names are journaled before the first
//! rename, so that a crash between two is finished and not repeated.
//!
//! Every path is resolved by the kernel beneath a folder descriptor, without following a symbolic link (openat2): a
//! check before use could be raced by another process.

mod error;
mod known;
mod layout;
mod links;
mod marker;
mod names;
mod probe;
mod publish;
mod refused;
mod room;
mod staged_file;
mod staging;
mod syncer;
mod tree;

use std::{
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat, statat,
    },
    io::Errno,
};

pub use error::{Danger, Gone, ReceivedError, TableFault};
pub use layout::{EntryKind, Layout, NewNames, StagedPath};
pub use links::Links;
pub use marker::{MARKER, is_marked, marked_around};
pub use names::Names;
pub use refused::Refused;
use staged_file::modified;
pub use staged_file::{Kept, StagedFile};
pub use staging::Staging;
pub use syncer::{Syncer, Unsynced};

use crate::{
    disk::{Disk, Held, Link, Room, is_at},
    name::SafeName,
    private, sabotage,
};

/// The folder of stagings in every root.
pub const STAGINGS: &str = ".colis";
/// A staging that nobody has touched for so long is given up.
const STALE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is where a received file would be.
#[derive(Debug)]
pub enum Existing {
    /// A regular file, open for reading.
    File(File),
    /// A folder.
    Folder,
    /// A symbolic link, and its text.
    Link(String),
}

/// A folder that received files may appear in.
#[derive(Debug)]
pub struct Received {
    path: PathBuf,
    /// What `path` led to when that was looked at last.
    held: Mutex<Held>,
    /// The folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    /// Whether it is where a disk is mounted.
    is_mount: bool,
    reserve: Mutex<Option<u64>>,
}

impl Received {
    /// Opens `path`, making it if it is not there.
    ///
    /// # Errors
    /// [`ReceivedError::Unsafe`] if it is anything but a real folder, [`ReceivedError::Io`].
    pub fn open(path: &Path) -> Result<Self, ReceivedError> {
        let made = lacking(path);
        fs::create_dir_all(path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => not_a_folder(path),
            _ => io_error(path, e),
        })?;
        Ok(Self {
            path: path.to_owned(),
            held: Mutex::new(Held::open(path, Link::Refused).map_err(|e| root_error(path, e))?),
            made,
            is_mount: false,
            reserve: Mutex::default(),
        })
    }

    /// Removes the folders that were made for it if nothing is in them.
    pub fn remove_unused(&self) {
        self.remove_lone_marker();
        // The first that is not empty ends it.
        let _ = self.made.iter().try_for_each(fs::remove_dir);
    }

    /// The folder that the path leads to now: people move the folder away to sort it, remove it, or mount another over it.
    fn root(&self) -> Result<Arc<OwnedFd>, ReceivedError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_in_place() {
            if self.is_unmounted() {
                return Err(self.not_mounted());
            }
            *held = held.again().map_err(|e| root_error(&self.path, e))?;
            // What cannot be marked can be received into.
            let _ = marker::mark(held.folder());
            tracing::info!("the folder of received files is another one: opened anew");
        }
        Ok(held.folder().clone())
    }

    /// Whether what arrives can be written here: it is in its place, or can be made again there.
    pub fn can_be_in_place(&self) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_in_place() || (!self.is_unmounted() && held.can_be_in_place())
    }

    /// The same for a folder that only its owner may look into, if it is not there yet.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_private(path: &Path) -> Result<Self, ReceivedError> {
        let made = lacking(path);
        // What is in the way is told by the other.
        let _ = private::make_folder(path);
        Ok(Self {
            made,
            ..Self::open(path)?
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins or continues the staging called `key`, which is ours to choose: hex digits and dashes.
    ///
    /// # Errors
    /// [`ReceivedError::InUse`], [`ReceivedError::Unsafe`], [`ReceivedError::Io`].
    pub fn stage(&self, key: &str) -> Result<Staging, ReceivedError> {
        Staging::open(self, key)
    }

    /// Whether something is called `name` here, of whatever kind.
    pub fn has(&self, name: &SafeName) -> bool {
        self.root()
            .is_ok_and(|root| kind_at(&root, name.as_str()).is_some())
    }

    /// What is at `path` here, looked at without following a link; `None` also if it is something of another kind.
    ///
    /// # Errors
    /// [`ReceivedError::Io`].
    pub fn existing(&self, path: &StagedPath) -> Result<Option<Existing>, ReceivedError> {
        let shown = self.path.join(path.to_string());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let root = self.root()?;
        let open = |path: &str| openat2(&root, path, flags, Mode::empty(), beneath);
        let file = match open(&path.to_string()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP) => return Ok(self.link_at(&root, path)),
            Err(
                Errno::NOENT
                | Errno::NOTDIR
                | Errno::NXIO
                | Errno::ACCESS
                | Errno::XDEV
                | Errno::AGAIN,
            ) => return Ok(None),
            Err(e) => return Err(error_at(&shown, e)),
        };
        let kind = file
            .metadata()
            .map_err(|e| io_error(&shown, e))?
            .file_type();
        Ok(match kind {
            kind if kind.is_file() => Some(Existing::File(file)),
            kind if kind.is_dir() => Some(Existing::Folder),
            _ => None,
        })
    }

    /// The link at `path`, whose folders are real.
    fn link_at(&self, root: &OwnedFd, path: &StagedPath) -> Option<Existing> {
        let here = path
            .parent()
            .map_or_else(|| ".".to_owned(), ToString::to_string);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let parent = open_beneath(root, &here, flags, Mode::empty(), &self.path).ok()?;
        let target = readlinkat(&parent, path.name(), Vec::new()).ok()?;
        target.into_string().ok().map(Existing::Link)
    }

    /// Finishes what a crash interrupted between two renames, and removes what was staged of transfers that had not come. Gives the
    /// final names.
    ///
    /// # Errors
    /// [`ReceivedError::Io`]; a staging in use is left to its process.
    pub fn finish_interrupted(&self) -> Result<Vec<PathBuf>, ReceivedError> {
        let mut finished = Vec::new();
        for key in self.keys()? {
            match self.stage(&key) {
                Ok(staging) => match staging.finish_publishing()? {
                    Some(paths) => finished.extend(paths),
                    // Without a journal nothing of it counts.
                    None if !staging.has_journal() => staging.discard(),
                    None => {}
                },
                Err(ReceivedError::InUse { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(finished)
    }

    /// Removes stagings that nobody has touched for a week. Gives how many.
    ///
    /// # Errors
    /// [`ReceivedError::Io`].
    pub fn remove_stale(&self, now: SystemTime) -> Result<usize, ReceivedError> {
        let mut removed = 0;
        for key in self.keys()? {
            let path = self.path.join(STAGINGS).join(&key);
            let touched =
                fs::metadata(path.join(staging::JOURNAL)).or_else(|_| fs::symlink_metadata(&path));
            let touched = touched
                .and_then(|m| m.modified())
                .map_err(|e| io_error(&path, e))?;
            if now.duration_since(touched).is_ok_and(|age| age > STALE) {
                match self.stage(&key) {
                    Ok(staging) => staging.discard(),
                    Err(ReceivedError::InUse { .. }) => continue,
                    Err(error) => return Err(error),
                }
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes the staging called `key`, if there is one and nobody builds in it. What the file system does not remove goes as one
    /// that nobody touches.
    pub fn discard(&self, key: &str) {
        let is_there = self
            .keys()
            .is_ok_and(|keys| keys.iter().any(|one| one == key));
        if is_there && let Ok(staging) = self.stage(key) {
            staging.discard();
        }
    }

    fn keys(&self) -> Result<Vec<String>, ReceivedError> {
        let path = self.path.join(STAGINGS);
        let listed = match fs::read_dir(&path) {
            Ok(listed) => listed,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error(&path, e)),
        };
        let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| staging::is_key(name)).collect())
    }
}

/// Of `path` and the folders above it those that are not there, the innermost first.
fn lacking(path: &Path) -> Vec<PathBuf> {
    let is_lacking = |path: &&Path| {
        let found = path.symlink_metadata();
        !path.as_os_str().is_empty()
            && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let lacking = path.ancestors().take_while(is_lacking);
    lacking.map(Path::to_owned).collect()
}

fn root_error(path: &Path, error: io::Error) -> ReceivedError {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP | Errno::NOTDIR) => not_a_folder(path),
        _ => io_error(path, error),
    }
}

/// Where the open `folder` is, which was opened as `path`.
fn place_of(folder: &OwnedFd, path: &Path) -> PathBuf {
    // Without /proc nothing tells.
    let descriptor = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let told = || fs::read_link(descriptor).ok();
    match is_at(folder, path, Link::Refused) {
        true => path.to_owned(),
        false => told().unwrap_or_else(|| path.to_owned()),
    }
}

/// Makes the folder `name` in `parent` unless it is there, and opens it.
fn make_folder(
    parent: &OwnedFd,
    name: &str,
    mode: u32,
    path: &Path,
) -> Result<OwnedFd, ReceivedError> {
    match mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(error_at(path, e)),
    }
    open_beneath(
        parent,
        name,
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
        path,
    )
}

/// Opens `name` beneath `parent`, following no link whatever happens meanwhile.
fn open_beneath(
    parent: &OwnedFd,
    name: &str,
    flags: OFlags,
    mode: Mode,
    path: &Path,
) -> Result<OwnedFd, ReceivedError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if sabotage::without("beneath") {
        return openat(parent, name, flags, mode).map_err(|e| error_at(path, e));
    }
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        match openat2(parent, name, flags, mode, resolve) {
            // A rename elsewhere raced the resolution; the kernel asks to try again.
            Err(Errno::AGAIN) => {}
            result => return result.map_err(|e| error_at(path, e)),
        }
    }
}

fn room(folder: &OwnedFd, reserve: Option<u64>, path: &Path) -> Result<Room, ReceivedError> {
    let disk = Disk::of(folder).map_err(|e| io_error(path, e))?;
    Ok(disk.room(reserve))
}

fn kind_at(folder: &OwnedFd, name: &str) -> Option<FileType> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn not_a_folder(path: &Path) -> ReceivedError {
    ReceivedError::Unsafe {
        path: path.to_owned(),
        danger: Danger::NoFolder,
    }
}

fn error_at(path: &Path, error: Errno) -> ReceivedError {
    let path = path.to_owned();
    match error {
        Errno::LOOP | Errno::XDEV | Errno::NOTDIR => ReceivedError::Unsafe {
            path,
            danger: Danger::InTheWay,
        },
        Errno::NOSPC | Errno::DQUOT => ReceivedError::NoSpace { path },
        _ => ReceivedError::Io {
            path,
            source: error.into(),
        },
    }
}

fn io_error(path: &Path, source: io::Error) -> ReceivedError {
    match source.raw_os_error().map(Errno::from_raw_os_error) {
        Some(errno @ (Errno::NOSPC | Errno::DQUOT)) => error_at(path, errno),
        _ => ReceivedError::Io {
            path: path.to_owned(),
            source,
        },
    }
}
