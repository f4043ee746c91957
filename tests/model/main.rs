//! Stores against models of what they promise, and the protocol of collecting explored in every order.
//!
//! `COLIS_ROUNDS=N` says how many sequences or cases; without it each test does a few.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it tried"
)]

mod flips;
mod machine;
mod nonces;
mod protocol;
#[allow(dead_code, reason = "tests/conformance.rs uses the rest")]
#[path = "../common/sealed.rs"]
mod sealed;
mod stores;
#[path = "../common/tapped.rs"]
mod tapped;

/// Cases of a test, unless the environment says otherwise.
fn rounds(few: u32) -> u32 {
    std::env::var("COLIS_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}
