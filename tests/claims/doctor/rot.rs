//! A chunk that was damaged on disk: who is told of it, by what, and what helps.

use std::{fs, path::PathBuf};

use serde_json::Value;
use testkit::{Homes, Serving, bytes, wait_for};

use crate::{members::curl, metrics::url};

/// A chunk of content in the store of `home`, which are the longest files there.
fn chunk(homes: &Homes, home: &str) -> PathBuf {
    let shards = fs::read_dir(homes.home(home).join("chunks/data")).unwrap();
    let chunks = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let chunks = chunks.map(|chunk| chunk.unwrap().path());
    chunks
        .max_by_key(|chunk| fs::metadata(chunk).unwrap().len())
        .unwrap()
}

fn flip(path: &PathBuf) {
    let mut sealed = fs::read(path).unwrap();
    let middle = sealed.len() / 2;
    sealed[middle] ^= 1;
    fs::write(path, sealed).unwrap();
}

/// The codes of what `status` says needs care.
fn cares(homes: &Homes, home: &str) -> Vec<String> {
    let said: Value = serde_json::from_str(&homes.run(home, &["--json", "status"]).out).unwrap();
    let notices = said["notices"].as_array().unwrap().iter();
    let cares = notices.filter(|notice| notice["care"] == true);
    cares
        .map(|notice| notice["code"].as_str().unwrap().to_owned())
        .collect()
}

fn waiting() -> (Homes, Serving) {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), bytes(1, 200_000)).unwrap();
    homes.ok(
        "a",
        &["send", "f", "--to", &b.to(), "--chunk-size", "64KiB"],
    );
    wait_for("it waits", || {
        homes.run("b", &["inbox"]).out.contains("from a")
    });
    (homes, b)
}

#[test]
fn a_transfer_that_waits_with_a_damaged_chunk_is_said_to_be_damaged() {
    let (homes, b) = waiting();
    flip(&chunk(&homes, "b"));
    for serving in [Some(b), None] {
        let said = homes.fails("b", &["inbox", "accept", "--all"], 5);
        assert!(said.contains("whose copy on disk is damaged"), "{said}");
        assert!(said.contains("its sender"), "{said}");
        assert!(cares(&homes, "b").contains(&"data-damaged".to_owned()));
        let doctor = homes.run("b", &["doctor", "--listen", "127.0.0.1:0"]);
        assert!(
            doctor.code != 0 && doctor.out.contains("cannot be opened any more"),
            "{doctor:?}"
        );
        drop(serving);
    }
    // Sent again it comes, and the damaged one can be let go.
    let b = homes.serve("b", &[]);
    homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
    homes.ok("b", &["inbox", "refuse", "--all"]);
    assert!(!cares(&homes, "b").contains(&"data-damaged".to_owned()));
}

#[test]
fn a_carrier_and_the_recipient_say_that_a_transfer_cannot_be_had() {
    let homes = Homes::new(&["b", "r"]);
    let r = homes.serve("r", &[]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("b", &["peers", "add", &r.to()]);
    drop(b);
    fs::write(homes.path("f"), bytes(1, 200_000)).unwrap();
    homes.ok(
        "a",
        &[
            "send",
            "f",
            "--to",
            "b",
            "--via",
            &r.to(),
            "--chunk-size",
            "64KiB",
        ],
    );
    flip(&chunk(&homes, "r"));
    homes.ok("b", &["config", "set", "collect", "1s"]);
    let _b = homes.serve("b", &[]);
    let reason = "a chunk of it is lost at r";
    wait_for("the history says it", || {
        homes.ok("b", &["history"]).contains(reason)
    });
    let status = homes.run("b", &["status"]);
    assert!(
        status.err.contains("did not come") || status.out.contains("did not come"),
        "{status:?}"
    );
    assert!(cares(&homes, "r").contains(&"data-damaged".to_owned()));
    let health = curl(&homes, "r", &[&url(&r.to(), "/v1/health")]).out;
    assert!(health.contains(r#""damaged":1"#), "{health}");
}

#[test]
fn a_transfer_with_a_bad_chunk_is_not_counted_as_complete() {
    let (homes, b) = waiting();
    let path = chunk(&homes, "b");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    // Another process has the store: it is left where it is, and counts as missing all the same.
    for args in [&["check"][..], &["check", "--read-data"]] {
        let ran = homes.run("b", args);
        assert_eq!(ran.code, 5, "{ran:?}");
        assert!(ran.out.contains("0 transfers complete"), "{ran:?}");
    }
    drop(b);
    let ran = homes.run("b", &["check"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        format!("{}{}", ran.out, ran.err).contains("of wrong length"),
        "{ran:?}"
    );
    assert!(!path.exists(), "it is set aside");
}
