//! A peer that does not answer any more, or not yet.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use colis::testing::{Entrance, Link};
use testkit::{Homes, bytes, person::Person, wait_for};
use tokio::runtime::Runtime;

use super::Running;

const FILM: usize = 4 << 20;

/// A peer behind a link that can be cut.
struct Cable {
    _runtime: Runtime,
    link: Link,
    entrance: Entrance,
}

impl Cable {
    fn to(address: SocketAddr) -> Self {
        let runtime = Runtime::new().unwrap();
        let link = Link::default();
        let entrance = runtime.block_on(link.lead_to(address)).unwrap();
        Self {
            _runtime: runtime,
            link,
            entrance,
        }
    }

    fn address(&self) -> String {
        self.entrance.address().to_string()
    }
}

fn moves(running: &Running) {
    wait_for("it moves", || {
        let progress = running.objects("progress");
        progress
            .iter()
            .any(|one| one["moved_bytes"].as_u64() > Some(512 << 10))
    });
}

const SEND: [&str; 6] = [
    "send",
    "film.mkv",
    "--limit",
    "512KiB",
    "--chunk-size",
    "64KiB",
];

#[test]
fn a_send_outlasts_a_cable_that_was_pulled() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let cable = Cable::to(b.address);
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let (to, begun) = (cable.address(), Instant::now());
    let mut sending = Running::start(&homes, "a", &[&SEND[..], &["--to", &to]].concat());
    moves(&sending);
    cable.link.stall();
    wait_for("it is said", || sending.has_said("no-answer"));
    let silent = &sending.objects("no-answer")[0];
    assert_eq!(
        (&silent["peer"], &silent["retry_for"]),
        (&to.as_str().into(), &60.into())
    );
    assert!(!sending.has_said("error"));
    // What hangs in the old connections never comes.
    cable.link.cut();
    cable.link.restore();
    assert_eq!(sending.ends(), 0, "{:?}", sending.objects("error"));
    assert!(sending.has_said("answers-again"));
    assert!(
        begun.elapsed() < Duration::from_secs(50),
        "{:?}",
        begun.elapsed()
    );
    wait_for("it has come", || {
        fs::read(homes.home("b").join("received/film.mkv")).is_ok_and(|film| film == bytes(1, FILM))
    });
}

#[test]
fn a_send_that_was_waited_for_long_enough_says_how_to_go_on() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let cable = Cable::to(b.address);
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let to = cable.address();
    let args = [&SEND[..], &["--to", &to, "--retry-for", "8s"]].concat();
    let mut sending = Running::start(&homes, "a", &args);
    moves(&sending);
    cable.link.stall();
    let cut = Instant::now();
    assert_eq!(sending.ends(), 8);
    assert!(
        cut.elapsed() < Duration::from_secs(25),
        "{:?}",
        cut.elapsed()
    );
    let error = &sending.objects("error")[0];
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no answer for 8 s"),
        "{error}"
    );
    let left = &sending.objects("unfinished")[0];
    cable.link.cut();
    cable.link.restore();
    let id = left["transfer"].as_str().unwrap();
    let resumed = homes.run("a", &["--json", "send", "--resume", &id[..8]]);
    assert_eq!(resumed.object("sent")["transfer"], id);
}

#[test]
fn a_person_sees_on_the_bar_that_nobody_answers() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let cable = Cable::to(b.address);
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let to = cable.address();
    let args = [&SEND[..], &["--to", &to, "--retry-for", "9s"]].concat();
    let mut person = Person::at_terminal(&homes, homes.command("a", &args), "xterm-256color");
    person.sees_like(r"sending \[.*MiB/4.00 MiB .*/s .* left");
    cable.link.stall();
    person.sees_like(r"sending: no answer from 127\S+ for \d+ s");
    person.sees_like(r"go on: colis send --resume [0-9a-f]{8}");
    person.sees("no answer for 9 s");
    assert_eq!(person.ends(), 8);
}

#[test]
fn a_receive_outlasts_a_cable_that_was_pulled() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let a = homes.serve("a", &[]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    drop(b);
    homes.ok(
        "a",
        &["share", "film.mkv", "--to", "b", "--chunk-size", "64KiB"],
    );
    let cable = Cable::to(a.address);
    let from = cable.address();
    let args = ["receive", "film.mkv", "--from", &from, "--limit", "512KiB"];
    let mut receiving = Running::start(&homes, "b", &args);
    moves(&receiving);
    cable.link.stall();
    wait_for("it is said", || receiving.has_said("no-answer"));
    cable.link.cut();
    cable.link.restore();
    assert_eq!(receiving.ends(), 0, "{:?}", receiving.objects("error"));
    assert_eq!(
        fs::read(homes.home("b").join("received/film.mkv")).unwrap(),
        bytes(1, FILM)
    );
}

#[test]
fn a_peer_that_is_started_again_goes_on_with_what_it_was_brought() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    let listen = b.to();
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let mut sending = Running::start(&homes, "a", &[&SEND[..], &["--to", &listen]].concat());
    moves(&sending);
    b.kill();
    wait_for("it is said", || sending.has_said("no-answer"));
    let _b = homes.serve_on("b", &listen, &[]);
    assert_eq!(sending.ends(), 0, "{:?}", sending.objects("error"));
}

#[test]
fn nobody_there_is_said_at_once_unless_it_is_to_be_waited_for() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    let listen = b.to();
    homes.ok("a", &["peers", "add", &listen]);
    b.kill();
    fs::write(homes.path("film.mkv"), bytes(1, 1000)).unwrap();
    for more in [&[][..], &["--retry-for", "0"]] {
        let begun = Instant::now();
        let said = homes.fails("a", &[&["send", "film.mkv", "--to", "b"], more].concat(), 8);
        assert!(said.contains("nobody serves colis at"), "{said}");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }
    let args = ["send", "film.mkv", "--to", "b", "--retry-for", "60s"];
    let mut sending = Running::start(&homes, "a", &args);
    wait_for("it waits", || sending.has_said("no-answer"));
    let _b = homes.serve_on("b", &listen, &[]);
    assert_eq!(sending.ends(), 0, "{:?}", sending.objects("error"));
    homes.fails(
        "a",
        &["send", "film.mkv", "--to", "b", "--retry-for", "60"],
        2,
    );
}

#[test]
fn who_waits_is_told_at_once_what_for() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("note"), "n").unwrap();
    let args = ["send", "note", "--to", "b", "--wait"];
    let mut person = Person::at_terminal(&homes, homes.command("a", &args), "xterm-256color");
    let begun = Instant::now();
    person.sees("stored with b; waiting until b opens it");
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    let mut program = Running::start(&homes, "a", &args);
    wait_for("why it waits", || {
        program
            .objects("pending")
            .iter()
            .any(|one| one["reason"] == "asks" && one["peer"] == "b")
    });
    homes.ok("b", &["inbox", "accept", "--all"]);
    assert_eq!(program.ends(), 0);
}
