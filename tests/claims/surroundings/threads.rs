//! A system that allows few threads: a command works, or says what it lacks. It neither panics nor waits for ever.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
};

use testkit::{Homes, Ran, around, bytes, has, wait_for};

/// A user that has no other process.
fn lonely() -> u32 {
    600_000 + std::process::id() % 1_000_000
}

/// Two homes and the program, all of a user without other processes. None where that cannot be.
fn lonely_homes() -> Option<Homes> {
    if !rustix::process::geteuid().is_root() || !has("prlimit") {
        eprintln!("not tried: only root can become another user");
        return None;
    }
    let homes = Homes::new(&["b"]);
    testkit::copy_program(&homes.path("colis"));
    let mut chown = Command::new("chown");
    chown.args(["-R", &lonely().to_string()]);
    assert!(chown.arg(homes.path("")).status().unwrap().success());
    Some(homes)
}

/// `colis` of `home`, as that user, who may have `threads` threads.
fn lonely_command(homes: &Homes, home: &str, threads: usize, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    // The shell is the one that becomes the command.
    let script = format!("prlimit --nproc={threads} --pid $$ && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]);
    let mut colis = Command::new(homes.path("colis"));
    colis.arg("--home").arg(homes.home(home)).args(args);
    colis.env("COLIS_DISCOVERY", "false");
    let mut command = around(shell, colis.current_dir(homes.path("")));
    command.uid(lonely()).gid(lonely());
    command
}

fn ran(mut command: Command) -> Ran {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for("it ends", || child.try_wait().unwrap().is_some());
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn with_few_threads_a_command_works_or_says_so_and_ends() {
    let Some(homes) = lonely_homes() else {
        return;
    };
    fs::write(homes.path("f"), bytes(1, 3_000_000)).unwrap();
    let mut worked = false;
    for threads in [2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 32, 64, 200] {
        let out = format!("out{threads}");
        let seal = ["seal", "f", "--to", "b", "--out", &out];
        let ran = ran(lonely_command(&homes, "a", threads, &seal));
        let said = ran.err.contains("threads are needed") && ran.err.contains("hint: raise");
        match ran.code {
            0 => worked = true,
            7 if said && !worked => {}
            code => panic!("{threads} threads: {code}\n{}", ran.err),
        }
    }
    assert!(worked);
}

#[test]
fn threads_that_are_refused_later_make_a_peer_only_slower() {
    let Some(homes) = lonely_homes() else {
        return;
    };
    fs::write(homes.path("f"), bytes(1, 3_000_000)).unwrap();
    let serve = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let b = homes.serve_by("b", lonely_command(&homes, "b", 200, &serve));
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--nproc=1", "--pid", &b.id().to_string()]);
    // Its own user may lower it, root need not be allowed to.
    prlimit.uid(lonely()).gid(lonely());
    assert!(prlimit.status().unwrap().success());
    let to = b.to();
    let send = ["send", "f", "--to", &to, "--chunk-size", "64KiB"];
    let ran = ran(lonely_command(&homes, "a", 200, &send));
    assert_eq!(ran.code, 0, "{}", ran.err);
    let received = homes.home("b").join("received/f");
    wait_for("it is opened", || received.exists());
    assert!(fs::read(received).unwrap() == bytes(1, 3_000_000));
}
