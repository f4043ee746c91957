//! Members that were restored, and homes that are served twice.

use std::fs;

use colis::{manifest::Timestamp, store::LocalStore};
use testkit::{Homes, wait_for};

use super::{copy, is_out};
use crate::members::{
    kept::{YEAR, begun, member},
    lists::restless,
};

/// As a backup from before its certificate was renewed.
#[test]
fn a_member_that_was_restored_from_before_its_renewal_is_reached() {
    let homes = Homes::new(&["c"]);
    member(&homes, "sb", &begun(200, YEAR));
    let a = homes.serve("a", &[]);
    homes.ok("sb", &["list"]);
    copy(&homes, "sb", "old");
    homes.ok("sb", &["certs", "renew", "--from", &a.to()]);
    let mut sb = homes.serve("sb", &[]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    homes.ok("c", &["send", "f.txt", "--to", &sb.to(), "--wait"]);
    sb.kill();
    copy(&homes, "old", "sb");
    let sb = homes.serve("sb", &[]);
    fs::write(homes.path("g.txt"), "y").unwrap();
    homes.ok("c", &["send", "g.txt", "--to", &sb.to(), "--wait"]);
    let said = sb.said();
    let said = format!("{said:?}{}", homes.run("sb", &["status"]).err);
    assert!(said.contains("this home is a copy"), "{said}");
}

/// Its copy does not know of a revocation; a member that it knows does.
#[test]
fn a_restored_member_asks_before_it_answers_anybody() {
    let homes = Homes::new(&["ben", "carl", "erin"]);
    let carl = homes.serve("carl", &[]);
    homes.ok("ben", &["peers", "add", &carl.to()]);
    homes.ok("a", &["certs", "revoke", "erin"]);
    homes.ok("a", &["peers", "add", &carl.to()]);
    let mut ben = homes.serve("ben", &[]);
    assert!(
        is_out(&homes, "erin", &ben),
        "the first answer is a refusal"
    );
    ben.kill();
    drop(carl);
    let _ben = homes.serve("ben", &[]);
    wait_for("it says that nobody answers", || {
        homes
            .log("ben")
            .contains("none of the known peers has answered")
    });
}

fn told(homes: &Homes, name: &str) -> bool {
    let said = homes.run(name, &["status"]);
    let doctor = homes.run(name, &["doctor"]);
    said.err.contains("serves a copy of this home")
        && doctor.out.contains("serves a copy of this home")
}

/// One peer id, two machines, and one who meets both.
#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_served_twice_is_noticed_by_both() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    copy(&homes, "b", "twin");
    let first = homes.serve("b", &[]);
    let begun = Timestamp::now().unix_seconds();
    wait_for("the next second", || {
        Timestamp::now().unix_seconds() > begun
    });
    let twin = homes.serve("twin", &[]);
    homes.ok("a", &["peers", "check", &twin.to()]);
    let said = homes.fails("a", &["peers", "check", &first.to()], 4);
    assert!(said.contains("serve copies of its home"), "{said}");
    drop((first, twin));
    // Both go on, and ask a all the time.
    let address =
        |name: &str| LocalStore::serving_address(&homes.home(name).join("chunks")).unwrap();
    let (_stop_twin, _twin) = restless(&homes, "twin");
    let begun = Timestamp::now().unix_seconds();
    wait_for("the next second", || {
        Timestamp::now().unix_seconds() > begun
    });
    let (_stop, _first) = restless(&homes, "b");
    // a meets them in turn, whichever was heard of last.
    for name in ["b", "twin"] {
        wait_for(name, || {
            homes.run("a", &["peers", "add", &address(name)]).code == 0
        });
    }
    for name in ["twin", "b"] {
        wait_for(name, || {
            let _ = homes.run("a", &["peers", "add", &address(name)]);
            told(&homes, name)
        });
    }
}
