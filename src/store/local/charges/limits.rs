//! What a peer may put here that no manifest names, and whether a chunk is within that.

use super::{
    super::{Inner, PartOf, StoreError, full::For},
    Limits, Mark, Why,
};
use crate::id::{ChunkId, PeerId};

impl Inner {
    /// To whom a chunk is charged that `by` puts, and why.
    pub(in crate::store::local) fn mark_for(&self, by: PeerId, part_of: Option<PartOf>) -> Mark {
        let why = match self.is_announced(by, part_of) {
            true => Why::Announced,
            false => Why::Put,
        };
        Mark { peer: by, why }
    }

    /// Charges a chunk that is put, if somebody does. The owner of the store is bounded by its disk alone.
    pub(in crate::store::local) fn charge(
        &self,
        mark: Option<Mark>,
        id: ChunkId,
        bytes: u64,
        part_of: Option<PartOf>,
    ) -> Result<bool, StoreError> {
        let Some(mark) = mark else { return Ok(false) };
        if let Some(part) = part_of {
            self.announced.came((part.transfer_id, mark.peer));
        }
        let what = self.room_for(Some(mark.peer), part_of);
        self.within_limits(mark.peer, what, |limits| {
            self.charges.charge(mark, id, bytes, limits)
        })
    }

    /// Fails as [`charge`](Self::charge) does.
    pub(in crate::store::local) fn check_charge(
        &self,
        by: Option<PeerId>,
        bytes: u64,
        part_of: Option<PartOf>,
    ) -> Result<(), StoreError> {
        let Some(peer) = by else { return Ok(()) };
        let what = self.room_for(by, part_of);
        let check = |limits: Option<Limits>| match limits {
            Some(limits) => self.charges.check(peer, bytes, limits),
            None => Ok(()),
        };
        self.again_if_counted_anew(|| self.within_limits(peer, what, check))
    }

    /// Does `work` with what `peer` may have here. What can be let go for it counts as free, if it does not suffice without.
    fn within_limits<T>(
        &self,
        peer: PeerId,
        what: For,
        work: impl Fn(Option<Limits>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let limits = self.limits(peer)?;
        match (work(limits), limits) {
            (Err(StoreError::TooMuchUnnamed { .. }), Some(limits)) if limits.quota.is_some() => {
                let more = self.releasable(what)?;
                let quota = limits.quota.map(|free| free.saturating_add(more));
                work(Some(Limits { quota, ..limits }))
            }
            (done, _) => done,
        }
    }

    fn limits(&self, peer: PeerId) -> Result<Option<Limits>, StoreError> {
        let relay = self.relay();
        if relay.is_some_and(|relay| relay.owner == peer) {
            return Ok(None);
        }
        let found = self.disk()?;
        let (disk, quota) = self.space.beside_promises(found);
        Ok(Some(Limits {
            disk,
            quota,
            files: found.files.map(|(free, _)| free),
            relay: relay.and_then(|relay| relay.quota),
            announced: self.announced.of(peer),
        }))
    }
}
