//! Esc, Ctrl-D, Ctrl-U and Ctrl-C at every question, by a table of ways to them.

use std::{fs, process::Command};

use rexpect::session::spawn_command;

use testkit::person::{
    CTRL_C, CTRL_D, CTRL_U, ESC, Person, address_of, listen_on_a_free_port, set,
};
use testkit::{Homes, bytes, tree, wait_for};

/// What is pressed, and what is shown then.
pub(super) type Step = (&'static str, &'static str);

const WHAT: Step = ("2", "3  Share");
const FILES: Step = ("1", "Files or folders");
const PATH: Step = ("~/f.txt\r", "others: names");
const TO: Step = ("1\r", "3  Do not send it");
const HOW: Step = ("2", "4  Keep it");
const PEERS: Step = ("7", "8  Certificates");
const ARRIVALS: Step = ("4", "f.txt  1 B");
const LISTS: Step = ("6", "6  Delete");
const SETTINGS: Step = ("8", "listen ");

/// A way to each question.
pub(super) const WAYS: [&[Step]; 50] = [
    &[WHAT],
    &[WHAT, FILES],
    &[WHAT, FILES, PATH],
    &[WHAT, FILES, PATH, ("2\r", "Names or addresses")],
    &[WHAT, FILES, PATH, TO],
    &[WHAT, FILES, PATH, TO, HOW],
    &[WHAT, FILES, PATH, TO, HOW, ("1\r", "Password: ")],
    &[
        WHAT,
        FILES,
        PATH,
        TO,
        HOW,
        ("1\r", "Password: "),
        ("correct horse battery\r", "Once more: "),
    ],
    &[WHAT, FILES, PATH, TO, HOW, ("2\r", "By whom?")],
    &[WHAT, ("2", "Message")],
    &[WHAT, ("2", "Message"), ("hello\r", "To whom?")],
    &[WHAT, ("3", "Files or folders")],
    &[
        WHAT,
        ("3", "Files or folders"),
        ("~/f.txt\r", "2  Some peers"),
    ],
    &[
        WHAT,
        ("3", "Files or folders"),
        ("~/f.txt\r", "2  Some peers"),
        ("1", "Share f.txt"),
    ],
    &[
        WHAT,
        ("3", "Files or folders"),
        ("~/f.txt\r", "2  Some peers"),
        ("2", "Whom is it shared with?"),
    ],
    &[("3", "another address...")],
    &[("3", "another address..."), ("2", "Its address")],
    &[("3", "another address..."), ("1", "from b  today")],
    &[ARRIVALS],
    &[ARRIVALS, (" \r", "3  Refuse")],
    &[ARRIVALS, (" \r", "3  Refuse"), ("3", "Refuse it?")],
    &[("5", "2  big.bin to b")],
    &[("5", "2  big.bin to b"), ("1", "2  Take it off")],
    &[("5", "2  big.bin to b"), ("2", "Cancel big.bin to b?")],
    &[("6", "5  Chunks at a peer")],
    &[("6", "5  Chunks at a peer"), ("4", "another address...")],
    &[LISTS, ("6", "Delete what?")],
    &[LISTS, ("6", "Delete what?"), ("1", "from b  today")],
    &[
        LISTS,
        ("6", "Delete what?"),
        ("1", "from b  today"),
        (" \r", "Delete it?"),
    ],
    &[LISTS, ("6", "Delete what?"), ("2", "Where is it stored?")],
    &[PEERS, ("0", "Revoke whom?")],
    &[PEERS, ("0", "Revoke whom?"), ("1", "for good?")],
    &[PEERS],
    &[PEERS, ("2", "Its address")],
    &[PEERS, ("3", "another address...")],
    &[PEERS, ("4", "Rename whom?")],
    &[PEERS, ("4", "Rename whom?"), ("1", "Call it")],
    &[PEERS, ("5", "Forget whom?")],
    &[PEERS, ("5", "Forget whom?"), ("1", "Forget b?")],
    &[PEERS, ("6", "Whose role?"), ("1", "5  none")],
    &[PEERS, ("7", "Block whom?"), ("1", "Block b?")],
    &[PEERS, ("8", "Name of the new machine")],
    &[
        PEERS,
        ("8", "Name of the new machine"),
        ("x\r", "Where to put"),
    ],
    &[SETTINGS],
    &[SETTINGS, ("1", "1  Type another value")],
    &[
        SETTINGS,
        ("1", "1  Type another value"),
        ("1", "Value of listen ["),
    ],
    &[SETTINGS, ("2", "3  off")],
    &[("9", "2  Doctor")],
    &[("9", "2  Doctor"), ("3", "another address...")],
    &[("0", "Quit all the same?")],
];

/// Those that a line answers.
const LINES: [&str; 9] = [
    "Files or folders",
    "Names or addresses",
    "Message",
    "Its address",
    "Call it",
    "Name of the new machine",
    "Where to put",
    "Value of listen [",
    "Password: ",
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

/// Has something wait, a transfer that ended and one that runs for minutes. `press` gives a person the keys of a step.
pub(super) fn busy(homes: &Homes, person: &mut Person, press: fn(&mut Person, &str)) {
    let a = address_of(homes, "a");
    homes.ok("b", &["send", "f.txt", "--to", &a]);
    fs::write(homes.path("big.bin"), bytes(7, 64 << 20)).unwrap();
    for (path, limit) in [("~/f.txt\r", "1GiB"), ("~/big.bin\r", "256KiB")] {
        set(homes, "a", "limit", limit);
        for (keys, shown) in [WHAT, FILES, (path, "others: names"), TO] {
            press(person, keys);
            person.sees(shown);
        }
        press(person, "1");
        person.sees_menu();
    }
}

/// The keys of a step on a screen.
fn press(person: &mut Person, keys: &str) {
    person.presses(keys);
}

/// What must be the same after questions that were left.
fn made(homes: &Homes) -> (Vec<String>, String) {
    let certs = format!("{:?}", tree(&homes.home("a").join("certs")));
    let settings = fs::read_to_string(homes.home("a").join("colis.toml")).unwrap();
    let got = homes.home("b").join("received");
    wait_for("what was sent first", || got.join("f.txt").exists());
    let names = fs::read_dir(got)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with('.'));
    let got = names.join(" ");
    let peers = homes.ok("a", &["peers"]);
    // Without the time at which it was seen.
    let peers = peers
        .lines()
        .map(|line| line.split("  seen ").next().unwrap());
    (vec![certs, settings, got], peers.collect())
}

fn every_question_is_left_by(key: &str, said: &str) {
    let (homes, _b) = two();
    let mut person = Person::at_menu(&homes, "a");
    busy(&homes, &mut person, press);
    let before = made(&homes);
    for way in WAYS {
        for (keys, shown) in way {
            person.presses(keys);
            person.sees(shown);
        }
        person.presses(key);
        let back = person.sees_menu();
        assert!(back.contains(said), "{way:?}: {back}");
        assert!(!back.contains("colis: "), "{way:?}: {back}");
    }
    assert_eq!(made(&homes), before, "something was made");
    holds_every_question(&person);
    // What runs is asked about, and no is what Enter says.
    person.presses(key);
    person.sees("1 transfer runs, and goes on in this menu");
    person.sees("Quit all the same?");
    person.presses("\r");
    person.sees_menu();
    person.presses(key);
    person.sees("Quit all the same?");
    person.presses("y");
    person.sees("stopped; everything acknowledged is on disk");
    assert_eq!(person.ends(), 0);
}

#[test]
fn ctrl_c_leaves_every_question() {
    every_question_is_left_by(CTRL_C, "interrupted: back to the menu");
}

#[test]
fn esc_leaves_every_question() {
    every_question_is_left_by(ESC, "");
}

#[test]
fn ctrl_d_leaves_every_question() {
    every_question_is_left_by(CTRL_D, "");
}

/// A question of the source that no way of the table reaches has not been shown.
fn holds_every_question(person: &Person) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/menu");
    let mut found = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The first run has a table of its own; a port is asked for only where it is taken; joining ends the peer.
        if ["first_run.rs", "background.rs", "circle.rs"].contains(&&*name) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for call in [
            "ask::text(",
            "ask::needed(",
            "ask::yes(",
            "ask::sure(",
            "ask::proposed(",
            "ask::completed(",
            "choose::one(",
            "choose::several(",
            "peers::several(",
            "peers::choose(",
            "way(",
        ] {
            for (at, _) in source.match_indices(call) {
                let rest = &source[at + call.len()..];
                let Some(begin) = rest.find('"').filter(|begin| *begin < 40) else {
                    continue;
                };
                let prompt = rest[begin + 1..].split(['"', '{', '\\']).next().unwrap();
                if prompt.len() > 3 {
                    found += 1;
                    assert!(
                        person.shown().contains(prompt),
                        "{name}: no way to {prompt:?}"
                    );
                }
            }
        }
    }
    assert!(found > 20, "{found} questions found");
}

#[test]
fn ctrl_u_clears_every_line() {
    let (homes, _b) = two();
    let mut person = Person::at_menu(&homes, "a");
    busy(&homes, &mut person, press);
    let mut tried = 0;
    for way in WAYS {
        let last = way.last().unwrap().1;
        if !LINES.contains(&last) {
            continue;
        }
        for (keys, shown) in way {
            person.presses(keys);
            person.sees(shown);
        }
        if last != "Password: " {
            person.presses("wrong");
            person.sees("wrong");
            person.presses(CTRL_U);
            person.sees(last);
            let screen = person.screen().join("\n");
            assert!(!screen.contains("wrong"), "{way:?}: {screen}");
        }
        person.presses(ESC);
        person.sees_menu();
        tried += 1;
    }
    assert!(tried >= LINES.len(), "{tried}");
    person.presses("0");
    person.sees("Quit all the same?");
    person.presses("y");
    assert_eq!(person.ends(), 0);
}

#[test]
fn the_terminal_is_left_as_it_was() {
    let homes = Homes::new(&[]);
    listen_on_a_free_port(&homes, "a");
    let colis = homes.command("a", &[]);
    for ending in ["1", CTRL_C, "0"] {
        let mut shell = Command::new("sh");
        let script = "stty sane; stty -g; \"$0\" \"$@\"; stty -g; stty echo";
        shell.args(["-c", script]).arg(colis.get_program());
        shell.args(colis.get_args()).env("TERM", "xterm");
        shell.env("NO_COLOR", "1").env_remove("COLIS_HOME");
        let mut session = spawn_command(shell, Some(60_000)).unwrap();
        let before = session.exp_string("serves on").unwrap();
        let before = before.lines().next().unwrap().to_owned();
        assert!(before.contains(':'), "no modes: {before}");
        session.exp_string("0  Quit").unwrap();
        let press = |session: &mut rexpect::session::PtySession, keys: &str, shown: &str| {
            session.send(keys).unwrap();
            session.flush().unwrap();
            session.exp_string(shown).unwrap();
        };
        if ending == "1" {
            // A prompt that was left by Ctrl-C, and the end by a key.
            press(&mut session, "2", "3  Share");
            press(&mut session, "1", "Files or folders");
            press(&mut session, CTRL_C, "0  Quit");
        }
        session
            .send(if ending == "1" { "0" } else { ending })
            .unwrap();
        session.flush().unwrap();
        let rest = session.exp_eof().unwrap();
        assert!(rest.trim_end().ends_with(&before), "{before} became {rest}");
    }
}
