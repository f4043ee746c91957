//! From the paths of a table to safe paths of a staging.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Names, ReceivedError, Refused, TableFault};
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

/// A path in a staging, made of safe names. Entries of one folder share it: a path keeps its last name only.
#[derive(Debug, Clone)]
pub struct StagedPath {
    parent: Option<Arc<Self>>,
    name: SafeName,
}

impl StagedPath {
    /// Its name, if it is at the top of the transfer.
    pub fn top_level(&self) -> Option<&SafeName> {
        self.parent.is_none().then_some(&self.name)
    }

    /// The name of the entry at the top of the transfer that it belongs to.
    pub fn top(&self) -> &SafeName {
        self.parent().map_or(&self.name, |parent| parent.top())
    }

    /// The same path, with its entry at the top called `top`.
    pub fn under(&self, top: &SafeName) -> Self {
        match self.parent() {
            None => Self {
                parent: None,
                name: top.clone(),
            },
            Some(parent) => Self {
                parent: Some(Arc::new(parent.under(top))),
                name: self.name.clone(),
            },
        }
    }

    /// The folder that it is in; `None` at the top.
    pub(super) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// Its last name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }
}

impl fmt::Display for StagedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = vec![self.name()];
        let mut folder = self.parent();
        while let Some(path) = folder {
            names.push(path.name());
            folder = path.parent();
        }
        names.reverse();
        f.write_str(&names.join("/"))
    }
}

/// 128 bits of the SHA-256 of a path: a collision cannot be made.
pub(super) type Fingerprint = [u8; 16];

/// Maps the entries of one table, in its order. Keeps 32 bytes for each entry, and the name of each folder.
#[derive(Debug, Default)]
pub struct Layout {
    pub(super) folders: HashMap<Fingerprint, Arc<StagedPath>>,
    seen: HashSet<Fingerprint>,
    taken: HashSet<Fingerprint>,
    /// The number that is tried next for a name that is taken.
    numbers: HashMap<Fingerprint, u32>,
    names: Names,
    refused: Refused,
    /// Those with a number in their name, because another one has the name without it.
    numbered: NewNames,
    /// Those whose name cannot be written everywhere, or is harmful.
    renamed: NewNames,
    /// The name of each of both, by its path in the table.
    pub(super) new_names: HashMap<Fingerprint, SafeName>,
}

/// Entries that are not called here what they were called in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNames {
    /// How many.
    pub count: usize,
    /// The first of them: as it was in the table, which is remote text, and what it has become.
    pub first: Vec<(String, String)>,
}

impl NewNames {
    fn note(&mut self, from: &RelPath, to: &StagedPath) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push((from.as_str().to_owned(), to.to_string()));
        }
    }
}

/// New names that are kept to be told.
const TOLD: usize = 20;

impl Layout {
    /// For a file system on which `names` are one, and that refuses what is `refused`.
    pub fn new(names: Names, refused: Refused) -> Self {
        Self {
            names,
            refused,
            ..Self::default()
        }
    }

    /// What was numbered so far.
    pub fn numbered(&self) -> &NewNames {
        &self.numbered
    }

    /// What was renamed so far for another reason.
    pub fn renamed(&self) -> &NewNames {
        &self.renamed
    }

    /// The safe path for the entry at `path`.
    ///
    /// # Errors
    /// [`ReceivedError::BadTable`] if the path came before, or its parent is no folder of the table.
    pub fn add(&mut self, path: &RelPath, kind: EntryKind) -> Result<StagedPath, ReceivedError> {
        let bad = |fault| {
            Err(ReceivedError::BadTable {
                path: path.as_str().to_owned(),
                fault,
            })
        };
        let id = fingerprint(path.as_str());
        if !self.seen.insert(id) {
            return bad(TableFault::Twice);
        }
        let (parent, place) = match path.parent() {
            None => (None, Place::TopLevel),
            Some(parent) => match self.folders.get(&fingerprint(parent)) {
                Some(folder) => (Some(folder.clone()), Place::Nested),
                None => return bad(TableFault::NoParent),
            },
        };
        let wanted = self.refused.avoid(SafeName::new(path.file_name(), place));
        let name = self.free_name(parent.as_deref(), wanted.clone());
        let is_numbered = name != wanted;
        let is_new = name.as_str() != path.file_name();
        let staged = StagedPath { parent, name };
        if is_numbered {
            self.numbered.note(path, &staged);
        } else if is_new {
            self.renamed.note(path, &staged);
        }
        if is_new {
            self.new_names.insert(id, staged.name.clone());
        }
        if kind == EntryKind::Directory {
            self.folders.insert(id, Arc::new(staged.clone()));
        }
        Ok(staged)
    }

    /// `wanted`, numbered if another entry of the folder has it.
    fn free_name(&mut self, parent: Option<&StagedPath>, wanted: SafeName) -> SafeName {
        let folder = parent
            .map(|parent| format!("{parent}/"))
            .unwrap_or_default();
        let names = self.names;
        let id = |name: &SafeName| fingerprint(&format!("{folder}{}", names.key(name.as_str())));
        if self.taken.insert(id(&wanted)) {
            return wanted;
        }
        // Begins after the last number given: a table of equal names must not cost the square of its length.
        let next = self.numbers.entry(id(&wanted.numbered(2))).or_insert(2);
        loop {
            let name = wanted.numbered(*next);
            *next += 1;
            if self.taken.insert(id(&name)) {
                return name;
            }
        }
    }
}

pub(super) fn fingerprint(text: &str) -> Fingerprint {
    shortened(Digest::of(text.as_bytes()))
}

pub(super) fn shortened(digest: Digest) -> Fingerprint {
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
    fn names_that_are_one_on_the_disk_are_numbered_and_told() {
        let mut layout = Layout::new(Names::Folded, Refused::default());
        let mut add = |text, kind| layout.add(&path(text), kind).unwrap().to_string();
        assert_eq!(add("d", EntryKind::Directory), "d");
        assert_eq!(add("D", EntryKind::Directory), "D (2)");
        assert_eq!(add("d/a", EntryKind::Leaf), "d/a");
        assert_eq!(add("D/A", EntryKind::Leaf), "D (2)/A");
        assert_eq!(add("d/A", EntryKind::Leaf), "d/A (2)");
        let told = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let first = vec![told("D", "D (2)"), told("d/A", "d/A (2)")];
        assert_eq!(*layout.numbered(), NewNames { count: 2, first });
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
