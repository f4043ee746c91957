//! One process at a time in a home, and nobody else in its memory.

use std::{
    fs,
    io::Read as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use testkit::{Homes, has, rounds, wait_for};

/// Who may do nothing here: `nobody`.
const NOBODY: [&str; 4] = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];

#[test]
fn a_second_peer_of_a_home_is_told_who_has_it_and_a_dead_one_has_nothing() {
    let (homes, rounds) = (Homes::new(&[]), rounds(3));
    let mut serving = homes.serve("a", &[]);
    let mut slowest = [Duration::ZERO; 2];
    for _ in 0..rounds {
        let began = Instant::now();
        let said = homes.fails("a", &["serve", "--listen", "127.0.0.1:0"], 9);
        slowest[0] = slowest[0].max(began.elapsed());
        assert!(
            said.contains(&format!("process {}", serving.id())),
            "{said}"
        );
        serving.kill();
        let began = Instant::now();
        serving = homes.serve("a", &[]);
        slowest[1] = slowest[1].max(began.elapsed());
    }
    let [refused, started] = slowest;
    eprintln!("{rounds} rounds: refused within {refused:?}, started again within {started:?}");
    let bound = Duration::from_secs(3);
    assert!(refused < bound && started < bound);
}

/// Kills `command` by a fault of its own as soon as `is_up`. Gives the files that it left in `folder`.
fn crash(folder: &Path, mut command: Command, is_up: impl Fn(&mut Child)) -> Vec<String> {
    fs::create_dir(folder).unwrap();
    let mut child = command.current_dir(folder).spawn().unwrap();
    is_up(&mut child);
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // The first one only ends the watch that Rust keeps over its stacks.
    let mut ended = None;
    wait_for("it has crashed", || {
        ended = ended.or_else(|| child.try_wait().unwrap());
        ended.is_some() || kill_process(id, Signal::SEGV).is_err()
    });
    let ended = ended.unwrap();
    assert_eq!(ended.signal(), Some(11), "{ended}");
    let left = fs::read_dir(folder).unwrap();
    left.map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// `program`, where a core may be as large as it likes.
fn dumpable(program: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c unlimited; exec {program}")]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn says_something(child: &mut Child) {
    let mut byte = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut byte)
        .unwrap();
}

#[test]
fn a_crash_leaves_no_memory_on_the_disk() {
    let homes = Homes::new(&[]);
    let other = "sh -c 'echo up; exec sleep 100'";
    if crash(&homes.path("other"), dumpable(other), says_something).is_empty() {
        eprintln!("not tried: the system writes no cores here");
        return;
    }
    let (colis, home) = (testkit::program(), homes.home("a"));
    let serve = format!(
        "{} --home {} --json serve --listen 127.0.0.1:0",
        colis.display(),
        home.display()
    );
    let left = crash(&homes.path("crashed"), dumpable(&serve), says_something);
    assert_eq!(left, [""; 0], "a core was written");
}

/// `command` as nobody.
fn as_nobody(command: &[&str]) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(NOBODY).args(command);
    setpriv
}

fn can_read(file: &str, id: u32) -> bool {
    let path = format!("/proc/{id}/{file}");
    let read = as_nobody(&["head", "-c", "1", &path]).output().unwrap();
    read.status.success() && !read.stdout.is_empty()
}

#[test]
fn other_processes_of_the_same_user_do_not_read_its_memory() {
    if !rustix::process::geteuid().is_root() || !has("setpriv") {
        eprintln!("not tried: only root can become somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let colis = folder.path().join("colis");
    testkit::copy_program(&colis);
    let chown = Command::new("chown")
        .args(["-R", "65534:65534"])
        .arg(folder.path())
        .status();
    assert!(chown.unwrap().success());
    let (colis, home) = (colis.to_str().unwrap(), folder.path().join("home"));
    let home = home.to_str().unwrap();
    let made = as_nobody(&[colis, "--home", home, "certs", "init", "--name", "n"]).output();
    assert!(made.unwrap().status.success());
    let mut other = as_nobody(&["sleep", "100"]).spawn().unwrap();
    wait_for("the other is nobody", || can_read("environ", other.id()));
    let mut serve = as_nobody(&[
        colis,
        "--home",
        home,
        "serve",
        "--json",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut serving = serve
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    says_something(&mut serving);
    let read: Vec<_> = ["environ", "maps", "auxv"]
        .into_iter()
        .filter(|f| can_read(f, serving.id()))
        .collect();
    let attached = has("gdb").then(|| attach(serving.id()));
    for child in [&mut serving, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(read, [""; 0], "another process read these");
    assert_ne!(attached, Some(true), "a debugger was let in");
}

/// Whether a debugger of the same user gets in.
fn attach(id: u32) -> bool {
    let id = id.to_string();
    let said = as_nobody(&["gdb", "-p", &id, "-batch", "-ex", "info registers"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&said.stdout).contains("rip")
}
