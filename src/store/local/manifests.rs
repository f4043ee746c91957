//! The offers and manifests of a local store, and the list of manifests in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::SystemTime,
};

use rustix::io::Errno;

use super::{
    Bytes, ChunkId, Inner, ManifestId, ManifestInfo, OfferAnswer, Page, PageRequest, PeerId,
    PutManifest, SignedManifest, SignedOffer, StateAt, StoreError, TransferState,
    disk::Created,
    full::For,
    io, missing_chunks_error, no_manifest,
    space::{Space, Transfer, Wanted, sealed_size},
    take_page,
};
use crate::{
    disk::Disk,
    manifest::{MAX_ENVELOPE, Timestamp, Wrap},
    sabotage,
    store::{LEAST_LIFE, state_of},
};

/// How often something in the way of a manifest is set aside before a put gives up.
const ATTEMPTS: usize = 3;

/// A cache of what the stored manifests say: made when it is first asked for, never written.
#[derive(Default)]
pub(super) struct Index(Mutex<Option<Known>>);

pub(super) type Known = BTreeMap<ManifestId, KnownManifest>;

/// What is known of a stored manifest. The ids of its chunks are not: manifests that name the same chunks would each keep
/// them again, and they are on disk.
pub(super) struct KnownManifest {
    pub(super) info: ManifestInfo,
    /// Its bytes and those of its chunks, if somebody has asked.
    pub(super) stored: OnceLock<u64>,
    /// Whether its sender alone has put its chunks, and no other manifest named them when it was stored; not known after a restart.
    pub(super) own: bool,
}

impl KnownManifest {
    fn of(manifest: &SignedManifest, own: bool) -> Self {
        Self {
            info: ManifestInfo::new(manifest.id(), manifest.payload()),
            stored: OnceLock::new(),
            own,
        }
    }
}

impl Index {
    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) fn put_offer(
        &self,
        offer: &SignedOffer,
        by: PeerId,
    ) -> Result<OfferAnswer, StoreError> {
        let answer = self.answer_offer(offer, by, Space::promise)?;
        let payload = offer.payload();
        if answer == OfferAnswer::Accepted && by == payload.sender {
            let owner = self.relay().map(|relay| relay.owner);
            let for_owner = owner.is_some_and(|owner| {
                payload
                    .wraps
                    .iter()
                    .filter_map(Wrap::recipient)
                    .any(|r| r == owner)
            });
            let transfer = (payload.transfer_id, by);
            self.announced
                .note(transfer, sealed_size(payload), for_owner);
        }
        Ok(answer)
    }

    pub(super) fn check_offer(
        &self,
        offer: &SignedOffer,
        by: PeerId,
    ) -> Result<OfferAnswer, StoreError> {
        self.answer_offer(offer, by, Space::fits)
    }

    fn answer_offer(
        &self,
        offer: &SignedOffer,
        by: PeerId,
        ask: impl Fn(&Space, Disk, Transfer, Wanted) -> Result<(), StoreError>,
    ) -> Result<OfferAnswer, StoreError> {
        self.writable()?;
        let payload = offer.payload();
        let transfer = (payload.transfer_id, payload.sender);
        let is_for_others = self.is_for_others(payload.sender, &payload.wraps);
        let opened = self.receipts.opened_as(payload)?;
        if opened.is_some_and(|opened| !is_for_others || opened.is_as_new(payload.created)) {
            return Ok(OfferAnswer::AlreadyReceived);
        }
        self.check_not_deleted(transfer, payload.created, by)?;
        check_end(payload.expires)?;
        let needed = sealed_size(payload);
        self.check_relay(transfer, &payload.wraps, || needed)?;
        self.find_room(For::Transfer(Some(by)), needed, |wanted| {
            ask(&self.space, self.disk()?, transfer, wanted)
        })?;
        Ok(OfferAnswer::Accepted)
    }

    /// Asks for the room of a transfer. Nothing is let go for it yet: its sender may bring nothing.
    fn find_room(
        &self,
        what: For,
        size: u64,
        ask: impl Fn(Wanted) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut wanted = Wanted {
            size,
            there: 0,
            beyond: 0,
        };
        let lacks_space = |asked: &Result<(), _>| matches!(asked, Err(StoreError::NoSpace { .. }));
        let mut asked = ask(wanted);
        if lacks_space(&asked) {
            // Much of it may have come before we were started last.
            wanted.there = self.space.unnamed(|| self.unnamed_bytes())?;
            asked = ask(wanted);
        }
        if lacks_space(&asked) && self.space.quota().is_some() {
            let _turn = self.turn_to_make_room();
            self.count_charges_anew()?;
            wanted.beyond = self.releasable(what)?;
            asked = ask(wanted);
        }
        asked
    }

    pub(super) fn check_manifest(
        &self,
        manifest: &SignedManifest,
    ) -> Result<Option<PutManifest>, StoreError> {
        self.writable()?;
        if self.manifests.has(&manifest.id().to_string()) {
            return Ok(None);
        }
        self.check_transfer(manifest, manifest.payload().sender)
    }

    /// What is answered to a manifest that is not there and that `by` brings, whatever chunks are there.
    fn check_transfer(
        &self,
        manifest: &SignedManifest,
        by: PeerId,
    ) -> Result<Option<PutManifest>, StoreError> {
        let payload = manifest.payload();
        let transfer = (payload.transfer_id, payload.sender);
        let is_for_others =
            by == payload.sender && self.is_for_others(payload.sender, &payload.wraps);
        let opened = self.receipts.opened(manifest)?;
        if opened.is_some_and(|opened| !is_for_others || opened.is_as_new(payload.created)) {
            return Ok(Some(PutManifest::AlreadyReceived));
        }
        self.check_not_deleted(transfer, payload.created, by)?;
        check_end(payload.expires)?;
        Ok(None)
    }

    /// Whether others than its sender and the owner of this store can open it.
    fn is_for_others(&self, sender: PeerId, wraps: &[Wrap]) -> bool {
        let owner = self.relay().map(|relay| relay.owner);
        let others = wraps.iter().map(Wrap::recipient);
        let others =
            others.filter(|other| *other != Some(sender) && (owner.is_none() || *other != owner));
        // Whoever has opened it is one of them, if it is not known who that is.
        others.count() > usize::from(owner.is_none())
    }

    /// Fails if another than the sender brings what was made before the transfer was deleted here.
    fn check_not_deleted(
        &self,
        (id, sender): Transfer,
        created: Timestamp,
        by: PeerId,
    ) -> Result<(), StoreError> {
        match by != sender && self.deleted.covers(sender, id, created) {
            true => Err(StoreError::Deleted),
            false => Ok(()),
        }
    }

    pub(super) fn put_manifest(
        &self,
        manifest: &SignedManifest,
        by: PeerId,
    ) -> Result<PutManifest, StoreError> {
        self.writable()?;
        for _ in 0..ATTEMPTS {
            let what = For::Transfer(Some(by));
            if let Some(put) = self.with_room(what, || self.try_put_manifest(manifest, by))? {
                return Ok(put);
            }
            self.set_aside_bad_manifest(manifest.id())?;
        }
        let path = self.manifests.path().join(manifest.id().to_string());
        Err(io(&path, Errno::EXIST.into()))
    }

    /// `None` if something else is in the manifest's place.
    fn try_put_manifest(
        &self,
        manifest: &SignedManifest,
        by: PeerId,
    ) -> Result<Option<PutManifest>, StoreError> {
        let (id, payload, envelope) = (manifest.id(), manifest.payload(), manifest.envelope());
        let (name, length) = (id.to_string(), envelope.len() as u64);
        let failed = |error| self.write_failed(length, self.manifests.path(), error);
        let there = self.manifests.has(&name);
        if there && self.read_good_manifest(id)?.is_none() {
            return Ok(None);
        }
        if !there && let Some(known) = self.check_transfer(manifest, by)? {
            return Ok(Some(known));
        }
        let (missing, _present) = self.missing_and_lock(payload.all_chunks())?;
        if !missing.is_empty() {
            return Err(missing_chunks_error(missing));
        }
        if there {
            self.manifests.settle().map_err(failed)?;
            return Ok(Some(PutManifest::AlreadyThere));
        }
        let transfer = (payload.transfer_id, payload.sender);
        let needed = || self.stored_bytes(manifest);
        let _turn = self.check_relay(transfer, &payload.wraps, needed)?;
        self.settle_chunks(payload.all_chunks())?;
        self.space.take_for_manifest(length)?;
        let created = self.manifests.create(&name, envelope);
        if !matches!(created, Ok(Created::New)) {
            self.space.release(length);
        }
        let put = match created.map_err(failed)? {
            Created::New => PutManifest::Stored,
            Created::WasThere => PutManifest::AlreadyThere,
            Created::InTheWay => return Ok(None),
        };
        let own = self.chunks_are_named(manifest);
        if let Some(known) = &mut *self.index.lock() {
            known.insert(id, KnownManifest::of(manifest, own));
        }
        // It is there for others to collect, and not opened here again.
        if self.receipts.opened(manifest)?.is_some() {
            self.record_state(id, TransferState::Opened)?;
        }
        Ok(Some(put))
    }

    /// A chunk can be seen a moment before it is durable; what is published must be.
    fn settle_chunks(&self, chunks: impl Iterator<Item = ChunkId>) -> Result<(), StoreError> {
        let shards: BTreeSet<_> = chunks.map(|id| id.as_bytes()[0]).collect();
        for shard in shards.into_iter().map(|n| &self.shards[usize::from(n)]) {
            shard
                .settle()
                .map_err(|e| self.write_failed(0, shard.path(), e))?;
        }
        Ok(())
    }

    pub(super) fn get_manifest(&self, id: ManifestId) -> Result<Bytes, StoreError> {
        if let Some(good) = self.read_good_manifest(id)? {
            return Ok(good);
        }
        let good = self.set_aside_bad_manifest(id)?;
        good.ok_or_else(|| no_manifest(id))
    }

    pub(super) fn read_good_manifest(&self, id: ManifestId) -> Result<Option<Bytes>, StoreError> {
        let name = id.to_string();
        match self.manifests.read(&name, MAX_ENVELOPE) {
            Ok(Some(bytes)) if ManifestId::of(&bytes) == id => Ok(Some(bytes.into())),
            Ok(_) => Ok(None),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::IO) => Ok(None),
            Err(e) => Err(io(&self.manifests.path().join(&name), e)),
        }
    }

    /// Moves what is in the place of a manifest out of the way, unless it is the manifest after all: then gives it.
    pub(super) fn set_aside_bad_manifest(
        &self,
        id: ManifestId,
    ) -> Result<Option<Bytes>, StoreError> {
        let _alone = self.take_presence_away();
        if let Some(good) = self.read_good_manifest(id)? {
            return Ok(Some(good));
        }
        let name = id.to_string();
        if self.writable().is_ok() && self.manifests.has(&name) {
            tracing::error!(manifest = name, "damaged on disk, set aside");
            self.manifests
                .move_aside(&name, &self.corrupt)
                .map_err(|e| io(&self.manifests.path().join(&name), e))?;
        }
        self.forget(id);
        Ok(None)
    }

    pub(super) fn manifest_state(&self, id: ManifestId) -> Result<StateAt, StoreError> {
        if let Some(state) = self.receipts.state_of(id)? {
            return Ok(state);
        }
        let file = self
            .manifests
            .file(&id.to_string())
            .map_err(|e| io(self.manifests.path(), e))?;
        let since = file.and_then(|file| file.metadata().ok()?.modified().ok());
        let since = since.ok_or_else(|| no_manifest(id))?;
        let seconds = since
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(StateAt::new(
            TransferState::Stored,
            Timestamp::from_unix_seconds(seconds),
        ))
    }

    pub(super) fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Result<Page<ManifestInfo>, StoreError> {
        self.with_index(|known| {
            let after = page.after.map_or(Bound::Unbounded, Bound::Excluded);
            let infos = known
                .range((after, Bound::Unbounded))
                .map(|(_, known)| &known.info);
            let wanted = infos.filter(|info| reader.is_none_or(|reader| info.is_for(reader)));
            take_page(wanted.cloned(), page.limit)
        })
    }

    /// The same with states, from one look at each.
    pub(super) fn list_with_states(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Result<Page<ManifestInfo>, StoreError> {
        let mut page = self.list_manifests(page, reader)?;
        for info in &mut page.items {
            info.state = state_of(self.manifest_state(info.id))?;
        }
        Ok(page)
    }

    /// That it is deleted is durable before it goes: if we are stopped between the two, it is there and can be deleted
    /// again.
    pub(super) fn delete_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        self.writable()?;
        let manifest = SignedManifest::parse(self.get_manifest(id)?)?;
        let payload = manifest.payload();
        let (sender, transfer, created) = (payload.sender, payload.transfer_id, payload.created);
        let (now, made) = (Timestamp::now(), (created, payload.expires));
        let noted = self.write_surely(|| self.deleted.note(sender, transfer, made, now));
        noted.map_err(|(path, error)| self.write_failed(0, &path, error))?;
        self.charge_what_is_left(id)?;
        self.unpublish(id)?;
        self.receipts
            .forget_unopened(id)
            .map_err(|(path, error)| self.write_failed(0, &path, error))
    }

    /// Removes a manifest that is there. Its chunks stay for the collector.
    pub(super) fn unpublish(&self, id: ManifestId) -> Result<(), StoreError> {
        self.writable()?;
        let (folder, name) = (&self.manifests, id.to_string());
        {
            let _alone = self.take_presence_away();
            if sabotage::without("leases") {
                self.take_chunks_along(id)?;
            }
            let length = folder.length(&name).map_err(|e| io(folder.path(), e))?;
            let length = length.ok_or_else(|| no_manifest(id))?;
            folder.remove(&name).map_err(|e| io(folder.path(), e))?;
            self.space.release(length);
            self.forget(id);
            self.opened.changed();
        }
        // Others need not wait for the disk: many manifests may end together.
        let synced = folder.sync();
        synced.map_err(|e| self.write_failed(0, folder.path(), e))
    }

    pub(super) fn forget(&self, id: ManifestId) {
        if let Some(known) = &mut *self.index.lock() {
            known.remove(&id);
        }
    }

    /// Gives `use_it` what is known of all manifests, read from disk the first time.
    pub(super) fn with_index<T>(&self, use_it: impl FnOnce(&Known) -> T) -> Result<T, StoreError> {
        let mut cached = self.index.lock();
        let known = match cached.take() {
            Some(known) => known,
            None => self.read_index()?,
        };
        Ok(use_it(cached.insert(known)))
    }

    fn read_index(&self) -> Result<Known, StoreError> {
        let folder = &self.manifests;
        let mut known = Known::new();
        for name in folder.names().map_err(|e| io(folder.path(), e))? {
            let Ok(id) = name.parse::<ManifestId>() else {
                continue;
            };
            // A damaged one is for `check` and `get_manifest` to set aside.
            let envelope = self.read_good_manifest(id)?;
            let manifest = envelope.and_then(|envelope| SignedManifest::parse(envelope).ok());
            if let Some(manifest) = manifest {
                known.insert(id, KnownManifest::of(&manifest, false));
            }
        }
        Ok(known)
    }
}

/// Refuses a transfer that would be gone before anybody could fetch it.
fn check_end(expires: Option<Timestamp>) -> Result<(), StoreError> {
    match expires {
        Some(expires) if expires < Timestamp::now().plus_seconds(LEAST_LIFE.as_secs()) => {
            Err(StoreError::EndsTooSoon { expires })
        }
        _ => Ok(()),
    }
}
