//! What waited for its owner and expired while no peer served is told all the same, each once.

use std::{fs, process::Command};

use serde_json::Value;
use testkit::{Homes, has, wait_for};

/// A command at a clock that is so many days ahead.
fn in_days(homes: &Homes, days: u64, home: &str, args: &[&str]) -> Command {
    let plain = homes.command(home, args);
    let mut ahead = Command::new("faketime");
    ahead.args(["-f", &format!("+{days}d")]);
    testkit::around(ahead, &plain)
}

/// The entries about what expired, without the times.
fn expired(homes: &Homes, home: &str) -> Vec<Value> {
    let all = homes.ok(home, &["--json", "history"]);
    let all = all.lines().map(|line| serde_json::from_str(line).unwrap());
    all.filter(|entry: &Value| entry["reason"] == "expired while it waited")
        .collect()
}

fn are_told(homes: &Homes, home: &str, names: &[&str]) {
    let told = expired(homes, home);
    assert_eq!(told.len(), names.len(), "{told:?}");
    for name in names {
        let of_it = told.iter().filter(|entry| entry["names"][0] == *name);
        let of_it: Vec<_> = of_it.collect();
        assert_eq!(of_it.len(), 1, "{name}: {told:?}");
        assert_eq!(of_it[0]["peers"][0], "a");
        assert_eq!(of_it[0]["verified"], true);
    }
}

#[test]
fn what_expired_while_the_peer_was_off_is_told_with_its_sender_and_its_names() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    const NAMES: [&str; 6] = ["f1", "f2", "f3", "f4", "f5", "f6"];
    let homes = Homes::new(&["b", "c"]);
    for home in ["b", "c"] {
        let serving = homes.serve(home, &["--inbox", "ask"]);
        for name in NAMES {
            fs::write(homes.path(name), name).unwrap();
            homes.ok(
                "a",
                &["send", name, "--to", &serving.to(), "--expires", "2d"],
            );
        }
    }
    let later = homes.serve_by(
        "b",
        in_days(
            &homes,
            45,
            "b",
            &[
                "--json",
                "serve",
                "--inbox",
                "ask",
                "--listen",
                "127.0.0.1:0",
            ],
        ),
    );
    wait_for("all is told", || expired(&homes, "b").len() == NAMES.len());
    are_told(&homes, "b", &NAMES);
    wait_for("the log has each", || {
        homes.log("b").matches("expired unopened").count() == NAMES.len()
    });
    drop(later);
    are_told(&homes, "b", &NAMES);
    // Where no peer serves, the command that lets them go remembers it.
    let mut said = String::new();
    // The wrapper fails where another process just had its number.
    wait_for("it is collected", || {
        let gc = in_days(&homes, 45, "c", &["gc"]).output().unwrap();
        said = String::from_utf8_lossy(&[gc.stdout, gc.stderr].concat()).into_owned();
        gc.status.success()
    });
    assert!(said.contains("6 expired"), "{said}");
    are_told(&homes, "c", &NAMES);
}
