//! A store in a local directory: `FORMAT LOCK data/00..ff/ manifests/ trash/ corrupt/ state/`.
//!
//! Where a chunk is follows from its id, so no index is needed to find anything and opening walks nothing. The list of
//! manifests in memory is a cache that is made when it is first asked for.

mod check;
mod disk;
mod gc;
mod lock;
mod receipts;
mod space;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard},
    time::SystemTime,
};

use bytes::Bytes;
use tokio::sync::Semaphore;

pub use check::{CheckReport, Problem, Usage};
pub use gc::GcReport;
pub use receipts::Receipt;

use super::{
    ChunkInfo, ManifestInfo, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest, StateAt,
    Store, StoreError, StoreFuture, TransferState, check_chunk, memory::take_page,
    missing_chunks_error, not_found,
};
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{
        MAX_ENVELOPE, MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, SignedManifest, SignedOffer, Timestamp,
    },
};
use disk::{Created, DiskError, Folder, make_folder};
use lock::Lock;
use receipts::Receipts;
use space::{Disk, Space};

/// What is written into FORMAT.
const FORMAT: &str = "colis store 1\n";
/// Disk work at once: more would only queue in the kernel.
const DISK_JOBS: usize = 16;

/// How a local store behaves.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalStoreOptions {
    /// Bytes of the disk that stay free; unless told, 1 GiB or a fiftieth of the disk.
    pub reserve: Option<u64>,
    /// The most bytes to store.
    pub quota: Option<u64>,
}

/// A store in a directory, which no other process uses meanwhile.
pub struct LocalStore {
    inner: Arc<Inner>,
    jobs: Arc<Semaphore>,
}

struct Inner {
    root: PathBuf,
    shards: Vec<Folder>,
    manifests: Folder,
    trash: Folder,
    corrupt: Folder,
    receipts: Receipts,
    space: Space,
    /// Held for reading by whoever relies on a chunk that is there, for writing by whoever takes chunks away.
    presence: RwLock<()>,
    index: Mutex<Option<BTreeMap<ManifestId, ManifestInfo>>>,
    failed: OnceLock<String>,
    /// `None` if only to read.
    lock: Option<Lock>,
}

impl LocalStore {
    /// Opens the store at `root`, making it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Format`], [`StoreError::Io`].
    pub fn open(root: &Path, options: LocalStoreOptions) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(|e| io(root, e))?;
        refuse_other_format(root)?;
        let lock = Lock::take(root)?;
        make_layout(root).map_err(|e| io(root, e))?;
        let mut inner = Inner::open(root, Some(lock))?;
        let used = if options.quota.is_some() {
            inner.usage()?.bytes
        } else {
            0
        };
        inner.space = Space::new(options.reserve, options.quota, used);
        Ok(Self::new(inner))
    }

    /// Opens the store at `root` for reading, whoever else uses it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Format`], [`StoreError::Io`].
    pub fn open_read_only(root: &Path) -> Result<Self, StoreError> {
        if !root.join("FORMAT").exists() {
            return Err(StoreError::NotFound {
                what: format!("a store in {}", root.display()),
            });
        }
        refuse_other_format(root)?;
        Ok(Self::new(Inner::open(root, None)?))
    }

    fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            jobs: Arc::new(Semaphore::new(DISK_JOBS)),
        }
    }

    /// Tells other processes of this machine where we listen.
    pub fn note_serving(&self, address: &str) {
        if let Some(Err(error)) = self
            .inner
            .lock
            .as_ref()
            .map(|lock| lock.note_serving(address))
        {
            tracing::warn!(%error, "other processes cannot see where we listen");
        }
    }

    /// Where the process listens that holds the store at `root`.
    pub fn serving_address(root: &Path) -> Option<String> {
        lock::serving_address(root)
    }

    /// Where other rooms keep what they must remember.
    pub fn state_dir(&self) -> PathBuf {
        self.inner.root.join("state")
    }

    /// Runs `work` where blocking is allowed, a few at once.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        Box::pin(async move {
            // Never closed, so the permit is always given.
            let permit = self.jobs.clone().acquire_owned().await.ok();
            let inner = self.inner.clone();
            let done = tokio::task::spawn_blocking(move || {
                let result = work(&inner);
                drop(permit);
                result
            });
            match done.await {
                Ok(result) => result,
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            }
        })
    }
}

impl Store for LocalStore {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        let offer = offer.clone();
        self.run(move |inner| inner.put_offer(&offer))
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        self.run(move |inner| inner.put_chunk(id, &sealed, part_of))
    }

    fn get_chunk(&self, id: ChunkId) -> StoreFuture<'_, Bytes> {
        self.run(move |inner| inner.get_chunk(id))
    }

    fn head_chunk(&self, id: ChunkId) -> StoreFuture<'_, Option<u64>> {
        self.run(move |inner| inner.length_of(id))
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        let ids = ids.to_vec();
        self.run(move |inner| inner.missing_chunks(&ids))
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
    fn open(root: &Path, lock: Option<Lock>) -> Result<Self, StoreError> {
        let folder = |path: PathBuf| Folder::open(path.clone()).map_err(|e| io(&path, e));
        let shards =
            (0..=255).map(|shard: u8| folder(root.join("data").join(format!("{shard:02x}"))));
        Ok(Self {
            root: root.to_owned(),
            shards: shards.collect::<Result<_, _>>()?,
            manifests: folder(root.join("manifests"))?,
            trash: folder(root.join("trash"))?,
            corrupt: folder(root.join("corrupt"))?,
            receipts: Receipts::open(&root.join("state"))?,
            space: Space::new(None, None, 0),
            presence: RwLock::new(()),
            index: Mutex::default(),
            failed: OnceLock::new(),
            lock,
        })
    }

    fn shard(&self, id: ChunkId) -> &Folder {
        &self.shards[usize::from(id.as_bytes()[0])]
    }

    fn rely_on_presence(&self) -> RwLockReadGuard<'_, ()> {
        self.presence.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses every write once one has failed: what is on disk is not known any more.
    fn writable(&self) -> Result<(), StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::ReadOnly {
                reason: "it was opened only to read".into(),
            });
        }
        self.not_failed()
    }

    fn not_failed(&self) -> Result<(), StoreError> {
        match self.failed.get() {
            Some(reason) => Err(StoreError::ReadOnly {
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }

    /// What a failed write means: a full disk heals, everything else ends writing.
    fn write_failed(&self, needed: u64, path: &Path, error: DiskError) -> StoreError {
        match error {
            DiskError::Full => {
                let free = self.disk().map_or(0, |disk| disk.free);
                StoreError::NoSpace {
                    needed,
                    free,
                    quota: None,
                }
            }
            DiskError::Failed(error) => {
                let reason = format!("{}: {error}", path.display());
                tracing::error!(%reason, "the store is read-only from now on");
                StoreError::ReadOnly {
                    reason: self.failed.get_or_init(|| reason).clone(),
                }
            }
        }
    }

    fn disk(&self) -> Result<Disk, StoreError> {
        let (free, size) = self.trash.free_bytes().map_err(|e| io(&self.root, e))?;
        Ok(Disk { free, size })
    }

    fn put_offer(&self, offer: &SignedOffer) -> Result<OfferAnswer, StoreError> {
        self.writable()?;
        let payload = offer.payload();
        if self.receipts.opened(payload.sender, payload.transfer_id)? {
            return Ok(OfferAnswer::AlreadyReceived);
        }
        self.space
            .promise(self.disk()?, payload.transfer_id, payload.size.unwrap_or(0))?;
        Ok(OfferAnswer::Accepted)
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: &[u8],
        part_of: Option<PartOf>,
    ) -> Result<Put, StoreError> {
        check_chunk(id, sealed)?;
        self.writable()?;
        let length = sealed.len() as u64;
        let (shard, name) = (self.shard(id), id.to_string());
        let failed = |error| self.write_failed(length, shard.path(), error);
        let _present = self.rely_on_presence();
        match self.length_of_present(id)? {
            Some(there) if there == length => {
                shard.touch(&name).map_err(|e| failed(e.into()))?;
                shard.sync().map_err(failed)?;
                return Ok(Put::AlreadyThere);
            }
            Some(_) => self.set_aside(shard, &name)?,
            None => {}
        }
        self.space
            .take(self.disk()?, part_of.map(|part| part.transfer_id), length)?;
        let created = shard
            .create(&name, sealed)
            .inspect_err(|_| self.space.release(length))
            .map_err(failed)?;
        if created == Created::WasThere {
            self.space.release(length);
        }
        Ok(if created == Created::New {
            Put::Stored
        } else {
            Put::AlreadyThere
        })
    }

    fn get_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let there = self.length_of(id)?.is_some();
        let read = shard
            .read(&name, MAX_SEALED_CHUNK)
            .map_err(|e| io(&shard.path().join(&name), e))?;
        match read {
            Some(bytes) if ChunkId::of(&bytes) == id => Ok(bytes.into()),
            None if !there => Err(not_found("chunk", &id)),
            _ => {
                tracing::error!(chunk = name, "damaged on disk, set aside");
                self.set_aside(shard, &name)?;
                Err(not_found("chunk", &id))
            }
        }
    }

    /// The length of a chunk, which is brought back if it was on its way out.
    fn length_of(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let _present = self.rely_on_presence();
        self.length_of_present(id)
    }

    fn length_of_present(&self, id: ChunkId) -> Result<Option<u64>, StoreError> {
        let (shard, name) = (self.shard(id), id.to_string());
        let length = || {
            shard
                .length(&name)
                .map_err(|e| io(&shard.path().join(&name), e))
        };
        if let Some(length) = length()? {
            return Ok(Some(length));
        }
        if self.lock.is_none()
            || !self
                .trash
                .move_to(&name, shard)
                .map_err(|e| io(self.trash.path(), e))?
        {
            return Ok(None);
        }
        shard.touch(&name).map_err(|e| io(shard.path(), e))?;
        shard
            .sync()
            .map_err(|e| self.write_failed(0, shard.path(), e))?;
        length()
    }

    fn missing_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>, StoreError> {
        let _present = self.rely_on_presence();
        self.missing_of(ids.iter().copied())
    }

    /// Which of `ids` are not there; renews the leases of the others. The caller relies on their presence.
    fn missing_of(&self, ids: impl Iterator<Item = ChunkId>) -> Result<Vec<ChunkId>, StoreError> {
        let mut missing = Vec::new();
        for id in ids {
            let there = self
                .length_of_present(id)?
                .is_some_and(|length| length >= MIN_SEALED_CHUNK as u64);
            let shard = self.shard(id);
            if !there {
                missing.push(id);
            } else if self.lock.is_some() {
                shard
                    .touch(&id.to_string())
                    .map_err(|e| io(shard.path(), e))?;
            }
        }
        Ok(missing)
    }

    fn list_chunks(&self, page: PageRequest<ChunkId>) -> Result<Page<ChunkInfo>, StoreError> {
        let first = page
            .after
            .map_or(0, |after| usize::from(after.as_bytes()[0]));
        let mut items = Vec::new();
        for shard in &self.shards[first..] {
            for name in shard.names().map_err(|e| io(shard.path(), e))? {
                let Ok(id) = name.parse::<ChunkId>() else {
                    continue;
                };
                if page.after.is_some_and(|after| id <= after) {
                    continue;
                }
                if items.len() == page.limit {
                    return Ok(Page { items, more: true });
                }
                if let Some(length) = shard.length(&name).map_err(|e| io(shard.path(), e))? {
                    items.push(ChunkInfo { id, length });
                }
            }
        }
        Ok(Page { items, more: false })
    }

    fn put_manifest(&self, manifest: &SignedManifest) -> Result<PutManifest, StoreError> {
        self.writable()?;
        let (id, payload) = (manifest.id(), manifest.payload());
        let (name, length) = (id.to_string(), manifest.envelope().len() as u64);
        let failed = |error| self.write_failed(length, self.manifests.path(), error);
        let _present = self.rely_on_presence();
        if self
            .manifests
            .length(&name)
            .map_err(|e| failed(e.into()))?
            .is_some()
        {
            self.manifests.sync().map_err(failed)?;
            return Ok(PutManifest::AlreadyThere);
        }
        if self.receipts.opened(payload.sender, payload.transfer_id)? {
            return Ok(PutManifest::AlreadyReceived);
        }
        let missing = self.missing_of(payload.all_chunks())?;
        if !missing.is_empty() {
            return Err(missing_chunks_error(missing));
        }
        let created = self
            .manifests
            .create(&name, manifest.envelope())
            .map_err(failed)?;
        self.space.settle(payload.transfer_id);
        if let Some(index) = &mut *self.lock_index() {
            index.insert(id, ManifestInfo::new(id, payload));
        }
        Ok(if created == Created::New {
            PutManifest::Stored
        } else {
            PutManifest::AlreadyThere
        })
    }

    fn get_manifest(&self, id: ManifestId) -> Result<Bytes, StoreError> {
        let name = id.to_string();
        let read = self
            .manifests
            .read(&name, MAX_ENVELOPE)
            .map_err(|e| io(&self.manifests.path().join(&name), e))?;
        match read {
            Some(bytes) if ManifestId::of(&bytes) == id => Ok(bytes.into()),
            None => Err(not_found("manifest", &id)),
            Some(_) => {
                tracing::error!(manifest = name, "damaged on disk, set aside");
                self.set_aside(&self.manifests, &name)?;
                self.forget(id);
                Err(not_found("manifest", &id))
            }
        }
    }

    fn manifest_state(&self, id: ManifestId) -> Result<StateAt, StoreError> {
        if let Some(state) = self.receipts.state_of(id)? {
            return Ok(state);
        }
        let file = self
            .manifests
            .file(&id.to_string())
            .map_err(|e| io(self.manifests.path(), e))?;
        let since = file.and_then(|file| file.metadata().ok()?.modified().ok());
        let since = since.ok_or_else(|| not_found("manifest", &id))?;
        let seconds = since
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(StateAt {
            state: TransferState::Stored,
            since: Timestamp::from_unix_seconds(seconds),
        })
    }

    fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Result<Page<ManifestInfo>, StoreError> {
        self.with_index(|index| {
            let infos = index
                .values()
                .filter(|info| page.after.is_none_or(|after| info.id > after));
            let wanted = infos.filter(|info| reader.is_none_or(|reader| info.is_for(reader)));
            take_page(wanted.cloned(), page.limit)
        })
    }

    fn delete_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        self.writable()?;
        let name = id.to_string();
        if self
            .manifests
            .length(&name)
            .map_err(|e| io(self.manifests.path(), e))?
            .is_none()
        {
            return Err(not_found("manifest", &id));
        }
        self.remove_manifest(id)
    }

    fn remove_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        let failed = |error| self.write_failed(0, self.manifests.path(), error);
        self.manifests
            .remove(&id.to_string())
            .map_err(|e| failed(e.into()))?;
        self.manifests.sync().map_err(failed)?;
        self.forget(id);
        Ok(())
    }

    fn forget(&self, id: ManifestId) {
        if let Some(index) = &mut *self.lock_index() {
            index.remove(&id);
        }
    }

    fn lock_index(&self) -> std::sync::MutexGuard<'_, Option<BTreeMap<ManifestId, ManifestInfo>>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `use_it` the list of manifests, read from disk the first time.
    fn with_index<T>(
        &self,
        use_it: impl FnOnce(&BTreeMap<ManifestId, ManifestInfo>) -> T,
    ) -> Result<T, StoreError> {
        let mut cached = self.lock_index();
        if cached.is_none() {
            let names = self
                .manifests
                .names()
                .map_err(|e| io(self.manifests.path(), e))?;
            let ids = names
                .iter()
                .filter_map(|name| name.parse::<ManifestId>().ok());
            let infos = ids.filter_map(|id| {
                let bytes = self.manifests.read(&id.to_string(), MAX_ENVELOPE).ok()??;
                let manifest = SignedManifest::parse(bytes)
                    .ok()
                    .filter(|manifest| manifest.id() == id)?;
                Some((id, ManifestInfo::new(id, manifest.payload())))
            });
            *cached = Some(infos.collect());
        }
        Ok(use_it(cached.get_or_insert_default()))
    }

    /// Moves a damaged file out of the way, for somebody to look at. It heals by being put again.
    fn set_aside(&self, folder: &Folder, name: &str) -> Result<(), StoreError> {
        if self.lock.is_none() {
            return Ok(());
        }
        let moved = folder
            .move_to(name, &self.corrupt)
            .and_then(|moved| if moved { Ok(()) } else { folder.remove(name) });
        moved.map_err(|e| io(&folder.path().join(name), e))
    }
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

fn refuse_other_format(root: &Path) -> Result<(), StoreError> {
    let path = root.join("FORMAT");
    match fs::read_to_string(&path) {
        Ok(text) if text == FORMAT => Ok(()),
        Ok(_) => Err(StoreError::Format {
            path,
            reason: "written by another version of colis; not touched".into(),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io(&path, e)),
    }
}

/// Makes the folders of a store. FORMAT comes last: a store without it is made anew.
fn make_layout(root: &Path) -> std::io::Result<()> {
    if root.join("FORMAT").exists() {
        return Ok(());
    }
    make_folder(root)?;
    for name in [
        "data",
        "manifests",
        "trash",
        "corrupt",
        "state",
        "state/receipts",
        "state/transfers",
        "state/sending",
    ] {
        make_folder(&root.join(name))?;
    }
    for shard in 0..=255_u8 {
        fs::create_dir_all(root.join("data").join(format!("{shard:02x}")))?;
    }
    fs::File::open(root.join("data"))?.sync_all()?;
    let folder = Folder::open(root.to_owned())?;
    match folder.create("FORMAT", FORMAT.as_bytes()) {
        Ok(_) => Ok(()),
        Err(DiskError::Failed(e)) => Err(e),
        Err(DiskError::Full) => Err(std::io::ErrorKind::StorageFull.into()),
    }
}
