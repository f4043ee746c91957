//! What is measured, and wants the machine for itself: what a transfer costs, and how fast several sources are together; and what another test beside it would
//! change.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test ends where something is not as it must be, and says what it measured"
)]

mod cost;
mod own_name;
mod swarm;

use tokio::sync::RwLock;

/// A test that measures time has the machine alone; the others share it.
static MACHINE: RwLock<()> = RwLock::const_new(());
