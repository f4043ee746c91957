//! The own address book wins over the directory.

use std::fs;

use colis::{
    tls::ca::{self, CertificateOptions},
    trust::{AddressBook, Role},
};
use testkit::Homes;

use super::{CircleKey, certs, handle, joins, member, number, peer_id, served};

#[test]
fn who_was_forgotten_does_not_come_back_by_the_directory() {
    let (homes, _a) = served();
    let (_b, _c) = (joins(&homes, "b"), joins(&homes, "c"));
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", "c"]);
    homes.ok("b", &["peers", "forget", "c"]);
    homes.ok("b", &["peers", "check", "a"]);
    let is_listed = || {
        homes
            .ok("b", &["peers"])
            .lines()
            .any(|l| l.starts_with("c  "))
    };
    assert!(!is_listed());
    let said = homes.fails("b", &["send", "f", "--to", "c"], 6);
    assert!(said.contains("c was forgotten here"), "{said}");
    assert!(
        said.contains("hint: to know it again: colis peers add c"),
        "{said}"
    );
    homes.ok("b", &["peers", "add", "c"]);
    assert!(is_listed());
    homes.ok("b", &["send", "f", "--to", "c"]);
    // One that was never met can be forgotten as well.
    homes.ok("c", &["peers", "forget", "b"]);
    homes.fails("c", &["send", "f", "--to", "b"], 6);
}

#[test]
fn no_peer_is_called_as_a_member_that_only_the_directory_knows() {
    let (homes, _a) = served();
    let (_b, _c) = (joins(&homes, "b"), joins(&homes, "c"));
    homes.ok("b", &["peers", "check", "a"]);
    let said = homes.run("b", &["peers", "rename", "a", "c"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("c is"), "{}", said.err);
    // Nor as one that was forgotten.
    homes.ok("b", &["peers", "forget", "c"]);
    assert_ne!(homes.run("b", &["peers", "rename", "a", "c"]).code, 0);
    homes.ok("b", &["peers", "rename", "a", "anna"]);
}

#[test]
fn a_peer_is_meant_by_the_beginning_of_its_id_and_nobody_forgets_itself() {
    let (homes, _a) = served();
    let (_b, _c) = (joins(&homes, "b"), joins(&homes, "c"));
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["peers", "check", "a"]);
    let c = peer_id(&homes, "c").to_string();
    let short = &c[..8];
    homes.ok("b", &["send", "f", "--to", short, "--dry-run"]);
    homes.ok("b", &["send", "f", "--to", short, "--wait"]);
    assert!(homes.home("c").join("received/f").exists());
    homes.ok("b", &["peers", "check", &c]);
    fs::write(homes.path("g"), "x").unwrap();
    homes.ok("c", &["share", "g", "--to", "b"]);
    homes.ok("b", &["receive", "--from", short, "--all"]);
    homes.ok("b", &["peers", "rename", short, "carl"]);
    homes.ok("b", &["peers", "check", "carl"]);
    // Fewer digits may be a name.
    homes.fails("b", &["peers", "check", &c[..7]], 6);
    let own = peer_id(&homes, "b").to_string();
    for own in ["b", &own] {
        let said = homes.fails("b", &["peers", "forget", own], 2);
        assert!(said.contains("colis certs leave"), "{said}");
    }
}

#[test]
fn an_alias_keeps_its_meaning_and_a_block_stays() {
    let (homes, _a) = served();
    let _b = joins(&homes, "b");
    homes.ok("b", &["peers", "rename", "a", "c"]);
    let _c = joins(&homes, "c");
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", "c", "--wait"]);
    assert!(
        homes.home("a").join("received/f").exists(),
        "a is called c at b"
    );
    homes.ok("b", &["peers", "rename", "c", "a"]);
    homes.ok("b", &["peers", "check", "a"]);
    // Roles go by the key, also of one that only the directory has.
    homes.ok("b", &["peers", "block", "c"]);
    let roles = AddressBook::new(certs(&homes, "b").peers())
        .roles()
        .unwrap();
    assert_eq!(roles[&peer_id(&homes, "c")].role, Some(Role::None));
    let said = homes.fails("c", &["list", "b"], 4);
    assert!(!said.contains("panicked"), "{said}");
}

/// c was revoked, and another machine has joined under its name.
#[test]
fn a_name_moves_from_a_revoked_key_is_said_and_takes_nothing_along() {
    let (homes, a) = served();
    let (_b, mut first) = (joins(&homes, "b"), joins(&homes, "c"));
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", "c"]);
    homes.ok("b", &["peers", "role", "c", "reader"]);
    let config = fs::read_to_string(homes.home("b").join("colis.toml")).unwrap();
    let rule = format!("{config}\n[peers.c]\ninbox = \"off\"\n");
    fs::write(homes.home("b").join("colis.toml"), rule).unwrap();
    let old = peer_id(&homes, "c");
    first.kill();
    homes.ok("a", &["certs", "revoke", "c"]);
    fs::rename(homes.home("c"), homes.home("former")).unwrap();
    let _c = joins(&homes, "c");
    let ran = homes.run("b", &["send", "f", "--to", "c", "--wait"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("the name c belongs to peer "),
        "{}",
        ran.err
    );
    assert!(homes.home("c").join("received/f").exists());
    let book = AddressBook::new(certs(&homes, "b").peers());
    let known = book.by_name("c").unwrap().unwrap();
    assert_eq!(
        (known.peer_id, known.moved),
        (peer_id(&homes, "c"), Some(old))
    );
    assert_ne!(known.peer_id, old);
    assert!(!book.roles().unwrap().contains_key(&known.peer_id));
    let status = homes.run("b", &["status"]);
    let said = status.out + &status.err;
    assert!(
        said.contains("[peers.c] in colis.toml does not count"),
        "{said}"
    );
    homes.ok("b", &["peers", "add", "c"]);
    assert_eq!(book.by_name("c").unwrap().unwrap().moved, None);
    drop(a);
}

/// A circle's machine that has lost its record gives the name of a live member to another key.
#[test]
fn a_name_of_a_live_member_does_not_move() {
    let homes = Homes::new(&["b", "c"]);
    let c = homes.serve("c", &[]);
    homes.ok("b", &["peers", "add", &c.to()]);
    let dir = certs(&homes, "a");
    let record = fs::read_to_string(dir.issued()).unwrap();
    let lines = record
        .lines()
        .filter(|line| !line.contains("\"name\":\"c\""));
    fs::write(
        dir.issued(),
        lines.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    homes.ok("a", &["peers", "forget", "c"]);
    let other = certs(&homes, "other");
    ca::issue(&dir, "c", &other, &CertificateOptions::default()).unwrap();
    let members = vec![member(&certs(&homes, "a"), &[]), member(&other, &[])];
    let signed = CircleKey::of(&homes).signs(number(&homes, "a") + 1_000_000, members);
    fs::write(certs(&homes, "b").directory(), signed.envelope()).unwrap();
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", "c", "--wait"]);
    assert!(homes.home("c").join("received/f").exists());
    let book = AddressBook::new(certs(&homes, "b").peers());
    assert_eq!(
        book.by_name("c").unwrap().unwrap().peer_id,
        peer_id(&homes, "c")
    );
    let listed = homes.ok("b", &["peers"]);
    assert_eq!(
        listed
            .lines()
            .filter(|line| line.starts_with("c  "))
            .count(),
        1,
        "{listed}"
    );
    let taken = colis::tls::take_in_directory(&certs(&homes, "b"), &handle(&homes, "b"));
    assert_eq!(taken.unwrap(), []);
}
