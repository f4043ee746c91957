//! Setting, changing and removing it, killed at any call that changes the folder: every key opens with what was before or after.

use std::{fs, process::Command};

use testkit::{Homes, around, has};

use super::{OTHER, PASSPHRASE, keys, secret};

/// The calls by which a file gets or loses a name.
const CALLS: &str = "rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir,linkat";

/// Runs `args`, which are killed before that call. Returns whether they were.
fn killed_at(homes: &Homes, number: usize, args: &[&str]) -> bool {
    let log = homes.path("strace.log");
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-o"]).arg(&log);
    strace.args(["-e", &format!("trace={CALLS}"), "-e"]);
    strace.arg(format!("inject={CALLS}:signal=KILL:when={number}"));
    let ended = around(strace, &homes.command("a", args)).output().unwrap();
    assert!(
        ended.status.success() || ended.status.code().is_none(),
        "{ended:?}"
    );
    !ended.status.success()
}

/// Whether the keys open with what is in this file, or without a passphrase.
fn opens(homes: &Homes, file: Option<&str>) -> bool {
    let given: &[&str] = match &file {
        Some(file) => &["--key-passphrase-file", file],
        None => &[],
    };
    // It reads every key: those of the peer, and that of the circle.
    homes
        .run("a", &[given, &["certs", "renew-circle"]].concat())
        .code
        == 0
        && homes.run("a", &[given, &["list"]].concat()).code == 0
}

/// A change: its arguments, and the files with the passphrase before it and after.
type Change = (
    &'static [&'static str],
    Option<&'static str>,
    Option<&'static str>,
);

const CHANGES: [Change; 3] = [
    (
        &["certs", "passphrase", "set", "--new-file", "secret"],
        None,
        Some("secret"),
    ),
    (
        &[
            "--key-passphrase-file",
            "secret",
            "certs",
            "passphrase",
            "set",
            "--new-file",
            "other",
        ],
        Some("secret"),
        Some("other"),
    ),
    (
        &[
            "--key-passphrase-file",
            "other",
            "certs",
            "passphrase",
            "remove",
        ],
        Some("other"),
        None,
    ),
];

#[test]
fn killed_anywhere_every_key_opens_with_the_old_or_the_new() {
    if !has("strace") {
        eprintln!("not tried: no strace");
        return;
    }
    let homes = Homes::new(&[]);
    secret(&homes, "secret", PASSPHRASE);
    secret(&homes, "other", OTHER);
    let plain = keys(&homes, "a").map(|key| fs::read(key).unwrap());
    let saved = homes.path("saved");
    for (args, before, after) in CHANGES {
        copy(&homes.home("a"), &saved);
        let (mut olds, mut news) = (0, 0);
        for number in 1.. {
            if !killed_at(&homes, number, args) {
                break;
            }
            let (old, new) = (opens(&homes, before), opens(&homes, after));
            assert!(old || new, "{args:?} at {number}: the keys are lost");
            // Where the keys have no passphrase, one that is given is no mistake.
            match new && !(old && before.is_none()) {
                true => news += 1,
                false => olds += 1,
            }
            let half = half_changed(&homes);
            assert_eq!(half, [""; 0], "{args:?} {number}: not finished");
            copy(&saved, &homes.home("a"));
        }
        assert!(olds > 2 && news > 2, "{args:?}: {olds}, {news}");
        assert!(opens(&homes, after));
    }
    assert_eq!(keys(&homes, "a").map(|key| fs::read(key).unwrap()), plain);
}

/// What is left of a change that was not finished.
fn half_changed(homes: &Homes) -> Vec<String> {
    let left = fs::read_dir(homes.home("a").join("certs")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    left.filter(|name| name.starts_with("keys-")).collect()
}

/// Puts a copy of the folder `from` in the place of `to`.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let _ = fs::remove_dir_all(to);
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
