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
    for (what, expected) in [
        ("1", "ours.txt"),
        ("2", "ours.txt"),
        ("3", "  "),
        ("4", "theirs.txt"),
        ("5", "  "),
    ] {
        person.presses("6");
        person.sees("6  Delete");
        person.presses(what);
        if ["4", "5"].contains(&what) {
            person.sees("another address...");
            person.presses("1");
        }
        let before = person.sees_menu();
        assert!(before.contains(expected), "{what}: {before}");
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
        person.presses("7");
        person.sees("8  Certificates for a new machine");
        person.presses(key);
    };
    // Nothing is offered for which others are needed.
    person.presses("3");
    person.sees("no other peer is known yet");
    person.sees_menu();
    person.presses("7");
    person.sees("3  Certificates for a new machine");
    person.presses("2");
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
    // What is wrong is said of this name, and one that is right is there for Enter.
    person.types("Ben!");
    person.sees("Ben! is no name: a name has 1 to 63");
    person.types("");
    person.sees("ben (b)");
    person.sees_menu();
    peers(&mut person, "1");
    person.sees("ben (b)");
    person.sees_menu();
    // The name that was given is one that commands know too.
    let checked = homes.ok("a", &["peers", "check", "ben"]);
    assert!(checked.contains("answers"), "{checked}");
    let taken = homes.fails("a", &["peers", "rename", "ben", "a"], 2);
    assert!(taken.contains("a is the name of this peer"), "{taken}");
    peers(&mut person, "5");
    person.sees("Forget whom?");
    person.presses("1");
    person.sees("Forget ben?");
    person.presses("y");
    person.sees("forgot ben");
    person.sees_menu();
    person.presses("7");
    person.sees("4  Leave this circle");
    person.presses("3");
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
        person.presses("7");
        person.sees("8  Certificates");
        person.presses(key);
        person.sees(whom);
        person.presses("1");
    };
    let now = "What may b do here? Its role is";
    choose(&mut person, "6", "Whose role?");
    person.sees(&format!("{now} member now"));
    person.sees("3  reader: See what is addressed to it");
    person.sees("5  none");
    person.presses("3");
    person.sees("b: reader\r\n");
    person.sees_menu();
    let is_reader = || homes.ok("a", &["peers"]).contains("  reader  ");
    assert!(is_reader());

    // A no changes nothing.
    choose(&mut person, "7", "Block whom?");
    person.sees("Block b? It may do nothing here any more");
    person.presses("n");
    person.sees_menu();
    assert!(is_reader());
    choose(&mut person, "7", "Block whom?");
    person.sees("Block b?");
    person.presses("y");
    person.sees("b: none\r\n");
    person.sees_menu();
    wait_for("b is out", || checks() == 4);

    choose(&mut person, "6", "Whose role?");
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
    person.presses("7");
    person.sees("8  Certificates");
    person.presses("3");
    person.sees("> 1  b  no address yet");
    person.sees("another address...");
    person.presses(DOWN);
    person.sees(&format!("> 2  c  {}", c.to()));
    person.presses("\r");
    person.sees(&format!("{} answers", c.to()));
    person.sees_menu();
    person.quits();
}

#[test]
fn settings_are_chosen_and_in_force_at_once() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "f").unwrap();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    let settings = |person: &mut Person, key: &str| {
        person.presses("8");
        person.sees("1  listen ");
        person.sees("discovery");
        person.presses(key);
    };
    // Each is listed with its value, and explained.
    settings(&mut person, "2");
    person.sees("What to do with what arrives for this peer");
    person.sees("1  auto: open what arrives into received/ (now)");
    person.sees("3  off");
    person.presses("2");
    person.sees("inbox is set in");
    person.sees("takes it from now on");
    person.sees_menu();
    homes.ok("b", &["send", "f.txt", "--to", &a]);
    person.sees("waits for a yes: see Arrivals");
    person.sees("4  Arrivals: 1 to look at");
    person.sees("0  Quit");
    person.presses("9");
    person.sees("2  Doctor");
    person.presses("1");
    person.sees("inbox: ask, 1 transfer waits");
    person.sees_menu();
    // A value that cannot be is said, and asked again; Esc leaves the setting as it was.
    settings(&mut person, "1");
    person.sees("2  Back to the default");
    person.presses("1");
    person.sees("Value of listen [");
    person.types("nowhere");
    person.sees("colis: ");
    person.sees("2  Back to the default");
    person.presses(testkit::person::ESC);
    person.sees_menu();
    person.quits();
    let text = fs::read_to_string(homes.home("a").join("colis.toml")).unwrap();
    assert!(text.contains("\ninbox = \"ask\"\n"), "{text}");
    assert!(text.contains("listen = \"127.0.0.1:0\""), "{text}");
    // What was set is taken back.
    let mut person = Person::at_menu(&homes, "a");
    settings(&mut person, "2");
    person.sees("4  Back to the default");
    person.presses("4");
    person.sees("has its default, and is not set in");
    person.sees_menu();
    person.quits();
    let text = fs::read_to_string(homes.home("a").join("colis.toml")).unwrap();
    assert!(!text.contains("\ninbox = "), "{text}");
}

#[test]
fn arrows_and_letters_do_as_well_and_ctrl_d_leaves() {
    let homes = Homes::new(&[]);
    let mut person = Person::at_menu(&homes, "a");
    person.presses(DOWN);
    person.sees("> 2  Send");
    person.presses("k");
    person.sees("> 1  Pair");
    person.presses("k");
    person.sees("> 0  Quit");
    person.presses("k");
    person.sees("> 9  More");
    person.presses("\r");
    person.sees("2  Doctor");
    person.presses("\r");
    person.sees("serving: 127.0.0.1:");
    person.sees_menu();
    // The end of the input goes back from a list, and leaves from the first one.
    person.presses("8");
    person.sees("discovery");
    person.presses(CTRL_D);
    person.sees_menu();
    person.presses(CTRL_D);
    assert_eq!(person.ends(), 0);
    for key in [testkit::person::ESC, "q"] {
        let mut person = Person::at_menu(&homes, "a");
        person.presses(key);
        assert_eq!(person.ends(), 0, "{key}");
    }
}

#[test]
fn what_is_destructive_is_not_done_by_enter() {
    let (homes, _b) = super::interrupts::two();
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    homes.ok("b", &["send", "f.txt", "--to", &a]);
    person.sees("4  Arrivals: 1");
    let before = homes.ok("a", &["peers"]);
    for (keys, last) in [
        (&["7", "5", "1"][..], "Forget b?"),
        (&["7", "7", "1"], "Block b?"),
        (&["4", " \r", "3"], "Refuse it?"),
    ] {
        for (keys, shown) in keys.iter().zip(
            [
                &["8  Cert", "hom?", last][..],
                &["f.txt", "3  Refuse", last],
            ][usize::from(keys[0] == "4")],
        ) {
            person.presses(keys);
            person.sees(shown);
        }
        person.presses("\r");
        let back = person.sees_menu();
        assert!(back.contains(" no\r\n"), "{last}: {back}");
    }
    assert_eq!(homes.ok("a", &["peers"]), before);
    assert!(homes.ok("a", &["inbox"]).contains("f.txt"));
    person.quits();
}

#[test]
fn a_machine_joins_by_a_code_from_menu_to_menu() {
    let homes = Homes::new(&[]);
    let mut anna = Person::at_menu(&homes, "a");
    anna.presses("1");
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
    ben.sees("To send to a: 2, while it serves.");
    ben.sees(&format!("b serves on [::]:{port}"));
    ben.sees_menu();
    anna.sees("b has joined from 127.0.0.1");
    anna.sees_menu();
    // Ctrl-C at a code goes back to the menu.
    anna.presses("1");
    anna.sees("Ctrl-C ends it");
    anna.presses(testkit::person::CTRL_C);
    anna.sees("interrupted: back to the menu");
    anna.sees_menu();
    // A machine that cannot let anybody in does not offer it, and says which one can.
    let screen = ben.screen().join("\n");
    assert!(!screen.contains("1  Pair"), "{screen}");
    ben.presses("1");
    ben.sees("a made this circle and lets machines in");
    ben.sees_menu();
    ben.quits();
    anna.quits();
    let peers = homes.ok("a", &["peers"]);
    assert!(peers.contains(&format!("127.0.0.1:{port}")), "{peers}");
}
