//! A peer that dies, a terminal that is closed, a system that wants us to end.

use std::fs;

use rexpect::process::Signal;

use testkit::person::{Person, set};
use testkit::{Homes, Serving, bytes, tree};

/// A person who sends 12 MiB to `b` slowly, of which some have passed.
fn amid_a_send(homes: &Homes, b: &Serving) -> Person {
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("big.bin"), bytes(7, 12 << 20)).unwrap();
    set(homes, "a", "limit", "2MiB");
    let mut person = Person::at_menu(homes, "a");
    for (keys, shown) in [
        ("2", "3  Share"),
        ("1", "Files or folders"),
        ("~/big.bin\r", "others: names"),
        ("1\r", "Send big.bin"),
        ("1", "What next?"),
    ] {
        person.presses(keys);
        person.sees(shown);
    }
    person.sees_like(r"big.bin to b  [1-9][0-9]?% of 12 MiB  ");
    person
}

#[test]
fn a_peer_that_dies_is_said_and_the_menu_goes_on() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    let mut person = amid_a_send(&homes, &b);
    b.kill();
    // It is waited for.
    person.sees("no answer");
    person.sees("big.bin to b: failed");
    person.sees_menu();
    // And in a list: it is chosen, and nobody is there any more.
    person.presses("6");
    person.sees("6  Delete");
    person.presses("4");
    person.sees("another address...");
    person.presses("1");
    person.sees("nobody serves colis at");
    person.sees_menu();
    person.presses("3");
    person.sees("another address...");
    person.presses("1");
    person.sees("nobody serves colis at");
    person.sees_menu();
    person.quits();
}

#[test]
fn the_end_by_a_signal_leaves_everything_in_order() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("f.txt"), "f").unwrap();
    // It has a store, which certs/ knows of from then on.
    homes.ok("a", &["share", "f.txt"]);
    for (signal, keys, shown) in [
        (Signal::SIGHUP, "", ""),
        (Signal::SIGTERM, "", ""),
        (Signal::SIGHUP, "2", "3  Share"),
        (Signal::SIGTERM, "3", "another address..."),
    ] {
        let certs = homes.home("a").join("certs");
        let before = tree(&certs);
        let mut person = Person::at_menu(&homes, "a");
        if !keys.is_empty() {
            person.presses(keys);
            person.sees(shown);
        }
        person.signal(signal);
        assert_eq!(person.ends(), 0, "{signal} at {shown}");
        assert_eq!(tree(&certs), before);
        // The store is free again, and whole.
        let checked = homes.ok("a", &["check"]);
        assert!(!checked.contains("is using the store"), "{checked}");
    }
}

#[test]
fn a_terminal_that_closes_in_a_transfer_loses_nothing() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let mut person = amid_a_send(&homes, &b);
    person.signal(Signal::SIGHUP);
    assert_eq!(person.ends(), 0);
    set(&homes, "a", "limit", "1GiB");
    let resumed = homes.run("a", &["send", "big.bin", "--to", "b"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert!(
        resumed.err.contains("of 12 chunks already there"),
        "{}",
        resumed.err
    );
}
