//! `receive --all` is what is new for this peer: not what it opened before, however that came, and not what it sent to others.

use std::fs;

use colis::manifest::Timestamp;
use testkit::{Homes, Ran, Serving, wait_for};

/// b serves with its inbox off, and carries for the others.
fn carried_by_b(others: &[&str]) -> (Homes, Serving) {
    let homes = Homes::new(others);
    let b = homes.serve("b", &["--inbox", "off"]);
    for name in others.iter().chain(&["a"]).filter(|name| **name != "b") {
        homes.ok(name, &["peers", "add", &b.to()]);
    }
    (homes, b)
}

/// `whose` sends a file to these recipients, by way of b; in a later second than whatever was sent before.
fn send(homes: &Homes, whose: &str, name: &str, to: &str) {
    fs::write(homes.path(name), name).unwrap();
    let ran = homes.run(whose, &["send", name, "--to", to, "--via", "b"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let now = Timestamp::now();
    wait_for("the next second", || Timestamp::now() > now);
}

fn receive(homes: &Homes, whose: &str, more: &[&str]) -> Ran {
    let args = [&["receive", "--from", "b", "--all"], more].concat();
    let ran = homes.run(whose, &args);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

/// The names of the received files, in the order in which they were told.
fn names(ran: &Ran) -> Vec<&str> {
    let lines = ran.out.lines();
    lines.map(|line| line.rsplit('/').next().unwrap()).collect()
}

#[test]
fn the_second_receive_of_all_writes_nothing_and_says_so() {
    let (homes, _b) = carried_by_b(&["b", "c"]);
    for name in ["3.txt", "1.txt", "2.txt"] {
        send(&homes, "a", name, "c");
    }
    let first = receive(&homes, "c", &[]);
    assert_eq!(names(&first), ["3.txt", "1.txt", "2.txt"], "oldest first");
    let folder = homes.home("c").join("received");
    // Where another file has the name, fetching again would write `3 (2).txt`.
    fs::write(folder.join("3.txt"), "changed since").unwrap();
    let second = receive(&homes, "c", &[]);
    assert_eq!(second.out, "");
    assert!(
        second.err.contains("nothing new from b (3 decided"),
        "{second:?}"
    );
    assert!(!folder.join("3 (2).txt").exists());
    send(&homes, "a", "4.txt", "c");
    assert_eq!(names(&receive(&homes, "c", &[])), ["4.txt"]);
    let again = receive(&homes, "c", &["--again"]);
    assert_eq!(again.out.lines().count(), 4, "{again:?}");
    assert!(folder.join("3 (2).txt").exists());
    // What is named is fetched, whatever was before.
    let named = homes.ok("c", &["receive", "--from", "b", "1.txt"]);
    assert!(named.contains("already there, identical"), "{named}");
    homes.fails("c", &["receive", "--again", "1.txt"], 2);
}

#[test]
fn what_this_peer_sent_to_others_is_fetched_if_that_is_asked_for() {
    let (homes, _b) = carried_by_b(&["b", "c"]);
    send(&homes, "a", "theirs.txt", "c,b");
    let all = receive(&homes, "a", &[]);
    assert_eq!(all.out, "");
    assert!(
        all.err
            .contains("nothing new from b (1 sent from here: --mine)"),
        "{all:?}"
    );
    assert!(!homes.home("a").join("received/theirs.txt").exists());
    assert_eq!(names(&receive(&homes, "a", &["--mine"])), ["theirs.txt"]);
    // Either means all by itself.
    for (flag, out) in [("--mine", "mine"), ("--again", "again")] {
        let said = homes.ok("a", &["receive", "--from", "b", flag, "--out", out]);
        assert_eq!(
            said.lines().count(),
            usize::from(flag == "--mine"),
            "{said}"
        );
    }
    // A program reads that nothing is new, and why.
    let ran = homes.run("a", &["--json", "receive", "--from", "b", "--all"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{ran:?}");
    let nothing = ran.object("nothing-new");
    assert_eq!(nothing["from"], serde_json::json!(["b"]));
    assert_eq!(
        (&nothing["before"], &nothing["mine"], &nothing["locked"]),
        (&0.into(), &1.into(), &0.into())
    );
}

#[test]
fn what_was_addressed_to_oneself_is_new_until_it_is_opened() {
    let (homes, _b) = carried_by_b(&["b", "c"]);
    send(&homes, "a", "alone.txt", "a");
    send(&homes, "a", "first.txt", "a,c");
    send(&homes, "a", "last.txt", "c,a");
    send(&homes, "a", "theirs.txt", "c");
    let marks = |whose: &str| -> Vec<String> {
        let listed = homes.ok(whose, &["--json", "list", "b"]);
        let rows = listed
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        rows.map(|row: serde_json::Value| row["mark"].to_string())
            .collect()
    };
    let (new, opened, mine) = ("\"new\"", "\"opened\"", "\"mine\"");
    assert_eq!(marks("a"), [new, new, new, mine]);
    assert_eq!(marks("c"), ["null", new, new, new]);
    let came = receive(&homes, "a", &[]);
    assert_eq!(names(&came), ["alone.txt", "first.txt", "last.txt"]);
    assert_eq!(marks("a"), [opened, opened, opened, mine]);
    let listed = homes.ok("a", &["list", "b"]);
    assert!(
        listed.lines().next().unwrap().contains("  opened  from a"),
        "{listed}"
    );
    assert!(
        listed.lines().last().unwrap().contains("  mine    to c"),
        "{listed}"
    );
    assert_eq!(receive(&homes, "a", &[]).out, "");
}

#[test]
fn what_was_opened_by_any_way_is_not_new() {
    let (homes, b) = carried_by_b(&["b", "c", "d"]);
    // By its name, from a peer.
    send(&homes, "a", "named.txt", "c");
    homes.ok(
        "c",
        &["receive", "--from", "b", "named.txt", "--out", "elsewhere"],
    );
    assert_eq!(receive(&homes, "c", &[]).out, "");
    // By a yes, and by what waits being received, out of the own store.
    drop(b);
    homes.ok("c", &["config", "set", "keep_opened", "1d"]);
    let carrier = homes.serve("d", &["--inbox", "off"]);
    let (c, to) = (homes.serve("c", &["--inbox", "ask"]), carrier.to());
    for name in ["accepted.txt", "refused.txt", "waits.txt"] {
        fs::write(homes.path(name), name).unwrap();
        let via = format!("{},{to}", c.to());
        homes.ok("a", &["send", name, "--to", &c.to(), "--via", &via]);
    }
    let waiting = homes.ok("c", &["--json", "inbox"]);
    let id_of = |name: &str| {
        let rows = waiting
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let mut rows = rows.filter(|row: &serde_json::Value| row["entries"][0]["path"] == name);
        rows.next().unwrap()["id"].as_str().unwrap().to_owned()
    };
    homes.ok("c", &["inbox", "accept", &id_of("accepted.txt")]);
    homes.ok("c", &["inbox", "refuse", &id_of("refused.txt")]);
    let rest = homes.ok("c", &["receive", "--all"]);
    assert!(
        rest.ends_with("waits.txt\n") && rest.lines().count() == 1,
        "{rest}"
    );
    let ran = homes.run("c", &["receive", "--all"]);
    assert!(ran.err.contains("nothing new here (3 decided"), "{ran:?}");
    let ran = homes.run("c", &["receive", "--from", &to, "--all"]);
    assert!(ran.out.is_empty() && ran.code == 0, "{ran:?}");
    // By the inbox, unasked.
    drop(c);
    let c = homes.serve("c", &[]);
    fs::write(homes.path("auto.txt"), "auto").unwrap();
    let via = format!("{},{to}", c.to());
    homes.ok("a", &["send", "auto.txt", "--to", &c.to(), "--via", &via]);
    let came = homes.home("c").join("received/auto.txt");
    wait_for("the inbox has opened it", || came.exists());
    let ran = homes.run("c", &["receive", "--from", &to, "--all"]);
    assert!(ran.out.is_empty() && ran.code == 0, "{ran:?}");
}

#[test]
fn a_sealed_folder_that_was_opened_is_not_new_anywhere() {
    let (homes, _b) = carried_by_b(&["b", "c"]);
    send(&homes, "a", "file.txt", "c");
    let from_b = homes.ok("c", &["--json", "list", "b"]);
    let row: serde_json::Value = serde_json::from_str(from_b.trim_end()).unwrap();
    // The same transfer as b has it, carried by hand.
    let (sealed, store) = (homes.path("sealed"), homes.home("b").join("chunks"));
    fs::create_dir_all(sealed.join("chunks")).unwrap();
    for shard in fs::read_dir(store.join("data")).unwrap() {
        for chunk in fs::read_dir(shard.unwrap().path()).unwrap() {
            let chunk = chunk.unwrap();
            fs::copy(chunk.path(), sealed.join("chunks").join(chunk.file_name())).unwrap();
        }
    }
    let id = row["id"].as_str().unwrap();
    let manifest = store.join("manifests").join(id);
    fs::create_dir_all(sealed.join("manifests")).unwrap();
    fs::copy(
        manifest,
        sealed.join("manifests").join(format!("{id}.dsse")),
    )
    .unwrap();
    homes.ok("c", &["open", "sealed"]);
    let ran = receive(&homes, "c", &[]);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("nothing new from b (1 decided"), "{ran:?}");
}
