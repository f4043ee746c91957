//! A member that fills the quota of another: what others have still to collect does not go for what no transfer names, and who
//! really sends is not refused.

use std::{fs, process::Stdio};

use colis::{id::ManifestId, tls::Identity, wire::Code};
use testkit::{
    Homes, bytes,
    site::{Site, request},
    wait_for,
};

use crate::bad_input::parcel::{Parcel, Plain};

const MIB: usize = 1 << 20;

/// `a` serves with a quota, `b` sends to it and to `c`, who has not collected it yet; `d` and `e` are hostile.
fn site() -> Site {
    let homes = Homes::new(&["b", "c", "d", "e"]);
    homes.ok("a", &["config", "set", "quota", "4MiB"]);
    Site::of(homes, &[])
}

/// `b` has sent something of `size` bytes to `a`, who has opened it, and to `c`.
fn sent(site: &Site, name: &str, size: usize) -> (ManifestId, Parcel) {
    let [a, b, c]: [Identity; 3] = ["a", "b", "c"].map(|name| site.identity(name));
    let mut plain = Plain::default();
    plain.add(name, &bytes(name.len() as u64, size));
    let mut parcel = Parcel::seal(&b, &a, plain);
    parcel.wrap_as(parcel.manifest.transfer_id, &b, &[&a, &c]);
    assert_eq!(site.talk(&parcel.announcing(&b)).status, 200);
    for put in parcel.puts() {
        assert_eq!(site.talk(&put).status, 201);
    }
    let (id, publishing) = parcel.publishing(&b);
    assert_eq!(site.talk(&publishing).status, 201);
    let file = site.homes.home("a").join("received").join(name);
    wait_for("it is opened", || file.exists());
    wait_for("that is recorded", || {
        let state = site.get(&format!("/v1/manifests/{id}/state"));
        String::from_utf8_lossy(&state.body).contains("opened")
    });
    (id, parcel)
}

/// Whether `c` can still collect it.
fn can_be_collected(site: &Site, (id, parcel): &(ManifestId, Parcel)) -> bool {
    let get = |path: String| site.talk_as("c", &request("GET", &path, "", b"")).status == 200;
    let mut chunks = parcel.chunks.iter();
    get(format!("/v1/manifests/{id}")) && chunks.all(|(id, _)| get(format!("/v1/chunks/{id}")))
}

/// `by` puts chunks of `size` bytes that no transfer names until one is refused. Returns how many bytes were taken.
fn hoard(site: &Site, by: &str, seed: u64, size: usize) -> usize {
    for number in 0..100 {
        let chunk = bytes(seed + number, size);
        let path = format!("/v1/chunks/{}", colis::id::ChunkId::of(&chunk));
        let answer = site.talk_as(by, &request("PUT", &path, "", &chunk));
        if answer.status != 201 {
            answer.is(Code::QuotaExceeded, "it has enough here");
            return usize::try_from(number).unwrap() * size;
        }
    }
    panic!("it puts chunks for ever");
}

#[test]
fn junk_takes_nothing_that_others_have_still_to_collect_and_goes_before_it() {
    let site = site();
    let kept = [sent(&site, "one", MIB), sent(&site, "three", 2 * MIB)];
    // More than is free, at once and by and by.
    for (seed, by, size) in [
        (0, "d", MIB),
        (1_000, "d", 64 << 10),
        (2_000, "e", MIB),
        (3_000, "e", 32 << 10),
    ] {
        hoard(&site, by, seed, size);
        assert!(
            kept.iter().all(|one| can_be_collected(&site, one)),
            "{by}, {size}"
        );
    }
    // Nor for an announcement of which nothing comes.
    let [a, d] = ["a", "d"].map(|name| site.identity(name));
    let mut plain = Plain::default();
    plain.add("announced", &bytes(9, 2 * MIB));
    let announced = Parcel::seal(&d, &a, plain);
    site.talk_as("d", &announced.announcing(&d));
    assert!(
        kept.iter().all(|one| can_be_collected(&site, one)),
        "announced"
    );
    // Who really sends finds room: first the junk goes.
    let to = site.serving.to();
    fs::write(site.homes.path("small"), bytes(10, MIB / 2)).unwrap();
    site.homes
        .ok("b", &["send", "small", "--to", &to, "--wait"]);
    assert!(
        kept.iter().all(|one| can_be_collected(&site, one)),
        "there was junk"
    );
    let log = site.homes.log("a");
    assert!(
        log.is_empty() || !log.contains("opened transfers were let go"),
        "{log}"
    );
    site.is_well();
}

#[test]
fn a_full_quota_with_opened_transfers_refuses_no_send() {
    let site = site();
    let kept = [sent(&site, "one", MIB), sent(&site, "three", 5 * MIB / 2)];
    hoard(&site, "d", 0, 64 << 10);
    hoard(&site, "e", 1_000, 64 << 10);
    let to = site.serving.to();
    // What needs the oldest of them takes that alone.
    fs::write(site.homes.path("film"), bytes(10, MIB)).unwrap();
    site.homes.ok("c", &["send", "film", "--to", &to, "--wait"]);
    assert!(!can_be_collected(&site, &kept[0]) && can_be_collected(&site, &kept[1]));
    fs::write(site.homes.path("large"), bytes(11, 3 * MIB)).unwrap();
    site.homes
        .ok("c", &["send", "large", "--to", &to, "--wait"]);
    assert!(!can_be_collected(&site, &kept[1]));
    // And what has no size that is known before.
    let refilled = sent(&site, "again", 3 * MIB);
    hoard(&site, "d", 2_000, 64 << 10);
    let args = ["send", "-", "--name", "streamed", "--to", &to, "--wait"];
    let mut send = site.homes.command("c", &args);
    let input = fs::File::open(site.homes.path("film")).unwrap();
    let ran = send.stdin(Stdio::from(input)).output().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(!can_be_collected(&site, &refilled), "it made room");
    site.is_well();
}
