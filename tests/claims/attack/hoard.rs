//! A member that fills a store with chunks that no transfer names: it has a bound and a name, and others deliver.

use std::fs;

use colis::{
    manifest::{Manifest, Offer, Payload as _, Signer as _, to_json},
    wire::Code,
};
use serde_json::Value;

use crate::bad_input::parcel::{Parcel, Plain, publish, sign};
use testkit::site::{Site, request};
use testkit::{Homes, bytes};

const CHUNK: usize = 64 << 10;
const QUOTA: usize = 4 << 20;

/// `a` serves, with a quota; `b` is who hoards.
fn site() -> Site {
    let homes = Homes::new(&["b", "c"]);
    homes.ok("a", &["config", "set", "quota", "4MiB"]);
    Site::of(homes, &["--inbox", "off"])
}

/// Puts new chunks until one is refused. Returns how many bytes were taken.
fn hoard(site: &Site, seed: u64) -> usize {
    for number in 0..2 * QUOTA / CHUNK {
        let (_, answer) = site.put_chunk(&bytes(seed + number as u64, CHUNK));
        if answer.status != 201 {
            answer.is(Code::QuotaExceeded, "it has enough here");
            assert!(number > 0, "nothing was taken");
            return number * CHUNK;
        }
    }
    panic!("it puts chunks for ever");
}

fn others_deliver(site: &Site, name: &str) {
    fs::write(site.homes.path(name), bytes(name.len() as u64, QUOTA / 8)).unwrap();
    let to = site.serving.to();
    site.homes.ok("c", &["send", name, "--to", &to]);
}

/// What `status` says of chunks that no transfer names: who put them, and how many bytes.
fn unnamed(site: &Site) -> Vec<(Option<String>, u64)> {
    let status = site.homes.ok("a", &["status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let list = status["unnamed"].as_array().unwrap().iter();
    let row = |one: &Value| {
        (
            one["name"].as_str().map(str::to_owned),
            one["bytes"].as_u64(),
        )
    };
    list.map(row)
        .map(|(name, bytes)| (name, bytes.unwrap()))
        .collect()
}

#[test]
fn chunks_that_no_transfer_names_have_an_owner_and_a_bound_and_others_deliver() {
    let mut site = site();
    site.homes.ok("b", &["peers", "check", &site.serving.to()]);
    let taken = hoard(&site, 0);
    assert!(taken <= QUOTA / 2, "{taken}");
    others_deliver(&site, "one");
    let hoarded = (Some("b".to_owned()), taken as u64);
    assert!(unnamed(&site).contains(&hoarded), "{:?}", unnamed(&site));
    let said = site.homes.ok("a", &["status"]);
    assert!(said.contains("put by b"), "{said}");
    let id = site.identity("b").peer_id().to_string();
    let log = fs::read_dir(site.homes.home("a").join("logs")).unwrap();
    let log: String = log
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let refused = log.lines().find(|line| line.contains("quota-exceeded"));
    assert!(refused.is_some_and(|line| line.contains(&id)), "{log}");
    // After a restart it is charged as before.
    site.serving.kill();
    site.serving = site.homes.serve("a", &["--inbox", "off"]);
    let again = site.put_chunk(&bytes(1 << 20, CHUNK)).1;
    again.is(Code::QuotaExceeded, "after a restart");
    assert!(unnamed(&site).contains(&hoarded), "{:?}", unnamed(&site));
    others_deliver(&site, "another");
    // What is freed has a name, and makes room.
    let freed = site.homes.ok("a", &["gc", "--unfinished"]);
    assert!(freed.contains("put by b"), "{freed}");
    assert_eq!(site.put_chunk(&bytes(1 << 21, CHUNK)).1.status, 201);
    site.is_well();
}

#[test]
fn what_is_published_is_charged_no_more_and_what_is_deleted_again() {
    let site = site();
    let [a, b] = ["a", "b"].map(|name| site.identity(name));
    let sealed = || {
        let mut plain = Plain::default();
        plain.add("f", &bytes(7, 4 * CHUNK - 4096));
        Parcel::seal(&b, &a, plain)
    };
    let published = |parcel: &Parcel| sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    // Three fourths of the quota, more than may be here unnamed.
    for _ in 0..12 {
        sealed().send(&site, &b);
    }
    assert_eq!(unnamed(&site), []);
    site.homes.ok("a", &["config", "set", "quota", "8MiB"]);
    // To put, publish and delete is to hoard.
    let mut deleted = 0;
    for _ in 0..32 {
        let parcel = sealed();
        if let Some((_, sealed)) = parcel.chunks.last() {
            let (_, answer) = site.put_chunk(sealed);
            if answer.status != 201 {
                answer.is(Code::QuotaExceeded, "what it has deleted is still here");
                break;
            }
        }
        let puts = parcel
            .chunks
            .iter()
            .map(|(_, sealed)| site.put_chunk(sealed));
        if puts
            .map(|(_, answer)| answer.status)
            .any(|status| status == 507)
        {
            break;
        }
        let envelope = published(&parcel);
        assert_eq!(publish(&site, &envelope).status, 201);
        let id = colis::id::ManifestId::of(&envelope);
        let gone = site.talk(&request("DELETE", &format!("/v1/manifests/{id}"), "", b""));
        assert_eq!(gone.status, 204);
        deleted += 1;
    }
    assert!((1..=10).contains(&deleted), "{deleted}");
    let left: u64 = unnamed(&site).iter().map(|(_, bytes)| bytes).sum();
    assert!(left >= (QUOTA / 2) as u64, "{left}");
    site.is_well();
}

#[test]
fn a_transfer_that_is_announced_may_take_more_also_after_a_restart() {
    let mut site = site();
    let [a, b] = ["a", "b"].map(|name| site.identity(name));
    let mut plain = Plain::default();
    plain.add("f", &bytes(9, QUOTA / 4 * 3));
    let parcel = Parcel::seal(&b, &a, plain);
    let (table, content) = parcel.chunks.split_at(parcel.manifest.table.len());
    let put = |site: &Site, sealed: &[u8]| assert_eq!(site.put_chunk(sealed).1.status, 201);
    table.iter().for_each(|(_, sealed)| put(&site, sealed));
    let offer = sign(&to_json(&parcel.manifest.to_offer()), Offer::TYPE, &b);
    let path = format!("/v1/offers/{}", parcel.manifest.transfer_id);
    let json = "content-type: application/vnd.dsse+json\r\n";
    assert_eq!(site.talk(&request("PUT", &path, json, &offer)).status, 200);
    let transfer = parcel.manifest.transfer_id;
    let put_for = |site: &Site, (id, sealed): &(colis::id::ChunkId, Vec<u8>)| {
        let header = format!("colis-offer: {transfer}\r\n");
        let put = request("PUT", &format!("/v1/chunks/{id}"), &header, sealed);
        assert_eq!(site.talk(&put).status, 201);
    };
    let (before, after) = content.split_at(content.len() / 4 * 3);
    before.iter().for_each(|chunk| put_for(&site, chunk));
    site.serving.kill();
    site.serving = site.homes.serve("a", &["--inbox", "off"]);
    after.iter().for_each(|chunk| put_for(&site, chunk));
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
    assert_eq!(unnamed(&site), []);
    let announced = site.homes.home("a").join("chunks/state/announced");
    assert_eq!(fs::read_dir(announced).unwrap().count(), 0);
}

#[test]
fn chunks_on_their_way_count_before_they_go_past_the_quota_for_others() {
    let homes = Homes::new(&["b"]);
    homes.ok("a", &["config", "set", "relay_quota", "1MiB"]);
    let site = Site::of(homes, &["--inbox", "off"]);
    let large = 16 << 20;
    let put = |seed| site.put_chunk(&bytes(seed, large)).1;
    for seed in 0..4 {
        assert_eq!(put(seed).status, 201, "{seed}");
    }
    put(4).is(Code::QuotaExceeded, "64 MiB on their way");
    site.is_well();
}
