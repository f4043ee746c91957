//! The other entries: lists, peers, settings.

use std::fs;

use testkit::person::{CTRL_D, DOWN, Person, address_of};
use testkit::{Homes, wait_for};

#[test]
fn lists_show_what_is_here_and_at_a_peer() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("ours.txt"), "ours").unwrap();
    fs::write(homes.path("theirs.txt"), "theirs").unwrap();
    homes.ok("a", &["share", "ours.txt"]);
    homes.ok("b", &["share", "theirs.txt", "--to", "a"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut person = Person::at_menu(&homes, "a");
    for (entry, what, expected) in [
        ("3", "1", "ours.txt"),
        ("3", "2", "  "),
        ("3", "3", "ours.txt"),
        ("4", "1", "theirs.txt"),
        ("4", "2", "  "),
    ] {
        person.presses(entry);
        if entry == "4" {
            person.sees("another address...");
            person.presses("1");
        }
        person.sees("2  Chunks");
        person.presses(what);
        person.sees("What of it? ");
        let before = person.sees_menu();
        assert!(before.contains(expected), "{entry} {what}: {before}");
    }
    person.quits();
}

#[test]
fn peers_are_added_checked_renamed_and_forgotten() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "forget", "b"]);
    let mut person = Person::at_menu(&homes, "a");
    let peers = |person: &mut Person, key: &str| {
        person.presses("6");
        person.sees("8  Certificates for a new machine");
        person.presses(key);
    };
    peers(&mut person, "4");
    person.sees("no other peer is known yet");
    person.sees_menu();
    peers(&mut person, "2");
    person.sees("Its address");
    person.types(&b.to());
    person.sees("remembered");
    person.sees_menu();
    peers(&mut person, "3");
    person.sees("another address...");
    person.presses("1");
    person.sees("answers: ");
    person.sees_menu();
    peers(&mut person, "4");
    person.sees("Rename whom?");
    person.presses("1");
    person.sees("Call it");
    person.types("Ben!");
    person.sees("a name has 1 to 63");
    person.types("ben");
    person.sees("ben (b)");
    person.sees_menu();
    peers(&mut person, "1");
    person.sees("ben (b)");
    person.sees_menu();
    // The name that was given is one that commands know too.
    assert!(
        homes
            .ok("a", &["peers", "check", "ben"])
            .contains("answers")
    );
    let taken = homes.fails("a", &["peers", "rename", "ben", "a"], 2);
    assert!(taken.contains("a is the name of this peer"), "{taken}");
    peers(&mut person, "5");
    person.sees("Forget whom?");
    person.presses("1");
    person.sees("Forget ben?");
    person.presses("y");
    person.sees("forgot ben");
    person.sees_menu();
    peers(&mut person, "8");
    person.sees("Name of the new machine");
    person.types("carla");
    person.sees("Where to put its folder");
    person.types("~/for\\ carla");
    person.sees("carry that folder");
    person.sees_menu();
    person.quits();
    assert!(homes.path("for carla/server-key.pem").exists());
}

#[test]
fn a_role_is_seen_and_changed_and_a_peer_is_blocked_and_let_in_again() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_menu(&homes, "a");
    let at = address_of(&homes, "a");
    let checks = || homes.run("b", &["peers", "check", &at]).code;
    assert_eq!(checks(), 0);
    let choose = |person: &mut Person, key: &str, whom: &str| {
        person.presses("6");
        person.sees("8  Certificates");
        person.presses(key);
        person.sees(whom);
        person.presses("1");
    };
    let now = "What may b do here? Its role is";
    choose(&mut person, "6", "Whose role?\r\n");
    person.sees(&format!("{now} member now"));
    person.sees("3  reader: See what is addressed to it");
    person.sees("5  none");
    person.presses("3");
    person.sees("b: reader\r\n");
    person.sees_menu();
    let is_reader = || homes.ok("a", &["peers"]).contains("  reader  ");
    assert!(is_reader());

    // A no changes nothing.
    choose(&mut person, "7", "Block whom?\r\n");
    person.sees("Block b? It may do nothing here any more");
    person.presses("n");
    person.sees_menu();
    assert!(is_reader());
    choose(&mut person, "7", "Block whom?\r\n");
    person.sees("Block b?");
    person.presses("y");
    person.sees("b: none\r\n");
    person.sees_menu();
    wait_for("b is out", || checks() == 4);

    choose(&mut person, "6", "Whose role?\r\n");
    person.sees(&format!("{now} none now"));
    person.sees("5  none");
    person.presses("1");
    person.sees("b: member\r\n");
    person.sees_menu();
    wait_for("b is in again", || checks() == 0);
    person.quits();
}

#[test]
fn more_peers_than_digits_are_chosen_with_the_arrows() {
    let names = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let homes = Homes::new(&names);
    let c = homes.serve("c", &[]);
    homes.ok("a", &["peers", "add", &c.to()]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses("6");
    person.sees("8  Certificates");
    person.presses("3");
    person.sees("> b  no address yet");
    person.sees("another address...");
    person.presses(DOWN);
    person.sees(&format!("> c  {}", c.to()));
    person.sees("another address...");
    person.presses("\r");
    person.sees(&format!("{} answers", c.to()));
    person.sees_menu();
    person.quits();
}

#[test]
fn settings_are_seen_and_changed() {
    let homes = Homes::new(&[]);
    let mut person = Person::at_menu(&homes, "a");
    let settings = |person: &mut Person, key: &str| {
        person.presses("8");
        person.sees("listen ");
        person.sees("4  Back");
        person.presses(key);
    };
    settings(&mut person, "1");
    person.sees("Address and port");
    person.types("nowhere");
    person.sees("colis: ");
    person.sees_menu();
    settings(&mut person, "2");
    person.sees("3  off");
    person.presses("2");
    person.sees("inbox is set in");
    person.sees_menu();
    settings(&mut person, "3");
    person.sees("Which setting");
    person.types("qouta");
    person.sees("Its value");
    person.types("1GiB");
    person.sees("quota");
    person.sees_menu();
    settings(&mut person, "4");
    person.sees_menu();
    person.quits();
    let text = fs::read_to_string(homes.home("a").join("colis.toml")).unwrap();
    assert!(text.contains("\ninbox = \"ask\"\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:0\""), "{text}");
}

#[test]
fn arrows_and_letters_do_as_well_and_ctrl_d_leaves() {
    let homes = Homes::new(&[]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses(DOWN);
    person.sees("> 2  Fetch");
    person.sees("0  Pair");
    person.presses("k");
    person.sees("> 1  Send");
    person.sees("0  Pair");
    person.presses("k");
    person.sees("> 0  Pair");
    person.presses("x");
    person.sees("> 0  Pair");
    person.presses("k");
    person.sees("> 9  Status");
    person.sees("0  Pair");
    person.presses("\r");
    person.sees("serving: 127.0.0.1:");
    person.sees_menu();
    // The end of the input goes back from a list, and leaves from the first one.
    person.presses("8");
    person.sees("4  Back");
    person.presses(CTRL_D);
    person.sees_menu();
    person.presses(CTRL_D);
    assert_eq!(person.ends(), 0);
}

#[test]
fn a_machine_joins_by_a_code_from_menu_to_menu() {
    let homes = Homes::new(&[]);
    let mut anna = Person::at_menu(&homes, "a");
    anna.presses("0");
    anna.sees("  colis pair ");
    let host = anna.sees("\r\n");
    anna.sees("and then the code:");
    let code = anna.next_line();
    anna.sees("Ctrl-C ends it");
    let mut command = homes.command("b", &[]);
    let port = testkit::person::free_port();
    command.env("COLIS_LISTEN", format!("[::]:{port}"));
    let mut ben = Person::at_terminal(&homes, command, "xterm-256color");
    ben.sees("3  Join a circle by a code");
    ben.presses("3");
    ben.sees("The address or name that it shows");
    ben.types(host.trim());
    ben.sees("Name of this machine");
    ben.types("b");
    ben.sees("Code: ");
    ben.types(&code);
    ben.sees("joined the circle of a");
    ben.takes_the_usual_folder();
    ben.sees("To send to a: 1, while it serves.");
    ben.sees(&format!("b serves on [::]:{port}"));
    ben.sees_menu();
    anna.sees("b has joined from 127.0.0.1");
    anna.sees_menu();
    // Ctrl-C at a code goes back to the menu.
    anna.presses("0");
    anna.sees("Ctrl-C ends it");
    anna.presses(testkit::person::CTRL_C);
    anna.sees("interrupted: back to the menu");
    anna.sees_menu();
    // A machine that cannot let anybody in says so.
    ben.presses("0");
    ben.sees("the circle's key is on another machine");
    ben.sees_menu();
    ben.quits();
    anna.quits();
    let peers = homes.ok("a", &["peers"]);
    assert!(peers.contains(&format!("127.0.0.1:{port}")), "{peers}");
}
