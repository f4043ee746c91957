//! What is stored here for others: so much for each sender, for so long.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    ChunkId, Inner, ManifestId, ManifestInfo, PeerId, SignedManifest, StoreError,
    manifests::KnownManifest, space::Transfer,
};
use crate::manifest::{Timestamp, Wrap};

/// Bounds for what is not addressed to the owner of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Whose store it is.
    pub owner: PeerId,
    /// The most stored bytes of transfers that one sender may have here for others.
    pub quota: Option<u64>,
    /// After so long it goes, if it has not expired before.
    pub keep: Option<Duration>,
}

impl Relay {
    fn carries(&self, sender: PeerId, mut recipients: impl Iterator<Item = PeerId>) -> bool {
        sender != self.owner && recipients.all(|recipient| recipient != self.owner)
    }

    fn has_ended(&self, info: &ManifestInfo, now: Timestamp) -> bool {
        let Some(keep) = self.keep else {
            return false;
        };
        let end = info.created.plus_seconds(keep.as_secs());
        end <= now && self.carries(info.sender, info.recipients.iter().copied())
    }
}

impl Inner {
    /// Refuses a transfer that would be more than its sender may store here for others. The bytes that are stored count,
    /// also of tables and sums, and not the size that the sender has signed: a blind store cannot tell whether that is
    /// true. A chunk that several manifests name counts for each.
    ///
    /// As long as the caller keeps the turn that it gets, no other transfer is checked.
    pub(super) fn check_relay(
        &self,
        transfer: Transfer,
        wraps: &[Wrap],
        needed: impl FnOnce() -> u64,
    ) -> Result<Option<MutexGuard<'_, ()>>, StoreError> {
        let Some((relay, quota)) = self.relay.and_then(|relay| Some((relay, relay.quota?))) else {
            return Ok(None);
        };
        let (_, sender) = transfer;
        if !relay.carries(sender, wraps.iter().filter_map(Wrap::recipient)) {
            return Ok(None);
        }
        let turn = self.relay_turn.lock();
        let turn = turn.unwrap_or_else(PoisonError::into_inner);
        let others: Vec<_> = self.with_index(|known| {
            let others = known.values().filter(|KnownManifest { info, .. }| {
                info.sender == sender
                    && (info.transfer_id, info.sender) != transfer
                    && relay.carries(sender, info.recipients.iter().copied())
            });
            let stored = others.map(|known| (known.info.id, known.stored.get().copied()));
            stored.collect()
        })?;
        let mut used: u64 = 0;
        for (id, stored) in others {
            let stored = stored.map_or_else(|| self.count_stored(id), Ok)?;
            used = used.saturating_add(stored);
        }
        let (needed, free) = (needed(), quota.saturating_sub(used));
        if needed <= free {
            return Ok(Some(turn));
        }
        Err(StoreError::NoSpace {
            needed,
            free,
            quota: Some(quota),
        })
    }

    /// Counted once: the chunks of a published manifest stay as they are.
    fn count_stored(&self, id: ManifestId) -> Result<u64, StoreError> {
        // It has gone since, or is damaged: then it takes nothing.
        let Some(envelope) = self.read_good_manifest(id)? else {
            return Ok(0);
        };
        let stored = self.stored_bytes(&SignedManifest::parse(envelope)?);
        self.with_index(|known| {
            if let Some(known) = known.get(&id) {
                known.stored.get_or_init(|| stored);
            }
        })?;
        Ok(stored)
    }

    /// The bytes of a manifest and of those of its chunks that are here.
    pub(super) fn stored_bytes(&self, manifest: &SignedManifest) -> u64 {
        let length = |id: ChunkId| self.shard(id).length(&id.to_string()).ok().flatten();
        let lengths = manifest.payload().all_chunks().filter_map(length);
        lengths.fold(manifest.envelope().len() as u64, u64::saturating_add)
    }

    /// Whether the time of a transfer is over.
    pub(super) fn has_ended(&self, info: &ManifestInfo, now: Timestamp) -> bool {
        info.expires.is_some_and(|expires| expires <= now)
            || self.relay.is_some_and(|relay| relay.has_ended(info, now))
    }
}
