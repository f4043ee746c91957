//! What a person sees on a terminal: a real one, made for the test.

use std::fs;

use rexpect::session::{PtySession, spawn_command};
use testkit::{Homes, bytes};

fn on_a_terminal(homes: &Homes, home: &str, args: &[&str]) -> PtySession {
    let mut command = homes.command(home, args);
    command
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    // The terminal is the program's input too: `command` gave it none.
    command.stdin(std::process::Stdio::inherit());
    spawn_command(command, Some(60_000)).unwrap()
}

#[test]
fn a_password_is_asked_for_twice_when_sealing_and_once_when_opening() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f.txt"), "secret").unwrap();
    let mut sending = on_a_terminal(
        &homes,
        "a",
        &["send", "f.txt", "--via", &b.to(), "--password"],
    );
    sending.exp_string("Password").unwrap();
    sending.send_line("correct horse").unwrap();
    sending.exp_string("Once more").unwrap();
    sending.send_line("wrong horse").unwrap();
    sending.exp_string("They differ, try again").unwrap();
    sending.exp_string("Password").unwrap();
    sending.send_line("correct horse").unwrap();
    sending.exp_string("Once more").unwrap();
    sending.send_line("correct horse").unwrap();
    let rest = sending.exp_eof().unwrap();
    assert!(rest.contains("stored durably"), "{rest}");
    let id = homes
        .ok("a", &["list", "b"])
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let mut receiving = on_a_terminal(
        &homes,
        "b",
        &["receive", "--from", &b.to(), &id, "--out", "o"],
    );
    receiving.exp_string("Password").unwrap();
    receiving.send_line("correct horse").unwrap();
    receiving.exp_eof().unwrap();
    assert_eq!(fs::read_to_string(homes.path("o/f.txt")).unwrap(), "secret");
}

#[test]
fn a_bar_shows_bytes_rate_and_time_left() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f.bin"), bytes(1, 48 << 20)).unwrap();
    // Slow enough that the bar is drawn with some of it.
    let to = b.to();
    let args = ["send", "f.bin", "--to", &to, "--limit", "40MiB"];
    let mut sending = on_a_terminal(&homes, "a", &args);
    sending
        .exp_regex(r"sending \[.*MiB/48.00 MiB .*/s .* left")
        .unwrap();
    let rest = sending.exp_eof().unwrap();
    assert!(rest.contains("stored durably"), "{rest}");
    let quiet = homes.run("a", &["send", "f.bin", "--to", "b"]);
    assert!(
        !quiet.err.contains("sending ["),
        "no bar without a terminal"
    );
}
