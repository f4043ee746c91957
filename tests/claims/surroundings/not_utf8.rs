//! Paths that are no UTF-8: nothing panics on them, and nothing that was asked for is left undone.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Homes, Ran, wait_for};

/// A member that is called `b` and whose home is no UTF-8.
const HOME: &[u8] = b"h\xe9";

fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

fn odd_home(homes: &Homes) -> PathBuf {
    let home = homes.path("b").with_file_name(name(HOME));
    fs::rename(homes.home("b"), &home).unwrap();
    home
}

fn in_home(homes: &Homes, home: &Path, args: &[&OsStr]) -> Command {
    let mut command = homes.command("a", &[]);
    let mut odd = Command::new(command.get_program());
    odd.arg("--home").arg(home).args(args);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => odd.env(name, value),
            None => odd.env_remove(name),
        };
    }
    odd.current_dir(command.get_current_dir().unwrap());
    command.stdin(std::process::Stdio::null());
    odd.stdin(std::process::Stdio::null());
    odd
}

#[track_caller]
fn ran(command: &mut Command, code: i32) -> Ran {
    let ran = Ran::from(command.output().unwrap());
    assert_eq!(ran.code, code, "{command:?}: {} {}", ran.out, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

#[test]
fn every_command_works_in_a_home_that_is_no_utf8() {
    let homes = Homes::new(&["b"]);
    let home = odd_home(&homes);
    let a = homes.serve("a", &["--inbox", "off"]);
    let (to, file) = (a.to(), homes.path("f"));
    fs::write(&file, "x").unwrap();
    for json in [false, true] {
        let out = if json { "kept" } else { "sealed" };
        for args in [
            &["config", "set", "inbox", "off"][..],
            &["config", "show"],
            &["config"],
            &["certs", "show"],
            &["peers", "add", &to],
            &["peers"],
            &["peers", "check", "a"],
            &["send", "f", "--to", "a"],
            &["share", "f", "--to", "a"],
            &["seal", "f", "--to", "a", "--out", out],
            &["list"],
            &["list", "a"],
            &["receive", "--all"],
            &["inbox"],
            &["history"],
            &["check", "--read-data"],
            &["gc"],
            &["status"],
        ] {
            let mut words: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
            if json {
                words.insert(0, OsStr::new("--json"));
            }
            let said = ran(&mut in_home(&homes, &home, &words), 0);
            assert!(!json || said.err.is_empty(), "{args:?}: {}", said.err);
        }
        fs::remove_file(home.join("colis.toml")).unwrap();
        let init: &[&OsStr] = match json {
            true => &["--json".as_ref(), "config".as_ref(), "init".as_ref()],
            false => &["config".as_ref(), "init".as_ref()],
        };
        ran(&mut in_home(&homes, &home, init), 0);
    }
    let doctor = ["doctor", "--listen", "127.0.0.1:0"].map(OsStr::new);
    let said = Ran::from(in_home(&homes, &home, &doctor).output().unwrap());
    assert!(
        !said.err.contains("panicked") && said.code != 101,
        "{said:?}"
    );
}

#[test]
fn a_setting_of_such_a_home_says_where_it_stands() {
    let homes = Homes::new(&["b"]);
    let home = odd_home(&homes);
    let words = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
    for (args, field) in [
        (words(&["--json", "config", "set", "jobs", "3"]), "path"),
        (words(&["--json", "config", "show"]), "where"),
        (words(&["--json", "status"]), "home"),
    ] {
        let args: Vec<_> = args.iter().map(OsString::as_os_str).collect();
        let said = ran(&mut in_home(&homes, &home, &args), 0).out;
        assert!(
            said.contains("h\u{fffd}") && said.contains(&format!("\"{field}\":")),
            "{said}"
        );
    }
}

#[test]
fn arrivals_are_shown_by_a_peer_whose_home_is_no_utf8() {
    let homes = Homes::new(&["b"]);
    let home = odd_home(&homes);
    let serve = ["--json", "serve", "--listen", "127.0.0.1:0"].map(OsStr::new);
    let b = homes.serve_by("b", in_home(&homes, &home, &serve));
    for number in 1..=2 {
        fs::write(homes.path("f"), number.to_string()).unwrap();
        homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
        wait_for("the arrival", || {
            let said = b.said();
            let opened = said.iter().filter(|said| said["state"] == "opened");
            let mut shown = opened.map(|said| said["paths"][0].as_str().unwrap().to_owned());
            shown.all(|path| path.contains("h\u{fffd}/received/f"))
                && said
                    .iter()
                    .filter(|said| said["event"] == "arrival")
                    .count()
                    == number
        });
    }
    assert!(!homes.log("b").contains("panicked"), "{}", homes.log("b"));
}

#[test]
fn sources_and_destinations_may_be_no_utf8() {
    let homes = Homes::new(&["b"]);
    let root = homes.path("");
    let (source, out) = (root.join(name(b"s\xe9")), root.join(name(b"o\xe9")));
    fs::create_dir(&source).unwrap();
    fs::write(source.join(name(b"f\xe9")), "x").unwrap();
    for json in [&[][..], &["--json"]] {
        let of = |home: &str, args: &[&str]| homes.command(home, &[json, args].concat());
        ran(of("a", &["share"]).arg(&source), 0);
        ran(of("a", &["receive", "--all", "--out"]).arg(&out), 0);
        let sealed = root.join(name(if json.is_empty() { b"t\xe9" } else { b"u\xe9" }));
        let mut seal = of("a", &["seal", "--to", "a", "--out"]);
        ran(seal.arg(&sealed).arg(&source), 0);
        ran(of("a", &["open"]).arg(&sealed).arg("--out").arg(&out), 0);
        let pages = root.join(name(b"p\xe9"));
        ran(of("a", &["man", "--out"]).arg(&pages), 0);
        let issued = root.join(name(if json.is_empty() { b"i\xe9" } else { b"j\xe9" }));
        let name = if json.is_empty() { "c" } else { "d" };
        ran(of("a", &["certs", "issue", name, "--out"]).arg(&issued), 0);
        ran(of(name, &["certs", "import"]).arg(&issued), 0);
    }
    assert!(fs::read_dir(&out).unwrap().next().is_some());
}
