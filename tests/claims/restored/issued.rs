//! The circle's machine, restored: what it revokes and issues next.

use std::fs;

use colis::{manifest::Signer as _, tls::Identity};
use testkit::{Homes, person::Person, wait_for};

use super::{certs, copy, is_out, number};

/// A circle whose machine knows where ben serves, and a copy of it, `old`.
fn circle(others: &[&str]) -> (Homes, testkit::Serving) {
    let homes = Homes::new(others);
    let ben = homes.serve("ben", &[]);
    homes.ok("a", &["peers", "add", &ben.to()]);
    copy(&homes, "a", "old");
    (homes, ben)
}

fn issue(homes: &Homes, name: &str, out: &str) -> testkit::Ran {
    let out = homes.home(out).join("certs");
    homes.run(
        "a",
        &["certs", "issue", name, "--out", out.to_str().unwrap()],
    )
}

fn id(homes: &Homes, name: &str) -> String {
    let identity = Identity::load(&certs(homes, name)).unwrap();
    identity.peer_id().to_string()
}

#[test]
fn whoever_was_revoked_before_and_after_the_restore_stays_out() {
    let (homes, ben) = circle(&["ben", "carl", "erin", "gus"]);
    homes.ok("a", &["certs", "revoke", "erin"]);
    homes.ok("a", &["peers", "check", "ben"]);
    wait_for("erin is out", || is_out(&homes, "erin", &ben));
    copy(&homes, "old", "a");
    let before = number(&homes, "ben");
    let said = homes.ok("a", &["--json", "certs", "revoke", "carl"]);
    assert!(said.contains(r#""known":1,"reached":1"#), "{said}");
    assert!(number(&homes, "a") > before, "it took ben's list first");
    homes.ok("a", &["peers", "check", "ben"]);
    wait_for("carl is out", || is_out(&homes, "carl", &ben));
    let list = fs::read_to_string(certs(&homes, "ben").crl()).unwrap();
    assert_eq!(list.matches("BEGIN X509 CRL").count(), 1);
    homes.ok("a", &["doctor", "--listen", "127.0.0.1:0", "ben"]);
    homes.ok("a", &["certs", "revoke", "gus"]);
    homes.ok("a", &["peers", "check", "ben"]);
    wait_for("gus is out", || is_out(&homes, "gus", &ben));
    for who in ["carl", "erin"] {
        assert!(is_out(&homes, who, &ben), "{who} is in again");
    }
}

#[test]
fn that_no_member_answers_is_said_and_nothing_is_lost_by_it() {
    let (homes, mut ben) = circle(&["ben", "carl", "erin"]);
    homes.ok("a", &["certs", "revoke", "erin"]);
    homes.ok("a", &["peers", "check", "ben"]);
    ben.kill();
    copy(&homes, "old", "a");
    let ran = homes.run("a", &["certs", "revoke", "carl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err
            .contains("the one peer that is known here has not answered"),
        "{}",
        ran.err
    );
    let json = homes.ok("a", &["--json", "certs", "revoke", "carl"]);
    assert!(json.contains(r#""known":1,"reached":0"#), "{json}");
    let ben = homes.serve("ben", &[]);
    homes.ok("a", &["peers", "add", &ben.to()]);
    for who in ["carl", "erin"] {
        wait_for(who, || is_out(&homes, who, &ben));
    }
}

/// A member knows it too, but says less than the record.
#[test]
fn a_name_that_is_on_record_here_is_said_to_be() {
    let (homes, ben) = circle(&["ben", "fred"]);
    homes.ok("fred", &["list", &ben.to()]);
    let ran = issue(&homes, "fred", "fred2");
    assert_eq!(ran.code, 4, "{}", ran.err);
    let said = "a certificate for fred was issued and is not revoked";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert!(!ran.err.contains("on no record"), "{}", ran.err);
}

/// Fred is issued after the copy was made, and has called ben.
#[test]
fn no_name_is_given_twice_and_members_on_no_record_can_be_revoked() {
    let (homes, ben) = circle(&["ben"]);
    for name in ["fred", "jo", "kim"] {
        assert_eq!(issue(&homes, name, name).code, 0);
        homes.ok(name, &["list", &ben.to()]);
    }
    copy(&homes, "old", "a");
    let ran = issue(&homes, "fred", "fred2");
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("ben knows a fred"), "{}", ran.err);
    assert!(!certs(&homes, "fred2").server_key().exists());
    // By its whole id, as the hint says; then the name is free.
    homes.ok("a", &["certs", "revoke", &id(&homes, "fred")]);
    assert_eq!(issue(&homes, "fred", "fred2").code, 0);
    // By the name under which a member knows it, or by its certificate.
    homes.ok("a", &["certs", "revoke", "jo"]);
    let certificate = certs(&homes, "jo").server_cert();
    homes.ok("a", &["certs", "revoke", certificate.to_str().unwrap()]);
    // By the beginning of its id, once it was met.
    let a = homes.serve("a", &[]);
    homes.ok("kim", &["list", &a.to()]);
    wait_for("kim is recorded", || {
        homes.ok("a", &["certs", "show"]).contains("issued: kim")
    });
    assert_eq!(issue(&homes, "kim", "kim2").code, 4);
    homes.ok("a", &["certs", "revoke", &id(&homes, "kim")[..8]]);
    homes.ok("a", &["peers", "check", "ben"]);
    for who in ["fred", "jo", "kim"] {
        wait_for(who, || is_out(&homes, who, &ben));
    }
}

#[test]
fn a_certificate_that_is_not_the_circles_revokes_nobody() {
    let (homes, foreign) = (Homes::new(&[]), Homes::new(&["x"]));
    let before = fs::read(certs(&homes, "a").crl()).unwrap();
    let certificate = certs(&foreign, "x").server_cert();
    homes.fails("a", &["certs", "revoke", certificate.to_str().unwrap()], 4);
    fs::write(homes.path("x.txt"), "no certificate").unwrap();
    homes.fails("a", &["certs", "revoke", "x.txt"], 4);
    assert_eq!(fs::read(certs(&homes, "a").crl()).unwrap(), before);
}

#[test]
fn that_nobody_can_be_asked_is_said_and_keeps_nobody_from_being_revoked() {
    let (homes, _ben) = circle(&["ben"]);
    let ben = id(&homes, "ben");
    let book = certs(&homes, "a").peers();
    fs::write(book, "{").unwrap();
    let ran = homes.run("a", &["--json", "certs", "revoke", &ben]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let objects = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let objects: Vec<serde_json::Value> = objects.collect();
    let events: Vec<_> = objects.iter().map(|object| &object["event"]).collect();
    assert_eq!(events, ["not-asked", "revoked"], "{ran:?}");
    let reason = objects[0]["reason"].as_str().unwrap();
    assert!(reason.contains("peers.json"), "{reason}");
}

#[test]
fn on_a_terminal_revoking_is_asked_and_no_is_the_answer_of_an_empty_line() {
    let homes = Homes::new(&["ben"]);
    let before = number(&homes, "a");
    for (answer, is_revoked) in [("", false), ("y", true)] {
        let command = homes.command("a", &["certs", "revoke", "ben"]);
        let mut anna = Person::at_terminal(&homes, command, "xterm-256color");
        anna.sees("shut out of the circle for good");
        anna.sees("Revoke it? [y/N]");
        anna.types(answer);
        assert_eq!(anna.ends(), 0, "{}", anna.shown());
        assert_eq!(number(&homes, "a") > before, is_revoked);
    }
}
