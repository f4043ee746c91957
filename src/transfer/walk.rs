//! From paths to the entries of a table, and back to the files that hold their bytes.
//!
//! Folders are walked in the order of their names, so that the same sources give the same table and an interrupted send
//! is recognized. Symbolic links are kept and never followed.

use std::{
    collections::HashSet,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    TransferError,
    filter::{Filter, Kept},
};
use crate::{
    manifest::table::{self, Entry},
    name::{self, NameError, RelPath},
};

/// What is to be sent.
pub enum Sources {
    /// Files and folders.
    Tree(Arc<Tree>),
    /// One stream of unknown length, such as standard input.
    Stream {
        /// The name of the file that it becomes.
        name: String,
        /// Where its bytes come from.
        reader: Box<dyn Read + Send>,
    },
}

/// Files and folders, walked.
#[derive(Debug, Default)]
pub struct Tree {
    /// What was asked for, as absolute paths.
    pub origins: Vec<PathBuf>,
    /// The table.
    pub entries: Vec<Entry>,
    /// The regular files of the table, in its order.
    pub files: Vec<SourceFile>,
    /// Bytes of all files.
    pub size: u64,
    /// What was left out, because it is neither file, folder nor link.
    pub skipped: Vec<PathBuf>,
    /// How many files and whole folders the filter left out.
    pub filtered: usize,
}

/// A regular file as it was when it was walked.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its bytes.
    pub size: u64,
    identity: Identity,
}

/// What must not change while a file is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
}

impl Sources {
    /// Walks `paths`.
    ///
    /// # Errors
    /// [`TransferError::Source`], [`TransferError::UnsupportedSource`], [`TransferError::DuplicateSource`],
    /// [`TransferError::NamelessSource`], [`TransferError::UnsendableName`], [`TransferError::TooManyEntries`].
    pub fn walk(paths: &[PathBuf]) -> Result<Self, TransferError> {
        Self::walk_filtered(paths, &Filter::default())
    }

    /// Walks `paths` and leaves out what `filter` says.
    ///
    /// # Errors
    /// Those of [`Sources::walk`], and [`TransferError::BadGlob`].
    pub fn walk_filtered(paths: &[PathBuf], filter: &Filter) -> Result<Self, TransferError> {
        let mut tree = Tree::default();
        let mut names = HashSet::new();
        for path in paths {
            let name = top_level_name(path)?;
            if !names.insert(name.clone()) {
                return Err(TransferError::DuplicateSource { name });
            }
            let metadata = fs::symlink_metadata(path).map_err(|e| source(path, e))?;
            if let Some(kind) = unsupported(path, &metadata) {
                return Err(TransferError::UnsupportedSource {
                    path: path.clone(),
                    kind,
                });
            }
            tree.origins
                .push(std::path::absolute(path).map_err(|e| source(path, e))?);
            let kept = filter.apply(path)?;
            tree.add(path.clone(), name, &metadata, &kept)?;
        }
        Ok(Self::Tree(Arc::new(tree)))
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
            let reason = format!("their names need more than {} bytes", table::MAX_LENGTH);
            return Err(TransferError::TooManyEntries { reason });
        }
        Ok(out)
    }
}

impl Tree {
    /// Adds one entry and, for a folder, all below it. Iterative: a deep tree must not exhaust the stack.
    fn add(
        &mut self,
        path: PathBuf,
        name: String,
        metadata: &Metadata,
        kept: &Kept,
    ) -> Result<(), TransferError> {
        let mut todo = vec![(path, name, metadata.clone())];
        while let Some((path, table_path, metadata)) = todo.pop() {
            if unsupported(&path, &metadata).is_some() {
                self.skipped.push(path);
                continue;
            }
            check_name(&path, &table_path)?;
            if self.entries.len() == table::MAX_ENTRIES {
                let reason = format!("more than {} files and folders", table::MAX_ENTRIES);
                return Err(TransferError::TooManyEntries { reason });
            }
            if metadata.is_dir() {
                let (mtime, mtime_ns) = mtime(&metadata);
                let mut children = children(&path, &table_path)?;
                let all = children.len();
                children.retain(|(path, _, _)| kept.has(path));
                self.filtered += all - children.len();
                self.entries.push(Entry::Directory {
                    path: table_path,
                    mtime,
                    mtime_ns,
                });
                todo.extend(children.into_iter().rev());
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).map_err(|e| source(&path, e))?;
                let target = name::from_os_component(target.as_os_str());
                self.entries.push(Entry::Symlink {
                    path: table_path,
                    target,
                });
            } else {
                self.add_file(path, table_path, &metadata);
            }
        }
        Ok(())
    }

    fn add_file(&mut self, path: PathBuf, table_path: String, metadata: &Metadata) {
        let (mtime, mtime_ns) = mtime(metadata);
        let executable = metadata.mode() & 0o100 != 0;
        let size = metadata.len();
        self.entries.push(Entry::File {
            path: table_path,
            size: Some(size),
            mtime,
            mtime_ns,
            executable,
        });
        self.files.push(SourceFile {
            path,
            size,
            identity: Identity::of(metadata),
        });
        self.size += size;
    }
}

impl SourceFile {
    /// Opens it for reading, if it still is what was walked.
    ///
    /// # Errors
    /// [`TransferError::Source`], [`TransferError::SourceChanged`].
    pub fn open(&self) -> Result<File, TransferError> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).expect("open flags fit an int");
        let opened = fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path);
        let file = opened.map_err(|e| {
            match e.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
                Some(rustix::io::Errno::LOOP | rustix::io::Errno::NOENT) => self.changed(),
                _ => source(&self.path, e),
            }
        })?;
        self.check_unchanged(&file)?;
        Ok(file)
    }

    /// Compares the open file with what was walked.
    ///
    /// # Errors
    /// [`TransferError::SourceChanged`].
    pub fn check_unchanged(&self, file: &File) -> Result<(), TransferError> {
        let metadata = file.metadata().map_err(|e| source(&self.path, e))?;
        if metadata.is_file() && Identity::of(&metadata) == self.identity {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    /// The error that says that it changed.
    pub fn changed(&self) -> TransferError {
        TransferError::SourceChanged {
            path: self.path.clone(),
        }
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        }
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

fn children(
    path: &Path,
    table_path: &str,
) -> Result<Vec<(PathBuf, String, Metadata)>, TransferError> {
    let mut children = Vec::new();
    for child in fs::read_dir(path).map_err(|e| source(path, e))? {
        let child = child.map_err(|e| source(path, e))?;
        let path = child.path();
        let metadata = child.metadata().map_err(|e| source(&path, e))?;
        let table_path = format!(
            "{table_path}/{}",
            name::from_os_component(&child.file_name())
        );
        children.push((path, table_path, metadata));
    }
    children.sort_by(|a, b| a.1.cmp(&b.1));
    // Names that are no text may become the same text.
    if let Some([first, _]) = children.array_windows().find(|[a, b]| a.1 == b.1) {
        return Err(TransferError::DuplicateSource {
            name: first.1.clone(),
        });
    }
    Ok(children)
}

/// What a recipient would refuse is refused here, before anything is sent.
fn check_name(path: &Path, table_path: &str) -> Result<(), TransferError> {
    match RelPath::parse(table_path) {
        Ok(_) => Ok(()),
        Err(NameError::BadPath { reason, .. } | NameError::BadTarget { reason, .. }) => {
            Err(TransferError::UnsendableName {
                path: path.to_owned(),
                reason,
            })
        }
    }
}

fn unsupported(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    let kind = metadata.file_type();
    let pretends = kind.is_file() && metadata.len() == 0 && has_bytes(path);
    [
        (kind.is_fifo(), "FIFO"),
        (kind.is_socket(), "socket"),
        (kind.is_char_device(), "character device"),
        (kind.is_block_device(), "block device"),
        (pretends, "file that says it is empty and is not"),
    ]
    .into_iter()
    .find_map(|(is, name)| is.then_some(name))
}

/// Whether a file that has no size has bytes nevertheless, as those of `/proc` do.
fn has_bytes(path: &Path) -> bool {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit an int");
    let opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path);
    opened.is_ok_and(|mut file| file.read(&mut [0]).is_ok_and(|length| length > 0))
}

fn mtime(metadata: &Metadata) -> (i64, u32) {
    (
        metadata.mtime(),
        u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
    )
}

fn source(path: &Path, source: io::Error) -> TransferError {
    TransferError::Source {
        path: path.to_owned(),
        source,
    }
}
