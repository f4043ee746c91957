//! The memory of processes.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::Ran;

/// A field of `/proc/PROCESS/status` in bytes, for example `VmRSS:`. None if the process has ended.
pub fn memory(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// Runs a command to its end. Returns what it said, and the memory that it took at most.
pub fn run_watched(command: &mut Command) -> (Ran, u64) {
    let command = command.stdin(Stdio::null());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = command.spawn().unwrap();
    let process = running.id();
    let ran = thread::spawn(move || running.wait_with_output().unwrap());
    let mut peak = 0;
    while !ran.is_finished() {
        peak = peak.max(memory(process, "VmHWM:").unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    (ran.join().unwrap().into(), peak)
}
