//! Folders that are held open, and whether their paths still lead to them.

use std::{
    ffi::OsString,
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fstat, mkdirat, openat, statat},
    io::Errno,
};

/// Whether the name of a folder may be a link to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// Then what it leads to is the folder.
    Followed,
    /// It must be a real folder.
    Refused,
}

/// An open folder. Folders are moved, removed and mounted over under a running program; device and inode tell.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    link: Link,
    folder: Arc<OwnedFd>,
    /// The folder that it was in. `None` for one that has no name in another.
    parent: Option<(Arc<OwnedFd>, OsString)>,
}

impl Held {
    /// Opens the folder at `path`.
    pub(crate) fn open(path: &Path, link: Link) -> io::Result<Self> {
        let folder = open_in(CWD, path, link)?;
        let parent = match path.file_name() {
            Some(name) => Some((
                Arc::new(open_in(CWD, parent_of(path), Link::Followed)?),
                name,
            )),
            None => None,
        };
        Ok(Self {
            path: path.to_owned(),
            link,
            folder: Arc::new(folder),
            parent: parent.map(|(parent, name)| (parent, name.to_owned())),
        })
    }

    /// For the log of the command line alone.
    #[cfg(feature = "cli")]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }

    /// Whether its path leads to it still.
    pub(crate) fn is_in_place(&self) -> bool {
        is_at(&self.folder, &self.path, self.link)
    }

    /// Whether it is in place, or [`again`](Self::again) can make it.
    pub(crate) fn can_be_in_place(&self) -> bool {
        self.is_in_place() || (self.is_parent_in_place() && self.is_free_or_folder())
    }

    /// The folder that its path leads to now, made if there is none. Only in the folder that it was in: in another, which
    /// may be the place of a disk that is not mounted any more, nothing is made.
    pub(crate) fn again(&self) -> io::Result<Self> {
        let Some((parent, name)) = self.parent.as_ref().filter(|_| self.is_parent_in_place())
        else {
            return Err(io::Error::other(
                "the folder that it was in is not there any more: move it back, or restart",
            ));
        };
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = open_in(parent, name, self.link)?;
        Ok(Self {
            path: self.path.clone(),
            link: self.link,
            folder: Arc::new(folder),
            parent: self.parent.clone(),
        })
    }

    fn is_parent_in_place(&self) -> bool {
        let parent = self.parent.as_ref();
        parent.is_some_and(|(parent, _)| is_at(parent, parent_of(&self.path), Link::Followed))
    }

    fn is_free_or_folder(&self) -> bool {
        match fs::symlink_metadata(&self.path) {
            Ok(there) => there.is_dir(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// Whether `path` is a name of the open `folder`.
pub(crate) fn is_at(folder: &OwnedFd, path: &Path, link: Link) -> bool {
    let flags = match link {
        Link::Followed => AtFlags::empty(),
        Link::Refused => AtFlags::SYMLINK_NOFOLLOW,
    };
    let (Ok(there), Ok(held)) = (statat(CWD, path, flags), fstat(folder)) else {
        return false;
    };
    (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino)
}

/// Whether both paths lead to one folder.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

fn parent_of(path: &Path) -> &Path {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn open_in(
    folder: impl std::os::fd::AsFd,
    path: impl rustix::path::Arg,
    link: Link,
) -> Result<OwnedFd, Errno> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if link == Link::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    openat(folder, path, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_again_only_where_it_was() {
        let root = tempfile::tempdir().unwrap();
        let [home, path] = ["home", "home/logs"].map(|name| root.path().join(name));
        fs::create_dir_all(&path).unwrap();
        let held = Held::open(&path, Link::Refused).unwrap();
        assert!(held.is_in_place());
        fs::rename(&path, home.join("old")).unwrap();
        assert!(!held.is_in_place() && held.can_be_in_place());
        let again = held.again().unwrap();
        assert!(again.is_in_place() && !held.is_in_place());
        fs::rename(&home, root.path().join("away")).unwrap();
        assert!(!again.can_be_in_place() && again.again().is_err());
        fs::create_dir(&home).unwrap();
        assert!(!again.can_be_in_place() && again.again().is_err());
        assert!(!path.exists(), "another folder has the name of its home");
        fs::remove_dir(&home).unwrap();
        fs::rename(root.path().join("away"), &home).unwrap();
        assert!(again.is_in_place());
    }
}
