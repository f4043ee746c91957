//! What is taken back: transfers, sends that were not finished, machines.

use std::{fs, process::Stdio};

use testkit::person::{Person, set};
use testkit::{Homes, bytes, wait_for};

#[test]
fn a_transfer_here_is_deleted_after_a_yes() {
    let homes = Homes::new(&[]);
    for name in ["one.txt", "two.txt"] {
        fs::write(homes.path(name), name).unwrap();
        homes.ok("a", &["share", name]);
        // The list is in the order of time, which has seconds.
        std::thread::sleep(std::time::Duration::from_millis(1100));
    }
    let mut person = Person::at_menu(&homes, "a");
    for (answer, said) in [("\r", "Delete it? no"), ("y", "  deleted: one.txt")] {
        person.presses("6");
        person.sees("4  Delete");
        person.presses("4");
        person.sees("Which?");
        person.sees("two.txt");
        person.presses("1\r");
        person.sees("  goes: one.txt, 7 B");
        person.sees("; frees ");
        person.sees("Delete it?");
        person.presses(answer);
        person.sees(said);
        person.sees_menu();
    }
    person.quits();
    let left = homes.ok("a", &["list"]);
    assert!(
        !left.contains("one.txt") && left.contains("two.txt"),
        "{left}"
    );
}

#[test]
fn what_was_sent_is_taken_back_from_the_peer_that_stores_it() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f.txt"), "f").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to()]);
    let mut person = Person::at_menu(&homes, "a");
    for (keys, shown) in [
        ("6", "6  Delete"),
        ("6", "Delete what?"),
        ("2", "another address..."),
        ("1", "f.txt  1 B"),
        ("1\r", "Delete it at b?"),
        ("y", "deleted at b: f.txt"),
    ] {
        person.presses(keys);
        person.sees(shown);
    }
    person.sees_menu();
    person.quits();
    assert!(!homes.ok("b", &["list"]).contains("  1 B"));
}

/// Begins a send of `name` to b by a command, and ends it in between. Gives the beginning of its id.
fn is_begun(homes: &Homes, name: &str) -> String {
    fs::write(homes.path(name), bytes(7, 12 << 20)).unwrap();
    let mut sending = homes.command("a", &["send", name, "--to", "b", "--limit", "2MiB"]);
    let mut sending = sending.stderr(Stdio::null()).spawn().unwrap();
    let mut id = None;
    wait_for("some of it", || {
        let status = homes.ok("a", &["status"]);
        let mut lines = status.lines().filter(|line| line.contains(name));
        let line = lines.find(|line| !line.contains("  0 B of"));
        id = line.and_then(|line| Some(line.split_whitespace().nth(1)?.to_owned()));
        id.is_some()
    });
    sending.kill().unwrap();
    sending.wait().unwrap();
    id.unwrap()
}

#[test]
fn a_send_that_was_not_finished_goes_on_or_is_forgotten() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let id = is_begun(&homes, "first.bin");
    set(&homes, "a", "limit", "1GiB");
    let mut person = Person::at_menu(&homes, "a");
    let choose = |person: &mut Person| {
        person.sees("5  Transfers: 1 not finished, go on or forget");
        person.sees("0  Quit");
        person.presses("5");
        person.sees("Which transfer?");
        person.sees("not finished: ");
        person.presses("1");
        person.sees("2  Forget it");
    };
    // The list of the start was read already.
    person.presses("k");
    person.presses("5");
    person.sees("Which transfer?");
    person.presses("1");
    person.sees("1  Go on with it");
    person.presses("1");
    person.sees(&format!("(transfer {id})"));
    person.sees("first.bin to b: done");
    person.quits();
    is_begun(&homes, "second.bin");
    let mut person = Person::start(&homes, "a");
    choose(&mut person);
    person.presses("2");
    person.sees("Forget it?");
    person.presses("\r");
    choose(&mut person);
    person.presses("2");
    person.sees("Forget it?");
    person.presses("y");
    person.sees("dropped: ");
    let before = person.sees_menu();
    assert!(!before.contains("5  Transfers"), "{before}");
    person.quits();
    wait_for("the first", || {
        homes.home("b").join("received/first.bin").exists()
    });
}

#[test]
fn a_machine_that_is_lost_is_revoked_and_offered_no_more() {
    let homes = Homes::new(&["b", "c"]);
    let (b, c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("a", &["peers", "add", &c.to()]);
    fs::write(homes.path("f.txt"), "f").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    for (answer, said) in [("\r", " no\r\n"), ("y", "revoked ")] {
        person.presses("7");
        person.sees("0  Revoke a machine that is lost");
        person.presses("0");
        person.sees("Revoke whom?");
        person.sees("2  c");
        person.presses("1");
        person.sees("for a time: Block.");
        person.sees("Revoke b  ");
        person.sees("for good?");
        person.presses(answer);
        person.sees(said);
        person.sees_menu();
    }
    for (keys, shown) in [
        ("2", "3  Share"),
        ("1", "Files or folders"),
        ("~/f.txt\r", "To whom?"),
    ] {
        person.presses(keys);
        person.sees(shown);
    }
    let offered = person.sees("others: names");
    assert!(
        offered.contains("  c  ") && !offered.contains("  b  "),
        "{offered}"
    );
    person.presses(testkit::person::ESC);
    person.sees_menu();
    // What is known of it can be forgotten: it comes last, and is marked.
    person.presses("7");
    person.sees("5  Forget");
    person.presses("5");
    person.sees("1  c  ");
    person.sees("2  b  ");
    person.sees("  revoked");
    person.presses("2");
    person.sees("Forget b?");
    person.presses(testkit::person::ESC);
    person.sees_menu();
    person.presses("7");
    person.sees("7  Block");
    person.presses("7");
    let said = person.sees("Block whom?");
    assert!(!said.contains("A block is"), "{said}");
    person.presses("1");
    person.sees("A block is of this machine alone.");
    person.sees("Block c?");
    person.presses(testkit::person::ESC);
    person.sees_menu();
    person.quits();
}
