//! At a terminal: asked without an echo, three times, and by the menu when it starts.

use testkit::{
    Homes,
    person::{Person, listen_on_a_free_port},
};

use super::{OTHER, PASSPHRASE, locked};

fn at_terminal(homes: &Homes, args: &[&str]) -> Person {
    Person::at_terminal(homes, homes.command("a", args), "xterm-256color")
}

#[test]
fn it_is_typed_twice_to_be_set_and_three_times_at_most_to_be_given() {
    let homes = Homes::new(&[]);
    let mut anna = at_terminal(&homes, &["certs", "passphrase", "set"]);
    anna.sees("If this passphrase is lost, the keys are");
    anna.sees("New passphrase");
    anna.types(PASSPHRASE);
    anna.sees("Once more");
    anna.types(OTHER);
    anna.sees("They differ");
    anna.sees("New passphrase");
    anna.types(PASSPHRASE);
    anna.sees("Once more");
    anna.types(PASSPHRASE);
    anna.sees("under the passphrase now");
    assert_eq!(anna.ends(), 0);
    assert!(!anna.shown().contains(PASSPHRASE), "{}", anna.shown());

    let mut anna = at_terminal(&homes, &["list"]);
    for left in ["2 more tries", "1 more try"] {
        anna.sees("Passphrase of the keys");
        anna.types(OTHER);
        anna.sees(left);
    }
    anna.sees("Passphrase of the keys");
    anna.types(OTHER);
    anna.sees("wrong passphrase");
    assert_eq!(anna.ends(), 9);

    let mut anna = at_terminal(&homes, &["list"]);
    anna.sees("Passphrase of the keys");
    anna.types(OTHER);
    anna.sees("2 more tries");
    anna.types(PASSPHRASE);
    assert_eq!(anna.ends(), 0);
}

#[test]
fn the_menu_asks_when_it_starts_and_then_no_more() {
    let homes = locked(&[]);
    listen_on_a_free_port(&homes, "a");
    let mut anna = Person::start(&homes, "a");
    anna.sees("Passphrase of the keys");
    anna.types(PASSPHRASE);
    anna.sees("serves on 127.0.0.1:");
    anna.sees_menu();
    // Beside it nobody is asked.
    homes.ok("a", &["list"]);
    anna.quits();
    let mut anna = Person::start(&homes, "a");
    anna.sees("Passphrase of the keys");
    anna.presses("\u{1b}");
    assert_eq!(anna.ends(), 0);
}
