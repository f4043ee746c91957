//! What the file system of a folder cannot do.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
    process::geteuid,
};

use crate::private;

use super::names::{has_no_links, is_lacking, move_new, sync_folder};

/// Something that not every file system can do, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A rename that replaces nothing.
    RenameNew,
    /// Symbolic links.
    Symlinks,
    /// Times that are set.
    Times,
    /// Modes and owners of files.
    Modes,
    /// Making the names in a folder durable.
    FolderSync,
    /// Locks on files.
    Locks,
}

impl Lack {
    /// What is not there, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::RenameNew => "no rename without replacing (links are used)",
            Self::Symlinks => "no symbolic links (they are left out)",
            Self::Times => "no times that can be set (files are dated when they came)",
            Self::Modes => "no modes (others of this machine may read what is there)",
            Self::FolderSync => "no sync of folders (a loss of power may take the last names)",
            Self::Locks => "no locks (they are kept on this machine only)",
        }
    }

    /// Whether something of a transfer is lost by it; the rest is worked around.
    pub fn is_a_loss(self) -> bool {
        self != Self::RenameNew
    }
}

/// Tries in `folder` what the store and the inbox need. Nothing of it is left.
///
/// # Errors
/// That nothing can be written there.
pub fn lacks(folder: &Path) -> io::Result<Vec<Lack>> {
    let probe = tempfile::Builder::new()
        .prefix(".staged-")
        .tempdir_in(folder)?;
    let (root, file) = (probe.path(), probe.path().join("a"));
    let mut open = private::file();
    let mut written = open.create_new(true).write(true).open(&file)?;
    written.write_all(&[0; 4096])?;
    written.sync_all()?;
    let mut lacks = Vec::new();
    let mut note = |there: io::Result<bool>, lack| match there {
        Ok(true) => Ok(()),
        Ok(false) => {
            lacks.push(lack);
            Ok(())
        }
        Err(error) => match Errno::from_io_error(&error) {
            Some(errno) if is_lacking(errno) || errno == Errno::NOLCK => {
                lacks.push(lack);
                Ok(())
            }
            _ => Err(error),
        },
    };
    note(links(root), Lack::Symlinks)?;
    note(sets_times(&written), Lack::Times)?;
    note(keeps_modes(&written), Lack::Modes)?;
    note(locks(&written), Lack::Locks)?;
    note(syncs(root), Lack::FolderSync)?;
    note(renames(root), Lack::RenameNew)?;
    // What is used in its place.
    let folder = private::open_folder(root)?;
    fs::create_dir(root.join("f"))?;
    move_new((&folder, "f"), (&folder, "g"))?;
    move_new((&folder, "b"), (&folder, "c"))
        .or_else(|_| move_new((&folder, "a"), (&folder, "c")))?;
    sync_folder(&folder)?;
    Ok(lacks)
}

fn links(folder: &Path) -> io::Result<bool> {
    match symlink("a", folder.join("l")) {
        Err(error) if Errno::from_io_error(&error).is_some_and(has_no_links) => Ok(false),
        made => made.map(|()| true),
    }
}

fn sets_times(file: &File) -> io::Result<bool> {
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(then)?;
    Ok(file.metadata()?.modified()? == then)
}

/// Whether a file that was made for its owner alone is so.
fn keeps_modes(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let is_private = metadata.mode() & 0o077 == 0 && metadata.uid() == geteuid().as_raw();
    if !is_private {
        return Ok(false);
    }
    file.set_permissions(fs::Permissions::from_mode(0o700))?;
    Ok(file.metadata()?.mode() & 0o777 == 0o700)
}

fn locks(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn syncs(folder: &Path) -> io::Result<bool> {
    private::open_folder(folder)?.sync_all().map(|()| true)
}

fn renames(folder: &Path) -> io::Result<bool> {
    let (from, to) = (folder.join("a"), folder.join("b"));
    renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE)?;
    Ok(true)
}
