//! Certificates that one side does not accept: at a peer that really serves.

use std::{
    fs,
    process::{Command, Stdio},
};

use super::{DAY, certs, copy, doctor, member_with_dates};
use testkit::{Homes, wait_for};

#[test]
fn a_peer_of_another_circle_is_not_trusted() {
    let (homes, other) = (Homes::new(&[]), Homes::new(&["b"]));
    let b = other.serve("b", &[]);
    doctor(&homes, "a", &[&b.to()])
        .ends(4, &["their-certificate"])
        .says("tls", "ok", "speaks it", None)
        .says(
            "their-certificate",
            "fail",
            "does not come from our circle",
            Some("belongs to another circle"),
        )
        .says("our-certificate", "skip", "not reached", None);
}

#[test]
fn a_peer_of_another_circle_does_not_accept_us() {
    // We trust them; they never heard of us.
    let (homes, other) = (Homes::new(&["b"]), Homes::new(&["c"]));
    let c = other.serve("c", &[]);
    let b = certs(&homes, "b");
    copy(&certs(&other, "a").ca_cert(), &b.ca_cert());
    fs::remove_file(b.crl()).unwrap();
    doctor(&homes, "b", &[&c.to()])
        .ends(4, &["certificate", "files", "our-certificate"])
        .says(
            "our-certificate",
            "fail",
            "refused: it does not come from that peer's circle",
            Some("another circle"),
        );
}

#[test]
fn a_revoked_peer_is_not_trusted() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["certs", "revoke", "b"]);
    doctor(&homes, "a", &[&b.to()])
        .ends(4, &["their-certificate"])
        .says(
            "their-certificate",
            "fail",
            "the certificate of b is revoked",
            Some("needs a new one"),
        );
}

#[test]
fn a_peer_that_has_us_revoked_refuses_us() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("a", &["certs", "revoke", "b"]);
    // Without a call of b, which could be given the list that revokes it.
    wait_for("the list is in force", || {
        homes.log("a").contains("revocations read again")
    });
    doctor(&homes, "b", &[&a.to()])
        .ends(4, &["our-certificate"])
        .says("tls", "ok", "TLS 1.3", None)
        .says("their-certificate", "ok", "a, peer ", None)
        .says(
            "our-certificate",
            "fail",
            "refused: it is revoked",
            Some("colis certs leave"),
        )
        .says("answer", "skip", "not reached", None);
}

#[test]
fn certificates_that_have_ended_are_told_apart() {
    let homes = Homes::new(&["b"]);
    member_with_dates(&homes, "late", -2 * DAY, -DAY);
    member_with_dates(&homes, "early", DAY, 2 * DAY);
    let late = homes.serve("late", &[]);
    doctor(&homes, "b", &[&late.to()])
        .ends(4, &["their-certificate"])
        .says(
            "their-certificate",
            "fail",
            "the certificate of late expired on",
            Some("on that machine"),
        );
    let early = homes.serve("early", &[]);
    doctor(&homes, "b", &[&early.to()])
        .ends(4, &["their-certificate"])
        .says(
            "their-certificate",
            "fail",
            "the certificate of early is valid from",
            Some("timedatectl"),
        );
    let b = homes.serve("b", &[]);
    doctor(&homes, "late", &[&b.to()])
        .ends(4, &["certificate", "our-certificate"])
        .says(
            // It is ours by its key.
            "port",
            "ok",
            "our own peer answers on ",
            None,
        )
        .says(
            "our-certificate",
            "fail",
            "refused: it has expired",
            Some("colis certs renew"),
        );
}

#[test]
fn a_certificate_of_theirs_that_ends_soon_is_told() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "soon", -DAY, 5 * DAY + DAY / 2);
    let soon = homes.serve("soon", &[]);
    doctor(&homes, "a", &[&soon.to()]).ends(0, &[]).says(
        "their-certificate",
        "warn",
        "5 days left",
        Some("renew it on that machine"),
    );
}

#[test]
fn another_peer_at_a_known_address_is_said() {
    let homes = Homes::new(&["b", "c"]);
    let mut b = homes.serve("b", &[]);
    let address = b.to();
    homes.ok("a", &["peers", "add", &address]);
    b.kill();
    let _c = homes.serve_on("c", &address, &[]);
    doctor(&homes, "a", &["b"])
        .ends(4, &["their-certificate"])
        .says(
            "their-certificate",
            "fail",
            "(called c) answered instead of peer",
            Some("colis peers forget NAME"),
        );
}

#[test]
fn a_server_without_our_tls_fails_at_tls() {
    let homes = Homes::new(&["b"]);
    let dir = certs(&homes, "b");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = Command::new("openssl");
    server.args([
        "s_server",
        "-quiet",
        "-tls1_2",
        "-accept",
        &port.to_string(),
        "-cert",
    ]);
    server
        .arg(dir.server_cert())
        .arg("-key")
        .arg(dir.server_key());
    let mut server = server
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = format!("127.0.0.1:{port}");
    wait_for("openssl listens", || {
        std::net::TcpStream::connect(&address).is_ok()
    });
    let said = doctor(&homes, "a", &[&address]);
    server.kill().unwrap();
    server.wait().unwrap();
    said.ends(8, &["tls"]).says(
        "tls",
        "fail",
        "it speaks another version of TLS",
        Some("of a like version"),
    );
}

#[test]
fn without_certificates_of_our_own_the_way_is_looked_at_up_to_tls() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(certs(&homes, "a").crl(), "garbage").unwrap();
    doctor(&homes, "a", &[&b.to()])
        .ends(3, &["revocation"])
        .says("route", "ok", "from 127.0.0.1", None)
        .says("their-port", "ok", "takes connections", None)
        .says("tls", "skip", "our own certificates cannot be used", None)
        .says("answer", "skip", "not reached", None);
}
