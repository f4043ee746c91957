//! Screens that are short, and that change their size.

use std::fs;

use testkit::person::{DRAWN, Person, set};
use testkit::{Homes, bytes};

/// The screen has the menu once, from its title to its last line that fits, and nothing of another below it.
fn has_one_menu(person: &Person) -> Vec<String> {
    let screen = person.screen();
    let is_title = |line: &&String| *line == "What next?" || line.starts_with("What next? (");
    let titles = screen.iter().filter(is_title);
    assert_eq!(titles.count(), 1, "{screen:#?}");
    for key in ['1', '2', '0'] {
        let start = format!("{key}  ");
        let lines = screen
            .iter()
            .filter(|line| line.trim_start_matches(['>', ' ']).starts_with(&start));
        assert!(lines.count() <= 1, "{key}: {screen:#?}");
    }
    screen
}

#[test]
fn a_resized_screen_has_one_menu_whole() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_sized_menu(&homes, "a", 30, 100);
    for (rows, columns) in [(10, 30), (30, 100), (12, 40), (24, 80)] {
        person.resizes(&homes, rows, columns);
        person.sees("\u{1b}[H\u{1b}[2J");
        person.sees("What next?");
        person.sees(DRAWN);
        let screen = has_one_menu(&person);
        assert!(screen.len() <= usize::from(rows), "{screen:#?}");
        if rows > 12 {
            assert!(screen[0].starts_with("a serves on"), "{screen:#?}");
            assert!(screen.last().unwrap().contains("0  Quit"), "{screen:#?}");
        }
    }
    person.presses("0");
    assert_eq!(person.ends(), 0);
}

#[test]
fn a_short_screen_keeps_the_answer_and_every_key_works() {
    let homes = Homes::new(&["b"]);
    let mut person = Person::at_sized_menu(&homes, "a", 12, 40);
    // What was said stays above a menu that is cut.
    person.presses("4");
    person.sees("nothing waits, and nothing is arriving");
    person.sees("What next?");
    person.sees(DRAWN);
    let screen = has_one_menu(&person);
    assert!(
        screen.iter().any(|line| line.contains("nothing waits")),
        "{screen:#?}"
    );
    // A key of a line that is not seen.
    person.presses("9");
    person.sees("2  Doctor");
    person.presses("1");
    // It is longer than the screen: pages are turned by hand.
    person.sees("more lines: Enter");
    person.sees(DRAWN);
    let screen = person.screen();
    assert!(
        screen.iter().any(|line| line.starts_with("home: ")),
        "{screen:#?}"
    );
    let mut pages = 0;
    while !person
        .screen()
        .iter()
        .any(|line| line == "What next?" || line.starts_with("What next? ("))
    {
        person.presses("\r");
        person.sees(DRAWN);
        pages += 1;
        assert!(pages < 20, "{:#?}", person.screen());
    }
    has_one_menu(&person);
    person.presses("0");
    assert_eq!(person.ends(), 0);
}

#[test]
fn a_short_screen_has_a_line_for_what_runs() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("big.bin"), bytes(7, 16 << 20)).unwrap();
    set(&homes, "a", "limit", "256KiB");
    let mut person = Person::at_sized_menu(&homes, "a", 12, 40);
    for (keys, shown) in [
        ("2", "3  Share"),
        ("1", "Files or folders"),
        ("~/big.bin\r", "others: names"),
        ("1\r", "3  Do not send it"),
        ("1", "big.bin to b"),
    ] {
        person.presses(keys);
        person.sees(shown);
    }
    person.sees("What next?");
    person.sees(DRAWN);
    let screen = has_one_menu(&person);
    assert!(
        screen.iter().any(|line| line.starts_with("  big.bin to b")),
        "{screen:#?}"
    );
    for (rows, columns) in [(24, 80), (12, 40)] {
        person.resizes(&homes, rows, columns);
        person.sees("\u{1b}[H\u{1b}[2J");
        person.sees("What next?");
        person.sees(DRAWN);
        let screen = has_one_menu(&person);
        let running = screen
            .iter()
            .filter(|line| line.starts_with("  big.bin to b"));
        assert_eq!(running.count(), 1, "{screen:#?}");
        assert!(screen.len() <= usize::from(rows), "{screen:#?}");
    }
    person.presses("0");
    person.sees("Quit all the same?");
    person.presses("y");
    assert_eq!(person.ends(), 0);
}
