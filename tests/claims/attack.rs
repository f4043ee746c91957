//! Attacks: strangers, members and senders who try to get in, to get out of `received/`, or to see what is secret.
//!
//! Each does a little; `COLIS_ROUNDS` says how much: `COLIS_ROUNDS=50000 cargo test --test claims -- --nocapture attack::names`.
//! Requests made from the contract and scans of TLS are in `tests/harness/tests/scans`.

mod borrowed;
mod canary;
mod clock;
mod costs;
mod hoard;
mod logs;
mod memory;
mod modes;
mod names;
mod others;
mod passwords;
mod private;
mod races;
mod records;
mod reserve;
mod shown;
mod smuggle;
mod squeeze;
mod staged;
mod stolen;
mod tables;
mod trust;
mod twins;
mod unknown;
mod uploads;

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
        ("beneath", "attack::races::"),
        ("escape", "attack::shown::"),
        ("hash-check", "attack::uploads::sixty_four"),
        ("no-replace", "attack::races::a_name_that"),
        ("private-memory", "attack::private::"),
    ] {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let again = again.args([test, "--test-threads", "1"]);
        let ran = again.env("COLIS_SABOTAGE", what).output().unwrap();
        assert!(!ran.status.success(), "nobody noticed: {what}");
    }
}
