//! The circle's own certificate ends after ten years: it is renewed in time, goes around, and nothing that it has signed counts
//! longer.

use std::{fs, path::Path, process::Command};

use colis::tls::{Circle, CircleHandle, Endings, ca};
use testkit::{Homes, has, wait_for};

use super::{
    certs,
    ends::{codes, homes_know, in_days, move_clock, ran_in_days, serve_in_days, told},
};

/// The circle is made today and ends after 3,650 days.
const NEAR: i64 = 3500;
const OVER: i64 = 3660;

fn ok_in_days(homes: &Homes, days: i64, home: &str, args: &[&str]) -> String {
    let ran = ran_in_days(homes, days, home, args);
    assert_eq!(ran.code, 0, "{days} {home} {args:?}: {}", ran.err);
    ran.out
}

fn issue_in_days(homes: &Homes, days: i64, name: &str) {
    let out = homes.home(name).join("certs");
    let out = out.to_str().unwrap();
    ok_in_days(homes, days, "a", &["certs", "issue", name, "--out", out]);
}

fn circle_of(homes: &Homes, name: &str) -> Vec<u8> {
    fs::read(certs(homes, name).ca_cert()).unwrap()
}

/// What curl says so many days from now about the peer at `url`, with the files of `home`.
fn curl_in_days(homes: &Homes, days: i64, home: &str, circle: &Path, url: &str) -> (bool, String) {
    let dir = certs(homes, home);
    let mut curl = Command::new("curl");
    move_clock(&mut curl, days);
    curl.args(["-sS", "--max-time", "20"]);
    curl.arg("--cacert").arg(circle);
    curl.arg("--cert").arg(dir.client_cert());
    curl.arg("--key").arg(dir.client_key()).arg(url);
    let ran = curl.output().unwrap();
    let said = String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned();
    (ran.status.success(), said)
}

#[test]
fn a_renewed_certificate_of_the_circle_goes_around_and_what_was_issued_stays_good() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&[]);
    let old = homes.path("old-ca.pem");
    fs::copy(certs(&homes, "a").ca_cert(), &old).unwrap();
    ok_in_days(&homes, NEAR, "a", &["certs", "renew"]);
    for name in ["b", "c", "d"] {
        issue_in_days(&homes, NEAR, name);
        let ends = Endings::read(&certs(&homes, name));
        assert_eq!(ends.certificate, ends.circle, "no longer than the circle's");
        assert_eq!(ends.scripts_certificate, ends.circle);
    }
    let status = ran_in_days(&homes, NEAR, "b", &["--json", "status"]);
    assert_eq!(status.code, 11, "{}", status.err);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert!(codes(&status["notices"]).contains(&"circle-ends-soon"));
    // By the second in which it was made.
    assert!([149, 150].contains(&status["circle_days"].as_i64().unwrap()));

    let a = serve_in_days(&homes, NEAR, "a");
    let ends = Endings::read(&certs(&homes, "a")).circle;
    ok_in_days(&homes, NEAR, "a", &["certs", "renew-circle"]);
    assert!(Endings::read(&certs(&homes, "a")).circle > ends);
    // b meets the circle's machine, c meets b only.
    wait_for("a gives the new one and b takes it", || {
        ok_in_days(&homes, NEAR, "b", &["list", &a.to()]);
        circle_of(&homes, "b") == circle_of(&homes, "a")
    });
    let b = serve_in_days(&homes, NEAR, "b");
    ok_in_days(&homes, NEAR, "c", &["list", &b.to()]);
    assert_eq!(circle_of(&homes, "c"), circle_of(&homes, "a"));
    assert!(circle_of(&homes, "d") != circle_of(&homes, "a"));
    drop((a, b));

    // After the end of the former one, d renews although it knows that one only, and has the new one after that.
    let a = serve_in_days(&homes, OVER, "a");
    homes_know(&homes, &["c", "d"], &a);
    for name in ["c", "d"] {
        ok_in_days(&homes, OVER, name, &["certs", "renew"]);
        ok_in_days(&homes, OVER, name, &["certs", "renew", "--script"]);
        assert_eq!(circle_of(&homes, name), circle_of(&homes, "a"), "{name}");
        ok_in_days(&homes, OVER, name, &["list", &a.to()]);
    }
    let url = format!("https://localhost:{}/v1/health", a.address.port());
    let new = certs(&homes, "d").ca_cert();
    let (is_well, said) = curl_in_days(&homes, OVER, "d", &new, &url);
    assert!(is_well && said.contains("\"ok\""), "{said}");
    let (is_well, said) = curl_in_days(&homes, OVER, "d", &old, &url);
    assert!(!is_well, "{said}");
}

#[test]
fn a_circle_whose_certificate_has_ended_is_said_to_be_over_and_can_be_renewed() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&[]);
    ok_in_days(&homes, NEAR, "a", &["certs", "renew"]);
    issue_in_days(&homes, NEAR, "b");
    let mut a = serve_in_days(&homes, OVER, "a");
    wait_for("the program that serves is told", || {
        told(&a, "circle-expired")
    });
    let ran = ran_in_days(&homes, OVER, "b", &["list", &a.to()]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    let ran = ran_in_days(&homes, OVER, "a", &["status"]);
    let says = "expired on 20";
    assert!(
        ran.err.contains("the circle's own certificate"),
        "{}",
        ran.err
    );
    assert!(
        ran.out.contains("certificate: expired ") && !ran.out.contains(" left, until "),
        "{}",
        ran.out
    );
    let ran = ran_in_days(
        &homes,
        OVER,
        "b",
        &["--json", "doctor", "--listen", "127.0.0.1:0"],
    );
    assert_eq!(ran.code, 4, "{}", ran.out);
    let about = ran.out.lines().find(|line| line.contains("\"circle\""));
    let about = about.unwrap();
    assert!(
        about.contains("\"fail\"") && about.contains(says),
        "{about}"
    );
    let out = homes.path("x");
    for args in [
        &["certs", "renew"][..],
        &["certs", "issue", "x", "--out", out.to_str().unwrap()],
    ] {
        let ran = ran_in_days(&homes, OVER, "a", args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("colis certs renew-circle"), "{}", ran.err);
    }
    a.kill();
    ok_in_days(&homes, OVER, "a", &["certs", "renew-circle"]);
    let a = serve_in_days(&homes, OVER, "a");
    homes_know(&homes, &["b"], &a);
    ok_in_days(&homes, OVER, "b", &["certs", "renew"]);
    ok_in_days(&homes, OVER, "b", &["list", &a.to()]);
    // Only the machine with the key does this.
    let mut command = in_days(&homes, OVER, "b", &["certs", "renew-circle"]);
    assert_eq!(command.output().unwrap().status.code(), Some(3));
}

#[test]
fn only_a_later_certificate_of_the_same_name_and_key_is_taken() {
    let (homes, foreign) = (Homes::new(&["b"]), Homes::new(&[]));
    let (dir, circle) = (certs(&homes, "b"), certs(&homes, "a"));
    let handle = CircleHandle::new(Circle::load(&dir).unwrap());
    let before = fs::read_to_string(dir.ca_cert()).unwrap();
    let refused = |pem: &str| {
        let error = handle.install_circle(&dir, pem).unwrap_err().to_string();
        assert_eq!(fs::read_to_string(dir.ca_cert()).unwrap(), before);
        error
    };
    let theirs = fs::read_to_string(certs(&foreign, "a").ca_cert()).unwrap();
    assert!(refused(&theirs).contains("another circle"));
    assert!(refused("nothing").contains("offered certificate"));
    let leaf = fs::read_to_string(dir.server_cert()).unwrap();
    assert!(refused(&leaf).contains("another circle"));
    assert!(!handle.install_circle(&dir, &before).unwrap(), "the same");
    let ends = Endings::read(&circle).circle.unwrap();
    wait_for("a later one", || ca::renew_circle(&circle).unwrap() > ends);
    let later = fs::read_to_string(circle.ca_cert()).unwrap();
    // Another end by whoever brings it: the year is in it as text.
    let (_, block) = x509_parser::pem::parse_x509_pem(later.as_bytes()).unwrap();
    let mut der = block.contents;
    let year = ends.to_string()[2..4].to_owned();
    let at = der.windows(2).rposition(|w| w == year.as_bytes()).unwrap();
    der[at] = b'4';
    let changed = pem::encode(&pem::Pem::new("CERTIFICATE", der));
    assert!(refused(&changed).contains("not signed it"));
    assert!(handle.install_circle(&dir, &later).unwrap());
    assert_eq!(fs::read_to_string(dir.ca_cert()).unwrap(), later);
    assert!(
        !handle.install_circle(&dir, &before).unwrap(),
        "it never goes back"
    );
    assert_eq!(fs::read_to_string(dir.ca_cert()).unwrap(), later);
}

#[test]
fn a_list_that_was_dated_by_a_clock_ahead_is_signed_again_by_the_circle_that_serves() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&["b"]);
    ok_in_days(&homes, 400, "a", &["certs", "renew"]);
    ok_in_days(&homes, 400, "a", &["certs", "revoke", "b"]);
    let early = |home: &str| {
        let status = homes.run(home, &["--json", "status"]);
        codes(&status.object("status")["notices"]).contains(&"revocation-list-not-yet-valid")
    };
    assert!(early("a"));
    let said = homes.run("a", &["status"]).err;
    assert!(said.contains("is served: colis serve"), "{said}");
    let doctor = homes.run("a", &["doctor"]).out;
    assert!(doctor.contains("is served: colis serve"), "{doctor}");
    let _a = homes.serve("a", &[]);
    wait_for("the list is signed again", || !early("a"));
    let circle = Circle::load(&certs(&homes, "a")).unwrap();
    let revoked = colis::tls::Inspected::peer(&certs(&homes, "b")).unwrap();
    assert!(circle.is_revoked(&revoked.caller), "nobody is let in again");
}

#[test]
fn after_the_end_of_the_circle_what_is_said_first_works() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&[]);
    let said = ran_in_days(&homes, OVER, "a", &["status"]).err;
    let first = said.lines().next().unwrap();
    assert!(first.contains("colis certs renew-circle"), "{said}");
    let doctor = ran_in_days(&homes, OVER, "a", &["doctor"]).out;
    for line in said.lines().chain(doctor.lines()) {
        let alone = line.contains("colis certs renew") && !line.contains("renew-circle");
        assert!(!alone || line.contains("is renewed first"), "{line}");
    }
    ok_in_days(&homes, OVER, "a", &["certs", "renew-circle"]);
    ok_in_days(&homes, OVER, "a", &["certs", "renew"]);
}
