//! The other side is gone without a word: what it held is free again within a minute.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::is_long;
use testkit::{Homes, Serving, around, bytes, wait_for};

/// A network of its own, so that it can be switched off.
const IN_A_NETWORK: [&str; 4] = ["-n", "sh", "-c", "ip link set lo up && exec \"$@\""];

#[test]
fn what_a_vanished_peer_held_is_free_within_a_minute() {
    let can = Command::new("unshare").args(["-n", "ip", "link"]).output();
    let has_curl = Command::new("curl").arg("--version").output();
    if !can.is_ok_and(|ran| ran.status.success()) || has_curl.is_err() {
        eprintln!("not tried: it takes root, unshare, ip and curl");
        return;
    }
    let homes = Homes::new(&[]);
    let mut outer = Command::new("unshare");
    outer.args(IN_A_NETWORK).arg("sh");
    let serve = homes.command("a", &["--json", "serve", "--listen", "127.0.0.1:0"]);
    let serving = homes.serve_by("a", around(outer, &serve));
    let connections = || connections(&serving);
    let mut callers = callers(&homes, &serving);
    let mut listening = Vec::new();
    for caller in &mut callers {
        // Its first answer: it is through the handshake. curl may keep what it prints, but not what it tells of itself.
        let mut told = BufReader::new(caller.stderr.take().unwrap()).lines();
        let answer = told.find(|line| {
            line.as_ref()
                .is_ok_and(|line| line.starts_with("< HTTP/1.1 "))
        });
        assert!(answer.is_some(), "no answer");
        listening.push(told);
    }
    // The last, for a peer waits only so long for a handshake.
    callers.push(spawn(silent(&serving)));
    wait_for("all are connected", || connections() == callers.len());

    let off = inside(&serving, "ip")
        .args(["link", "set", "lo", "down"])
        .status();
    assert!(off.unwrap().success());
    let vanished = Instant::now();
    assert_eq!(connections(), callers.len(), "some were gone before");
    for caller in &mut callers {
        caller.kill().unwrap();
        caller.wait().unwrap();
    }
    // The last are the streams of events: a quarter of a minute until something is sent, half a minute until it counts as lost.
    let patience = Duration::from_secs(60);
    let mut left = connections();
    while left > 0 && vanished.elapsed() < patience {
        std::thread::sleep(Duration::from_millis(100));
        left = connections();
    }
    let took = vanished.elapsed();
    eprintln!("{} connections were free after {took:?}", callers.len());
    assert_eq!(left, 0, "still open after {took:?}");
}

/// Who will vanish behind its handshake: one in a body, and with time two that wait for events.
fn callers(homes: &Homes, serving: &Serving) -> Vec<Child> {
    let url = format!("https://{}", serving.address);
    let body = homes.path("body.bin");
    let content = bytes(1, 1 << 20);
    fs::write(&body, &content).unwrap();
    let id = colis::id::ChunkId::of(&content);
    let certs = homes.home("a").join("certs");
    let mut slow = curl(serving, &certs);
    slow.args(["--limit-rate", "20K", "-T"]).arg(body);
    slow.arg(format!("{url}/v1/chunks/{id}"));
    let mut all = vec![slow];
    for _ in 0..if is_long() { 2 } else { 0 } {
        let mut events = curl(serving, &certs);
        events.arg(format!("{url}/v1/events"));
        all.push(events);
    }
    all.into_iter().map(spawn).collect()
}

/// Somebody who connects and never says a word.
fn silent(serving: &Serving) -> Command {
    let mut silent = inside(serving, "bash");
    let port = serving.address.port();
    silent.args([
        "-c",
        &format!("exec 3<>/dev/tcp/127.0.0.1/{port}; read <&3"),
    ]);
    silent
}

fn spawn(mut command: Command) -> Child {
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn curl(serving: &Serving, certs: &Path) -> Command {
    let mut curl = inside(serving, "curl");
    curl.args(["-svN", "-H", "Expect: 100-continue", "--cacert"])
        .arg(certs.join("ca-cert.pem"));
    curl.arg("--cert").arg(certs.join("client-cert.pem"));
    curl.arg("--key").arg(certs.join("client-key.pem"));
    curl
}

/// `program` in the network of the peer.
fn inside(serving: &Serving, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    let process = serving.id().to_string();
    command.args(["-t", &process, "-n", program]);
    command.stdin(Stdio::piped());
    command
}

/// How many connections the peer holds: those of its port that belong to a descriptor. The kernel lists others too, which nobody holds any more: they have no inode.
///
/// Its descriptors are not counted: it opens files and folders for a moment too, and who counts just then waits for one too many.
fn connections(serving: &Serving) -> usize {
    const LISTENING: &str = "0A";
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", serving.id())).unwrap();
    let port = format!(":{:04X}", serving.address.port());
    let held = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[1].ends_with(&port) && fields[3] != LISTENING && fields[9] != "0"
    };
    table.lines().skip(1).filter(held).count()
}
