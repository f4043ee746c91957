//! Ctrl-C at every prompt and in a transfer.

use std::{fs, process::Command};

use rexpect::session::spawn_command;

use testkit::person::{CTRL_C, ESC, Person, address_of, listen_on_a_free_port, set};
use testkit::{Homes, bytes};

/// What is pressed, and what is shown then.
pub(super) type Step = (&'static str, &'static str);

const PATH: Step = ("~/f.txt\r", "another address...");
const SEND: [Step; 5] = [
    ("1", "Files or folders"),
    PATH,
    ("1", "whoever has a password"),
    ("2", "Send f.txt"),
    ("y", "Password: "),
];
const PEERS: Step = ("6", "8  Certificates");
const ARRIVALS: Step = ("7", "f.txt  1 B");
const SETTINGS: Step = ("8", "4  Back");

/// A way to each prompt.
pub(super) const WAYS: [&[Step]; 23] = [
    SEND.split_at(1).0,
    SEND.split_at(2).0,
    &[SEND[0], PATH, ("2", "Its address")],
    SEND.split_at(3).0,
    SEND.split_at(4).0,
    &SEND,
    &[("2", "another address...")],
    &[("2", "another address..."), ("1", "from b  20")],
    &[("3", "3  History")],
    &[("4", "another address...")],
    &[PEERS],
    &[PEERS, ("4", "Rename whom?\r\n"), ("1", "Call it")],
    &[PEERS, ("5", "Forget whom?\r\n"), ("1", "Forget b?")],
    &[PEERS, ("6", "Whose role?\r\n"), ("1", "5  none")],
    &[PEERS, ("7", "Block whom?\r\n"), ("1", "Block b?")],
    &[PEERS, ("8", "Name of the new machine")],
    &[
        PEERS,
        ("8", "Name of the new machine"),
        ("x\r", "Where to put"),
    ],
    &[ARRIVALS],
    &[ARRIVALS, (" \r", "3  Refuse")],
    &[SETTINGS],
    &[SETTINGS, ("1", "Address and port")],
    &[SETTINGS, ("2", "3  off")],
    &[SETTINGS, ("3", "Which setting"), ("x\r", "Its value")],
];

/// A home `a` that knows `b`, in which something waits, and `b`, which shares something.
pub(super) fn two() -> (Homes, testkit::Serving) {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "f").unwrap();
    let b = homes.serve("b", &[]);
    homes.ok("b", &["share", "f.txt", "--to", "a"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    set(&homes, "a", "inbox", "ask");
    (homes, b)
}

#[test]
fn ctrl_c_at_each_prompt_goes_back_to_the_menu() {
    let (homes, _b) = two();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    homes.ok("b", &["send", "f.txt", "--to", &a]);
    person.sees("waits for a yes");
    for way in WAYS {
        for (keys, shown) in way {
            person.presses(keys);
            person.sees(shown);
        }
        person.presses(CTRL_C);
        person.sees("interrupted: back to the menu");
        person.sees_menu();
    }
    // Esc says nothing, and goes back too.
    person.presses("4");
    person.sees("another address...");
    person.presses(ESC);
    let before = person.sees_menu();
    assert!(!before.contains("interrupted"), "{before}");
    // In the menu itself it ends, in order.
    person.presses(CTRL_C);
    person.sees("stopped; everything acknowledged is on disk");
    assert_eq!(person.ends(), 0);
}

#[test]
fn ctrl_c_stops_a_transfer_and_the_same_again_continues_it() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("big.bin"), bytes(7, 12 << 20)).unwrap();
    set(&homes, "a", "limit", "2MiB");
    let mut person = Person::at_menu(&homes, "a");
    let send = |person: &mut Person| {
        person.presses("1");
        person.sees("Files or folders");
        person.types("~/big.bin");
        person.sees("another address...");
        person.presses("1");
        person.sees("whoever has a password");
        person.presses("1");
        person.sees("Send big.bin (12 MiB) to b?");
        person.presses("y");
    };
    send(&mut person);
    person.sees_like(r" [1-9]\.00 MiB/12\.00 MiB");
    person.presses(CTRL_C);
    person.sees("what was transferred is kept");
    person.sees_menu();
    set(&homes, "a", "limit", "1GiB");
    send(&mut person);
    person.sees("of 12 chunks already there");
    person.sees("stored durably");
    person.sees_menu();
    person.quits();
}

#[test]
fn the_terminal_is_left_as_it_was() {
    let homes = Homes::new(&[]);
    listen_on_a_free_port(&homes, "a");
    let colis = homes.command("a", &[]);
    for ending in ["1", CTRL_C, "5"] {
        let mut shell = Command::new("sh");
        let script = "stty sane; stty -g; \"$0\" \"$@\"; stty -g; stty echo";
        shell.args(["-c", script]).arg(colis.get_program());
        shell.args(colis.get_args()).env("TERM", "xterm");
        shell.env("NO_COLOR", "1").env_remove("COLIS_HOME");
        let mut session = spawn_command(shell, Some(60_000)).unwrap();
        let before = session.exp_string("serves on").unwrap();
        let before = before.lines().next().unwrap().to_owned();
        assert!(before.contains(':'), "no modes: {before}");
        session.exp_string("0  Pair").unwrap();
        if ending == "1" {
            // A prompt that was left by Ctrl-C, and the end by a key.
            session.send("1").unwrap();
            session.flush().unwrap();
            session.exp_string("Files or folders").unwrap();
            session.send(CTRL_C).unwrap();
            session.flush().unwrap();
            session.exp_string("0  Pair").unwrap();
        }
        session
            .send(if ending == "1" { "5" } else { ending })
            .unwrap();
        session.flush().unwrap();
        let rest = session.exp_eof().unwrap();
        assert!(rest.trim_end().ends_with(&before), "{before} became {rest}");
    }
}
