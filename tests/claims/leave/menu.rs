//! Leaving and joining another circle in the menu, whose own peer ends for it and begins anew.

use testkit::{Homes, person::Person};

use super::left;

#[test]
fn a_member_leaves_by_the_menu_and_sets_up_anew() {
    let homes = Homes::new(&["b"]);
    let mut ben = Person::at_menu(&homes, "b");
    ben.presses("7");
    ben.sees("8  Leave this circle");
    ben.presses("8");
    ben.sees("b leaves the circle of a");
    ben.sees("Leave it? [y/N]");
    // A no changes nothing, and the peer serves again.
    ben.presses("\r");
    ben.sees("nothing was changed");
    ben.sees("serves on 127.0.0.1:");
    ben.sees_menu();
    assert!(left(&homes, "b").is_empty());
    ben.presses("7");
    ben.sees("8  Leave this circle");
    ben.presses("8");
    ben.sees("Leave it? [y/N]");
    ben.presses("y\r");
    ben.sees("colis certs revoke ");
    ben.sees("has left its circle");
    ben.sees("to go back, quit and type: mv ");
    ben.sees("Who is this machine?");
    assert_eq!(left(&homes, "b").len(), 1);
}

#[test]
fn a_machine_that_made_a_circle_by_mistake_joins_another_by_the_menu() {
    let homes = Homes::new(&[]);
    homes.ok("b", &["certs", "init", "--name", "b"]);
    let mut anna = Person::at_terminal(
        &homes,
        homes.command("a", &["pair", "--port", "0"]),
        "xterm-256color",
    );
    anna.sees("  colis pair ");
    let address = anna.sees("\r\n");
    let port = address.trim().rsplit(':').next().unwrap().to_owned();
    anna.sees("and then the code:");
    let code = anna.next_line();
    let mut ben = Person::at_menu(&homes, "b");
    ben.presses("7");
    ben.sees("4  Join another circle by a code");
    ben.presses("4");
    ben.sees("The address or name that it shows");
    let host = format!("127.0.0.1:{port}");
    ben.types(&host);
    ben.sees(&format!(
        "This machine's circle has no other member: leave it and join {host}?"
    ));
    ben.presses("y");
    ben.sees("Code: ");
    ben.types(&code);
    ben.sees("its keys are in");
    ben.sees("joined the circle of a");
    ben.sees("serves on 127.0.0.1:");
    ben.sees_menu();
    assert_eq!(left(&homes, "b").len(), 1);
    ben.quits();
    anna.sees("Serve now?");
    anna.presses("n\r");
    assert_eq!(anna.ends(), 0);
}
