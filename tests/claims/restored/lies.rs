//! What members say of others is believed as far as it is signed.

use std::fs;

use colis::wire::CertificateText;
use serde_json::{Value, json};
use testkit::Homes;

/// The envelope with another sequence, which nobody has signed.
fn with_sequence(envelope: &str, sequence: u64) -> String {
    let mut envelope: Value = serde_json::from_str(envelope).unwrap();
    let payload: CertificateText = serde_json::from_value(envelope["payload"].clone()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload.0).unwrap();
    let before = payload["sequence"].to_string();
    let text = payload.to_string().replace(&before, &sequence.to_string());
    payload = serde_json::from_str(&text).unwrap();
    assert_eq!(payload["sequence"], sequence);
    envelope["payload"] = json!(CertificateText(text.into_bytes()));
    envelope.to_string()
}

/// A member that answers what its address book says, and writes there what it likes.
fn lie(homes: &Homes) {
    let path = homes.home("mal").join("certs/peers.json");
    let mut book: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let ben = &mut book["peers"]["ben"];
    let bundle = with_sequence(ben["bundle"].as_str().unwrap(), u64::MAX);
    ben["bundle"] = json!(bundle);
    ben["sequence"] = json!(u64::MAX);
    let mut bob = ben.clone();
    bob["name"] = json!("bob");
    book["peers"]["bob"] = bob;
    fs::write(&path, book.to_string()).unwrap();
}

#[test]
fn a_member_that_lies_about_others_is_not_believed() {
    let homes = Homes::new(&["ben", "mal"]);
    let mut ben = homes.serve("ben", &[]);
    homes.ok("mal", &["peers", "add", &ben.to()]);
    lie(&homes);
    let mal = homes.serve("mal", &[]);
    for home in ["a", "ben"] {
        homes.ok(home, &["peers", "add", &mal.to()]);
    }
    // It asks before it answers.
    ben.kill();
    let ben = homes.serve("ben", &[]);
    homes.ok("a", &["peers", "check", &ben.to()]);
    assert!(!homes.home("ben").join("certs/elsewhere.json").exists());
    let said = homes.run("ben", &["status"]);
    assert!(!said.err.contains("serves a copy"), "{}", said.err);
    // Its word that ben is called bob keeps no bob out.
    let out = homes.home("bob").join("certs");
    homes.ok(
        "a",
        &["certs", "issue", "bob", "--out", out.to_str().unwrap()],
    );
}
