//! What the receiver sees while it comes, and how it ends it.

use std::{fs, time::Duration};

use colis::{
    client::PeerEvent,
    session::Session,
    store::Store as _,
    wire::{Arriving, Code},
};
use futures::StreamExt as _;
use testkit::{
    Homes, bytes,
    person::Person,
    server::{
        TestPeer, problem,
        transfer::{chunk, offer, sign_offer},
    },
    wait_for,
};

use super::{Running, objects, status};

const FILM: usize = 8 << 20;

/// A send of a film that takes half a minute, of which some has come.
fn film(homes: &Homes, to: &str) -> Running {
    fs::write(homes.path("film.mkv"), bytes(1, FILM)).unwrap();
    let args = [
        "send",
        "film.mkv",
        "--to",
        to,
        "--limit",
        "256KiB",
        "--chunk-size",
        "64KiB",
    ];
    let sending = Running::start(homes, "a", &args);
    wait_for("some of it", || {
        let arriving = status(homes, "b")["arriving"].clone();
        arriving[0]["done"].as_u64() > Some(256 << 10)
    });
    sending
}

fn chunks_of(homes: &Homes, home: &str) -> usize {
    let out = homes.ok(home, &["list", "--chunks"]);
    out.lines().count()
}

#[test]
fn what_comes_is_shown_with_its_name_and_how_far_it_is() {
    for inbox in ["auto", "ask"] {
        let homes = Homes::new(&["b"]);
        let b = homes.serve("b", &["--inbox", inbox]);
        let _sending = film(&homes, &b.to());
        let one = status(&homes, "b")["arriving"][0].clone();
        let one: Arriving = serde_json::from_value(one).unwrap();
        assert_eq!(one.name, "a");
        assert_eq!(
            one.names.as_deref(),
            Some(&["film.mkv".to_owned()][..]),
            "{inbox}"
        );
        assert_eq!((one.of, one.of_chunks), (Some(FILM as u64), Some(128)));
        assert!(
            one.done < FILM as u64 && one.chunks == one.done / (64 << 10),
            "{one:?}"
        );
        let rate = one.per_second.unwrap();
        assert!((50_000..1_500_000).contains(&rate), "{one:?}");
        let left = (FILM as u64 - one.done) / rate;
        assert!(one.seconds_left.unwrap().abs_diff(left) <= 2, "{one:?}");
        for command in ["status", "list", "inbox"] {
            let said = homes.ok("b", &[command]);
            let line = said
                .lines()
                .find(|line| line.starts_with("arriving: "))
                .unwrap();
            for part in ["of 8 MiB from a", "/s", "left", "film.mkv"] {
                assert!(line.contains(part), "{command}: {line}");
            }
        }
        let listed = objects(&homes, "b", &["list"]);
        assert!(
            listed.iter().any(|one| one["event"] == "arriving"),
            "{listed:?}"
        );
        wait_for("a line of the peer itself", || {
            b.said()
                .iter()
                .any(|said| said["event"] == "arriving" && said["names"][0] == "film.mkv")
        });
    }
}

#[test]
fn a_person_who_serves_sees_it_come() {
    let homes = Homes::new(&["b"]);
    let serve = homes.command("b", &["serve", "--listen", "127.0.0.1:0"]);
    let mut person = Person::at_terminal(&homes, serve, "xterm-256color");
    person.sees("serves on 127.0.0.1:");
    let address = status(&homes, "b")["serving"].as_str().unwrap().to_owned();
    let _sending = film(&homes, &address);
    person.sees_like(r"arriving: [0-9a-f]{8}  .* of 8 MiB from a, .*/s, .* left  film.mkv");
}

#[test]
fn only_the_owner_is_told_by_events_what_comes() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let mut sending = film(&homes, &b.to());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let owner = Session::open(homes.home("b"))
            .unwrap()
            .serving()
            .unwrap()
            .unwrap();
        let mut events = Box::pin(owner.events().await.unwrap());
        let arriving = loop {
            if let PeerEvent::Arriving(arriving) = events.next().await.unwrap().unwrap() {
                break arriving;
            }
        };
        assert_eq!(
            arriving[0].names.as_deref(),
            Some(&["film.mkv".to_owned()][..])
        );
        let (id, sender) = (arriving[0].transfer, arriving[0].sender_id());
        owner.cancel_arriving(id, sender).await.unwrap();
        assert_eq!(sending.ends(), 10);
        // The list gets empty, once.
        let over = async {
            loop {
                if let PeerEvent::Arriving(arriving) = events.next().await.unwrap().unwrap()
                    && arriving.is_empty()
                {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), over)
            .await
            .unwrap();
        let other = Session::open(homes.home("a")).unwrap();
        let other = other.connect(&b.to()).await.unwrap().client;
        let mut events = Box::pin(other.events().await.unwrap());
        let told = tokio::time::timeout(Duration::from_secs(3), async {
            loop {
                if let PeerEvent::Arriving(_) = events.next().await.unwrap().unwrap() {
                    return;
                }
            }
        });
        assert!(told.await.is_err(), "another than the owner");
    });
}

#[test]
fn what_is_stopped_ends_and_its_sender_is_told_and_its_chunks_go() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut sending = film(&homes, "b");
    assert!(chunks_of(&homes, "b") > 3);
    let id = status(&homes, "b")["arriving"][0]["transfer"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = homes.ok("b", &["inbox", "stop", &id[..6]]);
    assert!(
        said.contains("stopped: ") && said.contains("film.mkv"),
        "{said}"
    );
    assert_eq!(sending.ends(), 10);
    let error = &sending.objects("error")[0];
    assert_eq!(
        (&error["message"], &error["exit"]),
        (&"b stopped it".into(), &10.into())
    );
    assert_eq!(
        sending
            .objects("progress")
            .iter()
            .filter(|one| one["finished"] == true)
            .count(),
        0
    );
    wait_for("its chunks are let go", || chunks_of(&homes, "b") == 0);
    assert_eq!(status(&homes, "b")["arriving"].as_array().unwrap().len(), 0);
    // Once more, and by its id: it is not taken, and not tried again by itself.
    for again in [
        vec!["send", "film.mkv", "--to", "b", "--chunk-size", "64KiB"],
        vec!["send", "--resume", "all"],
    ] {
        let said = homes.fails("a", &again, 10);
        assert!(said.contains("b stopped it"), "{said}");
    }
    assert_eq!(chunks_of(&homes, "b"), 0);
    // Another send is no business of that.
    fs::write(homes.path("note"), "n").unwrap();
    homes.ok("a", &["send", "note", "--to", "b", "--wait"]);
    homes.ok("a", &["send", "--drop", &id[..6]]);
    homes.ok("a", &["send", "film.mkv", "--to", "b", "--wait"]);
    assert_eq!(
        fs::read(homes.home("b").join("received/film.mkv")).unwrap(),
        bytes(1, FILM)
    );
}

/// A sender that goes on after it was stopped, and another who brings the same.
#[tokio::test]
async fn who_goes_on_after_a_stop_stores_nothing() {
    let peer = TestPeer::start().await;
    let (ann, eve) = (peer.member("ann"), peer.member("eve"));
    let table = chunk(1, 300);
    let ours = sign_offer(offer(&ann, table.0), &ann);
    let id = ours.payload().transfer_id;
    let mut copied = offer(&eve, table.0);
    copied.transfer_id = id;
    let copied = sign_offer(copied, &eve);
    let put_offer = |by, offer: &colis::manifest::SignedOffer| {
        let put = peer.client(by).put(peer.url(&format!("/v1/offers/{id}")));
        let put = put.header("content-type", "application/vnd.dsse+json");
        put.body(offer.envelope().clone()).send()
    };
    let put_chunk = |by, (name, bytes): &(colis::id::ChunkId, bytes::Bytes)| {
        let put = peer.client(by).put(peer.url(&format!("/v1/chunks/{name}")));
        let put = put.header("content-type", "application/octet-stream");
        put.header("colis-offer", format!("{id};index=0"))
            .body(bytes.clone())
            .send()
    };
    assert_eq!(put_offer(&ann, &ours).await.unwrap().status(), 200);
    assert_eq!(put_chunk(&ann, &chunk(2, 500)).await.unwrap().status(), 201);
    let arriving = peer.url(&format!("/v1/arriving/{id}"));
    let stopped = peer
        .client(&peer.own)
        .delete(&arriving)
        .send()
        .await
        .unwrap();
    assert_eq!(stopped.status(), 204);
    for seed in 3..6 {
        problem(
            put_chunk(&ann, &chunk(seed, 500)).await.unwrap(),
            Code::Cancelled,
        )
        .await;
        let stored = peer.store.head_chunk(chunk(seed, 500).0).await.unwrap();
        assert_eq!(stored, None);
    }
    problem(put_offer(&ann, &ours).await.unwrap(), Code::Cancelled).await;
    // A copy of the offer is the same transfer, whoever brings it.
    problem(put_offer(&eve, &ours).await.unwrap(), Code::Cancelled).await;
    // What she has signed herself is hers, though it has the same id.
    assert_eq!(put_offer(&eve, &copied).await.unwrap().status(), 200);
    problem(put_offer(&ann, &ours).await.unwrap(), Code::Cancelled).await;
}
