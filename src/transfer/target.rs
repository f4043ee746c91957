//! The stores that a transfer goes to. One that fails is left behind, and the others go on; the same send reaches it later.
//!
//! All get the same chunk at about the same time, so the slowest sets the pace. One that is much slower than the others is left behind
//! too: by how long the answers of each were waited for, which a store cannot make another look bad by. One alone may be as slow
//! as it likes.

use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::{BoxFuture, join_all};
use tokio::sync::watch;

use super::TransferError;
use crate::{
    id::ChunkId,
    manifest::SignedOffer,
    store::{OfferAnswer, Store},
};

/// How often it is looked who keeps the others waiting.
const TICK: Duration = Duration::from_millis(500);
/// Who is waited for so many times as long as the fastest, and for the patience of the others on top, keeps them waiting. A wireless
/// link beside a wire is ten times as slow.
const TIMES: u32 = 16;
/// Bytes a second at which a store may catch up with what the others have had before.
const CATCHES_UP: u64 = 1 << 20;

/// One store.
pub(super) struct Target {
    pub(super) store: Arc<dyn Store>,
    /// How long it was waited for before this transfer; `None` of a store of this machine.
    before: Option<Duration>,
    state: Mutex<State>,
    /// Whether it was left behind, so that what else it is asked is given up.
    is_left: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    answer: Option<OfferAnswer>,
    present: HashSet<ChunkId>,
    /// Whether it has had the whole content from the beginning, so that it waits for nobody.
    had_all: bool,
    /// What it may have taken for chunks that it alone lacked.
    excused: Duration,
    failed: Option<TransferError>,
}

impl State {
    fn is_open(&self) -> bool {
        self.failed.is_none() && self.answer != Some(OfferAnswer::AlreadyReceived)
    }
}

impl Target {
    fn new(store: Arc<dyn Store>) -> Self {
        Self {
            before: store.waited_for(),
            store,
            state: Mutex::default(),
            is_left: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to do for it.
    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    pub(super) fn lacks(&self, id: ChunkId) -> bool {
        let state = self.lock();
        state.is_open() && !state.present.contains(&id)
    }

    pub(super) fn note_present(&self, ids: HashSet<ChunkId>) {
        self.lock().present = ids;
    }

    /// How long it was waited for, if others or itself may wait for more.
    fn waited(&self) -> Option<Duration> {
        let state = self.lock();
        let takes_part = state.is_open() && !state.had_all;
        let before = self.before.filter(|_| takes_part)?;
        let waited = self.store.waited_for()?.saturating_sub(before);
        Some(waited.saturating_sub(state.excused))
    }

    /// It has got so many bytes that it alone lacked.
    pub(super) fn note_caught_up(&self, bytes: usize) {
        let time = Duration::from_millis(bytes as u64 * 1000 / CATCHES_UP);
        self.lock().excused += time;
    }

    /// Waits for what is `asked` of it, unless it is left behind meanwhile. It is, at once, if that fails.
    async fn wait(&self, asked: impl Future<Output = Result<(), TransferError>>) {
        let mut left = self.is_left.subscribe();
        tokio::select! {
            result = asked => if let Err(error) = result {
                self.leave_behind(error);
            },
            _ = left.wait_for(|is_left| *is_left) => {}
        }
    }

    fn leave_behind(&self, error: TransferError) {
        self.lock().failed.get_or_insert(error);
        self.is_left.send_replace(true);
    }
}

/// All of them.
pub(super) struct Targets {
    all: Vec<Target>,
    /// How long the others wait for one that is much slower.
    patience: Duration,
}

impl Targets {
    /// Announces the transfer to every store.
    ///
    /// # Errors
    /// Those of all, if none takes it.
    pub(super) async fn announce(
        stores: &[Arc<dyn Store>],
        offer: &SignedOffer,
        patience: Duration,
    ) -> Result<Self, TransferError> {
        let all = stores.iter().cloned().map(Target::new).collect();
        let targets = Self { all, patience };
        let announced = targets.each(Target::is_open, |target| {
            Box::pin(async move {
                let answer = target.store.put_offer(offer).await?;
                target.lock().answer = Some(answer);
                match answer {
                    OfferAnswer::Refused => Err(TransferError::NotAccepted { answer }),
                    _ => Ok(()),
                }
            })
        });
        announced.await?;
        Ok(targets)
    }

    /// Does something with each that is chosen, at once. Those that fail, or keep the others waiting, are left behind.
    ///
    /// # Errors
    /// Those of all, if none is left.
    pub(super) async fn each<'a>(
        &'a self,
        is_chosen: impl Fn(&Target) -> bool,
        ask: impl Fn(&'a Target) -> BoxFuture<'a, Result<(), TransferError>>,
    ) -> Result<(), TransferError> {
        let chosen = self.all.iter().filter(|target| is_chosen(target));
        let all = join_all(chosen.map(|target| target.wait(ask(target))));
        tokio::pin!(all);
        loop {
            tokio::select! {
                _ = &mut all => return self.check_any_left(),
                () = tokio::time::sleep(TICK) => self.leave_slow_behind(),
            }
        }
    }

    fn check_any_left(&self) -> Result<(), TransferError> {
        if self.all.iter().any(|target| target.lock().failed.is_none()) {
            return Ok(());
        }
        let failures = self
            .all
            .iter()
            .filter_map(|target| target.lock().failed.take());
        Err(TransferError::of_stores(failures.collect()))
    }

    /// Leaves those behind that keep the others waiting. At least one is left, which they have kept.
    fn leave_slow_behind(&self) {
        let waited: Vec<_> = self.all.iter().map(Target::waited).collect();
        let Some(bound) = bound(waited.iter().flatten().copied(), self.patience) else {
            return;
        };
        let slow = self.all.iter().zip(waited);
        let slow = slow.filter_map(|(target, waited)| Some((target, waited?)));
        for (target, waited) in slow.filter(|(_, waited)| *waited > bound) {
            let seconds = waited.as_secs();
            target.leave_behind(TransferError::KeptWaiting { seconds });
        }
    }

    /// Notes who has the whole `content` already.
    pub(super) fn note_had_all(&self, content: &[ChunkId]) {
        for target in &self.all {
            let mut state = target.lock();
            state.had_all = content.iter().all(|id| state.present.contains(id));
        }
    }

    pub(super) fn any(&self, is_so: impl Fn(&Target) -> bool) -> bool {
        self.all.iter().any(is_so)
    }

    /// How many lack a chunk.
    pub(super) fn lacking(&self, id: ChunkId) -> usize {
        self.all.iter().filter(|target| target.lacks(id)).count()
    }

    /// What each answered to the offer, or why it was left behind, in their order.
    pub(super) fn take_results(&self) -> Vec<Result<OfferAnswer, TransferError>> {
        let result = |target: &Target| {
            let mut state = target.lock();
            match (state.failed.take(), state.answer) {
                (None, Some(answer)) => Ok(answer),
                (failed, _) => Err(failed.unwrap_or(TransferError::Stopped)),
            }
        };
        self.all.iter().map(result).collect()
    }
}

/// For how long each of several that were `waited` for may have been: [`TIMES`] times as long as the fastest, and `patience` more.
fn bound(waited: impl Iterator<Item = Duration>, patience: Duration) -> Option<Duration> {
    Some(waited.min()? * TIMES + patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_much_slower_than_another_keeps_it_waiting() {
        for (waited, slow) in [
            (&[][..], 0),
            // One alone, and several that are equally slow.
            (&[100_000], 0),
            (&[100_000, 99_000, 100_000], 0),
            // A wire and a wireless link, for a quarter of an hour.
            (&[90, 900], 0),
            (&[0, 60], 0),
            (&[0, 61], 1),
            // Several that are slow together, one more than another.
            (&[61, 0, 600, 6_000], 3),
        ] {
            let each = waited.iter().copied().map(Duration::from_secs);
            let bound = bound(each.clone(), Duration::from_secs(60));
            let is_slow = |one: &Duration| bound.is_some_and(|bound| *one > bound);
            assert_eq!(each.filter(is_slow).count(), slow, "{waited:?}");
        }
    }
}
