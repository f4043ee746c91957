//! How often a peer may ask. What comes sooner waits for its turn, which costs the others nothing: a connection that waits is
//! not read from, and a peer has only so many.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::id::PeerId;

/// Requests a second, for each peer.
pub(super) struct Rate(DefaultKeyedRateLimiter<PeerId>);

impl Rate {
    /// So many a second, and so many at once after a rest.
    pub(super) fn new(each_second: u32, burst: u32) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(each_second));
        Self::of(quota.allow_burst(at_least_one(burst)))
    }

    pub(super) fn of(quota: Quota) -> Self {
        Self(RateLimiter::keyed(quota))
    }

    /// Ready when `peer` may have another request, which counts as `cost`.
    pub(super) async fn turn(&self, peer: &PeerId, cost: NonZeroU32) {
        // What costs more than a whole burst comes at once after it: nothing does.
        let _ = self.0.until_key_n_ready(peer, cost).await;
    }

    /// Whether `peer` may have another request at once, which it has used then.
    pub(super) fn has_turn(&self, peer: &PeerId) -> bool {
        self.0.check_key(peer).is_ok()
    }

    /// Forgets the peers that have rested long enough.
    pub(super) fn forget_rested(&self) {
        self.0.retain_recent();
    }
}
