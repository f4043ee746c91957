//! A send that ended before it was done: it is listed, goes on, and is forgotten.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Stdio};

use serde_json::Value;
use testkit::{Homes, bytes, wait_for};

use super::{Running, objects, status};

const FILM: usize = 4 << 20;

/// A send of `a` to `b` that was interrupted half way. Returns the id of its transfer.
fn interrupted(homes: &Homes, to: &str, more: &[&str]) -> String {
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let args = [
        "send",
        "film.mkv",
        "--to",
        to,
        "--limit",
        "512KiB",
        "--chunk-size",
        "64KiB",
    ];
    let sending = Running::start(homes, "a", &[&args, more].concat());
    wait_for("some of it", || {
        let progress = sending.objects("progress");
        progress
            .iter()
            .any(|one| one["moved_bytes"].as_u64() > Some(512 << 10))
    });
    sending.interrupt();
    let sends = status(homes, "a")["sends"].clone();
    sends[0]["transfer"]
        .as_str()
        .unwrap_or_else(|| panic!("{sends}"))
        .to_owned()
}

fn notes(homes: &Homes, home: &str) -> Vec<PathBuf> {
    let folder = homes.home(home).join("chunks/state/sending");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_unfinished_send_is_listed_with_what_it_was_and_goes_on_by_its_id() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let id = interrupted(&homes, "b", &[]);
    let status = status(&homes, "a");
    assert_eq!(status["unfinished"], 1);
    let one = &status["sends"][0];
    assert_eq!(
        (&one["names"][0], &one["to"][0]),
        (&"film.mkv".into(), &"b".into())
    );
    assert_eq!(
        (&one["total_bytes"], &one["resumable"]),
        (&FILM.into(), &true.into())
    );
    let done = one["bytes"].as_u64().unwrap();
    assert!((256 << 10..FILM as u64).contains(&done), "{one}");
    for path in notes(&homes, "a") {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    for command in ["status", "list"] {
        let said = homes.ok("a", &[command]);
        let line = said
            .lines()
            .find(|line| line.starts_with("unfinished: "))
            .unwrap();
        assert!(
            line.contains(&id[..8]) && line.contains("of 4 MiB to b  film.mkv"),
            "{line}"
        );
    }
    let listed = objects(&homes, "a", &["list"]);
    assert!(
        listed.iter().any(|one| one["event"] == "unfinished"),
        "{listed:?}"
    );
    let said = homes.fails("a", &["send", "--resume", "ffff0000"], 6);
    assert!(said.contains("no unfinished send"), "{said}");
    let said = homes.fails("a", &["send", "--resume", "zz.mkv"], 6);
    assert!(said.contains("colis status"), "{said}");
    let resumed = objects(&homes, "a", &["send", "--resume", "film.mkv", "--wait"]);
    let sent = resumed.iter().find(|one| one["event"] == "sent").unwrap();
    assert_eq!(
        (&sent["transfer"], &sent["state"]),
        (&id.into(), &"opened".into())
    );
    assert!(sent["already_chunks"].as_u64() > Some(3), "{sent}");
    assert_eq!(
        fs::read(homes.home("b").join("received/film.mkv")).unwrap(),
        bytes(1, FILM)
    );
    assert_eq!(super::status(&homes, "a")["unfinished"], 0);
    assert_eq!(notes(&homes, "a"), Vec::<PathBuf>::new());
    assert!(
        homes
            .run("a", &["send", "--resume", "all"])
            .err
            .contains("every send is finished")
    );
}

#[test]
fn an_unfinished_send_is_dropped_and_the_command_begins_anew() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let id = interrupted(&homes, "b", &[]);
    let dropped = objects(&homes, "a", &["send", "--drop", &id[..5]]);
    assert_eq!(
        (&dropped[0]["event"], &dropped[0]["transfer"]),
        (&"send-dropped".into(), &id.clone().into())
    );
    assert_eq!(notes(&homes, "a"), Vec::<PathBuf>::new());
    homes.fails("a", &["send", "--drop", &id[..5]], 6);
    let args = ["send", "film.mkv", "--to", "b", "--chunk-size", "64KiB"];
    let sent = objects(&homes, "a", &args);
    let sent = sent.iter().find(|one| one["event"] == "sent").unwrap();
    assert_ne!(sent["transfer"], id.as_str());
    // What runs is not dropped under its hands.
    let args = [
        "send",
        "film.mkv",
        "--to",
        "b",
        "--limit",
        "128KiB",
        "--chunk-size",
        "128KiB",
    ];
    let running = Running::start(&homes, "a", &args);
    wait_for("it runs", || {
        let sends = status(&homes, "a")["sends"].clone();
        sends[0]["running"] == true
    });
    homes.fails("a", &["send", "--drop", "all"], 9);
    running.interrupt();
    homes.ok("a", &["send", "--drop", "all"]);
    assert_eq!(status(&homes, "a")["unfinished"], 0);
}

#[test]
fn what_one_of_two_missed_reaches_it_later_by_the_same_id_and_is_not_stored_twice() {
    let homes = Homes::new(&["b", "c"]);
    let (b, mut c) = (homes.serve("b", &["--inbox", "off"]), homes.serve("c", &[]));
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("a", &["peers", "add", &c.to()]);
    let listen = c.to();
    c.kill();
    fs::write(homes.path("plan.bin"), bytes(2, 300_000)).unwrap();
    let send = ["--json", "send", "plan.bin", "--to", "b,c"];
    let first = homes.run("a", &send);
    assert_eq!(first.code, 10, "{}", first.err);
    let id = first.object("sent")["transfer"].clone();
    let stored = |home: &str| -> Vec<Value> {
        let listed = objects(&homes, home, &["list"]);
        listed
            .into_iter()
            .filter(|one| one["event"] == "transfer")
            .collect()
    };
    let (before, chunks) = (stored("b"), homes.ok("b", &["list", "--chunks"]));
    // Once more, while it is still off.
    assert_eq!(homes.run("a", &send).object("sent")["transfer"], id);
    let one = status(&homes, "a")["sends"][0].clone();
    assert_eq!(
        (&one["transfer"], &one["to"]),
        (&id, &serde_json::json!(["b", "c"]))
    );
    let _c = homes.serve_on("c", &listen, &[]);
    let resumed = homes.run("a", &["--json", "send", "--resume", "all"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(resumed.object("sent")["transfer"], id);
    assert_eq!(stored("b").len(), 1);
    assert_eq!(stored("b")[0]["id"], before[0]["id"]);
    assert_eq!(homes.ok("b", &["list", "--chunks"]), chunks);
    assert!(stored("c").iter().any(|one| one["transfer_id"] == id));
    assert_eq!(status(&homes, "a")["unfinished"], 0);
}

#[test]
fn what_needs_more_than_its_id_says_so() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("secret"), "correct horse").unwrap();
    let id = interrupted(&homes, "b", &["--password-file", "secret"]);
    assert_eq!(status(&homes, "a")["sends"][0]["password"], true);
    homes.fails("a", &["send", "--resume", &id], 2);
    let resume = [
        "--json",
        "send",
        "--resume",
        &id,
        "--password-file",
        "secret",
    ];
    let resumed = homes.run("a", &resume);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    assert_eq!(resumed.object("sent")["transfer"], id.as_str());
    // A stream cannot be read again.
    let mut stream = homes.command(
        "a",
        &["send", "-", "--name", "s", "--to", "b", "--limit", "64KiB"],
    );
    stream.stdin(fs::File::open(homes.path("film.mkv")).unwrap());
    let mut stream = stream
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("it is begun", || status(&homes, "a")["unfinished"] == 1);
    stream.kill().unwrap();
    stream.wait().unwrap();
    let one = status(&homes, "a")["sends"][0].clone();
    assert_eq!(
        (&one["resumable"], &one["names"][0]),
        (&false.into(), &"s".into())
    );
    let said = homes.fails("a", &["send", "--resume", "s"], 2);
    assert!(said.contains("only by the command that began it"), "{said}");
    // What goes on is not said anew.
    homes.fails("a", &["send", "--resume", "s", "--to", "b"], 2);
    homes.fails("a", &["send", "--to", "b"], 2);
}
