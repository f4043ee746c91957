//! `send --wait` where nobody opens what was sent: it says why, and what helps.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use testkit::{Homes, site::Site, wait_for};

/// A file system of its own, in memory.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        let is_mounted = mount.status().is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("not tried: it takes root and mount");
        }
        is_mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A `send --wait` that is killed when it is dropped.
struct Sending(Child);

impl Sending {
    fn start(homes: &Homes, file: &str, args: &[&str], to: &str) -> Self {
        let mut send = homes.command("a", args);
        send.args(["send", "--name", "s", "-", "--to", to, "--wait"]);
        let input = fs::File::open(homes.path(file)).unwrap();
        send.stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(send.spawn().unwrap())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who waits for `b`, which was told `args`, hears this.
fn is_told(homes: &Homes, file: &str, args: &[&str], reason: &str, help: &str) {
    let b = homes.serve("b", args);
    let mut program = Sending::start(homes, file, &["--json"], &b.to());
    let mut person = Sending::start(homes, file, &[], &b.to());
    let lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let mut said = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let said = said.find(|said| said["event"] == "pending").unwrap();
    assert_eq!(
        (&said["state"], &said["reason"]),
        (&"waiting".into(), &reason.into())
    );
    let mut lines = BufReader::new(person.0.stderr.take().unwrap()).lines();
    let line = lines.find(|line| line.as_ref().unwrap().contains("Ctrl-C ends only"));
    let line = line.unwrap().unwrap();
    assert!(line.contains(help), "{reason}: {line}");
}

#[test]
fn who_waits_for_the_person_there_is_told_so() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "x").unwrap();
    is_told(&homes, "f", &["--inbox", "off"], "off", "colis receive ");
    is_told(
        &homes,
        "f",
        &["--inbox", "ask"],
        "asks",
        "colis inbox accept ",
    );
    is_told(
        &homes,
        "f",
        &["--auto-up-to", "0"],
        "larger",
        "colis inbox accept ",
    );
}

#[test]
fn who_waits_for_a_disk_there_is_told_so() {
    let homes = Homes::new(&["b"]);
    let received = homes.home("b").join("received");
    // More than the disk has, and of a stream nobody knows before.
    fs::write(homes.path("f"), vec![7; 12 << 20]).unwrap();
    let Some(small) = Mounted::new(&received, "size=8m") else {
        return;
    };
    is_told(
        &homes,
        "f",
        &[],
        "no-space",
        "disk for received files is full",
    );
    drop(small);
    fs::write(homes.path("f"), "x").unwrap();
    let _read_only = Mounted::new(&received, "ro,size=8m").unwrap();
    is_told(&homes, "f", &[], "cannot-write", "colis doctor");
}

#[test]
fn only_the_sender_and_the_owner_are_told_why() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), "x").unwrap();
    let site = Site::of(homes, &["--inbox", "ask"]);
    let homes = &site.homes;
    let sent = homes.ok("c", &["--json", "send", "f", "--to", &site.serving.to()]);
    let sent: Value = serde_json::from_str(sent.lines().last().unwrap()).unwrap();
    let path = format!("/v1/manifests/{}/state", sent["id"].as_str().unwrap());
    let state = |name: &str| -> Value {
        let certs = testkit::site::certs(homes, name);
        let shown = vec![testkit::site::certificate(&certs)];
        let config = testkit::site::shows(homes, shown, testkit::site::key(&certs));
        let mut stream = site.connect(config);
        let asked = testkit::site::request("GET", &path, "", b"");
        std::io::Write::write_all(&mut stream, &asked).unwrap();
        serde_json::from_slice(&testkit::site::read_to_close(&mut stream).body).unwrap()
    };
    wait_for("it waits", || state("b")["state"] == "waiting");
    assert_eq!(state("c")["reason"], "asks");
    assert_eq!(state("a")["reason"], "asks");
    assert_eq!(state("b").get("reason"), None);
    // Once it is opened there is no reason any more.
    homes.ok("a", &["inbox", "accept", "--all"]);
    assert_eq!(state("c")["state"], "opened");
    assert_eq!(state("c").get("reason"), None);
}

#[test]
fn the_sender_is_told_that_only_a_password_opens_it() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "x").unwrap();
    fs::write(homes.path("pw"), "correct horse\n").unwrap();
    let site = Site::of(homes, &[]);
    let to = site.serving.to();
    let args = ["--json", "send", "f", "--via", &to, "--password-file", "pw"];
    let sent = site.homes.ok("b", &args);
    let sent: Value = serde_json::from_str(sent.lines().last().unwrap()).unwrap();
    let path = format!("/v1/manifests/{}/state", sent["id"].as_str().unwrap());
    let state = || serde_json::from_slice::<Value>(&site.get(&path).body).unwrap();
    wait_for("it waits", || state()["state"] == "waiting");
    assert_eq!(state()["reason"], "locked");
}

#[test]
fn nobody_waits_for_what_goes_to_itself() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve_on("b", "[::]:0", &[]);
    let port = b.address.port();
    fs::write(homes.path("f"), "x").unwrap();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ];
    homes.ok("b", &["peers", "add", &format!("127.0.0.1:{port}")]);
    let hosts = hosts.iter().map(|host| format!("{host}:{port}"));
    for to in hosts.chain(["b".to_owned()]) {
        let said = homes.fails("b", &["send", "f", "--to", &to, "--wait"], 2);
        assert!(said.contains("leave out --wait"), "{to}: {said}");
        let via = ["send", "f", "--to", "b", "--via", &to, "--wait"];
        let said = homes.fails("b", &via, 2);
        assert!(said.contains("leave out --wait"), "{to}: {said}");
    }
}
