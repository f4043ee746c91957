//! A small file system in memory that takes different names for one, as vfat, NTFS, APFS or an SMB share do, or refuses
//! what NFS, CIFS, 9p, FAT or a FUSE file system refuse. It is mounted by FUSE, because not every kernel has one of these.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use tempfile::TempDir;

/// Nothing is remembered by the kernel.
const TTL: Duration = Duration::ZERO;
const BLOCK: u64 = 4096;

/// Which names are one: those that this makes equal.
pub type Fold = fn(&str) -> String;

/// Capitals do not count.
pub fn case(name: &str) -> String {
    name.to_lowercase()
}

/// The normal forms of an accent do not count.
pub fn forms(name: &str) -> String {
    name.replace("e\u{301}", "\u{e9}")
}

/// As it is given: names are one only if their bytes are.
pub fn exact(name: &str) -> String {
    name.to_owned()
}

/// Something that a file system cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A rename with flags, such as one that replaces nothing: NFS, 9p, most FUSE file systems.
    RenameFlags,
    /// A second name of a file: FAT, exFAT, many FUSE file systems.
    Links,
    /// FAT, exFAT.
    Symlinks,
    /// Setting times: CIFS, some FUSE file systems.
    Times,
    /// Setting modes, and having other than one for all: FAT, exFAT, 9p.
    Modes,
    /// Syncing a folder: CIFS.
    FolderSync,
    /// Telling how large it is.
    Size,
    /// Names with `* ? " < > |`: FAT, exFAT, NTFS, CIFS. Each driver has an error of its own for it.
    Punctuation,
    /// Names that are not ASCII: FAT with the wrong character set.
    NotAscii,
    /// The second normal form of an accent.
    Decomposed,
    /// Removing folders.
    FolderRemoval,
}

/// A mounted disk.
pub struct Disk {
    folder: TempDir,
    tree: Arc<Mutex<Tree>>,
    session: Option<BackgroundSession>,
}

impl Disk {
    /// Mounts one with room for so many files and folders; `None`, said on standard error, where that cannot be done.
    pub fn mount(fold: Fold, nodes: usize) -> Option<Self> {
        Self::mount_with(fold, nodes, &[])
    }

    /// The same for one on which names are what they are, and that refuses `refused`.
    pub fn refusing(refused: &[Refusal]) -> Option<Self> {
        Self::mount_with(exact, 10_000, refused)
    }

    fn mount_with(fold: Fold, nodes: usize, refused: &[Refusal]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let owner = fs::metadata(folder.path()).unwrap();
        let mut tree = Tree {
            fold,
            refused: refused.to_vec(),
            wrong: None,
            most: nodes,
            owner: (owner.uid(), owner.gid()),
            nodes: BTreeMap::new(),
        };
        tree.nodes
            .insert(1, tree.node(Kind::Folder(BTreeMap::new()), 0o755));
        let tree = Arc::new(Mutex::new(tree));
        match fuser::spawn_mount(Files(tree.clone()), folder.path(), &Config::default()) {
            Ok(session) => Some(Self {
                folder,
                tree,
                session: Some(session),
            }),
            Err(error) => {
                eprintln!("not tried: no file system can be mounted here: {error}");
                None
            }
        }
    }

    /// From now on it has room for so many files and folders more.
    pub fn grow(&self, nodes: usize) {
        self.tree.lock().unwrap().most += nodes;
    }

    /// From now on nothing can be added.
    pub fn fill(&self) {
        self.tree.lock().unwrap().wrong = Some(Errno::ENOSPC);
    }

    /// From now on nothing can be changed.
    pub fn freeze(&self) {
        self.tree.lock().unwrap().wrong = Some(Errno::EROFS);
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _ = session.umount_and_join();
        }
    }
}

enum Kind {
    /// By folded name: the name as it was given, and the node.
    Folder(BTreeMap<String, (String, u64)>),
    File(Vec<u8>),
    Link(String),
}

struct Node {
    kind: Kind,
    mode: u32,
    modified: SystemTime,
    links: u32,
}

struct Tree {
    fold: Fold,
    refused: Vec<Refusal>,
    /// What every addition is answered; every change if it is `EROFS`.
    wrong: Option<Errno>,
    most: usize,
    owner: (u32, u32),
    nodes: BTreeMap<u64, Node>,
}

impl Tree {
    fn refuses(&self, what: Refusal) -> bool {
        self.refused.contains(&what)
    }

    fn may_add(&self) -> Result<(), Errno> {
        self.wrong.map_or(Ok(()), Err)
    }

    fn may_change(&self) -> Result<(), Errno> {
        match self.wrong {
            Some(wrong) if i32::from(wrong) == i32::from(Errno::EROFS) => Err(wrong),
            _ => Ok(()),
        }
    }

    fn may_be_called(&self, name: &OsStr) -> Result<(), Errno> {
        let name = name.to_str().ok_or(Errno::EINVAL)?;
        let refused = [
            (
                Refusal::Punctuation,
                name.contains(['*', '?']),
                Errno::EINVAL,
            ),
            (
                Refusal::Punctuation,
                name.contains(['"', '<']),
                Errno::ENOENT,
            ),
            (
                Refusal::Punctuation,
                name.contains(['>', '|']),
                Errno::EPERM,
            ),
            (Refusal::NotAscii, !name.is_ascii(), Errno::EILSEQ),
            (Refusal::Decomposed, forms(name) != name, Errno::EPERM),
        ];
        let mut wrong = refused
            .into_iter()
            .filter(|(what, has, _)| *has && self.refuses(*what));
        wrong.next().map_or(Ok(()), |(_, _, error)| Err(error))
    }

    fn node(&self, kind: Kind, mode: u32) -> Node {
        Node {
            kind,
            mode,
            modified: SystemTime::now(),
            links: 1,
        }
    }

    fn get(&mut self, ino: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    fn folder(&mut self, ino: u64) -> Result<&mut BTreeMap<String, (String, u64)>, Errno> {
        match &mut self.get(ino)?.kind {
            Kind::Folder(entries) => Ok(entries),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn key(&self, name: &OsStr) -> Result<String, Errno> {
        name.to_str().map(self.fold).ok_or(Errno::EINVAL)
    }

    fn child(&mut self, parent: INodeNo, name: &OsStr) -> Result<u64, Errno> {
        let key = self.key(name)?;
        let found = self.folder(parent.0)?.get(&key);
        found.map(|(_, ino)| *ino).ok_or(Errno::ENOENT)
    }

    fn attr(&mut self, ino: u64) -> Result<FileAttr, Errno> {
        let (uid, gid) = self.owner;
        let open = if self.refuses(Refusal::Modes) {
            0o777
        } else {
            0
        };
        let node = self.get(ino)?;
        let (kind, size) = match &node.kind {
            Kind::Folder(_) => (FileType::Directory, BLOCK),
            Kind::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
            Kind::Link(target) => (FileType::Symlink, target.len() as u64),
        };
        Ok(FileAttr {
            ino: INodeNo(ino),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: u16::try_from((node.mode | open) & 0o7777).unwrap(),
            nlink: node.links,
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn used(&self) -> usize {
        self.nodes.values().filter(|node| node.links > 0).count()
    }

    fn make(&mut self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        if self.child(parent, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        self.may_be_called(name)?;
        self.may_add()?;
        if self.used() >= self.most {
            return Err(Errno::ENOSPC);
        }
        let ino = self.nodes.last_key_value().map_or(1, |(last, _)| last + 1);
        let (key, name) = (self.key(name)?, name.to_str().unwrap().to_owned());
        self.folder(parent.0)?.insert(key, (name, ino));
        self.nodes.insert(ino, node);
        self.attr(ino)
    }

    fn remove(&mut self, parent: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.may_change()?;
        let (ino, key) = (self.child(parent, name)?, self.key(name)?);
        if let Kind::Folder(entries) = &self.get(ino)?.kind
            && !entries.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.get(ino)?.links -= 1;
        self.folder(parent.0)?.remove(&key);
        Ok(())
    }

    fn rename(
        &mut self,
        (parent, name): (INodeNo, &OsStr),
        (to_parent, to_name): (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<(), Errno> {
        if self.refuses(Refusal::RenameFlags) && !flags.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.may_change()?;
        self.may_be_called(to_name)?;
        let (ino, key, to) = (
            self.child(parent, name)?,
            self.key(name)?,
            self.key(to_name)?,
        );
        if let Ok(there) = self.child(to_parent, to_name)
            && there != ino
        {
            if flags.contains(RenameFlags::RENAME_NOREPLACE) {
                return Err(Errno::EEXIST);
            }
            self.remove(to_parent, to_name)?;
        }
        self.folder(parent.0)?.remove(&key);
        let name = to_name.to_str().unwrap().to_owned();
        self.folder(to_parent.0)?.insert(to, (name, ino));
        Ok(())
    }

    fn link(&mut self, ino: u64, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        if self.refuses(Refusal::Links) {
            return Err(Errno::EPERM);
        }
        if self.child(parent, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let (key, name) = (self.key(name)?, name.to_str().unwrap().to_owned());
        self.folder(parent.0)?.insert(key, (name, ino));
        self.get(ino)?.links += 1;
        self.attr(ino)
    }

    fn bytes(&mut self, ino: INodeNo) -> Result<&mut Vec<u8>, Errno> {
        match &mut self.get(ino.0)?.kind {
            Kind::File(bytes) => Ok(bytes),
            _ => Err(Errno::EISDIR),
        }
    }
}

struct Files(Arc<Mutex<Tree>>);

impl Files {
    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with what was found, or with its error.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $good:expr) => {
        match $result {
            Ok($value) => $good,
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for Files {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut tree = self.tree();
        let found = tree.child(parent, name).and_then(|ino| tree.attr(ino));
        answer!(reply, found, attr => reply.entry(&TTL, &attr, Generation(0)))
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.tree().attr(ino.0), attr => reply.attr(&TTL, &attr))
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let refused = mode.is_some() && tree.refuses(Refusal::Modes)
            || modified.is_some() && tree.refuses(Refusal::Times);
        if refused {
            return reply.error(Errno::EPERM);
        }
        if let Err(error) = tree.may_change() {
            return reply.error(error);
        }
        if let (Some(size), Ok(bytes)) = (size, tree.bytes(ino)) {
            bytes.resize(usize::try_from(size).unwrap(), 0);
        }
        if let Ok(node) = tree.get(ino.0) {
            node.mode = mode.unwrap_or(node.mode);
            if let Some(TimeOrNow::SpecificTime(time)) = modified {
                node.modified = time;
            }
        }
        answer!(reply, tree.attr(ino.0), attr => reply.attr(&TTL, &attr))
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.tree().get(ino.0).map(|node| &node.kind) {
            Ok(Kind::Link(target)) => reply.data(target.as_bytes()),
            _ => reply.error(Errno::EINVAL),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let mut tree = self.tree();
        let node = tree.node(Kind::Folder(BTreeMap::new()), mode & !umask);
        let made = tree.make(parent, name, node);
        answer!(reply, made, attr => reply.entry(&TTL, &attr, Generation(0)))
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.tree().remove(parent, name), () => reply.ok())
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if self.tree().refuses(Refusal::FolderRemoval) {
            return reply.error(Errno::EBUSY);
        }
        answer!(reply, self.tree().remove(parent, name), () => reply.ok())
    }

    fn symlink(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let mut tree = self.tree();
        if tree.refuses(Refusal::Symlinks) {
            return reply.error(Errno::EPERM);
        }
        let target = target.to_str().unwrap().to_owned();
        let node = tree.node(Kind::Link(target), 0o777);
        let made = tree.make(parent, name, node);
        answer!(reply, made, attr => reply.entry(&TTL, &attr, Generation(0)))
    }

    fn link(&self, _: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.tree().link(ino.0, parent, name);
        answer!(reply, linked, attr => reply.entry(&TTL, &attr, Generation(0)))
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = self
            .tree()
            .rename((parent, name), (to_parent, to_name), flags);
        answer!(reply, renamed, () => reply.ok())
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut tree = self.tree();
        let node = tree.node(Kind::File(Vec::new()), mode & !umask);
        let made = tree.make(parent, name, node);
        let (handle, flags) = (FileHandle(0), FopenFlags::empty());
        answer!(reply, made, attr => reply.created(&TTL, &attr, Generation(0), handle, flags))
    }

    fn open(&self, _: &Request, _: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writes = flags.0 & 0b11 != 0;
        if let Some(error) = self.tree().may_change().err().filter(|_| writes) {
            return reply.error(error);
        }
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut tree = self.tree();
        answer!(reply, tree.bytes(ino), bytes => {
            let from = usize::try_from(offset).unwrap().min(bytes.len());
            let to = (from + size as usize).min(bytes.len());
            reply.data(&bytes[from..to]);
        })
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let mut tree = self.tree();
        if let Err(error) = tree.may_add() {
            return reply.error(error);
        }
        if let Ok(node) = tree.get(ino.0) {
            node.modified = SystemTime::now();
        }
        answer!(reply, tree.bytes(ino), bytes => {
            let from = usize::try_from(offset).unwrap();
            bytes.resize(bytes.len().max(from + data.len()), 0);
            bytes[from..from + data.len()].copy_from_slice(data);
            reply.written(u32::try_from(data.len()).unwrap());
        })
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        if self.tree().refuses(Refusal::FolderSync) {
            return reply.error(Errno::EINVAL);
        }
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut tree = self.tree();
        let entries = match tree.folder(ino.0) {
            Ok(entries) => entries.values().cloned().collect::<Vec<_>>(),
            Err(error) => return reply.error(error),
        };
        let skipped = usize::try_from(offset).unwrap();
        for (number, (name, ino)) in (1..).zip(entries).skip(skipped) {
            let kind = tree.attr(ino).unwrap().kind;
            if reply.add(INodeNo(ino), number, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let tree = self.tree();
        if tree.refuses(Refusal::Size) {
            return reply.statfs(0, 0, 0, 0, 0, 512, 255, 0);
        }
        let (most, free) = (tree.most as u64, (tree.most - tree.used()) as u64);
        let (blocks, size) = (1 << 20, 4096);
        reply.statfs(blocks, blocks, blocks, most, free, size, 255, size);
    }
}
