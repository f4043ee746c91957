//! A pairing that ends between the certificates and the last word, in every way in which a program can end.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Homes, Serving, wait_for};

use super::{Inviting, live};

/// `ghost` has its certificates, and what it says then is held back.
struct Cut {
    homes: Homes,
    inviting: Inviting,
    joining: Child,
    /// Lets what is held back pass.
    pass: Sender<()>,
}

impl Cut {
    fn new() -> Self {
        let homes = Homes::new(&[]);
        let inviting = Inviting::start(&homes, &[]);
        let (told, granted) = channel();
        let (pass, may_pass) = channel();
        let record = homes.home("a").join("certs/issued.jsonl");
        let middle = hold_back(inviting.address, record, told, may_pass);
        let mut command = homes.command("ghost", &["pair", &middle.to_string(), "--name", "ghost"]);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut joining = command.spawn().unwrap();
        writeln!(joining.stdin.take().unwrap(), "{}", inviting.code).unwrap();
        granted.recv().unwrap();
        let cut = Self {
            homes,
            inviting,
            joining,
            pass,
        };
        cut.keep_what_the_ghost_has();
        cut
    }

    /// The certificates and keys that `ghost` has written beside their place become the home `caught`.
    fn keep_what_the_ghost_has(&self) {
        let staged = fs::read_dir(self.homes.home("ghost")).unwrap();
        let staged: Vec<_> = staged.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(staged.len(), 1, "{staged:?}");
        fs::create_dir(self.homes.home("caught")).unwrap();
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(&staged[0]);
        copy.arg(self.homes.home("caught").join("certs"));
        assert!(copy.status().unwrap().success());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.inviting.child), signal).unwrap();
    }

    fn is_out(&self, a: &Serving) -> bool {
        let ran = self.homes.run("caught", &["list", &a.to()]);
        assert!([0, 4].contains(&ran.code), "{}", ran.err);
        ran.code == 4
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = self.joining.kill();
        let _ = self.joining.wait();
    }
}

/// Stands between two machines that pair. Once the `record` of the inviting one has the ghost, and the certificates were passed
/// on, that is told, and what the ghost says is held until it may pass. Returns where it listens.
fn hold_back(
    target: SocketAddr,
    record: PathBuf,
    told: Sender<()>,
    may_pass: Receiver<()>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_granted = move || fs::read_to_string(&record).unwrap().contains("\"ghost\"");
    thread::spawn(move || {
        let near = listener.accept().unwrap().0;
        let far = TcpStream::connect(target).unwrap();
        let (answers, asks) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        thread::spawn(move || copy(answers, near, || {}));
        let mut is_held = false;
        copy(asks, far, || {
            if !is_held && is_granted() {
                is_held = true;
                let _ = told.send(());
                let _ = may_pass.recv();
            }
        });
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut before_each: impl FnMut()) {
    let mut buffer = [0; 1 << 14];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        before_each();
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_signal_after_the_certificates_were_sent_leaves_no_member() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut cut = Cut::new();
        cut.signal(signal);
        assert_eq!(cut.inviting.ends(), code, "{signal:?}");
        assert_eq!(live(&cut.homes, "ghost"), 0, "{signal:?}");
        let a = cut.homes.serve("a", &[]);
        assert!(cut.is_out(&a), "{signal:?}");
    }
}

#[test]
fn a_signal_to_the_machine_that_joins_comes_too_late_for_its_last_step() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut cut = Cut::new();
        kill_process(Pid::from_child(&cut.joining), signal).unwrap();
        cut.pass.send(()).unwrap();
        assert_eq!(cut.joining.wait().unwrap().code(), Some(0), "{signal:?}");
        assert_eq!(live(&cut.homes, "ghost"), 2, "{signal:?}");
        cut.homes.ok("ghost", &["peers"]);
    }
}

#[test]
fn a_kill_after_the_certificates_were_sent_leaves_no_member_for_a_peer_that_starts() {
    let mut cut = Cut::new();
    cut.inviting.child.kill().unwrap();
    cut.inviting.child.wait().unwrap();
    let a = cut.homes.serve("a", &[]);
    assert!(cut.is_out(&a));
    assert_eq!(live(&cut.homes, "ghost"), 0);
}

#[test]
fn a_kill_beside_a_peer_that_serves_leaves_no_member_for_long() {
    let mut cut = Cut::new();
    let a = cut.homes.serve("a", &[]);
    assert!(!cut.is_out(&a), "its pairing still goes on");
    cut.inviting.child.kill().unwrap();
    cut.inviting.child.wait().unwrap();
    wait_for("the ghost is out", || cut.is_out(&a));
}

#[test]
fn a_kill_after_the_certificates_were_sent_leaves_no_member_for_the_next_pairing() {
    let mut cut = Cut::new();
    cut.inviting.child.kill().unwrap();
    cut.inviting.child.wait().unwrap();
    let mut next = Inviting::by(&cut.homes, "a", &[], "taken-back");
    assert_eq!(live(&cut.homes, "ghost"), 0);
    // Its name is free again.
    let joined = super::join(&cut.homes, "second", &next.to(), &next.code);
    assert_eq!(joined.code, 0, "{}", joined.err);
    next.hears("paired");
    assert_eq!(live(&cut.homes, "second"), 2);
}

#[test]
fn what_starts_beside_a_pairing_takes_nothing_from_it() {
    let mut cut = Cut::new();
    let a = cut.homes.serve("a", &[]);
    let other = Inviting::start(&cut.homes, &[]);
    assert_eq!(live(&cut.homes, "ghost"), 2);
    cut.pass.send(()).unwrap();
    cut.inviting.hears("paired");
    assert!(cut.joining.wait().unwrap().success());
    kill_process(Pid::from_child(&other.child), Signal::INT).unwrap();
    drop(other);
    assert_eq!(live(&cut.homes, "ghost"), 2);
    cut.homes.ok("ghost", &["list", &a.to()]);
}

/// A crash while a line was written: its certificate was never sent.
#[test]
fn a_torn_last_line_of_the_record_stops_nothing() {
    let homes = Homes::new(&["b"]);
    let record = homes.home("a").join("certs/issued.jsonl");
    let whole = fs::read(&record).unwrap();
    let last = whole[..whole.len() - 1]
        .rsplit(|byte| *byte == b'\n')
        .next();
    let last = last.unwrap();
    for (name, length) in [("c", 1), ("d", last.len() / 2), ("e", last.len())] {
        let mut torn = fs::read(&record).unwrap();
        torn.extend(&last[..length]);
        fs::write(&record, torn).unwrap();
        assert_eq!(live(&homes, "b"), 2, "the torn line counts");
        let out = homes.home(name).join("certs");
        homes.ok(
            "a",
            &["certs", "issue", name, "--out", out.to_str().unwrap()],
        );
        assert_eq!((live(&homes, "b"), live(&homes, name)), (2, 2));
    }
    homes.ok("a", &["certs", "revoke", "e"]);
    assert_eq!((live(&homes, "d"), live(&homes, "e")), (2, 0));
    // A record of which nothing is left is none.
    fs::write(&record, "{\"na").unwrap();
    let said = homes.fails("a", &["certs", "issue", "f", "--out", "f"], 3);
    assert!(said.contains("issued.jsonl"), "{said}");
}
