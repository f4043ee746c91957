//! The menu on a real terminal, made for the test: every entry, wrong answers, and every way to end.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod endings;
mod entries;
mod first_run;
mod interrupts;
mod person;
#[path = "../support/mod.rs"]
mod support;
mod transfers;
