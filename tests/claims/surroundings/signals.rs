//! A signal that was ignored when the program began stays ignored.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Homes, Serving, around, has, person::set, wait_for};

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
    for (name, signal) in [("INT", Signal::INT), ("TERM", Signal::TERM)] {
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

/// A peer without a terminal, as services are.
fn service(homes: &Homes, home: &str) -> Serving {
    let serve = homes.command(home, &["--json", "serve", "--listen", "127.0.0.1:0"]);
    homes.serve_by(home, around(Command::new("setsid"), &serve))
}

fn signal(peer: &Serving, signal: Signal) {
    kill_process(Pid::from_raw(peer.id() as i32).unwrap(), signal).unwrap();
}

#[test]
fn a_hangup_makes_a_service_read_its_settings_again() {
    let homes = Homes::new(&["b"]);
    let b = service(&homes, "b");
    let is_there = |name: &str| homes.home("b").join("received").join(name).exists();
    let times = |what: &str| homes.log("b").matches(what).count();
    let send = |name: &str| {
        fs::write(homes.path(name), name).unwrap();
        homes.ok("a", &["send", name, "--to", &b.to()]);
    };
    set(&homes, "b", "inbox", "ask");
    signal(&b, Signal::HUP);
    wait_for("its settings", || times("settings read again") == 1);
    send("asked");
    wait_for("the question", || !b.said().is_empty());
    assert_eq!(b.said()[0]["state"], "waiting");
    // A file that cannot be used changes nothing.
    let settings = homes.home("b").join("colis.toml");
    let good = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, "inbox = 7\n").unwrap();
    signal(&b, Signal::HUP);
    wait_for("the error", || times("settings unchanged") == 1);
    send("asked too");
    wait_for("the question", || b.said().len() == 2);
    assert!(!is_there("asked") && !is_there("asked too"));
    // What waits counts as if it came now.
    fs::write(&settings, good.replace("ask", "auto")).unwrap();
    signal(&b, Signal::HUP);
    wait_for("what waited", || is_there("asked") && is_there("asked too"));
}

#[test]
fn user_signals_end_nothing() {
    let homes = Homes::new(&["b"]);
    let b = service(&homes, "b");
    for user in [Signal::USR1, Signal::USR2] {
        signal(&b, user);
        homes.ok("a", &["peers", "add", &b.to()]);
    }
}

#[test]
fn a_peer_ends_with_the_terminal_that_it_was_started_on() {
    if !has("script") {
        return;
    }
    let homes = Homes::new(&[]);
    let serve = homes.command("a", &["serve", "--listen", "127.0.0.1:0"]);
    let mut words = vec!["exec".to_owned()];
    for word in std::iter::once(serve.get_program()).chain(serve.get_args()) {
        words.push(format!("'{}'", word.to_str().unwrap()));
    }
    let mut terminal = Command::new("script");
    terminal.args([
        "--quiet",
        "--flush",
        "--command",
        &words.join(" "),
        "/dev/null",
    ]);
    terminal
        .env("COLIS_DISCOVERY", "false")
        .stdin(Stdio::piped());
    let (mut script, _said) = started(terminal, "serves on");
    let is_served = || {
        homes
            .ok("a", &["--json", "status"])
            .contains("\"serving\":\"127")
    };
    assert!(is_served());
    script.kill().unwrap();
    script.wait().unwrap();
    wait_for("the end of the peer", || !is_served());
}

#[test]
fn a_send_that_is_ended_says_how_to_go_on() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "x").unwrap();
    let to = b.to();
    for (ending, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let waiting = homes.command("a", &["--json", "send", "f", "--to", &to, "--wait"]);
        let (mut child, mut said) = started(waiting, "\"waiting\"");
        send(&child, ending);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let mut last = String::new();
        said.read_to_string(&mut last).unwrap();
        assert!(last.contains("run the same command again"), "{last}");
    }
}
