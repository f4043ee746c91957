//! One thing that is asked of a peer, with every try of it: how long it may take in all, and how long its answer was waited for.
//!
//! The time in all binds a peer that answers a byte now and then, or asks again and again to come back later. Bytes on their way
//! put its end off, as the slowest line needs it: so a long list over a thin line comes through. Waiting for a turn on the own line
//! counts neither against the peer nor against its time.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::time_for;
use crate::store::{NetworkCause, Remote, StoreError};

/// How long the answers of a peer were waited for in all. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Waited(Arc<Mutex<Meter>>);

#[derive(Debug, Default)]
struct Meter {
    /// Questions that are not answered.
    open: usize,
    /// Since when there is one.
    since: Option<Instant>,
    /// Before that.
    total: Duration,
}

impl Waited {
    pub(super) fn in_all(&self) -> Duration {
        let meter = lock(&self.0);
        let now = meter.since.map(|since| since.elapsed());
        meter.total + now.unwrap_or_default()
    }

    fn begin(&self) {
        let mut meter = lock(&self.0);
        meter.open += 1;
        meter.since.get_or_insert_with(Instant::now);
    }

    fn end(&self) {
        let mut meter = lock(&self.0);
        meter.open -= 1;
        if meter.open == 0
            && let Some(since) = meter.since.take()
        {
            meter.total += since.elapsed();
        }
    }
}

/// How long the answer to a question may take, with what is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// So long in all, and what its bytes need on the way.
    InAll(Duration),
    /// Each try has its own bounds, and there are only so many: for chunks, which a thin line brings slowly.
    ByTries,
}

/// One thing that is asked. Clones share it; its answer is waited for until the last is dropped.
#[derive(Debug, Clone)]
pub(super) struct Question(Arc<Asked>);

#[derive(Debug)]
struct Asked {
    waited: Waited,
    bound: Bound,
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    began: Instant,
    /// For what this machine waited for itself.
    excused: Duration,
    /// For the bytes of the try that is made now.
    moving: Duration,
    /// Since when this machine waits for itself, if it does.
    aside: Option<Instant>,
}

impl Question {
    pub(super) fn begin(waited: &Waited, bound: Bound) -> Self {
        waited.begin();
        let time = Time {
            began: Instant::now(),
            excused: Duration::ZERO,
            moving: Duration::ZERO,
            aside: None,
        };
        Self(Arc::new(Asked {
            waited: waited.clone(),
            bound,
            time: Mutex::new(time),
        }))
    }

    /// Ready when its time is over. Never for one that is bound otherwise.
    pub(super) async fn over(&self) {
        while let Some(ends) = self.ends() {
            if ends <= Instant::now() {
                return;
            }
            sleep_until(ends).await;
        }
        std::future::pending().await
    }

    /// Whether its time is not over after `pause`.
    pub(super) fn lasts(&self, pause: Duration) -> bool {
        self.ends().is_none_or(|ends| Instant::now() + pause < ends)
    }

    fn ends(&self) -> Option<Instant> {
        let Bound::InAll(patience) = self.0.bound else {
            return None;
        };
        let time = lock(&self.0.time);
        let aside = time.aside.map(|since| since.elapsed()).unwrap_or_default();
        Some(time.began + patience + time.excused + aside + time.moving)
    }

    /// Its time begins anew: the peer was waited for otherwise.
    pub(super) fn begin_anew(&self) {
        lock(&self.0.time).began = Instant::now();
    }

    /// It is asked, again or for the first time, with a body that may take `moving`.
    pub(super) fn ask(&self, moving: Duration) {
        lock(&self.0.time).moving = moving;
    }

    /// So many bytes of its answer came, while as many answers as `together` came over the same line.
    pub(super) fn came(&self, bytes: usize, together: usize) {
        let together = u32::try_from(together).unwrap_or(u32::MAX);
        lock(&self.0.time).moving += time_for(bytes).saturating_mul(together);
    }

    /// Waits for something of this machine, which does not count.
    pub(super) async fn aside<T>(&self, own: impl Future<Output = T>) -> T {
        let _aside = Aside::begin(&self.0);
        own.await
    }

    /// That it took too long.
    pub(super) fn unanswered(&self, remote: Remote) -> StoreError {
        let seconds = lock(&self.0.time).began.elapsed().as_secs();
        let cause = NetworkCause::Unanswered { seconds };
        StoreError::Network { remote, cause }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.waited.end();
    }
}

/// This machine waits for itself.
struct Aside<'a>(&'a Asked);

impl<'a> Aside<'a> {
    fn begin(asked: &'a Asked) -> Self {
        asked.waited.end();
        lock(&asked.time).aside = Some(Instant::now());
        Self(asked)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let mut time = lock(&self.0.time);
        if let Some(since) = time.aside.take() {
            time.excused += since.elapsed();
        }
        self.0.waited.begin();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::wire::MIN_BODY_RATE;

    const SECOND: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_millis(20);

    #[test]
    fn only_bytes_that_came_put_the_end_off_and_only_in_their_try() {
        let question = Question::begin(&Waited::default(), Bound::InAll(60 * SECOND));
        let ends = question.ends().unwrap();
        question.ask(3 * SECOND);
        question.came(2 * MIN_BODY_RATE as usize, 5);
        assert_eq!(question.ends().unwrap(), ends + 13 * SECOND);
        assert!(question.lasts(70 * SECOND) && !question.lasts(74 * SECOND));
        question.ask(Duration::ZERO);
        assert_eq!(question.ends().unwrap(), ends);
    }

    #[tokio::test]
    async fn what_this_machine_waits_for_itself_counts_for_nothing() {
        let (waited, began) = (Waited::default(), Instant::now());
        let question = Question::begin(&waited, Bound::InAll(MOMENT));
        let own = question.aside(sleep(10 * MOMENT));
        tokio::select! {
            () = question.over() => panic!("it was excused"),
            () = own => {}
        }
        question.over().await;
        drop(question);
        assert!(began.elapsed() >= waited.in_all() + 10 * MOMENT);
        assert!(waited.in_all() >= MOMENT);
    }

    #[tokio::test]
    async fn several_questions_at_once_are_waited_for_once() {
        let (waited, began) = (Waited::default(), Instant::now());
        let both = [1, 2].map(|_| Question::begin(&waited, Bound::ByTries));
        sleep(MOMENT).await;
        assert!(both.iter().all(|question| question.lasts(60 * SECOND)));
        drop(both);
        let in_all = waited.in_all();
        assert!(in_all >= MOMENT && in_all <= began.elapsed());
        sleep(MOMENT).await;
        assert_eq!(waited.in_all(), in_all);
    }
}
