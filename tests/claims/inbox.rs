//! The inbox that asks: nothing is written before the yes, and what the person sees is what the sender signed.

use std::{fs, os::unix::fs::MetadataExt as _};

use testkit::{Homes, Serving, bytes, wait_for};

/// The one transfer that waits at `home`.
fn waiting(homes: &Homes, home: &str) -> serde_json::Value {
    let out = homes.ok(home, &["--json", "inbox"]);
    let mut lines = out.lines();
    let one = lines.next().unwrap_or_else(|| panic!("nothing waits"));
    assert_eq!(lines.next(), None, "one only");
    serde_json::from_str(one).unwrap()
}

fn arrived(serving: &Serving, state: &str) -> serde_json::Value {
    let is = |said: &serde_json::Value| said["event"] == "arrival" && said["state"] == state;
    wait_for(state, || serving.said().iter().any(is));
    serving.said().into_iter().find(is).unwrap()
}

fn received(homes: &Homes, home: &str) -> Vec<String> {
    let folder = homes.home(home).join("received");
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with(".colis")).collect();
    names.sort();
    names
}

#[test]
fn what_waits_is_listed_in_full_before_a_byte_is_written_and_then_accepted() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::create_dir_all(homes.path("trip/deep")).unwrap();
    fs::write(homes.path("trip/deep/one.jpg"), bytes(1, 70_000)).unwrap();
    fs::write(homes.path("trip/\u{1b}[2Jevil.txt"), "x").unwrap();
    let sent = homes.ok("a", &["--json", "send", "trip", "--to", &b.to()]);
    assert!(sent.contains("\"answers\":[\"waiting\"]"), "{sent}");
    assert_eq!(arrived(&b, "waiting")["reason"], "asks");
    let shown = waiting(&homes, "b");
    assert_eq!(shown["sender_name"], "a");
    assert_eq!(shown["verified"], true);
    assert_eq!(shown["size"], 70_001);
    let entries = shown["entries"].as_array().unwrap();
    let paths: Vec<_> = entries
        .iter()
        .map(|e| e["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "trip",
            "trip/\u{1b}[2Jevil.txt",
            "trip/deep",
            "trip/deep/one.jpg"
        ]
    );
    let ran = homes.run("b", &["inbox"]);
    assert!(
        ran.out.contains("from a (verified)") && ran.out.contains("68.3 KiB  trip/deep/one.jpg"),
        "{ran:?}"
    );
    assert!(!ran.out.contains('\u{1b}'), "escaped: {:?}", ran.out);
    assert_eq!(
        received(&homes, "b"),
        [""; 0],
        "nothing is written before the yes"
    );
    let id = shown["id"].as_str().unwrap();
    homes.ok("b", &["inbox", "accept", &id[..8]]);
    assert_eq!(
        fs::read(homes.home("b").join("received/trip/deep/one.jpg")).unwrap(),
        bytes(1, 70_000)
    );
    assert_eq!(homes.ok("b", &["inbox"]), "", "nothing waits any more");
    assert_eq!(homes.ok("a", &["list", "b"]), "", "nobody else collects it");
    let history = homes.ok("b", &["history"]);
    assert!(
        history.contains("received") && history.contains("from a  trip"),
        "{history}"
    );
}

#[test]
fn a_no_is_told_to_the_sender_and_can_be_taken_back() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "content").unwrap();
    let sender = homes
        .command("a", &["--json", "send", "f", "--to", &b.to(), "--wait"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    arrived(&b, "waiting");
    let id = waiting(&homes, "b")["id"].as_str().unwrap().to_owned();
    homes.ok("b", &["inbox", "refuse", &id]);
    let sender = sender.wait_with_output().unwrap();
    assert_eq!(
        sender.status.code(),
        Some(10),
        "partly done: stored, not opened"
    );
    assert!(String::from_utf8_lossy(&sender.stdout).contains("\"state\":\"refused\""));
    assert_eq!(homes.ok("b", &["inbox"]), "");
    assert!(homes.ok("b", &["history"]).contains("refused"));
    homes.ok("b", &["inbox", "accept", &id]);
    assert_eq!(received(&homes, "b"), ["f"]);
}

#[test]
fn senders_and_sizes_have_their_own_rules() {
    let homes = Homes::new(&["b", "c"]);
    let config = "inbox = \"auto\"\nauto_up_to = \"1KiB\"\n[peers.c]\ninbox = \"ask\"\n";
    fs::write(homes.home("b").join("colis.toml"), config).unwrap();
    let b = homes.serve("b", &[]);
    fs::write(homes.path("small"), bytes(1, 1024)).unwrap();
    fs::write(homes.path("large"), bytes(2, 1025)).unwrap();
    homes.ok("a", &["send", "small", "--to", &b.to(), "--wait"]);
    assert_eq!(received(&homes, "b"), ["small"]);
    homes.ok("a", &["send", "large", "--to", "b"]);
    assert_eq!(arrived(&b, "waiting")["reason"], "larger");
    homes.ok("b", &["inbox", "accept", "--all"]);
    homes.ok("c", &["send", "small", "--to", &b.to()]);
    let asks = || b.said().iter().any(|said| said["reason"] == "asks");
    wait_for("c is asked about", asks);
    assert_eq!(waiting(&homes, "b")["sender_name"], "c");
}

#[test]
fn a_transfer_with_only_a_password_waits_as_locked() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "secret").unwrap();
    fs::write(homes.path("pw"), "correct horse\n").unwrap();
    let args = ["send", "f", "--via", &b.to(), "--password-file", "pw"];
    homes.ok("a", &args);
    assert_eq!(arrived(&b, "waiting")["reason"], "locked");
    let shown = waiting(&homes, "b");
    assert_eq!(
        (&shown["locked"], &shown["verified"]),
        (&true.into(), &true.into())
    );
    assert_eq!(shown["entries"].as_array().unwrap().len(), 0);
    let id = shown["id"].as_str().unwrap();
    let said = homes.fails("b", &["inbox", "accept", id], 2);
    assert!(said.contains("--password-file"), "{said}");
    fs::write(homes.path("wrong"), "incorrect horse").unwrap();
    let said = homes.fails("b", &["inbox", "accept", id, "--password-file", "wrong"], 4);
    assert!(said.contains("wrong password"), "{said}");
    assert_eq!(received(&homes, "b"), [""; 0]);
    homes.ok("b", &["inbox", "accept", id, "--password-file", "pw"]);
    assert_eq!(received(&homes, "b"), ["f"]);
}

#[test]
fn a_message_is_shown_on_arrival_and_cannot_touch_the_terminal() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--keep-opened", "1d"]);
    homes.ok(
        "a",
        &[
            "send",
            "--text",
            "lunch?\u{1b}[31m",
            "--to",
            &b.to(),
            "--wait",
        ],
    );
    let arrival = arrived(&b, "opened");
    assert_eq!(arrival["message"], "lunch?\u{1b}[31m");
    assert_eq!(received(&homes, "b"), ["message.txt"]);
    let out = homes.ok("b", &["receive", "--all", "--again", "--out", "again"]);
    assert!(
        out.contains("message: lunch?") && !out.contains('\u{1b}'),
        "{out:?}"
    );
    let long = "x".repeat(9000);
    let said = homes.fails("a", &["send", "--text", &long, "--to", "b"], 2);
    assert!(
        said.contains("a message has 1 to 8192 bytes") && said.contains("hint: "),
        "{said}"
    );
}

#[test]
fn ids_that_do_not_fit_are_said() {
    let homes = Homes::new(&["b"]);
    let said = homes.fails("b", &["inbox", "accept", "abcdef"], 6);
    assert!(
        said.contains("nothing that waits") && said.contains("hint: see what waits"),
        "{said}"
    );
    assert_eq!(homes.run("b", &["inbox", "accept"]).code, 2);
    assert_eq!(homes.run("b", &["inbox", "refuse"]).code, 2);
    homes.ok("b", &["inbox", "accept", "--all"]);
}

/// The bytes that are staged at `home`, before they have a final name.
fn staged(homes: &Homes, home: &str, name: &str) -> u64 {
    let stagings = homes.home(home).join("received/.colis");
    let Ok(entries) = fs::read_dir(stagings) else {
        return 0;
    };
    let files =
        entries.filter_map(|entry| fs::metadata(entry.ok()?.path().join("tree").join(name)).ok());
    files.map(|file| file.blocks() * 512).sum()
}

#[test]
fn a_transfer_is_opened_while_it_arrives_and_counts_only_when_it_is_whole() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "auto"]);
    let content = bytes(3, (6 << 20) + 5);
    fs::write(homes.path("large"), &content).unwrap();
    let send = [
        "send",
        "large",
        "--to",
        &b.to(),
        "--limit",
        "1MiB",
        "--jobs",
        "1",
    ];
    let mut sender = homes.command("a", &send).spawn().unwrap();
    wait_for("something is staged", || staged(&homes, "b", "large") > 0);
    assert_eq!(received(&homes, "b"), [""; 0], "it is not whole yet");
    sender.kill().unwrap();
    sender.wait().unwrap();
    // The second run sends the rest; a head start of the first is no obstacle.
    homes.ok("a", &["send", "large", "--to", "b", "--wait"]);
    assert_eq!(received(&homes, "b"), ["large"]);
    assert!(fs::read(homes.home("b").join("received/large")).unwrap() == content);
    assert_eq!(staged(&homes, "b", "large"), 0, "nothing is left behind");
}

#[test]
fn what_was_opened_early_of_a_file_that_changed_since_is_not_believed() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "auto"]);
    let path = homes.path("large");
    fs::write(&path, bytes(4, 4 << 20)).unwrap();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let send = [
        "send",
        "large",
        "--to",
        &b.to(),
        "--limit",
        "1MiB",
        "--jobs",
        "1",
    ];
    let mut sender = homes.command("a", &send).spawn().unwrap();
    wait_for("something is staged", || staged(&homes, "b", "large") > 0);
    sender.kill().unwrap();
    sender.wait().unwrap();
    // Same size and time, so that the sender goes on with the same transfer: the first chunk is another now.
    let content = bytes(5, 4 << 20);
    fs::write(&path, &content).unwrap();
    fs::File::open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    homes.ok("a", &["send", "large", "--to", "b", "--wait"]);
    assert_eq!(received(&homes, "b"), ["large"]);
    assert!(fs::read(homes.home("b").join("received/large")).unwrap() == content);
}

/// A rule goes by the id of the peer that the book knows under its name, whichever of the two names that is.
#[test]
fn a_rule_for_a_peer_counts_under_each_of_its_names() {
    for rule in ["boss", "b"] {
        let homes = Homes::new(&["b"]);
        homes.ok("a", &["peers", "rename", "b", "boss"]);
        let text = format!("[peers.{rule}]\ninbox = \"off\"\n");
        fs::write(homes.home("a").join("colis.toml"), text).unwrap();
        fs::write(homes.path("f"), "x").unwrap();
        let a = homes.serve("a", &[]);
        let sent = homes.ok("b", &["--json", "send", "f", "--to", &a.to()]);
        assert!(sent.contains("\"answers\":[\"waiting\"]"), "{rule}: {sent}");
        assert_eq!(arrived(&a, "waiting")["reason"], "off", "{rule}");
        assert!(received(&homes, "a").is_empty(), "{rule}");
        let is_notice = |said: &serde_json::Value| said["event"] == "notice";
        assert!(!a.said().iter().any(is_notice), "{rule}");
    }
}

#[test]
fn a_rule_for_a_name_that_nobody_has_is_warned_about_and_an_alias_gives_it_to_nobody_else() {
    let homes = Homes::new(&["b", "bose"]);
    homes.ok("a", &["peers", "rename", "b", "boss"]);
    let text = "[peers.bsos]\ninbox = \"off\"\n[peers.boss]\ninbox = \"ask\"\n";
    fs::write(homes.home("a").join("colis.toml"), text).unwrap();
    fs::write(homes.path("f"), "x").unwrap();
    let a = homes.serve("a", &[]);
    let notices = |said: &[serde_json::Value]| -> Vec<String> {
        let notices = said.iter().filter(|said| said["event"] == "notice");
        notices
            .map(|said| said["text"].as_str().unwrap().to_owned())
            .collect()
    };
    wait_for("it is warned about", || !notices(&a.said()).is_empty());
    let shown = homes.run("a", &["status"]).err;
    let shown = shown.lines().filter(|line| line.contains("[peers."));
    let shown: Vec<_> = shown.map(str::to_owned).collect();
    for notices in [notices(&a.said()), shown] {
        let [notice] = &notices[..] else {
            panic!("{notices:?}")
        };
        for says in ["[peers.bsos]", "applies to nobody", "did you mean boss?"] {
            assert!(notice.contains(says), "{notice}");
        }
    }
    homes.ok("bose", &["send", "f", "--to", &a.to(), "--wait"]);
    assert_eq!(received(&homes, "a"), ["f"]);
}
