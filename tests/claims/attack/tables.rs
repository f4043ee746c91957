//! How much memory a table takes: before anybody said that the transfer is wanted, and in what shows what is there.

use std::{
    fs,
    process::{Command, Stdio},
};

use bytes::Bytes;
use colis::{
    manifest::{Manifest, Offer, Payload as _, SignedManifest, to_json},
    store::{LocalStore, LocalStoreOptions, Store as _},
    tls::Identity,
    wire::{OFFER_HEADER, media},
};

use super::memory::Watched;
use crate::bad_input::parcel::{Parcel, Plain, publish, sign};
use testkit::site::{Site, certs, request};
use testkit::{Homes, around, wait_for};

/// As many offers as have a head start at the same time.
const OFFERS: usize = 4;
/// What all head starts may take, and what the allocator keeps beside it.
const MOST: u64 = 56 << 20;
/// KiB by which a list may grow with a table of MiBs.
const MORE: u64 = 16 << 10;

fn many_entries() -> Plain {
    let mut plain = Plain::default();
    plain.add("content", b"content");
    (0..200_000).for_each(|n| plain.add(&format!("{n}"), b""));
    plain
}

fn long_paths() -> Plain {
    let mut plain = Plain::default();
    plain.add("content", b"content");
    let mut path = "d".repeat(250);
    plain.folder(&path);
    for depth in 0..11 {
        path = format!("{path}/{depth}{}", "d".repeat(249));
        plain.folder(&path);
    }
    (0..20_000).for_each(|n| plain.add(&format!("{path}/{n}"), b""));
    plain
}

/// A transfer of `b` to `a` whose chunks are stored at `a`.
async fn stored(homes: &Homes, plain: Plain) -> (LocalStore, Parcel) {
    let of = |name| Identity::load(&certs(homes, name)).unwrap();
    let parcel = Parcel::seal(&of("b"), &of("a"), plain);
    let folder = homes.home("a").join("chunks");
    let store = LocalStore::open(&folder, LocalStoreOptions::default()).unwrap();
    for (id, sealed) in &parcel.chunks {
        let sealed = sealed.clone().into();
        store.put_chunk(*id, sealed, None).await.unwrap();
    }
    (store, parcel)
}

/// The same table and content in transfers of their own, each offered, and its first chunk brought.
fn offer(site: &Site, parcel: &Parcel) {
    let (a, b) = (site.identity("a"), site.identity("b"));
    let first = parcel.manifest.chunks[0];
    let content = parcel.chunks.iter().find(|(id, _)| *id == first);
    let (id, sealed) = content.unwrap();
    for _ in 0..OFFERS {
        let offer = parcel.offer_again(&b, &a);
        let envelope = sign(&to_json(&offer), Offer::TYPE, &b);
        let headers = format!("content-type: {}\r\n", media::ENVELOPE);
        let path = format!("/v1/offers/{}", offer.transfer_id);
        let answer = site.talk(&request("PUT", &path, &headers, &envelope));
        let said = String::from_utf8_lossy(&answer.body);
        assert!(said.contains("accepted"), "{said}");
        let headers = format!("{OFFER_HEADER}: {};index=0\r\n", offer.transfer_id);
        let put = request("PUT", &format!("/v1/chunks/{id}"), &headers, sealed);
        assert_eq!(site.talk(&put).status, 200);
    }
}

/// Head starts that were decided: those that have a staging, and those that are not made.
fn decided(site: &Site) -> usize {
    let begun = fs::read_dir(site.homes.home("a").join("received/.colis"));
    let refused = site.homes.log("a").matches("no head start").count();
    begun.map_or(0, Iterator::count) + refused
}

#[tokio::test]
async fn tables_take_little_memory_before_anybody_wants_them() {
    for plain in [many_entries(), long_paths()] {
        let length = plain.table.len();
        let homes = Homes::new(&["b"]);
        let (_, parcel) = stored(&homes, plain).await;
        let mut serve = homes.command("a", &["--json", "serve", "--listen", "127.0.0.1:0"]);
        serve.env("COLIS_LOG", "colis=debug");
        let serving = homes.serve_by("a", serve);
        let site = Site { homes, serving };
        let watched = Watched::new(&site);
        offer(&site, &parcel);
        wait_for("head starts", || decided(&site) == OFFERS);
        let (growth, tables) = (watched.growth(), (OFFERS * length) as u64);
        eprintln!("{} MiB more for {} MiB", growth >> 20, tables >> 20);
        assert!(growth <= MOST, "{} MiB more", growth >> 20);
    }
}

/// The most memory of a command, in KiB, whatever it ends with.
fn peak_of(homes: &Homes, args: &[&str]) -> u64 {
    const RUN: &str = "import resource, subprocess, sys\n\
        subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    let mut python = Command::new("python3");
    python.args(["-c", RUN]);
    let mut measured = around(python, &homes.command("a", args));
    let output = measured.stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.trim().parse().unwrap()
}

#[tokio::test]
async fn what_shows_transfers_takes_as_little_memory_for_a_long_table_as_for_a_short_one() {
    let commands: [&[&str]; 3] = [&["list"], &["inbox"], &["receive", "no-such-name"]];
    let mut peaks = Vec::new();
    for plain in [Plain::files(&["content"]), many_entries(), long_paths()] {
        let homes = Homes::new(&["b"]);
        let (store, parcel) = stored(&homes, plain).await;
        let b = Identity::load(&certs(&homes, "b")).unwrap();
        let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
        let manifest = SignedManifest::parse(Bytes::from(envelope)).unwrap();
        store.put_manifest(&manifest).await.unwrap();
        drop(store);
        assert!(homes.ok("a", &["inbox"]).contains("content"));
        peaks.push(commands.map(|args| peak_of(&homes, args)));
    }
    eprintln!("{peaks:?} KiB");
    for long in &peaks[1..] {
        for (command, (long, short)) in commands.iter().zip(long.iter().zip(&peaks[0])) {
            assert!(*long <= short + MORE, "{command:?}: {short}, {long} KiB");
        }
    }
}

#[tokio::test]
async fn a_long_table_is_opened_by_a_peer_only_when_somebody_says_so() {
    let homes = Homes::new(&["b"]);
    let (store, parcel) = stored(&homes, many_entries()).await;
    drop(store);
    let site = Site::of(homes, &[]);
    let watched = Watched::new(&site);
    let b = site.identity("b");
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
    wait_for("it waits", || !site.serving.said().is_empty());
    let said = site.serving.said();
    assert_eq!(said[0]["state"], "waiting", "{said:?}");
    assert_eq!(said[0]["reason"], "long-table", "{said:?}");
    let growth = watched.growth();
    assert!(growth <= MOST, "{} MiB more", growth >> 20);
    let id = said[0]["id"].as_str().unwrap();
    site.homes.ok("a", &["inbox", "accept", id]);
    let received = site.homes.home("a").join("received");
    let content = fs::read(received.join("content")).unwrap();
    assert_eq!(content, b"content");
}
