//! What is stored here for others: so much for each sender, for so long.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    ChunkId, Inner, ManifestInfo, PeerId, StoreError, manifests::KnownManifest, space::Transfer,
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
        let used: u64 = self.with_index(|known| {
            let others = known.values().filter(|KnownManifest { info, .. }| {
                info.sender == sender
                    && (info.transfer_id, info.sender) != transfer
                    && relay.carries(sender, info.recipients.iter().copied())
            });
            let stored = others.map(|known| self.stored_bytes_of(known));
            stored.fold(0, u64::saturating_add)
        })?;
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
    fn stored_bytes_of(&self, known: &KnownManifest) -> u64 {
        let count = || self.stored_bytes(known.chunks.iter().copied());
        *known.stored.get_or_init(count)
    }

    /// The bytes of those of these chunks that are here.
    pub(super) fn stored_bytes(&self, chunks: impl Iterator<Item = ChunkId>) -> u64 {
        let lengths = chunks.map(|id| self.shard(id).length(&id.to_string()).ok().flatten());
        lengths.flatten().fold(0, u64::saturating_add)
    }

    /// Whether the time of a transfer is over.
    pub(super) fn has_ended(&self, info: &ManifestInfo, now: Timestamp) -> bool {
        info.expires.is_some_and(|expires| expires <= now)
            || self.relay.is_some_and(|relay| relay.has_ended(info, now))
    }
}
