//! `demo` leaves nothing behind, whatever ends it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// A demonstration that keeps its folder below `temporary`.
fn demo(temporary: &Path) -> Command {
    let mut command = Command::new(testkit::program());
    command.args(["demo", "--size", "64MiB"]);
    command.env("TMPDIR", temporary).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// One that is at work: keys are there, and something is sent.
fn begun(temporary: &Path) -> Child {
    let mut child = demo(temporary).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().starts_with("2. "))
        .expect("a second step")
        .unwrap();
    child
}

fn left(temporary: &Path) -> usize {
    fs::read_dir(temporary).unwrap().count()
}

#[test]
fn a_signal_ends_the_demonstration_and_its_keys() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = begun(temporary.path());
        assert_eq!(left(temporary.path()), 1);
        let id = Pid::from_child(&child);
        kill_process(id, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal:?}");
        assert_eq!(left(temporary.path()), 0, "{signal:?}");
    }
}

#[test]
fn the_next_demonstration_removes_what_a_killed_one_left_and_nothing_else() {
    let temporary = tempfile::tempdir().unwrap();
    let foreign = temporary.path().join("colis-demo-of-somebody");
    fs::create_dir(&foreign).unwrap();
    let mut killed = begun(temporary.path());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut running = begun(temporary.path());
    assert_eq!(left(temporary.path()), 2, "its own, and the foreign one");
    // It must not come to its end by itself meanwhile.
    kill_process(Pid::from_child(&running), Signal::STOP).unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let typed = testkit::program();
    let next = format!("  {} pair HOST", typed.display());
    assert!(said.contains(&next), "{said}");
    assert_eq!(left(temporary.path()), 2, "that of the running one stays");
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
    kill_process(Pid::from_child(&running), Signal::CONT).unwrap();
    running.wait().unwrap();
    assert!(foreign.exists() && left(temporary.path()) == 1);
}
