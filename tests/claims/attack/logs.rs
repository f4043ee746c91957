//! What a transfer that fails leaves in logs: that it failed and of what kind, and none of its names.

use std::fs;

use colis::{id::FileDigest, manifest::table::write_line};

use crate::bad_input::parcel::{Parcel, Plain};
use testkit::site::Site;
use testkit::wait_for;

/// In every name and path here.
const CANARY: &str = "canary-51be02";

/// Transfers that cannot be opened, for different reasons.
fn broken() -> Vec<Plain> {
    let name = |before: &str| format!("{before}{CANARY}.txt");
    let mut wrong_sum = Plain::files(&[&name("")]);
    wrong_sum.sums.clear();
    write_line(&FileDigest::of(b"other"), &mut wrong_sum.sums);
    let leaves = Plain::files(&[&name("../")]);
    let twice = Plain::files(&[&name(""), &name("")]);
    let homeless = Plain::files(&[&name("no-folder/")]);
    let mut beneath = Plain::files(&[CANARY]);
    beneath.add(&format!("{CANARY}/{CANARY}"), b"x");
    let mut not_a_table = Plain::files(&[&name("")]);
    not_a_table.table.splice(..1, *b"[");
    vec![wrong_sum, leaves, twice, homeless, beneath, not_a_table]
}

#[test]
fn a_transfer_that_fails_leaves_no_name_in_a_log() {
    let site = Site::with(&["-v"]);
    let (a, b) = (site.identity("a"), site.identity("b"));
    let transfers = broken();
    let count = transfers.len();
    for plain in transfers {
        Parcel::seal(&b, &a, plain).send(&site, &b);
    }
    wait_for("refusals", || site.serving.said().len() == count);
    let told = site.serving.said();
    assert!(
        told.iter().all(|said| said["state"] == "refused"),
        "{told:?}"
    );
    let log = site.homes.log("a");
    assert_eq!(log.matches("not opened").count(), count, "{log}");
    let files = fs::read_dir(site.homes.home("a").join("logs")).unwrap();
    let kept = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    for log in kept.chain([log]) {
        assert!(!log.contains(CANARY), "{log}");
    }
}
