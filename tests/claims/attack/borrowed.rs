//! A member that copies the id of another's transfer, or signs two contents under one id: each is told as what it is.

use std::fs;

use colis::{
    id::{ManifestId, TransferId},
    manifest::Signer as _,
    tls::Identity,
    wire::Code,
};
use serde_json::Value;
use testkit::{
    Homes, bytes,
    site::{Site, request},
    wait_for,
};

use crate::bad_input::parcel::{Parcel, Plain};

const CHUNK: usize = 64 << 10;

/// `a` serves, `b` is honest, `c` is not.
fn site(args: &[&str]) -> Site {
    Site::of(Homes::new(&["b", "c"]), args)
}

fn parcel(sender: &Identity, to: &Identity, name: &str, seed: u64) -> Parcel {
    let mut plain = Plain::default();
    plain.add(name, &bytes(seed, 2 * CHUNK));
    Parcel::seal(sender, to, plain)
}

/// Its table and its first chunk come to `a`, after its offer.
fn begin(site: &Site, by: &str, parcel: &Parcel) {
    let announced = parcel.announcing(&site.identity(by));
    assert_eq!(site.talk_as(by, &announced).status, 200);
    for put in &parcel.puts()[..=parcel.manifest.table.len()] {
        assert_eq!(site.talk_as(by, put).status, 201);
    }
}

#[test]
fn who_stops_one_transfer_stops_no_other_of_that_id() {
    let site = site(&[]);
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let honest = parcel(&b, &a, "film.mkv", 1);
    let id = honest.manifest.transfer_id;
    begin(&site, "b", &honest);
    let mut copied = parcel(&c, &a, "junk", 2);
    copied.wrap_as(id, &c, &[&a]);
    begin(&site, "c", &copied);
    let short = &id.to_string()[..8];
    let said = site.homes.fails("a", &["inbox", "stop", short], 2);
    for part in ["from b", "film.mkv", "from c", "junk", "--from NAME"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let stopping = request("DELETE", &format!("/v1/arriving/{id}"), "", b"");
    let answer = site.talk_as("a", &stopping);
    answer.is(Code::BadQuery, "stop whose?");
    let nobodys = format!("/v1/arriving/{id}?sender={}", a.peer_id());
    let answer = site.talk_as("a", &request("DELETE", &nobodys, "", b""));
    answer.is(Code::NoSuchTransfer, "a brings nothing");
    let said = site.homes.ok("a", &["inbox", "stop", short, "--from", "c"]);
    assert!(
        said.contains("junk") && !said.contains("film.mkv"),
        "{said}"
    );
    let refused = site.talk_as("c", &copied.putting(1));
    refused.is(Code::Cancelled, "it was stopped");
    // Hers goes on, and is opened.
    assert_eq!(site.talk_as("b", &honest.putting(1)).status, 201);
    honest.upload(&site);
    assert_eq!(site.talk_as("b", &honest.publishing(&b).1).status, 201);
    let film = site.homes.home("a").join("received/film.mkv");
    wait_for("it is opened", || film.exists());
    assert_eq!(fs::read(film).unwrap(), bytes(1, 2 * CHUNK));
    site.is_well();
}

#[test]
fn a_transfer_that_was_cut_is_not_hidden_by_another_of_its_id() {
    let site = site(&[]);
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let honest = parcel(&b, &a, "film.mkv", 1);
    let id = honest.manifest.transfer_id;
    begin(&site, "b", &honest);
    site.homes.ok("a", &["inbox", "stop", &id.to_string()]);
    let is_missed = || {
        let status = site.homes.ok("a", &["--json", "status"]);
        let status: Value = serde_json::from_str(&status).unwrap();
        let missed = status["missed"].as_array().unwrap().clone();
        let is_it = |one: &Value| {
            one["transfer"] == id.to_string() && one["sender"] == b.peer_id().to_string()
        };
        missed.iter().any(is_it)
    };
    wait_for("it is missed", is_missed);
    let mut copied = parcel(&c, &a, "junk", 2);
    copied.wrap_as(id, &c, &[&a]);
    begin(&site, "c", &copied);
    assert!(is_missed(), "while another of its id is arriving");
    copied.upload(&site);
    assert_eq!(site.talk_as("c", &copied.publishing(&c).1).status, 201);
    let junk = site.homes.home("a").join("received/junk");
    wait_for("the other is opened", || junk.exists());
    assert!(is_missed(), "after another of its id has come");
}

/// How far `a` says that a transfer has come.
fn state(site: &Site, id: ManifestId) -> String {
    let answer = site.talk_as(
        "c",
        &request("GET", &format!("/v1/manifests/{id}/state"), "", b""),
    );
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body["state"].as_str().unwrap().to_owned()
}

/// What `a` calls a transfer in its list.
fn mark(site: &Site, id: ManifestId) -> String {
    let list = site.homes.ok("a", &["--json", "list"]);
    let rows = list.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut rows = rows.filter(|row: &Value| row["id"] == id.to_string());
    rows.next().unwrap()["mark"].as_str().unwrap().to_owned()
}

fn result(site: &Site, asked: &[u8], field: &str) -> String {
    let answer = site.talk_as("c", asked);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    body[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn another_content_under_the_id_of_what_was_opened_is_not_taken_for_it() {
    let site = site(&["--inbox", "ask"]);
    let [a, b, c] = ["a", "b", "c"].map(|name| site.identity(name));
    let opened = parcel(&c, &a, "first", 1);
    let id: TransferId = opened.manifest.transfer_id;
    let first = opened.send(&site, &c);
    site.homes.ok("a", &["inbox", "accept", &first.to_string()]);
    assert_eq!(state(&site, first), "opened");
    // The same file key, the same table even: only the content is another.
    let mut other = parcel(&c, &a, "second", 2);
    other.wrap_as(id, &c, &[&a, &b]);
    other.manifest.created = opened.manifest.created.plus_seconds(1);
    let announced = result(&site, &other.announcing(&c), "answer");
    assert_eq!(announced, "waiting", "nothing of it was opened");
    other.upload(&site);
    let (second, publishing) = other.publishing(&c);
    assert_eq!(result(&site, &publishing, "result"), "stored");
    wait_for("it waits", || state(&site, second) == "waiting");
    assert_eq!(mark(&site, second), "new");
    site.homes.ok("a", &["gc"]);
    let waits = site.homes.ok("a", &["--json", "inbox"]);
    assert!(waits.contains(&second.to_string()), "{waits}");
    site.homes.ok("a", &["receive", "--all"]);
    let received = site.homes.home("a").join("received");
    assert_eq!(
        fs::read(received.join("second")).unwrap(),
        bytes(2, 2 * CHUNK)
    );
    assert_eq!(
        (state(&site, second), mark(&site, second)),
        ("opened".into(), "opened".into())
    );
    // What has the content of before is known, whoever may open it now.
    assert_eq!(
        result(&site, &other.announcing(&c), "answer"),
        "already-received"
    );
    let again = opened.publishing(&c).1;
    assert_eq!(result(&site, &again, "result"), "already-received");
    other.manifest.created = other.manifest.created.plus_seconds(5);
    let (granted, publishing) = other.publishing(&c);
    assert_eq!(
        result(&site, &publishing, "result"),
        "stored",
        "for the others"
    );
    assert_eq!(
        (state(&site, granted), mark(&site, granted)),
        ("opened".into(), "opened".into())
    );
    let names = fs::read_dir(&received).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    assert_eq!(names, ["first", "second"], "nothing comes twice");
    site.is_well();
}
