//! A name that a person types is a name of the address book, and nobody else's.

use std::{fs, net::SocketAddr, process::Command};

use socket2::{Domain, Socket, Type};
use testkit::{Homes, Ran, around};

/// Every command that takes a peer, with `carl` as that peer.
const COMMANDS: [&[&str]; 14] = [
    &["send", "f", "--to", "carl"],
    &["send", "f", "--to", "b,carl", "--via", "127.0.0.1:1"],
    &["send", "f", "--to", "b", "--via", "carl"],
    &["send", "f", "--to", "carl", "--dry-run"],
    &["share", "f", "--to", "carl"],
    &["seal", "f", "--to", "carl", "--out", "out"],
    &["grant", "ID", "--to", "carl"],
    &["grant", "ID", "--to", "b", "--at", "carl"],
    &["receive", "--from", "carl", "--all"],
    &["list", "carl"],
    &["check", "carl", "ID"],
    &["peers", "check", "carl"],
    &["certs", "renew", "--from", "carl"],
    &["doctor", "carl"],
];

#[test]
fn a_name_that_is_not_known_is_no_host_in_any_command() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), "x").unwrap();
    let shared = homes.ok("b", &["--json", "share", "f"]);
    let shared: serde_json::Value = serde_json::from_str(shared.lines().last().unwrap()).unwrap();
    let id = shared["id"].as_str().unwrap();
    for args in COMMANDS.map(|args| args.iter().map(|arg| arg.replace("ID", id))) {
        let args: Vec<_> = args.collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let args = args.as_slice();
        let ran = homes.run("b", args);
        assert_eq!(ran.code, 6, "{args:?}: {}{}", ran.out, ran.err);
        let said = format!("{}{}", ran.out, ran.err);
        for says in [
            "no peer is called carl",
            "colis peers add HOST",
            "carl:8443",
        ] {
            assert!(said.contains(says), "{args:?}: {said}");
        }
    }
    let ran = homes.run("b", &["list", "localhost"]);
    assert_eq!(ran.code, 8, "an address as before: {}", ran.err);
    let ran = homes.run("b", &["peers", "add", "no-such-host"]);
    assert_eq!(ran.code, 8, "an address as before: {}", ran.err);
}

/// Runs the rest of its arguments where `carl` is a host, at which the home `$2` of the program `$1` serves.
const AT_CARL: &str = r#"
echo '127.0.0.1 carl' > hosts && mount --bind hosts /etc/hosts && ip link set lo up || exit 99
mkfifo said || exit 99
"$1" --home "$2" --json serve --listen 127.0.0.1:8443 > said &
serving=$!
exec 3< said && read -r line <&3
shift 2
"$@"
code=$?
kill $serving
exit $code
"#;

#[test]
fn a_member_at_a_host_of_that_name_gets_nothing() {
    let can = Command::new("unshare")
        .args(["-rmn", "ip", "link"])
        .output();
    if !can.is_ok_and(|ran| ran.status.success()) {
        return eprintln!("not tried: it takes unshare, mount and ip");
    }
    let homes = Homes::new(&["b", "mallory"]);
    fs::write(homes.path("salaries.txt"), "x").unwrap();
    let run = |args: &[&str]| {
        let mut inside = Command::new("unshare");
        inside.args(["-rmn", "sh", "-c", AT_CARL, "sh"]);
        inside.arg(testkit::program()).arg(homes.home("mallory"));
        let _ = fs::remove_file(homes.path("said"));
        Ran::from(around(inside, &homes.command("b", args)).output().unwrap())
    };
    let ran = run(&["send", "salaries.txt", "--to", "carl"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    // What it has from the start says whose folder that is.
    let received = testkit::tree(&homes.home("mallory").join("received"));
    let received = received
        .iter()
        .filter(|entry| !entry.contains(".colis-received"));
    assert_eq!(
        received.filter(|entry| entry.starts_with("file ")).count(),
        0,
        "{}",
        ran.err
    );
    // The host is there: an address is one.
    let ran = run(&["send", "salaries.txt", "--to", "carl:8443", "--wait"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("carl:8443 is mallory"), "{}", ran.err);
}

/// A port that no other process takes, and where nobody listens.
fn held(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

#[test]
fn another_machine_at_an_address_of_a_known_peer_is_named() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), "x").unwrap();
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut b = homes.serve("b", &[]);
        homes.ok("a", &["peers", "add", &b.to()]);
        places.push(b.address);
        b.kill();
    }
    for (other, empty) in [(1, 0), (0, 1)] {
        let _silent = held(places[empty]);
        let _c = homes.serve_on("c", &places[other].to_string(), &[]);
        for args in [
            &["send", "f", "--to", "b"][..],
            &["list", "b"],
            &["receive", "--from", "b", "--all"],
            &["peers", "check", "b"],
        ] {
            let said = homes.fails("a", args, 4);
            assert!(
                said.contains("(called c) answered instead of peer"),
                "{said}"
            );
        }
    }
}

/// Whoever was only refused is in no address book and has sent nothing: the log alone shows it.
#[test]
fn a_caller_that_was_refused_is_blocked_by_its_name_or_the_digits_that_the_log_shows() {
    let homes = Homes::new(&["b", "c", "d"]);
    homes.ok("b", &["config", "set", "default_role", "reader"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "x").unwrap();
    for name in ["c", "d"] {
        homes.fails(name, &["send", "f", "--to", &b.to()], 4);
    }
    let id = colis::tls::Identity::load(&super::certs(&homes, "c")).unwrap();
    let id = colis::manifest::Signer::peer_id(&id).to_string();
    assert!(!homes.ok("b", &["peers", "--json"]).contains(&id));
    for shown in ["c", &id[..8], &id] {
        let said = homes.ok("b", &["--json", "peers", "block", shown]);
        let said: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(said["peer_id"], id, "{shown}");
        homes.ok("b", &["peers", "role", shown, "reader"]);
    }
    homes.fails("b", &["peers", "block", "e"], 6);
}

#[test]
fn a_peer_is_blocked_by_what_lists_and_the_log_show_of_it() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("c", &["send", "f", "--to", &b.to()]);
    let listed = homes.ok("b", &["--json", "list"]);
    let listed: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    let id = listed["sender"].as_str().unwrap();
    for shown in [&id[..8], "c"] {
        let said = homes.ok("b", &["--json", "peers", "block", shown]);
        let said: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(said["peer_id"], id, "{shown}");
        homes.ok("b", &["peers", "role", shown, "member"]);
    }
    assert!(
        homes
            .fails("b", &["peers", "block", "0000"], 6)
            .contains("0000")
    );
}
