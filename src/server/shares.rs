//! Counted resources that many share: so much in all, so much for each.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Hands out shares of something scarce.
#[derive(Clone)]
pub(super) struct Shares<K> {
    book: Arc<Book<K>>,
    total: usize,
    each: usize,
}

struct Book<K> {
    ledger: Mutex<Ledger<K>>,
    freed: Notify,
    /// Somebody wanted to exceed its limit while another does.
    wanted: Notify,
}

struct Ledger<K> {
    used: usize,
    by_key: HashMap<K, usize>,
}

/// Why there is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// Everybody together has it all.
    Total,
    /// The one who asks has enough.
    Each,
}

/// A share that goes back when it is dropped.
pub(super) struct Share<K: Hash + Eq> {
    book: Arc<Book<K>>,
    key: K,
    amount: usize,
    ends: Option<DropGuard>,
}

impl<K: Hash + Eq + Clone> Shares<K> {
    /// `total` in all, `each` for one key.
    pub(super) fn new(total: usize, each: usize) -> Self {
        let ledger = Ledger {
            used: 0,
            by_key: HashMap::new(),
        };
        Self {
            book: Arc::new(Book {
                ledger: Mutex::new(ledger),
                freed: Notify::new(),
                wanted: Notify::new(),
            }),
            total,
            each,
        }
    }

    /// Takes `amount` for `key`, or fails at once, so that a queue cannot grow. A key that holds nothing may exceed its own
    /// limit, within the total and while no other key does; and if no key holds anything, one may exceed the total.
    pub(super) fn take(&self, key: K, amount: usize) -> Result<Share<K>, Shortage> {
        let mut ledger = self.book.lock();
        let mine = ledger.by_key.get(&key).copied().unwrap_or(0);
        let fits = |used: usize, limit: usize| used == 0 || used.saturating_add(amount) <= limit;
        if !fits(mine, self.each) {
            return Err(Shortage::Each);
        }
        let exceeds = mine.saturating_add(amount) > self.each;
        if exceeds && ledger.by_key.values().any(|used| *used > self.each) {
            self.book.wanted.notify_waiters();
            return Err(Shortage::Total);
        }
        if !fits(ledger.used, self.total) {
            return Err(Shortage::Total);
        }
        ledger.used = ledger.used.saturating_add(amount);
        ledger
            .by_key
            .insert(key.clone(), mine.saturating_add(amount));
        Ok(Share {
            book: self.book.clone(),
            key,
            amount,
            ends: None,
        })
    }

    /// The same, but waits up to `patience` for others to give back what they hold. The caller bounds how many wait.
    pub(super) async fn take_within(
        &self,
        patience: Duration,
        key: K,
        amount: usize,
    ) -> Result<Share<K>, Shortage> {
        let deadline = Instant::now() + patience;
        loop {
            // Listens before it looks, so that nothing that is given back in between is missed.
            let mut freed = std::pin::pin!(self.book.freed.notified());
            freed.as_mut().enable();
            let taken = self.take(key.clone(), amount);
            if taken.is_ok() || timeout_at(deadline, freed).await.is_err() {
                return taken;
            }
        }
    }
}

impl<K: Hash + Eq + Send + Sync + 'static> Share<K> {
    /// Ready when the share has exceeded the limit of its key for `time` and another wants to; never if it ends before. The
    /// task must be let run.
    pub(super) fn outstays(&mut self, time: Duration) -> impl Future<Output = bool> + use<K> {
        let (book, ends) = (self.book.clone(), CancellationToken::new());
        self.ends = Some(ends.clone().drop_guard());
        async move {
            let wanted = async {
                tokio::time::sleep(time).await;
                book.wanted.notified().await;
            };
            ends.run_until_cancelled(wanted).await.is_some()
        }
    }
}

impl<K: Hash + Eq> Share<K> {
    /// Gives back what is more than `amount`.
    pub(super) fn shrink_to(&mut self, amount: usize) {
        let back = self.amount.saturating_sub(amount);
        self.amount -= back;
        let mut ledger = self.book.lock();
        ledger.used -= back;
        if let Some(mine) = ledger.by_key.get_mut(&self.key) {
            *mine -= back;
            if *mine == 0 {
                ledger.by_key.remove(&self.key);
            }
        }
        drop(ledger);
        self.book.freed.notify_waiters();
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

impl<K> Book<K> {
    fn lock(&self) -> MutexGuard<'_, Ledger<K>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_end_for_each_and_for_all_and_come_back() {
        let shares = Shares::new(3, 2);
        let a1 = shares.take('a', 1).ok();
        let a2 = shares.take('a', 1).ok();
        assert!(a1.is_some() && a2.is_some());
        assert_eq!(shares.take('a', 1).err(), Some(Shortage::Each));
        let _b = shares.take('b', 1).ok();
        assert_eq!(shares.take('c', 1).err(), Some(Shortage::Total));
        drop(a1);
        assert!(shares.take('c', 1).is_ok());
    }

    #[test]
    fn one_body_always_fits_and_a_second_does_not() {
        let shares = Shares::new(128, 32);
        let big = shares.take('a', 64).ok();
        assert!(big.is_some());
        assert_eq!(shares.take('a', 1).err(), Some(Shortage::Each));
        drop(big);
        assert!(shares.take('a', 200).is_ok(), "nobody has anything");
    }

    #[test]
    fn one_key_at_a_time_exceeds_its_limit_and_leaves_room_for_the_others() {
        let shares = Shares::new(128, 32);
        let big = shares.take('a', 65).ok();
        assert_eq!(shares.take('b', 60).err(), Some(Shortage::Total));
        let others = ['b', 'c'].map(|key| shares.take(key, 31).ok());
        assert!(others.iter().all(Option::is_some));
        drop((big, others));
        assert!(shares.take('b', 60).is_ok());
    }

    #[tokio::test]
    async fn who_exceeds_its_limit_makes_way_when_another_wants_to() {
        let shares = Shares::new(128, 32);
        let mut big = shares.take('a', 65).ok().unwrap();
        let outstays = tokio::spawn(big.outstays(Duration::ZERO));
        let ends = async {
            while !outstays.is_finished() {
                assert!(shares.take('b', 60).is_err());
                tokio::task::yield_now().await;
            }
            outstays.await.unwrap()
        };
        assert!(ends.await);
        let gone = big.outstays(Duration::ZERO);
        drop(big);
        assert!(!gone.await, "it has ended");
    }

    #[test]
    fn what_is_not_needed_goes_back_early() {
        let shares = Shares::new(10, 10);
        let mut first = shares.take('a', 10).ok().unwrap();
        first.shrink_to(4);
        first.shrink_to(9);
        let second = shares.take('b', 6).ok();
        assert!(second.is_some());
        assert!(shares.take('c', 1).is_err());
        drop((first, second));
        assert_eq!(shares.book.lock().used, 0);
    }

    #[tokio::test]
    async fn a_share_is_waited_for_as_long_as_one_is_patient() {
        let shares = Shares::new(10, 10);
        let first = shares.take('a', 10).ok();
        let impatient = shares.take_within(Duration::ZERO, 'b', 1).await;
        assert_eq!(impatient.err(), Some(Shortage::Total));
        let second = shares.take_within(Duration::from_secs(3600), 'b', 1);
        let give_back = async { drop(first) };
        assert!(futures::future::join(second, give_back).await.0.is_ok());
    }

    #[test]
    fn keys_are_forgotten() {
        let shares = Shares::new(10, 10);
        drop(shares.take('a', 0));
        drop(shares.take('b', 3));
        assert!(shares.book.lock().by_key.is_empty());
    }
}
