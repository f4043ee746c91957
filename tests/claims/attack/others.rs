//! A member with a valid certificate against the transfers of other members: it deletes and delays none of them.

use std::{fs, io::Write as _};

use colis::{
    id::{ChunkId, ManifestId},
    manifest::{
        Manifest, Offer, Payload as _, SignedManifest, Signer as _, Timestamp, Wrap, to_json,
    },
    store::{LocalStore, LocalStoreOptions, Store as _},
    tls::Identity,
    wire::Code,
};

use crate::bad_input::parcel::{Parcel, Plain, publish, publishing, sign};
use testkit::site::{Answer, Site, certificate, certs, key, read_to_close, request, shows};
use testkit::{Homes, bytes, wait_for};

/// `a` serves, `b` is honest, `c` is not.
fn site() -> Site {
    Site::of(Homes::new(&["b", "c"]), &["--inbox", "off"])
}

/// Says `bytes` as `c`.
fn talk_as_c(site: &Site, bytes: &[u8]) -> Answer {
    let c = certs(&site.homes, "c");
    let config = shows(&site.homes, vec![certificate(&c)], key(&c));
    let mut stream = site.connect(config);
    stream.write_all(bytes).unwrap();
    read_to_close(&mut stream)
}

#[test]
fn a_manifest_that_expires_at_once_is_refused_and_takes_no_chunk_of_another_with_it() {
    let site = site();
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let honest = Parcel::seal(&b, &a, Plain::files(&["good.txt"]));
    honest.upload(&site);
    // It names what it has seen in the list of chunks.
    let mut hostile = Parcel::seal(&c, &a, Plain::files(&["good.txt"])).manifest;
    let Manifest {
        table,
        sums,
        chunks,
        ..
    } = honest.manifest.clone();
    (hostile.table, hostile.sums, hostile.chunks) = (table, sums, chunks);
    hostile.expires = Some(Timestamp::now().plus_seconds(59));
    let envelope = sign(&to_json(&hostile), Manifest::TYPE, &c);
    talk_as_c(&site, &publishing(&envelope)).is(Code::EndsTooSoon, "gone at once");
    for (id, _) in &honest.chunks {
        let there = site.get(&format!("/v1/chunks/{id}"));
        assert_eq!(there.status, 200, "acknowledged to b, then gone");
    }
    let envelope = sign(&to_json(&honest.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
    site.is_well();
}

#[test]
fn what_its_sender_has_deleted_nobody_else_brings_back() {
    let site = site();
    let [a, b] = ["a", "b"].map(|name| site.identity(name));
    let parcel = Parcel::seal(&b, &a, Plain::files(&["regretted.txt"]));
    parcel.upload(&site);
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
    let path = delete(&site, &envelope);
    let again = || talk_as_c(&site, &publishing(&envelope));
    again().is(Code::Deleted, "its sender has deleted it");
    site.get(&path).is(Code::NoSuchManifest, "deleted");
    assert_eq!(publish(&site, &envelope).status, 201, "its sender may");
    assert_eq!(again().status, 200, "it is there");
    site.is_well();
}

#[test]
fn no_manifest_of_a_deleted_transfer_brings_it_back_unless_it_is_made_afterwards() {
    let site = site();
    let [a, b] = ["a", "b"].map(|name| site.identity(name));
    let parcel = Parcel::seal(&b, &a, Plain::files(&["regretted.txt"]));
    parcel.upload(&site);
    let now = Timestamp::now().unix_seconds();
    let made = |created: u64, lasts: u64| {
        let mut manifest = parcel.manifest.clone();
        manifest.created = Timestamp::from_unix_seconds(created);
        manifest.expires = Some(manifest.created.plus_seconds(lasts));
        manifest
    };
    let signed = |manifest: &Manifest| sign(&to_json(manifest), Manifest::TYPE, &b);
    // The signer's clock is an hour ahead, so that the time of the deletion is known here.
    let deletion = now + 3600;
    let first = signed(&made(deletion, 7200));
    assert_eq!(publish(&site, &first).status, 201);
    delete(&site, &first);
    for created in [now - 60, now, deletion] {
        let older = made(created, 90_000);
        talk_as_c(&site, &publishing(&signed(&older))).is(Code::Deleted, "made before");
        talk_as_c(&site, &offering(&older, &b)).is(Code::Deleted, "offered before");
    }
    let granted = made(deletion + 1, 7200);
    assert_eq!(talk_as_c(&site, &offering(&granted, &b)).status, 200);
    let answer = talk_as_c(&site, &publishing(&signed(&granted)));
    assert_eq!(answer.status, 201, "made afterwards");
    talk_as_c(&site, &publishing(&first)).is(Code::Deleted, "nor does the new one bring it");
    assert_eq!(publish(&site, &first).status, 201, "its sender may");
    site.is_well();
}

/// Deletes, as `b`, the manifest in `envelope`. Gives its path.
fn delete(site: &Site, envelope: &[u8]) -> String {
    let path = format!("/v1/manifests/{}", ManifestId::of(envelope));
    let deleted = site.talk(&request("DELETE", &path, "", b""));
    assert_eq!(deleted.status, 204);
    path
}

/// The request that announces `manifest`, signed by `signer`.
fn offering(manifest: &Manifest, signer: &Identity) -> Vec<u8> {
    putting(&manifest.to_offer(), signer)
}

fn putting(offer: &Offer, signer: &Identity) -> Vec<u8> {
    let path = format!("/v1/offers/{}", offer.transfer_id);
    let envelope = sign(&to_json(offer), Offer::TYPE, signer);
    let headers = "content-type: application/vnd.dsse+json\r\n";
    request("PUT", &path, headers, &envelope)
}

/// Tables that contradict themselves, each with what is wrong with it.
fn contradictions() -> Vec<(&'static str, Plain)> {
    let table = |make: fn(&mut Plain)| {
        let mut plain = Plain::default();
        make(&mut plain);
        plain
    };
    vec![
        ("a file twice", Plain::files(&["f", "f"])),
        (
            "a folder twice",
            table(|plain| {
                plain.folder("d");
                plain.folder("d");
            }),
        ),
        (
            "a file that is a folder too",
            table(|plain| {
                plain.add("d", b"x");
                plain.add("d/f", b"x");
            }),
        ),
        (
            "a file beneath a link",
            table(|plain| {
                plain.link("d", "elsewhere");
                plain.add("d/f", b"x");
            }),
        ),
        (
            "a file in a folder that is not there",
            table(|plain| plain.add("d/f", b"x")),
        ),
        (
            "a file before its folder",
            table(|plain| {
                plain.add("d/f", b"x");
                plain.folder("d");
            }),
        ),
    ]
}

#[test]
fn a_table_that_contradicts_itself_is_refused_for_good_and_delays_nobody() {
    let site = Site::of(Homes::new(&["b", "c"]), &[]);
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let state = |id: ManifestId| {
        let answer = site.get(&format!("/v1/manifests/{id}/state"));
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        body["state"].as_str().unwrap().to_owned()
    };
    for (what, plain) in contradictions() {
        let id = Parcel::seal(&c, &a, plain).send(&site, &c);
        wait_for(what, || state(id) != "stored");
        assert_eq!(state(id), "refused", "{what}");
    }
    let honest = Parcel::seal(&b, &a, Plain::files(&["good.txt"])).send(&site, &b);
    wait_for("the honest one is opened", || state(honest) == "opened");
    site.is_well();
}

/// What `a` says is free.
fn free(site: &Site) -> u64 {
    let health: serde_json::Value = serde_json::from_slice(&site.get("/v1/health").body).unwrap();
    health["free"].as_u64().unwrap()
}

/// The request that announces a transfer of `size` bytes from `sender` to `reader`.
fn announcing(sender: &Identity, reader: &Identity, size: u64) -> Vec<u8> {
    let manifest = Parcel::seal(sender, reader, Plain::files(&["f"])).manifest;
    let offer = Offer {
        chunk_size: 64 << 20,
        size: Some(size),
        ..manifest.to_offer()
    };
    putting(&offer, sender)
}

#[test]
fn the_offers_of_one_member_leave_room_for_the_others() {
    let site = site();
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let before = free(&site);
    // For nobody who would ever open it, and again under other ids.
    for part in [1, 2, 4, 4, 4, 4] {
        talk_as_c(&site, &announcing(&c, &b, before / 20 * 19 / part));
    }
    assert!(free(&site) < before, "something is reserved");
    assert!(free(&site) > before / 3, "more than its share");
    assert_eq!(site.put_chunk(&bytes(1, 100_000)).1.status, 201);
    let answer = site.talk(&announcing(&b, &a, before / 5));
    assert_eq!(answer.status, 200);
}

#[test]
fn an_offer_that_is_refused_or_brought_by_another_reserves_nothing() {
    let site = Site::of(Homes::new(&["b", "c"]), &[]);
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let before = free(&site);
    // The sealed chunks fit, but not the plain files beside them.
    let twice = announcing(&c, &a, before / 10 * 8);
    talk_as_c(&site, &twice).is(Code::NoSpace, "the plain files do not fit");
    assert!(free(&site) > before / 5 * 4, "refused, and reserved");
    let copy = talk_as_c(&site, &announcing(&b, &c, before / 3));
    assert_eq!(copy.status, 200);
    assert!(free(&site) > before / 5 * 4, "reserved in the name of b");
    let own = site.talk(&announcing(&b, &c, before / 3));
    assert_eq!(own.status, 200);
    assert!(free(&site) < before / 5 * 4, "its own is reserved");
}

/// A manifest of `c` for `b`, of a few declared bytes, over a chunk of `length` bytes in one of its three streams.
fn understated(site: &Site, stream: usize, length: usize, seed: u64) -> Vec<u8> {
    let manifest = understated_manifest(site, stream, length, seed);
    publishing(&sign(
        &to_json(&manifest),
        Manifest::TYPE,
        &site.identity("c"),
    ))
}

fn understated_manifest(site: &Site, stream: usize, length: usize, seed: u64) -> Manifest {
    let [b, c] = ["b", "c"].map(|name| site.identity(name));
    let mut manifest = Parcel::seal(&c, &b, Plain::files(&["f"])).manifest;
    let large = bytes(seed, length);
    let small = [0, 1, 2].map(|n| bytes(seed + 1 + n, 100));
    let mut ids = small.each_ref().map(|sealed| ChunkId::of(sealed));
    ids[stream] = ChunkId::of(&large);
    for sealed in small.iter().chain([&large]) {
        let path = format!("/v1/chunks/{}", ChunkId::of(sealed));
        let put = request("PUT", &path, "", sealed);
        assert_eq!(talk_as_c(site, &put).status, 201);
    }
    (manifest.table, manifest.chunks, manifest.sums) = (vec![ids[0]], vec![ids[1]], vec![ids[2]]);
    manifest
}

/// A wrap for the owner that opens nothing does not take a transfer out of the account.
#[test]
fn a_relay_quota_counts_what_its_owner_could_not_open() {
    let homes = Homes::new(&["b", "c"]);
    homes.ok("a", &["config", "set", "relay_quota", "1MiB"]);
    let site = Site::of(homes, &[]);
    let [a, c] = ["a", "c"].map(|name| site.identity(name));
    let with_junk = |seed| {
        let mut manifest = understated_manifest(&site, 1, 600_000, seed);
        manifest.wraps.push(Wrap::Recipient {
            peer: a.peer_id(),
            kid: a.seal_keys()[0].public().id(),
            enc: vec![7; 1120],
            ct: vec![7; 48],
        });
        sign(&to_json(&manifest), Manifest::TYPE, &c)
    };
    for seed in [0, 10] {
        let envelope = with_junk(seed);
        assert_eq!(talk_as_c(&site, &publishing(&envelope)).status, 201);
        let path = format!("/v1/manifests/{}/state", ManifestId::of(&envelope));
        let refused = || String::from_utf8_lossy(&site.get(&path).body).contains("refused");
        wait_for("it cannot be opened", refused);
    }
    let third = talk_as_c(&site, &publishing(&with_junk(20)));
    third.is(Code::QuotaExceeded, "1.2 MiB that nobody here can open");
    let for_b = talk_as_c(&site, &understated(&site, 1, 1_000, 30));
    for_b.is(Code::QuotaExceeded, "for b");
    site.is_well();
}

#[test]
fn a_relay_quota_counts_what_is_stored_and_not_what_is_declared() {
    const LENGTH: usize = 600_000;
    for stream in 0..3 {
        let homes = Homes::new(&["b", "c"]);
        homes.ok("a", &["config", "set", "relay_quota", "1MiB"]);
        let site = Site::of(homes, &["--inbox", "off"]);
        let seed = 100 * stream as u64;
        let transfers: Vec<_> = (0..4)
            .map(|n| understated(&site, stream, LENGTH, seed + 10 * n))
            .collect();
        // At once, for then each could be checked before another counts.
        let answers: Vec<_> = std::thread::scope(|scope| {
            let mut puts = Vec::new();
            for bytes in &transfers {
                puts.push(scope.spawn(|| talk_as_c(&site, bytes)));
            }
            puts.into_iter().map(|put| put.join().unwrap()).collect()
        });
        let taken = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(taken, 1, "stream {stream}");
        let refused = answers.iter().find(|answer| answer.status != 201).unwrap();
        refused.is(Code::QuotaExceeded, "more than 1 MiB");
    }
}

#[test]
fn what_a_sender_left_before_it_was_blocked_is_not_opened_afterwards() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "content").unwrap();
    let mut a = homes.serve("a", &["--inbox", "ask"]);
    homes.ok("b", &["send", "f", "--to", &a.to()]);
    let state = |state: &str| homes.ok("a", &["--json", "list"]).contains(state);
    wait_for("it waits", || state("\"state\":\"waiting\""));
    homes.ok("a", &["peers", "block", "b"]);
    a.kill();
    // From now on everything is opened unasked.
    let _a = homes.serve("a", &[]);
    wait_for("it is refused", || state("\"state\":\"refused\""));
    assert!(!homes.home("a").join("received/f").exists());
}

#[test]
fn what_waits_of_a_blocked_sender_is_said_to_be_blocked_and_not_opened() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "content").unwrap();
    let a = homes.serve("a", &["--inbox", "ask"]);
    homes.ok("b", &["send", "f", "--to", &a.to()]);
    wait_for("it waits", || {
        homes.ok("a", &["inbox"]).contains("from b (verified)")
    });
    let waiting = homes.ok("a", &["--json", "inbox"]);
    let waiting: serde_json::Value = serde_json::from_str(waiting.lines().next().unwrap()).unwrap();
    let id = waiting["id"].as_str().unwrap();
    homes.ok("a", &["peers", "block", "b"]);
    for args in [&["inbox"][..], &["list"]] {
        let shown = homes.ok("a", args);
        assert!(shown.contains("from b (blocked)"), "{args:?}: {shown}");
        let objects = homes.ok("a", &[&["--json"], args].concat());
        let object: serde_json::Value =
            serde_json::from_str(objects.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&object["verified"], &object["blocked"]),
            (&false.into(), &true.into())
        );
    }
    for args in [
        &["inbox", "accept", id][..],
        &["inbox", "accept", "--all"],
        &["receive", id],
        &["receive", "--all"],
    ] {
        let said = homes.fails("a", args, 4);
        assert!(said.contains("is blocked here"), "{args:?}: {said}");
        assert!(said.contains("colis peers role"), "{args:?}: {said}");
        assert!(!homes.home("a").join("received/f").exists(), "{args:?}");
    }
    homes.ok("a", &["peers", "role", "b", "member"]);
    homes.ok("a", &["inbox", "accept", id]);
    assert!(homes.home("a").join("received/f").exists());
}

/// The pile came while nobody served; `b`'s transfer has the last of all ids.
#[test]
fn a_pile_of_transfers_of_one_sender_delays_another_by_one() {
    const PILE: usize = 40;
    let homes = Homes::new(&["b", "c"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| Identity::load(&certs(&homes, name)).unwrap());
    let signed = |sender: &Identity, name: &str| {
        let parcel = Parcel::seal(sender, &a, Plain::files(&[name]));
        let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, sender);
        (
            SignedManifest::parse(bytes::Bytes::from(envelope)).unwrap(),
            parcel,
        )
    };
    let mut transfers: Vec<_> = (0..PILE).map(|n| signed(&c, &n.to_string())).collect();
    let last = transfers.iter().map(|(manifest, _)| manifest.id()).max();
    let honest = std::iter::repeat_with(|| signed(&b, "good"));
    transfers.extend({ honest }.find(|(manifest, _)| Some(manifest.id()) > last));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let path = homes.home("a").join("chunks");
    let store = LocalStore::open(&path, LocalStoreOptions::default()).unwrap();
    for (manifest, parcel) in transfers {
        for (id, sealed) in parcel.chunks {
            let put = store.put_chunk(id, sealed.into(), None);
            runtime.block_on(put).unwrap();
        }
        runtime.block_on(store.put_manifest(&manifest)).unwrap();
    }
    drop(store);
    let serving = homes.serve("a", &[]);
    let arrivals = || {
        let said = serving.said().into_iter();
        said.filter(|said| said["event"] == "arrival")
            .collect::<Vec<_>>()
    };
    wait_for("all are opened", || arrivals().len() > PILE);
    let place = arrivals()
        .iter()
        .position(|said| said["sender_name"] == "b");
    assert!(place.unwrap() <= 1, "{place:?}");
}
