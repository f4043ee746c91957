//! The way to a peer: name, route, port, TLS; and what is said of a peer that answers.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use colis::tls::Circle;
use socket2::{Domain, Socket, Type};

use super::{
    certs, doctor,
    fake::{Fake, Reply, answer, plain, says},
};
use testkit::{Homes, stretched};

const WELL: &str = r#"{"status":"ok","version":"0.1.0"}"#;

/// The steps from `first` on are skipped.
fn skipped_from(said: &super::Said, first: &str) {
    let steps = [
        "name",
        "route",
        "their-port",
        "tls",
        "their-certificate",
        "our-certificate",
        "answer",
        "their-clock",
        "their-revocation",
        "round-trip",
    ];
    let at = steps.iter().position(|step| *step == first).unwrap();
    for step in &steps[at..] {
        assert_eq!(said.verdict(step), "skip", "{step}:\n{}", said.text);
    }
    for step in &steps[..at] {
        assert_ne!(said.verdict(step), "skip", "{step}:\n{}", said.text);
    }
}

#[test]
fn a_peer_that_is_well_passes_every_step() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let said = doctor(&homes, "a", &[&b.to()]);
    said.ends(0, &[])
        .says("name", "ok", &b.to(), None)
        .says("route", "ok", "from 127.0.0.1 in ", None)
        .says("their-port", "ok", "takes connections", None)
        .says("tls", "ok", "TLS 1.3, X25519MLKEM768", None)
        .says("their-certificate", "ok", "b, peer ", None)
        .says("our-certificate", "ok", "accepted", None)
        .says("answer", "ok", "colis 0.1.0, well, ", None)
        .says("their-clock", "ok", "within a minute", None)
        .says("their-revocation", "ok", ", as ours", None)
        .says("round-trip", "ok", "s", None);
    homes.ok("a", &["peers", "add", &b.to()]);
    doctor(&homes, "a", &["b"])
        .ends(0, &[])
        .says("name", "ok", &format!("known at {}", b.to()), None)
        .says("their-certificate", "ok", "known, of our circle, ", None);
}

#[test]
fn a_name_that_nobody_knows_ends_there() {
    let homes = Homes::new(&["b"]);
    let said = doctor(&homes, "a", &["nobody.invalid:8443"]);
    said.ends(8, &["name"]).says(
        "name",
        "fail",
        "nobody.invalid:8443 (no peer that we know)",
        Some("colis peers"),
    );
    skipped_from_name(&said);
    let said = doctor(&homes, "a", &["b"]);
    said.ends(8, &["name"]).says(
        "name",
        "fail",
        "no address of it",
        Some("colis peers add HOST:PORT"),
    );
    let said = doctor(&homes, "a", &["https://b"]);
    said.ends(2, &["name"])
        .says("name", "fail", "it is a URL", Some("colis peers"));
}

fn skipped_from_name(said: &super::Said) {
    assert_eq!(said.verdict("route"), "skip");
    assert_eq!(said.verdict("round-trip"), "skip");
}

#[test]
fn another_address_is_tried_when_somebody_else_is_at_the_first() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &[]);
    let first = b.to();
    homes.ok("a", &["peers", "add", &first]);
    b.kill();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut b = homes.serve_on("b", &second, &[]);
    homes.ok("a", &["peers", "add", &second]);
    doctor(&homes, "a", &["b"])
        .ends(0, &[])
        .says("route", "ok", &format!("; {first}: "), None);
    b.kill();
    let _elsewhere = TcpListener::bind(&second).unwrap();
    let _b = homes.serve_on("b", &first, &[]);
    doctor(&homes, "a", &["b"])
        .ends(0, &[])
        .says("route", "ok", &format!("{second} from "), None)
        .says(
            "their-port",
            "ok",
            &format!("{first} takes connections"),
            None,
        );
}

#[test]
fn a_port_where_nobody_listens_is_no_failure_of_the_route() {
    let homes = Homes::new(&[]);
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let said = doctor(&homes, "a", &[&free]);
    said.ends(8, &["their-port"])
        .says("route", "ok", "127.0.0.1 answers", None)
        .says(
            "their-port",
            "fail",
            &format!("nobody listens on {free}"),
            Some("start `colis serve` there"),
        );
    skipped_from(&said, "tls");
}

#[test]
fn a_network_without_a_way_there_is_said() {
    let homes = Homes::new(&[]);
    // TCP to a group of machines has no route, on any network.
    let said = doctor(&homes, "a", &["224.0.0.1:8443"]);
    said.ends(8, &["route"]).says(
        "route",
        "fail",
        "no route to 224.0.0.1:8443",
        Some("ip route"),
    );
    skipped_from(&said, "their-port");
}

#[test]
fn a_machine_that_drops_what_comes_is_taken_for_a_firewall() {
    let homes = Homes::new(&[]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Its queue is full, so the system drops every further attempt, as a firewall does.
    let mut queued = Vec::new();
    while let Ok(tcp) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        queued.push(tcp);
    }
    let said = doctor(&homes, "a", &[&address.to_string()]);
    said.ends(8, &["route"]).says(
        "route",
        "fail",
        &format!("no answer from {address} within 4 s"),
        Some(&format!("ufw allow {}/tcp", address.port())),
    );
    skipped_from(&said, "their-port");
}

#[test]
fn something_else_on_the_port_is_shown_as_it_answers() {
    let homes = Homes::new(&[]);
    for (answers, shown) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "else than TLS: HTTP/1.1 400 Bad Request",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            "else than TLS: SSH-2.0-OpenSSH_9.2",
        ),
        (
            b"\x1b[31mowned\xe2\x80\xae\xff\r\n",
            "\\u{1b}[31mowned\\u{202e}",
        ),
    ] {
        let said = doctor(&homes, "a", &[&says(answers)]);
        said.ends(8, &["their-port"])
            .says("route", "ok", "from 127.0.0.1", None)
            .says(
                "their-port",
                "fail",
                shown,
                Some("another program has that port"),
            );
        skipped_from(&said, "tls");
        assert!(!said.text.contains('\u{1b}') && !said.text.contains('\u{202e}'));
    }
}

#[test]
fn a_port_that_is_silent_or_hangs_up_fails_at_tls() {
    let homes = Homes::new(&[]);
    let silent = plain(std::mem::forget);
    let said = doctor(&homes, "a", &[&silent]);
    said.ends(8, &["tls"])
        .says("their-port", "ok", "takes connections", None)
        .says("tls", "fail", "says nothing", Some("restart it"));
    skipped_from(&said, "their-certificate");
    let said = doctor(&homes, "a", &[&says(b"")]);
    said.ends(8, &["tls"]).says(
        "tls",
        "fail",
        "closed the connection",
        Some("is it a colis peer?"),
    );
}

#[test]
fn a_peer_that_never_answers_is_given_up_in_time() {
    let homes = Homes::new(&["b"]);
    let slow = |bytes| Reply::Trickle(Duration::from_millis(200), bytes);
    let trickles = Fake::start(&certs(&homes, "b"), move |_| {
        slow(answer("200 OK", "application/json", "", WELL))
    });
    let silent = Fake::start(&certs(&homes, "b"), |_| Reply::Never);
    let start = Instant::now();
    let asked = thread::scope(|scope| {
        let asking =
            [&silent, &trickles].map(|fake| scope.spawn(|| doctor(&homes, "a", &[&fake.to()])));
        asking.map(|asking| asking.join().unwrap())
    });
    let took = start.elapsed();
    assert!(took < stretched(Duration::from_secs(15)), "{took:?}");
    for said in asked {
        said.ends(8, &["answer"])
            .says("tls", "ok", "TLS 1.3", None)
            .says("our-certificate", "ok", "not refused", None)
            .says("answer", "fail", "", Some("restart it there"));
        skipped_from(&said, "their-clock");
    }
}

/// A peer that is well but for its clock.
fn with_clock(homes: &Homes, ahead: time::Duration) -> Fake {
    Fake::start(&certs(homes, "b"), move |path| match path {
        "/v1/health" => Reply::dated(WELL, time::OffsetDateTime::now_utc() + ahead),
        _ => Reply::nothing(),
    })
}

#[test]
fn a_clock_that_differs_is_told_and_one_that_breaks_certificates_fails() {
    let homes = Homes::new(&["b"]);
    let hint = Some("timedatectl set-ntp true");
    doctor(
        &homes,
        "a",
        &[&with_clock(&homes, time::Duration::seconds(20)).to()],
    )
    .ends(0, &[])
    .says("their-clock", "ok", "within a minute of ours", None);
    doctor(
        &homes,
        "a",
        &[&with_clock(&homes, time::Duration::minutes(10)).to()],
    )
    .ends(0, &[])
    .says("their-clock", "warn", "ahead of ours", hint);
    doctor(
        &homes,
        "a",
        &[&with_clock(&homes, -time::Duration::minutes(3)).to()],
    )
    .ends(0, &[])
    .says("their-clock", "warn", "behind ours", hint);
    for ahead in [time::Duration::days(400), -time::Duration::hours(1)] {
        doctor(&homes, "a", &[&with_clock(&homes, ahead).to()])
            .ends(4, &["their-clock"])
            .says(
                "their-clock",
                "fail",
                "by it our certificate does not count",
                hint,
            );
    }
}

#[test]
fn a_peer_without_a_clock_or_a_list_is_no_failure() {
    let homes = Homes::new(&["b"]);
    let fake = Fake::start(&certs(&homes, "b"), |path| match path {
        "/v1/health" => Reply::json(WELL),
        _ => Reply::nothing(),
    });
    doctor(&homes, "a", &[&fake.to()])
        .ends(0, &[])
        .says("their-clock", "skip", "no Date", None)
        .says(
            "their-revocation",
            "warn",
            "it has no list",
            Some("colis peers check"),
        );
}

#[test]
fn a_peer_that_cannot_write_is_said() {
    let homes = Homes::new(&["b"]);
    let fake = Fake::start(&certs(&homes, "b"), |path| match path {
        "/v1/health" => Reply::json("{\"status\":\"read-only\",\"version\":\"9\\u001b[2J\"}"),
        _ => Reply::nothing(),
    });
    let said = doctor(&homes, "a", &[&fake.to()]);
    said.ends(7, &["answer"]).says(
        "answer",
        "fail",
        "cannot write any more",
        Some("the disk of that machine"),
    );
    assert!(
        said.text.contains("colis 9\\u{1b}[2J, ours is "),
        "{}",
        said.text
    );
}

#[test]
fn a_peer_whose_disk_is_full_is_told() {
    let homes = Homes::new(&["b"]);
    let setting = homes.home("b").join("colis.toml");
    std::fs::write(setting, "reserve = \"9000TiB\"\n").unwrap();
    let b = homes.serve("b", &[]);
    doctor(&homes, "a", &[&b.to()]).ends(0, &[]).says(
        "answer",
        "warn",
        "nothing more can be stored there",
        Some("free some space on that machine"),
    );
}

#[test]
fn a_slow_peer_is_told() {
    let homes = Homes::new(&["b"]);
    let fake = Fake::start(&certs(&homes, "b"), |path| match path {
        "/v1/health" => {
            let body = answer("200 OK", "application/json", "", WELL);
            Reply::After(Duration::from_millis(350), body)
        }
        _ => Reply::nothing(),
    });
    doctor(&homes, "a", &[&fake.to()]).ends(0, &[]).says(
        "round-trip",
        "warn",
        "",
        Some("the network is slow"),
    );
}

#[test]
fn a_newer_or_older_revocation_list_is_told() {
    let homes = Homes::new(&["b", "x"]);
    let a = homes.serve("a", &[]);
    let b = homes.serve("b", &[]);
    let number = |name: &str| Circle::load(&certs(&homes, name)).unwrap().crl_number();
    homes.ok("a", &["certs", "revoke", "x"]);
    let (first, second) = (number("b"), number("a"));
    doctor(&homes, "a", &[&b.to()]).ends(0, &[]).says(
        "their-revocation",
        "warn",
        &format!("its list {first} is older than ours ({second})"),
        Some("on that machine"),
    );
    let newer = || doctor(&homes, "b", &[&a.to()]);
    testkit::wait_for("a serves its new list", || {
        newer().verdict("their-revocation") == "warn"
    });
    newer().ends(0, &[]).says(
        "their-revocation",
        "warn",
        &format!("its list {second} is newer than ours ({first})"),
        Some("take it over"),
    );
    homes.ok("b", &["peers", "check", &a.to()]);
    let same = format!("list {second}, as ours");
    newer().says("their-revocation", "ok", &same, None);
}

#[test]
fn a_forged_revocation_list_is_refused() {
    let (homes, other) = (Homes::new(&["b"]), Homes::new(&[]));
    let forged = std::fs::read_to_string(certs(&other, "a").crl()).unwrap();
    let fake = Fake::start(&certs(&homes, "b"), move |path| match path {
        "/v1/health" => Reply::json(WELL),
        _ => Reply::Now(answer("200 OK", "application/x-pem-file", "", &forged)),
    });
    doctor(&homes, "a", &[&fake.to()])
        .ends(4, &["their-revocation"])
        .says(
            "their-revocation",
            "fail",
            "not signed by our circle",
            Some("damaged or forged"),
        );
}
