//! A machine whose circle has no other member joins another without ceremony, and keeps its own until it has joined.

use std::{fs, path::Path};

use testkit::{Homes, tree};

use super::{Inviting, join};

fn server_key(certs: &Path) -> Vec<u8> {
    fs::read(certs.join("server-key.pem")).unwrap()
}

#[test]
fn two_machines_that_both_made_a_circle_come_together_by_pairing() {
    let homes = Homes::new(&[]);
    homes.ok("b", &["certs", "init", "--name", "b"]);
    homes.ok("b", &["share", "/etc/hostname"]);
    let certs = homes.home("b").join("certs");
    let (before, key) = (tree(&certs), server_key(&certs));
    let mut inviting = Inviting::start(&homes, &[]);
    // Nothing is left for a code that is wrong, or a machine that is not there.
    let refused = join(&homes, "b", &inviting.to(), &inviting.wrong_code());
    assert_eq!(refused.code, 4, "{}", refused.err);
    join(&homes, "b", "127.0.0.1:9", &inviting.code);
    assert_eq!(tree(&certs), before);
    assert!(!homes.home("b").join("left").exists());
    inviting.hears("wrong-code");
    // Nor while it is served.
    let mut serving = homes.serve("b", &[]);
    let refused = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(refused.code, 9, "{}", refused.err);
    assert!(refused.err.contains("colis stop"), "{}", refused.err);
    homes.ok("b", &["stop"]);
    serving.end();
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    assert!(joined.err.contains("its keys are in"), "{}", joined.err);
    inviting.hears("paired");
    let left = fs::read_dir(homes.home("b").join("left")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 1);
    assert_eq!(server_key(&left[0]), key);
    assert_ne!(server_key(&certs), key);
    assert!(!certs.join("ca-key.pem").exists());
    // The store is the one that it was, and is known to be.
    let id = |certs: &Path| fs::read(certs.join("store-id")).unwrap();
    assert_eq!(id(&certs), id(&left[0]));
    let a = homes.serve("a", &[]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("b", &["send", "f.txt", "--to", &a.to(), "--wait"]);
}

#[test]
fn a_circle_with_another_member_is_not_left_by_pairing() {
    let homes = Homes::new(&[]);
    homes.ok("b", &["certs", "init", "--name", "b"]);
    homes.ok("b", &["certs", "issue", "x", "--out", "x/certs"]);
    let inviting = Inviting::start(&homes, &[]);
    let refused = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("colis certs leave"), "{}", refused.err);
    // A record that is gone does not say that nobody is there.
    homes.ok("b", &["certs", "revoke", "x"]);
    let record = homes.home("b").join("certs/issued.jsonl");
    let kept = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    assert_eq!(join(&homes, "b", &inviting.to(), &inviting.code).code, 3);
    fs::write(&record, kept).unwrap();
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
}
