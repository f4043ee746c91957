//! A store in a plain folder, for carrying: what a script uploads file by file, or has downloaded.
//!
//! ```text
//! offer.dsse             the signed offer of the transfer that is sealed here
//! transfer               its id, and a line feed
//! chunks/ID              sealed chunks, each under its id
//! manifests/ID.dsse      manifests, each under its id
//! ```
//!
//! Every file is the body of one request, and its name is the id in the path, so a shell needs nothing but these files.
//! A folder takes the offer of one transfer; nothing in it is ever collected.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

use bytes::Bytes;

use super::{
    BadFormat, ChunkInfo, LockedBy, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Promised,
    Put, PutManifest, StateAt, Store, StoreError, StoreFuture, TransferState, check_chunk,
    local::disk::{Created, DiskError, Folder, STAGED},
    memory::take_page,
    missing_chunks_error, no_chunk, no_manifest,
};
use crate::{
    id::{ChunkId, ManifestId, PeerId, TransferId},
    lock::Locked,
    manifest::{MAX_ENVELOPE, MAX_SEALED_CHUNK, SignedManifest, SignedOffer, Timestamp},
};

const OFFER: &str = "offer.dsse";
const TRANSFER: &str = "transfer";
const CHUNKS: &str = "chunks";
const MANIFESTS: &str = "manifests";
/// What the names of manifests end with.
const ENVELOPE: &str = ".dsse";

/// A store in a plain folder. See the module for what is in it.
pub struct FolderStore(Arc<Inner>);

struct Inner {
    top: Folder,
    chunks: Folder,
    manifests: Folder,
    /// The transfer that was offered last: a sender that has to begin anew replaces its own unfinished one.
    offered: Mutex<Option<TransferId>>,
    /// Held while the folder is written. The lock is on the folder itself: no file for it is among what is carried.
    _lock: Option<Locked>,
}

impl FolderStore {
    /// Makes the folder `root`, or takes one that was made before, for writing.
    ///
    /// # Errors
    /// [`StoreError::Format`] if something else is in it; [`StoreError::Locked`]; [`StoreError::Io`].
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        refuse_foreign(root)?;
        for folder in [root.join(CHUNKS), root.join(MANIFESTS)] {
            fs::create_dir_all(&folder).map_err(|e| io_error(&folder, e))?;
        }
        let lock = lock(root)?;
        let inner = Inner::open(root, Some(lock))?;
        inner.remove_staged()?;
        let settled = inner.top.settle();
        settled.map_err(|e| write_failed(&inner.top, 0, e))?;
        Ok(Self(Arc::new(inner)))
    }

    /// Opens the folder `root`, which has `chunks/` and `manifests/`, for reading.
    ///
    /// # Errors
    /// [`StoreError::Format`] if it has not; [`StoreError::Io`].
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        fs::read_dir(root).map_err(|e| io_error(root, e))?;
        for name in [CHUNKS, MANIFESTS] {
            if !root.join(name).is_dir() {
                return Err(StoreError::Format {
                    path: root.to_owned(),
                    fault: BadFormat::NoFolder(name),
                });
            }
        }
        Ok(Self(Arc::new(Inner::open(root, None)?)))
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let inner = self.0.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || work(&inner)).await {
                Ok(result) => result,
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        })
    }
}

impl Store for FolderStore {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        let offer = offer.clone();
        self.run(move |inner| inner.put_offer(&offer))
    }

    fn put_chunk(&self, id: ChunkId, sealed: Bytes, _: Option<PartOf>) -> StoreFuture<'_, Put> {
        self.run(move |inner| inner.put_chunk(id, &sealed))
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        self.run(move |inner| inner.get_chunk(id))
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        self.run(move |inner| inner.length_of(id))
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        let ids = ids.to_vec();
        self.run(move |inner| inner.missing(ids.into_iter()))
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        self.run(move |inner| inner.list_chunks(page))
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        let manifest = manifest.clone();
        self.run(move |inner| inner.put_manifest(&manifest))
    }

    fn get_manifest(&self, id: ManifestId) -> StoreFuture<'_, Bytes> {
        self.run(move |inner| inner.get_manifest(id))
    }

    fn manifest_state(&self, id: ManifestId) -> StoreFuture<'_, StateAt> {
        self.run(move |inner| inner.manifest_state(id))
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        self.run(move |inner| inner.list_manifests(page, reader))
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        self.run(move |inner| inner.delete_manifest(id))
    }
}

impl Inner {
    fn open(root: &Path, lock: Option<Locked>) -> Result<Self, StoreError> {
        // A link to the folder is as good as the folder; within it nothing may lead elsewhere.
        let root = &root.canonicalize().map_err(|e| io_error(root, e))?;
        let folder = |path: PathBuf| Folder::open(path.clone()).map_err(|e| io_error(&path, e));
        Ok(Self {
            top: folder(root.to_owned())?,
            chunks: folder(root.join(CHUNKS))?,
            manifests: folder(root.join(MANIFESTS))?,
            offered: Mutex::default(),
            _lock: lock,
        })
    }

    /// What a run that was killed was writing. We have the lock, so nobody is writing it now.
    fn remove_staged(&self) -> Result<(), StoreError> {
        for folder in [&self.top, &self.chunks, &self.manifests] {
            let failed = |e| io_error(folder.path(), e);
            for name in folder.names().map_err(failed)? {
                if name.starts_with(STAGED) {
                    folder.remove(&name).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// The one transfer that is sealed here is taken again and again, any other is refused.
    fn put_offer(&self, offer: &SignedOffer) -> Result<OfferAnswer, StoreError> {
        let transfer = offer.payload().transfer_id;
        let before = self.lock_offered().replace(transfer);
        if before.is_some_and(|before| before != transfer) {
            self.forget_unfinished()?;
        }
        let id = format!("{transfer}\n");
        for (name, bytes) in [(OFFER, &offer.envelope()[..]), (TRANSFER, id.as_bytes())] {
            create(&self.top, name, bytes)?;
            if read(&self.top, name, MAX_ENVELOPE)?.as_deref() != Some(bytes) {
                *self.lock_offered() = None;
                return Ok(OfferAnswer::Refused);
            }
        }
        Ok(OfferAnswer::Accepted)
    }

    fn lock_offered(&self) -> MutexGuard<'_, Option<TransferId>> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a transfer that has no manifest yet.
    fn forget_unfinished(&self) -> Result<(), StoreError> {
        let names = |folder: &Folder| folder.names().map_err(|e| io_error(folder.path(), e));
        if !names(&self.manifests)?.is_empty() {
            return Ok(());
        }
        let chunks = names(&self.chunks)?;
        let chunks = chunks.iter().map(|name| (&self.chunks, name.as_str()));
        for (folder, name) in chunks.chain([(&self.top, OFFER), (&self.top, TRANSFER)]) {
            let removed = folder.remove(name);
            removed.map_err(|e| io_error(&folder.path().join(name), e))?;
        }
        Ok(())
    }

    fn put_chunk(&self, id: ChunkId, sealed: &[u8]) -> Result<Put, StoreError> {
        check_chunk(id, sealed)?;
        let there = self.length_of(id)? == Some(sealed.len() as u64);
        if there {
            let settled = self.chunks.settle();
            settled.map_err(|e| write_failed(&self.chunks, 0, e))?;
            return Ok(Put::AlreadyThere);
        }
        match create(&self.chunks, &id.to_string(), sealed)? {
            Created::New => Ok(Put::Stored),
            Created::WasThere => Ok(Put::AlreadyThere),
            Created::InTheWay => Err(in_the_way(&self.chunks, &id.to_string())),
        }
    }

    fn get_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let bytes = read(&self.chunks, &id.to_string(), MAX_SEALED_CHUNK)?;
        let bytes = bytes.ok_or_else(|| no_chunk(id))?;
        check_chunk(id, &bytes)?;
        Ok(bytes.into())
    }

    fn length_of(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let length = self.chunks.length(&id.to_string());
        length.map_err(|e| io_error(self.chunks.path(), e))
    }

    fn missing(&self, ids: impl Iterator<Item = ChunkId>) -> Result<Vec<ChunkId>, StoreError> {
        let mut missing = Vec::new();
        for id in ids {
            if self.length_of(id)?.is_none() {
                missing.push(id);
            }
        }
        Ok(missing)
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> Result<Page<ChunkInfo>, StoreError> {
        let mut found = Vec::new();
        for id in ids_after(&self.chunks, "", page.after)? {
            if found.len() > page.limit {
                break;
            }
            let length = self.length_of(id)?;
            found.extend(length.map(|length| ChunkInfo { id, length }));
        }
        Ok(take_page(found.into_iter(), page.limit))
    }

    fn put_manifest(&self, manifest: &SignedManifest) -> Result<PutManifest, StoreError> {
        let missing = self.missing(manifest.payload().all_chunks())?;
        if !missing.is_empty() {
            return Err(missing_chunks_error(missing));
        }
        let name = envelope_name(manifest.id());
        match create(&self.manifests, &name, manifest.envelope())? {
            Created::New => Ok(PutManifest::Stored),
            Created::WasThere => Ok(PutManifest::AlreadyThere),
            Created::InTheWay => Err(in_the_way(&self.manifests, &name)),
        }
    }

    fn get_manifest(&self, id: ManifestId) -> Result<Bytes, StoreError> {
        let bytes = read(&self.manifests, &envelope_name(id), MAX_ENVELOPE)?;
        let bytes = bytes.ok_or_else(|| no_manifest(id))?;
        let (expected, actual) = (ChunkId::from_bytes(*id.as_bytes()), ChunkId::of(&bytes));
        if actual == expected {
            Ok(bytes.into())
        } else {
            Err(StoreError::HashMismatch { expected, actual })
        }
    }

    fn manifest_state(&self, id: ManifestId) -> Result<StateAt, StoreError> {
        let failed = |e| io_error(self.manifests.path(), e);
        let file = self.manifests.file(&envelope_name(id)).map_err(failed)?;
        let file = file.ok_or_else(|| no_manifest(id))?;
        let modified = file.metadata().and_then(|m| m.modified()).map_err(failed)?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(StateAt::new(
            TransferState::Stored,
            Timestamp::from_unix_seconds(since.as_secs()),
        ))
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Result<Page<ManifestInfo>, StoreError> {
        let mut found = Vec::new();
        for id in ids_after(&self.manifests, ENVELOPE, page.after)? {
            if found.len() > page.limit {
                break;
            }
            let manifest = SignedManifest::parse(self.get_manifest(id)?)?;
            let info = ManifestInfo::new(id, manifest.payload());
            found.extend(Some(info).filter(|info| reader.is_none_or(|r| info.is_for(r))));
        }
        Ok(take_page(found.into_iter(), page.limit))
    }

    fn delete_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        self.manifest_state(id)?;
        let removed = self.manifests.remove_durably(&envelope_name(id));
        removed.map_err(|e| write_failed(&self.manifests, 0, e))
    }
}

/// A folder with anything else in it is somebody else's.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    let names = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names.map_err(|e| io_error(root, e))?,
    };
    for name in names {
        let name = name.map_err(|e| io_error(root, e))?.file_name();
        let name = name.to_string_lossy();
        if ![OFFER, TRANSFER, CHUNKS, MANIFESTS].contains(&&*name) && !name.starts_with(STAGED) {
            return Err(StoreError::Format {
                path: root.to_owned(),
                fault: BadFormat::Occupied(name.into_owned()),
            });
        }
    }
    Ok(())
}

fn lock(root: &Path) -> Result<Locked, StoreError> {
    let folder = File::open(root).map_err(|e| io_error(root, e))?;
    match Locked::take(folder) {
        Ok(locked) => Ok(locked),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
            holder: LockedBy::Sealing(root.to_owned()),
        }),
        Err(TryLockError::Error(e)) => Err(io_error(root, e)),
    }
}

fn create(folder: &Folder, name: &str, bytes: &[u8]) -> Result<Created, StoreError> {
    let created = folder.create(name, bytes);
    created.map_err(|e| write_failed(folder, bytes.len() as u64, e))
}

fn read(folder: &Folder, name: &str, max: usize) -> Result<Option<Vec<u8>>, StoreError> {
    let bytes = folder.read(name, max);
    bytes.map_err(|e| io_error(&folder.path().join(name), e))
}

/// The ids that the files in `folder` are called by, in order, without what `ending` ends them with.
fn ids_after<K: Copy + Ord + FromStr>(
    folder: &Folder,
    ending: &str,
    after: Option<K>,
) -> Result<BTreeSet<K>, StoreError> {
    let names = folder.names().map_err(|e| io_error(folder.path(), e))?;
    let ids = names
        .iter()
        .filter_map(|name| name.strip_suffix(ending)?.parse().ok());
    Ok(ids
        .filter(|id| after.is_none_or(|after| *id > after))
        .collect())
}

fn envelope_name(id: ManifestId) -> String {
    format!("{id}{ENVELOPE}")
}

fn in_the_way(folder: &Folder, name: &str) -> StoreError {
    StoreError::Format {
        path: folder.path().join(name),
        fault: BadFormat::Misnamed,
    }
}

fn write_failed(folder: &Folder, needed: u64, error: DiskError) -> StoreError {
    match error {
        DiskError::Full => StoreError::NoSpace {
            needed,
            free: folder.disk().map_or(0, |disk| disk.free),
            quota: None,
            promised: Promised::default(),
            remote: None,
        },
        DiskError::TooLarge => StoreError::file_too_large(),
        DiskError::Failed(error) | DiskError::Other(error) => io_error(folder.path(), error),
    }
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}
