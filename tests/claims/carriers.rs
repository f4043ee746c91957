//! Peers that carry transfers for others, and what they can get delivered by it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::SignedManifest,
    store::ManifestInfo,
    wire::{ManifestList, media},
};
use testkit::{Homes, Serving, wait_for};

use super::hostile::{Hostile, Reply};

fn received(homes: &Homes, name: &str) -> PathBuf {
    homes.home("b").join("received").join(name)
}

fn is_received(homes: &Homes, name: &str) -> bool {
    received(homes, name).exists()
}

/// `whose` leaves a file for b at a relay.
fn leave(homes: &Homes, whose: &str, name: &str, relay: &str) {
    fs::write(homes.path(name), name).unwrap();
    homes.ok(whose, &["send", name, "--to", "b", "--via", relay]);
}

/// Everybody serves once, so that all know each other's addresses; b goes away again, and will collect every second.
fn introduced(homes: &Homes, others: &[&str]) -> Vec<Serving> {
    let b = homes.serve("b", &[]);
    let serving: Vec<_> = others.iter().map(|name| homes.serve(name, &[])).collect();
    for (at, name) in others.iter().enumerate() {
        homes.ok("b", &["peers", "add", &serving[at].to()]);
        homes.ok(name, &["peers", "add", &b.to()]);
        for other in serving.iter().enumerate().filter(|(other, _)| *other != at) {
            homes.ok(name, &["peers", "add", &other.1.to()]);
        }
    }
    homes.ok("b", &["config", "set", "collect", "1s"]);
    serving
}

#[test]
fn whoever_may_put_nothing_delivers_nothing_as_sender_or_as_carrier() {
    let homes = Homes::new(&["b", "c", "r"]);
    let _serving = introduced(&homes, &["a", "c", "r"]);
    homes.ok("b", &["peers", "role", "a", "reader"]);
    leave(&homes, "a", "of-a-reader.txt", "r");
    leave(&homes, "c", "control.txt", "r");
    let _b = homes.serve("b", &[]);
    wait_for("the control", || is_received(&homes, "control.txt"));
    // By the next visit all that was there at the first has been looked at.
    leave(&homes, "c", "control-2.txt", "r");
    wait_for("the second control", || {
        is_received(&homes, "control-2.txt")
    });
    assert!(!is_received(&homes, "of-a-reader.txt"));
    assert!(
        homes
            .log("b")
            .contains("its sender's role here delivers nothing")
    );

    homes.ok("b", &["peers", "role", "a", "member"]);
    wait_for("only the role was in the way", || {
        is_received(&homes, "of-a-reader.txt")
    });
    homes.ok("b", &["peers", "role", "r", "sender"]);
    wait_for("the role counts", || {
        homes.log("b").matches("roles read again").count() == 2
    });
    leave(&homes, "c", "by-a-sender.txt", "r");
    for control in ["control-3.txt", "control-4.txt"] {
        leave(&homes, "c", control, "a");
        wait_for("a control by way of a member", || {
            is_received(&homes, control)
        });
    }
    assert!(!is_received(&homes, "by-a-sender.txt"));
    homes.ok("b", &["peers", "role", "r", "member"]);
    wait_for("only the carrier's role was in the way", || {
        is_received(&homes, "by-a-sender.txt")
    });
}

#[test]
fn a_carrier_that_lists_a_transfer_as_another_than_was_signed_delivers_nothing() {
    type Lie = fn(&mut ManifestInfo, PeerId);
    let lies: [(&str, Lie); 3] = [
        ("r", |info, a| info.sender = a),
        ("a", |info, _| {
            info.transfer_id = "00112233445566778899aabbccddeeff".parse().unwrap();
        }),
        ("a", |info, a| info.recipients.retain(|peer| *peer != a)),
    ];
    for (sender, lie) in lies {
        let homes = Homes::new(&["b", "r"]);
        let mut serving = introduced(&homes, &["a", "r"]);
        let mut r = serving.pop().unwrap();
        match sender {
            "r" => {
                fs::write(homes.path("lie.txt"), "a lie").unwrap();
                homes.ok("r", &["share", "lie.txt", "--to", "b"]);
            }
            _ => leave(&homes, sender, "lie.txt", "r"),
        }
        let at = r.address;
        r.kill();
        let store = homes.home("r").join("chunks");
        let envelope = fs::read_dir(store.join("manifests")).unwrap().next();
        let envelope = fs::read(envelope.unwrap().unwrap().path()).unwrap();
        let manifest = SignedManifest::parse(envelope.clone()).unwrap();
        let mut info = ManifestInfo::new(manifest.id(), manifest.payload());
        lie(&mut info, super::circle::peer_id(&homes, "a"));
        let list = ManifestList {
            manifests: vec![info],
            next: None,
        };
        let evil = Hostile::start(&homes, "r", at, move |path| {
            reply(&store, path, &list, &envelope)
        });
        let _b = homes.serve("b", &[]);
        wait_for("two visits", || evil.asked("/v1/manifests?") > 2);
        assert_eq!(evil.asked("/v1/chunks/"), 0);
        assert!(!is_received(&homes, "lie.txt"));
    }
}

/// What is in a store, and a list that lies about it.
fn reply(store: &std::path::Path, path: &str, list: &ManifestList, envelope: &[u8]) -> Reply {
    let end = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/v1/manifests?") {
        return Reply::Body(media::JSON, serde_json::to_vec(list).unwrap());
    }
    if path.starts_with("/v1/manifests/") && end.parse::<ManifestId>().is_ok() {
        return Reply::Body(media::ENVELOPE, envelope.to_vec());
    }
    match end.parse::<ChunkId>() {
        Ok(_) => {
            let file = store.join("data").join(&end[..2]).join(end);
            Reply::Body(media::CHUNK, fs::read(file).unwrap())
        }
        Err(_) => Reply::Nothing,
    }
}

#[test]
fn a_peer_that_trickles_keeps_nobody_from_another_carrier() {
    // The first of the address book.
    let homes = Homes::new(&["aa", "b", "c"]);
    let mut serving = introduced(&homes, &["aa", "c", "a"]);
    leave(&homes, "a", "first.txt", "c");
    let mut slow = serving.remove(0);
    let at = slow.address;
    slow.kill();
    let slow = Hostile::start(&homes, "aa", at, |path| match path {
        path if path.starts_with("/v1/manifests") => Reply::Trickle,
        _ => Reply::Nothing,
    });
    let _b = homes.serve("b", &[]);
    wait_for("it trickles", || slow.asked("/v1/manifests?") > 0);
    wait_for("the first", || is_received(&homes, "first.txt"));
    leave(&homes, "a", "second.txt", "c");
    wait_for("the second", || is_received(&homes, "second.txt"));
    assert_eq!(slow.asked("/v1/manifests?"), 1, "it still trickles");
}

#[test]
fn what_a_blocked_sender_left_at_a_relay_is_told_once() {
    let homes = Homes::new(&["b", "c", "r"]);
    let _serving = introduced(&homes, &["a", "c", "r"]);
    homes.ok("b", &["peers", "block", "c"]);
    let names = ["blocked-1.txt", "blocked-2.txt", "blocked-3.txt"];
    for name in names {
        leave(&homes, "c", name, "r");
    }
    let _b = homes.serve("b", &[]);
    // Several visits.
    for control in ["control-1.txt", "control-2.txt", "control-3.txt"] {
        leave(&homes, "a", control, "r");
        wait_for(control, || is_received(&homes, control));
    }
    assert!(names.iter().all(|name| !is_received(&homes, name)));
    let told = homes.log("b").matches("not collected").count();
    assert_eq!(told, names.len());
}

#[test]
fn a_peer_that_answers_nothing_holds_up_no_send_to_another() {
    let homes = Homes::new(&["aa", "b"]);
    let mut silent = homes.serve("aa", &[]);
    let b = homes.serve("b", &[]);
    for serving in [&silent, &b] {
        homes.ok("a", &["peers", "add", &serving.to()]);
    }
    let at = silent.address;
    silent.kill();
    fs::write(homes.path("f"), "f").unwrap();
    for quiet in ["/v1/peer", "/v1/crl", "/v1/directory"] {
        let silent = Hostile::start(&homes, "aa", at, move |path| match path {
            path if path.starts_with(quiet) => Reply::Silence,
            _ => Reply::Nothing,
        });
        let began = Instant::now();
        let ran = homes.run("a", &["--json", "send", "f", "--to", "aa,b"]);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{quiet}: {took:?}");
        let stores = ran.object("sent")["stores"].clone();
        let stored = |name: &str| {
            let stores = stores.as_array().unwrap();
            let store = stores.iter().find(|store| store["peer"] == name).unwrap();
            store["error"].is_null()
        };
        assert!(stored("b") && !stored("aa"), "{quiet}: {ran:?}");
        assert_eq!(ran.code, 10, "{quiet}: {ran:?}");
        assert!(silent.asked("/v1/peer") > 0, "{quiet}");
    }
}
