//! Visitors that have not shown yet that they know the code. They have a short time, and wait side by side.
//!
//! When all places are taken, the oldest makes way, of the address that has the most: one that is silent keeps nobody out.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::PairError;

/// All that wait at once.
pub(super) const MAX_WAITING: usize = 32;
/// How long one may take from its connection to its tag. A machine computes that, and no person types meanwhile.
const UP_TO_TAG: Duration = Duration::from_secs(5);

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiting(Arc<Mutex<Crowd>>);

#[derive(Default)]
struct Crowd {
    last: u64,
    /// By number, so the oldest is the least.
    all: HashMap<u64, (IpAddr, CancellationToken)>,
}

/// The place of one of them, until it is dropped.
pub(super) struct Place {
    waiting: Arc<Mutex<Crowd>>,
    number: u64,
    leave: CancellationToken,
    ends: Instant,
}

impl Waiting {
    /// One more of the address `from`, which waits for `step` at most.
    pub(super) fn enter(&self, from: IpAddr, step: Duration) -> Place {
        let mut crowd = lock(&self.0);
        if crowd.all.len() >= MAX_WAITING {
            crowd.send_one_away();
        }
        crowd.last += 1;
        let (number, leave) = (crowd.last, CancellationToken::new());
        crowd.all.insert(number, (from, leave.clone()));
        Place {
            waiting: self.0.clone(),
            number,
            leave,
            ends: Instant::now() + UP_TO_TAG.min(step),
        }
    }
}

impl Crowd {
    fn send_one_away(&mut self) {
        let mut of_address = HashMap::<IpAddr, usize>::new();
        for (address, _) in self.all.values() {
            *of_address.entry(*address).or_default() += 1;
        }
        let rank = |(number, (address, _)): &(&u64, &(IpAddr, _))| {
            (of_address.get(address).copied(), Reverse(**number))
        };
        let oldest = self.all.iter().max_by_key(rank);
        if let Some(number) = oldest.map(|(number, _)| *number)
            && let Some((_, leave)) = self.all.remove(&number)
        {
            leave.cancel();
        }
    }
}

impl Place {
    /// What the visitor does while it waits.
    pub(super) async fn bound<T>(
        &self,
        doing: impl Future<Output = Result<T, PairError>>,
    ) -> Result<T, PairError> {
        tokio::select! {
            biased;
            () = self.leave.cancelled() => Err(PairError::MadeWay),
            done = timeout_at(self.ends, doing) => done.map_err(|_| PairError::Silent)?,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.waiting).all.remove(&self.number);
    }
}

fn lock(crowd: &Mutex<Crowd>) -> MutexGuard<'_, Crowd> {
    crowd.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_makes_way_for_the_others() {
        let waiting = Waiting::default();
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let enter = |n| waiting.enter(address(n), UP_TO_TAG);
        let single = enter(1);
        let mut many: Vec<_> = (1..MAX_WAITING).map(|_| enter(2)).collect();
        let is_away = |place: &Place| place.leave.is_cancelled();
        let (one, other) = (enter(3), enter(2));
        assert_eq!(many.iter().filter(|place| is_away(place)).count(), 2);
        assert!(is_away(&many[0]) && is_away(&many[1]), "the oldest");
        assert!(!is_away(&single) && !is_away(&one) && !is_away(&other));
        // Who has left needs no place.
        many.clear();
        let more: Vec<_> = (0..MAX_WAITING - 3).map(|_| enter(4)).collect();
        assert!(!more.iter().any(is_away));
    }
}
