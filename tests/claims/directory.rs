//! Members of a circle know each other by its directory: three real peers, and who would like to be known for another.

mod book;
mod hostile;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::Stdio,
};

use colis::{
    id::PeerId,
    manifest::{SignError, Signed, Signer},
    tls::{CertsDir, Circle, CircleHandle, Identity, load_directory},
    trust::{Directory, Member, SignedDirectory},
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::DecodePrivateKey as _,
};
use serde_json::Value;
use testkit::{
    Homes, Ran, Serving, bytes,
    person::{free_port, set},
    sending, wait_for,
};

use super::circle::{certs, peer_id};

/// A home of the circle `a` that has joined by a code, and serves where it said that it would.
fn joins(homes: &Homes, name: &str) -> Serving {
    let listen = format!("127.0.0.1:{}", free_port());
    fs::create_dir(homes.home(name)).unwrap();
    set(homes, name, "listen", &listen);
    let mut inviting = homes.command("a", &["--json", "pair", "--port", "0"]);
    let inviting = inviting.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut inviting = inviting.spawn().unwrap();
    let mut out = BufReader::new(inviting.stdout.take().unwrap()).lines();
    let code = out.find_map(|line| {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (said["event"] == "code").then_some(said)
    });
    let code = code.unwrap();
    let to = format!("127.0.0.1:{}", code["port"]);
    let mut joining = homes.command(name, &["pair", &to, "--name", name]);
    joining.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut joining = joining.stderr(Stdio::piped()).spawn().unwrap();
    writeln!(
        joining.stdin.take().unwrap(),
        "{}",
        code["code"].as_str().unwrap()
    )
    .unwrap();
    let joined = Ran::from(joining.wait_with_output().unwrap());
    assert_eq!(joined.code, 0, "{}", joined.err);
    inviting.wait().unwrap();
    homes.serve_on(name, &listen, &[])
}

fn directory(homes: &Homes, name: &str) -> SignedDirectory {
    let dir = certs(homes, name);
    let circle = Circle::load(&dir).unwrap();
    load_directory(&dir, &circle).unwrap().unwrap()
}

fn number(homes: &Homes, name: &str) -> u64 {
    directory(homes, name).payload().number
}

fn names(directory: &SignedDirectory) -> Vec<&str> {
    directory
        .payload()
        .members
        .iter()
        .map(Member::name)
        .collect()
}

/// Sends a file by name, and waits until it is opened there.
fn sends(homes: &Homes, from: &str, to: &str) {
    let name = format!("{from}-to-{to}");
    fs::write(homes.path(&name), bytes(7, 1000)).unwrap();
    homes.ok(from, &sending(&name, to));
    let received = homes.home(to).join("received").join(&name);
    assert_eq!(fs::read(received).unwrap(), bytes(7, 1000), "{name}");
}

/// The circle's key, as somebody has it who broke into its machine.
struct CircleKey(PeerId, SigningKey);

impl CircleKey {
    fn of(homes: &Homes) -> Self {
        let dir = certs(homes, "a");
        let pem = pem::parse(fs::read(dir.ca_key()).unwrap()).unwrap();
        let key = SigningKey::from_pkcs8_der(pem.contents()).unwrap();
        Self(Circle::load(&dir).unwrap().key_id(), key)
    }

    fn signs(&self, number: u64, members: Vec<Member>) -> SignedDirectory {
        let directory = Directory {
            v: 1,
            circle: self.0,
            number,
            members,
        };
        Signed::sign(directory, self).unwrap()
    }
}

impl Signer for CircleKey {
    fn peer_id(&self) -> PeerId {
        self.0
    }

    fn certificate(&self) -> Vec<u8> {
        Vec::new()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature: Signature = self.1.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

fn member(dir: &CertsDir, addresses: &[&str]) -> Member {
    Member {
        bundle: Identity::load(dir).unwrap().bundle().unwrap(),
        addresses: addresses.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn handle(homes: &Homes, name: &str) -> CircleHandle {
    CircleHandle::new(Circle::load(&certs(homes, name)).unwrap())
}

/// A circle whose machine serves where it says.
fn served() -> (Homes, Serving) {
    let homes = Homes::new(&[]);
    let listen = format!("127.0.0.1:{}", free_port());
    set(&homes, "a", "listen", &listen);
    let a = homes.serve_on("a", &listen, &[]);
    (homes, a)
}

#[test]
fn after_the_third_has_joined_everybody_sends_to_everybody_by_name() {
    let (homes, _a) = served();
    let _b = joins(&homes, "b");
    assert_eq!(names(&directory(&homes, "b")), ["a", "b"]);
    let _c = joins(&homes, "c");
    assert_eq!(names(&directory(&homes, "c")), ["a", "b", "c"]);
    let all = ["a", "b", "c"];
    for (from, to) in all.iter().flat_map(|from| all.map(|to| (*from, to))) {
        if from != to {
            sends(&homes, from, to);
        }
    }
    assert_eq!(number(&homes, "b"), number(&homes, "a"));
}

/// b is told of c by nobody but the directory, and opens nothing of it itself.
#[test]
fn a_name_that_is_not_known_is_asked_for_before_it_is_said_to_be() {
    let (homes, a) = served();
    let b = joins(&homes, "b");
    drop(b);
    let _c = joins(&homes, "c");
    assert_eq!(names(&directory(&homes, "b")), ["a", "b"], "it was off");
    let before = number(&homes, "b");
    homes.fails("b", &["list", "dora"], 6);
    assert!(number(&homes, "b") > before, "a was asked");
    let listed = homes.ok("b", &["peers"]);
    let c = listed.lines().find(|line| line.starts_with("c  ")).unwrap();
    assert!(c.contains("by the circle's directory"), "{listed}");
    // And it stays known while the circle's machine is off.
    drop(a);
    sends(&homes, "b", "c");
    let listed = homes.ok("b", &["peers"]);
    assert!(!listed.contains("by the circle's directory"), "{listed}");
    let said = homes.fails("b", &["list", "dora"], 6);
    assert!(said.contains("no peer is called dora"), "{said}");
}

#[test]
fn who_is_revoked_leaves_the_directory_at_once_and_is_sent_nothing() {
    let (homes, _a) = served();
    let (_b, _c) = (joins(&homes, "b"), joins(&homes, "c"));
    homes.ok("a", &["certs", "revoke", "b"]);
    assert_eq!(names(&directory(&homes, "a")), ["a", "c"]);
    homes.ok("c", &["peers", "check", "a"]);
    assert_eq!(names(&directory(&homes, "c")), ["a", "c"]);
    fs::write(homes.path("f"), "x").unwrap();
    let ran = homes.run("c", &["send", "f", "--to", "b"]);
    assert!([4, 6].contains(&ran.code), "{}", ran.err);
    assert!(!homes.ok("c", &["peers"]).contains("circle's directory"));
}

/// A machine to which the folder was carried is a member from the moment that it was made.
#[test]
fn a_folder_that_was_issued_has_the_directory_and_stands_in_it() {
    let (homes, a) = served();
    let _b = joins(&homes, "b");
    let d = certs(&homes, "d");
    homes.ok(
        "a",
        &["certs", "issue", "d", "--out", d.path().to_str().unwrap()],
    );
    assert_eq!(names(&directory(&homes, "d")), ["a", "b", "d"]);
    // Where the others are, it knows by the directory; that the circle's machine serves it says when it is asked.
    sends(&homes, "d", "b");
    homes.ok("d", &["peers", "add", &a.to()]);
    sends(&homes, "d", "a");
    // Nobody knows where d is. It can be sealed for all the same.
    homes.ok("b", &["peers", "check", "a"]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", "d", "--via", "a"]);
    homes.ok("d", &["receive", "--from", "a", "--all"]);
    assert_eq!(fs::read(homes.home("d").join("received/f")).unwrap(), b"x");
}

/// A later bundle replaces the one before, in the directory and in the books of those who have it.
#[test]
fn a_renewed_certificate_goes_around() {
    let (homes, a) = served();
    let (out, now) = (certs(&homes, "d"), time::OffsetDateTime::now_utc());
    let options = colis::tls::ca::CertificateOptions {
        sans: Vec::new(),
        not_before: now - time::Duration::days(200),
        not_after: now + time::Duration::days(165),
    };
    colis::tls::ca::issue(&certs(&homes, "a"), "d", &out, &options).unwrap();
    let b = joins(&homes, "b");
    assert_eq!(names(&directory(&homes, "b")), ["a", "b", "d"]);
    let of_d = |name: &str| {
        let directory = directory(&homes, name);
        let members = &directory.payload().members;
        let d = members.iter().find(|member| member.name() == "d").unwrap();
        d.bundle.payload().certificate.clone()
    };
    let before = of_d("b");
    homes.ok("d", &["peers", "add", &a.to()]);
    homes.ok("d", &["certs", "renew", "--from", "a"]);
    let d = homes.serve("d", &[]);
    homes.ok("a", &["peers", "add", &d.to()]);
    assert_ne!(of_d("a"), before);
    homes.ok("b", &["peers", "check", "a"]);
    assert_eq!(of_d("b"), of_d("a"));
    // The sequence of a peer that is started again is later, and changes nothing.
    let last = number(&homes, "a");
    drop(d);
    let d = homes.serve("d", &[]);
    homes.ok("a", &["peers", "add", &d.to()]);
    homes.ok("a", &["peers", "forget", "d"]);
    assert_eq!(names(&directory(&homes, "a")), ["a", "b", "d"]);
    let members = directory(&homes, "a").payload().members.len();
    assert!(members == 3 && number(&homes, "a") >= last);
    drop(b);
}

/// The circle's machine was restored from a copy that knows neither c nor the directories that were signed since.
#[test]
fn a_restored_circles_machine_learns_the_highest_number_before_it_signs() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let dir = certs(&homes, "a");
    let files = || [dir.issued(), dir.peers(), dir.directory(), dir.crl()];
    let copy: Vec<_> = files().map(|path| fs::read(path).unwrap()).into();
    let issue = |name: &str| {
        let out = certs(&homes, name);
        homes.ok(
            "a",
            &[
                "certs",
                "issue",
                name,
                "--out",
                out.path().to_str().unwrap(),
            ],
        );
    };
    issue("c");
    homes.ok("a", &["peers", "check", "b"]);
    // A clock that was wrong has signed a number of the far future.
    let ahead = number(&homes, "a") + 10_000_000_000;
    let members = directory(&homes, "a").payload().members.clone();
    let ahead = CircleKey::of(&homes).signs(ahead, members);
    fs::write(dir.directory(), ahead.envelope()).unwrap();
    homes.ok("a", &["peers", "check", "b"]);
    assert_eq!(number(&homes, "b"), ahead.payload().number);
    for (path, bytes) in files().iter().zip(&copy) {
        fs::write(path, bytes).unwrap();
    }
    issue("e");
    assert_eq!(names(&directory(&homes, "a")), ["a", "b", "c", "e"]);
    assert!(number(&homes, "a") > ahead.payload().number);
    homes.ok("a", &["peers", "check", "b"]);
    assert_eq!(
        directory(&homes, "b").envelope(),
        directory(&homes, "a").envelope()
    );
}

#[test]
fn a_damaged_directory_is_as_none_and_is_fetched_again() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    let good = directory(&homes, "b");
    for bad in [&b"{"[..], b"", &good.envelope()[1..]] {
        fs::write(certs(&homes, "b").directory(), bad).unwrap();
        homes.ok("b", &["peers"]);
        homes.ok("b", &["peers", "check", "a"]);
        assert_eq!(directory(&homes, "b").envelope(), good.envelope());
    }
    // On the circle's machine it is signed anew, under a higher number.
    fs::write(certs(&homes, "a").directory(), "{").unwrap();
    homes.ok("b", &["peers", "check", "a"]);
    wait_for("b has the new one", || {
        homes.ok("b", &["peers", "check", "a"]);
        number(&homes, "b") > good.payload().number
    });
    assert_eq!(names(&directory(&homes, "b")), ["a", "b"]);
}
