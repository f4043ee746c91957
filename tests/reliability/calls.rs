//! `kill -9` at one system call after the other: strace ends the program as it enters the call.

use std::{
    fmt, fs,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::{Homes, around, bytes, tree, wait_for};

/// What changes something on a disk, or tells another process that it was changed.
const CALLS: [&str; 20] = [
    "openat",
    "openat2",
    "mkdir",
    "mkdirat",
    "write",
    "pwrite64",
    "writev",
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
];
/// Three chunks, and one that is not full.
const SIZE: usize = 3 * (64 << 10) + 777;
const KILLED: Option<i32> = Some(9);

/// A call of a program: its name, and the number of it that one of its threads makes.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    name: &'static str,
    number: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.name, self.number)
    }
}

/// `command`, which is killed as it enters `call`.
fn killed_at(call: Call, command: &Command) -> Command {
    let mut strace = Command::new("strace");
    // The process that is started is the program itself: strace stands beside it.
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]);
    let Call { name, number } = call;
    strace.arg(format!("inject={name}:signal=KILL:when={number}"));
    around(strace, command)
}

/// Runs `round` with every `step`th call of each kind, until it says that nothing was killed. Gives how many were.
pub(crate) fn each(step: usize, mut round: impl FnMut(Call) -> bool) -> usize {
    let mut of_kind = |name| {
        let calls = (1..).step_by(step).map(|number| Call { name, number });
        calls.take_while(|call| round(*call)).count()
    };
    CALLS.into_iter().map(&mut of_kind).sum()
}

fn is_killed(command: &mut Command) -> bool {
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let ended = ended.unwrap();
    assert!(ended.success() || ended.signal() == KILLED, "{ended:?}");
    ended.signal() == KILLED
}

/// A sender that is killed at each call: the same command ends it, and it arrives once and whole.
pub(crate) fn of_a_send(step: usize) -> usize {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let to = b.to();
    each(step, |call| {
        let name = format!("{call}.bin");
        let content = bytes(call.number as u64, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let args = [
            "send",
            &name,
            "--to",
            &to,
            "--chunk-size",
            "64KiB",
            "--wait",
        ];
        let killed = is_killed(&mut killed_at(call, &homes.command("a", &args)));
        let before = arrived(&homes.home("b").join("received"), call);
        assert!(before.iter().all(|found| *found == content), "call {call}");
        homes.ok("a", &args);
        let after = arrived(&homes.home("b").join("received"), call);
        assert_eq!(after.len(), 1, "call {call}");
        assert!(after[0] == content, "call {call}");
        killed
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

/// A receiver that is killed at each call: nothing but the whole has its final name, and the same command ends it.
pub(crate) fn of_a_receive(step: usize) -> usize {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let folder = homes.path("folder");
    fs::create_dir_all(folder.join("empty")).unwrap();
    for (number, size) in [0, 1, 700, SIZE].into_iter().enumerate() {
        fs::write(
            folder.join(format!("{number}.bin")),
            bytes(number as u64, size),
        )
        .unwrap();
    }
    let sent = tree(&folder);
    homes.ok("a", &["share", "folder", "--chunk-size", "64KiB"]);
    each(step, |call| {
        let out = format!("in{call}");
        let args = ["receive", "--from", &a.to(), "--all", "--out", &out];
        let killed = is_killed(&mut killed_at(call, &homes.command("b", &args)));
        let there = homes.path(&out).join("folder");
        assert!(!there.exists() || tree(&there) == sent, "call {call}");
        let ran = homes.run("b", &args);
        assert_eq!(ran.code, 0, "call {call}: {}", ran.err);
        assert_eq!(tree(&there), sent, "call {call}");
        let entries = fs::read_dir(homes.path(&out)).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["folder"], "call {call}: {}", ran.err);
        fs::remove_dir_all(homes.path(&out)).unwrap();
        killed
    })
}

/// A serving peer that is killed at each call: the sender goes on with the one that comes after it.
pub(crate) fn of_a_serving_peer(step: usize) -> usize {
    let homes = Homes::new(&["b"]);
    let listen = homes.serve("b", &[]).to();
    each(step, |call| {
        let name = format!("{call}.bin");
        let content = bytes(call.number as u64, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let mut first = killed_at(call, &homes.command("b", &["serve", "--listen", &listen]));
        let first = first.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut first = Running(first.unwrap());
        let args = [
            "send",
            &name,
            "--to",
            &listen,
            "--chunk-size",
            "64KiB",
            "--wait",
        ];
        wait_for("the peer, or its end", || {
            first.has_ended() || std::net::TcpStream::connect(&listen).is_ok()
        });
        let mut sending = homes.command("a", &args);
        let sending = sending.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut sending = Running(sending.unwrap());
        wait_for("an end", || first.has_ended() || sending.has_ended());
        let killed = first.has_ended();
        drop(first);
        let before = arrived(&homes.home("b").join("received"), call);
        assert!(before.iter().all(|found| *found == content), "call {call}");
        let _b = homes.serve_on("b", &listen, &[]);
        // It goes on by itself, unless the peer was gone before it knew whom it talks to.
        wait_for("the end of the sender", || sending.has_ended());
        homes.ok("a", &args);
        let after = arrived(&homes.home("b").join("received"), call);
        assert_eq!(after.len(), 1, "call {call}");
        assert!(after[0] == content, "call {call}");
        killed
    })
}

/// A process that is ended with the test.
struct Running(Child);

impl Running {
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
