//! A command or a peer in which one system call after the other goes wrong: the same command, or the next peer, ends what was
//! begun, and nothing is there twice or in part.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::{
    disk::Disk,
    inject::{Call, Numbers, Wrong, each, has_happened, wrong_at},
};
use testkit::{Homes, bytes, sending, tree, wait_for};

/// What changes something on a disk, or tells another process that it was changed; what is made most often comes last.
const CHANGING: [&str; 20] = [
    "mkdir",
    "mkdirat",
    "pwrite64",
    "fallocate",
    "ftruncate",
    "fsync",
    "fdatasync",
    "syncfs",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "unlink",
    "unlinkat",
    "utimensat",
    "writev",
    "openat2",
    "write",
    "openat",
];
/// What a disk may refuse. Not `write`: strace cannot tell a file from what wakes a thread.
const REFUSABLE: [&str; 19] = [
    "fdatasync",
    "fsync",
    "syncfs",
    "openat",
    "openat2",
    "read",
    "pread64",
    "newfstatat",
    "statx",
    "getdents64",
    "mkdir",
    "mkdirat",
    "pwrite64",
    "fallocate",
    "rename",
    "renameat2",
    "unlink",
    "unlinkat",
    "utimensat",
];
/// Three chunks, and one that is not full.
const SIZE: usize = 3 * (64 << 10) + 777;
const KILLED: i32 = 9;
/// What the loader of programs ends with when it cannot read a library.
const NOT_LOADED: i32 = 127;

fn names(wrong: Wrong) -> &'static [&'static str] {
    match wrong {
        Wrong::Killed => &CHANGING,
        Wrong::Fails(_) | Wrong::Waits => &REFUSABLE,
    }
}

/// How a command ended in which a call may have gone wrong.
struct Ended {
    happened: bool,
    succeeded: bool,
}

fn ended(homes: &Homes, call: Call, wrong: Wrong, command: &Command) -> Ended {
    let log = homes.path("strace.log");
    let mut running = Running::start(wrong_at(call, wrong, command, &log));
    wait_for("the end of the command", || running.has_ended());
    let status = running.0.wait().unwrap();
    let (happened, in_order) = match wrong {
        Wrong::Killed => (status.signal() == Some(KILLED), status.success()),
        Wrong::Fails(_) | Wrong::Waits => (has_happened(&log), is_documented(status)),
    };
    assert!(
        in_order || wrong == Wrong::Killed && happened,
        "{call}: {status:?}"
    );
    Ended {
        happened,
        succeeded: status.success(),
    }
}

fn is_documented(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0..=10 | NOT_LOADED))
}

/// A sender in which each call goes wrong: the same command ends it, and it arrives once and whole.
pub(crate) fn of_a_send(numbers: &Numbers, wrong: Wrong) -> usize {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let (to, received) = (b.to(), homes.home("b").join("received"));
    each(names(wrong), numbers, |call| {
        let name = format!("{call}.bin");
        let content = bytes(call.number as u64, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let args = sending(&name, &to);
        let first = ended(&homes, call, wrong, &homes.command("a", &args));
        let before = arrived(&received, call);
        assert!(before.iter().all(|found| *found == content), "{call}");
        assert!(!first.succeeded || before.len() == 1, "{call}");
        homes.ok("a", &args);
        let after = arrived(&received, call);
        assert_eq!(after.len(), 1, "{call}");
        assert!(after[0] == content, "{call}");
        first.happened
    })
}

/// The contents of what arrived of `CALL.bin`, also under a second name.
fn arrived(received: &Path, call: Call) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(received).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let ours = paths.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name == format!("{call}.bin") || name.starts_with(&format!("{call} ("))
    });
    ours.map(|path| fs::read(path).unwrap()).collect()
}

/// A receiver in which each call goes wrong: nothing but the whole has its final name, and the same command ends it. When calls
/// fail, the power goes after the command, so that what it said to be durable must be.
pub(crate) fn of_a_receive(numbers: &Numbers, wrong: Wrong) -> usize {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let sent = folder_of_four(&homes);
    homes.ok("a", &["share", "folder", "--chunk-size", "64KiB"]);
    let disk =
        (wrong != Wrong::Killed).then(|| Disk::new(&homes.path("image"), &homes.path("out")));
    each(names(wrong), numbers, |call| {
        let out = format!("out/{call}");
        let args = [
            "receive",
            "--from",
            &a.to(),
            "--all",
            "--again",
            "--out",
            &out,
        ];
        let first = ended(&homes, call, wrong, &homes.command("b", &args));
        if let Some(disk) = &disk {
            disk.cut_power();
            disk.mount_again();
        }
        let there = homes.path(&out).join("folder");
        let is_whole = there.exists() && tree(&there) == sent;
        let is_absent = !there.exists() && !first.succeeded;
        assert!(is_whole || is_absent, "{call}: not whole");
        let ran = homes.run("b", &args);
        assert_eq!(ran.code, 0, "{call}: {}", ran.err);
        assert_eq!(tree(&there), sent, "{call}");
        let entries = fs::read_dir(homes.path(&out)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.filter(|name| name != testkit::MARKER).collect();
        assert_eq!(names, ["folder"], "{call}: {}", ran.err);
        fs::remove_dir_all(homes.path(&out)).unwrap();
        first.happened
    })
}

fn folder_of_four(homes: &Homes) -> Vec<String> {
    let folder = homes.path("folder");
    fs::create_dir_all(folder.join("empty")).unwrap();
    for (number, size) in [0, 1, 700, SIZE].into_iter().enumerate() {
        let path = folder.join(format!("{number}.bin"));
        fs::write(path, bytes(number as u64, size)).unwrap();
    }
    tree(&folder)
}

/// A serving peer that is killed at each call: the sender goes on with the one that comes after it.
pub(crate) fn of_a_serving_peer(numbers: &Numbers) -> usize {
    let homes = Homes::new(&["b"]);
    let listen = homes.serve("b", &[]).to();
    let received = homes.home("b").join("received");
    each(&CHANGING, numbers, |call| {
        let name = format!("{call}.bin");
        let content = bytes(call.number as u64, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let serve = homes.command("b", &["serve", "--listen", &listen]);
        let log = homes.path("strace.log");
        let mut first = Running::start(wrong_at(call, Wrong::Killed, &serve, &log));
        wait_for("the peer, or its end", || {
            first.has_ended() || std::net::TcpStream::connect(&listen).is_ok()
        });
        let args = sending(&name, &listen);
        let mut sender = Running::start(homes.command("a", &args));
        wait_for("an end", || first.has_ended() || sender.has_ended());
        let killed = first.has_ended();
        drop(first);
        let before = arrived(&received, call);
        assert!(before.iter().all(|found| *found == content), "{call}");
        let _b = homes.serve_on("b", &listen, &[]);
        // It goes on by itself, unless the peer was gone before it knew whom it talks to.
        wait_for("the end of the sender", || sender.has_ended());
        homes.ok("a", &args);
        let after = arrived(&received, call);
        assert_eq!(after.len(), 1, "{call}");
        assert!(after[0] == content, "{call}");
        killed
    })
}

/// A process that is ended with the test.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(silent.spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
