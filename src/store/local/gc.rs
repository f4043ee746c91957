//! Letting go: of opened transfers, of what has expired, of chunks that nobody names.
//!
//! A chunk is collected only if no manifest names it and its lease of a day has run out. Publishing and every answer
//! that says "there" renew leases first, under the lock that collecting takes for writing: so what was relied on is
//! never collected. It goes to the trash first and is brought back from there if it is asked for.

use std::{
    collections::HashSet,
    sync::PoisonError,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use super::{Inner, LocalStore, StoreError, TransferState, io};
use crate::{
    id::{ChunkId, ManifestId},
    manifest::{SignedManifest, Timestamp},
};

/// How long a chunk that no manifest names is kept.
const LEASE: Duration = Duration::from_secs(24 * 3600);
/// How long it stays in the trash then.
const TRASH: Duration = Duration::from_secs(3600);
/// How long what another room remembers of an unfinished transfer is kept.
const ABANDONED: Duration = Duration::from_secs(7 * 24 * 3600);
/// Chunks that are taken away under one lock.
const BATCH: usize = 1_000;

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GcReport {
    /// Transfers whose time was over.
    pub expired: usize,
    /// Chunks that went to the trash.
    pub chunks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that left the trash for good.
    pub removed: usize,
    /// Journals of transfers that nobody has continued for a week.
    pub abandoned: usize,
}

impl LocalStore {
    /// Lets a transfer go: first its receipt is durable, then its manifest goes, then its chunks. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_go(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.inner.let_go(id, state)
    }

    /// Lets go of transfers that were opened at least `age` ago. Gives how many. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn let_go_opened(&self, age: Duration, now: Timestamp) -> Result<usize, StoreError> {
        let mut gone = 0;
        for receipt in self.inner.receipts.all()? {
            let is_over = receipt.since.plus_seconds(age.as_secs()) <= now;
            let name = receipt.manifest.to_string();
            let folder = &self.inner.manifests;
            let stored = || folder.length(&name).map_err(|e| io(folder.path(), e));
            if receipt.state == TransferState::Opened && is_over && stored()?.is_some() {
                self.inner.remove_transfer(receipt.manifest)?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Collects what has expired and what nobody names. Blocks.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gc(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        self.inner.gc(now)
    }
}

impl Inner {
    fn let_go(&self, id: ManifestId, state: TransferState) -> Result<(), StoreError> {
        self.record_state(id, state)?;
        self.remove_transfer(id)
    }

    /// Removes a manifest and those of its chunks that no other names.
    fn remove_transfer(&self, id: ManifestId) -> Result<(), StoreError> {
        self.writable()?;
        let manifest = SignedManifest::parse(self.get_manifest(id)?)?;
        self.remove_manifest(id)?;
        let _alone = self
            .presence
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let payload = manifest.payload();
        // A chunk is sealed for one transfer: only manifests of the same transfer can name it too.
        let others = self.with_index(|index| {
            let same = |info: &&super::ManifestInfo| {
                (info.sender, info.transfer_id) == (payload.sender, payload.transfer_id)
            };
            index
                .values()
                .filter(same)
                .map(|info| info.id)
                .collect::<Vec<_>>()
        })?;
        let mut kept = HashSet::new();
        for other in others {
            kept.extend(
                SignedManifest::parse(self.get_manifest(other)?)?
                    .payload()
                    .all_chunks(),
            );
        }
        for chunk in payload.all_chunks().filter(|chunk| !kept.contains(chunk)) {
            let (shard, name) = (self.shard(chunk), chunk.to_string());
            let length = shard.length(&name).map_err(|e| io(shard.path(), e))?;
            shard.remove(&name).map_err(|e| io(shard.path(), e))?;
            self.space.release(length.unwrap_or(0));
        }
        Ok(())
    }

    fn gc(&self, now: Timestamp) -> Result<GcReport, StoreError> {
        self.writable()?;
        let mut report = GcReport {
            expired: self.let_expired_go(now)?,
            ..GcReport::default()
        };
        let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(now.unix_seconds());
        self.empty_trash(clock, &mut report)?;
        self.collect(clock, &mut report)?;
        self.remove_abandoned(clock, &mut report)?;
        Ok(report)
    }

    fn let_expired_go(&self, now: Timestamp) -> Result<usize, StoreError> {
        let expired = self.with_index(|index| {
            let over = index
                .values()
                .filter(|info| info.expires.is_some_and(|expires| expires <= now));
            over.map(|info| info.id).collect::<Vec<_>>()
        })?;
        for id in &expired {
            // What was opened stays known as such.
            let opened = self
                .receipts
                .state_of(*id)?
                .is_some_and(|state| state.state == TransferState::Opened);
            if opened {
                self.remove_transfer(*id)?
            } else {
                self.let_go(*id, TransferState::Expired)?
            }
        }
        Ok(expired.len())
    }

    fn collect(&self, now: SystemTime, report: &mut GcReport) -> Result<(), StoreError> {
        let named = self.named_chunks()?;
        for shard in &self.shards {
            let names = shard.names().map_err(|e| io(shard.path(), e))?;
            let unnamed =
                |name: &&String| name.parse::<ChunkId>().is_ok_and(|id| !named.contains(&id));
            let unnamed: Vec<_> = names.iter().filter(unnamed).collect();
            for batch in unnamed.chunks(BATCH) {
                let _alone = self
                    .presence
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                for name in batch {
                    // A manifest that was published since it was counted renewed the lease.
                    let age = shard.age(name, now).map_err(|e| io(shard.path(), e))?;
                    if age.is_some_and(|age| age >= LEASE) {
                        self.throw_away(shard, name, report)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn throw_away(
        &self,
        shard: &super::Folder,
        name: &str,
        report: &mut GcReport,
    ) -> Result<(), StoreError> {
        let failed = |e| io(&shard.path().join(name), e);
        let length = shard.length(name).map_err(failed)?.unwrap_or(0);
        shard.touch(name).map_err(failed)?;
        if !shard.move_to(name, &self.trash).map_err(failed)? {
            // One of that name is in the trash already.
            shard.remove(name).map_err(failed)?;
        }
        self.space.release(length);
        report.chunks += 1;
        report.bytes += length;
        Ok(())
    }

    fn empty_trash(&self, now: SystemTime, report: &mut GcReport) -> Result<(), StoreError> {
        let names = self.trash.names().map_err(|e| io(self.trash.path(), e))?;
        for batch in names.chunks(BATCH) {
            let _alone = self
                .presence
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for name in batch {
                let age = self
                    .trash
                    .age(name, now)
                    .map_err(|e| io(self.trash.path(), e))?;
                if age.is_some_and(|age| age >= TRASH) {
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
        let folder = super::Folder::open(path.clone()).map_err(|e| io(&path, e))?;
        for name in folder.names().map_err(|e| io(&path, e))? {
            if folder
                .age(&name, now)
                .map_err(|e| io(&path, e))?
                .is_some_and(|age| age >= ABANDONED)
            {
                folder.remove(&name).map_err(|e| io(&path, e))?;
                report.abandoned += 1;
            }
        }
        Ok(())
    }

    /// Every chunk that a manifest names. A manifest that cannot be read stops collecting: its chunks are not known.
    fn named_chunks(&self) -> Result<HashSet<ChunkId>, StoreError> {
        let mut named = HashSet::new();
        for name in self
            .manifests
            .names()
            .map_err(|e| io(self.manifests.path(), e))?
        {
            let Ok(id) = name.parse::<ManifestId>() else {
                continue;
            };
            match self.get_manifest(id) {
                Ok(envelope) => {
                    named.extend(SignedManifest::parse(envelope)?.payload().all_chunks())
                }
                // Let go by somebody else since it was listed.
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(named)
    }
}
