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

/// Runs `colis` of `home` as a user that may have `threads` threads.
fn run_with(homes: &Homes, threads: usize, args: &[&str]) -> Ran {
    let mut shell = Command::new("sh");
    // The shell is the one that becomes the command.
    let script = format!("prlimit --nproc={threads} --pid $$ && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]);
    let mut colis = Command::new(homes.path("colis"));
    colis.arg("--home").arg(homes.home("a")).args(args);
    let mut command = around(shell, colis.current_dir(homes.path("")));
    command.uid(lonely()).gid(lonely());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for("it ends", || child.try_wait().unwrap().is_some());
    Ran::from(child.wait_with_output().unwrap())
}

#[test]
fn with_few_threads_a_command_works_or_says_so_and_ends() {
    if !rustix::process::geteuid().is_root() || !has("prlimit") {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), bytes(1, 3_000_000)).unwrap();
    testkit::copy_program(&homes.path("colis"));
    let mut chown = Command::new("chown");
    chown.args(["-R", &lonely().to_string()]);
    assert!(chown.arg(homes.path("")).status().unwrap().success());
    let mut worked = false;
    for threads in [2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 32, 64, 200] {
        let out = format!("out{threads}");
        let seal = ["seal", "f", "--to", "b", "--out", &out];
        let ran = run_with(&homes, threads, &seal);
        let said = ran.err.contains("threads are needed") && ran.err.contains("hint: raise");
        match ran.code {
            0 => worked = true,
            7 if said && !worked => {}
            code => panic!("{threads} threads: {code}\n{}", ran.err),
        }
    }
    assert!(worked);
}
