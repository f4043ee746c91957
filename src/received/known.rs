//! Which folder of received files a home has. It may be on another disk, and that one not mounted: what arrives must not go
//! into the place where it is mounted else, where nobody looks.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{Danger, Gone, Received, ReceivedError, marker};
use crate::{disk::write_durably, id::Digest, private};

/// Folders of a home that nothing is received into.
const OF_HOME: [&str; 3] = ["certs", "chunks", "logs"];

/// What a home remembers of its folder of received files.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// The digest of its path.
    path: Digest,
    /// What the folder that it is in has, and no other in its place.
    parent: String,
    /// Whether it is where a disk is mounted.
    is_mount: bool,
}

impl Received {
    /// Opens the folder of received files at `path`, for the home that remembers it in the file `mark` of its `certs/`. One that
    /// is not there is made, for its owner alone, and only in a folder that is there. It is marked as what it is.
    ///
    /// # Errors
    /// [`ReceivedError::Gone`] if this home had it before and its disk is not mounted, [`ReceivedError::Unsafe`] if it is around
    /// the home or among what colis works with, and those of [`open`](Self::open).
    pub fn open_known(path: &Path, mark: &Path) -> Result<Self, ReceivedError> {
        Self::check_known(path, mark)?;
        let mut received = Self::open_private(path)?;
        received.is_mount = is_mount(path);
        let marked = received.root().map(|root| marker::mark(&root));
        match marked {
            Ok(Ok(())) if is_in_home(path, mark) => {}
            Ok(Ok(())) => remember(path, mark, received.is_mount),
            _ => tracing::debug!("the folder of received files is not marked"),
        }
        Ok(received)
    }

    /// Whether the folder at `path` can be the one of the home that remembers it in the file `mark`. Changes nothing.
    ///
    /// # Errors
    /// As [`open_known`](Self::open_known), as far as they can be known before.
    pub fn check_known(path: &Path, mark: &Path) -> Result<(), ReceivedError> {
        check_apart(path, mark)?;
        // One in the home itself comes and goes with it, whose disk is looked at before.
        if is_in_home(path, mark) || marker::is_marked(path) {
            return Ok(());
        }
        let gone = |why| {
            let path = path.to_owned();
            Err(ReceivedError::Gone { path, why })
        };
        let Some(parent) = path.parent().and_then(|parent| place(parent).ok()) else {
            return gone(Gone::NoParent);
        };
        match remembered(path, mark) {
            Some(before) if before.is_mount && !is_mount(path) => gone(Gone::NotMounted),
            Some(before) if before.parent != parent => gone(Gone::OtherParent),
            Some(_) if !path.exists() => {
                let path = path.display();
                tracing::warn!(%path, "the folder of received files is gone, and made anew");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether the home that remembers its folder of received files in the file `mark` has had the one at `path`.
    pub fn is_remembered(path: &Path, mark: &Path) -> bool {
        remembered(path, mark).is_some()
    }
}

/// Refuses what would keep the home from being one, and what would mix with its keys.
fn check_apart(path: &Path, mark: &Path) -> Result<(), ReceivedError> {
    // A link is refused as one.
    if path.is_symlink() {
        return Ok(());
    }
    let real = |path: &Path| path.canonicalize().ok();
    let home = mark.parent().and_then(Path::parent);
    let (Some(there), Some(home)) = (path.ancestors().find_map(real), home) else {
        return Ok(());
    };
    let is_around =
        real(path).is_some_and(|path| real(home).is_some_and(|home| home.starts_with(path)));
    let is_among = OF_HOME.map(|name| home.join(name));
    let is_among = is_among.iter().filter_map(|folder| real(folder));
    match is_around || is_among.into_iter().any(|folder| there.starts_with(folder)) {
        true => Err(ReceivedError::Unsafe {
            path: path.to_owned(),
            danger: Danger::OfHome,
        }),
        false => Ok(()),
    }
}

fn is_in_home(path: &Path, mark: &Path) -> bool {
    let home = mark.parent().and_then(Path::parent);
    home.is_some() && path.parent() == home
}

fn remembered(path: &Path, mark: &Path) -> Option<Remembered> {
    let text = private::read(mark).ok()?;
    let before: Remembered = serde_json::from_slice(&text).ok()?;
    (before.path == digest(path)).then_some(before)
}

/// A home that cannot be written remembers nothing, and receives all the same.
fn remember(path: &Path, mark: &Path, is_mount: bool) {
    let now = path.parent().map(place).and_then(Result::ok);
    let now = now.map(|parent| Remembered {
        path: digest(path),
        parent,
        is_mount,
    });
    let Some(now) = now.filter(|now| remembered(path, mark).as_ref() != Some(now)) else {
        return;
    };
    let written = serde_json::to_vec(&now)
        .map_err(io::Error::from)
        .and_then(|text| write_durably(mark, &text, 0o600));
    if let Err(error) = written {
        tracing::debug!(%error, "which folder of received files this home has is not remembered");
    }
}

fn digest(path: &Path) -> Digest {
    use std::os::unix::ffi::OsStrExt as _;
    Digest::of(path.as_os_str().as_bytes())
}

/// What a folder has that another one in its place has not.
fn place(folder: &Path) -> io::Result<String> {
    let found = fs::metadata(folder)?;
    Ok(format!("{} {:?}", found.ino(), found.created().ok()))
}

/// Whether a disk is mounted at `path`.
pub(super) fn is_mount(path: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    let parent = path.parent().map(device);
    matches!((device(path), parent), (Ok(here), Some(Ok(parent))) if here != parent)
}

impl Received {
    /// That the disk which was mounted at its path is not any more.
    pub(super) fn is_unmounted(&self) -> bool {
        self.is_mount && !is_mount(&self.path)
    }

    pub(super) fn not_mounted(&self) -> ReceivedError {
        ReceivedError::Gone {
            path: self.path.clone(),
            why: Gone::NotMounted,
        }
    }

    /// Removes the marker of a folder that was made for nothing, so that the folder can go.
    pub(super) fn remove_lone_marker(&self) {
        let names = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name());
        if !self.made.is_empty() && names.all(|name| name == marker::MARKER) {
            // What is not removed stays as a marked folder.
            let _ = fs::remove_file(self.path.join(marker::MARKER));
        }
    }
}
