//! Attacks: strangers, members and senders who try to get in, to get out of `received/`, or to see what is secret.
//!
//! `cargo test --test attack -- --nocapture --test-threads 1` does a little of each; `COLIS_ROUNDS` says how much of the one
//! that is named: `COLIS_ROUNDS=50000 cargo test --test attack -- --nocapture requests_made_from_the_contract`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it did"
)]

mod canary;
mod clock;
mod contract;
mod costs;
mod names;
#[allow(dead_code, reason = "tests/bad_input uses the rest")]
#[path = "../bad_input/parcel.rs"]
mod parcel;
mod private;
mod python;
mod races;
mod records;
mod scan;
mod shown;
#[allow(dead_code, reason = "tests/bad_input uses the rest")]
#[path = "../bad_input/site.rs"]
mod site;
mod smuggle;
mod stolen;
#[path = "../support/mod.rs"]
mod support;
mod trust;
mod uploads;

/// Rounds of a test, unless the environment says otherwise.
fn rounds(few: usize) -> usize {
    std::env::var("COLIS_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

/// A source of numbers that is the same in each run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Some number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let limit = limit as u64;
        usize::try_from((self.0 >> 11) % limit).unwrap()
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// A harness that cannot fail proves nothing: each of these is left out, and the test beside it must fail.
#[cfg(feature = "sabotage")]
#[test]
fn what_is_left_out_is_seen() {
    for (what, test) in [
        ("beneath", "races::"),
        ("escape", "shown::"),
        ("hash-check", "uploads::sixty_four"),
        ("no-replace", "races::a_name_that"),
        ("private-memory", "private::"),
    ] {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let again = again.args([test, "--test-threads", "1"]);
        let ran = again.env("COLIS_SABOTAGE", what).output().unwrap();
        assert!(!ran.status.success(), "nobody noticed: {what}");
    }
}
