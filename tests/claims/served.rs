//! A home that is served is acted on through the peer that serves it, by the same commands as one that nobody serves.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Homes, Ran, bytes, wait_for};

/// The objects that a command says.
fn objects(homes: &Homes, home: &str, args: &[&str]) -> Vec<Value> {
    let said = homes.ok(home, &[&["--json"], args].concat());
    let said = said.lines().map(|line| serde_json::from_str(line).unwrap());
    said.collect()
}

/// A send that takes half a minute, of which some has come.
fn slow_send(homes: &Homes, to: &str) -> Child {
    fs::write(homes.path("film"), bytes(1, 8 << 20)).unwrap();
    let mut sending: Command =
        homes.command("a", &["send", "film", "--to", to, "--limit", "256KiB"]);
    let sending = sending.stderr(Stdio::piped()).spawn().unwrap();
    wait_for("some of it", || {
        let seen = objects(homes, "b", &["inbox"]);
        seen.iter()
            .any(|one| one["event"] == "arriving" && one["bytes"] != 0)
    });
    sending
}

#[test]
fn a_home_is_collected_while_it_is_served_and_while_it_is_not() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--keep-opened", "0", "--inbox", "ask"]);
    let sending = slow_send(&homes, &b.to());
    kill_process(Pid::from_child(&sending), Signal::TERM).unwrap();
    sending.wait_with_output().unwrap();
    let kept = objects(&homes, "b", &["gc"]);
    assert_eq!(
        (&kept[0]["event"], &kept[0]["chunks"]),
        (&"gc".into(), &0.into())
    );
    let freed = objects(&homes, "b", &["gc", "--unfinished"]);
    assert!(freed[0]["chunks"].as_u64().unwrap() > 0, "{freed:?}");
    homes.ok("a", &["peers", "check", &b.to()]);
    drop(b);
    let nothing = objects(&homes, "b", &["gc", "--unfinished"]);
    assert_eq!(nothing[0]["chunks"], 0, "{nothing:?}");
}

#[test]
fn what_is_arriving_is_seen_with_how_far_it_is_and_can_be_stopped() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let sending = slow_send(&homes, &b.to());
    let status = objects(&homes, "b", &["status"]);
    let [one] = status[0]["arriving"].as_array().unwrap().as_slice() else {
        panic!("{status:?}");
    };
    let (bytes, of) = (one["bytes"].as_u64().unwrap(), one["of"].as_u64().unwrap());
    assert!(bytes > 0 && bytes < of, "{one}");
    assert_eq!((of, &one["name"]), (8 << 20, &"a".into()));
    let id = &one["transfer"].as_str().unwrap()[..6];
    for args in [["inbox"], ["status"]] {
        let said = homes.ok("b", &args);
        assert!(said.contains(&format!("arriving: {id}")), "{said}");
        assert!(said.contains("of 8 MiB from a"), "{said}");
    }
    let said = homes.fails("b", &["inbox", "cancel", "zzzz"], 6);
    assert!(said.contains("colis inbox"), "{said}");
    let said = homes.ok("b", &["inbox", "stop", id]);
    assert!(said.contains(&format!("stopped: {id}")), "{said}");
    let sent = Ran::from(sending.wait_with_output().unwrap());
    assert_eq!(sent.code, 10, "{}", sent.err);
    assert!(sent.err.contains("stopped it"), "{}", sent.err);
    assert!(!homes.ok("b", &["inbox"]).contains("arriving"));
    drop(b);
    let said = homes.fails("b", &["inbox", "cancel", id], 6);
    assert!(
        said.contains("nothing that is arriving"),
        "nobody serves: {said}"
    );
}

#[test]
fn a_peer_is_stopped_and_its_home_can_be_served_again_at_once() {
    let homes = Homes::new(&["b"]);
    for _ in 0..3 {
        let mut b = homes.serve("b", &[]);
        let stopped = objects(&homes, "b", &["stop"]);
        assert_eq!(stopped[0]["serving"], b.to().as_str());
        assert_eq!(stopped[0]["process"], b.id());
        // Nothing waits for the lock here.
        objects(&homes, "b", &["gc"]);
        assert_eq!(b.end(), Some(0));
    }
    let logs = fs::read_dir(homes.home("b").join("logs")).unwrap();
    let logs: String = logs
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert_eq!(logs.matches("its owner stopped it").count(), 3, "{logs}");
    let nobody = objects(&homes, "b", &["stop"]);
    assert_eq!(
        (&nobody[0]["event"], &nobody[0]["serving"]),
        (&"stopped".into(), &Value::Null)
    );
    let said = homes.run("b", &["stop"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("nobody serves this home"), "{said:?}");
}

#[test]
fn commands_beside_a_peer_that_begins_and_ends_are_done_by_one_of_both() {
    let homes = Homes::new(&["b"]);
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            for _ in 0..6 {
                let mut b = homes.serve("b", &[]);
                homes.ok("b", &["stop"]);
                assert_eq!(b.end(), Some(0));
            }
        });
        while !serving.is_finished() {
            let ran = homes.run("b", &["gc"]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        serving.join().unwrap();
    });
}

#[test]
fn two_who_stop_a_peer_both_have_it_stopped() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    // A request in work: the peer takes no connections any more, and has not ended.
    let sending = slow_send(&homes, &b.to());
    let first = homes.command("b", &["stop"]).spawn().unwrap();
    wait_for("it takes no connections", || {
        std::net::TcpStream::connect(b.address).is_err()
    });
    let second = homes.command("b", &["stop"]).spawn().unwrap();
    for stop in [first, second] {
        let ran = Ran::from(stop.wait_with_output().unwrap());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    assert_eq!(b.end(), Some(0));
    kill_process(Pid::from_child(&sending), Signal::TERM).unwrap();
    sending.wait_with_output().unwrap();
}

#[test]
fn what_is_to_be_cancelled_is_looked_for_before_anything_is_cancelled() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let sending = slow_send(&homes, &b.to());
    let status = objects(&homes, "b", &["status"]);
    let id = status[0]["arriving"][0]["transfer"].as_str().unwrap();
    homes.fails("b", &["inbox", "cancel", id, "0000"], 6);
    homes.fails("b", &["inbox", "cancel", &id[..3], id], 2);
    let cancelled = objects(&homes, "b", &["status"])[0]["arriving"].clone();
    assert_eq!(cancelled[0]["transfer"], id, "it goes on");
    let cancelled = objects(&homes, "b", &["inbox", "cancel", &id[..4], id]);
    assert_eq!(cancelled.len(), 1, "one transfer: {cancelled:?}");
    let sent = Ran::from(sending.wait_with_output().unwrap());
    assert_eq!(sent.code, 10, "{}", sent.err);
}

#[test]
fn the_peer_that_serves_records_what_is_refused_and_opened() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    for name in ["f", "g"] {
        fs::write(homes.path(name), name).unwrap();
        homes.ok("a", &["send", name, "--to", &b.to()]);
    }
    let waiting = objects(&homes, "b", &["inbox"]);
    let id = |place: usize| waiting[place]["id"].as_str().unwrap().to_owned();
    // A command that may write to no file: what it would write beside the peer fails.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""]);
    let refuse = homes.command("b", &["--json", "inbox", "refuse", &id(0)]);
    let refused = Ran::from(testkit::around(shell, &refuse).output().unwrap());
    assert_eq!(refused.code, 0, "{refused:?}");
    assert_eq!(refused.object("refused")["id"], id(0).as_str());
    assert!(homes.log("b").contains("refused by the owner"));
    homes.ok("b", &["inbox", "accept", &id(1)]);
    assert!(homes.log("b").contains("opened by the owner"));
    assert!(objects(&homes, "b", &["inbox"]).is_empty());
    drop(b);
    homes.ok("b", &["inbox", "accept", &id(0)]);
    assert!(
        homes
            .fails("b", &["inbox", "refuse", &id(0)], 6)
            .contains("nothing that waits")
    );
}

#[test]
fn the_beginning_of_an_id_names_a_peer_to_send_to_to_check_and_to_rename() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let peers = homes.run("a", &["--json", "peers"]);
    let rows = peers
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ids = rows.filter(|row| row["name"] == "b");
    let id = ids
        .map(|row| row["peer_id"].as_str().unwrap().to_owned())
        .next();
    let id = &id.unwrap_or_else(|| panic!("{peers:?}"))[..8];
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["peers", "check", id]);
    homes.ok("a", &["send", "f", "--to", id, "--wait"]);
    homes.ok("a", &["peers", "rename", id, "ben"]);
    homes.ok("a", &["send", "f", "--to", "ben", "--dry-run"]);
}
