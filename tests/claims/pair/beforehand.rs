//! What is looked at before two machines pair, and how a question to a person ends that a signal comes to.

use std::{fs, net::TcpListener};

use rexpect::process::Signal;
use testkit::{
    Homes, Ran,
    person::{Person, free_port},
};

use super::{Inviting, join};

const ENDS: [(Signal, i32); 3] = [
    (Signal::SIGINT, 130),
    (Signal::SIGTERM, 143),
    (Signal::SIGHUP, 129),
];

fn at_terminal(homes: &Homes, home: &str, args: &[&str]) -> Person {
    Person::at_terminal(homes, homes.command(home, args), "xterm-256color")
}

#[test]
fn a_signal_ends_every_question_with_a_word() {
    let homes = Homes::new(&["b"]);
    let inviting = Inviting::start(&homes, &[]);
    let to = inviting.to();
    fs::write(homes.path("f"), "x").unwrap();
    let questions: [(&str, &[&str], &str, &str); 3] = [
        (
            "n",
            &["pair", &to, "--name", "n"],
            "Code: ",
            "nothing was kept",
        ),
        (
            "b",
            &["certs", "leave"],
            "Leave it? [y/N]: ",
            "nothing was changed",
        ),
        (
            "b",
            &["seal", "f", "--password", "--out", "sealed"],
            "Password: ",
            "interrupted",
        ),
    ];
    for (home, args, question, word) in questions {
        for (signal, code) in ENDS {
            let mut person = at_terminal(&homes, home, args);
            person.sees(question);
            person.signal(signal);
            // On a line of its own.
            person.sees("\r\n");
            person.sees(word);
            assert_eq!(person.ends(), code, "{args:?} {signal}");
        }
    }
    assert!(homes.home("b").join("certs/server-key.pem").exists());
    assert!(!homes.path("sealed").exists());
}

#[test]
fn a_signal_after_the_pairing_says_what_is_next() {
    for (signal, code) in ENDS {
        let homes = Homes::new(&[]);
        let mut anna = at_terminal(&homes, "a", &["pair", "--port", "0"]);
        anna.sees("  colis pair ");
        let address = anna.sees("\r\n");
        let port = address.trim().rsplit(':').next().unwrap().to_owned();
        anna.sees("and then the code:");
        let shown = anna.next_line();
        let joined = join(&homes, "b", &format!("127.0.0.1:{port}"), &shown);
        assert_eq!(joined.code, 0, "{}", joined.err);
        anna.sees("Serve now? [Y/n]: ");
        anna.signal(signal);
        anna.sees("interrupted; the two machines are paired");
        anna.sees("next: colis --home ");
        assert_eq!(anna.ends(), code);
        assert!(!anna.shown().contains("the same command again"));
    }
}

#[test]
fn a_code_in_the_place_of_a_host_is_not_looked_up() {
    let homes = Homes::new(&["b"]);
    for (home, args) in [
        ("new", ["pair", "7-lotus-castor"].as_slice()),
        ("new", &["pair", "7-Lotos-castor"]),
        ("b", &["peers", "add", "7-lotus-castor"]),
    ] {
        let said = homes.fails(home, args, 2);
        assert!(said.contains("this is a pairing code"), "{said}");
        assert!(said.contains("colis pair HOST"), "{said}");
        assert!(!said.contains("castor"), "{said}");
    }
    assert!(!homes.home("new").exists());
}

#[test]
fn who_is_to_serve_on_a_port_that_is_taken_is_told_before_the_pairing() {
    let homes = Homes::new(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    for args in [["--serve", "--listen"].as_slice(), &["--listen"]] {
        let args = [&["pair", "--name", "n"], args, &[&listen]].concat();
        let said = homes.fails("n", &args, 7);
        assert!(said.contains("in use by another process"), "{said}");
        assert!(said.contains("choose another: --listen :9443"), "{said}");
    }
    assert!(!homes.home("n").join("certs").exists());
    // Whoever does not serve pairs, and promises nothing.
    let mut inviting = Inviting::start(&homes, &[]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let args = [
        "pair",
        &inviting.to(),
        "--name",
        "b",
        "--code-file",
        "code.txt",
    ];
    let mut joining = homes.command("b", &args);
    let joined = Ran::from(joining.env("COLIS_LISTEN", &listen).output().unwrap());
    assert_eq!(joined.code, 0, "{}", joined.err);
    assert!(joined.err.contains("could not serve"), "{}", joined.err);
    let paired = inviting.hears("paired");
    assert_eq!(paired["addresses"].as_array().unwrap().len(), 0, "{paired}");
}

#[test]
fn the_port_that_is_chosen_is_promised_and_served_on() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let args = [
        "--json",
        "pair",
        &inviting.to(),
        "--name",
        "b",
        "--code-file",
        "code.txt",
    ];
    let mut serving = homes.command("b", &args);
    serving.args(["--serve", "--listen", &listen]);
    let mut serving = serving.spawn().unwrap();
    let paired = inviting.hears("paired");
    assert_eq!(paired["addresses"][0], *listen, "{paired}");
    testkit::wait_for("it serves", || {
        homes.run("b", &["--json", "status"]).out.contains(&listen)
    });
    homes.ok("b", &["stop"]);
    assert!(serving.wait().unwrap().success());
}

#[test]
fn the_port_of_files_is_said_to_be_that() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("code.txt"), "7-lotus-castor\n").unwrap();
    let args = ["pair", &b.to(), "--name", "n", "--code-file", "code.txt"];
    let ran = homes.run("n", &args);
    assert_ne!(ran.code, 0);
    let says = format!("{} is the port of files", b.to());
    assert!(ran.err.contains(&says), "{}", ran.err);
}

#[test]
fn a_member_is_told_whose_machine_lets_others_in() {
    let homes = Homes::new(&["b"]);
    let said = homes.fails("b", &["pair"], 3);
    assert!(
        said.contains("the machine that made the circle, a;"),
        "{said}"
    );
}
