//! What is stored here for others: so much for each sender, for so long.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    ChunkId, Inner, ManifestId, ManifestInfo, PeerId, Promised, SignedManifest, StoreError,
    TransferState,
    manifests::{Known, KnownManifest},
    space::Transfer,
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
    /// A transfer to the owner counts when it was refused: the key that is wrapped for the owner may be none. When its
    /// sender has used up the quota by that, it stores nothing more here, for the owner neither.
    ///
    /// As long as the caller keeps the turn that it gets, no other transfer is checked.
    pub(super) fn check_relay(
        &self,
        transfer: Transfer,
        wraps: &[Wrap],
        needed: impl FnOnce() -> u64,
    ) -> Result<Option<MutexGuard<'_, ()>>, StoreError> {
        let Some((relay, quota)) = self.relay().and_then(|relay| Some((relay, relay.quota?)))
        else {
            return Ok(None);
        };
        let (_, sender) = transfer;
        if sender == relay.owner {
            return Ok(None);
        }
        let turn = self.relay_turn.lock();
        let turn = turn.unwrap_or_else(PoisonError::into_inner);
        let used = self.carried_for(relay, transfer)?;
        let needed = match relay.carries(sender, wraps.iter().filter_map(Wrap::recipient)) {
            true => needed(),
            false => 0,
        };
        if used.saturating_add(needed) <= quota {
            return Ok(Some(turn));
        }
        Err(StoreError::NoSpace {
            needed,
            free: quota.saturating_sub(used),
            quota: Some(quota),
            promised: Promised::default(),
            remote: None,
        })
    }

    /// The bytes that the sender of `transfer` has here by its other transfers that are not for the owner.
    fn carried_for(&self, relay: Relay, transfer: Transfer) -> Result<u64, StoreError> {
        let of_sender: Vec<_> = self.with_index(|known| {
            let others = known.values().filter(|KnownManifest { info, .. }| {
                info.sender == transfer.1 && info.transfer_id != transfer.0
            });
            let stored = others.map(|known| {
                let recipients = known.info.recipients.iter().copied();
                let carried = relay.carries(known.info.sender, recipients);
                (known.info.id, carried, known.stored.get().copied())
            });
            stored.collect()
        })?;
        let mut used: u64 = 0;
        for (id, carried, stored) in of_sender {
            if carried || self.was_refused(id)? {
                let stored = stored.map_or_else(|| self.stored_of(id), Ok)?;
                used = used.saturating_add(stored);
            }
        }
        Ok(used)
    }

    fn was_refused(&self, id: ManifestId) -> Result<bool, StoreError> {
        let state = self.receipts.state_of(id)?;
        Ok(state.is_some_and(|state| state.state == TransferState::Refused))
    }

    /// The bytes of a manifest and its chunks. Counted once: the chunks of a published manifest stay as they are.
    pub(super) fn stored_of(&self, id: ManifestId) -> Result<u64, StoreError> {
        let counted = |known: &Known| known.get(&id).and_then(|one| one.stored.get().copied());
        if let Some(stored) = self.with_index(counted)? {
            return Ok(stored);
        }
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
            || self.relay().is_some_and(|relay| relay.has_ended(info, now))
    }
}
