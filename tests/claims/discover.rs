//! Peers find each other in a network: two namespaces with a cable between them, real processes, real packets.
//!
//! It takes root, `unshare`, `nsenter`, `ip`, and for what lies or listens `python3` and `tcpdump`.

mod flood;
mod link_local;
mod others;
mod pairing;

use std::{fs, net::SocketAddr};

use serde_json::Value;

use testkit::{
    Homes, Ran, Serving,
    net::{LEFT, Net, RIGHT, can},
    wait_for,
};

/// The id of a peer, as it says itself.
fn id_of(homes: &Homes, home: &str) -> String {
    let status: Value = serde_json::from_str(&homes.ok(home, &["--json", "status"])).unwrap();
    status["peer_id"].as_str().unwrap().to_owned()
}

/// What `--json` printed, of one kind.
fn objects(ran: &Ran, event: &str) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    let objects = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    objects
        .filter(|object: &Value| object["event"] == event)
        .collect()
}

/// Who is seen, and how.
fn seen_as(ran: &Ran, id: &str) -> Option<Value> {
    let mut seen = objects(ran, "seen").into_iter();
    seen.find(|seen| seen["peer_id"] == id)
}

/// The addresses that `home` remembers of `name`.
fn remembered(homes: &Homes, home: &str, name: &str) -> Vec<String> {
    let ran = homes.run(home, &["--json", "peers"]);
    let peers = objects(&ran, "peer");
    let peer = peers.iter().find(|peer| peer["name"] == name).unwrap();
    serde_json::from_value(peer["addresses"].clone()).unwrap()
}

/// Every sealed chunk and manifest that a home stores.
fn stored(homes: &Homes, home: &str) -> Vec<String> {
    let mut tree = testkit::tree(&homes.home(home).join("chunks"));
    tree.retain(|entry| entry.starts_with("file data/") || entry.starts_with("file manifests/"));
    tree
}

fn at(ip: &str, serving: &Serving) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), serving.address.port())
}

#[test]
fn peers_see_each_other_and_say_who_is_known_and_who_answers() {
    let Some(net) = Net::new() else { return };
    // b knows a by its circle, and no address; c joined later; the other circle has an a too.
    let (homes, others) = (Homes::new(&["b", "c"]), Homes::new(&[]));
    let ids =
        [(&homes, "a"), (&homes, "c"), (&others, "a")].map(|(homes, home)| id_of(homes, home));
    let mut a = net.serve(&homes, "a", LEFT, true);
    let c = net.serve(&homes, "c", LEFT, true);
    let foreign = net.serve(&others, "a", LEFT, true);
    let seen = || net.run(&homes, "b", RIGHT, &["--json", "peers", "--seen"]);
    let mut ran = seen();
    wait_for("all are seen", || {
        let is_all = ids.iter().all(|id| seen_as(&ran, id).is_some());
        if !is_all {
            ran = seen();
        }
        is_all
    });
    let [a_at, c_at, foreign_at] =
        [&a, &c, &foreign].map(|serving| at("10.77.0.1", serving).to_string());
    let known = seen_as(&ran, &ids[0]).unwrap();
    assert_eq!(
        (&known["known"], &known["reachable"]),
        (&true.into(), &a_at.clone().into())
    );
    // a, which was met, has said by the directory that c is a member.
    let ran = seen();
    let new = seen_as(&ran, &ids[1]).unwrap();
    assert_eq!(
        (&new["known"], &new["reachable"]),
        (&true.into(), &c_at.clone().into())
    );
    assert_eq!(new["addresses"], serde_json::json!([c_at]), "{new}");
    // Who is forgotten is as one that joined elsewhere.
    let forgot = net.run(&homes, "b", RIGHT, &["peers", "forget", "c"]);
    assert_eq!(forgot.code, 0, "{}", forgot.err);

    // The same for a person, with what to do; and that works.
    let ran = net.run(&homes, "b", RIGHT, &["peers", "--seen"]);
    let [_, c_id, foreign_id] = ids.each_ref().map(|id| &id[..8]);
    for line in [
        format!("  reachable at {a_at}\n"),
        format!("c  {c_id}  {c_at}  not known: colis peers add {c_at}\n"),
        format!("a  {foreign_id}  {foreign_at}  not the a that is known here\n"),
    ] {
        assert!(ran.out.contains(&line), "{} {line}", ran.out);
    }
    let added = net.run(&homes, "b", RIGHT, &["peers", "add", &c_at]);
    assert_eq!(added.code, 0, "{}", added.err);

    // A machine that has joined nothing yet is told how to.
    let ran = net.run(&others, "new", RIGHT, &["peers", "--seen"]);
    assert!(
        ran.out.contains("not known: colis pair 10.77.0.1\n"),
        "{}",
        ran.out
    );

    // Gone without a goodbye: what is remembered is tried, and it is said why it does not answer.
    a.kill();
    let gone = seen_as(&seen(), &ids[0]).unwrap();
    assert_eq!(
        (&gone["known"], &gone["reachable"]),
        (&true.into(), &Value::Null)
    );
    assert!(gone["reason"].as_str().unwrap().contains(&a_at), "{gone}");
}

#[test]
fn a_peer_whose_address_changed_is_found_again_by_its_id() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let mut b = net.serve(&homes, "b", RIGHT, true);
    let before = at("10.77.0.2", &b).to_string();
    let added = net.run(&homes, "a", LEFT, &["peers", "add", &before]);
    assert_eq!(added.code, 0, "{}", added.err);
    b.kill();
    net.move_right("10.77.0.3");
    let b = net.serve(&homes, "b", RIGHT, true);
    fs::write(homes.path("file"), "found again").unwrap();
    let sent = net.run(&homes, "a", LEFT, &["send", "file", "--to", "b", "--wait"]);
    assert_eq!(sent.code, 0, "{}", sent.err);
    let now = at("10.77.0.3", &b).to_string();
    assert!(
        sent.err
            .contains(&format!("b is at {now} now; remembered\n")),
        "{}",
        sent.err
    );
    assert_eq!(remembered(&homes, "a", "b"), [now, before]);
    let received = fs::read(homes.home("b").join("received/file")).unwrap();
    assert_eq!(received, b"found again");
}

#[test]
fn who_lies_about_being_a_peer_gets_a_handshake_and_nothing_else() {
    let Some(net) = Net::new() else { return };
    if !can("python3", "--version") {
        return;
    }
    // b is away; a stranger and a member of the circle each say that they are b.
    let (homes, others) = (Homes::new(&["b", "c"]), Homes::new(&[]));
    let id = id_of(&homes, "b");
    let mut b = net.serve(&homes, "b", RIGHT, false);
    let before = at("10.77.0.2", &b).to_string();
    let added = net.run(&homes, "a", LEFT, &["peers", "add", &before]);
    assert_eq!(added.code, 0, "{}", added.err);
    b.kill();
    let stranger = net.serve(&others, "a", RIGHT, false);
    let member = net.serve(&homes, "c", RIGHT, false);
    let liars = [stranger.address.port(), member.address.port()];
    let _lying = liars.map(|port| net.lie("_colis._tcp.local", &id, "b", port));
    fs::write(homes.path("file"), "not for you").unwrap();
    let sent = net.run(&homes, "a", LEFT, &["send", "file", "--to", "b"]);
    assert_eq!(sent.code, 8, "{} {}", sent.out, sent.err);
    for port in liars {
        let said = format!("10.77.0.2:{port} says that it is b, and is not: ");
        assert!(sent.err.contains(&said), "{}", sent.err);
    }
    assert_eq!(remembered(&homes, "a", "b"), [before], "{}", sent.err);
    assert!(stored(&homes, "c").is_empty() && stored(&others, "a").is_empty());
    let opened = homes.home("c").join("received/file");
    assert!(!opened.exists());

    // That c would have taken it shows that only who it is kept it away.
    let c = at("10.77.0.2", &member).to_string();
    let sent = net.run(&homes, "a", LEFT, &["send", "file", "--to", &c, "--wait"]);
    assert_eq!(sent.code, 0, "{}", sent.err);
    assert_eq!(fs::read(&opened).unwrap(), b"not for you");
}

#[test]
fn a_peer_that_refuses_us_at_another_address_is_no_impostor() {
    let Some(net) = Net::new() else { return };
    let homes = Homes::new(&["b"]);
    let mut b = net.serve(&homes, "b", RIGHT, false);
    let before = at("10.77.0.2", &b).to_string();
    let added = net.run(&homes, "a", LEFT, &["peers", "add", &before]);
    assert_eq!(added.code, 0, "{}", added.err);
    b.kill();
    homes.ok("b", &["peers", "block", "a"]);
    let b = net.serve(&homes, "b", RIGHT, true);
    let ran = net.run(&homes, "a", LEFT, &["peers", "check", "b"]);
    assert_ne!(ran.code, 0);
    let said = format!("b announces itself at 10.77.0.2:{}: ", b.address.port());
    assert!(ran.err.contains(&said), "{}", ran.err);
    assert!(!ran.err.contains("and is not"), "{}", ran.err);
}

#[test]
fn switched_off_or_on_the_loopback_not_a_packet_is_sent() {
    let Some(net) = Net::new() else { return };
    if !can("tcpdump", "--version") {
        return;
    }
    let homes = Homes::new(&["b", "c"]);
    let [from_right, from_left] = ["in", "out"].map(|way| net.packets(way, &[]));
    let mut a = net.serve(&homes, "a", LEFT, false);
    let a_at = at("10.77.0.1", &a).to_string();
    let quiet = |args: &[&str]| net.run_with(&homes, "b", RIGHT, args, false);
    let _off = net.serve(&homes, "b", RIGHT, false);
    let mut alone = net.serve_at(&homes, "c", RIGHT, true, "127.0.0.1:0");
    assert_eq!(quiet(&["peers", "add", &a_at]).code, 0);
    a.kill();
    fs::write(homes.path("file"), "x").unwrap();
    assert_eq!(quiet(&["send", "file", "--to", "a"]).code, 8);
    let refused = quiet(&["peers", "--seen"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    let hint = "colis config set discovery true";
    assert!(refused.err.contains(hint), "{}", refused.err);

    // Whoever starts now has announced itself later than those would have.
    let before = from_left.lock().unwrap().len();
    let _on = net.serve(&homes, "a", LEFT, true);
    wait_for("an announcement", || {
        let heard = from_left.lock().unwrap();
        heard[before..].iter().any(|line| line.contains(" 0*- "))
    });
    let heard = from_right.lock().unwrap().clone();
    assert!(heard.is_empty(), "{heard:?}");

    // That ear is a good one too.
    alone.kill();
    let _told = net.serve(&homes, "c", RIGHT, true);
    wait_for("it is heard", || !from_right.lock().unwrap().is_empty());
}
