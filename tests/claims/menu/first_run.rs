//! The first run, and where there is no terminal.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _};

use testkit::person::{CTRL_C, ESC, Person, free_port, set};
use testkit::{Homes, tree};

/// The menu of a new home whose settings say a port.
fn new_on(homes: &Homes, home: &str, port: u16) -> Person {
    let mut command = homes.command(home, &[]);
    command.env("COLIS_LISTEN", format!("[::]:{port}"));
    Person::at_terminal(homes, command, "xterm-256color")
}

#[test]
fn the_first_run_makes_a_circle_says_what_and_serves() {
    let homes = Homes::new(&[]);
    let port = free_port();
    let mut person = new_on(&homes, "new", port);
    person.sees("Nothing is set up in");
    person.sees("A circle is the machines that trust each other");
    person.sees("2  Take over a folder");
    person.presses("1");
    person.sees("Name of this machine");
    person.types("日本");
    person.sees("a name has 1 to 63");
    person.sees("Name of this machine");
    assert!(!homes.home("new").exists(), "before the last answer");
    person.types("Anna's Box");
    person.sees("Anna's Box is called annas-box");
    person.sees("made a circle; this machine is annas-box");
    person.takes_the_usual_folder();
    let said = person.sees(&format!("annas-box serves on [::]:{port}"));
    assert!(
        said.contains("For another machine: 1 Pair shows a code"),
        "{said}"
    );
    person.sees_menu();
    person.presses("9");
    person.sees("2  Doctor");
    person.presses("1");
    person.sees(&format!("serving: [::]:{port} since today "));
    person.sees_menu();
    assert!(!person.shown().contains("next:"), "{}", person.shown());
    assert!(!person.shown().contains(".pem"), "{}", person.shown());
    person.quits();
    let certs = homes.home("new").join("certs");
    for (name, mode) in [
        ("", 0o700),
        ("ca-key.pem", 0o600),
        ("server-key.pem", 0o600),
        ("seal-key.pem", 0o600),
    ] {
        let found = fs::metadata(certs.join(name)).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
    }
    // The second time nothing is asked.
    let mut again = new_on(&homes, "new", port);
    again.sees(&format!("annas-box serves on [::]:{port}"));
    again.sees_menu();
    again.quits();
}

#[test]
fn the_first_run_takes_a_folder_over_and_leaves_the_original() {
    let homes = Homes::new(&[]);
    let stick = homes.path("my stick");
    homes.ok(
        "a",
        &["certs", "issue", "b", "--out", stick.to_str().unwrap()],
    );
    let before = tree(&stick);
    let mut person = new_on(&homes, "b", free_port());
    person.sees("2  Take over a folder");
    person.presses("2");
    person.sees("The folder");
    person.types("/no/such/folder");
    person.sees("not found");
    person.types(&format!("{}/a/certs/ca-cert.pem", homes.path("").display()));
    person.sees("one folder, as `colis certs issue` makes it");
    person.types(&format!("{}/certs", homes.home("a").display()));
    person.sees("holds the circle's key");
    person.sees("2  Take over a folder");
    person.presses("2");
    person.sees("The folder");
    person.types(&format!("'{}' ", stick.display()));
    person.sees("can be deleted");
    person.takes_the_usual_folder();
    person.sees("b serves on");
    person.sees_menu();
    person.quits();
    assert_eq!(tree(&stick), before);
    let certs = homes.home("b").join("certs");
    assert!(certs.join("server-key.pem").exists() && !certs.join("ca-key.pem").exists());
    assert!(homes.ok("b", &["peers"]).starts_with("a "));
}

#[test]
fn a_first_run_that_is_stopped_has_made_nothing() {
    let homes = Homes::new(&[]);
    for (keys, wait) in [
        ("", "2  Take over"),
        ("1", "Name of this machine"),
        ("2", "The folder"),
        ("3", "The address or name"),
    ] {
        let mut person = Person::start(&homes, "new");
        person.sees("2  Take over");
        if !keys.is_empty() {
            person.presses(keys);
            person.sees(wait);
        }
        person.presses(CTRL_C);
        person.sees("stopped before everything was made");
        assert_eq!(person.ends(), 130);
        assert!(!homes.home("new").exists(), "{wait}");
    }
    // Esc and an empty line go back instead.
    let mut person = Person::start(&homes, "new");
    person.sees("2  Take over");
    person.presses("2");
    person.sees("The folder");
    person.types("");
    person.sees("Who is this machine?\r\n");
    person.sees("2  Take over");
    person.presses(ESC);
    person.sees("stopped before");
    assert_eq!(person.ends(), 130);
}

/// A code that is typed where a code was wrong is taken for a code, and for nothing else.
#[test]
fn after_a_wrong_code_the_code_is_asked_for_again_and_nothing_is_made() {
    let homes = Homes::new(&[]);
    let mut anna = Person::at_menu(&homes, "a");
    anna.presses("1");
    anna.sees("  colis pair ");
    let host = anna.sees("\r\n").trim().to_owned();
    anna.sees("and then the code:");
    let code = anna.next_line();
    let (number, words) = code.split_once('-').unwrap();
    let number: u8 = number.parse().unwrap();
    let wrong = |by: u8| format!("{}-{words}", (number - 1 + by) % 64 + 1);
    let mut ben = new_on(&homes, "ben", free_port());
    ben.sees("3  Join a circle by a code");
    ben.presses("3");
    ben.sees("The address or name that it shows");
    ben.types("");
    ben.sees("an address or a name");
    ben.sees("The address or name that it shows");
    ben.types(&code);
    ben.sees("this is a code");
    ben.sees("The address or name that it shows");
    ben.types("127.0.0.1:1");
    ben.sees("Name of this machine");
    ben.types("ben");
    ben.sees("nobody shows a code at 127.0.0.1:1");
    ben.sees("The address or name that it shows");
    ben.types(&host);
    for left in [2, 1] {
        ben.sees("Code: ");
        ben.types(&wrong(left));
        ben.sees(&format!("wrong code ({left} of its tries left)"));
    }
    ben.sees("Code: ");
    ben.types(&wrong(3));
    // The code counts no more. What the next one is typed into is no list.
    ben.sees("wrong code (0 of its tries left)");
    ben.sees("The address or name that it shows");
    ben.types(&wrong(4));
    ben.sees("this is a code");
    ben.sees("The address or name that it shows");
    assert!(
        !homes.home("ben").exists(),
        "nothing is made before the last answer"
    );
    anna.sees("tried too often");
    anna.sees_menu();
    anna.presses("1");
    anna.sees("and then the code:");
    let code = anna.next_line();
    // Enter takes the address that was typed before.
    ben.types("");
    ben.sees("Code: ");
    ben.types(&code);
    ben.sees("joined the circle of a");
    ben.takes_the_usual_folder();
    ben.sees("ben serves on");
    ben.sees_menu();
    assert!(!ben.shown().contains("next:"), "{}", ben.shown());
    anna.sees("ben has joined from 127.0.0.1");
    anna.sees_menu();
    anna.quits();
    ben.quits();
}

#[test]
fn without_a_terminal_the_commands_are_named() {
    let homes = Homes::new(&[]);
    let said = homes.fails("a", &[], 2);
    assert!(
        said.starts_with("colis: the menu needs a terminal\n"),
        "{said}"
    );
    for command in [
        "send", "receive", "list", "peers", "serve", "status", "--help",
    ] {
        assert!(said.contains(command), "{command}: {said}");
    }
    let ran = homes.run("a", &["--json"]);
    assert_eq!(ran.code, 2);
    let object: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(object["message"], "the menu needs a terminal");
}

#[test]
fn a_port_that_is_taken_is_said_and_another_one_used() {
    let homes = Homes::new(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    set(&homes, "a", "listen", &address.to_string());
    let mut person = Person::start(&homes, "a");
    person.sees(&format!("{address} is in use by another process"));
    person.sees("Another port");
    person.types(&address.port().to_string());
    person.sees("in use by another process");
    let port = free_port();
    person.sees("Another port");
    person.types(&port.to_string());
    person.sees(&format!("a serves on 127.0.0.1:{port}"));
    person.sees_menu();
    person.quits();
    // Or none: then the menu works, and says that nothing is served.
    let mut person = Person::start(&homes, "a");
    person.sees("Another port");
    person.presses(CTRL_C);
    person.sees("nothing is served");
    person.sees_menu();
    person.quits();
}

#[test]
fn a_peer_of_ours_that_serves_already_is_used() {
    let homes = Homes::new(&[]);
    let serving = homes.serve("a", &[]);
    let mut person = Person::start(&homes, "a");
    person.sees(&format!(
        "another colis serves this home on {}",
        serving.to()
    ));
    person.sees_menu();
    person.presses("6");
    person.sees("3  Chunks here");
    person.presses("1");
    person.sees("no transfers");
    person.sees_menu();
    person.quits();
    assert_eq!(
        testkit::person::address_of(&homes, "a"),
        serving.to(),
        "it still serves"
    );
}
