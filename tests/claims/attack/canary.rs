//! Secrets that would be recognized anywhere: they are where they belong and nowhere else.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use colis::tls::CertsDir;
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use pem::Pem;

use super::trust::End;
use testkit::site::certs;
use testkit::{Homes, has, wait_for};

/// What must not be found, in every spelling: what it is, and its spellings.
struct Needles(BTreeMap<String, Vec<Vec<u8>>>);

impl Needles {
    fn add(&mut self, what: &str, secret: &[u8]) {
        let mut spellings = vec![
            secret.to_vec(),
            HEXLOWER.encode(secret).into(),
            HEXUPPER.encode(secret).into(),
        ];
        // The middle of its base64, wherever in a longer text it stands.
        for before in 0..3 {
            let text = BASE64.encode(&[&vec![0; before][..], secret].concat());
            spellings.push(text.as_bytes()[4..text.len() - 4].to_vec());
        }
        self.0.insert(what.into(), spellings);
    }

    /// Which of them are in `bytes`.
    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let is_in = |spelling: &Vec<u8>| contains(bytes, spelling);
        let found = self
            .0
            .iter()
            .filter(|(_, spellings)| spellings.iter().any(is_in));
        found.map(|(what, _)| what.as_str()).collect()
    }

    /// What is found in each file below `root`, but for those of `but`.
    fn below(&self, root: &Path, but: &[&str]) -> Vec<String> {
        let (mut found, mut todo) = (Vec::new(), vec![root.to_owned()]);
        while let Some(path) = todo.pop() {
            let name = path.strip_prefix(root).unwrap();
            if but.iter().any(|but| name.starts_with(but)) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mut hits = self.found(name.as_os_str().as_encoded_bytes());
            if metadata.is_dir() {
                todo.extend(
                    fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else if metadata.is_file() {
                hits.extend(self.found(&fs::read(&path).unwrap()));
            }
            found.extend(
                hits.iter()
                    .map(|hit| format!("{hit} in {}", name.display())),
            );
        }
        found
    }
}

/// Looks for the first byte and then for the rest: files are large and this build is slow.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else {
        return false;
    };
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|b| b == first) {
        at += next + 1;
        if bytes[at..].starts_with(rest) {
            return true;
        }
    }
    false
}

const PASSWORD: &str = "canary-password-7f3a9c";
const NAME: &str = "canary-name-51be02.txt";
const CONTENT: &[u8] = b"canary-content-c8d417-";

fn needles(homes: &Homes) -> Needles {
    let mut needles = Needles(BTreeMap::new());
    needles.add("the password", PASSWORD.as_bytes());
    needles.add("the name", NAME.as_bytes());
    needles.add("the content", CONTENT);
    for home in ["a", "b", "c"] {
        let dir: CertsDir = certs(homes, home);
        for key in [dir.server_key(), dir.client_key(), dir.seal_key()] {
            let Ok(text) = fs::read_to_string(&key) else {
                continue;
            };
            let key: Pem = pem::parse(&text).unwrap();
            let der = key.contents();
            // The number of a P-256 key stands at this place of its PKCS #8; the seed of a seal key is at the end.
            let secret = if der.len() > 100 {
                &der[36..68]
            } else {
                &der[der.len() - 32..]
            };
            needles.add(&format!("a {} of {home}", key.tag().to_lowercase()), secret);
        }
    }
    needles
}

/// Packets of a port, written to a file while this lives.
struct Capture {
    tcpdump: Child,
    path: PathBuf,
}

impl Capture {
    fn start(path: PathBuf, port: u16) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !has("tcpdump") {
            eprintln!("packets are not looked at");
            return None;
        }
        let log = path.with_extension("log");
        let tcpdump = Command::new("tcpdump")
            .args(["-i", "lo", "-U", "-s", "0", "-B", "65536", "-w"])
            .arg(&path)
            .arg(format!("tcp port {port}"))
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        wait_for("tcpdump listens", || {
            fs::read_to_string(&log).unwrap().contains("listening on")
        });
        Some(Self { tcpdump, path })
    }

    fn end(mut self) -> Vec<u8> {
        let id = rustix::process::Pid::from_child(&self.tcpdump);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        self.tcpdump.wait().unwrap();
        fs::read(self.path).unwrap()
    }
}

/// Looks at the arguments and the environment of every process of the program, until `over`.
fn watch(needles: &Needles, over: &AtomicBool, found: &Mutex<Vec<String>>) -> usize {
    let mut looked = 0;
    while !over.load(Ordering::SeqCst) {
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let read = |name| fs::read(process.path().join(name)).unwrap_or_default();
            let arguments = read("cmdline");
            if !contains(
                &arguments,
                testkit::program().as_os_str().as_encoded_bytes(),
            ) {
                continue;
            }
            looked += 1;
            for (what, bytes) in [("cmdline", arguments), ("environ", read("environ"))] {
                // The name of the file that is sent is an argument, on purpose.
                let hits = needles.found(&bytes);
                let hits = hits.iter().filter(|hit| **hit != "the name");
                found
                    .lock()
                    .unwrap()
                    .extend(hits.map(|hit| format!("{hit} in {what}")));
            }
        }
    }
    looked
}

/// A command with everything that it can log.
fn loud(homes: &Homes, home: &str, args: &[&str], log: &str) -> Command {
    let mut command = homes.command(home, &[&["-vv"], args].concat());
    command.env("COLIS_LOG", "trace").stdout(Stdio::null());
    command.stderr(File::create(homes.path(log)).unwrap());
    command
}

#[test]
fn secrets_are_found_where_they_belong_and_nowhere_else() {
    let homes = Homes::new(&["b", "c"]);
    let needles = needles(&homes);
    assert!(needles.0.len() >= 9, "{:?}", needles.0.keys());
    fs::create_dir(homes.path("src")).unwrap();
    let source = homes.path("src").join(NAME);
    fs::write(&source, CONTENT.repeat(20_000)).unwrap();
    fs::write(homes.path("src/password"), PASSWORD).unwrap();
    let serve = [
        "-vv",
        "--json",
        "serve",
        "--inbox",
        "ask",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut serve = homes.command("b", &serve);
    serve.env("COLIS_LOG", "trace");
    let mut b = homes.serve_by("b", serve);
    let capture = Capture::start(homes.path("packets"), b.address.port());
    let (over, found) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let looked = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&needles, &over, &found));
        let end = End(&over);
        exchange(&homes, &b.to(), source.to_str().unwrap());
        drop(end);
        watching.join().unwrap()
    });
    assert!(looked > 0, "no process was seen");
    assert_eq!(
        found.into_inner().unwrap(),
        [""; 0],
        "of {looked} looks at processes"
    );
    let packets = capture.map(Capture::end);
    b.kill();
    search(&homes, &needles);
    if let Some(packets) = packets {
        assert!(
            packets.len() > CONTENT.len() * 20_000,
            "only {} bytes captured",
            packets.len()
        );
        assert_eq!(needles.found(&packets), [""; 0], "in packets");
        eprintln!("{} bytes of packets looked at", packets.len());
    }
    eprintln!(
        "{} secrets, {looked} looks at processes, nothing found",
        needles.0.len()
    );
}

/// Looks everywhere in the homes, and in the logs beside them.
fn search(homes: &Homes, needles: &Needles) {
    // Where they belong: the sources, what was received, the keys, and what a person's own machine remembers for him.
    let own = [
        "src",
        "out",
        "packets",
        "a/certs",
        "b/certs",
        "c/certs",
        "b/received",
        "a/chunks/state/history.jsonl",
        "a/chunks/state/sending",
        "a/chunks/state/sent",
        "c/chunks/state/history.jsonl",
    ];
    let received = homes.path("out").join(NAME);
    assert!(
        needles
            .found(&fs::read(received).unwrap())
            .contains(&"the content"),
        "nothing is ever found"
    );
    assert!(
        !needles.below(&homes.path("a/certs"), &[]).is_empty(),
        "no key is ever found"
    );
    assert_eq!(needles.below(&homes.path(""), &own), [""; 0]);
}

/// Sends with and without a password, kills a sender in the middle, and receives.
fn exchange(homes: &Homes, to: &str, source: &str) {
    let ran = |home, args: &[&str], log| {
        let mut command = loud(homes, home, args, log);
        let status = command.status().unwrap();
        assert!(
            status.success(),
            "{args:?}: {}",
            fs::read_to_string(homes.path(log)).unwrap()
        );
    };
    ran("a", &["send", source, "--to", to], "send.log");
    let password = ["--password-file", "src/password"];
    ran(
        "a",
        &[&["send", source, "--to", to, "--password"], &password[..]].concat(),
        "secret.log",
    );
    let slow = [
        "send",
        source,
        "--to",
        to,
        "--chunk-size",
        "64KiB",
        "--limit",
        "100KiB",
    ];
    let mut killed = loud(homes, "a", &slow, "killed.log").spawn().unwrap();
    let begun = || {
        fs::read_dir(homes.home("a").join("chunks/state/sending"))
            .is_ok_and(|mut d| d.next().is_some())
    };
    wait_for("the sender has begun", begun);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let list = homes.ok("c", &["--json", "list", to]);
    let locked: Vec<_> = list
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .collect();
    let with_password = locked
        .iter()
        .find(|m| m["password"] == true)
        .expect("one with a password");
    let id = with_password["id"].as_str().unwrap();
    ran(
        "c",
        &[
            &["receive", "--from", to, id, "--out", "out"],
            &password[..],
        ]
        .concat(),
        "receive.log",
    );
    ran("b", &["inbox"], "inbox.log");
}
