//! What members exchange when they meet, with one that is slow about it.

use std::{
    fs,
    time::{Duration, Instant},
};

use colis::wire::media;
use serde_json::Value;
use testkit::Homes;

use super::{
    hostile::{Hostile, Reply},
    members::curl,
};

/// More than a command may take beside its work, and far less than the patience of a client.
const SOON: Duration = Duration::from_secs(12);

/// A circle with `m`, which says that it has a newer directory and answers `slow` as `reply` says.
fn slow_member(homes: &Homes, slow: &'static str, reply: fn() -> Reply) -> Hostile {
    let mut m = homes.serve("m", &[]);
    homes.ok("a", &["peers", "add", &m.to()]);
    let url = format!("https://localhost:{}/v1/peer", m.address.port());
    let mut body: Value = serde_json::from_str(&curl(homes, "a", &[&url]).out).unwrap();
    body["directory"] = u64::MAX.into();
    let (at, body) = (m.address, body.to_string());
    m.kill();
    Hostile::start(homes, "m", at, move |path| match path {
        "/v1/peer" => Reply::Body(media::JSON, body.clone().into_bytes()),
        path if path == slow => reply(),
        _ => Reply::Nothing,
    })
}

#[test]
fn a_member_that_is_slow_about_lists_holds_up_no_command_and_no_other_recipient() {
    for (slow, reply) in [
        ("/v1/directory", (|| Reply::Silence) as fn() -> Reply),
        ("/v1/directory", || Reply::Trickle),
        ("/v1/crl", || Reply::Silence),
    ] {
        let homes = Homes::new(&["m", "n"]);
        let m = slow_member(&homes, slow, reply);
        let n = homes.serve("n", &[]);
        homes.ok("a", &["peers", "add", &n.to()]);
        fs::write(homes.path("file"), "text").unwrap();
        let began = Instant::now();
        homes.run("a", &["send", "file", "--to", "n,m"]);
        let took = began.elapsed();
        assert!(took < SOON, "{slow}: {took:?}");
        let of_m = m.asked(slow);
        assert_eq!(of_m, 1, "{slow} was asked for again and again");
        homes.ok("a", &["list", "n"]);
        let arrived = homes.ok("a", &["list", "n", "--json"]);
        assert!(
            arrived.contains("\"manifest\"") || arrived.contains("\"id\""),
            "{arrived}"
        );
        // The next contact tries again.
        let began = Instant::now();
        homes.run("a", &["list", "m"]);
        let took = began.elapsed();
        assert!(took < SOON, "{slow}: {took:?}");
        assert_eq!(m.asked(slow), 2, "{slow}");
    }
}
