//! Every file of our own that a newer colis may have written: it is said to be newer, or what is new in it is passed over where
//! that does no harm. It is never called damaged, and it is never changed.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use testkit::{Homes, bytes};

/// A circle of two who know each other, and a transfer that was opened.
fn circle() -> Homes {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), bytes(1, 1000)).unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
    homes.ok("a", &["peers", "role", "b", "sender"]);
    homes
}

/// Changes the objects, one a line, of a file of a home.
fn change(path: &PathBuf, change: impl Fn(&mut Value)) {
    let text = fs::read_to_string(path).unwrap();
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut changed = String::new();
    for object in objects {
        let mut object = object.unwrap();
        change(&mut object);
        changed.push_str(&format!("{object}\n"));
    }
    fs::write(path, changed).unwrap();
}

/// Runs these in the home `a`: each is refused with 3, says that the file is newer, and leaves it.
fn refused(homes: &Homes, path: &PathBuf, commands: &[&[&str]]) {
    let before = fs::read(path).unwrap();
    for args in commands {
        let ran = homes.run("a", args);
        assert_eq!(ran.code, 3, "{args:?}: {ran:?}");
        assert!(
            ran.err.contains("newer colis") || ran.err.contains("later version"),
            "{args:?}: {ran:?}"
        );
        assert!(
            !ran.err.contains("damaged") && ran.err.contains("hint: "),
            "{args:?}: {ran:?}"
        );
        assert_eq!(fs::read(path).unwrap(), before, "{args:?}");
    }
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

#[test]
fn settings() {
    let homes = circle();
    let path = homes.home("a").join("colis.toml");
    fs::write(&path, "new_setting = true\n").unwrap();
    refused(&homes, &path, &[&["status"], SERVE, &["peers"]]);
    fs::write(&path, "").unwrap();
    homes.ok("a", &["peers"]);
}

#[test]
fn the_address_book() {
    let homes = circle();
    let path = homes.home("a").join("certs/peers.json");
    let known = fs::read(&path).unwrap();
    let news: [fn(&mut Value); 4] = [
        |book| book["v"] = json!(2),
        |book| book["new"] = json!(1),
        |book| {
            let peers = book["peers"].as_object_mut().unwrap();
            peers.values_mut().for_each(|peer| peer["new"] = json!(1));
        },
        |book| {
            let roles = book["roles"].as_object_mut().unwrap();
            roles
                .values_mut()
                .for_each(|role| role["role"] = json!("guardian"));
        },
    ];
    for new in news {
        fs::write(&path, &known).unwrap();
        change(&path, new);
        refused(
            &homes,
            &path,
            &[&["peers"], SERVE, &["peers", "role", "b", "member"]],
        );
    }
    fs::write(&path, &known).unwrap();
    homes.ok("a", &["peers"]);
}

#[test]
fn what_was_issued() {
    let homes = circle();
    let path = homes.home("a").join("certs/issued.jsonl");
    change(&path, |line| line["new"] = json!("kept"));
    let out = homes.path("c/certs");
    homes.ok(
        "a",
        &["certs", "issue", "c", "--out", out.to_str().unwrap()],
    );
    homes.ok("a", &["certs", "show"]);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.matches("\"kept\"").count() >= 2, "{text}");
    fs::write(&path, format!("{text}{{\"withdrawn\":\"x\"}}\n")).unwrap();
    let issue = ["certs", "issue", "d", "--out", "nowhere"];
    refused(&homes, &path, &[&["certs", "show"], &issue]);
}

#[test]
fn the_store() {
    let homes = circle();
    let path = homes.home("a").join("chunks/FORMAT");
    fs::create_dir_all(homes.home("a").join("chunks")).unwrap();
    fs::write(&path, "colis store 2\n").unwrap();
    refused(&homes, &path, &[&["status"], SERVE, &["list"]]);
}

#[test]
fn what_is_below_the_format_may_have_more() {
    let homes = circle();
    let state = homes.home("b").join("chunks/state");
    change(&state.join("history.jsonl"), |line| line["new"] = json!(1));
    let mut records = 0;
    for folder in ["receipts", "transfers"] {
        for entry in fs::read_dir(state.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if fs::read(&path).unwrap().first() == Some(&b'{') {
                change(&path, |record| record["new"] = json!(1));
                records += 1;
            }
        }
    }
    assert!(records > 0);
    assert!(homes.ok("b", &["history"]).contains('f'));
    let b = homes.serve("b", &[]);
    let again = homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
    assert!(!again.contains("damaged"), "{again}");
    homes.ok("b", &["status"]);
}
