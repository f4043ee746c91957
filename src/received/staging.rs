//! The place where one transfer is built before anybody sees it.

mod begin;

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::ErrorKind::AlreadyExists,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, statat, symlinkat, syncfs, unlinkat, utimensat},
    io::Errno,
};

use super::{
    Danger, Kept, Received, ReceivedError, STAGINGS, StagedFile, StagedPath, error_at, io_error,
    kind_at, make_folder, modified, open_beneath, room, tree,
};
use crate::{
    disk::{Room, sync_folder},
    lock::Locked,
};

/// The file in a staging in which a receive keeps how far it has come.
pub(super) const JOURNAL: &str = "progress";
const TREE: &str = "tree";
pub(super) const LOCK: &str = "lock";
/// Files besides those of the transfer that a receive makes at the same time: journals.
const OUR_OWN: u64 = 3;
/// The disk is asked again after this part of what it has room for: others write to it beside us.
const ASKED_AGAIN: u64 = 16;
/// How often, and how long apart, a folder is tried in which a closed file has yet to go.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// One transfer under construction. Locked against other processes for as long as it is open.
#[derive(Debug)]
pub struct Staging {
    pub(super) root: Arc<OwnedFd>,
    pub(super) root_path: PathBuf,
    /// The folder of all stagings. Errors name it and not the one of this transfer, which has a name of 97 digits; what is built
    /// here is named by the place that it is meant for.
    pub(super) path: PathBuf,
    key: String,
    pub(super) folder: OwnedFd,
    pub(super) tree: OwnedFd,
    reserve: Option<u64>,
    last_parent: Mutex<Option<(Arc<StagedPath>, Arc<OwnedFd>)>>,
    /// Bytes and files that may be written before the disk is asked again.
    allowed: Mutex<(u64, u64)>,
    /// `None` once it is removed.
    lock: Mutex<Option<Locked>>,
}

/// Whether `name` can be the key of a staging.
pub(super) fn is_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

impl Staging {
    pub(super) fn open(received: &Received, key: &str) -> Result<Self, ReceivedError> {
        let path = received.path.join(STAGINGS);
        if !is_key(key) {
            return Err(ReceivedError::Unsafe {
                path,
                danger: Danger::BadKey,
            });
        }
        let (root, folder, tree, lock) = begin::begin(received, key, &path)?;
        let (root_path, last_parent) = (received.path.clone(), Mutex::default());
        Ok(Self {
            root,
            root_path,
            path,
            key: key.to_owned(),
            folder,
            tree,
            reserve: received.kept_free(),
            last_parent,
            allowed: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Where a receive keeps how far it has come, for people.
    pub fn journal_path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Whether a receive has begun to keep that.
    pub fn has_journal(&self) -> bool {
        kind_at(&self.folder, JOURNAL).is_some()
    }

    /// What an earlier receive kept, if it did.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn journal(&self) -> Result<Option<Vec<u8>>, ReceivedError> {
        tree::read(&self.folder, JOURNAL).map_err(|e| io_error(&self.path, e))
    }

    /// When that was written to last; `None` if it is not there.
    pub fn journal_changed_at(&self) -> Option<(i64, i64)> {
        let found = statat(&self.folder, JOURNAL, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let nanoseconds = i64::try_from(found.st_ctime_nsec).ok()?;
        Some((found.st_ctime, nanoseconds))
    }

    /// Forgets it: then the transfer is begun anew.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn remove_journal(&self) -> Result<(), ReceivedError> {
        match unlinkat(&self.folder, JOURNAL, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error_at(&self.path, error)),
        }
    }

    /// An empty journal, in the place of any other.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn new_journal(&self) -> Result<File, ReceivedError> {
        self.new_file(JOURNAL)
    }

    /// A file that was not there before, whatever had its name: writing to it changes nothing else.
    pub(super) fn new_file(&self, name: &str) -> Result<File, ReceivedError> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(error_at(&self.path, e)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(0o600);
        open_beneath(&self.folder, name, flags, mode, &self.path).map(File::from)
    }

    /// Whether no earlier run has left anything in it.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn is_new(&self) -> Result<bool, ReceivedError> {
        let names = tree::names(&self.folder).map_err(|e| error_at(&self.path, e))?;
        let known = |name: &CString| [LOCK, TREE].map(str::as_bytes).contains(&name.to_bytes());
        Ok(names.iter().all(known) && self.walk()?.entries == 0)
    }

    /// Whether each of the `planned` entries has a name of its own.
    ///
    /// # Errors
    /// [`ReceivedError::OneName`] if the file system took two of them for one.
    pub fn check_count(&self, planned: usize) -> Result<(), ReceivedError> {
        let found = self.walk()?.entries;
        if found == planned {
            return Ok(());
        }
        let path = self.root_path.clone();
        Err(ReceivedError::OneName {
            path,
            found,
            planned,
        })
    }

    /// Makes a folder; it may be there.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn create_dir(&self, path: &StagedPath) -> Result<(), ReceivedError> {
        self.take_room(0, 1)?;
        let parent = self.parent(path)?;
        make_folder(&parent, path.name(), 0o755, &self.path_of(path)).map(drop)
    }

    /// Opens a file of `size` bytes for writing, as an earlier run left it, or makes it if there is room for it now: others
    /// write to the disk beside us.
    ///
    /// # Errors
    /// [`ReceivedError::NoRoom`]; [`ReceivedError::Unsafe`] if it is no plain file of ours.
    pub fn create_file(&self, path: &StagedPath, size: u64) -> Result<StagedFile, ReceivedError> {
        let (parent, shown) = (self.parent(path)?, self.path_of(path));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        let open = |flags| {
            let mode = Mode::from_raw_mode(0o644);
            open_beneath(&parent, path.name(), flags, mode, &shown)
        };
        match open(flags | OFlags::EXCL) {
            Ok(file) => {
                if let Err(no_room) = self.take_room(size, 1) {
                    let _ = unlinkat(&parent, path.name(), AtFlags::empty());
                    return Err(no_room);
                }
                return Ok(StagedFile {
                    file: file.into(),
                    path: shown,
                    is_new: true,
                });
            }
            Err(ReceivedError::Io { source, .. }) if source.kind() == AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let file = File::from(open(flags)?);
        let metadata = file.metadata().map_err(|e| io_error(&shown, e))?;
        if !metadata.is_file() || metadata.nlink() != 1 {
            return Err(ReceivedError::Unsafe {
                path: shown,
                danger: Danger::NotPlain,
            });
        }
        Ok(StagedFile {
            file,
            path: shown,
            is_new: false,
        })
    }

    /// Takes the space of `file`, which has that of `from` bytes, up to `end` if there is room for it now.
    ///
    /// # Errors
    /// [`ReceivedError::NoRoom`], [`ReceivedError::NoSpace`].
    pub fn extend(&self, file: &StagedFile, from: u64, end: u64) -> Result<(), ReceivedError> {
        self.take_room(end.saturating_sub(from), 0)?;
        file.preallocate(end)
    }

    /// Makes a symbolic link, which the caller has checked. Nothing here ever follows it.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn create_symlink(&self, path: &StagedPath, target: &str) -> Result<(), ReceivedError> {
        match symlinkat(target, &*self.parent(path)?, path.name()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(error_at(&self.path_of(path), e)),
        }
    }

    /// Sets when a folder was modified.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn set_dir_times(
        &self,
        path: &StagedPath,
        seconds: i64,
        nanoseconds: u32,
    ) -> Result<Kept, ReceivedError> {
        let (parent, times) = (self.parent(path)?, modified(seconds, nanoseconds));
        let set = utimensat(&*parent, path.name(), &times, AtFlags::SYMLINK_NOFOLLOW);
        Kept::of(set).map_err(|e| error_at(&self.path_of(path), e))
    }

    /// Makes the names in `folders` durable, and those at the top.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn sync_folders<'a>(
        &self,
        folders: impl Iterator<Item = &'a StagedPath>,
    ) -> Result<(), ReceivedError> {
        for path in folders {
            let (parent, shown) = (self.parent(path)?, self.path_of(path));
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let folder = open_beneath(&parent, path.name(), flags, Mode::empty(), &shown)?;
            sync_folder(&folder).map_err(|e| error_at(&shown, e))?;
        }
        sync_folder(&self.tree).map_err(|e| error_at(&self.path, e))
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn sync_all(&self) -> Result<(), ReceivedError> {
        syncfs(&self.tree).map_err(|e| error_at(&self.path, e))
    }

    /// What may still be written.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn room(&self) -> Result<Room, ReceivedError> {
        room(&self.tree, self.reserve, &self.path)
    }

    /// Whether `bytes` in so many `files` may be written now. The disk is asked again when a part of what it had is used up.
    fn take_room(&self, bytes: u64, files: u64) -> Result<(), ReceivedError> {
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes > allowed.0 || files > allowed.1 {
            let room = self.room()?;
            room.check(bytes, files)?;
            *allowed = (room.usable() / ASKED_AGAIN, room.files / ASKED_AGAIN);
        }
        *allowed = (
            allowed.0.saturating_sub(bytes),
            allowed.1.saturating_sub(files),
        );
        Ok(())
    }

    /// Whether there is room for what an earlier run has not made of `entries` with `bytes` in all.
    ///
    /// # Errors
    /// [`ReceivedError::NoRoom`].
    pub fn check_room(&self, bytes: u64, entries: usize) -> Result<(), ReceivedError> {
        let staged = self.walk()?;
        let files = entries.saturating_sub(staged.entries) as u64;
        let bytes = bytes.saturating_sub(staged.bytes);
        Ok(self.room()?.check(bytes, files + OUR_OWN)?)
    }

    fn walk(&self) -> Result<tree::Size, ReceivedError> {
        let mut size = tree::Size::default();
        tree::measure(&self.tree, &mut size).map_err(|e| error_at(&self.path, e))?;
        Ok(size)
    }

    /// Forgets what an earlier run left, so that the transfer begins anew.
    ///
    /// # Errors
    /// [`ReceivedError`].
    pub fn clear(&self) -> Result<(), ReceivedError> {
        *self
            .last_parent
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
        let failed = |e| error_at(&self.path, e);
        for name in tree::names(&self.tree).map_err(failed)? {
            tree::remove_all(&self.tree, &name).map_err(failed)?;
        }
        self.remove_journal()
    }

    /// Gives the staging up. What the file system does not remove is warned of: it must not fail what was received, and goes as
    /// a staging that nobody touches.
    pub fn discard(&self) {
        if let Err(error) = self.remove() {
            let folder = self.root_path.join(STAGINGS);
            tracing::warn!(%error, folder = %folder.display(), "what was staged cannot be removed: remove that folder later");
        }
    }

    fn remove(&self) -> Result<(), ReceivedError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let all = open_beneath(&self.root, STAGINGS, flags, Mode::empty(), &self.path)?;
        let key = CString::new(self.key.as_bytes()).map_err(|e| io_error(&self.path, e.into()))?;
        match tree::remove_all(&all, &key) {
            Err(Errno::NOTEMPTY) => self.remove_late(&all, &key),
            removed => removed.map_err(|e| error_at(&self.path, e))?,
        }
        // The folder of stagings goes with its last one; another process may be making one.
        let _ = unlinkat(&self.root, STAGINGS, AtFlags::REMOVEDIR);
        Ok(())
    }

    /// NFS and many FUSE file systems keep a removed file that is still open, here the lock, under a name of their own until
    /// it is closed. What stays of it fails nothing: it is removed as a staging that nobody touches.
    fn remove_late(&self, all: &OwnedFd, key: &CStr) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for _ in 0..ATTEMPTS {
            match unlinkat(all, key, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY) => thread::sleep(PAUSE),
                _ => return,
            }
        }
    }

    fn path_of(&self, path: &StagedPath) -> PathBuf {
        self.root_path.join(path.to_string())
    }

    /// The folder that `path` is in. The last one is kept open: most entries follow their siblings.
    fn parent(&self, path: &StagedPath) -> Result<Arc<OwnedFd>, ReceivedError> {
        let Some(parent) = path.parent() else {
            let tree = self.tree.try_clone().map_err(|e| io_error(&self.path, e))?;
            return Ok(Arc::new(tree));
        };
        let mut last = self
            .last_parent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((path, folder)) = &*last
            && Arc::ptr_eq(path, parent)
        {
            return Ok(folder.clone());
        }
        let shown = self.path_of(parent);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let below = parent.to_string();
        let folder = Arc::new(open_beneath(
            &self.tree,
            &below,
            flags,
            Mode::empty(),
            &shown,
        )?);
        *last = Some((parent.clone(), folder.clone()));
        Ok(folder)
    }
}
