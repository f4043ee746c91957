//! What the inbox has done, in numbers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Outcome;
use crate::{
    manifest::Timestamp,
    wire::{InboxCounts, Incident},
};

/// Counts since the start.
#[derive(Default)]
pub(super) struct Tally(Mutex<InboxCounts>);

impl Tally {
    /// A transfer could not be opened; `what` is one of our own sentences.
    pub(super) fn failed(&self, what: &'static str) {
        let mut counts = self.lock();
        counts.failed += 1;
        counts.last_error = Some(Incident {
            what: what.to_owned(),
            at: Timestamp::now(),
        });
    }

    /// A transfer has a new state.
    pub(super) fn settled(&self, outcome: &Outcome) {
        let mut counts = self.lock();
        match outcome {
            Outcome::Opened(_) => {
                counts.opened += 1;
                counts.last_error = None;
            }
            Outcome::Waiting(_) => counts.left_waiting += 1,
            Outcome::Refused { .. } => counts.refused += 1,
        }
    }

    /// The owner said no, to another process.
    pub(super) fn refused_by_owner(&self) {
        self.lock().refused += 1;
    }

    pub(super) fn counts(&self) -> InboxCounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, InboxCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
