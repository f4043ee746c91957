//! How revocations go around, and that they never go back.

use std::{fs, time::Duration};

use colis::{
    peer::{Peer, PeerOptions},
    tls::{Circle, CircleHandle, Taken, ca},
};
use tokio::sync::oneshot;

use super::{certs, curl};
use testkit::{Homes, Serving, wait_for};

fn number(homes: &Homes, name: &str) -> u64 {
    Circle::load(&certs(homes, name)).unwrap().crl_number()
}

#[test]
fn a_caller_brings_a_newer_list_and_takes_one() {
    let homes = Homes::new(&["b", "c", "d"]);
    let b = homes.serve("b", &[]);
    homes.ok("c", &["list", &b.to()]);
    homes.ok("a", &["certs", "revoke", "c"]);
    homes.ok("c", &["list", &b.to()]);
    // a calls b, which learns of it.
    homes.ok("a", &["list", &b.to()]);
    let newest = number(&homes, "a");
    assert_eq!(number(&homes, "b"), newest);
    wait_for("c is out", || homes.run("c", &["list", &b.to()]).code == 4);
    assert!(number(&homes, "d") < newest);
    homes.ok("d", &["list", &b.to()]);
    assert_eq!(number(&homes, "d"), newest);
}

/// Two commands at once after one another: the serving peer has not looked at its files in between.
#[test]
fn whoever_asks_right_after_a_revocation_gets_the_new_list() {
    let names = ["c0", "c1", "c2", "c3"];
    let homes = Homes::new(&["b", "c0", "c1", "c2", "c3"]);
    let (a, b) = (homes.serve("a", &[]), homes.serve("b", &[]));
    homes.ok("b", &["peers", "add", &a.to()]);
    for name in names {
        homes.ok("a", &["certs", "revoke", name]);
        homes.ok("b", &["peers", "check", "a"]);
        assert_eq!(number(&homes, "b"), number(&homes, "a"), "{name}");
        wait_for("the one that serves there knows it too", || {
            homes.run(name, &["list", &b.to()]).code == 4
        });
    }
}

/// Puts a list with curl. Gives the status.
fn put(homes: &Homes, to: &Serving, list: &[u8]) -> String {
    let path = homes.path("list.pem");
    fs::write(&path, list).unwrap();
    let url = format!("https://localhost:{}/v1/crl", to.address.port());
    let media = "content-type: application/x-pem-file";
    let path = path.to_str().unwrap();
    let args = ["-w", " %{http_code}", "-H", media, "-T", path, &url];
    curl(homes, "b", &args).out
}

#[test]
fn a_list_never_goes_back_and_a_forged_one_is_not_taken() {
    let (homes, foreign) = (Homes::new(&["b", "c"]), Homes::new(&["c"]));
    let old = fs::read(certs(&homes, "a").crl()).unwrap();
    let b = homes.serve("b", &[]);
    homes.ok("a", &["certs", "revoke", "c"]);
    let new = fs::read(certs(&homes, "a").crl()).unwrap();
    assert!(put(&homes, &b, &new).ends_with("\"stored\"} 201"));
    for known in [&new, &old] {
        assert!(put(&homes, &b, known).ends_with("\"already-there\"} 200"));
        assert_eq!(number(&homes, "b"), number(&homes, "a"));
    }
    for _ in 0..2 {
        ca::revoke(&certs(&foreign, "a"), "c").unwrap();
    }
    let forged = fs::read(certs(&foreign, "a").crl()).unwrap();
    assert!(number(&foreign, "a") > number(&homes, "a"));
    for bad in [&forged[..], &new[..new.len() / 2], b"no list", b"\xff"] {
        let said = put(&homes, &b, bad);
        assert!(
            said.contains("\"bad-list\"") && said.ends_with(" 422"),
            "{said}"
        );
    }
    let flood = (0..12).map(|_| put(&homes, &b, &old)).collect::<String>();
    assert!(flood.contains(" 429"), "{flood}");
    assert_eq!(fs::read(certs(&homes, "b").crl()).unwrap(), new);
}

/// Two processes of one home: what one has written, the other does not overwrite with something older.
#[test]
fn an_older_list_does_not_replace_one_that_another_process_has_written() {
    let homes = Homes::new(&["b", "c", "d"]);
    let dir = certs(&homes, "b");
    let handle = CircleHandle::new(Circle::load(&dir).unwrap());
    let first = number(&homes, "b");
    homes.ok("a", &["certs", "revoke", "c"]);
    let second = fs::read_to_string(certs(&homes, "a").crl()).unwrap();
    homes.ok("a", &["certs", "revoke", "d"]);
    let third = fs::read_to_string(certs(&homes, "a").crl()).unwrap();
    fs::write(dir.crl(), &third).unwrap();
    assert_eq!(
        handle.now().crl_number(),
        first,
        "this process has not read it yet"
    );
    assert_eq!(handle.install_crl(&dir, &second).unwrap(), Taken::Older);
    assert_eq!(fs::read_to_string(dir.crl()).unwrap(), third);
}

#[test]
fn nothing_is_sealed_for_whoever_is_revoked() {
    let homes = Homes::new(&["b", "c"]);
    let (a, c) = (homes.serve("a", &["--inbox", "off"]), homes.serve("c", &[]));
    homes.ok("b", &["peers", "add", &a.to()]);
    homes.ok("b", &["peers", "add", &c.to()]);
    fs::write(homes.path("f.txt"), "not for c").unwrap();
    homes.ok("a", &["certs", "revoke", "c"]);
    wait_for("a has read it", || {
        homes.log("a").contains("revocations read again")
    });
    // b does not know yet: the relay that it meets tells it.
    let newest = number(&homes, "a");
    assert!(number(&homes, "b") < newest);
    let said = homes.fails("b", &["send", "f.txt", "--to", "c", "--via", "a"], 4);
    assert!(
        said.contains(&format!("c is revoked (list {newest}")) && said.contains("hint: "),
        "{said}"
    );
    assert_eq!(homes.ok("a", &["list"]), "");
    assert_eq!(number(&homes, "b"), newest);
    // And now it knows by itself, with nobody to ask.
    for args in [
        &["send", "f.txt", "--to", "c"][..],
        &["send", "f.txt", "--to", "c", "--via", "a"],
        &["share", "f.txt", "--to", "c"],
    ] {
        let said = homes.fails("b", args, 4);
        assert!(said.contains("revoked"), "{said}");
    }
    let shared = homes.ok("b", &["--json", "share", "f.txt"]);
    assert!(shared.contains("\"sent\""), "{shared}");
    let listed = homes.ok("b", &["--json", "list"]);
    let c = homes.ok("c", &["--json", "status"]);
    let c: serde_json::Value = serde_json::from_str(&c).unwrap();
    assert!(!listed.contains(c["peer_id"].as_str().unwrap()), "{listed}");
}

/// A peer of the library that asks the others all the time.
pub(crate) fn restless(
    homes: &Homes,
    name: &str,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let home = homes.home(name);
    let mut options = PeerOptions::at(home);
    options.ask_every = Duration::from_millis(50);
    let peer = Peer::open(options);
    let (stop, stopped) = oneshot::channel();
    let peer = peer.unwrap();
    let running = tokio::spawn(async move {
        peer.run(async { stopped.await.unwrap_or_default() })
            .await
            .unwrap();
    });
    (stop, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_peer_asks_those_that_it_knows_and_tells_them() {
    let homes = Homes::new(&["b", "c", "d"]);
    let c = homes.serve("c", &[]);
    homes.ok("b", &["peers", "add", &c.to()]);
    let (_stop, _running) = restless(&homes, "b");
    homes.ok("a", &["certs", "revoke", "d"]);
    homes.ok("a", &["peers", "add", &c.to()]);
    wait_for("b has asked c", || {
        number(&homes, "b") == number(&homes, "a")
    });
    // The other way: b learns of something by its own file, and tells c.
    homes.ok(
        "a",
        &[
            "certs",
            "issue",
            "e",
            "--out",
            homes.path("e").to_str().unwrap(),
        ],
    );
    homes.ok("a", &["certs", "revoke", "e"]);
    fs::copy(certs(&homes, "a").crl(), certs(&homes, "b").crl()).unwrap();
    wait_for("c was told", || number(&homes, "c") == number(&homes, "a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_list_is_said_and_fetched() {
    let homes = Homes::new(&["b", "c"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    fs::remove_file(certs(&homes, "b").crl()).unwrap();
    for args in [&["status"][..], &["doctor"]] {
        let ran = homes.run("b", args);
        let said = ran.out + &ran.err;
        assert!(
            said.contains("no revocation list") || said.contains("no list"),
            "{said}"
        );
    }
    let _b = homes.serve("b", &[]);
    wait_for("it asks at once", || certs(&homes, "b").crl().exists());
    assert_eq!(number(&homes, "b"), number(&homes, "a"));
}

#[test]
fn the_circles_machine_signs_its_list_again_in_time() {
    let homes = Homes::new(&["b"]);
    let dir = certs(&homes, "a");
    homes.ok("a", &["certs", "revoke", "b"]);
    let before = Circle::load(&dir).unwrap();
    let next = before.crl_next_update().unwrap();
    let day = 24 * 3600;
    let early = colis::manifest::Timestamp::from_unix_seconds(next.unix_seconds() - 16 * day);
    assert!(!ca::refresh_list(&dir, early).unwrap());
    let late = colis::manifest::Timestamp::from_unix_seconds(next.unix_seconds() - 14 * day);
    assert!(ca::refresh_list(&dir, late).unwrap());
    let after = Circle::load(&dir).unwrap();
    assert!(after.crl_number() > before.crl_number());
    assert!(
        ca::list(&dir)
            .unwrap()
            .iter()
            .all(|(i, revoked)| *revoked == (i.name == "b"))
    );
}
