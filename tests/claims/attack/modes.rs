//! What others on the machine can read of a home, and which folders become one.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Homes, Ran, around, bytes, wait_for};

const CONFIG: i32 = 3;

/// Made for others, and in a folder that others cannot enter.
const PUBLIC: [&str; 4] = [
    "certs/ca-cert.pem",
    "certs/server-cert.pem",
    "certs/client-cert.pem",
    "certs/crl.pem",
];

/// With a umask that takes nothing away.
fn open_handed(inner: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    around(shell, inner)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode()
}

/// What others can read or write below `folder`, which they can enter.
fn exposed(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| mode(path) & 0o077 != 0).collect()
}

/// Everything below `folder` that is not for its owner alone.
fn not_private(folder: &Path) -> Vec<PathBuf> {
    let mut found = exposed(folder);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(not_private(&path));
        }
    }
    found
}

struct OpenHomes(Homes);

impl OpenHomes {
    fn ok(&self, home: &str, args: &[&str]) -> String {
        let command = self.0.command(home, args);
        let ran = Ran::from(open_handed(&command).output().unwrap());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    }

    fn check(&self, after: &str) {
        for name in ["a", "b"] {
            let home = self.0.home(name);
            let found = exposed(&home);
            assert!(found.is_empty(), "{name} after {after}: {found:?}");
            let mut found = not_private(&home);
            found.retain(|path| !PUBLIC.iter().any(|name| path.ends_with(name)));
            // Its files have the modes that their person gets; the folder keeps others out.
            found.retain(|path| path.parent() != Some(&home.join("received")));
            assert!(found.is_empty(), "{name} after {after}: {found:?}");
        }
    }
}

#[test]
fn nothing_in_a_home_that_others_can_enter_is_readable_by_them() {
    let homes = OpenHomes(Homes::new(&[]));
    for name in ["a", "b"] {
        let home = homes.0.home(name);
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    }
    homes.ok("a", &["certs", "init", "--name", "a"]);
    let certs = homes.0.home("b").join("certs");
    homes.ok(
        "a",
        &["certs", "issue", "b", "--out", certs.to_str().unwrap()],
    );
    homes.ok("a", &["config", "init"]);
    homes.ok("b", &["config", "set", "jobs", "2"]);
    homes.check("init");
    let mut serve = homes.0.command("b", &["--json", "serve"]);
    serve.args(["--listen", "127.0.0.1:0"]);
    let serving = homes.0.serve_by("b", open_handed(&serve));
    let to = serving.to();
    fs::write(homes.0.path("large"), bytes(1, 8 << 20)).unwrap();
    fs::write(homes.0.path("small"), "small").unwrap();
    let slow = ["send", "large", "--to", &to, "--limit", "1MiB"];
    let mut sending = open_handed(&homes.0.command("a", &slow)).spawn().unwrap();
    let journals = homes.0.home("a").join("chunks/state/sending");
    wait_for("a journal", || {
        fs::read_dir(&journals).is_ok_and(|all| all.count() > 0)
    });
    sending.kill().unwrap();
    sending.wait().unwrap();
    homes.check("a send that was killed, without a store");
    homes.ok("a", &["send", "small", "--to", &to, "--wait"]);
    homes.ok("a", &["send", "--text", "hello", "--to", &to, "--wait"]);
    homes.ok("a", &["share", "small", "--to", "b"]);
    homes.check("send, serve and share");
    let logs = fs::read_dir(homes.0.home("b").join("logs")).unwrap();
    assert!(logs.count() > 0, "a serving peer keeps a log");
    drop(serving);
    homes.ok("a", &["receive", "--all"]);
    homes.ok("b", &["receive", "--all"]);
    homes.check("receive");
}

/// The program in `folder`, without a home that is named.
fn run_in(homes: &Homes, folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(homes.command("a", &[]).get_program());
    command.args(args).current_dir(folder);
    command
        .env_remove("COLIS_HOME")
        .env("COLIS_DISCOVERY", "false");
    command.env("HOME", homes.path("nobody"));
    Ran::from(command.output().unwrap())
}

#[test]
fn a_home_that_came_in_an_archive_is_not_the_home_of_who_unpacks_it() {
    let homes = Homes::new(&["b"]);
    // A command that only looks marks no home as ours.
    homes.ok("b", &["list"]);
    assert_eq!(
        run_in(&homes, &homes.home("b"), &["status"]).code,
        0,
        "it was named"
    );
    let (archive, gift) = (homes.path("gift.tar"), homes.path("gift"));
    fs::create_dir(&gift).unwrap();
    for (mode, from) in [("-cpf", homes.path("")), ("-xpf", gift.clone())] {
        let mut tar = Command::new("tar");
        tar.arg(mode).arg(&archive).arg("-C").arg(from).arg("b");
        assert!(tar.status().unwrap().success());
    }
    let unpacked = gift.join("b");
    let refused = run_in(&homes, &unpacked, &["status"]);
    assert_eq!(refused.code, CONFIG, "{}", refused.out);
    assert!(refused.err.contains("colis --home ."), "{}", refused.err);
    let moved = homes.path("moved");
    fs::rename(homes.home("b"), &moved).unwrap();
    assert_eq!(run_in(&homes, &moved, &["status"]).code, 0, "moved by hand");
    assert_eq!(run_in(&homes, &unpacked, &["--home", ".", "list"]).code, 0);
    assert_eq!(run_in(&homes, &unpacked, &["status"]).code, 0, "named once");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_others_can_write_of_who_is_a_member_is_refused_with_what_mends_it() {
    let homes = Homes::new(&["b"]);
    let commands: [&[&str]; 7] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["send", "f.txt", "--to", "b"],
        &["share", "f.txt"],
        &["peers"],
        &["status"],
        &["certs", "issue", "c", "--out", "c"],
        &["certs", "show"],
    ];
    fs::write(homes.path("f.txt"), "f").unwrap();
    for (name, opened) in [
        ("certs", 0o777),
        ("certs/ca-cert.pem", 0o666),
        ("certs/crl.pem", 0o664),
        ("certs/peers.json", 0o606),
        ("certs/issued.jsonl", 0o666),
        ("certs/server-cert.pem", 0o646),
    ] {
        let path = homes.home("a").join(name);
        let before = mode(&path) & 0o7777;
        set_mode(&path, opened);
        let chmod = format!("chmod go-w {}", path.display());
        for args in commands {
            let said = homes.fails("a", args, CONFIG);
            assert!(
                said.contains(&format!("hint: {chmod}\n")),
                "{name} {args:?}: {said}"
            );
        }
        assert!(!homes.path("c").exists(), "{name}");
        let doctor = homes.run("a", &["doctor"]);
        let all = doctor.out + &doctor.err;
        assert!(
            doctor.code == CONFIG && all.contains(&chmod),
            "{name}: {all}"
        );
        assert!(
            Command::new("sh")
                .args(["-c", &chmod])
                .status()
                .unwrap()
                .success()
        );
        homes.ok("a", &["peers"]);
        set_mode(&path, before);
    }
}

#[test]
fn a_home_and_settings_that_everybody_can_write_are_said() {
    let homes = Homes::new(&[]);
    let home = homes.home("a");
    homes.ok("a", &["config", "set", "jobs", "2"]);
    for (path, opened, before) in [
        (home.clone(), 0o777, 0o700),
        (home.join("colis.toml"), 0o666, 0o600),
    ] {
        set_mode(&path, opened);
        let chmod = format!("chmod go-w {}", path.display());
        for args in [["status"], ["doctor"]] {
            let ran = homes.run("a", &args);
            let all = ran.out + &ran.err;
            assert!(all.contains(&chmod), "{args:?}: {all}");
        }
        set_mode(&path, before);
    }
    // In a folder with the sticky bit nobody can replace what is ours.
    set_mode(&home, 0o1777);
    assert!(!homes.ok("a", &["status"]).contains("chmod"));
}
