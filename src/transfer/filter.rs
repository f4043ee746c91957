//! What of a folder is left out: by globs, and by what git ignores.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use ignore::{WalkBuilder, overrides::OverrideBuilder};

use super::TransferError;
use crate::name::LibraryError;

/// What to leave out: of the paths that were named, and of what is below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Globs as in `.gitignore`, relative to the folder that is sent, and for a path that was named to the folder that it is
    /// in: `*.o`, `target/`, `/notes.txt`.
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

/// Which of the paths that were named are kept: what is kept in each folder that one is in, read once.
#[derive(Default)]
pub(super) struct KeptNamed(HashMap<PathBuf, Option<HashSet<OsString>>>);

impl Filter {
    /// What a person asks for: globs, what git ignores, and whether private keys of colis are sent too.
    pub fn chosen(exclude: &[String], git: bool, with_keys: bool) -> Self {
        Self {
            exclude: exclude.to_vec(),
            git,
            keys: match with_keys {
                true => Keys::Send,
                false => Keys::LeaveOut,
            },
            ..Self::default()
        }
    }

    /// Walks `folder` once to learn what is kept.
    pub(super) fn apply(&self, folder: &Path) -> Result<Kept, TransferError> {
        if self.is_empty() {
            return Ok(Kept(None));
        }
        // What cannot be read is for the walk itself to report.
        let kept = self.walk(folder)?.build().flatten();
        Ok(Kept(Some(kept.map(ignore::DirEntry::into_path).collect())))
    }

    fn is_empty(&self) -> bool {
        self.exclude.is_empty() && !self.git
    }

    fn walk(&self, folder: &Path) -> Result<WalkBuilder, TransferError> {
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
        Ok(walk)
    }
}

impl KeptNamed {
    /// Whether the `named` path itself is sent. What has no name of its own, as `.`, is what the person is in.
    pub(super) fn has(&mut self, named: &Path, filter: &Filter) -> Result<bool, TransferError> {
        let (Some(parent), Some(name)) = (named.parent(), named.file_name()) else {
            return Ok(true);
        };
        if filter.is_empty() {
            return Ok(true);
        }
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        if !self.0.contains_key(parent) {
            let kept = filter.walk(parent)?.max_depth(Some(1)).build().flatten();
            let names = kept.map(|entry| entry.file_name().to_owned());
            // In a folder that cannot be listed a path can be named all the same.
            let kept = fs::read_dir(parent).is_ok().then(|| names.collect());
            self.0.insert(parent.to_owned(), kept);
        }
        let kept = self.0.get(parent).and_then(Option::as_ref);
        Ok(kept.is_none_or(|kept| kept.contains(name)))
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
