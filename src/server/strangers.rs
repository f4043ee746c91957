//! Connections in handshake, which have not yet shown who they are: so many from one host, so many in all.
//!
//! Whoever refused the newest when all places are taken would let a few silent hosts keep every member out. So the oldest
//! makes way, of the host that has the most: a handshake takes a moment, and saying nothing takes as long as it may.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::sabotage;

/// All of them.
pub(super) struct Strangers {
    crowd: Arc<Mutex<Crowd>>,
    total: usize,
    each: usize,
}

#[derive(Default)]
struct Crowd {
    last: u64,
    count: usize,
    by_host: HashMap<IpAddr, VecDeque<(u64, CancellationToken)>>,
}

/// One of them, until it is dropped.
pub(super) struct Stranger {
    crowd: Arc<Mutex<Crowd>>,
    host: IpAddr,
    number: u64,
    /// Told when it has to make way.
    pub(super) leave: CancellationToken,
}

impl Strangers {
    /// `total` in all, `each` of one host.
    pub(super) fn new(total: usize, each: usize) -> Self {
        Self {
            crowd: Arc::default(),
            total,
            each,
        }
    }

    /// One more of `host`; `None` if it has as many as it may. If there are too many in all, one makes way.
    pub(super) fn enter(&self, host: IpAddr) -> Option<Stranger> {
        let mut crowd = lock(&self.crowd);
        if crowd.by_host.get(&host).map_or(0, VecDeque::len) >= self.each {
            return None;
        }
        if crowd.count >= self.total {
            if sabotage::without("making-way") {
                return None;
            }
            crowd.send_one_away();
        }
        crowd.last += 1;
        crowd.count += 1;
        let (number, leave) = (crowd.last, CancellationToken::new());
        let of_host = crowd.by_host.entry(host).or_default();
        of_host.push_back((number, leave.clone()));
        Some(Stranger {
            crowd: self.crowd.clone(),
            host,
            number,
            leave,
        })
    }
}

impl Crowd {
    fn send_one_away(&mut self) {
        let oldest = |of_host: &VecDeque<(u64, _)>| of_host.front().map(|(number, _)| *number);
        let hosts = self.by_host.iter();
        let fullest = hosts.max_by_key(|(_, of_host)| (of_host.len(), Reverse(oldest(of_host))));
        let Some(host) = fullest.map(|(host, _)| *host) else {
            return;
        };
        self.remove(host, 0);
    }

    /// Takes out the one at `place` among those of `host`, and tells it.
    fn remove(&mut self, host: IpAddr, place: usize) {
        let Some(of_host) = self.by_host.get_mut(&host) else {
            return;
        };
        if let Some((_, leave)) = of_host.remove(place) {
            leave.cancel();
            self.count -= 1;
        }
        if of_host.is_empty() {
            self.by_host.remove(&host);
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut crowd = lock(&self.crowd);
        let of_host = crowd.by_host.get(&self.host);
        let place = of_host.and_then(|all| all.iter().position(|(n, _)| *n == self.number));
        if let Some(place) = place {
            crowd.remove(self.host, place);
        }
    }
}

fn lock(crowd: &Mutex<Crowd>) -> MutexGuard<'_, Crowd> {
    crowd.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    #[test]
    fn the_oldest_of_the_fullest_host_makes_way() {
        let strangers = Strangers::new(4, 3);
        let early = strangers.enter(host(1)).unwrap();
        let many = [2; 3].map(|number| strangers.enter(host(number)).unwrap());
        assert!(strangers.enter(host(2)).is_none(), "as many as it may");
        let late = strangers.enter(host(3)).unwrap();
        let left = many.each_ref().map(|one| one.leave.is_cancelled());
        assert_eq!(left, [true, false, false]);
        assert!(!early.leave.is_cancelled() && !late.leave.is_cancelled());
    }

    #[test]
    fn among_equals_the_oldest_makes_way() {
        let strangers = Strangers::new(2, 1);
        let all = [1, 2, 3].map(|number| strangers.enter(host(number)).unwrap());
        let left = all.each_ref().map(|one| one.leave.is_cancelled());
        assert_eq!(left, [true, false, false]);
    }

    #[test]
    fn places_come_back() {
        let strangers = Strangers::new(1, 1);
        for number in [1, 1, 2] {
            let one = strangers.enter(host(number)).unwrap();
            assert!(!one.leave.is_cancelled());
        }
        let gone = strangers.enter(host(1)).unwrap();
        let _there = strangers.enter(host(2)).unwrap();
        drop(gone);
        let crowd = lock(&strangers.crowd);
        assert_eq!((crowd.count, crowd.by_host.len()), (1, 1));
    }
}
