//! Which transfer the inbox looks at next: new arrivals before retries, and the senders in turn.
//!
//! A sender decides how many transfers it publishes and how long each takes to open. With one queue for all, many dear
//! ones of one sender keep everybody else waiting; so each sender has a queue of its own, and waits for itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    ops::Bound,
    time::Duration,
};

use tokio::time::Instant;

use crate::id::{ManifestId, PeerId};

/// The pause before a transfer that could not be opened is tried again. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Transfers of one sender that are tried again. The others wait until one of these is settled.
const RETRIES_PER_SENDER: usize = 32;

/// A transfer with its sender.
type Transfer = (PeerId, ManifestId);

/// Transfers that wait for the inbox.
#[derive(Default)]
pub(super) struct Queue {
    arrived: Turns,
    /// Their pause is over, or they were waiting already when the inbox started.
    again: Turns,
    /// The pauses of those that are tried again.
    pauses: HashMap<Transfer, Duration>,
    due: BTreeSet<(Instant, Transfer)>,
    /// Beyond [`RETRIES_PER_SENDER`].
    beyond: Turns,
    /// Everything in the above but `pauses`.
    waiting: HashSet<Transfer>,
}

impl Queue {
    /// A transfer is new, unless it waits here already.
    pub(super) fn arrived(&mut self, transfer: Transfer) {
        if self.waiting.insert(transfer) {
            self.arrived.push(transfer);
        }
    }

    /// A transfer was waiting when the inbox started.
    pub(super) fn waited(&mut self, transfer: Transfer) {
        if self.waiting.insert(transfer) {
            self.again.push(transfer);
        }
    }

    /// The transfer to look at now. The caller must say what became of it: [`Self::failed`] or [`Self::settled`].
    pub(super) fn next(&mut self, now: Instant) -> Option<Transfer> {
        while let Some(due) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&due);
            self.again.push(due.1);
        }
        let next = self.arrived.pop().or_else(|| self.again.pop())?;
        self.waiting.remove(&next);
        Some(next)
    }

    /// When there is something to look at, unless something arrives before.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let is_ready = !self.arrived.is_empty() || !self.again.is_empty();
        let due = self.due.first().map(|(due, _)| *due);
        if is_ready { Some(now) } else { due }
    }

    /// The transfer could not be opened, and may open later.
    pub(super) fn failed(&mut self, transfer: Transfer, now: Instant) {
        self.waiting.insert(transfer);
        let pause = match self.pauses.get(&transfer) {
            Some(before) => (*before * 2).min(LONGEST_PAUSE),
            None if self.retries_of(transfer.0) >= RETRIES_PER_SENDER => {
                return self.beyond.push(transfer);
            }
            None => FIRST_PAUSE,
        };
        self.pauses.insert(transfer, pause);
        self.due.insert((now + pause, transfer));
    }

    /// Nothing is to be done any more for the transfer. Another of its sender may take its place among the retries.
    pub(super) fn settled(&mut self, transfer: Transfer) {
        self.pauses.remove(&transfer);
        let sender = transfer.0;
        if self.retries_of(sender) < RETRIES_PER_SENDER
            && let Some(next) = self.beyond.pop_of(sender)
        {
            self.again.push(next);
        }
    }

    fn retries_of(&self, sender: PeerId) -> usize {
        self.pauses.keys().filter(|(s, _)| *s == sender).count()
    }
}

/// A queue for each sender; they take turns.
#[derive(Default)]
struct Turns {
    senders: BTreeMap<PeerId, VecDeque<ManifestId>>,
    last: Option<PeerId>,
}

impl Turns {
    fn push(&mut self, (sender, id): Transfer) {
        self.senders.entry(sender).or_default().push_back(id);
    }

    fn pop(&mut self) -> Option<Transfer> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut later = self.senders.range((after, Bound::Unbounded));
        let sender = match later.next() {
            Some((sender, _)) => *sender,
            None => *self.senders.first_key_value()?.0,
        };
        self.last = Some(sender);
        self.pop_of(sender)
    }

    fn pop_of(&mut self, sender: PeerId) -> Option<Transfer> {
        let queue = self.senders.get_mut(&sender)?;
        let id = queue.pop_front();
        if queue.is_empty() {
            self.senders.remove(&sender);
        }
        Some((sender, id?))
    }

    fn is_empty(&self) -> bool {
        self.senders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(sender: u8, number: u32) -> Transfer {
        let id = ManifestId::of(&number.to_be_bytes());
        (PeerId::from_bytes([sender; 32]), id)
    }

    /// Looks at everything that is due; all fail. Returns how many there were.
    fn fail_all(queue: &mut Queue, now: Instant) -> usize {
        let mut count = 0;
        while let Some(next) = queue.next(now) {
            queue.failed(next, now);
            count += 1;
        }
        count
    }

    #[test]
    fn a_sender_waits_for_one_transfer_of_each_other_sender() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..1000).for_each(|n| queue.arrived(transfer(1, n)));
        (0..1000).for_each(|n| queue.arrived(transfer(3, n)));
        queue.next(now).unwrap();
        let honest = transfer(2, 0);
        queue.arrived(honest);
        let before = std::iter::from_fn(|| queue.next(now)).position(|next| next == honest);
        assert!(before.unwrap() <= 2);
    }

    #[test]
    fn what_arrives_comes_before_everything_that_is_tried_again() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..100).for_each(|n| queue.waited(transfer(1, n)));
        queue.failed(transfer(2, 0), now);
        let later = now + LONGEST_PAUSE;
        queue.arrived(transfer(3, 0));
        assert_eq!(queue.next(later), Some(transfer(3, 0)));
        assert_eq!(queue.due(later), Some(later));
        queue.arrived(transfer(1, 1000));
        assert_eq!(queue.next(later), Some(transfer(1, 1000)));
    }

    #[test]
    fn each_pause_is_twice_as_long_up_to_a_longest_one() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.arrived(transfer(1, 0));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(fail_all(&mut queue, now), 1);
            let due = queue.due(now).unwrap();
            assert_eq!(queue.next(due - Duration::from_millis(1)), None);
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses[..3], [1, 2, 4].map(|n| FIRST_PAUSE * n));
        assert_eq!(pauses[11], LONGEST_PAUSE);
    }

    #[test]
    fn the_retries_of_a_sender_are_bounded_and_the_others_follow_when_one_is_settled() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..1000).for_each(|n| queue.arrived(transfer(1, n)));
        queue.arrived(transfer(2, 0));
        assert_eq!(fail_all(&mut queue, now), 1001);
        let mut later = now + LONGEST_PAUSE;
        assert_eq!(fail_all(&mut queue, later), RETRIES_PER_SENDER + 1);
        // Whatever kept them from being opened is mended.
        later += LONGEST_PAUSE;
        let mut settled = 0;
        while let Some(next) = queue.next(later) {
            queue.settled(next);
            settled += 1;
        }
        assert_eq!(settled, 1001);
        assert!(queue.pauses.is_empty());
    }

    #[test]
    fn a_transfer_waits_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let transfer = transfer(1, 0);
        queue.arrived(transfer);
        queue.arrived(transfer);
        queue.waited(transfer);
        assert_eq!(fail_all(&mut queue, now), 1);
        queue.arrived(transfer);
        assert_eq!(queue.next(now), None, "its pause is not over");
    }
}
