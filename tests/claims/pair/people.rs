//! Two people at two terminals: what each is asked, in which order, and what a slip of a finger costs.

use std::{
    fs,
    net::{TcpListener, TcpStream},
};

use super::{Inviting, join, live};
use testkit::person::{CTRL_C, CTRL_D, Person, free_port};
use testkit::{Homes, bytes};

fn at_terminal(homes: &Homes, home: &str, args: &[&str]) -> Person {
    Person::at_terminal(homes, homes.command(home, args), "xterm-256color")
}

/// The same, for one who goes on to serve: not on the usual port, which another peer of this machine may have.
fn at_terminal_on(homes: &Homes, home: &str, port: u16, args: &[&str]) -> Person {
    let mut command = homes.command(home, args);
    command.env("COLIS_LISTEN", format!("127.0.0.1:{port}"));
    Person::at_terminal(homes, command, "xterm-256color")
}

/// Shows a code; gives the port and the code.
fn shown(person: &mut Person) -> (u16, String) {
    person.sees("  colis pair ");
    let address = person.sees("\r\n");
    let port = address.trim().rsplit(':').next().unwrap().parse().unwrap();
    person.sees("and then the code:");
    let code = person.next_line();
    person.sees("Ctrl-C ends it");
    (port, code)
}

fn wrong(code: &str) -> String {
    let (number, words) = code.split_once('-').unwrap();
    let number: u8 = number.parse().unwrap();
    format!("{}-{words}", number % 64 + 1)
}

#[test]
fn two_commands_and_both_serve_and_the_command_that_is_printed_works() {
    let homes = Homes::new(&[]);
    let (a, b) = (free_port(), free_port());
    let mut anna = at_terminal_on(
        &homes,
        "anna",
        a,
        &["pair", "--name", "anna", "--port", "0"],
    );
    let (port, code) = shown(&mut anna);
    anna.sees(&format!(
        "TCP port {port} pass for this, and {a} for what is sent"
    ));
    let to = format!("127.0.0.1:{port}");
    let mut ben = at_terminal_on(&homes, "ben", b, &["pair", &to, "--name", "ben"]);
    ben.sees("Code: ");
    ben.types("7-lotus-castro");
    ben.sees("castor, perhaps?");
    ben.sees("Code: ");
    // A wrong one costs a try, and is asked for again.
    ben.types(&wrong(&code));
    ben.sees("wrong code (2 of its tries left)");
    ben.sees("Code: ");
    ben.presses(&format!("{code}x\u{7f}\r"));
    ben.sees("joined the circle of anna");
    anna.sees("ben has joined from 127.0.0.1");
    for person in [&mut anna, &mut ben] {
        person.sees("Serve now? [Y/n]: ");
    }
    // A code that is typed once more is no answer here.
    ben.types(&code);
    ben.sees("y or n");
    ben.sees("Serve now? [Y/n]: ");
    ben.types("");
    ben.sees("next, in another terminal: colis --home ");
    ben.sees(&format!("serves on 127.0.0.1:{b}"));
    anna.types("y");
    anna.sees("next, in another terminal: colis ");
    let next = anna.sees("\r\n");
    anna.sees(&format!("serves on 127.0.0.1:{a}"));
    // As it is printed, in another terminal.
    fs::write(homes.path("FILE"), bytes(3, 70_000)).unwrap();
    let words: Vec<_> = next.split_whitespace().collect();
    let ["--home", home, rest @ ..] = words.as_slice() else {
        panic!("{next}");
    };
    homes.ok(home, rest);
    ben.sees("ben/received/FILE");
    let received = homes.home("ben").join("received/FILE");
    assert_eq!(fs::read(received).unwrap(), bytes(3, 70_000));
    for mut person in [anna, ben] {
        person.presses(CTRL_C);
        person.sees("stopped; everything acknowledged is on disk");
        assert_eq!(person.ends(), 0);
    }
}

#[test]
fn who_says_no_is_told_what_to_type_and_ctrl_c_ends_both_sides() {
    let homes = Homes::new(&[]);
    let mut anna = at_terminal(&homes, "anna", &["pair", "--name", "a", "--port", "0"]);
    let (port, code) = shown(&mut anna);
    let to = format!("127.0.0.1:{port}");
    let mut ben = at_terminal(&homes, "ben", &["pair", &to, "--name", "b"]);
    ben.sees("Code: ");
    ben.types(&code);
    ben.sees("Serve now? [Y/n]: ");
    ben.types("n");
    ben.sees("serve, here and on a; then, in another terminal: ");
    assert_eq!(ben.ends(), 0);
    anna.sees("Serve now? [Y/n]: ");
    anna.presses(CTRL_D);
    anna.sees("serve, here and on b; then, in another terminal: ");
    assert_eq!(anna.ends(), 0);
    // Ctrl-C ends both sides, and the listener.
    let mut anna = at_terminal(&homes, "anna", &["pair", "--port", "0"]);
    let (port, _) = shown(&mut anna);
    let to = format!("127.0.0.1:{port}");
    let mut carl = at_terminal(&homes, "c", &["pair", &to, "--name", "c"]);
    carl.sees("Code: ");
    carl.presses(CTRL_C);
    assert_eq!(carl.ends(), 130);
    anna.presses(CTRL_C);
    anna.sees("the code counts no more");
    assert_eq!(anna.ends(), 130);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(!homes.home("c").exists());
}

#[test]
fn nobody_is_asked_for_a_code_where_none_is_shown() {
    let homes = Homes::new(&[]);
    let mut ben = at_terminal(&homes, "b", &["pair", "127.0.0.1:1", "--name", "b"]);
    ben.sees("nobody shows a code at 127.0.0.1:1");
    assert_eq!(ben.ends(), 8);
    assert!(ben.shown().contains("run `colis pair` there first"));
    assert!(ben.shown().contains("TCP port 8444"));
    assert!(!ben.shown().contains("Code:"), "{}", ben.shown());
    // Nor where something else listens.
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = web.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = web.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let mut ben = at_terminal(&homes, "b", &["pair", &to, "--name", "b"]);
    assert_ne!(ben.ends(), 0);
    assert!(!ben.shown().contains("Code:"), "{}", ben.shown());
    assert!(!homes.home("b").exists());
}

/// The host of this test has one name, and so have both machines.
#[test]
fn a_host_name_that_is_taken_gets_a_number_and_the_code_is_not_spent() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::by(&homes, "a", &[], "code");
    let mut child = homes.command("b", &["pair", &inviting.to()]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let joined = testkit::Ran::from(child.args(["--code-file", "code.txt"]).output().unwrap());
    assert_eq!(joined.code, 0, "{}", joined.err);
    let said = inviting.hears("paired");
    let name = said["name"].as_str().unwrap();
    // The circle's machine is called `a`, and its host's name is no name for another.
    assert!(name.ends_with("-2"), "{name}");
    let host = name.strip_suffix("-2").unwrap();
    let told = format!("{host} is taken there: this machine is called {name}");
    assert!(joined.err.contains(&told), "{}", joined.err);
    assert!(joined.err.contains("next: colis --home "), "{}", joined.err);
    assert_eq!(live(&homes, name), 2);
}

#[test]
fn what_a_person_calls_a_machine_becomes_a_name() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let args = ["pair", &inviting.to(), "--name", "Eve's Läptop"];
    let mut command = homes.command("b", &args);
    let joined = testkit::Ran::from(command.args(["--code-file", "code.txt"]).output().unwrap());
    assert_eq!(joined.code, 0, "{}", joined.err);
    assert!(
        joined.err.contains("Eve's Läptop is called eves-laptop\n"),
        "{}",
        joined.err
    );
    assert_eq!(inviting.hears("paired")["name"], "eves-laptop");
    homes.fails("c", &["pair", "--name", "日本"], 2);
    let said = homes.fails("c", &["pair", "--name", "192.0.2.1"], 2);
    assert!(said.contains("for instance: 192-0-2-1"), "{said}");
    assert!(!homes.home("c").exists());
}

/// Without a terminal nobody is asked: a flag says it.
#[test]
fn without_a_terminal_a_flag_goes_on_to_serve() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let port = free_port();
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let args = ["--json", "pair", &inviting.to(), "--name", "b", "--serve"];
    let mut command = homes.command("b", &args);
    command.args(["--code-file", "code.txt"]);
    command.env("COLIS_LISTEN", format!("127.0.0.1:{port}"));
    command.stdout(std::process::Stdio::piped());
    let mut serving = command.spawn().unwrap();
    let mut out = std::io::BufReader::new(serving.stdout.take().unwrap());
    let mut hears = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };
    assert_eq!(hears()["event"], "joined");
    inviting.hears("paired");
    assert_eq!(inviting.ends(), 0);
    assert_eq!(hears()["event"], "serving");
    fs::write(homes.path("f.bin"), bytes(4, 10_000)).unwrap();
    homes.ok("a", &["send", "f.bin", "--to", "b", "--wait"]);
    homes.ok("b", &["stop"]);
    assert!(serving.wait().unwrap().success());
}

#[test]
fn who_sends_to_nobody_is_told_what_to_type_there() {
    let homes = Homes::new(&[]);
    let inviting = Inviting::start(&homes, &[]);
    let port = free_port();
    // It would serve there, and does not yet.
    fs::create_dir(homes.home("b")).unwrap();
    testkit::person::set(&homes, "b", "listen", &format!("127.0.0.1:{port}"));
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    drop(inviting);
    fs::write(homes.path("f.bin"), "f").unwrap();
    let said = homes.fails("a", &["send", "f.bin", "--to", "b"], 8);
    let words = format!("nobody serves colis at 127.0.0.1:{port}: Connection refused");
    assert!(said.contains(&words), "{said}");
    assert!(said.contains("hint: start it there: colis serve"), "{said}");
}

#[test]
fn a_stranger_without_the_code_learns_no_name() {
    let homes = Homes::new(&["c"]);
    let mut inviting = Inviting::start(&homes, &[]);
    let said = |code: &str| {
        fs::write(homes.path("code.txt"), format!("{code}\n")).unwrap();
        let args = [
            "pair",
            &inviting.to(),
            "--name",
            "c",
            "--code-file",
            "code.txt",
        ];
        homes.fails("new", &args, 4)
    };
    let (stranger, member) = (said(&inviting.wrong_code()), said(&inviting.code));
    assert!(stranger.contains("wrong code"), "{stranger}");
    for told in ["c-2", "was issued"] {
        assert!(!stranger.contains(told), "{stranger}");
        assert!(member.contains(told), "{member}");
    }
    assert_eq!(inviting.hears("wrong-code")["left"], 2);
    inviting.hears("not-paired");
    assert_eq!(join(&homes, "b", &inviting.to(), &inviting.code).code, 0);
}
