//! A standard output that takes nothing costs lines, and never the work.

use std::{
    fs::{self, File},
    process::Stdio,
};

use colis::store::LocalStore;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Homes, bytes, wait_for};

/// A standard output that fails at the first line.
#[derive(Debug, Clone, Copy)]
enum Failing {
    /// Its reader has gone.
    Unread,
    /// It is on a full disk.
    Full,
}

impl Failing {
    fn stdout(self) -> Stdio {
        match self {
            Self::Unread => {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                writer.into()
            }
            Self::Full => File::options()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
        }
    }

    /// The exit code of a command that has done its work.
    fn code(self) -> i32 {
        match self {
            Self::Unread => 0,
            Self::Full => 7,
        }
    }

    /// Runs a command that must do its work, and says nothing of a reader that has gone.
    fn run(self, homes: &Homes, home: &str, args: &[&str]) {
        for json in [&["--json"][..], &[]] {
            let mut command = homes.command(home, &[json, args].concat());
            let ran = command.stdout(self.stdout()).output().unwrap();
            let err = String::from_utf8_lossy(&ran.stderr);
            assert_eq!(
                ran.status.code(),
                Some(self.code()),
                "{self:?} {args:?}: {err}"
            );
            let is_said = err.contains("colis: standard output: ");
            assert_eq!(is_said, self.code() == 7, "{self:?} {args:?}: {err}");
            // What has sent or received would do it a second time.
            let is_for_lines = ["list", "history"].contains(&args[0]);
            let again = err.contains("run it again");
            assert_eq!(again, is_said && is_for_lines, "{args:?}: {err}");
        }
    }
}

#[test]
fn what_is_asked_for_is_done_although_nobody_takes_its_lines() {
    for failing in [Failing::Unread, Failing::Full] {
        let homes = Homes::new(&["b"]);
        let b = homes.serve("b", &[]);
        fs::write(homes.path("f"), bytes(1, 3_000_000)).unwrap();
        let to = b.to();
        failing.run(&homes, "a", &["peers", "add", &to]);
        failing.run(&homes, "a", &["send", "f", "--to", "b", "--wait"]);
        failing.run(&homes, "a", &["share", "f"]);
        failing.run(
            &homes,
            "a",
            &["receive", "--mine", "--again", "--out", "fetched"],
        );
        failing.run(&homes, "a", &["seal", "f", "--to", "b", "--out", "sealed"]);
        failing.run(&homes, "b", &["open", "sealed", "--out", "opened"]);
        failing.run(&homes, "a", &["config"]);
        let received = homes.home("b").join("received/f");
        for file in [received, homes.path("fetched/f"), homes.path("opened/f")] {
            let there = fs::read(&file).unwrap_or_else(|e| panic!("{failing:?} {file:?}: {e}"));
            assert!(there == bytes(1, 3_000_000), "{failing:?} {file:?}");
        }
        failing.run(&homes, "a", &["list"]);
        failing.run(&homes, "a", &["history"]);
    }
}

#[test]
fn work_that_fails_says_so_by_its_own_code() {
    let homes = Homes::new(&[]);
    for failing in [Failing::Unread, Failing::Full] {
        let args = ["--json", "send", "nowhere", "--to", "localhost:1"];
        let mut command = homes.command("a", &args);
        let ran = command.stdout(failing.stdout()).output().unwrap();
        assert_eq!(ran.status.code(), Some(6), "{failing:?}");
    }
}

/// The table of signals in docs/operating.md, where lines are lost.
#[test]
fn what_is_ended_by_a_signal_says_by_its_code_whether_its_lines_were_lost() {
    for failing in [Failing::Unread, Failing::Full] {
        let homes = Homes::new(&["b"]);
        let chunks = homes.home("b").join("chunks");
        for (number, signal) in (1..).zip([Signal::TERM, Signal::INT]) {
            let args = [
                "--json",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--inbox",
                "ask",
            ];
            let mut serve = homes.command("b", &args);
            let mut serve = serve.stdout(failing.stdout()).spawn().unwrap();
            wait_for("it serves", || {
                LocalStore::serving_address(&chunks).is_some()
            });
            // A command that waits for what does not come.
            let to = LocalStore::serving_address(&chunks).unwrap();
            fs::write(homes.path("f"), format!("{signal:?}")).unwrap();
            let args = ["--json", "send", "f", "--to", &to, "--wait"];
            let mut send = homes.command("a", &args);
            let mut send = send.stdout(failing.stdout()).spawn().unwrap();
            let stored = || fs::read_dir(chunks.join("manifests")).unwrap().count() >= number;
            wait_for("it waits", stored);
            kill_process(Pid::from_child(&send), signal).unwrap();
            let code = if signal == Signal::TERM { 143 } else { 130 };
            assert_eq!(send.wait().unwrap().code(), Some(code), "{failing:?}");
            kill_process(Pid::from_child(&serve), signal).unwrap();
            assert_eq!(
                serve.wait().unwrap().code(),
                Some(failing.code()),
                "{failing:?}"
            );
        }
    }
}
