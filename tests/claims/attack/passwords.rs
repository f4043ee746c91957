//! What a hostile store gets from somebody who tries a password on what it says that it has.

use std::fs;

use colis::{
    crypto::password::Password,
    manifest::{Signer as _, Wrap, WrapScope},
    tls::Identity,
};
use serde_json::Value;
use testkit::{Homes, site::Site};

use crate::bad_input::parcel::{Parcel, Plain};

const RIGHT: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";
/// Tries that are made on what was not named.
const TRIES: usize = 4;

/// `a` serves a pile of transfers of `b`, each for a password; the last one for the right one.
struct Pile {
    site: Site,
    ids: Vec<String>,
}

impl Pile {
    fn new(count: usize) -> Self {
        let site = Site::of(Homes::new(&["b", "c"]), &["--inbox", "off"]);
        let b = site.identity("b");
        let ids = (1..=count).map(|n| {
            let password = if n == count { RIGHT } else { WRONG };
            locked(&b, &format!("{n}.txt"), password)
                .send(&site, &b)
                .to_string()
        });
        let ids = ids.collect();
        for (name, word) in [("right", RIGHT), ("unknown", "another horse battery")] {
            fs::write(site.homes.path(name), word).unwrap();
        }
        Self { site, ids }
    }

    fn receive(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let to = self.site.serving.to();
        let args = [&["--json", "receive", "--from", &to], args].concat();
        let ran = self.site.homes.run("c", &args);
        assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
        let objects = ran.out.lines().chain(ran.err.lines());
        objects
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

/// A transfer of `b` that a password opens, and nobody's key but its own.
fn locked(b: &Identity, name: &str, password: &str) -> Parcel {
    let mut parcel = Parcel::seal(b, b, Plain::files(&[name]));
    let manifest = &mut parcel.manifest;
    let scope = WrapScope {
        key_id: manifest.key_id,
        transfer_id: manifest.transfer_id,
        sender: b.peer_id(),
    };
    manifest.wraps.truncate(1);
    let wrap = Wrap::to_password(&parcel.key, scope, &Password::new(password));
    manifest.wraps.push(wrap.unwrap());
    parcel
}

fn count(objects: &[Value], event: &str) -> usize {
    objects.iter().filter(|o| o["event"] == event).count()
}

#[test]
fn a_password_is_tried_on_a_few_transfers_that_were_not_named() {
    let pile = Pile::new(3 * TRIES);
    let said = pile.receive(4, &["--all", "--password-file", "unknown"]);
    let (missed, locked) = (count(&said, "missed"), count(&said, "locked"));
    assert_eq!((missed, locked), (TRIES, 2 * TRIES), "{said:?}");
    // Those that are named are tried, as many as they are.
    let ids: Vec<_> = pile.ids.iter().map(String::as_str).collect();
    let named = [&ids[..], &["--password-file", "right"]].concat();
    let said = pile.receive(10, &named);
    assert_eq!(count(&said, "received"), 1, "{said:?}");
    assert_eq!(count(&said, "missed"), 3 * TRIES - 1, "{said:?}");
}

/// A name of a file is found by opening tables: the store would see which of them the password opens.
#[test]
fn no_password_is_tried_at_a_peer_to_find_a_name() {
    let pile = Pile::new(1);
    let homes = &pile.site.homes;
    pile.receive(6, &["1.txt", "--password-file", "right"]);
    pile.receive(0, &[&pile.ids[0], "--password-file", "right"]);
    assert!(homes.home("c").join("received/1.txt").exists());
    // In the own store nobody looks on.
    homes.ok("a", &["receive", "1.txt", "--password-file", "right"]);
    assert!(homes.home("a").join("received/1.txt").exists());
}
