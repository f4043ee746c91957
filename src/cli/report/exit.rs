//! The exit codes of commands.

use crate::session::Kind;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum ExitCode {
    Ok = 0,
    Usage = Kind::Usage as isize,
    Config = Kind::Config as isize,
    Trust = Kind::Trust as isize,
    Integrity = Kind::Integrity as isize,
    NotFound = Kind::NotFound as isize,
    Storage = Kind::Storage as isize,
    Network = Kind::Network as isize,
    Locked = Kind::Locked as isize,
    Partial = Kind::Partial as isize,
    Care = 11,
    HungUp = 129,
    Interrupted = Kind::Interrupted as isize,
    Terminated = 143,
}

impl ExitCode {
    /// Whether a signal ended it.
    pub(in crate::cli) fn is_interruption(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }
}
