//! What of a folder is left out: by globs, and by what git ignores.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use ignore::{WalkBuilder, overrides::OverrideBuilder};

use super::TransferError;
use crate::name::LibraryError;

/// What to leave out below the paths that were named. The paths themselves are always sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Globs as in `.gitignore`, relative to the folder that is sent: `*.o`, `target/`, `/notes.txt`.
    pub exclude: Vec<String>,
    /// Leave out what git ignores, and `.git` itself.
    pub git: bool,
    /// Folders in which this program works, which change while it does.
    pub own_folders: Vec<PathBuf>,
    /// What becomes of private keys of colis.
    pub keys: Keys,
}

/// What becomes of private keys of colis below what is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keys {
    /// They stay here; one that was named is an error.
    #[default]
    LeaveOut,
    /// They are sent like other files.
    Send,
}

/// The paths below a folder that are kept; everything if there is no filter.
pub(super) struct Kept(Option<HashSet<PathBuf>>);

impl Filter {
    /// Walks `folder` once to learn what is kept.
    pub(super) fn apply(&self, folder: &Path) -> Result<Kept, TransferError> {
        if self.exclude.is_empty() && !self.git {
            return Ok(Kept(None));
        }
        let mut overrides = OverrideBuilder::new(folder);
        for glob in &self.exclude {
            // In an override a plain glob means "only this"; with `!` it means "not this".
            overrides
                .add(&format!("!{glob}"))
                .map_err(|e| bad(glob, &e))?;
        }
        let mut walk = WalkBuilder::new(folder);
        walk.standard_filters(false)
            .overrides(overrides.build().map_err(|e| bad("", &e))?)
            .follow_links(false);
        if self.git {
            walk.parents(true)
                .git_ignore(true)
                .git_global(true)
                .git_exclude(true)
                .require_git(false)
                .filter_entry(|entry| entry.file_name() != ".git");
        }
        // What cannot be read is for the walk itself to report.
        let kept = walk.build().flatten().map(ignore::DirEntry::into_path);
        Ok(Kept(Some(kept.collect())))
    }
}

fn bad(glob: &str, error: &ignore::Error) -> TransferError {
    let cause = match error {
        ignore::Error::Glob { err, .. } => LibraryError::new(err),
        other => LibraryError::new(other),
    };
    TransferError::BadGlob {
        glob: glob.to_owned(),
        cause,
    }
}

impl Kept {
    /// Whether `path` is sent.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.as_ref().is_none_or(|kept| kept.contains(path))
    }
}
