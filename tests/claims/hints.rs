//! What fails says what to do about it, in the situation that the person is in.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::Command,
};

use testkit::{Homes, Ran, around};

#[test]
fn to_send_to_oneself_is_to_share() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "f").unwrap();
    for serves in [false, true] {
        let _serving = serves.then(|| homes.serve("a", &[]));
        let said = homes.fails("a", &["send", "f", "--to", "a"], 6);
        assert!(said.contains("a is this peer itself"), "{said}");
        assert!(said.contains("colis share PATH --to a"), "{said}");
    }
    homes.ok("a", &["share", "f", "--to", "a"]);
}

#[test]
fn the_home_of_another_user_is_said_to_be_one() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let (homes, elsewhere) = (Homes::new(&[]), tempfile::tempdir().unwrap());
    fs::set_permissions(elsewhere.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let colis = elsewhere.path().join("colis");
    testkit::copy_program(&colis);
    for words in [&["status"][..], &["serve"], &["list"]] {
        let mut command = Command::new(&colis);
        command.arg("--home").arg(homes.home("a")).args(words);
        command.uid(65534).gid(65534).current_dir(elsewhere.path());
        let ran = Ran::from(command.output().unwrap());
        assert_eq!(ran.code, 3, "{}", ran.err);
        assert!(
            ran.err.contains("hint: a home is for its owner"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_store_that_another_user_has_touched_is_said_to_be_his() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: only root can become another user");
        return;
    }
    let (homes, elsewhere) = (Homes::new(&[]), tempfile::tempdir().unwrap());
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f"]);
    for path in [homes.path("."), elsewhere.path().to_owned()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut owned = Command::new("chown");
    owned.arg("-R").arg("65534:65534").arg(homes.home("a"));
    assert!(owned.status().unwrap().success());
    let colis = elsewhere.path().join("colis");
    testkit::copy_program(&colis);
    let run = |words: &[&str]| {
        let mut command = Command::new(&colis);
        command.arg("--home").arg(homes.home("a")).args(words);
        command.uid(65534).gid(65534).current_dir(elsewhere.path());
        command.env("COLIS_DISCOVERY", "false");
        let ran = Ran::from(command.output().unwrap());
        format!("{}{}", ran.out, ran.err)
    };
    let said = run(&["gc"]);
    assert!(!said.contains("hint"), "{said}");
    // What `sudo colis` leaves behind.
    for name in ["LOCK", "FORMAT", "state/history.jsonl"] {
        let file = homes.home("a").join("chunks").join(name);
        std::os::unix::fs::chown(&file, Some(0), Some(0)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let hint = format!("{name} belongs to the user with the number 0");
        let command = match name {
            "state/history.jsonl" => &["history"][..],
            _ => &["gc"],
        };
        for words in [command, &["doctor"]] {
            let said = run(words);
            assert!(said.contains(&hint), "{words:?}: {said}");
        }
        std::os::unix::fs::chown(&file, Some(65534), Some(65534)).unwrap();
    }
}

#[test]
fn a_umask_takes_nothing_from_the_owner() {
    let homes = Homes::new(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0777; exec \"$0\" \"$@\""]);
    let init = homes.command("n", &["certs", "init", "--name", "n"]);
    let ran = Ran::from(around(shell, &init).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (name, mode) in [("certs", 0o700), ("certs/server-key.pem", 0o600)] {
        let metadata = fs::metadata(homes.home("n").join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn the_beginning_of_an_id_that_is_too_short_is_said_to_be_so() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    // What is only an id, and what may be a name too.
    let ids: [&[&str]; 5] = [
        &["inbox", "cancel", "abc"],
        &["inbox", "accept", "abc"],
        &["inbox", "refuse", "abc"],
        &["inbox", "list", "abc"],
        &["check", "b", "abc"],
    ];
    for args in ids {
        let said = homes.fails("a", args, 2);
        let needed = "abc is too short: an id needs at least 4 digits";
        assert!(said.contains(needed), "{args:?}: {said}");
    }
    let names: [&[&str]; 6] = [
        &["receive", "abc"],
        &["grant", "abc", "--to", "b"],
        &["peers", "role", "abc", "member"],
        &["peers", "block", "abc"],
        &["peers", "allow", "abc", "bank:atm"],
        &["peers", "forget", "abc"],
    ];
    for args in names {
        let said = homes.fails("a", args, 6);
        assert!(said.contains("give 4 digits or more"), "{args:?}: {said}");
        let long = args
            .iter()
            .map(|arg| if *arg == "abc" { "abcd" } else { arg });
        let said = homes.fails("a", &long.collect::<Vec<_>>(), 6);
        assert!(!said.contains("digits"), "{args:?}: {said}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_said_once() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "f").unwrap();
    let bad = "bad value";
    let words: [&[&str]; 12] = [
        &["peers", "allow", "a", bad],
        &["peers", "deny", "a", bad],
        &["peers", "role", "a", bad],
        &["serve", "--listen", bad],
        &["serve", "--inbox", bad],
        &["serve", "--auto-up-to", bad],
        &["serve", "--keep-opened", bad],
        &["serve", "--install", "--unit", bad],
        &["share", "f", "--chunk-size", bad],
        &["share", "f", "--expires", bad],
        &["receive", "f", "--limit", bad],
        &["history", "--number", bad],
    ];
    for args in words {
        let ran = homes.run("a", args);
        assert_ne!(ran.code, 0, "{args:?}");
        let first = ran.err.lines().next().unwrap();
        assert_eq!(first.matches(bad).count(), 1, "{args:?}: {first}");
    }
}
