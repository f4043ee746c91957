//! Letting go of what is settled, with the room that it takes: by the clock, when a quota is [full](super::full), and when its owner
//! deletes it.
//!
//! Three ways, and in none of them a chunk goes that another manifest names, or that somebody has put or asked for since the manifest
//! was published: its lease is newer than that. By the clock a chunk goes outright, and only one that the sender of its transfer alone
//! has put: nobody else can rely on it. In the other ways it goes to the trash, where whoever relies on it finds it for another hour.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{GcReport, Inner, LocalStore, ManifestInfo, PeerId, StoreError, TransferState, io};
use crate::{
    id::{ChunkId, ManifestId},
    manifest::{SignedManifest, Timestamp},
};

/// A day: for so long others can collect what was opened here, and what was refused can be accepted after all.
const A_DAY: Duration = Duration::from_secs(24 * 3600);
/// Chunks that are taken away under one lock.
const BATCH: usize = 100;

/// For how long what is settled stays in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepSettled {
    /// After it was opened. If nobody has said, a transfer goes at once that was sealed by another for the owner alone, for nobody
    /// else can collect it; others stay for a day.
    pub opened: Option<Duration>,
    /// After it was refused. Until then it can still be accepted.
    pub refused: Duration,
}

impl Default for KeepSettled {
    fn default() -> Self {
        Self {
            opened: None,
            refused: A_DAY,
        }
    }
}

impl KeepSettled {
    /// For how long it stays after `owner` has opened it.
    pub fn after_opening(&self, info: &ManifestInfo, owner: PeerId) -> Duration {
        match self.opened {
            Some(time) => time,
            None if info.is_only_for(owner) => Duration::ZERO,
            None => A_DAY,
        }
    }
}

/// What a transfer leaves when it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Chunks that go: to the trash, and from there within two hours.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its chunks that stay, for another transfer names them or is bringing them.
    pub shared_chunks: u64,
    /// Their bytes.
    pub shared_bytes: u64,
}

/// How chunks go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nobody relies on them.
    Outright,
    /// Whoever relies on them finds them there.
    Trash,
}

impl LocalStore {
    /// Lets go of transfers that `owner` has opened or refused long enough ago. Returns how many. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_go_settled(
        &self,
        keep: KeepSettled,
        owner: PeerId,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (inner, mut gone) = (&self.inner, 0);
        for receipt in inner.receipts.all()? {
            let Some(info) = inner.info_of(receipt.manifest)? else {
                continue;
            };
            let time = match receipt.state {
                TransferState::Opened => keep.after_opening(&info, owner),
                TransferState::Refused => keep.refused,
                _ => continue,
            };
            if receipt.since.plus_seconds(time.as_secs()) <= now {
                gone += usize::from(inner.unpublish_with_chunks(info.id)?);
            }
        }
        Ok(gone)
    }

    /// Remembers that `owner` has opened a transfer, and lets it go if it is not to be kept. Blocks.
    ///
    /// # Errors
    /// Those of [`Self::record_state`].
    pub fn record_opened(
        &self,
        id: ManifestId,
        keep: KeepSettled,
        owner: PeerId,
    ) -> Result<(), StoreError> {
        self.record_state(id, TransferState::Opened)?;
        // A receipt can be written also beside the process that has the store, which lets it go.
        if self.inner.writable().is_err() {
            return Ok(());
        }
        let info = self.inner.info_of(id)?;
        if info.is_some_and(|info| keep.after_opening(&info, owner).is_zero()) {
            self.inner.unpublish_with_chunks(id)?;
        }
        Ok(())
    }

    /// How many opened transfers are still here, and bytes of their content. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn kept_opened(&self) -> Result<(usize, u64), StoreError> {
        let (mut count, mut bytes) = (0, 0);
        for receipt in self.inner.receipts.all()? {
            if receipt.state == TransferState::Opened
                && let Some(info) = self.inner.info_of(receipt.manifest)?
            {
                count += 1;
                bytes += info.size;
            }
        }
        Ok((count, bytes))
    }

    /// Deletes a transfer for the owner of the store, and moves what only it needs to the trash. With `dry_run` it only says what
    /// that would be. Blocks.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not stored, [`StoreError`].
    pub fn delete(&self, id: ManifestId, dry_run: bool) -> Result<Freed, StoreError> {
        let inner = &self.inner;
        let manifest = SignedManifest::parse(inner.get_manifest(id)?)?;
        let published = inner.published(id)?;
        if !dry_run {
            inner.delete_manifest(id)?;
        }
        let named = inner.named_but(id)?;
        let (mut freed, chunks) = inner.unused(&manifest, &named, published)?;
        if !dry_run {
            let went = inner.free(&chunks, published, Way::Trash)?;
            freed.shared_chunks += freed.chunks - went.chunks;
            freed.shared_bytes += freed.bytes - went.bytes;
            (freed.chunks, freed.bytes) = (went.chunks, went.bytes);
        }
        Ok(freed)
    }
}

impl Inner {
    fn info_of(&self, id: ManifestId) -> Result<Option<ManifestInfo>, StoreError> {
        self.with_index(|known| known.get(&id).map(|known| known.info.clone()))
    }

    /// When a manifest was stored here.
    fn published(&self, id: ManifestId) -> Result<SystemTime, StoreError> {
        let failed = |e| io(self.manifests.path(), e);
        let file = self.manifests.file(&id.to_string()).map_err(failed)?;
        let file = file.ok_or_else(|| super::no_manifest(id))?;
        let metadata = file.metadata().map_err(failed)?;
        metadata.modified().map_err(failed)
    }

    /// Lets go of a manifest, and of its chunks if its sender alone has put them, and nobody again since. Others, and what a crash
    /// leaves, are collected when their leases are over. Returns whether the manifest was there.
    fn unpublish_with_chunks(&self, id: ManifestId) -> Result<bool, StoreError> {
        let is_its_own = self.with_index(|known| known.get(&id).is_some_and(|known| known.own))?;
        let chunks = match is_its_own {
            true => self.chunks_of_manifest(id)?,
            false => None,
        };
        if !self.unpublish_if_there(id)? {
            return Ok(false);
        }
        if let Some((chunks, published)) = chunks {
            self.free(&chunks, published, Way::Outright)?;
        }
        Ok(true)
    }

    /// The chunks of a manifest, and when it was stored; `None` if it is damaged or gone.
    pub(super) fn chunks_of_manifest(
        &self,
        id: ManifestId,
    ) -> Result<Option<(Vec<ChunkId>, SystemTime)>, StoreError> {
        let Some(envelope) = self.read_good_manifest(id)? else {
            return Ok(None);
        };
        let manifest = SignedManifest::parse(envelope)?;
        let chunks = manifest.payload().all_chunks().collect();
        match self.published(id) {
            Ok(published) => Ok(Some((chunks, published))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The chunks that manifests name, but for one.
    fn named_but(&self, id: ManifestId) -> Result<HashSet<ChunkId>, StoreError> {
        self.named_chunks_of(|other| other != id)
    }

    /// Which chunks of `manifest` nobody else needs, with what they are together with the others.
    fn unused(
        &self,
        manifest: &SignedManifest,
        named: &HashSet<ChunkId>,
        published: SystemTime,
    ) -> Result<(Freed, Vec<ChunkId>), StoreError> {
        let (mut freed, mut chunks) = (Freed::default(), Vec::new());
        for id in manifest.payload().all_chunks() {
            let Some(bytes) = self.length_on_disk(id) else {
                continue;
            };
            if named.contains(&id) || self.is_relied_on(id, published)? {
                freed.shared_chunks += 1;
                freed.shared_bytes += bytes;
            } else {
                freed.chunks += 1;
                freed.bytes += bytes;
                chunks.push(id);
            }
        }
        Ok((freed, chunks))
    }

    pub(super) fn length_on_disk(&self, id: ChunkId) -> Option<u64> {
        self.shard(id).length(&id.to_string()).ok().flatten()
    }

    /// Whether somebody has put a chunk, or asked for it, after `published`.
    fn is_relied_on(&self, id: ChunkId, published: SystemTime) -> Result<bool, StoreError> {
        let shard = self.shard(id);
        let touched = shard.touched(&id.to_string());
        let touched = touched.map_err(|e| io(shard.path(), e))?;
        Ok(touched.is_some_and(|(_, touched)| touched > published))
    }

    /// Takes chunks away that nobody relies on since `published`.
    pub(super) fn free(
        &self,
        chunks: &[ChunkId],
        published: SystemTime,
        way: Way,
    ) -> Result<Freed, StoreError> {
        let mut report = GcReport::default();
        for batch in chunks.chunks(BATCH) {
            let _alone = self.take_presence_away();
            for id in batch {
                let shard = self.shard(*id);
                let touched = shard.touched(&id.to_string());
                match touched.map_err(|e| io(shard.path(), e))? {
                    Some((length, touched)) if touched <= published => match way {
                        Way::Trash => self.throw_away(shard, *id, &mut report)?,
                        Way::Outright => self.remove_outright(*id, length)?,
                    },
                    _ => {}
                }
            }
        }
        Ok(Freed {
            chunks: report.chunks as u64,
            bytes: report.bytes,
            ..Freed::default()
        })
    }

    fn remove_outright(&self, id: ChunkId, length: u64) -> Result<(), StoreError> {
        let shard = self.shard(id);
        let removed = shard.remove(&id.to_string());
        removed.map_err(|e| io(shard.path(), e))?;
        self.space.release(length);
        self.charges.release(id);
        Ok(())
    }
}
