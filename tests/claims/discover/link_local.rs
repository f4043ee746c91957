//! Two machines on one cable that nobody gives addresses to: they have link-local IPv6 addresses only, each with its zone.

use std::fs;

use super::{
    at, id_of,
    pairing::{invite_at, join, join_with},
    remembered, seen_as,
};
use testkit::{
    Homes, Ran,
    net::{LEFT, Net, RIGHT},
    wait_for,
};

/// Sends a file of `home` on the left to `to`, which must open it.
fn send(net: &Net, homes: &Homes, name: &str, to: &str, discovery: bool) -> Ran {
    fs::write(homes.path(name), name).unwrap();
    let args = ["send", name, "--to", to, "--wait"];
    let sent = net.run_with(homes, "a", LEFT, &args, discovery);
    assert_eq!(sent.code, 0, "{to}: {}", sent.err);
    let received = fs::read(homes.home("b").join("received").join(name)).unwrap();
    assert_eq!(received, name.as_bytes());
    sent
}

#[test]
fn a_zone_is_taken_wherever_an_address_is() {
    let Some(net) = Net::link_local() else { return };
    let homes = Homes::new(&["b"]);
    for listen in ["[fe80::2%v]:9443", "[fe80::2%2]:9443", "[::]:9443", ":9443"] {
        let args = ["--json", "serve"];
        let mut command = net.command(&homes, "b", RIGHT, &args, false);
        command.env("COLIS_LISTEN", listen);
        let _b = homes.serve_by("b", command);
        // Its own commands reach it, too.
        let listed = net.run_with(&homes, "b", RIGHT, &["list"], false);
        assert_eq!(listed.code, 0, "{listen}: {}", listed.err);
        let name = format!("to-{}", listen.replace(['[', ']', ':', '%'], "-"));
        send(&net, &homes, &name, "[fe80::2%v]:9443", false);
    }
    let b = net.serve_at(&homes, "b", RIGHT, false, "fe80::2%v");
    assert_eq!(b.address.port(), 8443);
    send(&net, &homes, "port", "fe80::2%v", false);
    let added = net.run_with(&homes, "a", LEFT, &["peers", "add", "[fe80::2%v]"], false);
    assert_eq!(added.code, 0, "{}", added.err);
    assert_eq!(
        remembered(&homes, "a", "b"),
        ["[fe80::2%v]:8443", "[fe80::2%v]:9443"]
    );
    send(&net, &homes, "name", "b", false);
    let doctor = net.run_with(&homes, "a", LEFT, &["doctor", "b"], false);
    assert!(doctor.out.contains("round-trip"), "{}", doctor.out);

    for (to, code, said) in [
        ("fe80::2", 2, "needs its network interface"),
        ("[fe80::2]:8443", 2, "needs its network interface"),
        (
            "[fe80::2%w]:8443",
            8,
            "no network interface w (it has lo, v)",
        ),
        ("[::1%v]:8443", 2, "only a link-local address"),
    ] {
        let sent = net.run_with(&homes, "a", LEFT, &["send", "name", "--to", to], false);
        assert_eq!(sent.code, code, "{to}: {}", sent.err);
        assert!(sent.err.contains(said), "{to}: {}", sent.err);
    }
}

#[test]
fn a_peer_with_link_local_addresses_only_is_found() {
    let Some(net) = Net::link_local() else { return };
    let homes = Homes::new(&["b"]);
    let id = id_of(&homes, "b");
    let b = net.serve_at(&homes, "b", RIGHT, true, "[::]:0");
    let there = format!("[fe80::2%v]:{}", b.address.port());
    let seen = || net.run(&homes, "a", LEFT, &["--json", "peers", "--seen"]);
    let mut ran = seen();
    wait_for("b is seen", || {
        let is_seen = seen_as(&ran, &id).is_some();
        if !is_seen {
            ran = seen();
        }
        is_seen
    });
    let seen = seen_as(&ran, &id).unwrap();
    assert_eq!(seen["addresses"], serde_json::json!([there]), "{seen}");

    // Known from a place where it is no more: its id finds it.
    let added = net.run(&homes, "a", LEFT, &["peers", "add", &there]);
    assert_eq!(added.code, 0, "{}", added.err);
    drop(b);
    let b = net.serve_at(&homes, "b", RIGHT, true, "[::]:0");
    let now = format!("[fe80::2%v]:{}", b.address.port());
    let sent = send(&net, &homes, "found", "b", true);
    assert!(
        sent.err.contains(&format!("b is at {now} now; remembered")),
        "{}",
        sent.err
    );
    assert_eq!(remembered(&homes, "a", "b"), [now, there]);
}

#[test]
fn two_new_machines_pair_over_a_cable() {
    let Some(net) = Net::link_local() else { return };
    for by_name in [true, false] {
        let homes = Homes::new(&[]);
        let anna = invite_at(&net, &homes, "anna", LEFT, by_name, "[::]:8443");
        assert_eq!(anna.said["hosts"], serde_json::json!(["fe80::1%INTERFACE"]));
        let code = anna.code().to_owned();
        let joined = match by_name {
            true => join(&net, &homes, "ben", "anna", &code),
            false => join_with(&net, &homes, "ben", "fe80::1%v", &code, false),
        };
        assert_eq!(joined.code, 0, "{}", joined.err);
        anna.ends_well();
        assert_eq!(remembered(&homes, "ben", "anna"), ["[fe80::1%v]:8443"]);
        assert_eq!(remembered(&homes, "anna", "ben"), ["[fe80::2%v]:8443"]);
    }
}

#[test]
fn where_there_is_ipv6_only_everything_works() {
    let Some(net) = Net::link_local() else { return };
    let homes = Homes::new(&["b"]);
    let demo = net.run_with(&homes, "a", LEFT, &["demo", "--size", "8MiB"], false);
    assert_eq!(demo.code, 0, "{}", demo.err);
    let b = net.serve_at(&homes, "b", LEFT, false, "localhost:0");
    assert_eq!(b.address, at("::1", &b));
    send(&net, &homes, "local", &b.to(), false);
}

#[test]
fn by_default_a_peer_serves_both_families() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let _b = homes.serve_by(
        "b",
        net.command(&homes, "b", LEFT, &["--json", "serve"], false),
    );
    for (number, to) in ["10.77.0.1", "127.0.0.1", "[::1]", "localhost"]
        .into_iter()
        .enumerate()
    {
        send(
            &net,
            &homes,
            &number.to_string(),
            &format!("{to}:8443"),
            false,
        );
    }
    let listed = net.run_with(&homes, "b", LEFT, &["list"], false);
    assert_eq!(listed.code, 0, "{}", listed.err);
}
