//! One process at a time: the lock of a store, and what its holder tells others.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use super::LocalStore;
use crate::{
    disk::is_same,
    lock::{Locked, is_held},
    manifest::Timestamp,
    private,
    store::{LockedBy, StoreError},
};

/// How long a command that has the store is waited for: most end soon, and a peer that serves does not.
const COMMAND_ENDS: Duration = Duration::from_secs(3);
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3600);

/// Held for the life of the process. The system lets it go when the process ends, however it ends.
pub(super) struct Lock {
    file: Mutex<Locked>,
    root: PathBuf,
}

impl LocalStore {
    /// Tells other processes of this machine where we listen: by `address` they reach us.
    pub fn note_serving(&self, address: &str) {
        self.note_listening(address, address);
    }

    /// The same of one that listens on `listens`, which may be all addresses.
    pub fn note_listening(&self, address: &str, listens: &str) {
        if let Some(Err(error)) = self
            .inner
            .lock
            .as_ref()
            .map(|lock| lock.note_serving(address, listens))
        {
            tracing::warn!(%error, "other processes cannot see where we listen");
        }
    }

    /// Where the process listens that holds the store at `root`.
    pub fn serving_address(root: &Path) -> Option<String> {
        holder(root)?.serving
    }

    /// Which process has the store at `root`, if one has.
    pub fn holder(root: &Path) -> Option<Holder> {
        holder(root)
    }

    /// Checks that [`holder`](Self::holder) can tell: that the store at `root` is the one that its home remembers in the file
    /// `mark`, and that its lock is a file.
    ///
    /// # Errors
    /// Those of [`check_known`](Self::check_known); [`StoreError::Io`].
    pub fn check_holder(root: &Path, mark: &Path) -> Result<(), StoreError> {
        Self::check_known(root, mark)?;
        let path = path(root);
        match private::open(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Io { path, source })
            }
            _ => Ok(()),
        }
    }

    /// When the store at `root` was last opened for writing, or began to be served.
    pub fn last_opened(root: &Path) -> Option<Timestamp> {
        last_taken(root)
    }
}

impl Lock {
    pub(super) fn take(root: &Path) -> Result<Self, StoreError> {
        let path = path(root);
        let io = |source| StoreError::Io {
            path: path.clone(),
            source,
        };
        let mut open = private::file();
        open.read(true).write(true).create(true).truncate(false);
        let begun = Instant::now();
        let file = loop {
            match Locked::take(private::open_with(&mut open, &path).map_err(io)?) {
                Ok(locked) => break locked,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(io(e)),
            }
            if line(root, "serving").is_some() || begun.elapsed() > COMMAND_ENDS {
                let pid = line(root, "pid").and_then(|pid| pid.parse().ok());
                let holder = pid.map_or(LockedBy::Unknown, LockedBy::Process);
                return Err(StoreError::Locked { holder });
            }
        };
        warn_of_an_early_clock(&file);
        let lock = Self {
            file: Mutex::new(file),
            root: std::path::absolute(root).map_err(io)?,
        };
        // The lock counts without its text, which a full disk has no room for.
        if let Err(error) = lock.write(&format!("pid {}\n", std::process::id())) {
            tracing::warn!(%error, "other processes cannot see who has the store");
        }
        Ok(lock)
    }

    /// Tells others where the holder listens.
    pub(super) fn note_serving(&self, address: &str, listens: &str) -> std::io::Result<()> {
        let pid = std::process::id();
        // A path with a line end in it is left out.
        let root = self.root.to_str().filter(|root| !root.contains('\n'));
        let at = root.map_or_else(String::new, |root| format!("at {root}\n"));
        self.write(&format!(
            "pid {pid}\nserving {address}\nlistens {listens}\n{at}"
        ))
    }

    fn write(&self, text: &str) -> std::io::Result<()> {
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    }
}

/// Every holder writes the file, so it was changed when the store was opened last. A clock that was set back keeps things
/// longer than they were meant to be, which loses nothing; but certificates and new transfers will be misjudged.
fn warn_of_an_early_clock(file: &File) {
    let opened_last = file.metadata().and_then(|metadata| metadata.modified());
    let early = opened_last.is_ok_and(|then| then > SystemTime::now() + CLOCK_TOLERANCE);
    if early {
        tracing::warn!("the clock is more than a day earlier than when the store was opened last");
    }
}

/// The process that has a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id, as it wrote it.
    pub process: Option<u32>,
    /// Where this machine reaches it, if it serves.
    pub serving: Option<String>,
    /// On which address it listens, which may be all.
    pub listens: Option<String>,
    /// Since when it has the store, or serves it.
    pub since: Option<Timestamp>,
    /// Where the store was when it opened it, if that path does not lead there any more.
    pub moved_from: Option<PathBuf>,
}

/// Who holds the lock of the store at `root`, if somebody does.
pub(super) fn holder(root: &Path) -> Option<Holder> {
    let file = private::open(&path(root)).ok()?;
    is_held(&file).then(|| Holder {
        process: line(root, "pid").and_then(|pid| pid.parse().ok()),
        serving: line(root, "serving"),
        listens: line(root, "listens"),
        since: last_taken(root),
        moved_from: line(root, "at")
            .map(PathBuf::from)
            .filter(|at| !is_same(at, root)),
    })
}

/// When the lock of the store at `root` was written last.
pub(super) fn last_taken(root: &Path) -> Option<Timestamp> {
    let modified = fs::metadata(path(root)).ok()?.modified().ok()?;
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix_seconds(since.as_secs()))
}

fn path(root: &Path) -> PathBuf {
    root.join("LOCK")
}

fn line(root: &Path, key: &str) -> Option<String> {
    let text = private::read_text(&path(root)).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' ').map(str::to_owned))
}
