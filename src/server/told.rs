//! What the owner of a store is asked about later: whose transfer was refused here, and why; whose was cut. One line of the
//! log each, as often as nobody can fill a disk by.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::MatchedPath,
    http::{HeaderName, request::Parts},
    response::Response,
};
use governor::Quota;

use super::{
    OfferDesk, ServerState,
    arrivals::Cut,
    meter::{Asked, refuses},
    rate::Rate,
};
use crate::{
    id::{PeerId, Short as _, TransferId},
    name::Escaped,
    tls::Caller,
    wire::{Code, OFFER_HEADER, Problem, route},
};

/// Lines of the log about one peer: so many at once, then one in so long.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
const EACH: Duration = Duration::from_secs(60);
/// Lines about what one peer has stored: a transfer is more than a refusal.
const STORED: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
const EACH_STORED: Duration = Duration::from_secs(5);
/// Entries of the history about one peer, which are kept for ever.
const ENTRIES: NonZeroU32 = NonZeroU32::MIN.saturating_add(31);
const EACH_ENTRY: Duration = Duration::from_secs(900);
/// Refusals that are remembered, so that each is one entry however often it is tried.
const REMEMBERED: usize = 1_024;

/// A transfer that was not taken, for one reason.
type Entered = (PeerId, TransferId, Code);

/// How many lines of the log and entries of the history are still written because of one peer. The rest is counted.
pub(crate) struct TellLimits {
    lines: Rate,
    silenced: AtomicU64,
    entries: Turns,
}

impl Default for TellLimits {
    fn default() -> Self {
        Self {
            lines: one_in(EACH, BURST),
            silenced: AtomicU64::new(0),
            entries: Turns::of(EACH_ENTRY, ENTRIES),
        }
    }
}

/// So many at once, then one in each `period`.
fn one_in(period: Duration, burst: NonZeroU32) -> Rate {
    let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
    Rate::of(quota.allow_burst(burst))
}

/// What is told of each peer so often, and how much of it was not since the last time.
struct Turns {
    rate: Rate,
    left_out: Mutex<HashMap<PeerId, u64>>,
}

impl Turns {
    fn of(period: Duration, burst: NonZeroU32) -> Self {
        Self {
            rate: one_in(period, burst),
            left_out: Mutex::default(),
        }
    }

    /// Whether to tell of `peer` now, with what was left out before.
    fn turn(&self, peer: &PeerId) -> Option<u64> {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rate.has_turn(peer) {
            return Some(left_out.remove(peer).unwrap_or(0));
        }
        *left_out.entry(*peer).or_default() += 1;
        None
    }
}

impl TellLimits {
    /// Whether to log of this peer now, with the number of lines that were not written before.
    pub(crate) fn line(&self, peer: &PeerId) -> Option<u64> {
        if self.lines.has_turn(peer) {
            return Some(self.silenced.swap(0, Ordering::Relaxed));
        }
        self.silenced.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Whether something becomes an entry of the history now because of this peer, with the number of entries that were left
    /// out before.
    pub(crate) fn entry(&self, peer: &PeerId) -> Option<u64> {
        self.entries.turn(peer)
    }

    /// Forgets the peers that have rested long enough.
    pub(crate) fn forget_rested(&self) {
        self.lines.forget_rested();
        self.entries.rate.forget_rested();
    }
}

/// What was told so far.
pub(super) struct Told {
    limits: TellLimits,
    /// Of requests that failed because of this machine: they must not be drowned by refusals.
    failures: TellLimits,
    entered: Mutex<VecDeque<Entered>>,
    /// Lines about transfers that are stored.
    stored: Turns,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            limits: TellLimits::default(),
            failures: TellLimits::default(),
            entered: Mutex::default(),
            stored: Turns::of(EACH_STORED, STORED),
        }
    }
}

impl Told {
    /// Whether to log now that a transfer is stored that `peer` has brought, with the number of those that were not logged.
    pub(super) fn stored(&self, peer: &PeerId) -> Option<u64> {
        self.stored.turn(peer)
    }

    /// Whether this refusal becomes an entry of the history now, with the number of those that were left out before.
    fn enters(&self, refused: Entered) -> Option<u64> {
        let mut entered = self.entered.lock().unwrap_or_else(PoisonError::into_inner);
        if entered.contains(&refused) {
            return None;
        }
        let left_out = self.limits.entry(&refused.0)?;
        if entered.len() == REMEMBERED {
            entered.pop_front();
        }
        entered.push_back(refused);
        Some(left_out)
    }

    pub(super) fn forget_rested(&self) {
        self.limits.forget_rested();
        self.failures.forget_rested();
        self.stored.rate.forget_rested();
    }
}

/// Why a request failed here. It is for the log alone.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) String);

/// Logs why the request `line` of `caller` failed, if it did.
pub(super) fn tell_failure(state: &ServerState, caller: &Caller, line: &str, answer: &Response) {
    let Some(Cause(cause)) = answer.extensions().get::<Cause>() else {
        return;
    };
    if let Some(silenced) = state.0.told.failures.line(&caller.peer_id) {
        tracing::error!(
            peer = %Escaped::new(&caller.name),
            id = %caller.peer_id,
            request = %Escaped::new(line),
            %cause,
            silenced,
            "a request failed"
        );
    }
}

/// A request, as far as it is told if it is refused.
pub(super) struct Bringing {
    path: String,
    /// The transfer that it is for, as far as its head says that.
    transfer: Option<TransferId>,
}

impl Bringing {
    /// `None` if it is not to leave something here.
    pub(super) fn of(asked: &Asked, parts: &Parts) -> Option<Self> {
        if !asked.brings() {
            return None;
        }
        let path = parts.uri.path();
        let matched = parts.extensions.get::<MatchedPath>();
        let id = match matched.is_some_and(|matched| matched.as_str() == route::OFFER) {
            true => path.rsplit('/').next(),
            false => {
                let header = parts.headers.get(HeaderName::from_static(OFFER_HEADER));
                let text = header.and_then(|header| header.to_str().ok());
                text.and_then(|text| text.split(';').next())
            }
        };
        Some(Self {
            path: path.to_owned(),
            transfer: id.and_then(|id| id.parse().ok()),
        })
    }
}

/// What a refusal has for the log, of the problem only what is a number or a fixed word, and for the history.
#[derive(Clone)]
pub(super) struct Refusal {
    code: Code,
    needed: Option<u64>,
    free: Option<u64>,
    detail: String,
    about: Option<Refused>,
}

/// What is known of a transfer that is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    pub(super) transfer: TransferId,
    /// Bytes of its content.
    pub(super) size: Option<u64>,
    /// Who has signed it, once that was verified.
    pub(super) sender: Option<PeerId>,
}

impl Refusal {
    pub(super) fn of(code: Code, problem: &Problem, about: Option<Refused>) -> Self {
        Self {
            code,
            needed: problem.needed,
            free: problem.free,
            detail: problem.detail.clone(),
            about,
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

/// A transfer that was not taken.
#[derive(Debug, Clone)]
pub struct NotTaken {
    /// Who brought it.
    pub peer: PeerId,
    /// The name in its certificate.
    pub name: String,
    /// Who has signed it, as far as that was verified, else who brought it.
    pub sender: PeerId,
    /// The transfer.
    pub transfer: TransferId,
    /// The bytes that came of it, sealed.
    pub bytes: u64,
    /// The bytes of its content, if they were announced.
    pub of: Option<u64>,
    /// The code of the problem, and what its bringer was told. It may have foreign text in it.
    pub why: String,
    /// Entries about its bringer that the history does not have, since the last one.
    pub left_out: u64,
}

/// Logs that `caller` could not bring what it wanted to. Returns what becomes an entry of the history.
pub(super) fn tell_refusal(
    state: &ServerState,
    caller: &Caller,
    bringing: &Bringing,
    answer: &Response,
) -> Option<NotTaken> {
    let refusal = answer.extensions().get::<Refusal>()?;
    if !refuses(refusal.code) {
        return None;
    }
    let why = refusal.code.parts().0;
    if let Some(silenced) = state.0.told.limits.line(&caller.peer_id) {
        tracing::warn!(
            peer = %Escaped::new(&caller.name),
            id = %caller.peer_id,
            what = %Escaped::new(&bringing.path),
            why,
            needed = refusal.needed,
            free = refusal.free,
            silenced,
            "refused"
        );
    }
    let said = refusal.about;
    let transfer = said.map(|said| said.transfer).or(bringing.transfer)?;
    if !refusal.is_final() {
        return None;
    }
    // It is told now, and not once more as a transfer of which no more came.
    let came = state.0.arrivals.forget(caller.peer_id, transfer);
    let came = came.as_ref();
    let sender = said.and_then(|said| said.sender);
    let entry = (caller.peer_id, transfer, refusal.code);
    state.0.told.enters(entry).map(|left_out| NotTaken {
        peer: caller.peer_id,
        name: caller.name.clone(),
        sender: sender.unwrap_or_else(|| came.map_or(caller.peer_id, |came| came.sender)),
        transfer,
        bytes: came.map_or(0, |came| came.bytes),
        of: (said.and_then(|said| said.size)).or_else(|| came.and_then(|came| came.of)),
        why: format!("{why}: {}", refusal.detail),
        left_out,
    })
}

/// Has the owner's history note something. That it cannot is no reason not to answer: it has been logged.
pub(super) async fn note(state: &ServerState, write: impl FnOnce(&dyn OfferDesk) + Send + 'static) {
    let desk = state.services().offers.clone();
    let _ = tokio::task::spawn_blocking(move || write(&*desk)).await;
}

/// Logs the transfers that were cut: those that `is_over` says of their peer and how long nothing came. Returns those that
/// become entries of the history.
pub(super) fn tell_cuts(
    state: &ServerState,
    is_over: impl Fn(&PeerId, Duration) -> bool,
) -> Vec<Cut> {
    let cuts = state.0.arrivals.take_cut(is_over);
    for cut in &cuts {
        if let Some(silenced) = state.0.told.limits.line(&cut.peer) {
            tracing::warn!(
                transfer = cut.transfer.short(),
                peer = %Escaped::new(&cut.name),
                id = %cut.peer,
                bytes = cut.bytes,
                of = cut.of,
                silenced,
                "cut half way"
            );
        }
    }
    let entries = cuts.into_iter().filter_map(|cut| {
        let left_out = state.0.told.limits.entry(&cut.peer)?;
        Some(Cut { left_out, ..cut })
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_entry_and_no_member_fills_the_history() {
        let (told, eve, ben) = (Told::default(), PeerId::of(b"eve"), PeerId::of(b"ben"));
        let transfer = |n: u128| TransferId::from_bytes(n.to_be_bytes());
        let enters = |peer, n, code| told.enters((peer, transfer(n), code)).is_some();
        assert!(enters(eve, 0, Code::NoSpace));
        assert!(!enters(eve, 0, Code::NoSpace), "once more");
        assert!(enters(eve, 0, Code::QuotaExceeded), "for another reason");
        let entered = (1..10_000).filter(|n| enters(eve, *n, Code::NoSpace));
        assert_eq!(entered.count(), ENTRIES.get() as usize - 2);
        assert!(enters(ben, 0, Code::NoSpace), "of another member");
        let left_out = told.limits.entries.left_out.lock().unwrap()[&eve];
        assert_eq!(left_out, 10_000 + 1 - u64::from(ENTRIES.get()));
        let memory = told.entered.lock().unwrap().len();
        assert!(memory <= REMEMBERED);
    }
}
