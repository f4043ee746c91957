//! What is said of those who come while a code is shown, and do not join.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    cli::output::Output,
    name::Escaped,
    pair::{Event, PairError},
};

/// Lines within [`A_WHILE`] of those who show no code.
const LINES: u32 = 3;
const A_WHILE: Duration = Duration::from_secs(1);

/// Says who came. What anybody can cause without the code is bounded: it must not push off the screen what matters, and the rest is
/// summed up.
pub(super) struct Doorstep {
    output: Output,
    tries: u8,
    begun: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Doorstep {
    pub(super) fn new(output: Output, tries: u8) -> Self {
        Self {
            output,
            tries,
            begun: None,
            said: 0,
            unsaid: 0,
        }
    }

    pub(super) fn came(&mut self, event: &Event) {
        if let PairError::WrongCode { left } = event.error {
            return self.say_wrong_code(event, left);
        }
        // Who got that far knows the code.
        let knew_the_code = matches!(event.error, PairError::TakenBack { .. } | PairError::Tls(_));
        if knew_the_code || self.has_room(Instant::now()) {
            self.say(event);
        } else {
            self.unsaid += 1;
        }
    }

    /// Says how many came of whom nothing was said.
    pub(super) fn sum_up(&mut self) {
        let more = std::mem::take(&mut self.unsaid);
        if more > 0 {
            self.output
                .warn(format!("{more} more came and did not join"));
            self.output.object("not-paired", &json!({"more": more}));
        }
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.begun.is_none_or(|begun| now - begun >= A_WHILE) {
            self.sum_up();
            (self.begun, self.said) = (Some(now), 0);
        }
        self.said += 1;
        self.said <= LINES
    }

    fn say_wrong_code(&self, event: &Event, left: u8) {
        let (from, tries) = (event.from.ip().to_canonical(), self.tries);
        self.output.warn(format!(
            "a wrong code was tried from {from} ({left} of {tries} tries left)"
        ));
        let object = json!({"from": from, "left": left});
        self.output.object("wrong-code", &object);
    }

    fn say(&self, event: &Event) {
        let from = event.from.ip().to_canonical();
        let reason = event.error.to_string();
        let text = format!("{from} came and did not join: {}", Escaped::new(&reason));
        self.output.warn(text);
        let object = json!({"from": from, "reason": reason});
        self.output.object("not-paired", &object);
    }
}
