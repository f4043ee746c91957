//! Transfers for several, let open later, and by way of a peer that cannot open them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{Homes, Ran, bytes, wait_for};

/// Everybody in a small circle knows where everybody else serves.
fn introduce(homes: &Homes, whose: &str, addresses: &[String]) {
    for address in addresses {
        homes.ok(whose, &["peers", "add", address]);
    }
}

fn received(homes: &Homes, whose: &str, name: &str) -> PathBuf {
    homes.home(whose).join("received").join(name)
}

fn has(homes: &Homes, whose: &str, name: &str, content: &[u8]) -> bool {
    fs::read(received(homes, whose, name)).is_ok_and(|found| found == content)
}

/// The objects of one kind that a command printed.
fn objects(out: &str, event: &str) -> Vec<Value> {
    let objects = out.lines().map(|line| serde_json::from_str(line).unwrap());
    objects
        .filter(|object: &Value| object["event"] == event)
        .collect()
}

fn listed(homes: &Homes, whose: &str, of: &[&str]) -> Vec<String> {
    let args = [&["--json", "list"], of].concat();
    let transfers = objects(&homes.ok(whose, &args), "transfer");
    let ids = transfers
        .iter()
        .map(|t| t["id"].as_str().unwrap().to_owned());
    ids.collect()
}

fn chunks(homes: &Homes, whose: &str) -> Vec<String> {
    let out = homes.ok(whose, &["list", "--chunks"]);
    out.lines().map(str::to_owned).collect()
}

/// Runs what must end by itself.
fn ends(homes: &Homes, whose: &str, args: &[&str]) -> Ran {
    let mut command = homes.command(whose, args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let ends = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > ends {
            child.kill().unwrap();
            let ran = Ran::from(child.wait_with_output().unwrap());
            panic!("{args:?} waits for ever: {}", ran.err);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn only_recipients_are_waited_for() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), "f").unwrap();
    let (b, c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    introduce(&homes, "a", &[b.to(), c.to()]);
    let kept = ends(
        &homes,
        "a",
        &["--json", "send", "f", "--to", "b", "--keep", "--wait"],
    );
    assert_eq!(kept.code, 0, "{}", kept.err);
    assert_eq!(objects(&kept.out, "sent")[0]["state"], "opened");
    assert_eq!(fs::read(received(&homes, "b", "f")).unwrap(), b"f");
    assert_eq!(listed(&homes, "a", &[]).len(), 1, "it is kept");
    // A carrier is not told: it is said, before anything is sent.
    for via in [&["--via", "c"][..], &["--via", "c", "--keep"]] {
        let args = [&["send", "f", "--to", "b", "--wait"], via].concat();
        let ran = ends(&homes, "a", &args);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(
            ran.err.contains("c is not told when it is opened"),
            "{}",
            ran.err
        );
    }
    drop(c);
    let args = ["--json", "send", "f", "--to", "b,c", "--keep", "--wait"];
    let part = ends(&homes, "a", &args);
    assert_eq!(part.code, 10, "{}", part.err);
    assert_eq!(objects(&part.out, "sent")[0]["state"], "opened");
}

#[test]
fn one_sealed_transfer_goes_to_three() {
    let homes = Homes::new(&["b", "c", "d"]);
    let content = bytes(1, (3 << 16) + 7);
    fs::write(homes.path("plan.bin"), &content).unwrap();
    let names = ["b", "c", "d"];
    let serving = names.map(|name| homes.serve(name, &[]));
    introduce(&homes, "a", &serving.each_ref().map(|peer| peer.to()));
    let send = [
        "send",
        "plan.bin",
        "--to",
        "b,c,d",
        "--chunk-size",
        "64KiB",
        "--wait",
    ];
    homes.ok("a", &send);
    let ids = names.map(|name| {
        assert!(has(&homes, name, "plan.bin", &content), "{name}");
        listed(&homes, "a", &[name])
    });
    assert_eq!(ids[0].len(), 1);
    assert!(ids[0] == ids[1] && ids[1] == ids[2], "{ids:?}");
}

#[test]
fn who_is_off_misses_it_and_the_same_command_reaches_it() {
    let homes = Homes::new(&["b", "c"]);
    let content = bytes(2, 200_000);
    fs::write(homes.path("plan.bin"), &content).unwrap();
    let (b, mut c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    introduce(&homes, "a", &[b.to(), c.to()]);
    let listen = c.to();
    c.kill();
    let send = ["--json", "send", "plan.bin", "--to", "b,c", "--wait"];
    let ran = homes.run("a", &send);
    assert_eq!(ran.code, 10, "{}", ran.err);
    let missed = objects(&ran.out, "missed");
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0]["peer"], "c");
    assert!(has(&homes, "b", "plan.bin", &content));
    let plainly = homes.fails("a", &send[1..], 10);
    assert!(plainly.contains("not sent to c: "), "{plainly}");
    let _c = homes.serve_on("c", &listen, &[]);
    let again = homes.ok("a", &send);
    assert!(has(&homes, "c", "plan.bin", &content));
    let transfer = |out: &str| objects(out, "sent")[0]["transfer"].clone();
    assert_eq!(
        transfer(&again),
        transfer(&ran.out),
        "the same sealed transfer"
    );
    let ids = ["b", "c"].map(|name| listed(&homes, "a", &[name]));
    assert_eq!(ids[0].len(), 1, "{ids:?}");
    assert!(!received(&homes, "b", "plan (2).bin").exists());
}

#[test]
fn who_is_lost_on_the_way_does_not_stop_the_others() {
    let homes = Homes::new(&["b", "c"]);
    let content = bytes(3, 40 << 16);
    fs::write(homes.path("film.bin"), &content).unwrap();
    let (b, mut c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    introduce(&homes, "a", &[b.to(), c.to()]);
    let send = [
        "send",
        "film.bin",
        "--to",
        "b,c",
        "--chunk-size",
        "64KiB",
        "--limit",
        "2MiB",
        "--wait",
    ];
    let mut command = homes.command("a", &send);
    let sending = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let shards = homes.home("c").join("chunks/data");
    wait_for("chunks at c", || files_below(&shards).len() > 5);
    c.kill();
    let ran = Ran::from(sending.wait_with_output().unwrap());
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert!(ran.err.contains("not sent to c: "), "{}", ran.err);
    assert!(has(&homes, "b", "film.bin", &content));
}

#[test]
fn a_grant_lets_another_open_it_and_moves_no_data() {
    let homes = Homes::new(&["b", "c"]);
    let content = bytes(4, 300_000);
    fs::write(homes.path("plan.bin"), &content).unwrap();
    let (a, b, c) = (
        homes.serve("a", &[]),
        homes.serve("b", &[]),
        homes.serve("c", &[]),
    );
    introduce(&homes, "a", &[b.to(), c.to()]);
    introduce(&homes, "b", &[a.to()]);
    introduce(&homes, "c", &[a.to()]);
    homes.ok("a", &["share", "plan.bin", "--to", "b"]);
    let (before, stored) = (listed(&homes, "a", &[]), chunks(&homes, "a"));
    let locked = homes.fails("c", &["receive", "--from", "a", &before[0]], 4);
    assert!(locked.contains("not addressed to us"), "{locked}");
    let granted = homes.ok("a", &["--json", "grant", "plan.bin", "--to", "c"]);
    let granted = &objects(&granted, "granted")[0];
    assert_eq!(granted["replaces"], before[0].as_str());
    assert_eq!(granted["added"], 1);
    assert_eq!(chunks(&homes, "a"), stored);
    let after = listed(&homes, "a", &[]);
    assert_eq!(after, [granted["id"].as_str().unwrap()]);
    for reader in ["b", "c"] {
        homes.ok(reader, &["receive", "--from", "a", "plan.bin"]);
        assert!(has(&homes, reader, "plan.bin", &content), "{reader}");
    }
    // Once more changes nothing.
    let again = homes.ok("a", &["grant", &after[0][..8], "--to", "c"]);
    assert!(again.contains("c can open it already"), "{again}");
    assert_eq!(listed(&homes, "a", &[]), after);
    let absent = homes.fails("a", &["grant", "other.bin", "--to", "c"], 6);
    assert!(
        absent.contains("no transfer of ours in the local store"),
        "{absent}"
    );
    let foreign = homes.fails("b", &["grant", &after[0], "--to", "b", "--at", "a"], 4);
    assert!(foreign.contains("only its sender can do that"), "{foreign}");
}

#[test]
fn what_a_relay_stores_is_collected_by_a_recipient_that_comes_back() {
    let homes = Homes::new(&["b", "c", "r"]);
    let secret = "the-content-that-a-relay-never-sees ".repeat(5000);
    fs::write(homes.path("a-telling-name.txt"), &secret).unwrap();
    let (mut b, c, r) = (
        homes.serve("b", &[]),
        homes.serve("c", &[]),
        homes.serve("r", &[]),
    );
    introduce(&homes, "a", &[b.to(), c.to(), r.to()]);
    introduce(&homes, "b", &[r.to()]);
    b.kill();
    let send = ["send", "a-telling-name.txt", "--to", "b", "--via", "r"];
    let waiting = homes.fails("a", &[&send[..], &["--wait"]].concat(), 2);
    assert!(waiting.contains("r is not told"), "{waiting}");
    homes.ok("a", &send);
    let store = homes.home("r").join("chunks");
    let keys =
        ["a", "b"].map(|name| fs::read(homes.home(name).join("certs/seal-key.pem")).unwrap());
    let said: [&[u8]; 4] = [
        b"telling-name",
        b"relay-never-sees",
        &keys[0][40..60],
        &keys[1][40..60],
    ];
    assert_eq!(holding(&store, &said), Vec::<PathBuf>::new());
    // The search finds what is there: the manifest, by its name and by what is in it.
    let id = listed(&homes, "r", &[]).remove(0);
    assert_eq!(holding(&store, &[id.as_bytes()]).len(), 1);
    assert_eq!(holding(&store, &[b"payloadType"]).len(), 1);
    homes.ok("b", &["config", "set", "collect", "1s"]);
    let mut b = homes.serve("b", &[]);
    wait_for("what was left at the relay", || {
        has(&homes, "b", "a-telling-name.txt", secret.as_bytes())
    });
    wait_for("its announcement", || {
        b.said().iter().any(|said| said["sender_name"] == "a")
    });
    assert!(!received(&homes, "r", "a-telling-name.txt").exists());
    // What is granted later is taken by the next one, and by nobody twice.
    homes.ok(
        "a",
        &["grant", "a-telling-name.txt", "--to", "c", "--at", "r"],
    );
    homes.ok("c", &["receive", "--from", &r.to(), "a-telling-name.txt"]);
    assert!(has(&homes, "c", "a-telling-name.txt", secret.as_bytes()));
    b.kill();
    let _b = homes.serve("b", &[]);
    fs::write(homes.path("second.txt"), "another").unwrap();
    homes.ok("a", &["send", "second.txt", "--to", "b", "--via", "r"]);
    wait_for("the second", || has(&homes, "b", "second.txt", b"another"));
    assert!(!received(&homes, "b", "a-telling-name (2).txt").exists());
}

#[test]
fn a_relay_stores_so_much_of_one_sender_for_so_long() {
    let homes = Homes::new(&["b", "r"]);
    fs::write(homes.path("small.bin"), bytes(5, 600_000)).unwrap();
    fs::write(homes.path("other.bin"), bytes(6, 600_000)).unwrap();
    homes.ok("r", &["config", "set", "relay_quota", "1000KiB"]);
    let (b, mut r) = (homes.serve("b", &[]), homes.serve("r", &[]));
    introduce(&homes, "a", &[b.to(), r.to()]);
    homes.ok("a", &["send", "small.bin", "--to", "b", "--via", "r"]);
    let refused = homes.fails("a", &["send", "other.bin", "--to", "b", "--via", "r"], 7);
    assert!(refused.contains("of a quota of 1000 KiB"), "{refused}");
    // For the relay itself there is room, and for the same transfer once more.
    homes.ok("a", &["send", "other.bin", "--to", "r", "--wait"]);
    homes.ok("a", &["send", "small.bin", "--to", "b,r", "--via", "r"]);
    homes.ok("b", &["receive", "--from", &r.to(), "--all"]);
    let kept = listed(&homes, "a", &[&r.to()]).len();
    r.kill();
    homes.ok("r", &["config", "set", "relay_keep", "1s"]);
    let r = homes.serve("r", &[]);
    wait_for("the end of what was kept for others", || {
        listed(&homes, "a", &[&r.to()]).len() < kept
    });
    assert!(has(&homes, "r", "other.bin", &bytes(6, 600_000)));
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The files below a folder that have one of these bytes in their content or their name.
fn holding(folder: &Path, what: &[&[u8]]) -> Vec<PathBuf> {
    let has = |text: &[u8]| {
        what.iter()
            .any(|what| text.windows(what.len()).any(|window| window == *what))
    };
    let is_hit = |path: &PathBuf| {
        has(&fs::read(path).unwrap()) || has(path.file_name().unwrap().as_encoded_bytes())
    };
    files_below(folder).into_iter().filter(is_hit).collect()
}
