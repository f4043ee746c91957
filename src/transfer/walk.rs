//! From paths to the entries of a table, and back to the files that hold their bytes.
//!
//! Folders are walked in the order of their names, so that the same sources give the same table and an interrupted send
//! is recognized. A symbolic link that was named stands for what it leads to, and gives it its name; links below a
//! named folder are kept and never followed. What cannot be read below a named folder is left out, and listed.

use std::{
    collections::HashSet,
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::{
    EntryLimit, TransferError,
    filter::{Filter, Kept, KeptNamed},
    left_out::{LeftOut, Rules, WhyLeftOut, is_marker},
    source_file::{SourceFile, mtime},
};
use crate::{
    manifest::table::{self, Entry},
    name::{self, NameError, NameFault, RelPath},
};

/// What is to be sent.
pub enum Sources {
    /// Files and folders.
    Tree(Arc<Tree>),
    /// One stream of unknown length, such as standard input.
    Stream {
        /// The name of the file that it becomes.
        name: String,
        /// How many bytes are expected, where that is known. There may be more or fewer.
        expected: Option<u64>,
        /// Where its bytes come from.
        reader: Mutex<Box<dyn Read + Send>>,
    },
}

/// Files and folders, walked.
#[derive(Debug, Default)]
pub struct Tree {
    /// What was asked for, as absolute paths.
    pub origins: Vec<PathBuf>,
    /// What the filter was that they were walked with.
    pub filter: Filter,
    /// The table.
    pub entries: Vec<Entry>,
    /// The regular files of the table, in its order.
    pub files: Vec<SourceFile>,
    /// Bytes of all files.
    pub size: u64,
    /// What was left out of the paths that were named, and below them.
    pub left_out: Vec<LeftOut>,
    /// How many files and whole folders the filter left out.
    pub filtered: usize,
    /// What has another name in the table, because the text that its name becomes is the name of something beside it.
    pub renamed: Vec<(PathBuf, String)>,
}

/// A path on its way into the table.
struct Found {
    path: PathBuf,
    table_path: String,
    metadata: Metadata,
    is_named: bool,
}

impl Sources {
    /// Walks `paths`.
    ///
    /// # Errors
    /// [`TransferError::Source`], [`TransferError::UnsupportedSource`], [`TransferError::DuplicateSource`],
    /// [`TransferError::NamelessSource`], [`TransferError::UnsendableName`], [`TransferError::TooDeep`],
    /// [`TransferError::TooManyEntries`], [`TransferError::DanglingLink`], [`TransferError::PrivateKey`].
    pub fn walk(paths: &[PathBuf]) -> Result<Self, TransferError> {
        Self::walk_filtered(paths, &Filter::default())
    }

    /// Walks `paths` and leaves out what `filter` says.
    ///
    /// # Errors
    /// Those of [`Sources::walk`], [`TransferError::NothingNamed`], [`TransferError::BadGlob`], and [`TransferError::AllFiltered`] if nothing remains.
    pub fn walk_filtered(paths: &[PathBuf], filter: &Filter) -> Result<Self, TransferError> {
        if paths.is_empty() {
            return Err(TransferError::NothingNamed);
        }
        let (mut tree, rules) = (Tree::filtered(filter), Rules::of(filter));
        let (mut names, mut kept_named) = (HashSet::new(), KeptNamed::default());
        for path in paths {
            let name = top_level_name(path)?;
            // One that is not there is an error, whatever it is called.
            if path.symlink_metadata().is_ok() && !kept_named.has(path, filter)? {
                let (path, why) = (path.clone(), WhyLeftOut::Filtered);
                tree.left_out.push(LeftOut { path, why });
                continue;
            }
            if !names.insert(name.clone()) {
                return Err(TransferError::DuplicateSource { name });
            }
            let found = Found::named(path, name)?;
            tree.origins
                .push(std::path::absolute(path).map_err(|e| source(path, e))?);
            let kept = filter.apply(&found.path)?;
            tree.add(found, &kept, &rules)?;
        }
        if names.is_empty() && !tree.left_out.is_empty() {
            return Err(TransferError::AllFiltered);
        }
        Ok(Self::Tree(Arc::new(tree)))
    }

    /// What was left out of the paths that were named, and below them.
    pub fn left_out(&self) -> &[LeftOut] {
        match self {
            Self::Tree(tree) => &tree.left_out,
            Self::Stream { .. } => &[],
        }
    }

    /// The same sources once more, if they can be read again.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Tree(tree) => Some(Self::Tree(tree.clone())),
            Self::Stream { .. } => None,
        }
    }

    /// What they have at the top.
    pub fn top_names(&self) -> Vec<String> {
        match self {
            Self::Tree(tree) => {
                let paths = tree.entries.iter().map(Entry::path);
                paths
                    .filter(|path| !path.contains('/'))
                    .map(str::to_owned)
                    .collect()
            }
            Self::Stream { name, .. } => vec![name.clone()],
        }
    }

    /// Bytes of content, if known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Tree(tree) => Some(tree.size),
            Self::Stream { .. } => None,
        }
    }

    /// Bytes of content that are expected: how many there are, but for a stream, of which it is known only at its end.
    pub fn expected_size(&self) -> Option<u64> {
        match self {
            Self::Tree(tree) => Some(tree.size),
            Self::Stream { expected, .. } => *expected,
        }
    }

    /// The plain bytes of the table.
    ///
    /// # Errors
    /// [`TransferError::TooManyEntries`], [`TransferError::UnsendableName`].
    pub fn table(&self) -> Result<Vec<u8>, TransferError> {
        let mut out = Vec::new();
        match self {
            Self::Tree(tree) => tree
                .entries
                .iter()
                .for_each(|entry| table::write_line(entry, &mut out)),
            Self::Stream { name, .. } => {
                check_name(Path::new(name), name)?;
                let path = name.clone();
                let entry = Entry::File {
                    path,
                    size: None,
                    mtime: 0,
                    mtime_ns: 0,
                    executable: false,
                };
                table::write_line(&entry, &mut out);
            }
        }
        table::pad(&mut out);
        if out.len() as u64 > table::MAX_LENGTH {
            let limit = EntryLimit::Names(table::MAX_LENGTH);
            return Err(TransferError::TooManyEntries { limit });
        }
        Ok(out)
    }
}

impl Tree {
    fn filtered(filter: &Filter) -> Self {
        Self {
            filter: filter.clone(),
            ..Self::default()
        }
    }

    /// Adds one entry and, for a folder, all below it. Iterative: a deep tree must not exhaust the stack.
    fn add(&mut self, found: Found, kept: &Kept, rules: &Rules) -> Result<(), TransferError> {
        let mut todo = vec![found];
        while let Some(found) = todo.pop() {
            // A person who names the folder itself means it; its keys stay here all the same.
            if !found.is_named && rules.is_own_folder(&found.metadata) {
                self.leave_out(found, WhyLeftOut::OwnFolder)?;
                continue;
            }
            if !found.is_named && is_marker(&found.path) {
                continue;
            }
            if let Some(why) = rules.refuse(&found.path, &found.metadata) {
                self.leave_out(found, why)?;
                continue;
            }
            check_name(&found.path, &found.table_path)?;
            if self.entries.len() == table::MAX_ENTRIES {
                let limit = EntryLimit::Count(table::MAX_ENTRIES);
                return Err(TransferError::TooManyEntries { limit });
            }
            if found.metadata.is_dir() {
                todo.extend(self.add_folder(found, kept)?.into_iter().rev());
            } else if found.metadata.is_symlink() {
                self.add_link(found)?;
            } else {
                self.add_file(found);
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, found: Found, why: WhyLeftOut) -> Result<(), TransferError> {
        if found.is_named {
            return Err(why.into_error(found.path));
        }
        let path = found.path;
        self.left_out.push(LeftOut { path, why });
        Ok(())
    }

    /// Returns what is in it.
    fn add_folder(&mut self, found: Found, kept: &Kept) -> Result<Vec<Found>, TransferError> {
        let mut children = match self.children(&found) {
            Ok(children) => children,
            Err(error) => {
                self.leave_out(found, WhyLeftOut::Unreadable(error))?;
                return Ok(Vec::new());
            }
        };
        children.sort_by(|a, b| a.table_path.cmp(&b.table_path));
        self.number_twins(&mut children);
        let all = children.len();
        children.retain(|child| kept.has(&child.path));
        self.filtered += all - children.len();
        let (mtime, mtime_ns) = mtime(&found.metadata);
        self.entries.push(Entry::Directory {
            path: found.table_path,
            mtime,
            mtime_ns,
        });
        Ok(children)
    }

    /// Names that are no text may become the same text: all but one of those get a number.
    fn number_twins(&mut self, children: &mut [Found]) {
        let mut pairs = children.array_windows();
        if !pairs.any(|[a, b]| a.table_path == b.table_path) {
            return;
        }
        let is_text = |found: &Found| found.path.to_str().is_some();
        // What has this name as it is keeps it.
        children.sort_by(|a, b| {
            let key = |found: &Found| (found.table_path.clone(), !is_text(found));
            key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
        });
        let mut taken: HashSet<_> = children.iter().map(|c| c.table_path.clone()).collect();
        let mut before = String::new();
        for child in children.iter_mut() {
            if child.table_path != before {
                before.clone_from(&child.table_path);
                continue;
            }
            child.table_path = unused(&before, &mut taken);
            let renamed = (child.path.clone(), child.table_path.clone());
            self.renamed.push(renamed);
        }
        children.sort_by(|a, b| a.table_path.cmp(&b.table_path));
    }

    fn children(&mut self, folder: &Found) -> io::Result<Vec<Found>> {
        let mut children = Vec::new();
        for child in fs::read_dir(&folder.path)? {
            let child = child?;
            let (path, name) = (child.path(), name::from_os_component(&child.file_name()));
            match child.metadata() {
                Ok(metadata) => children.push(Found {
                    path,
                    table_path: format!("{}/{name}", folder.table_path),
                    metadata,
                    is_named: false,
                }),
                Err(error) => self.left_out.push(LeftOut {
                    path,
                    why: WhyLeftOut::Unreadable(error),
                }),
            }
        }
        Ok(children)
    }

    fn add_link(&mut self, found: Found) -> Result<(), TransferError> {
        match fs::read_link(&found.path) {
            Ok(target) => {
                let target = name::from_os_component(target.as_os_str());
                let path = found.table_path;
                self.entries.push(Entry::Symlink { path, target });
                Ok(())
            }
            Err(error) => self.leave_out(found, WhyLeftOut::Unreadable(error)),
        }
    }

    fn add_file(&mut self, found: Found) {
        let (mtime, mtime_ns) = mtime(&found.metadata);
        let executable = found.metadata.mode() & 0o100 != 0;
        let size = found.metadata.len();
        self.entries.push(Entry::File {
            path: found.table_path,
            size: Some(size),
            mtime,
            mtime_ns,
            executable,
        });
        let file = SourceFile::new(found.path, &found.metadata, found.is_named);
        self.files.push(file);
        self.size += size;
    }

    /// The same without the file at `failed`, for the reason `why`, and without those that are not as they were walked
    /// any more. `None` if one of them was named itself.
    pub(super) fn without(&self, failed: &Path, why: WhyLeftOut) -> Option<(Self, Vec<LeftOut>)> {
        let mut rest = Self {
            origins: self.origins.clone(),
            renamed: self.renamed.clone(),
            ..Self::filtered(&self.filter)
        };
        let (mut left_out, mut why) = (Vec::new(), Some(why));
        let mut files = self.files.iter();
        for entry in &self.entries {
            if matches!(entry, Entry::File { .. }) {
                let file = files.next()?;
                let reason = match file.path == failed {
                    true => why.take(),
                    false => (!file.is_unchanged()).then_some(WhyLeftOut::Changed),
                };
                if let Some(why) = reason {
                    let path = (!file.is_named).then(|| file.path.clone())?;
                    left_out.push(LeftOut { path, why });
                    continue;
                }
                rest.size += file.size;
                rest.files.push(file.clone());
            }
            rest.entries.push(entry.clone());
        }
        (!left_out.is_empty()).then_some((rest, left_out))
    }
}

impl Found {
    /// A path that was named: a link stands for what it leads to.
    fn named(path: &Path, table_path: String) -> Result<Self, TransferError> {
        let mut metadata = fs::symlink_metadata(path).map_err(|e| source(path, e))?;
        let mut real = path.to_owned();
        if metadata.is_symlink() {
            real = path.canonicalize().map_err(|e| not_followed(path, e))?;
            metadata = fs::symlink_metadata(&real).map_err(|e| source(path, e))?;
        }
        Ok(Self {
            path: real,
            table_path,
            metadata,
            is_named: true,
        })
    }
}

/// The error of a named link that leads nowhere.
fn not_followed(path: &Path, error: io::Error) -> TransferError {
    let is_lost = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    );
    match fs::read_link(path) {
        Ok(target) if is_lost => TransferError::DanglingLink {
            path: path.to_owned(),
            target,
        },
        _ => source(path, error),
    }
}

/// The name that a source has on the other side: its last component; for `.` and the like, that of what it means.
fn top_level_name(path: &Path) -> Result<String, TransferError> {
    if let Some(name) = path.file_name() {
        return Ok(name::from_os_component(name));
    }
    let real = path.canonicalize().map_err(|e| source(path, e))?;
    let name = real
        .file_name()
        .ok_or_else(|| TransferError::NamelessSource {
            path: path.to_owned(),
        })?;
    Ok(name::from_os_component(name))
}

/// `path` with the first number that nothing beside it has.
fn unused(path: &str, taken: &mut HashSet<String>) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut numbered = (2..).map(|n| format!("{folder}/{}", name::numbered(name, n)));
    let unused = numbered.find(|path| taken.insert(path.clone()));
    unused.expect("some number is not taken")
}

/// What a recipient would refuse is refused here, before anything is sent.
fn check_name(path: &Path, table_path: &str) -> Result<(), TransferError> {
    match RelPath::parse(table_path) {
        Ok(_) => Ok(()),
        Err(NameError::BadPath { fault, .. } | NameError::BadTarget { fault, .. }) => {
            let path = path.to_owned();
            Err(match fault {
                NameFault::TooLong | NameFault::TooDeep => TransferError::TooDeep { path },
                fault => TransferError::UnsendableName { path, fault },
            })
        }
    }
}

pub(super) fn source(path: &Path, source: io::Error) -> TransferError {
    TransferError::Source {
        path: path.to_owned(),
        source,
    }
}
