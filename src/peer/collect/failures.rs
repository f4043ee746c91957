//! What is not collected: told once, and as seldom as other refusals.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use crate::{
    id::{ManifestId, PeerId},
    server::TellLimits,
};

/// Failures that are remembered, so that each is told once however often it is tried.
const REMEMBERED: usize = 4_096;

/// A manifest, and the kind of error that kept it from being collected.
type Failure = (ManifestId, &'static str);

/// The failures that were told.
#[derive(Default)]
pub(super) struct Failures {
    limits: TellLimits,
    known: Mutex<VecDeque<Failure>>,
}

impl Failures {
    /// Whether to log a failure of what `carrier` stores, with the number of lines that were not written before. A carrier is
    /// charged, for it can list any sender.
    pub(super) fn turn(&self, carrier: &PeerId, failure: Failure) -> Option<u64> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&failure) {
            return None;
        }
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(failure);
        self.limits.line(carrier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_once_and_no_carrier_fills_a_log() {
        let (failures, relay, other) = (
            Failures::default(),
            PeerId::of(b"relay"),
            PeerId::of(b"other"),
        );
        let manifest = |n: usize| ManifestId::of(&n.to_be_bytes());
        assert_eq!(failures.turn(&relay, (manifest(0), "a")), Some(0));
        assert_eq!(failures.turn(&other, (manifest(0), "a")), None, "once more");
        assert_eq!(failures.turn(&relay, (manifest(0), "b")), Some(0));
        let rounds = (0..2).flat_map(|_| 1..6_000);
        let told = rounds.filter(|n| failures.turn(&relay, (manifest(*n), "a")).is_some());
        assert_eq!(told.count(), 8);
        let silenced = failures.turn(&other, (manifest(0), "c"));
        assert!(silenced >= Some(9_000), "{silenced:?}");
        assert!(failures.known.lock().unwrap().len() <= REMEMBERED);
    }
}
