//! A FIFO, a socket, a device or a folder in the place of a file that colis reads by itself: nothing waits for it.

use std::{
    fs,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use testkit::{Homes, bytes, wait_for};

/// What would wait for a FIFO waits without an end; whatever ends has ended by then, however slow the machine is.
const LIMIT: Duration = Duration::from_secs(60);

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Makes something in the place of a file.
type Make = fn(&Path);

/// What can be where a file should be, and the word for it.
const KINDS: [(&str, Make); 4] = [
    ("FIFO", fifo),
    ("socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("folder", |path| fs::create_dir(path).unwrap()),
    ("device", |path| {
        std::os::unix::fs::symlink("/dev/zero", path).unwrap();
    }),
];

/// Runs `command`, which must end.
fn ended(mut command: Command, about: &str) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{about} waits");
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// A home that has sent and received, with one file of each kind that colis reads by itself.
fn lived_in() -> (Homes, Vec<PathBuf>) {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), bytes(1, 1000)).unwrap();
    fs::write(homes.home("a").join("colis.toml"), "jobs = 2\n").unwrap();
    let b = homes.serve("b", &[]);
    {
        let a = homes.serve("a", &[]);
        homes.ok("a", &["send", "f", "--to", &b.to(), "--wait", "--keep"]);
        homes.ok("b", &["send", "f", "--to", &a.to(), "--wait"]);
    }
    homes.ok("a", &["peers", "role", "b", "sender"]);
    homes.ok("a", &["share", "f"]);
    let mut files = files_of(&homes.home("a"));
    // One of each folder is as good as all.
    files.sort();
    files.dedup_by(|one, other| {
        let is_of_store = other.components().any(|part| part.as_os_str() == "chunks");
        let is_state = other.parent() == Some(&homes.home("a").join("chunks/state"));
        is_of_store && !is_state && !other.ends_with("FORMAT") && one.parent() == other.parent()
    });
    files.retain(|file| !file.starts_with(homes.home("a").join("received")));
    for name in [
        "certs/peers.json",
        "colis.toml",
        "chunks/state/history.jsonl",
    ] {
        assert!(files.contains(&homes.home("a").join(name)), "{files:?}");
    }
    (homes, files)
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_of(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Does something with `kind` in the place of `file`, which is then put back.
fn in_place_of<T>(file: &Path, kind: Make, then: impl FnOnce() -> T) -> T {
    let aside = file.with_extension("aside");
    fs::rename(file, &aside).unwrap();
    kind(file);
    let done = then();
    // What is no use may have been removed.
    let _ = fs::remove_file(file).or_else(|_| fs::remove_dir(file));
    fs::rename(aside, file).unwrap();
    done
}

const COMMANDS: [&[&str]; 12] = [
    &["status"],
    &["doctor"],
    &["history"],
    &["peers"],
    &["list"],
    &["check"],
    &["inbox"],
    &["config"],
    &["certs", "show"],
    &["share", "f"],
    &["stop"],
    &["peers", "role", "b", "sender"],
];

#[test]
fn no_command_waits_for_what_is_in_the_place_of_a_file() {
    let (homes, files) = lived_in();
    let b = homes.serve("b", &[]);
    let send = ["send", "f", "--to", &b.to()];
    let good = |args: &[&str]| homes.run("a", args).code == 0;
    let fine: Vec<_> = COMMANDS.iter().map(|args| good(args)).collect();
    let mut silent = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        in_place_of(file, fifo, || {
            for (args, fine) in COMMANDS.into_iter().zip(&fine) {
                let about = format!("{args:?} with {}", file.display());
                let ran = ended(homes.command("a", args), &about);
                let err = String::from_utf8_lossy(&ran.stderr);
                // What ends badly for it says what it is about; `doctor` on standard output.
                let is_told = ran.status.success() || args[0] == "doctor" || err.contains(name);
                if *fine && !is_told {
                    silent.push(format!("{about}: {err}"));
                }
            }
            let about = format!("send with {}", file.display());
            ended(homes.command("a", &send), &about);
        });
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn it_is_said_what_is_there_and_what_to_do() {
    let (homes, _) = lived_in();
    for (name, args) in [
        ("certs/peers.json", ["peers"]),
        ("colis.toml", ["list"]),
        ("chunks/state/history.jsonl", ["history"]),
        ("certs/ca-cert.pem", ["list"]),
        ("chunks/FORMAT", ["list"]),
    ] {
        let file = homes.home("a").join(name);
        for (word, kind) in KINDS {
            let ran = in_place_of(&file, kind, || ended(homes.command("a", &args), name));
            let err = String::from_utf8_lossy(&ran.stderr);
            // Anybody can write to this one, which is said before it is opened.
            let is_open = err.contains("can be written by others") && word == "device";
            let said = format!(
                "{}: a {word} is in the place of this file: move it away",
                file.display()
            );
            assert!(
                !ran.status.success() && (is_open || err.contains(&said)),
                "{args:?}: {err}"
            );
        }
    }
}

#[test]
fn a_serving_peer_keeps_what_it_has_serves_on_and_ends_when_asked() {
    let (homes, files) = lived_in();
    let mut a = homes.serve("a", &[]);
    fs::write(homes.path("g"), bytes(2, 1000)).unwrap();
    homes.ok("b", &["peers", "add", &a.to()]);
    let is_of_store = |file: &PathBuf| file.starts_with(homes.home("a").join("chunks/data"));
    for file in files.iter().filter(|file| !is_of_store(file)) {
        in_place_of(file, fifo, || {
            let about = format!("the reload with {}", file.display());
            ended(
                homes.command("a", &["peers", "allow", "b", "tunnel"]),
                &about,
            );
            // Bringing something is not for all of these: that the history or the folder of receipts is unusable is said.
            let ran = ended(homes.command("b", &["list", "a"]), &about);
            assert!(ran.status.success(), "{about}: {}", homes.log("a"));
        });
    }
    let book = homes.home("a").join("certs/peers.json");
    in_place_of(&book, fifo, || {
        wait_for("it says so", || {
            homes
                .log("a")
                .contains("a FIFO is in the place of this file")
        });
        kill_process(Pid::from_raw(a.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        let ending = thread::spawn(move || a.end());
        wait_for("it ends", || ending.is_finished());
        assert_eq!(ending.join().unwrap(), Some(0));
    });
}
