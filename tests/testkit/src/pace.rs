//! How fast this machine is at the moment.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::program;

/// How long the program may take to say its version on a machine that does nothing else.
const USUAL: Duration = Duration::from_millis(5);
const STARTS: usize = 5;

/// By how much a limit of time must be stretched here and now: 1 on a machine that does nothing else, 10 where everything
/// takes ten times as long. The middle of a few starts of the program says it.
pub fn stretch() -> f64 {
    let mut starts = [(); STARTS].map(|()| start());
    starts.sort();
    let stretch = starts[STARTS / 2].div_duration_f64(USUAL);
    if stretch > 1.0 {
        eprintln!("this machine is slow or busy: limits of time are {stretch:.1} times as long");
    }
    stretch.max(1.0)
}

/// `limit`, on this machine at this moment.
pub fn stretched(limit: Duration) -> Duration {
    limit.mul_f64(stretch())
}

fn start() -> Duration {
    let mut version = Command::new(program());
    let version = version.arg("--version").stdout(Stdio::null());
    let begun = Instant::now();
    assert!(version.status().unwrap().success());
    begun.elapsed()
}
