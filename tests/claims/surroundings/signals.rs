//! A signal that was ignored when the program began stays ignored.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Homes, around, wait_for};

/// `sh` that ignores these signals and becomes `inner`.
fn ignoring(signals: &str, inner: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' {signals}; exec \"$@\" 2>&1"), "sh"]);
    around(shell, inner)
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The signals that have a handler, and those that are ignored, of a process.
fn masks(child: &Child) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    (mask("SigCgt:"), mask("SigIgn:"))
}

/// Starts it and waits until it says `word`.
fn started(mut command: Command, word: &str) -> (Child, BufReader<ChildStdout>) {
    command.stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(word) {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
    }
    (child, said)
}

const ALL: [(&str, Signal); 3] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("TERM", Signal::TERM),
];

#[test]
fn a_peer_serves_on_through_a_signal_that_was_ignored() {
    let homes = Homes::new(&[]);
    let serve = homes.command("a", &["serve", "--listen", "127.0.0.1:0"]);
    for (name, signal) in ALL {
        let (mut child, mut said) = started(ignoring(name, &serve), "serves on");
        send(&child, signal);
        // It hears the others: that one which ends it comes after the ignored one shows that it had no effect.
        let other = if name == "TERM" {
            Signal::INT
        } else {
            Signal::TERM
        };
        let bit = 1_u64 << (signal.as_raw() - 1);
        wait_for("its handlers", || masks(&child).0 != 0);
        assert_eq!(masks(&child).1 & bit, bit, "{name} is not ignored any more");
        assert!(child.try_wait().unwrap().is_none(), "{name} ended it");
        send(&child, other);
        assert!(child.wait().unwrap().success(), "{name}");
        let mut rest = String::new();
        said.read_line(&mut rest).unwrap();
        assert!(rest.contains("stopped"), "{rest}");
    }
}

#[test]
fn a_signal_that_was_not_ignored_ends_a_peer() {
    let homes = Homes::new(&[]);
    for (name, signal) in ALL {
        let serve = homes.command("a", &["serve", "--listen", "127.0.0.1:0"]);
        let (mut child, _said) = started(ignoring("USR1", &serve), "serves on");
        send(&child, signal);
        assert!(child.wait().unwrap().success(), "{name}");
    }
}

#[test]
fn a_pairing_and_a_send_that_wait_go_on_through_an_ignored_interrupt() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "x").unwrap();
    let (to, bit) = (b.to(), 1_u64 << (Signal::INT.as_raw() - 1));
    let waiting = homes.command("a", &["send", "f", "--to", &to, "--wait"]);
    let sending = ignoring("INT", &waiting).spawn().unwrap();
    wait_for("the arrival", || !b.said().is_empty());
    let (pairing, _said) = started(ignoring("INT", &homes.command("a", &["pair"])), "the code");
    for mut child in [sending, pairing] {
        send(&child, Signal::INT);
        assert_eq!(masks(&child).1 & bit, bit);
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
