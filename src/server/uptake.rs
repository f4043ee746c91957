//! How fast peers take their responses: a response waits in our memory until its peer has taken it, so a peer must take them.
//!
//! While one of its connections waits to be written to, a peer must take the least rate on average, counted over all its
//! connections: four downloads that share one slow line pass. What a peer takes earns it time, and so does having taken
//! everything; when all of its time is used up, the connections that wait are cut. So is a single connection that takes
//! nothing for as long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::id::{PeerId, Short as _};

/// The accounts of all peers that are connected.
pub(super) struct Uptake {
    patience: Duration,
    rate: u64,
    accounts: Mutex<HashMap<PeerId, Arc<Mutex<Account>>>>,
}

/// One connection, as it is counted for its peer. It counts no more when it is dropped.
pub(super) struct Taker {
    account: Arc<Mutex<Account>>,
    number: u64,
    cut: CancellationToken,
}

/// What one peer may still be slow.
struct Account {
    patience: Duration,
    /// Bytes a second.
    rate: u64,
    left: Duration,
    /// Nothing was left at some time since the last look: what is earned later does not undo it.
    is_spent: bool,
    counted: Instant,
    last_number: u64,
    waiting: HashMap<u64, Waiting>,
}

/// A connection that has bytes which its peer does not take.
struct Waiting {
    since: Instant,
    cut: CancellationToken,
}

impl Uptake {
    /// Nothing may wait for longer than `patience`, nor with less than `rate` bytes a second after it.
    pub(super) fn new(patience: Duration, rate: u64) -> Self {
        Self {
            patience,
            rate,
            accounts: Mutex::default(),
        }
    }

    /// Counts a connection of `peer` that `cut` closes.
    pub(super) fn enter(&self, peer: PeerId, cut: CancellationToken) -> Taker {
        let mut accounts = lock(&self.accounts);
        let fresh = || Arc::new(Mutex::new(Account::new(self.patience, self.rate)));
        let account = accounts.entry(peer).or_insert_with(fresh).clone();
        drop(accounts);
        let number = {
            let mut account = lock(&account);
            account.last_number += 1;
            account.last_number
        };
        Taker {
            account,
            number,
            cut,
        }
    }

    /// Cuts the connections of those that are too slow, and forgets the peers that are not connected any more.
    pub(super) fn cut_slow(&self) {
        let now = Instant::now();
        lock(&self.accounts).retain(|peer, account| {
            let cut = lock(account).cut_slow(now);
            if cut > 0 {
                let peer = peer.short();
                tracing::info!(peer, connections = cut, "responses were taken too slowly");
            }
            Arc::strong_count(account) > 1
        });
    }
}

impl Taker {
    /// The peer does not take what there is for it.
    pub(super) fn waits(&self) {
        let now = Instant::now();
        lock(&self.account).wait(now, self.number, &self.cut);
    }

    /// The peer took so many bytes.
    pub(super) fn took(&self, bytes: usize) {
        lock(&self.account).took(Instant::now(), self.number, bytes);
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.took(0);
    }
}

impl Account {
    fn new(patience: Duration, rate: u64) -> Self {
        Self {
            patience,
            rate: rate.max(1),
            left: patience,
            is_spent: false,
            counted: Instant::now(),
            last_number: 0,
            waiting: HashMap::new(),
        }
    }

    fn count(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        self.counted = self.counted.max(now);
        if self.waiting.is_empty() {
            self.left = self.patience.min(self.left + passed);
        } else {
            self.left = self.left.saturating_sub(passed);
            self.is_spent |= self.left.is_zero();
        }
    }

    fn wait(&mut self, now: Instant, number: u64, cut: &CancellationToken) {
        self.count(now);
        let new = || Waiting {
            since: now,
            cut: cut.clone(),
        };
        self.waiting.entry(number).or_insert_with(new);
    }

    fn took(&mut self, now: Instant, number: u64, bytes: usize) {
        self.count(now);
        self.waiting.remove(&number);
        let earned = Duration::from_micros((bytes as u64).saturating_mul(1_000_000) / self.rate);
        self.left = self.patience.min(self.left + earned);
    }

    /// Cuts what is too slow, and gives how many connections these were.
    fn cut_slow(&mut self, now: Instant) -> usize {
        self.count(now);
        let all = std::mem::take(&mut self.is_spent);
        if all {
            // What does not wait now is not to blame.
            self.left = self.patience;
        }
        let patience = self.patience;
        let is_slow = |w: &Waiting| all || now.saturating_duration_since(w.since) >= patience;
        let slow = self.waiting.extract_if(|_, waiting| is_slow(waiting));
        slow.map(|(_, waiting)| waiting.cut.cancel()).count()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    const RATE: u64 = 16 << 10;

    /// So many connections of one peer that take so many bytes each second, for so many seconds: how many are cut, and when.
    fn cut_in(seconds: u32, connections: u64, each_second: &[usize]) -> Option<(u32, usize)> {
        let mut account = Account::new(PATIENCE, RATE);
        let start = account.counted;
        let cut = CancellationToken::new();
        for second in 0..seconds {
            let now = start + Duration::from_secs(1) * second;
            for number in 0..connections {
                let taken = each_second[number as usize % each_second.len()];
                if taken > 0 {
                    account.took(now, number, taken);
                }
                account.wait(now, number, &cut);
            }
            match account.cut_slow(now) {
                0 => {}
                cut => return Some((second, cut)),
            }
        }
        None
    }

    #[test]
    fn the_least_rate_is_counted_over_all_connections_of_a_peer() {
        let rate = RATE as usize;
        assert_eq!(cut_in(3600, 4, &[rate / 4]), None, "one slow line");
        assert_eq!(cut_in(3600, 1, &[rate]), None);
        assert_eq!(cut_in(3600, 1, &[rate / 4]), Some((40, 1)), "too slow");
        assert_eq!(cut_in(3600, 4, &[rate / 8]), Some((59, 4)), "all of them");
        assert_eq!(cut_in(3600, 9, &[0]), Some((30, 9)), "nothing is taken");
        let one_in_two = cut_in(3600, 2, &[rate, 0]);
        assert_eq!(one_in_two, Some((30, 1)), "this one takes nothing");
    }

    #[test]
    fn who_has_taken_everything_owes_nothing() {
        let mut account = Account::new(PATIENCE, RATE);
        let start = account.counted;
        let cut = CancellationToken::new();
        account.wait(start, 0, &cut);
        account.took(start + PATIENCE - Duration::from_secs(1), 0, 1);
        let later = start + 3 * PATIENCE;
        account.wait(later, 0, &cut);
        assert_eq!(account.cut_slow(later + PATIENCE / 2), 0);
        assert_eq!(account.cut_slow(later + PATIENCE), 1);
        assert!(cut.is_cancelled());
    }
}
