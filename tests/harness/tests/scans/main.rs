//! Scanners made by others: requests from the contract, good and bad (schemathesis), and every way to speak TLS (testssl.sh,
//! sslyze).
//!
//! `COLIS_ROUNDS=50000 cargo test -p harness --test scans -- --nocapture contract` makes so many requests.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a harness ends where something is not as it must be, and says what it did"
)]

mod contract;
mod scan;

use std::path::{Path, PathBuf};

/// The folder of these files.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scans")
}

/// The folder of the scanners' programs.
fn programs() -> PathBuf {
    testkit::python::environment("scans", &folder().join("requirements.txt"))
}
