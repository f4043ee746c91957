//! The circle's machine, restored, lets others in.

use std::fs;

use colis::tls::{CertsDir, Inspected};
use testkit::Homes;

use super::{Inviting, join};
use crate::restored::copy;

/// Fred joined after the copy was made, and ben has met him.
#[test]
fn a_name_that_a_member_knows_is_not_given_again_after_a_restore() {
    let homes = Homes::new(&["ben"]);
    let ben = homes.serve("ben", &[]);
    homes.ok("a", &["peers", "add", &ben.to()]);
    copy(&homes, "a", "old");
    let inviting = Inviting::by(&homes, "a", &[], "asked");
    assert_eq!(join(&homes, "fred", &inviting.to(), &inviting.code).code, 0);
    homes.ok("fred", &["list", &ben.to()]);
    drop(inviting);
    copy(&homes, "old", "a");

    let mut inviting = Inviting::by(&homes, "a", &[], "asked");
    fs::rename(homes.home("fred"), homes.home("first")).unwrap();
    let ran = join(&homes, "fred", &inviting.to(), &inviting.code);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.err.contains("--name"), "{}", ran.err);
    // It is on no record there: its id is what can be revoked.
    let first = Inspected::peer(&CertsDir::new(homes.home("first").join("certs"))).unwrap();
    let todo = format!("colis certs revoke {}", first.caller.peer_id);
    assert!(ran.err.contains(&todo), "{}", ran.err);
    assert!(!homes.home("fred").join("certs").exists());
    inviting.hears("not-paired");
    // The code still counts, for a name that nobody has.
    let ran = join(&homes, "gus", &inviting.to(), &inviting.code);
    assert_eq!(ran.code, 0, "{ran:?}");
    inviting.hears("paired");
    homes.ok("gus", &["list", &ben.to()]);
    homes.ok("first", &["list", &ben.to()]);
}
