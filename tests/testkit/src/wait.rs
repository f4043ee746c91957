//! Waiting for what another process does.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

/// Waits until `condition` holds, for at most half a minute.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    // A channel that nobody sends on: a pause that is no sleep of a fixed length to be right about.
    let (_keep, never) = mpsc::channel::<()>();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        let _ = never.recv_timeout(Duration::from_millis(5));
    }
}
