//! Pairing by a short code: two programs, real sockets and real terminals, and somebody between them.

mod alone;
mod beforehand;
mod cut;
mod middle;
mod people;
mod program;
mod restored;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use colis::tls::{CertsDir, Inspected};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::{Homes, Ran, bytes, sending, stretched, tree, wait_for};

/// `colis pair` that shows a code, killed when it is dropped.
struct Inviting {
    child: Child,
    out: BufReader<ChildStdout>,
    code: String,
    address: SocketAddr,
}

impl Inviting {
    fn start(homes: &Homes, args: &[&str]) -> Self {
        Self::by(homes, "a", args, "code")
    }

    /// Of a home which says something `first`, and the code at last.
    fn by(homes: &Homes, home: &str, args: &[&str], first: &str) -> Self {
        let mut command = homes.command(home, &["--json", "pair", "--port", "0"]);
        let command = command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut inviting = Self {
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
            code: String::new(),
            address: ([127, 0, 0, 1], 0).into(),
        };
        let mut said = inviting.hears(first);
        if first != "code" {
            said = inviting.hears("code");
        }
        inviting.code = said["code"].as_str().unwrap().to_owned();
        inviting
            .address
            .set_port(said["port"].as_u64().unwrap().try_into().unwrap());
        inviting
    }

    /// The next object, which must be of that event.
    fn hears(&mut self, event: &str) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        assert_eq!(said["event"], event, "{said}");
        said
    }

    /// Waits for the end; gives the exit code.
    fn ends(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }

    fn to(&self) -> String {
        self.address.to_string()
    }

    /// A code that could be right and is not.
    fn wrong_code(&self) -> String {
        let (number, words) = self.code.split_once('-').unwrap();
        let number: u8 = number.parse().unwrap();
        format!("{}-{words}", number % 64 + 1)
    }
}

impl Drop for Inviting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `colis pair HOST` with a code on standard input.
fn join(homes: &Homes, home: &str, to: &str, code: &str) -> Ran {
    let mut command = homes.command(home, &["pair", to, "--name", home]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has refused already reads nothing.
    let _ = writeln!(child.stdin.take().unwrap(), "{code}");
    Ran::from(child.wait_with_output().unwrap())
}

/// What was issued to `name` and counts.
fn live(homes: &Homes, name: &str) -> usize {
    let shown = homes.ok("a", &["--json", "certs", "show"]);
    let shown = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    shown
        .filter(|said| {
            said["event"] == "issued" && said["name"] == name && said["revoked"] == false
        })
        .count()
}

#[test]
fn from_two_empty_homes_to_a_file_in_both_directions() {
    let homes = Homes::new(&[]);
    let port = testkit::person::free_port();
    testkit::person::set(&homes, "a", "listen", &format!("127.0.0.1:{port}"));
    fs::create_dir(homes.home("b")).unwrap();
    let port = testkit::person::free_port();
    testkit::person::set(&homes, "b", "listen", &format!("127.0.0.1:{port}"));
    let serving = homes.serve_on("a", &format!("127.0.0.1:{}", port_of(&homes, "a")), &[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let joined = join(
        &homes,
        "b",
        &inviting.to(),
        &inviting.code.replace('-', " ").to_uppercase(),
    );
    assert_eq!(joined.code, 0, "{}", joined.err);
    let said = inviting.hears("paired");
    assert_eq!((&said["name"], inviting.ends()), (&"b".into(), 0));
    assert_eq!(said["addresses"][0], format!("127.0.0.1:{port}"));
    assert!(
        joined
            .out
            .starts_with(&format!("b  {}  ", &said["peer_id"].as_str().unwrap()[..8]))
    );
    // The private halves are where they were made, and nowhere else.
    let certs = homes.home("b").join("certs");
    assert!(!certs.join("ca-key.pem").exists());
    for name in ["server-key.pem", "client-key.pem", "seal-key.pem"] {
        let key = fs::read_to_string(certs.join(name)).unwrap();
        let body = key.lines().nth(1).unwrap();
        let holds = |path: &str| {
            fs::read_to_string(homes.home("a").join(path))
                .unwrap()
                .contains(body)
        };
        assert!(
            !["certs/issued.jsonl", "certs/peers.json"]
                .into_iter()
                .any(holds),
            "{name}"
        );
    }
    // No address is typed any more.
    let there = homes.serve_on("b", &format!("127.0.0.1:{port}"), &[]);
    for (from, to) in [("a", "b"), ("b", "a")] {
        let name = format!("from-{from}.bin");
        fs::write(homes.path(&name), bytes(7, 100_000)).unwrap();
        homes.ok(from, &sending(&name, to));
        let received = fs::read(homes.home(to).join("received").join(&name)).unwrap();
        assert_eq!(received, bytes(7, 100_000));
    }
    drop((serving, there));
}

#[test]
fn two_commands_a_side_from_nothing_to_the_first_file_in_ten_seconds() {
    let homes = Homes::new(&[]);
    // Not the default port, which another peer of this machine may have.
    let listen = format!("127.0.0.1:{}", testkit::person::free_port());
    fs::create_dir(homes.home("y")).unwrap();
    testkit::person::set(&homes, "y", "listen", &listen);
    fs::write(homes.path("first.bin"), bytes(8, 3 << 20)).unwrap();
    let began = Instant::now();
    let mut inviting = Inviting::by(&homes, "x", &["--name", "x"], "made");
    let joined = join(&homes, "y", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    inviting.hears("paired");
    assert_eq!(inviting.ends(), 0);
    let serving = homes.serve_on("y", &listen, &[]);
    homes.ok("x", &["send", "first.bin", "--to", "y", "--wait"]);
    let took = began.elapsed();
    let received = fs::read(homes.home("y").join("received/first.bin")).unwrap();
    assert_eq!(received, bytes(8, 3 << 20));
    eprintln!("from two empty homes to the first received file: {took:?}");
    assert!(took < stretched(Duration::from_secs(10)), "{took:?}");
    drop(serving);
    // A machine that has joined has no circle to let others into, and a name is given once.
    let joined = homes.fails("y", &["pair"], 3);
    assert!(joined.contains("made the circle"), "{joined}");
    homes.fails("x", &["pair", "--name", "z"], 2);
}

fn port_of(homes: &Homes, home: &str) -> u16 {
    let config = fs::read_to_string(homes.home(home).join("colis.toml")).unwrap();
    let address = config
        .split('"')
        .find_map(|text| text.parse::<SocketAddr>().ok());
    address.unwrap().port()
}

#[test]
fn a_wrong_code_costs_a_try_on_one_side_and_says_so_on_both() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    for left in [2, 1, 0] {
        let refused = join(&homes, "b", &inviting.to(), &inviting.wrong_code());
        assert_eq!(refused.code, 4, "{}", refused.err);
        assert!(
            refused
                .err
                .contains(&format!("wrong code ({left} of its tries left)")),
            "{}",
            refused.err
        );
        assert!(refused.err.contains("hint: "), "{}", refused.err);
        assert_eq!(inviting.hears("wrong-code")["left"], left);
    }
    // The third one burns it, and nobody listens any more.
    let said = inviting.hears("error");
    assert_eq!((said["exit"].as_u64(), inviting.ends()), (Some(4), 4));
    assert!(said["hint"].as_str().unwrap().contains("colis pair"));
    assert!(TcpStream::connect(inviting.address).is_err());
    let late = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(late.code, 8, "{}", late.err);
    assert_eq!(live(&homes, "b"), 0);
    assert!(!homes.home("b").exists());
}

#[test]
fn a_typing_error_costs_nothing_and_a_right_code_counts_after_wrong_ones() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    for typed in [
        "",
        "7-lotus",
        "7-lotus-castro",
        "lotus castor",
        "1234-lotus-castor",
    ] {
        let refused = join(&homes, "b", &inviting.to(), typed);
        assert_eq!(refused.code, 2, "{typed:?}: {}", refused.err);
        assert!(refused.err.contains("nothing was tried"), "{}", refused.err);
    }
    assert!(
        join(&homes, "b", &inviting.to(), "7-lotus-castro")
            .err
            .contains("castor, perhaps?")
    );
    let refused = join(&homes, "b", &inviting.to(), &inviting.wrong_code());
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert_eq!(inviting.hears("wrong-code")["left"], 2);
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    inviting.hears("paired");
    assert_eq!(inviting.ends(), 0);
}

#[test]
fn ctrl_c_ends_a_machine_that_waits_for_a_code_on_a_pipe() {
    let homes = Homes::new(&[]);
    let mut command = homes.command("b", &["pair", "127.0.0.1:9", "--name", "b"]);
    let command = command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // Held open, with nothing in it.
    let _typed = child.stdin.take().unwrap();
    let process = Pid::from_child(&child);
    wait_for("it hears Ctrl-C itself", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & 2 != 0
    });
    let mut ended = None;
    wait_for("its end", || {
        let _ = kill_process(process, Signal::INT);
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(130));
    assert!(!homes.home("b").join("certs").exists());
}

#[test]
fn a_code_expires_and_its_listener_with_it() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &["--life", "1s"]);
    let said = inviting.hears("error");
    assert_eq!((said["exit"].as_u64(), inviting.ends()), (Some(4), 4));
    assert!(
        said["message"]
            .as_str()
            .unwrap()
            .contains("nobody joined in time")
    );
    assert!(TcpStream::connect(inviting.address).is_err());
}

/// A browser that trusts the circle would take its certificate for that host's.
#[test]
fn a_machine_that_joins_gets_no_name_of_a_host() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    for name in ["www.bank.example", "localhost"] {
        let (to, code) = (inviting.to(), ["--code-file", "code.txt"]);
        let args = [&["pair", &to, "--name", name], &code[..]].concat();
        let said = homes.fails("b", &args, 4);
        let free = match name {
            "localhost" => "localhost-2".to_owned(),
            _ => name.replace('.', "-"),
        };
        let hint = format!("hint: {free} is free: --name {free}; the code still counts");
        assert!(said.contains(name) && said.contains(&hint), "{said}");
        assert!(!homes.home("b").join("certs").exists());
        inviting.hears("not-paired");
    }
    assert_eq!(join(&homes, "b", &inviting.to(), &inviting.code).code, 0);
    inviting.hears("paired");
    let names = Inspected::peer(&CertsDir::new(homes.home("b").join("certs")))
        .unwrap()
        .names;
    assert_eq!(names, ["b", "localhost", "127.0.0.1", "::1"]);
}

#[test]
fn what_is_there_is_never_overwritten_and_names_are_given_once() {
    let homes = Homes::new(&["c"]);
    let mut inviting = Inviting::start(&homes, &[]);
    let before = tree(&homes.home("c"));
    let refused = join(&homes, "c", &inviting.to(), &inviting.code);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(
        refused.err.contains("has certificates already") && refused.err.contains("--home"),
        "{}",
        refused.err
    );
    assert_eq!(tree(&homes.home("c")), before);
    // The name of a member is taken; the code still counts for another name.
    let mut command = homes.command("b", &["pair", &inviting.to(), "--name", "c", "--code-file"]);
    fs::write(homes.path("code.txt"), format!("{}\n", inviting.code)).unwrap();
    let refused = Ran::from(command.arg("code.txt").output().unwrap());
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(
        refused.err.contains("was issued and is not revoked"),
        "{}",
        refused.err
    );
    assert!(
        refused
            .err
            .contains("c-2 is free: --name c-2; the code still counts"),
        "{}",
        refused.err
    );
    // If that machine is lost, it is revoked by its id; the circle's own machine is not.
    let c = Inspected::peer(&CertsDir::new(homes.home("c").join("certs"))).unwrap();
    let todo = format!("colis certs revoke {}", c.caller.peer_id);
    assert!(refused.err.contains(&todo), "{}", refused.err);
    assert!(!homes.home("b").join("certs").exists());
    inviting.hears("not-paired");
    let to = inviting.to();
    let own = ["pair", &to, "--name", "a", "--code-file", "code.txt"];
    let own = homes.fails("b", &own, 4);
    assert!(own.contains("a-2 is free"), "{own}");
    assert!(!own.contains("certs revoke"), "{own}");
    inviting.hears("not-paired");
    assert_eq!(join(&homes, "b", &inviting.to(), &inviting.code).code, 0);
    inviting.hears("paired");
    assert_eq!((live(&homes, "c"), live(&homes, "b")), (2, 2));
    // A machine that holds no circle's key can let nobody in.
    let refused = homes.fails("b", &["pair"], 3);
    assert!(
        refused.contains("the circle's key is on another machine"),
        "{refused}"
    );
    // One that is revoked comes back by another pairing, with other keys.
    homes.ok("a", &["certs", "revoke", "b"]);
    fs::remove_dir_all(homes.home("b")).unwrap();
    let again = Inviting::start(&homes, &[]);
    let joined = join(&homes, "b", &again.to(), &again.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
}

/// Somebody who connects and sends one byte now and then keeps nobody out.
#[test]
fn strangers_that_say_nothing_or_nonsense_keep_nobody_out() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let mut silent: Vec<_> = (0..8)
        .map(|_| TcpStream::connect(inviting.address).unwrap())
        .collect();
    for stream in &mut silent {
        stream.write_all(&[22]).unwrap();
    }
    let mut loud = TcpStream::connect(inviting.address).unwrap();
    loud.write_all(&[b'x'; 100_000]).unwrap();
    loud.set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    // It is hung up on, one way or another.
    let mut answer = Vec::new();
    let _ = loud.read_to_end(&mut answer);
    inviting.hears("not-paired");
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    inviting.hears("paired");
}

/// A host that does not know the code must not push what matters off the screen.
#[test]
fn a_flood_without_a_code_is_summed_up() {
    const FLOOD: u64 = 300;
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let begin = Instant::now();
    for _ in 0..FLOOD {
        drop(TcpStream::connect(inviting.address).unwrap());
    }
    let (mut lines, mut more) = (0, 0);
    let joined = join(&homes, "b", &inviting.to(), &inviting.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    let mut out = String::new();
    inviting.out.read_to_string(&mut out).unwrap();
    let most = 3 * (begin.elapsed().as_secs() + 2);
    let said: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for said in said.iter().filter(|said| said["event"] == "not-paired") {
        match said["more"].as_u64() {
            Some(count) => more += count,
            None => lines += 1,
        }
    }
    assert!(lines <= most, "{lines} lines, at most {most}");
    assert!(
        lines + more <= FLOOD && more + most >= FLOOD / 2,
        "{lines} {more}"
    );
    assert_eq!(said.last().unwrap()["event"], "paired");
}

#[test]
fn of_two_machines_that_join_at_once_one_is_told_that_the_code_is_used() {
    let homes = Homes::new(&[]);
    let mut inviting = Inviting::start(&homes, &[]);
    let (homes, to, code) = (&homes, inviting.to(), inviting.code.clone());
    let (to, code) = (&to, &code);
    let ran = std::thread::scope(|scope| {
        let joining = ["b", "c"].map(|home| scope.spawn(move || join(homes, home, to, code)));
        joining.map(|joining| joining.join().unwrap())
    });
    inviting.hears("paired");
    assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1);
    let out = ran.iter().find(|ran| ran.code != 0).unwrap();
    assert!(!out.err.contains("docs.rs"), "{}", out.err);
    // The second may come when nobody listens any more.
    let said = ["counts no more", "nobody shows a code", "the connection"];
    assert!(
        said.iter().any(|said| out.err.contains(said)),
        "{}",
        out.err
    );
}
