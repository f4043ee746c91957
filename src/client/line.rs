//! What shares the way in and out of this machine: bodies on their way to peers and from them.
//!
//! A peer gives up a body that comes too slowly ([`MIN_BODY_RATE`]). Several that share a slow line
//! are each too slow, and alone each may be quick enough. So when one was given up, one at a time goes on; when it comes through
//! with room to spare, one more. Bodies that come in are only counted: their senders and we allow each the time that all
//! of them take together.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::wire::MIN_BODY_RATE;

/// A body that comes through so many times as fast as it must leaves room for another.
const ROOM: u64 = 4;

/// The line of this machine, which all clones of this share.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    freed: Notify,
    /// Bodies that come in.
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    flying: usize,
    /// At most so many; `None` until one was too slow.
    width: Option<usize>,
    /// How often it was narrowed.
    narrowed: u64,
}

impl State {
    fn has_room(&self) -> bool {
        self.width.is_none_or(|width| self.flying < width)
    }
}

/// A body on its way to a peer.
#[derive(Debug)]
pub(super) struct Flight<'a> {
    line: &'a Line,
    since: Instant,
    narrowed: u64,
}

impl Line {
    /// Ready when another body may set out.
    pub(super) async fn enter(&self) -> Flight<'_> {
        loop {
            let freed = self.0.freed.notified();
            if let Some(flight) = self.try_enter() {
                return flight;
            }
            freed.await;
        }
    }

    fn try_enter(&self) -> Option<Flight<'_>> {
        let mut state = self.lock();
        state.has_room().then(|| {
            state.flying += 1;
            Flight {
                line: self,
                since: Instant::now(),
                narrowed: state.narrowed,
            }
        })
    }

    /// A body begins to come in.
    pub(super) fn read(&self) -> Reading {
        self.0.readers.fetch_add(1, Ordering::Relaxed);
        Reading(self.clone())
    }

    /// Bodies on their way to peers.
    pub(super) fn flying(&self) -> usize {
        self.lock().flying
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// The body was given up as too slow. Returns whether fewer go on from now on; not if it was alone.
    pub(super) fn was_too_slow(&self) -> bool {
        let mut state = self.line.lock();
        // The others that were on their way with it fail for the same reason, which counts once.
        if state.narrowed > self.narrowed {
            return true;
        }
        if state.flying < 2 {
            return false;
        }
        let at_once = state.flying;
        tracing::info!(at_once, "the line is too slow for so many chunks at a time");
        state.width = Some(1);
        state.narrowed += 1;
        true
    }

    /// The body of `length` bytes came through.
    pub(super) fn came_through(&self, length: usize) {
        let least = Duration::from_millis(length as u64 * 1000 / (ROOM * MIN_BODY_RATE));
        let mut state = self.line.lock();
        if state.narrowed == self.narrowed && self.since.elapsed() < least {
            state.width = state.width.map(|width| width + 1);
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.line.lock().flying -= 1;
        self.line.0.freed.notify_waiters();
    }
}

/// A body that comes in.
#[derive(Debug)]
pub(super) struct Reading(Line);

impl Reading {
    /// How many bodies come in, with this one.
    pub(super) fn count(&self) -> usize {
        self.0.0.readers.load(Ordering::Relaxed)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_that_is_too_slow_carries_one_at_a_time() {
        let line = Line::default();
        let mut flights = Vec::new();
        for _ in 0..4 {
            flights.push(line.enter().await);
        }
        assert!(flights[0].was_too_slow());
        assert!(flights[1].was_too_slow(), "for the same reason");
        drop(flights);
        let alone = line.enter().await;
        assert!(line.try_enter().is_none());
        assert!(!alone.was_too_slow(), "nothing can be done about it");
    }

    #[tokio::test]
    async fn a_line_with_room_to_spare_carries_more_again() {
        let line = Line::default();
        let both = (line.enter().await, line.enter().await);
        assert!(both.0.was_too_slow());
        both.1.came_through(1 << 20);
        drop(both);
        let one = line.enter().await;
        assert!(
            line.try_enter().is_none(),
            "what set out before says nothing of now"
        );
        one.came_through(1 << 20);
        assert!(line.try_enter().is_some());
    }

    #[tokio::test]
    async fn who_waits_enters_when_another_is_done() {
        let line = Line::default();
        let both = (line.enter().await, line.enter().await);
        both.0.was_too_slow();
        let enter = line.enter();
        drop(both);
        let waited = enter.await;
        assert_eq!(line.flying(), 1);
        drop(waited);
    }
}
