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
mod stores;
