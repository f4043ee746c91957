//! Addresses and names as people have and type them: of earlier networks, twice, in capitals.

use std::{
    fs,
    io::{ErrorKind, Read as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use testkit::Homes;

/// A place that takes connections and never says a word, as if it swallowed what is sent to it.
struct Hole {
    address: SocketAddr,
    came: Receiver<TcpStream>,
}

impl Hole {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, came) = channel();
        thread::spawn(move || {
            listener
                .incoming()
                .map_while(Result::ok)
                .for_each(|stream| drop(sender.send(stream)));
        });
        Self { address, came }
    }
}

/// Whether the other side has not given up this connection yet.
fn is_open(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Says where `home` believes that the peer `name` is.
fn set_addresses(homes: &Homes, home: &str, name: &str, addresses: &[SocketAddr]) {
    let path = homes.home(home).join("certs/peers.json");
    let mut book: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    book["peers"][name]["addresses"] = addresses.into();
    fs::write(&path, serde_json::to_vec(&book).unwrap()).unwrap();
}

/// The second was come to while somebody still waited at the first.
#[track_caller]
fn side_by_side(first: &Hole, second: &Hole) {
    let waiting = first.came.recv().unwrap();
    let _second = second.came.recv().unwrap();
    assert!(is_open(&waiting), "one after the other");
}

#[test]
fn an_address_that_swallows_everything_does_not_hold_the_next_one_up() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("a", &["peers", "add", &b.to()]);
    for args in [
        &["send", "f", "--to", "b"][..],
        &["list", "b"],
        &["receive", "--from", "b", "--all"],
        &["peers", "check", "b"],
    ] {
        let (first, second) = (Hole::new(), Hole::new());
        set_addresses(
            &homes,
            "a",
            "b",
            &[first.address, second.address, b.address],
        );
        thread::scope(|scope| {
            let ran = scope.spawn(|| homes.run("a", args));
            side_by_side(&first, &second);
            let ran = ran.join().unwrap();
            assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        });
    }
}

#[test]
fn recipients_are_met_side_by_side() {
    let homes = Homes::new(&["b", "c", "d"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), "x").unwrap();
    for name in ["c", "d"] {
        let other = homes.serve(name, &[]);
        homes.ok("a", &["peers", "add", &other.to()]);
    }
    homes.ok("a", &["peers", "add", &b.to()]);
    let (first, second) = (Hole::new(), Hole::new());
    set_addresses(&homes, "a", "c", &[first.address]);
    set_addresses(&homes, "a", "d", &[second.address]);
    thread::scope(|scope| {
        let ran = scope.spawn(|| homes.run("a", &["send", "f", "--to", "c,d,b"]));
        side_by_side(&first, &second);
        let ran = ran.join().unwrap();
        assert_eq!(ran.code, 10, "{}", ran.err);
    });
}

#[test]
fn a_recipient_is_taken_once_however_it_is_typed() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), "x").unwrap();
    let to = b.to();
    homes.ok("a", &["peers", "add", &to]);
    let same = [
        "b,b",
        "b, b",
        " B ",
        "B,b",
        &format!("b,{to}"),
        &format!("{to}, b"),
    ];
    for (number, to) in same.into_iter().enumerate() {
        homes.ok("a", &["send", "f", "--to", to]);
        homes.ok("a", &["send", "f", "--to", "b", "--via", to]);
        homes.ok("a", &["share", "f", "--to", to]);
        homes.ok("a", &["list", to.split(',').next().unwrap()]);
        homes.ok("a", &["receive", "--from", to, "--all"]);
        if !to.contains(':') {
            let out = format!("sealed{number}");
            homes.ok("a", &["seal", "f", "--to", to, "--out", &out]);
        }
        let shared = homes.ok("a", &["--json", "share", "f", "--to", "c"]);
        let shared: serde_json::Value =
            serde_json::from_str(shared.lines().last().unwrap()).unwrap();
        homes.ok("a", &["grant", shared["id"].as_str().unwrap(), "--to", to]);
    }
    let ran = homes.run("a", &["send", "f", "--to", "b:19443"]);
    assert_eq!(ran.code, 8, "{}", ran.err);
    assert!(
        ran.err.contains("b is a known peer: leave out the port"),
        "{}",
        ran.err
    );
}

#[test]
fn every_address_that_was_tried_is_named() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    let mut tried = Vec::new();
    for _ in 0..2 {
        let serving = homes.serve("a", &[]);
        homes.ok("b", &["send", "f", "--to", &serving.to()]);
        tried.push(serving.to());
    }
    let said = homes.fails("b", &["send", "f", "--to", "a"], 8);
    for address in tried {
        assert!(said.contains(&address), "{address}: {said}");
    }
}
