//! Terminals of which no escape sequence is known: nothing is written to them but lines.

use std::{fs, process::Command};

use testkit::person::{CTRL_C, CTRL_D, DOWN, ESC, LEFT, Person, listen_on_a_free_port};
use testkit::{Homes, bytes};

use super::interrupts::{WAYS, busy, two};

/// Names that say that the terminal can do nothing.
const TERMS: [Option<&str>; 4] = [Some("dumb"), None, Some(""), Some("unknown")];

/// Starts the menu on the plain terminal `term`.
fn at_menu(homes: &Homes, home: &str, term: Option<&str>) -> Person {
    listen_on_a_free_port(homes, home);
    let mut person = Person::at_plain_terminal(homes, &homes.command(home, &[]), term);
    person.sees("serves on 127.0.0.1:");
    sees_menu(&mut person);
    person
}

fn sees_menu(person: &mut Person) {
    person.sees_menu();
    person.sees("Number: ");
}

/// The keys of a screen as a line.
fn line(keys: &str) -> String {
    match keys.trim_end() {
        "" => "1\r".to_owned(),
        keys => format!("{keys}\r"),
    }
}

/// Asks for the list again until `text` was said.
fn says_soon(person: &mut Person, text: &str) {
    let said = (0..200).any(|_| {
        person.types("");
        sees_menu(person);
        person.shown().contains(text)
    });
    assert!(said, "{text}: {}", person.shown());
}

fn has_no_escapes(person: &Person) {
    assert!(!person.shown().contains(ESC), "{:?}", person.shown());
}

#[test]
fn every_question_is_asked_in_lines_and_left_by_ctrl_c_and_ctrl_d() {
    let (homes, _b) = two();
    for (turn, term) in TERMS.into_iter().enumerate() {
        let mut person = at_menu(&homes, "a", term);
        busy(&homes, &mut person, |person, keys| {
            person.presses(&line(keys))
        });
        // Nothing is written into a question: it is said before one of the next.
        person.sees("Number: ");
        if turn == 0 {
            says_soon(&mut person, "* 1 B from b waits for a yes: see Arrivals");
        }
        for (at, way) in WAYS.iter().enumerate() {
            for (keys, shown) in *way {
                person.presses(&line(keys));
                person.sees(shown);
            }
            // Each question is left both ways.
            match (at + turn) % 2 {
                0 => {
                    person.presses(CTRL_C);
                    person.sees("interrupted: back to the menu");
                }
                _ => person.presses(CTRL_D),
            }
            sees_menu(&mut person);
        }
        person.types("nothing");
        person.sees("a number of the list");
        person.presses(if turn % 2 == 0 { CTRL_D } else { CTRL_C });
        person.sees("Quit all the same? What was transferred is kept [y/N]: ");
        person.types("y");
        person.sees("stopped; everything acknowledged is on disk");
        assert_eq!(person.ends(), 0);
        has_no_escapes(&person);
    }
}

#[test]
fn transfers_passwords_and_lists_are_lines_too() {
    let (homes, b) = two();
    fs::write(homes.path("big.bin"), bytes(7, 3 << 20)).unwrap();
    let mut person = at_menu(&homes, "a", Some("dumb"));
    let ask = |person: &mut Person, steps: &[(&str, &str)]| {
        for (answer, shown) in steps {
            person.types(answer);
            person.sees(shown);
        }
    };
    let send: &[(&str, &str)] = &[
        ("2", "3  Share"),
        ("1", "Files or folders: "),
        ("/no/such/file", "not found"),
        ("~/big.bin", "others: names"),
        ("1, 9", "a number of the list"),
        ("1", "Send big.bin (3 MiB) to b?"),
        ("2", "4  Keep it"),
        ("1", "Password: "),
        ("correct horse battery", "Once more: "),
        ("correct horse battery", "What next?"),
    ];
    ask(&mut person, send);
    person.sees("Number: ");
    // What becomes of it is said before one of the next questions.
    says_soon(&mut person, "stored durably");
    ask(
        &mut person,
        &[
            ("3", "another address..."),
            ("1", "Numbers, for example 1 3: "),
            ("1,2 2", "What next?"),
        ],
    );
    person.sees("Number: ");
    says_soon(&mut person, "received/big.bin");
    ask(&mut person, &[("4", "nothing waits")]);
    sees_menu(&mut person);
    for list in ["1", "2", "3"] {
        ask(&mut person, &[("6", "What of it?"), (list, "  ")]);
        sees_menu(&mut person);
    }
    person.types("0");
    person.sees("stopped; everything acknowledged is on disk");
    assert_eq!(person.ends(), 0);
    has_no_escapes(&person);
    assert!(!person.shown().contains("correct horse"));
    drop(b);
}

#[test]
fn a_machine_is_made_and_another_joins_it_by_lines() {
    let homes = Homes::new(&[]);
    let mut anna = at_menu(&homes, "a", Some("unknown"));
    anna.types("1");
    anna.sees("  colis pair ");
    let host = anna.sees("\r\n");
    anna.sees("and then the code:");
    let code = anna.next_line();
    anna.sees("Ctrl-C ends it");
    let mut command = homes.command("b", &[]);
    let port = testkit::person::free_port();
    command.env("COLIS_LISTEN", format!("127.0.0.1:{port}"));
    let mut ben = Person::at_plain_terminal(&homes, &command, None);
    ben.sees("3  Join a circle by a code");
    for (answer, shown) in [
        ("", "Who is this machine?"),
        ("3", "The address or name that it shows: "),
        (host.trim(), "Name of this machine"),
        ("\u{65e5}", "a name has 1 to 63"),
        ("b", "Code: "),
        ("no code", "Code: "),
        (&code, "joined the circle of a"),
    ] {
        if shown == "Who is this machine?" {
            continue;
        }
        ben.types(answer);
        ben.sees(shown);
    }
    ben.takes_the_usual_folder();
    sees_menu(&mut ben);
    anna.sees("b has joined from 127.0.0.1");
    sees_menu(&mut anna);
    for mut person in [anna, ben] {
        person.presses(CTRL_D);
        assert_eq!(person.ends(), 0);
        has_no_escapes(&person);
    }
}

#[test]
fn commands_write_no_escapes_to_a_plain_terminal() {
    let (homes, b) = two();
    fs::write(homes.path("big.bin"), bytes(7, 3 << 20)).unwrap();
    let commands: [&[&str]; 9] = [
        &["--help"],
        &["send", "--help"],
        &["nonsense"],
        &["send", "big.bin", "--to", "b"],
        &["receive", "--from", "b", "--all", "--mine", "--out", "o"],
        &["list", "b"],
        &["peers"],
        &["doctor"],
        &["pair", "--for", "1s"],
    ];
    for term in TERMS {
        for args in commands {
            let command = homes.command("a", args);
            let mut person = Person::at_plain_terminal(&homes, &command, term);
            person.ends();
            assert!(!person.shown().is_empty(), "{args:?}");
            has_no_escapes(&person);
        }
    }
    drop(b);
}

#[test]
fn output_that_is_no_terminal_gets_no_escapes_whatever_the_input_is() {
    let (homes, _b) = two();
    let command = |args: &[&str]| {
        let mut shell = std::process::Command::new("sh");
        let colis = homes.command("a", args);
        shell.args(["-c", "\"$0\" \"$@\" 2>err >out; echo ended $?"]);
        shell.arg(colis.get_program()).args(colis.get_args());
        shell.current_dir(homes.path("")).env("TERM", "xterm");
        shell
            .env("COLIS_DISCOVERY", "false")
            .env_remove("COLIS_HOME");
        shell
    };
    for (args, code) in [
        (&[][..], 2),
        (&["send", "f.txt", "--to", "b", "--password"], 2),
        (&["send", "f.txt", "--to", "b"], 0),
        (&["--help"], 0),
    ] {
        let mut session = rexpect::session::spawn_command(command(args), Some(60_000)).unwrap();
        session.exp_string(&format!("ended {code}")).unwrap();
        for file in ["out", "err"] {
            let text = fs::read_to_string(homes.path(file)).unwrap();
            assert!(!text.contains(ESC), "{args:?}: {text}");
        }
    }
}

/// A terminal of `rows` that knows escape sequences.
fn small(homes: &Homes, rows: u16) -> Person {
    listen_on_a_free_port(homes, "a");
    let menu = homes.command("a", &[]);
    Person::at_small_terminal(homes, &menu, Some("xterm-256color"), rows)
}

#[test]
fn a_terminal_without_room_for_a_list_is_asked_in_lines() {
    let homes = Homes::new(&[]);
    for rows in [1, 2] {
        let mut person = small(&homes, rows);
        sees_menu(&mut person);
        person.types("8");
        person.sees("Number: ");
        person.presses(CTRL_D);
        sees_menu(&mut person);
        person.types("0");
        assert_eq!(person.ends(), 0, "{}", person.shown());
    }
}

/// Makes the terminal of a person in `homes` so large.
fn resize(homes: &Homes, rows: &str, columns: &str) {
    let tty = fs::read_to_string(homes.path("tty")).unwrap();
    let mut stty = Command::new("stty");
    stty.args(["-F", tty.trim(), "rows", rows, "cols", columns]);
    assert!(stty.status().unwrap().success());
}

#[test]
fn a_question_whose_terminal_becomes_too_small_is_asked_in_lines() {
    let (homes, _b) = two();
    let mut person = small(&homes, 6);
    // What was said fills the screen.
    person.sees("-- Enter goes on --");
    person.presses("\r");
    person.sees("What next?");
    // A list that does not fit.
    resize(&homes, "2", "20");
    person.presses(DOWN);
    person.sees("Number: ");
    // Large again.
    resize(&homes, "40", "80");
    person.presses(CTRL_D);
    assert_eq!(person.ends(), 0, "{}", person.shown());

    let mut person = small(&homes, 40);
    person.sees("What next?");
    resize(&homes, "40", "80");
    for (keys, shown) in [("3", "another address..."), ("1", "from b  today")] {
        person.presses(keys);
        person.sees(shown);
    }
    // A list to mark lines in.
    resize(&homes, "1", "80");
    person.presses(DOWN);
    person.sees("Numbers, for example 1 3: ");
    resize(&homes, "40", "80");
    person.presses(CTRL_D);
    person.sees_menu();
    // A text that is edited in one column.
    for (keys, shown) in [("2", "3  Share"), ("1", "Files or folders")] {
        person.presses(keys);
        person.sees(shown);
    }
    resize(&homes, "40", "1");
    person.presses("x");
    person.presses(LEFT);
    resize(&homes, "40", "80");
    person.presses(CTRL_C);
    person.sees_menu();
    person.quits();
}
