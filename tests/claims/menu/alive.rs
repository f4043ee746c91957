//! A menu that nobody touches: what it shows changes with what happens, and nothing of that ends it or disturbs who types.

use std::{fs, process::Child};

use testkit::person::{CTRL_C, CTRL_D, DOWN, DRAWN, ESC, Person, address_of};
use testkit::{Homes, bytes, wait_for};

/// Waits until the screen is so.
fn until(person: &mut Person, what: &str, is_so: impl Fn(&[String]) -> bool) {
    for _ in 0..400 {
        if is_so(&person.screen()) {
            return;
        }
        person.sees("\u{1b}[?25");
        // Whether the cursor is shown or hidden.
        person.sees_like("^[hl]");
    }
    panic!("never: {what}: {:#?}", person.screen());
}

/// b sends 4 MiB to `to`, at most so much a second.
fn slowly(homes: &Homes, to: &str, limit: &str) -> Child {
    fs::write(homes.path("big.bin"), bytes(7, 4 << 20)).unwrap();
    let send = ["send", "big.bin", "--to", to, "--limit", limit];
    let mut send = homes.command("b", &[&send[..], &["--chunk-size", "128KiB"]].concat());
    send.spawn().unwrap()
}

fn marked(screen: &[String]) -> Option<String> {
    let marked = screen.iter().find(|line| line.starts_with("> "))?;
    Some(marked.trim_start_matches("> ").to_owned())
}

#[test]
fn the_first_list_changes_by_itself_with_what_arrives_and_keeps_its_mark() {
    for (rows, columns) in [(24, 80), (12, 40)] {
        let homes = Homes::new(&["b"]);
        let mut person = Person::at_sized_menu(&homes, "a", rows, columns);
        let a = address_of(&homes, "a");
        person.presses(&format!("{DOWN}{DOWN}{DOWN}"));
        let is_moved = |screen: &[String]| marked(screen).is_some_and(|at| !at.starts_with('1'));
        until(&mut person, "the mark moves", is_moved);
        let mut sending = slowly(&homes, &a, "512KiB");
        until(&mut person, "it is said to arrive", |screen| {
            let has = |text: &str| screen.iter().any(|line| line.contains(text));
            has("  arriving: big.bin from b") && has("4  Arrivals: 1 to look at")
        });
        let at = marked(&person.screen());
        until(&mut person, "it has come", |screen| {
            let has = |text: &str| screen.iter().any(|line| line.contains(text));
            // On a short screen the list that is made anew may scroll it away.
            rows < 24 || has("* received 4 MiB from b")
        });
        until(&mut person, "nothing is left to look at", |screen| {
            let has = |text: &str| screen.iter().any(|line| line.contains(text));
            !has("Arrivals:") && !has("  arriving: ") && marked(screen).is_some()
        });
        let screen = person.screen();
        assert_eq!(marked(&screen), at, "{screen:#?}");
        assert!(screen.len() <= usize::from(rows), "{screen:#?}");
        assert!(sending.wait().unwrap().success());
        person.presses("0");
        assert_eq!(person.ends(), 0);
    }
}

#[test]
fn what_arrives_is_shown_above_a_line_that_is_typed_which_stays() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_sized_menu(&homes, "a", 12, 40);
    let a = address_of(&homes, "a");
    for (keys, shown) in [
        ("2", "3  Share"),
        ("2", "Message"),
        ("half a li", "half a li"),
    ] {
        person.presses(keys);
        person.sees(shown);
    }
    let mut sending = slowly(&homes, &a, "512KiB");
    until(&mut person, "it is said to arrive", |screen| {
        screen
            .iter()
            .any(|line| line.contains("  arriving: big.bin"))
            && screen
                .last()
                .is_some_and(|line| line.ends_with("half a li"))
    });
    person.presses("ne");
    until(&mut person, "it is typed on", |screen| {
        screen
            .last()
            .is_some_and(|line| line.ends_with("half a line"))
    });
    assert!(sending.wait().unwrap().success());
    person.presses(ESC);
    person.sees("What next?");
    person.sees(DRAWN);
    person.presses("0");
    assert_eq!(person.ends(), 0);
}

#[test]
fn to_quit_is_asked_while_something_arrives_here() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_menu(&homes, "a");
    let a = address_of(&homes, "a");
    let mut sending = slowly(&homes, &a, "192KiB");
    person.sees("arriving: big.bin from b");
    for leave in ["0", ESC, "q", CTRL_D, CTRL_C] {
        person.presses(leave);
        person.sees("1 transfer arrives here.");
        person.sees("`colis serve`.");
        person.sees("Quit all the same?");
        person.presses("\r");
        person.sees("Quit all the same? What was transferred is kept no");
        person.sees("What next?");
    }
    person.presses("0");
    person.sees("Quit all the same?");
    person.presses("y");
    assert_eq!(person.ends(), 0);
    // It goes on where this home is served again.
    let _a = homes.serve_on("a", &a, &[]);
    assert!(sending.wait().unwrap().success());
    let come = homes.home("a").join("received/big.bin");
    wait_for("it is there", || come.exists());
}

#[test]
fn no_key_at_a_pause_leaves_what_is_asked_next() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_sized_menu(&homes, "a", 12, 40);
    for key in [ESC, CTRL_D, CTRL_C, "q", " ", "\r"] {
        person.presses("8");
        person.sees("Which setting?");
        // What it is for takes most of the screen.
        person.presses("3");
        person.sees("-- Enter goes on --");
        person.presses(key);
        person.sees("Value of received");
        person.presses(ESC);
        person.sees("What next?");
        person.sees(DRAWN);
    }
    person.presses("0");
    assert_eq!(person.ends(), 0);
}

#[test]
fn no_line_of_the_log_is_on_the_screen() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_menu(&homes, "a");
    let name = "gift\u{1b}[2J.txt";
    fs::write(homes.path(name), "for you").unwrap();
    homes.ok("b", &["send", name, "--to", &address_of(&homes, "a")]);
    person.sees("* received 7 B from b: ");
    // What its owner has to know is a sentence.
    let book = homes.home("a").join("certs/peers.json");
    let before = fs::read(&book).unwrap();
    fs::write(&book, "no book").unwrap();
    person.sees("colis: roles unchanged: what is on disk cannot be used (error: ");
    fs::write(&book, before).unwrap();
    let log = || {
        let logs = fs::read_dir(homes.home("a").join("logs")).unwrap();
        let logs = logs.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        logs.collect::<String>()
    };
    wait_for("the log has both", || {
        let log = log();
        let has = |level: &str, what: &str| {
            let mut lines = log.lines();
            lines.any(|line| line.contains(level) && line.contains(what))
        };
        has("\"WARN\"", "names were changed") && has("\"ERROR\"", "roles unchanged")
    });
    person.presses("0");
    assert_eq!(person.ends(), 0);
    let shown = person.shown();
    for raw in ["WARN", "ERROR", "INFO", "names were changed"] {
        assert!(!shown.contains(raw), "{raw}: {shown}");
    }
}
