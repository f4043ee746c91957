//! From the paths of a table to safe paths of a staging.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::ReceivedError;
use crate::{
    id::Digest,
    name::{Place, RelPath, SafeName},
};

/// What an entry is, as far as its place matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder: others may be in it.
    Directory,
    /// A file or a link.
    Leaf,
}

/// A path in a staging, made of safe names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedPath {
    parent: String,
    name: SafeName,
}

impl StagedPath {
    /// Its name, if it is at the top of the transfer.
    pub fn top_level(&self) -> Option<&SafeName> {
        self.parent.is_empty().then_some(&self.name)
    }

    /// The folder that it is in; empty at the top.
    pub(super) fn parent(&self) -> &str {
        &self.parent
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    fn join(parent: &str, name: &SafeName) -> String {
        if parent.is_empty() {
            name.to_string()
        } else {
            format!("{parent}/{name}")
        }
    }
}

impl fmt::Display for StagedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::join(&self.parent, &self.name))
    }
}

/// Maps the entries of one table, in its order. Keeps 16 bytes for each entry and the text of each folder.
#[derive(Debug, Default)]
pub struct Layout {
    folders: HashMap<String, String>,
    seen: HashSet<[u8; 16]>,
    taken: HashSet<[u8; 16]>,
}

impl Layout {
    /// The safe path for the entry at `path`.
    ///
    /// # Errors
    /// [`ReceivedError::BadTable`] if the path came before, or its parent is no folder of the table.
    pub fn add(&mut self, path: &RelPath, kind: EntryKind) -> Result<StagedPath, ReceivedError> {
        let bad = |reason| {
            Err(ReceivedError::BadTable {
                path: path.as_str().to_owned(),
                reason,
            })
        };
        if !self.seen.insert(fingerprint(path.as_str())) {
            return bad("a path that stands twice");
        }
        let (parent, place) = match path.parent() {
            None => ("", Place::TopLevel),
            Some(parent) => match self.folders.get(parent) {
                Some(mapped) => (mapped.as_str(), Place::Nested),
                None => return bad("an entry whose parent is not a folder before it"),
            },
        };
        let wanted = SafeName::new(path.file_name(), place);
        let numbered = (2..).map(|n| wanted.numbered(n));
        let mut names = std::iter::once(wanted.clone()).chain(numbered);
        let name = names.find(|name| {
            self.taken
                .insert(fingerprint(&StagedPath::join(parent, name)))
        });
        let staged = StagedPath {
            parent: parent.to_owned(),
            name: name.unwrap_or(wanted),
        };
        if kind == EntryKind::Directory {
            self.folders
                .insert(path.as_str().to_owned(), staged.to_string());
        }
        Ok(staged)
    }
}

/// 128 bits of SHA-256: a collision cannot be made.
fn fingerprint(text: &str) -> [u8; 16] {
    let digest = Digest::of(text.as_bytes());
    *digest
        .as_bytes()
        .first_chunk()
        .expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn names_that_become_equal_are_numbered() {
        let mut layout = Layout::default();
        let mut add = |text, kind| layout.add(&path(text), kind).unwrap().to_string();
        assert_eq!(add("d", EntryKind::Directory), "d");
        assert_eq!(add("d/a\\b", EntryKind::Leaf), "d/a_b");
        assert_eq!(add("d/a:b", EntryKind::Leaf), "d/a_b (2)");
        assert_eq!(add("d/a_b", EntryKind::Leaf), "d/a_b (3)");
        assert_eq!(add(".e", EntryKind::Directory), "_.e");
        assert_eq!(add(".e/.f", EntryKind::Leaf), "_.e/.f");
    }

    #[test]
    fn a_table_that_contradicts_itself_is_refused() {
        let mut layout = Layout::default();
        layout.add(&path("a"), EntryKind::Leaf).unwrap();
        for wrong in ["a", "a/b", "nowhere/b"] {
            assert!(
                matches!(
                    layout.add(&path(wrong), EntryKind::Leaf),
                    Err(ReceivedError::BadTable { .. })
                ),
                "{wrong}"
            );
        }
    }
}
