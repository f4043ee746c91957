//! "My file did not arrive" is answered by the log and the history, whatever became of it.

mod expired;
pub(super) mod floods;

use std::{
    fs,
    process::{Child, Stdio},
};

use colis::{
    id::{PeerId, TransferId},
    manifest::Timestamp,
    store::Store as _,
};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{
    Homes, Serving, bytes,
    person::set,
    sealed::{chunk, wrap_for},
    wait_for,
};

use floods::unopenable;

use crate::{members::curl, metrics::url};

/// The lines of the log file that have this message, as objects.
fn logged(homes: &Homes, message: &str) -> Vec<serde_json::Value> {
    let folder = fs::read_dir(homes.home("b").join("logs")).unwrap();
    let files = folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines: String = files.collect();
    let objects = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    objects
        .filter(|line: &serde_json::Value| line["message"] == message)
        .collect()
}

/// Waits for a line of the log, and gives it.
fn is_logged(homes: &Homes, message: &str) -> serde_json::Value {
    wait_for(message, || !logged(homes, message).is_empty());
    logged(homes, message).pop().unwrap()
}

/// The newest of the history, as programs and as people see it.
fn newest(homes: &Homes, direction: &str) -> (serde_json::Value, String) {
    let history = |args: &[&str]| homes.ok("b", args);
    let is_there = || {
        let all = history(&["--json", "history"]);
        all.lines()
            .next_back()
            .is_some_and(|line| line.contains(&format!("\"direction\":\"{direction}\"")))
    };
    wait_for(direction, is_there);
    let object = history(&["--json", "history"]);
    let line = history(&["history"]);
    (
        serde_json::from_str(object.lines().next_back().unwrap()).unwrap(),
        line.lines().next_back().unwrap().to_owned(),
    )
}

/// The entries of the history with this direction.
fn history(homes: &Homes, direction: &str) -> Vec<serde_json::Value> {
    let all = homes.ok("b", &["--json", "history"]);
    let all = all.lines().map(|line| serde_json::from_str(line).unwrap());
    all.filter(|entry: &serde_json::Value| entry["direction"] == direction)
        .collect()
}

/// What `status` has under `key`.
fn in_status(homes: &Homes, key: &str) -> Vec<serde_json::Value> {
    let status = homes.run("b", &["--json", "status"]).out;
    let status: serde_json::Value = serde_json::from_str(status.trim()).unwrap();
    status[key].as_array().unwrap().clone()
}

/// What `status` says that did not come.
fn missed(homes: &Homes) -> Vec<serde_json::Value> {
    in_status(homes, "missed")
}

/// `status` and `inbox`, for people and for programs, have this entry of the history.
fn is_missed(homes: &Homes, entry: &serde_json::Value) {
    let [found] = missed(homes).try_into().unwrap();
    assert_eq!(found["transfer"], entry["transfer"]);
    for command in ["status", "inbox"] {
        let text = homes.run("b", &[command]).out;
        assert!(text.contains("from a  of 2"), "{command}: {text}");
        let id = &entry["transfer"].as_str().unwrap()[..8];
        assert!(text.contains(id), "{command}: {text}");
    }
    let inbox = homes.ok("b", &["--json", "inbox"]);
    let transfer = entry["transfer"].as_str().unwrap();
    assert!(
        inbox.contains("\"not-come\"") && inbox.contains(transfer),
        "{inbox}"
    );
}

fn send(homes: &Homes, b: &Serving, name: &str) {
    homes.ok("a", &["send", name, "--to", &b.to()]);
}

fn metrics(homes: &Homes, b: &Serving) -> String {
    curl(homes, "b", &[&url(&b.to(), "/v1/metrics")]).out
}

fn inbox_counts(homes: &Homes, b: &Serving) -> serde_json::Value {
    let health = curl(homes, "b", &[&url(&b.to(), "/v1/health")]).out;
    let health: serde_json::Value = serde_json::from_str(&health).unwrap();
    health["details"]["inbox"].clone()
}

fn stop(b: &Serving) {
    kill_process(Pid::from_raw(b.id() as i32).unwrap(), Signal::TERM).unwrap();
}

#[test]
fn a_file_that_was_opened_waits_or_was_refused_is_found_with_its_names_and_why() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let started = is_logged(&homes, "started");
    assert_eq!(started["address"], b.to());
    assert!(started["version"].is_string() && started["home"].is_string());
    fs::write(homes.path("report.txt"), "one").unwrap();
    send(&homes, &b, "report.txt");
    let opened = is_logged(&homes, "opened");
    assert_eq!(opened["sender"], "a");
    assert!(
        !opened["rate"].as_str().unwrap().starts_with("0.0"),
        "{opened}"
    );
    // Another file has its name.
    fs::write(homes.path("report.txt"), "two").unwrap();
    newest(&homes, "received");
    send(&homes, &b, "report.txt");
    wait_for("both", || logged(&homes, "opened").len() == 2);
    wait_for("its name", || {
        newest(&homes, "received").0["named"].is_array()
    });
    let (entry, line) = newest(&homes, "received");
    assert_eq!(entry["named"][0], "report (2).txt");
    assert!(line.ends_with("report.txt  as report (2).txt"), "{line}");
    // It waits for a yes, and why; then the owner says no.
    set(&homes, "b", "inbox", "ask");
    kill_process(Pid::from_raw(b.id() as i32).unwrap(), Signal::HUP).unwrap();
    is_logged(&homes, "settings read again");
    fs::write(homes.path("asked.txt"), "x").unwrap();
    send(&homes, &b, "asked.txt");
    let (entry, line) = newest(&homes, "waiting");
    assert_eq!(entry["reason"], "asks");
    assert!(
        line.contains("from a") && line.ends_with("(asks)"),
        "{line}"
    );
    assert_eq!(is_logged(&homes, "not opened unasked")["why"], "asks");
    let manifest = entry["id"].as_str().unwrap();
    homes.ok("b", &["inbox", "refuse", manifest]);
    let (entry, line) = newest(&homes, "refused");
    assert_eq!(entry["names"][0], "asked.txt");
    assert!(line.ends_with("from a  asked.txt"), "{line}");
    // The command did it; the peer beside it tells it.
    let told = is_logged(&homes, "refused by the owner");
    assert!(
        manifest.starts_with(told["manifest"].as_str().unwrap()),
        "{told}"
    );
    assert_eq!(inbox_counts(&homes, &b)["refused"], 1);
    stop(&b);
    assert_eq!(is_logged(&homes, "stopped")["why"], "SIGTERM");
}

#[test]
fn what_is_not_taken_is_logged_with_who_and_why_and_nobody_fills_a_disk_with_it() {
    let homes = Homes::new(&["b"]);
    set(&homes, "b", "quota", "1MiB");
    let b = homes.serve("b", &[]);
    fs::write(homes.path("large"), bytes(1, 3_000_000)).unwrap();
    for _ in 0..12 {
        homes.fails("a", &["send", "large", "--to", &b.to()], 7);
    }
    let refused = is_logged(&homes, "refused");
    assert_eq!(refused["peer"], "a");
    assert_eq!(refused["why"], "quota-exceeded");
    assert!(refused["needed"].as_u64() > refused["free"].as_u64());
    assert!(logged(&homes, "refused").len() <= 10);
    // However often it is tried: one entry.
    let entries = history(&homes, "refused");
    assert_eq!(entries.len(), 1, "{entries:?}");
    let (entry, line) = newest(&homes, "refused");
    assert_eq!(
        (&entry["peers"][0], &entry["of"]),
        (&"a".into(), &3_000_000.into())
    );
    assert!(entry["id"].is_null(), "{entry}");
    let why = entry["reason"].as_str().unwrap();
    assert!(why.starts_with("quota-exceeded: "), "{why}");
    assert!(line.contains("from a  of 2.8 MiB"), "{line}");
    is_missed(&homes, &entry);
    homes.ok("b", &["peers", "role", "a", "reader"]);
    stop(&b);
    is_logged(&homes, "stopped");
    let b = homes.serve("b", &[]);
    fs::write(homes.path("small"), "x").unwrap();
    assert_ne!(homes.run("a", &["send", "small", "--to", &b.to()]).code, 0);
    wait_for("the role", || {
        logged(&homes, "refused")
            .iter()
            .any(|line| line["why"] == "not-allowed")
    });
    let (entry, _) = newest(&homes, "refused");
    let why = entry["reason"].as_str().unwrap();
    assert!(
        why.starts_with("not-allowed: your role here is reader"),
        "{why}"
    );
}

fn slowly(homes: &Homes, to: &[&str]) -> Child {
    let args = [
        "send",
        "large",
        "--chunk-size",
        "64KiB",
        "--limit",
        "256KiB",
    ];
    let mut send = homes.command("a", &[&args, to].concat());
    let send = send.stdout(Stdio::null()).stderr(Stdio::null());
    send.spawn().unwrap()
}

fn cut_half_way(homes: &Homes, mut sending: Child) {
    wait_for("chunks", || {
        let arriving = in_status(homes, "arriving");
        arriving.iter().any(|one| one["bytes"].as_u64() > Some(0))
    });
    sending.kill().unwrap();
    sending.wait().unwrap();
}

#[test]
fn what_goes_on_after_a_cut_is_told_as_arriving_alone_and_then_not_at_all() {
    let homes = Homes::new(&["b", "c"]);
    let c = homes.serve("c", &[]);
    homes.ok("a", &["peers", "add", &c.to()]);
    fs::write(homes.path("large"), bytes(1, 30_000_000)).unwrap();
    // For the owner of the store, and for another of whom its history says nothing.
    for to in [None, Some("c")] {
        let b = homes.serve("b", &[]);
        let way = |at: &str| match to {
            None => ["--to", at].map(str::to_owned).to_vec(),
            Some(to) => ["--to", to, "--via", at].map(str::to_owned).to_vec(),
        };
        let slowly_to = |b: &Serving| {
            let way = way(&b.to());
            slowly(&homes, &way.iter().map(String::as_str).collect::<Vec<_>>())
        };
        cut_half_way(&homes, slowly_to(&b));
        stop(&b);
        wait_for(&format!("a cut of what is for {to:?}"), || {
            missed(&homes).len() == 1
        });
        let b = homes.serve("b", &[]);
        let mut sending = slowly_to(&b);
        wait_for("it arrives", || !in_status(&homes, "arriving").is_empty());
        assert!(missed(&homes).is_empty(), "{to:?}");
        let inbox = homes.ok("b", &["--json", "inbox"]);
        assert!(inbox.contains("\"arriving\""), "{inbox}");
        assert!(!inbox.contains("\"not-come\""), "{inbox}");
        sending.kill().unwrap();
        sending.wait().unwrap();
        let way = way(&b.to());
        let again = ["send", "large", "--chunk-size", "64KiB"].into_iter();
        homes.ok(
            "a",
            &again
                .chain(way.iter().map(String::as_str))
                .collect::<Vec<_>>(),
        );
        assert!(missed(&homes).is_empty(), "{to:?}");
        assert!(!history(&homes, "cut").is_empty());
        stop(&b);
    }
}

#[test]
fn a_transfer_that_was_cut_half_way_is_told_with_how_much_of_it_came() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("large"), bytes(1, 30_000_000)).unwrap();
    let sending = slowly(&homes, &["--to", &b.to()]);
    cut_half_way(&homes, sending);
    stop(&b);
    let cut = is_logged(&homes, "cut half way");
    assert_eq!(cut["peer"], "a");
    assert_eq!(cut["of"], 30_000_000);
    let came = cut["bytes"].as_u64().unwrap();
    assert!(came > 0 && came < 30_000_000);
    let (entry, line) = newest(&homes, "cut");
    assert_eq!((&entry["bytes"], &entry["of"]), (&cut["bytes"], &cut["of"]));
    assert!(
        line.contains("cut") && line.contains("from a  of 28"),
        "{line}"
    );
    is_missed(&homes, &entry);
    let b = homes.serve("b", &[]);
    let again = ["send", "large", "--to", &b.to(), "--chunk-size", "64KiB"];
    homes.ok("a", &again);
    wait_for("nothing is missed", || missed(&homes).is_empty());
}

#[test]
fn who_is_not_let_in_is_said_by_name_and_in_words() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("c", &["send", "f", "--to", &b.to()]);
    let blocked = homes.ok("b", &["--json", "peers", "block", "c"]);
    let blocked: serde_json::Value = serde_json::from_str(blocked.trim()).unwrap();
    let short = &blocked["peer_id"].as_str().unwrap()[..8];
    wait_for("the role", || {
        !logged(&homes, "roles read again").is_empty()
    });
    assert_ne!(homes.run("c", &["send", "f", "--to", &b.to()]).code, 0);
    let line = is_logged(&homes, "connection refused");
    let cause = line["cause"].as_str().unwrap();
    assert!(cause.contains("c has the role none"), "{cause}");
    assert_eq!(line["peer"], "c", "{line}");
    assert!(line["id"].as_str().unwrap().starts_with(short), "{line}");
    let counts = metrics(&homes, &b);
    let not_allowed = "colis_connections_refused_total{reason=\"not-allowed\"}";
    assert!(counts.contains(not_allowed), "{counts}");
    assert!(!counts.contains("reason=\"handshake\""), "{counts}");
}

#[test]
fn who_brought_a_revocation_list_is_logged() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["certs", "revoke", "c"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    assert_eq!(
        is_logged(&homes, "a revocation list was brought")["peer"],
        "a"
    );
}

#[test]
fn a_history_that_cannot_be_read_keeps_nobody_from_looking() {
    let homes = Homes::new(&[]);
    homes.ok("a", &["gc"]);
    fs::create_dir_all(homes.home("a").join("chunks/state/history.jsonl")).unwrap();
    // What keeps `history` from working needs care.
    for (args, code) in [(&["status"][..], 11), (&["inbox"], 0)] {
        let ran = homes.run("a", args);
        assert_eq!(ran.code, code, "{args:?}: {ran:?}");
        assert!(ran.err.contains("history.jsonl"), "{args:?}: {ran:?}");
        let ran = homes.run("a", &[&["--json"], args].concat());
        assert!(ran.out.contains("\"history-unread\""), "{args:?}: {ran:?}");
    }
}

#[test]
fn a_store_that_fails_is_logged_with_who_asked_and_fills_no_log() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let (id, sealed) = chunk(1, 1_000);
    fs::write(homes.path("sealed"), sealed).unwrap();
    let from = format!("@{}", homes.path("sealed").display());
    fs::rename(homes.home("b").join("chunks"), homes.path("gone")).unwrap();
    let asked = url(&b.to(), &format!("/v1/chunks/{id}"));
    let binary = "Content-Type: application/octet-stream";
    let put = ["-X", "PUT", "-H", binary, "--data-binary", &from];
    let answer = curl(&homes, "a", &[&put[..], &[&*asked; 60]].concat()).out;
    assert!(answer.contains("\"status\":50"), "{answer}");
    let line = is_logged(&homes, "a request failed");
    assert!(line["peer"].as_str().unwrap().starts_with('a'), "{line}");
    assert_eq!(line["id"].as_str().unwrap().len(), 64, "{line}");
    assert!(
        line["cause"].is_string() && line["request"].is_string(),
        "{line}"
    );
    let lines = logged(&homes, "a request failed").len();
    assert!(lines <= 11, "{lines}");
}

#[test]
fn who_is_in_no_book_is_blocked_by_the_id_that_the_log_has() {
    let homes = Homes::new(&["b", "k"]);
    set(&homes, "b", "default_role", "reader");
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "x").unwrap();
    let send = || homes.run("k", &["send", "f", "--to", &b.to()]);
    assert_ne!(send().code, 0);
    let refused = is_logged(&homes, "refused");
    assert_eq!(refused["peer"], "k");
    let id = refused["id"].as_str().unwrap();
    homes.ok("b", &["peers", "block", id]);
    assert_ne!(send().code, 0);
    assert_eq!(is_logged(&homes, "connection refused")["id"], *id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_waited_and_was_deleted_or_expired_is_told_as_is_one_for_others() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    let (c, to, client, mut draft) = unopenable(&homes, &b).await;
    let manifest = draft.sign(&c);
    client.put_manifest(&manifest).await.unwrap();
    newest(&homes, "waiting");
    client.delete_manifest(manifest.id()).await.unwrap();
    let line = is_logged(&homes, "deleted unopened");
    assert_eq!(line["sender"], "c");
    let (entry, _) = newest(&homes, "refused");
    assert_eq!(entry["reason"], "deleted by its sender while it waited");
    assert_eq!(entry["peers"][0], "c");

    // A shorter time is refused.
    let expires = Timestamp::now().plus_seconds(63);
    for wrap in [to, PeerId::of(b"d")] {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        draft.offer.expires = Some(expires);
        *draft.offer.wraps.last_mut().unwrap() = wrap_for(wrap);
        client.put_manifest(&draft.sign(&c)).await.unwrap();
    }
    for left in [50, 25, 1] {
        wait_for("its time", || {
            Timestamp::now().plus_seconds(left) >= expires
        });
    }
    assert_eq!(is_logged(&homes, "expired unopened")["sender"], "c");
    let carried = is_logged(&homes, "expired, stored for others");
    assert_eq!(carried["recipient"], PeerId::of(b"d").to_string());
    let (entry, _) = newest(&homes, "refused");
    assert_eq!(entry["reason"], "expired while it waited");
}

#[test]
fn a_damaged_line_of_the_history_is_counted() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("b", &["share", "f"]);
    let path = homes.home("b").join("chunks/state/history.jsonl");
    let good = fs::read(&path).unwrap();
    assert_eq!(homes.run("b", &["history"]).err, "");
    fs::write(&path, [b"\xff garbage\n", &good[..], b"{\"cut"].concat()).unwrap();
    let said = homes.run("b", &["history"]);
    assert!(said.err.contains("1 line of "), "{said:?}");
    assert!(said.out.contains("shared"), "{said:?}");
}
