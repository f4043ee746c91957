//! A store in a local directory: `FORMAT LOCK data/00..ff/ manifests/ trash/ corrupt/ state/`.
//!
//! Where a chunk is follows from its id, so no index is needed to find anything and opening walks nothing. The list of
//! manifests in memory is a cache that is made when it is first asked for.

mod adjust;
mod announced;
mod ballast;
mod came;
mod charges;
mod check;
mod chunks;
mod damage;
mod deleted;
pub(super) mod disk;
mod full;
mod gc;
mod group_sync;
mod known;
mod layout;
mod lock;
mod manifests;
mod marks;
mod options;
mod receipts;
mod relay;
mod settled;
mod space;
mod writable;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use charges::Unnamed;
pub use check::{CheckReport, Problem, Usage};
pub(crate) use gc::Expired;
pub use gc::GcReport;
pub use lock::Holder;
pub use options::LocalStoreOptions;
pub use receipts::Receipt;
pub use relay::Relay;
pub use settled::{Freed, KeepSettled};

use super::{
    ChunkInfo, ManifestInfo, Missing, OfferAnswer, Page, PageRequest, PartOf, Promised, Put,
    PutManifest, ReadOnly, StateAt, Store, StoreError, StoreFuture, TransferState, check_chunk,
    memory::take_page, missing_chunks_error, no_manifest,
};
use crate::{
    disk::{Disk, Held, Link, Room, is_shared},
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer},
};
use announced::Announced;
use charges::Charges;
use deleted::Deleted;
use disk::{DiskError, Folder};
use full::Opened;
use layout::{id_at, make_layout, make_root};
use lock::Lock;
use manifests::Index;
use receipts::Receipts;
use space::Space;
use writable::Gone;

/// Disk work at once: more would only queue in the kernel.
const DISK_JOBS: usize = 16;

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
    deleted: Deleted,
    space: Space,
    charges: Charges,
    announced: Announced,
    opened: Opened,
    /// Held while room is made in a full quota.
    room_turn: Mutex<()>,
    relay: RwLock<Option<Relay>>,
    /// Held from checking what a sender may store for others until the transfer is published.
    relay_turn: Mutex<()>,
    /// Held for reading by whoever relies on a chunk that is there, for writing by whoever takes chunks away.
    presence: RwLock<()>,
    index: Index,
    failed: OnceLock<ReadOnly>,
    /// The folder that `root` led to when it was opened.
    place: Held,
    /// Gives a folder without which nothing may be written, if it is not where it was.
    gone: OnceLock<Gone>,
    /// `None` if only to read.
    lock: Option<Lock>,
    /// Tells that the lock is released: fields are dropped in their order, so this one must be the last.
    released: DropGuard,
}

impl LocalStore {
    /// Whether what is written to `folder` takes from the disk that the chunks are on.
    pub fn shares_its_disk(&self, folder: &Path) -> bool {
        is_shared(&self.inner.root, folder)
    }

    /// Opens the store at `root`, making it if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Format`], [`StoreError::Io`].
    pub fn open(root: &Path, options: LocalStoreOptions) -> Result<Self, StoreError> {
        id_at(root)?;
        make_root(root).map_err(|e| io(root, e))?;
        let lock = Lock::take(root)?;
        make_layout(root).map_err(|e| io(root, e))?;
        let mut inner = Inner::open(root, Some(lock))?;
        let used = if options.quota.is_some() {
            inner.usage()?.bytes
        } else {
            0
        };
        inner.space = Space::new(options.reserve, options.quota, used);
        inner.relay = RwLock::new(options.relay);
        inner.keep_ballast();
        Ok(Self::new(inner))
    }

    /// Opens the store at `root` for reading, whoever else uses it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is none, [`StoreError::Format`], [`StoreError::Io`].
    pub fn open_read_only(root: &Path) -> Result<Self, StoreError> {
        if id_at(root)?.is_none() {
            return Err(StoreError::NotFound(Missing::Store(root.to_owned())));
        }
        Ok(Self::new(Inner::open(root, None)?))
    }

    fn new(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
            jobs: Arc::new(Semaphore::new(DISK_JOBS)),
        }
    }

    /// What the disk of `folder` has for a store with these options. The folder must be there, a store need not.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn room(folder: &Path, options: LocalStoreOptions) -> Result<Room, StoreError> {
        let disk = Disk::at(folder).map_err(|e| io(folder, e))?;
        Ok(disk.room(options.reserve))
    }

    /// The bytes of a chunk, not verified: for somebody who authenticates them by opening them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Io`].
    pub async fn peek_chunk(&self, id: ChunkId) -> Result<Bytes, StoreError> {
        self.run(move |inner| inner.peek_chunk(id)).await
    }

    /// What [`bring_offer`](Store::bring_offer) would answer. Reserves nothing.
    ///
    /// # Errors
    /// Those of `bring_offer`.
    pub async fn check_offer(
        &self,
        offer: &SignedOffer,
        by: PeerId,
    ) -> Result<OfferAnswer, StoreError> {
        let offer = offer.clone();
        self.run(move |inner| inner.check_offer(&offer, by)).await
    }

    /// Whether the folder that was opened is where it was.
    pub fn is_in_place(&self) -> bool {
        self.inner.place.is_in_place()
    }

    /// Cancelled once every part of the program has let the store go, so that its folder can be opened again.
    pub(crate) fn released(&self) -> CancellationToken {
        self.inner.released.token().clone()
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
                let result = work(&inner).map_err(|error| inner.explained(error));
                drop(permit);
                result
            });
            match done.await {
                Ok(result) => result,
                Err(failed) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(StoreError::ReadOnly(ReadOnly::Ending)),
                },
            }
        })
    }
}

impl Store for LocalStore {
    fn put_offer<'a>(&'a self, offer: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        self.bring_offer(offer, offer.payload().sender)
    }

    fn bring_offer<'a>(
        &'a self,
        offer: &'a SignedOffer,
        by: PeerId,
    ) -> StoreFuture<'a, OfferAnswer> {
        let offer = offer.clone();
        self.run(move |inner| inner.put_offer(&offer, by))
    }

    fn put_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
    ) -> StoreFuture<'_, Put> {
        self.run(move |inner| inner.put_chunk(id, &sealed, part_of, None))
    }

    fn bring_chunk(
        &self,
        id: ChunkId,
        sealed: Bytes,
        part_of: Option<PartOf>,
        by: PeerId,
    ) -> StoreFuture<'_, Put> {
        self.run(move |inner| inner.put_chunk(id, &sealed, part_of, Some(by)))
    }

    fn check_new_chunk(
        &self,
        length: u64,
        part_of: Option<PartOf>,
        by: Option<PeerId>,
    ) -> StoreFuture<'_, ()> {
        self.run(move |inner| inner.check_new_chunk(length, part_of, by))
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
        self.bring_manifest(manifest, manifest.payload().sender)
    }

    fn bring_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
        by: PeerId,
    ) -> StoreFuture<'a, PutManifest> {
        let manifest = manifest.clone();
        self.run(move |inner| inner.put_manifest(&manifest, by))
    }

    fn check_manifest<'a>(
        &'a self,
        manifest: &'a SignedManifest,
    ) -> StoreFuture<'a, Option<PutManifest>> {
        let manifest = manifest.clone();
        self.run(move |inner| inner.check_manifest(&manifest))
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

    fn list_with_states(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        self.run(move |inner| inner.list_with_states(page, reader))
    }

    fn delete_manifest(&self, id: ManifestId) -> StoreFuture<'_, ()> {
        self.run(move |inner| inner.delete_manifest(id))
    }

    fn free_space(&self) -> StoreFuture<'_, Option<u64>> {
        self.run(|inner| Ok(Some(inner.space.free(inner.disk()?))))
    }
}

impl Inner {
    fn open(root: &Path, lock: Option<Lock>) -> Result<Self, StoreError> {
        let is_to_read = lock.is_none();
        let folder = |path: PathBuf| {
            let opened = match is_to_read {
                true => Folder::open_or_empty(path.clone()),
                false => Folder::open(path.clone()),
            };
            opened.map_err(|e| io(&path, e))
        };
        let shards =
            (0..=255).map(|shard: u8| folder(root.join("data").join(format!("{shard:02x}"))));
        Ok(Self {
            root: root.to_owned(),
            place: Held::open(root, Link::Followed).map_err(|e| io(root, e))?,
            shards: shards.collect::<Result<_, _>>()?,
            manifests: folder(root.join("manifests"))?,
            trash: folder(root.join("trash"))?,
            corrupt: folder(root.join("corrupt"))?,
            receipts: Receipts::open(&root.join("state"), folder)?,
            deleted: Deleted::in_folder(folder(root.join("state/deleted"))?),
            space: Space::new(None, None, 0),
            charges: Charges::default(),
            announced: Announced::open(&root.join("state")),
            opened: Opened::default(),
            room_turn: Mutex::default(),
            relay: RwLock::default(),
            relay_turn: Mutex::default(),
            presence: RwLock::new(()),
            index: Index::default(),
            failed: OnceLock::new(),
            gone: OnceLock::new(),
            lock,
            released: CancellationToken::new().drop_guard(),
        })
    }

    fn rely_on_presence(&self) -> RwLockReadGuard<'_, ()> {
        self.presence.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_presence_away(&self) -> RwLockWriteGuard<'_, ()> {
        self.presence
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> Result<Disk, StoreError> {
        self.trash.disk().map_err(|e| io(&self.root, e))
    }
}

fn io(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
