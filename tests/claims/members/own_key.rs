//! The own key opens the own peer: whoever stands at the machine ends and empties a peer whose certificate does not count any
//! more, and from elsewhere that key opens nothing.

use std::{fs, process::Command};

use testkit::{
    Homes, Ran, has,
    net::{LEFT, Net, RIGHT},
    wait_for,
};

use super::{
    certs,
    ends::{ran_in_days, serve_in_days},
};

/// What the owner of a peer asks of it, the end of it last.
const OWNERS: [&[&str]; 5] = [&["inbox"], &["list"], &["gc"], &["status"], &["stop"]];

/// The circle's newest list, brought to `home` as a file.
fn bring_list(homes: &Homes, home: &str) {
    fs::copy(certs(homes, "a").crl(), certs(homes, home).crl()).unwrap();
}

fn stop_and_leave(homes: &Homes, run: impl Fn(&[&str]) -> Ran) {
    for args in OWNERS {
        let ran = run(args);
        // Whoever looks is told that something needs care, and sees what is there all the same.
        let is_done = ran.code == 0 || (args == ["status"] && ran.code == 11);
        assert!(is_done, "{args:?}: {} {}", ran.code, ran.err);
    }
    let ran = run(&["certs", "leave", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(homes.home("b").join("left").exists());
}

#[test]
fn whose_certificate_has_ended_ends_and_empties_the_own_peer() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&["b"]);
    let days = 365 + 100;
    let _b = serve_in_days(&homes, days, "b");
    stop_and_leave(&homes, |args| ran_in_days(&homes, days, "b", args));
}

#[test]
fn who_is_revoked_ends_and_empties_the_own_peer() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["certs", "revoke", "b"]);
    bring_list(&homes, "b");
    wait_for("b knows it", || {
        homes.run("a", &["list", &b.to()]).code == 4
    });
    stop_and_leave(&homes, |args| homes.run("b", args));
}

/// A key that was lost is revoked so that it opens nothing, also not the peer that it was for.
#[test]
fn from_another_machine_a_revoked_key_does_not_open_its_own_peer() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let b = net.serve(&homes, "b", LEFT, false);
    let port = b.to().rsplit_once(':').unwrap().1.to_owned();
    let dir = certs(&homes, "b");
    let ask = |side, host: &str| {
        let mut curl: Command = net.inside(side, "curl");
        curl.args(["-sS", "--insecure", "--max-time", "20", "--cert"]);
        curl.arg(dir.server_cert())
            .arg("--key")
            .arg(dir.server_key());
        curl.arg(format!("https://{host}:{port}/v1/manifests"));
        Ran::from(curl.output().unwrap())
    };
    let ways = [
        (LEFT, "127.0.0.1"),
        (LEFT, "10.77.0.1"),
        (RIGHT, "10.77.0.1"),
    ];
    for (side, host) in ways {
        assert_eq!(ask(side, host).code, 0, "a member: {side} {host}");
    }
    homes.ok("a", &["certs", "revoke", "b"]);
    bring_list(&homes, "b");
    wait_for("the list counts", || ask(RIGHT, "10.77.0.1").code != 0);
    for (side, host) in ways {
        let ran = ask(side, host);
        assert_eq!(ran.code == 0, side == LEFT, "{side} {host}: {}", ran.err);
    }
}
