//! How much of a thing a test does.

use std::{env, fmt::Debug, str::FromStr};

/// `COLIS_ROUNDS`, else a `few`.
pub fn rounds<N: FromStr<Err: Debug>>(few: N) -> N {
    number("COLIS_ROUNDS").unwrap_or(few)
}

/// Whether `COLIS_ROUNDS` asks for the full size.
pub fn is_long() -> bool {
    env::var_os("COLIS_ROUNDS").is_some()
}

/// `COLIS_MINUTES`, for tests that go on for a time.
pub fn minutes() -> Option<u64> {
    number("COLIS_MINUTES")
}

fn number<N: FromStr<Err: Debug>>(name: &str) -> Option<N> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap())
}
