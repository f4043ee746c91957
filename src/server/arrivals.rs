//! What is on its way here, for the log, the history and the owner: since when, and how much came.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    problem::{Answer, Failure},
    text::per_second,
};
use crate::{
    id::{PeerId, TransferId},
    wire::{Arriving, Code},
};

/// Transfers that are remembered; for a new one the one that moved least recently is forgotten, of those that were not cancelled if
/// there is one.
const MAX_ARRIVALS: usize = 1_024;

/// The transfers that members are bringing. Each is known by who brings it: nobody else can count for it.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<HashMap<Key, Arrival>>);

type Key = (PeerId, TransferId);

/// What came of a transfer since it was offered, or since its first chunk.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Who brings it.
    name: String,
    began: Instant,
    moved: Instant,
    offered: bool,
    /// The bytes that it is to have, as far as that was said.
    of: Option<u64>,
    /// Chunks that were new.
    pub(super) chunks: u64,
    /// Their bytes.
    bytes: u64,
    /// Whether the owner wants no more of it.
    cancelled: bool,
}

/// A transfer of which no more came.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Who brought it.
    pub peer: PeerId,
    /// The name in its certificate.
    pub name: String,
    /// The transfer.
    pub transfer: TransferId,
    /// The bytes that came, sealed.
    pub bytes: u64,
    /// The bytes of its content, if they were announced.
    pub of: Option<u64>,
    /// Whether the owner wanted no more of it.
    pub by_owner: bool,
    /// Entries about its bringer that the history does not have, since the last one.
    pub left_out: u64,
}

impl Arrivals {
    /// It was announced. A second time means that it is being resumed, and counts from now on.
    pub(super) fn offered(&self, by: PeerId, name: &str, transfer: TransferId, of: Option<u64>) {
        self.touch((by, transfer), name, |arrival, now| {
            if arrival.offered && !arrival.cancelled {
                *arrival = Arrival::new(name, now);
            }
            (arrival.offered, arrival.of) = (true, of);
        });
    }

    /// A chunk of it came, with so many bytes that were not here.
    pub(super) fn came(&self, by: PeerId, name: &str, transfer: TransferId, new: Option<u64>) {
        self.touch((by, transfer), name, |arrival, _| {
            arrival.chunks += u64::from(new.is_some());
            arrival.bytes = arrival.bytes.saturating_add(new.unwrap_or(0));
        });
    }

    /// Those that move, the latest to move first.
    pub(super) fn all(&self) -> Vec<Arriving> {
        let arrivals = self.lock();
        let all = arrivals.iter().filter(|(_, arrival)| !arrival.cancelled);
        let mut all: Vec<_> = all
            .map(|((by, transfer), arrival)| Arriving {
                peer_id: *by,
                name: arrival.name.clone(),
                transfer: *transfer,
                bytes: arrival.bytes,
                of: arrival.of,
                seconds: arrival.seconds(),
                idle_seconds: arrival.moved.elapsed().as_millis() as f64 / 1e3,
            })
            .collect();
        drop(arrivals);
        all.sort_by(|a, b| a.idle_seconds.total_cmp(&b.idle_seconds));
        all
    }

    /// No more of a transfer is wanted. Returns what came of it, from each who brings it.
    pub(super) fn cancel(&self, transfer: TransferId) -> Vec<Cut> {
        let mut arrivals = self.lock();
        let of_it = arrivals.iter_mut().filter(|((_, of), _)| *of == transfer);
        let cancelled = of_it.filter(|(_, arrival)| !arrival.cancelled);
        let cancelled = cancelled.map(|((by, _), arrival)| {
            arrival.cancelled = true;
            arrival.cut(*by, transfer)
        });
        cancelled.collect()
    }

    /// Refuses more of a transfer that the owner has cancelled since this peer was started.
    pub(super) fn check_wanted(&self, by: PeerId, transfer: TransferId) -> Answer<()> {
        let arrivals = self.lock();
        match arrivals.get(&(by, transfer)) {
            Some(arrival) if arrival.cancelled => Err(Failure::new(
                Code::Cancelled,
                "the owner of this peer wants no more of this transfer; ask the owner",
            )),
            _ => Ok(()),
        }
    }

    /// It is complete: what came, if that was counted.
    pub(super) fn complete(&self, by: PeerId, transfer: TransferId) -> Option<Arrival> {
        self.lock().remove(&(by, transfer))
    }

    /// It is not taken: the bytes that came, and those that it was to have. What was cancelled stays so.
    pub(super) fn forget(&self, by: PeerId, transfer: TransferId) -> (u64, Option<u64>) {
        let mut arrivals = self.lock();
        match arrivals.entry((by, transfer)) {
            Entry::Occupied(entry) => {
                let came = (entry.get().bytes, entry.get().of);
                if !entry.get().cancelled {
                    entry.remove();
                }
                came
            }
            Entry::Vacant(_) => (0, None),
        }
    }

    /// Those that `is_over` says of their peer and how long nothing came. They are forgotten.
    pub(super) fn take_cut(&self, is_over: impl Fn(&PeerId, Duration) -> bool) -> Vec<Cut> {
        let mut arrivals = self.lock();
        let cut = arrivals.extract_if(|(by, _), arrival| {
            !arrival.cancelled && is_over(by, arrival.moved.elapsed())
        });
        let cut = cut.map(|((peer, transfer), arrival)| arrival.cut(peer, transfer));
        cut.collect()
    }

    fn touch(&self, key: Key, name: &str, note: impl FnOnce(&mut Arrival, Instant)) {
        let now = Instant::now();
        let mut arrivals = self.lock();
        if arrivals.len() >= MAX_ARRIVALS && !arrivals.contains_key(&key) {
            // Whoever brings many others must not make us forget what the owner has cancelled.
            let oldest = arrivals
                .iter()
                .min_by_key(|(_, arrival)| (arrival.cancelled, arrival.moved));
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                arrivals.remove(&oldest);
            }
        }
        let arrival = match arrivals.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Arrival::new(name, now)),
        };
        arrival.moved = now;
        note(arrival, now);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            of: None,
            began: now,
            moved: now,
            offered: false,
            chunks: 0,
            bytes: 0,
            cancelled: false,
        }
    }

    fn cut(&self, peer: PeerId, transfer: TransferId) -> Cut {
        Cut {
            peer,
            name: self.name.clone(),
            transfer,
            bytes: self.bytes,
            of: self.of,
            by_owner: self.cancelled,
            left_out: 0,
        }
    }

    /// How long it took until now, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        self.elapsed().as_millis() as f64 / 1e3
    }

    /// How fast its new bytes came; `None` if none had to.
    pub(super) fn rate(&self) -> Option<String> {
        (self.bytes > 0).then(|| per_second(self.bytes, self.elapsed()))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(number: usize) -> TransferId {
        TransferId::from_bytes((number as u128).to_be_bytes())
    }

    #[test]
    fn a_resumed_transfer_counts_what_came_since_it_was_resumed() {
        let (arrivals, by, id) = (Arrivals::default(), PeerId::of(b"a"), transfer(1));
        arrivals.came(by, "a", id, Some(100)); // its table, before the offer
        arrivals.offered(by, "a", id, None);
        arrivals.came(by, "a", id, Some(100));
        arrivals.came(by, "a", id, None);
        assert_eq!(arrivals.lock()[&(by, id)].chunks, 2);
        arrivals.offered(by, "a", id, None);
        arrivals.came(by, "a", id, Some(50));
        assert!(
            arrivals.complete(PeerId::of(b"b"), id).is_none(),
            "brought by another"
        );
        let arrival = arrivals.complete(by, id).unwrap();
        assert_eq!((arrival.chunks, arrival.bytes), (1, 50));
        assert!(arrival.rate().unwrap().ends_with("B/s"));
        assert!(arrivals.complete(by, id).is_none());
    }

    #[test]
    fn memory_is_bounded_and_what_moves_stays() {
        let (arrivals, by) = (Arrivals::default(), PeerId::of(b"a"));
        for number in 0..3 * MAX_ARRIVALS {
            arrivals.offered(by, "a", transfer(number), None);
            arrivals.came(by, "a", transfer(0), Some(1));
        }
        assert_eq!(arrivals.lock().len(), MAX_ARRIVALS);
        assert_eq!(
            arrivals.complete(by, transfer(0)).unwrap().chunks,
            3 * MAX_ARRIVALS as u64
        );
        assert!(arrivals.complete(by, transfer(1)).is_none());
    }

    #[test]
    fn what_was_cancelled_stays_so_whatever_its_bringer_does() {
        let (arrivals, by, id) = (Arrivals::default(), PeerId::of(b"a"), transfer(0));
        arrivals.offered(by, "a", id, Some(100));
        assert_eq!(arrivals.cancel(id).len(), 1);
        arrivals.forget(by, id);
        arrivals.offered(by, "a", id, Some(100));
        for number in 1..3 * MAX_ARRIVALS {
            arrivals.offered(by, "a", transfer(number), None);
        }
        assert!(
            arrivals
                .take_cut(|_, _| true)
                .iter()
                .all(|cut| cut.transfer != id)
        );
        assert!(arrivals.check_wanted(by, id).is_err());
        assert!(arrivals.check_wanted(by, transfer(1)).is_ok());
        assert!(arrivals.cancel(id).is_empty(), "once");
    }

    #[test]
    fn what_moves_is_not_cut_and_what_was_cut_is_told_once() {
        let (arrivals, by) = (Arrivals::default(), PeerId::of(b"a"));
        arrivals.came(by, "a", transfer(1), Some(70));
        arrivals.offered(by, "a", transfer(1), Some(100));
        let cut = |longest| arrivals.take_cut(|_, idle| idle >= longest);
        assert!(cut(Duration::from_secs(3600)).is_empty());
        let [cut_now] = cut(Duration::ZERO).try_into().unwrap();
        let Cut {
            name, bytes, of, ..
        } = cut_now;
        assert_eq!((name.as_str(), bytes, of), ("a", 70, Some(100)));
        assert!(cut(Duration::ZERO).is_empty());
    }
}
