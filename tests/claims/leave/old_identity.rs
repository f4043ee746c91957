//! The keys that were put aside still open what was sealed for them, and nothing more.

use std::fs;

use serde_json::Value;
use testkit::{Homes, Ran};

use super::leaves;

fn said(ran: &str, event: &str) -> Value {
    let lines = ran
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.into_iter().find(|o| o["event"] == event).unwrap()
}

/// The home `b`, which has left the circle of `a` with a transfer of `a` and one of its own in its store, and a folder of `a` that
/// comes later. It is the machine of a circle of its own now.
fn left_with_something() -> (Homes, String) {
    let homes = Homes::new(&["b"]);
    // It is received more than once.
    fs::write(homes.home("b").join("colis.toml"), "keep_opened = \"1d\"\n").unwrap();
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("sent.txt"), "sent").unwrap();
    fs::write(homes.path("own.txt"), "own").unwrap();
    fs::write(homes.path("late.txt"), "late").unwrap();
    homes.ok("a", &["send", "sent.txt", "--to", &b.to()]);
    homes.ok("b", &["stop"]);
    drop(b);
    homes.ok("b", &["receive", "--all", "--out", "first"]);
    homes.ok("b", &["share", "own.txt"]);
    homes.ok("a", &["seal", "late.txt", "--to", "b", "--out", "sealed"]);
    leaves(&homes, "b", &[]);
    homes.ok("b", &["certs", "init", "--name", "b"]);
    homes.ok("b", &["certs", "issue", "a", "--out", "other/certs"]);
    let listed = homes.ok("b", &["list"]);
    (homes, listed)
}

#[test]
fn what_was_sealed_for_the_old_identity_is_opened_by_the_home_of_today() {
    let (homes, listed) = left_with_something();
    assert!(
        listed.contains("sent.txt") && listed.contains("own.txt"),
        "{listed}"
    );
    let got = homes.ok(
        "b",
        &["--json", "receive", "sent.txt", "own.txt", "--out", "got"],
    );
    assert_eq!(
        fs::read_to_string(homes.path("got/sent.txt")).unwrap(),
        "sent"
    );
    assert_eq!(
        fs::read_to_string(homes.path("got/own.txt")).unwrap(),
        "own"
    );
    // A peer of today is called as the sender was.
    assert!(got.contains("a of a circle that was left"), "{got}");
    homes.ok("b", &["open", "sealed", "--out", "opened"]);
    assert_eq!(
        fs::read_to_string(homes.path("opened/late.txt")).unwrap(),
        "late"
    );
    // By its id too, and nothing waits.
    let rows = homes.ok("b", &["--json", "list"]);
    let id = said(&rows, "transfer")["id"].as_str().unwrap().to_owned();
    homes.ok("b", &["receive", &id, "--out", "again"]);
    assert_eq!(homes.ok("b", &["--json", "inbox", "list"]), "");
    homes.ok("b", &["check", "--read-data"]);
}

#[test]
fn nobody_is_granted_in_the_name_of_the_old_identity() {
    let (homes, _) = left_with_something();
    for which in ["own.txt", "sent.txt"] {
        let refused = homes.run("b", &["grant", which, "--to", "a"]);
        assert_ne!(refused.code, 0, "{which}");
    }
    let refused = homes.fails("b", &["grant", "own.txt", "--to", "a"], 4);
    assert!(
        refused.contains("in a circle that this home has left"),
        "{refused}"
    );
}

/// Without the folder, or where the old circle had blocked the sender, nothing opens.
#[test]
fn the_old_circle_judges_what_its_members_have_signed() {
    let (homes, _) = left_with_something();
    let left = super::left(&homes, "b").remove(0);
    let open = ["open", "sealed", "--out", "opened"];
    // As its owner would have blocked it before.
    let change = |role: &str| {
        fs::create_dir_all(homes.home("m")).unwrap();
        fs::rename(&left, homes.home("m").join("certs")).unwrap();
        homes.ok("m", &["peers", "role", "a", role]);
        fs::rename(homes.home("m").join("certs"), &left).unwrap();
    };
    change("none");
    let refused: Ran = homes.run("b", &open);
    assert_eq!(refused.code, 4, "{}", refused.err);
    change("member");
    homes.ok("b", &open);
    fs::rename(&left, homes.path("elsewhere")).unwrap();
    let refused = homes.run("b", &["open", "sealed", "--out", "again"]);
    assert_ne!(refused.code, 0, "{}", refused.out);
}
