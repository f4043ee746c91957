//! Who has something in work: one at a time, the others wait for their turn.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

/// A lock for each key that somebody has or waits for.
pub(super) struct Turns<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<()>>>>);

/// A turn, which ends when it is dropped.
pub(super) struct Turn<'a, K: Eq + Hash> {
    turns: &'a Turns<K>,
    key: K,
    held: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Turns<K> {
    /// Waits until nobody else has `key`.
    pub(super) async fn take(&self, key: K) -> Turn<'_, K> {
        let mut turn = Turn {
            turns: self,
            key,
            held: None,
        };
        let lock = self.lock().entry(key).or_default().clone();
        turn.held = Some(lock.lock_owned().await);
        turn
    }
}

impl<K> Turns<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        self.held = None;
        // Others who wait for it have it too.
        let is_last = turns.get(&self.key).map(Arc::strong_count) == Some(1);
        if is_last {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_has_a_key_at_a_time_and_nothing_is_left_of_it() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let _other = turns.take(2).await;
        assert!(turns.take(1).now_or_never().is_none());
        let mut second = Box::pin(turns.take(1));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(turns.lock().len(), 2);
        drop(second.await);
        assert_eq!(turns.lock().len(), 1, "that of the other key");
    }
}
