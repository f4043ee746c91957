//! What the owner of a store is asked about later: whose transfer was refused here, and why; whose was cut. One line of the
//! log each, as often as nobody can fill a disk by.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::response::Response;
use governor::Quota;

use super::{ServerState, arrivals::Cut, rate::Rate};
use crate::{
    id::{PeerId, Short as _},
    name::Escaped,
    tls::Caller,
    wire::{Code, Problem},
};

/// Lines about one peer: so many at once, then one in so long.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const EACH: Duration = Duration::from_secs(60);

/// Which lines may still be written.
pub(super) struct Told {
    rate: Rate,
    silenced: AtomicU64,
}

impl Default for Told {
    fn default() -> Self {
        let quota = Quota::with_period(EACH).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        Self {
            rate: Rate::of(quota.allow_burst(BURST)),
            silenced: AtomicU64::new(0),
        }
    }
}

impl Told {
    /// Whether to tell of this peer now, with the number of lines that were not written before.
    fn turn(&self, peer: &PeerId) -> Option<u64> {
        if self.rate.has_turn(peer) {
            return Some(self.silenced.swap(0, Ordering::Relaxed));
        }
        self.silenced.fetch_add(1, Ordering::Relaxed);
        None
    }

    pub(super) fn forget_rested(&self) {
        self.rate.forget_rested();
    }
}

/// What a refusal has for the log: of the problem only what is a number or a fixed word.
#[derive(Clone)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) needed: Option<u64>,
    pub(super) free: Option<u64>,
}

impl Refusal {
    pub(super) fn of(code: Code, problem: &Problem) -> Self {
        Self {
            code,
            needed: problem.needed,
            free: problem.free,
        }
    }

    /// Whether it says that a transfer is not taken here, rather than how to ask better.
    fn is_final(&self) -> bool {
        matches!(
            self.code,
            Code::NoSpace
                | Code::QuotaExceeded
                | Code::StorageFailed
                | Code::NotAllowed
                | Code::UntrustedSigner
                | Code::BadSignature
                | Code::SenderMismatch
                | Code::Expired
                | Code::FromTheFuture
                | Code::Deleted
                | Code::EndsTooSoon
        )
    }
}

/// Logs that `caller` could not bring what it wanted to: `line` is the method and the path that it asked for.
pub(super) fn tell_refusal(state: &ServerState, caller: &Caller, line: &str, answer: &Response) {
    let refusal = answer.extensions().get::<Refusal>();
    let Some(path) = line.strip_prefix("PUT ") else {
        return;
    };
    let Some(refusal) = refusal.filter(|refusal| refusal.is_final()) else {
        return;
    };
    let Some(silenced) = state.0.told.turn(&caller.peer_id) else {
        return;
    };
    tracing::warn!(
        peer = %Escaped::new(&caller.name),
        id = caller.peer_id.short(),
        what = %Escaped::new(path),
        why = refusal.code.parts().0,
        needed = refusal.needed,
        free = refusal.free,
        silenced,
        "refused"
    );
}

/// Tells of the transfers that were cut: those that `is_over` says of their peer and how long nothing came.
pub(super) fn tell_cuts(
    state: &ServerState,
    is_over: impl Fn(&PeerId, Duration) -> bool,
) -> Vec<Cut> {
    let mut cuts = state.0.arrivals.take_cut(is_over);
    cuts.retain(|cut| match state.0.told.turn(&cut.peer) {
        Some(silenced) => {
            tracing::warn!(
                transfer = cut.transfer.short(),
                peer = %Escaped::new(&cut.name),
                id = cut.peer.short(),
                bytes = cut.bytes,
                of = cut.of,
                silenced,
                "cut half way"
            );
            true
        }
        None => false,
    });
    cuts
}
