//! Letting go: of opened transfers, of what has expired, of chunks that no manifest names.
//!
//! A manifest that is deleted, let go or expired only stops naming its chunks. A sound chunk leaves the store when the collector
//! takes it, for no manifest names it and its lease of a day has run out; [`super::settled`] has a shorter way for what only one
//! sender has put. For the chunks of any transfer that ends it would take the chunks of others: a manifest may name every chunk whose
//! id its sender has seen, also one that another sender has just put and not yet published.
//!
//! Publishing and every answer that says "there" renew leases first, under the lock that collecting takes for writing,
//! so a chunk that somebody relies on is never collected. Neither side has the lock for long: a large manifest is looked
//! at in slices, and of those looked at first the new lease is what keeps them. It goes to the trash first and is brought back from there if
//! it is asked for.

use std::{
    collections::HashSet,
    io::ErrorKind,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    Inner, LocalStore, ManifestInfo, StoreError, TransferState, Unnamed,
    disk::{Folder, Moved, STAGED},
    io,
};
use crate::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, Timestamp},
};

/// How long a chunk that no manifest names is kept.
pub(super) const LEASE: Duration = Duration::from_secs(24 * 3600);
/// How long it stays in the trash then.
const TRASH: Duration = Duration::from_secs(3600);
/// How long what another room remembers of an unfinished transfer is kept.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Chunks that are taken away under one lock.
const BATCH: usize = 100;

/// What was collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// Transfers whose time was over.
    pub expired: usize,
    /// Chunks that went to the trash.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Who had put those that no manifest had named, or whose manifest was deleted or expired.
    #[serde(default)]
    pub by: Vec<Unnamed>,
    /// Chunks that left the trash for good.
    pub removed: usize,
    /// Journals of transfers that nobody has continued for a week.
    pub abandoned: usize,
    /// What was kept of transfers that were sent from here and are over.
    #[serde(default)]
    pub sends: usize,
}

/// A transfer whose time was over, and that went.
pub(crate) struct Expired {
    pub(crate) id: ManifestId,
    pub(crate) info: ManifestInfo,
    /// What it was, if nothing had been decided about it and it could be read.
    pub(crate) undecided: Option<SignedManifest>,
}

impl LocalStore {
    /// Lets a transfer go: first its receipt is durable, then its manifest goes. Its chunks are left to the collector.
    /// Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_go(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.inner.let_go(id, state)
    }

    /// Lets those of `chunks` go that `peer` has put and no manifest names: to the trash, from where they come back if somebody relies
    /// on them. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn let_unnamed_go(
        &self,
        peer: PeerId,
        chunks: &[ChunkId],
    ) -> Result<GcReport, StoreError> {
        let (inner, mut report) = (&self.inner, GcReport::default());
        inner.writable()?;
        for batch in chunks.chunks(BATCH) {
            let _alone = inner.take_presence_away();
            // What a manifest names is charged to nobody.
            for id in batch.iter().filter(|id| inner.charges.has(peer, **id)) {
                inner.throw_away(inner.shard(*id), *id, &mut report)?;
            }
        }
        Ok(report)
    }

    /// Lets go of transfers whose time is over. Gives how many. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_expired_go(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.take_expired(now, &|_| {})
    }

    /// The same, telling each that went. Blocks.
    pub(crate) fn take_expired(
        &self,
        now: Timestamp,
        tell: &dyn Fn(Expired),
    ) -> Result<usize, StoreError> {
        self.inner.writable()?;
        let gone = self.inner.let_expired_go(now, tell)?;
        // This is done often: what made the disk full may be gone.
        self.inner.keep_ballast();
        Ok(gone)
    }

    /// Collects what has expired and what nobody names. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        self.inner.gc(now)
    }

    /// The same, and frees what belongs to unfinished transfers at once: their senders put it again if they go on. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc_unfinished(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        self.inner.gc_unfinished(now)
    }
}

impl Inner {
    fn let_go(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.record_state(id, state)?;
        if state != TransferState::Opened {
            self.charge_what_is_left(id)?;
        }
        self.unpublish(id)
    }

    /// Returns whether it was there: somebody else may have let it go, or it is damaged and was set aside.
    pub(super) fn unpublish_if_there(&self, id: ManifestId) -> Result<bool, StoreError> {
        match self.unpublish(id) {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn gc(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        self.writable()?;
        let mut report = GcReport {
            expired: self.let_expired_go(now, &|_| {})?,
            ..GcReport::default()
        };
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(now.unix_seconds());
        self.empty_trash(clock, TRASH, &mut report)?;
        self.collect(clock, LEASE, &mut report)?;
        self.remove_abandoned(clock, &mut report)?;
        let stored = |id: ManifestId| self.manifests.has(&id.to_string());
        let forgotten = self.receipts.forget_ended(now, stored)? + self.deleted.forget_old(now)?;
        tracing::debug!(forgotten, "states of transfers that have ended");
        self.keep_ballast();
        Ok(report)
    }

    /// First what is over anyway goes, for the rest the trash must have room.
    fn gc_unfinished(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        let mut report = self.gc(now)?;
        // A chunk may have come in this very second.
        let clock = SystemTime::now();
        self.collect(clock, Duration::ZERO, &mut report)?;
        self.empty_trash(SystemTime::now(), Duration::ZERO, &mut report)?;
        self.keep_ballast();
        Ok(report)
    }

    fn let_expired_go(&self, now: Timestamp, tell: &dyn Fn(Expired)) -> Result<usize, StoreError> {
        let expired: Vec<_> = self.with_index(|known| {
            let infos = known.values().map(|known| &known.info);
            let over = infos.filter(|info| self.has_ended(info, now));
            over.cloned().collect()
        })?;
        let mut gone = 0;
        for info in expired {
            let id = info.id;
            // What was opened stays known as such.
            let before = self.receipts.state_of(id)?;
            let before = before.map_or(TransferState::Stored, |before| before.state);
            let undecided = match before.is_undecided() {
                true => self.unopened(id)?,
                false => None,
            };
            if before != TransferState::Opened {
                match self.record_state(id, TransferState::Expired) {
                    Ok(()) => self.charge_what_is_left(id)?,
                    Err(StoreError::NotFound { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            if self.unpublish_if_there(id)? {
                gone += 1;
                tell(Expired {
                    id,
                    info,
                    undecided,
                });
            }
        }
        Ok(gone)
    }

    /// A manifest that can be read, unless its content was opened.
    fn unopened(&self, id: ManifestId) -> Result<Option<SignedManifest>, StoreError> {
        let read = self.read_good_manifest(id)?;
        let Some(manifest) = read.and_then(|read| SignedManifest::parse(read).ok()) else {
            return Ok(None);
        };
        let opened = self.receipts.opened(&manifest)?;
        Ok(opened.is_none().then_some(manifest))
    }

    fn collect(
        &self,
        now: SystemTime,
        lease: Duration,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        let named = self.named_chunks()?;
        self.charges.begin_count(&named);
        for (number, shard) in (0..=u8::MAX).zip(&self.shards) {
            let unnamed = self.chunks_of(number)?.filter(|id| !named.contains(id));
            for batch in unnamed.collect::<Vec<_>>().chunks(BATCH) {
                let _alone = self.take_presence_away();
                for id in batch {
                    // A manifest that was published since it was counted renewed the lease.
                    let name = id.to_string();
                    let age = shard.age(&name, now).map_err(|e| io(shard.path(), e))?;
                    if age.is_some_and(|age| age >= lease) {
                        self.throw_away(shard, *id, report)?;
                    } else {
                        self.charge_by_mark(shard, *id);
                    }
                }
            }
            remove_old(shard, now, LEASE, |name| name.starts_with(STAGED))?;
        }
        self.charges.end_count(began);
        self.forget_announced(now);
        let others = [&self.manifests, self.deleted.folder()];
        for folder in self.receipts.folders().into_iter().chain(others) {
            remove_old(folder, now, LEASE, |name| name.starts_with(STAGED))?;
        }
        Ok(())
    }

    /// What a manifest that ends must not do, for the harness that has to see the harm: the chunks that no other names go
    /// with it.
    pub(super) fn take_chunks_along(&self, id: ManifestId) -> Result<(), StoreError> {
        let Some(envelope) = self.read_good_manifest(id)? else {
            return Ok(());
        };
        let mut others = HashSet::new();
        for other in self.with_index(|known| known.keys().copied().collect::<Vec<_>>())? {
            let envelope = self.read_good_manifest(other)?.filter(|_| other != id);
            let manifest = envelope.map(SignedManifest::parse).transpose()?;
            others.extend(manifest.iter().flat_map(|m| m.payload().all_chunks()));
        }
        for chunk in SignedManifest::parse(envelope)?.payload().all_chunks() {
            let shard = self.shard(chunk);
            if !others.contains(&chunk) {
                let removed = shard.remove(&chunk.to_string());
                removed.map_err(|e| io(shard.path(), e))?;
            }
        }
        Ok(())
    }

    pub(super) fn throw_away(
        &self,
        shard: &Folder,
        id: ChunkId,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let name = &id.to_string();
        let by = shard.mark_of(name).map(|mark| mark.peer);
        let failed = |e| io(&shard.path().join(name), e);
        let length = shard.length(name).map_err(failed)?.unwrap_or(0);
        shard.touch(name).map_err(failed)?;
        let moved = match shard.move_to(name, &self.trash) {
            // No room in the trash either.
            Err(error) if error.kind() == ErrorKind::StorageFull => Moved::InTheWay,
            moved => moved.map_err(failed)?,
        };
        match moved {
            Moved::Done => {}
            Moved::NotThere => return Ok(()),
            // One of that name is in the trash already.
            Moved::InTheWay => shard.remove(name).map_err(failed)?,
        }
        self.space.release(length);
        self.charges.release(id);
        Unnamed::add(&mut report.by, by, length);
        report.chunks += 1;
        report.bytes += length;
        Ok(())
    }

    fn empty_trash(
        &self,
        now: SystemTime,
        keep: Duration,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let names = self.trash.names().map_err(|e| io(self.trash.path(), e))?;
        for batch in names.chunks(BATCH) {
            let _alone = self.take_presence_away();
            for name in batch {
                let age = self
                    .trash
                    .age(name, now)
                    .map_err(|e| io(self.trash.path(), e))?;
                if age.is_some_and(|age| age >= keep) {
                    self.trash
                        .remove(name)
                        .map_err(|e| io(self.trash.path(), e))?;
                    report.removed += 1;
                }
            }
        }
        Ok(())
    }

    fn remove_abandoned(&self, now: SystemTime, report: &mut GcReport) -> Result<(), StoreError> {
        let path = self.root.join("state/sending");
        let folder = Folder::open(path.clone()).map_err(|e| io(&path, e))?;
        let is_note = |name: &str| name.ends_with(".note");
        report.abandoned = remove_old(&folder, now, ABANDONED, |name| !is_note(name))?;
        let names: HashSet<_> = folder
            .names()
            .map_err(|e| io(&path, e))?
            .into_iter()
            .collect();
        let has_journal = |note: &str| names.contains(note.trim_end_matches(".note"));
        remove_old(&folder, now, ABANDONED, |name| {
            is_note(name) && !has_journal(name)
        })?;
        // What is kept of sends has the end of the transfer in its name.
        let path = self.root.join("state/sent");
        let folder = Folder::open(path.clone()).map_err(|e| io(&path, e))?;
        let is_over = |name: &str| {
            let ends = name.split_once('.').and_then(|(_, ends)| ends.parse().ok());
            ends.is_some_and(|ends| now >= SystemTime::UNIX_EPOCH + Duration::from_secs(ends))
        };
        report.sends = remove_old(&folder, now, Duration::ZERO, is_over)?;
        remove_old(&folder, now, LEASE, |name| name.starts_with(STAGED))?;
        Ok(())
    }

    /// The bytes of chunks that no manifest names: of transfers that are on their way.
    pub(super) fn unnamed_bytes(&self) -> Result<u64, StoreError> {
        let named = self.named_chunks()?;
        let mut bytes = 0;
        for (number, shard) in (0..=u8::MAX).zip(&self.shards) {
            for id in self.chunks_of(number)?.filter(|id| !named.contains(id)) {
                let length = shard.length(&id.to_string()).ok().flatten();
                bytes += length.unwrap_or(0);
            }
        }
        Ok(bytes)
    }

    /// Every chunk that a manifest names. One that cannot be read stops collecting, for its chunks are not known; one
    /// that is damaged is set aside, and nobody can open its chunks any more.
    pub(super) fn named_chunks(&self) -> Result<HashSet<ChunkId>, StoreError> {
        self.named_chunks_of(|_| true)
    }

    /// The same of some manifests.
    pub(super) fn named_chunks_of(
        &self,
        counts: impl Fn(ManifestId) -> bool,
    ) -> Result<HashSet<ChunkId>, StoreError> {
        let mut named = HashSet::new();
        for name in self
            .manifests
            .names()
            .map_err(|e| io(self.manifests.path(), e))?
        {
            let Some(id) = name.parse().ok().filter(|id| counts(*id)) else {
                continue;
            };
            match self.get_manifest(id) {
                Ok(envelope) => {
                    named.extend(SignedManifest::parse(envelope)?.payload().all_chunks())
                }
                // Set aside, or let go since it was listed.
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(named)
    }
}

/// Removes the files that are called so and were not touched for `age`. Gives how many.
fn remove_old(
    folder: &Folder,
    now: SystemTime,
    age: Duration,
    called: impl Fn(&str) -> bool,
) -> Result<usize, StoreError> {
    let failed = |e| io(folder.path(), e);
    let mut removed = 0;
    for name in folder.names().map_err(failed)? {
        if called(&name)
            && folder
                .age(&name, now)
                .map_err(failed)?
                .is_some_and(|a| a >= age)
        {
            folder.remove(&name).map_err(failed)?;
            removed += 1;
        }
    }
    Ok(removed)
}
