//! What is told of those who come while a code is shown, and do not join.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::NotPaired;
use crate::{
    pair::{FailedAttempt, PairError},
    session::{Event, Reporter},
};

/// Events within [`A_WHILE`] of those who show no code.
const EVENTS: u32 = 3;
const A_WHILE: Duration = Duration::from_secs(1);

/// Tells who came. What anybody can cause without the code is bounded: it must not push off the screen what matters, and the
/// rest is summed up.
pub(super) struct Doorstep {
    reporter: Arc<dyn Reporter>,
    tries: u8,
    begun: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Doorstep {
    pub(super) fn new(reporter: Arc<dyn Reporter>, tries: u8) -> Self {
        Self {
            reporter,
            tries,
            begun: None,
            told: 0,
            untold: 0,
        }
    }

    pub(super) fn came(&mut self, came: &FailedAttempt) {
        let from = came.from.ip().to_canonical();
        if let PairError::WrongCode { left } = came.error {
            let tries = self.tries;
            return self.reporter.tell(&Event::WrongCode { from, left, tries });
        }
        // Who got that far knows the code.
        let knew_the_code = matches!(came.error, PairError::TakenBack { .. } | PairError::Tls(_));
        if knew_the_code || self.has_room(Instant::now()) {
            let reason = Some(came.error.to_string());
            self.tell(NotPaired {
                from: Some(from),
                reason,
                more: None,
            });
        } else {
            self.untold += 1;
        }
    }

    /// Tells how many came of whom nothing was told.
    pub(super) fn sum_up(&mut self) {
        let more = std::mem::take(&mut self.untold);
        if more > 0 {
            self.tell(NotPaired {
                from: None,
                reason: None,
                more: Some(more),
            });
        }
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.begun.is_none_or(|begun| now - begun >= A_WHILE) {
            self.sum_up();
            (self.begun, self.told) = (Some(now), 0);
        }
        self.told += 1;
        self.told <= EVENTS
    }

    fn tell(&self, not_paired: NotPaired) {
        self.reporter.tell(&Event::NotPaired(not_paired));
    }
}
