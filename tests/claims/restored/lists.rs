//! Revocation lists of a circle's machine that was restored.

use std::fs;

use testkit::{Homes, has, wait_for};

use super::{certs, copy, is_out, number, ok_at};

fn lists(homes: &Homes, name: &str) -> usize {
    let pem = fs::read_to_string(certs(homes, name).crl()).unwrap();
    pem.matches("BEGIN X509 CRL").count()
}

/// Three machines: one that is restored while nobody answers, and a member that has its later list.
fn contradicting(revoke: impl Fn(&Homes, &str)) -> Homes {
    let homes = Homes::new(&["ben", "carl", "erin"]);
    copy(&homes, "a", "old");
    revoke(&homes, "erin");
    // Ben has it from the machine that is lost then.
    fs::copy(certs(&homes, "a").crl(), certs(&homes, "ben").crl()).unwrap();
    copy(&homes, "old", "a");
    revoke(&homes, "carl");
    homes
}

#[test]
fn numbers_do_not_repeat_after_the_circles_machine_was_restored() {
    let homes = Homes::new(&["ben", "carl"]);
    let first = number(&homes, "a");
    let now = colis::manifest::Timestamp::now().unix_seconds();
    assert!(first.abs_diff(now) < 600, "the time is the number: {first}");
    homes.ok("a", &["certs", "revoke", "carl"]);
    assert!(number(&homes, "a") > first);
}

/// Both were signed by a machine whose clock was set back: then even the numbers are the same.
#[test]
fn two_lists_of_one_number_are_said_by_all_and_merged_by_the_circles_machine() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    let homes = contradicting(|homes, who| {
        ok_at(homes, "-1d", "a", &["certs", "revoke", who]);
    });
    assert_eq!(number(&homes, "a"), number(&homes, "ben"));
    let ben = homes.serve("ben", &[]);
    homes.fails("a", &["doctor", "--listen", "127.0.0.1:0", &ben.to()], 4);
    let told = homes.run("a", &["doctor", &ben.to()]).out;
    assert!(told.contains("is another one than our list"), "{told}");
    // A member brings ben the other list: both apply there, and that is said.
    let brought = fs::read_to_string(certs(&homes, "a").crl()).unwrap();
    fs::write(certs(&homes, "ben").crl(), brought).unwrap();
    wait_for("ben says it", || homes.log("ben").contains("contradict"));
    assert_eq!(lists(&homes, "ben"), 2);
    for args in [&["doctor"][..], &["status"]] {
        let ran = homes.run("ben", args);
        assert!((ran.out + &ran.err).contains("contradict"), "{args:?}");
    }
    for who in ["carl", "erin"] {
        wait_for(who, || is_out(&homes, who, &ben));
    }
    // The circle's machine calls, and signs one.
    homes.ok("a", &["peers", "add", &ben.to()]);
    wait_for("there is one list", || {
        lists(&homes, "a") == 1 && lists(&homes, "ben") == 1
    });
    assert_eq!(number(&homes, "a"), number(&homes, "ben"));
    for who in ["carl", "erin"] {
        assert!(is_out(&homes, who, &ben), "{who} is in again");
    }
    assert!(!homes.run("ben", &["status"]).err.contains("contradict"));
}

/// Signed twice, as of one list anybody can make another by the other signature that ECDSA has.
#[test]
fn lists_that_revoke_the_same_under_one_number_are_the_same_whatever_their_signatures() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    let homes = Homes::new(&["ben", "carl"]);
    copy(&homes, "a", "old");
    ok_at(&homes, "-1d", "a", &["certs", "revoke", "carl"]);
    fs::copy(certs(&homes, "a").crl(), certs(&homes, "ben").crl()).unwrap();
    copy(&homes, "old", "a");
    ok_at(&homes, "-1d", "a", &["certs", "revoke", "carl"]);
    let list = |name| fs::read(certs(&homes, name).crl()).unwrap();
    assert_ne!(list("a"), list("ben"));
    assert_eq!(number(&homes, "a"), number(&homes, "ben"));
    let ben = homes.serve("ben", &[]);
    let told = homes.ok("a", &["doctor", "--listen", "127.0.0.1:0", &ben.to()]);
    assert!(told.contains("as ours"), "{told}");
    assert_ne!(list("a"), list("ben"));
}

/// A member whose list lacks nothing brings a serving circle's machine what it has forgotten.
#[test]
fn a_serving_circles_machine_merges_what_a_member_brings() {
    let homes = contradicting(|homes, who| {
        homes.ok("a", &["certs", "revoke", who]);
    });
    let a = homes.serve("a", &[]);
    assert!(!is_out(&homes, "erin", &a), "it has forgotten her");
    homes.ok("ben", &["peers", "add", &a.to()]);
    for who in ["carl", "erin"] {
        wait_for(who, || is_out(&homes, who, &a));
    }
    wait_for("there is one list", || lists(&homes, "a") == 1);
    wait_for("it is told", || homes.log("a").contains("one list of all"));
    homes.ok("ben", &["peers", "check", &a.to()]);
    assert_eq!(
        fs::read(certs(&homes, "ben").crl()).unwrap(),
        fs::read(certs(&homes, "a").crl()).unwrap()
    );
}
