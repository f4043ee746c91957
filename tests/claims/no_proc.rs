//! A machine, or a container, on which /proc is not mounted.

use std::{
    fs,
    process::{Command, Output},
};

use testkit::{Homes, around};

/// `colis` in a mount namespace where an empty folder is mounted over /proc; `None`, said, where that cannot be.
fn without_proc(homes: &Homes, home: &str, args: &[&str]) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "sh", "-c"]);
    outer.arg("mount -t tmpfs none /proc && exec \"$@\"");
    outer.arg("sh");
    around(outer, &homes.command(home, args))
}

fn can_be_tried() -> bool {
    let tried = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "none", "/proc"])
        .output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        eprintln!("not tried: nothing can be mounted over /proc here");
    }
    can
}

#[track_caller]
fn ok(ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{said}");
}

#[test]
fn everything_works_without_proc() {
    if !can_be_tried() {
        return;
    }
    let homes = Homes::new(&["b"]);
    fs::create_dir_all(homes.path("d/sub")).unwrap();
    fs::write(homes.path("d/sub/f"), vec![7; 3_000_000]).unwrap();
    let serve = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let serving = homes.serve_by("a", without_proc(&homes, "a", &serve));
    let to = serving.to();
    let run = |home, args: &[&str]| without_proc(&homes, home, args).output().unwrap();
    ok(&run("b", &["send", "d", "--to", &to, "--wait"]));
    let opened = fs::read(homes.home("a").join("received/d/sub/f")).unwrap();
    assert_eq!(opened, vec![7; 3_000_000]);
    ok(&run("a", &["share", "d"]));
    ok(&run("b", &["receive", "d", "--from", &to, "--out", "o"]));
    assert_eq!(
        fs::read(homes.path("o/d/sub/f")).unwrap(),
        vec![7; 3_000_000]
    );
    assert!(!homes.path("o/.colis").exists());
    ok(&run("a", &["status"]));
    ok(&run("a", &["check", "--read-data"]));
    drop(serving);
}
