//! How much one transfer may have, and when that is said: before anything is sent.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use serde_json::Value;
use testkit::{Homes, Ran, around, bytes};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A file of holes: it takes no space.
fn holes(homes: &Homes, name: &str, size: u64) -> File {
    let file = File::create(homes.path(name)).unwrap();
    file.set_len(size).unwrap();
    File::open(homes.path(name)).unwrap()
}

/// What a dry run says of standard input.
fn streamed(homes: &Homes, stdin: impl Into<Stdio>, more: &[&str]) -> Ran {
    let send = ["send", "-", "--to", "b", "--dry-run"];
    let mut command = homes.command("a", &[&send[..], more].concat());
    Ran::from(command.stdin(stdin).output().unwrap())
}

#[test]
fn a_dry_run_says_what_a_send_would_say_of_too_large_a_file() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    holes(&homes, "f", 4 * TIB + 1);
    let send = ["send", "f", "--to", "b"];
    for args in [
        &send[..],
        &[&send[..], &["--dry-run"]].concat(),
        &["share", "f"],
    ] {
        let said = homes.fails("a", args, 2);
        assert!(
            said.contains("hint: a transfer has at most 4 TiB"),
            "{said}"
        );
    }
    // Chunks grow until it fits, in the dry run too.
    holes(&homes, "f", 100 * GIB);
    let said = homes.ok("a", &["--json", "send", "f", "--to", "b", "--dry-run"]);
    let said = said.lines().last().unwrap();
    let object: Value = serde_json::from_str(said).unwrap();
    assert_eq!(object["chunks"], 100 * 1024 / 2, "{said}");
}

#[test]
fn how_much_standard_input_may_have_is_said_at_once() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    for (more, limit) in [
        (&[][..], "up to 256 GiB; --chunk-size 64MiB for up to 4 TiB"),
        (&["--chunk-size", "64KiB"], "up to 4 GiB; --chunk-size"),
        (&["--chunk-size", "64MiB"], "up to 4 TiB"),
    ] {
        let ran = streamed(&homes, Stdio::piped(), more);
        assert!(ran.code == 0 && ran.err.contains(limit), "{}", ran.err);
    }
    // A file behind it has a size: it fits, or is refused before a byte of it is read.
    let ran = streamed(&homes, holes(&homes, "f", 300 * GIB), &[]);
    assert!(
        ran.code == 0 && !ran.err.contains("may have"),
        "{}",
        ran.err
    );
    let ran = streamed(&homes, holes(&homes, "f", 4 * TIB + 1), &[]);
    assert!(ran.code == 2 && ran.err.contains("4 TiB"), "{}", ran.err);
}

#[test]
fn a_stream_has_chunks_of_4_mib() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), bytes(1, 9 << 20)).unwrap();
    let mut cat = Command::new("cat");
    let mut cat = cat
        .arg(homes.path("f"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut share = homes.command("a", &["--json", "share", "-", "--name", "s"]);
    let ran = Ran::from(share.stdin(cat.stdout.take().unwrap()).output().unwrap());
    assert!(cat.wait().unwrap().success());
    let object: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    assert_eq!(object["chunks"], 3, "{}", ran.out);
    homes.ok("a", &["receive", "s", "--out", "out"]);
    assert!(fs::read(homes.path("out/s")).unwrap() == bytes(1, 9 << 20));
}

#[test]
fn a_standard_input_without_content_is_said_and_an_empty_one_is_sent() {
    let homes = Homes::new(&[]);
    let share = homes.command("a", &["share", "-", "--name", "s"]);
    let mut closed = Command::new("sh");
    closed.args(["-c", "exec \"$0\" \"$@\" <&-"]);
    let mut folder = Command::new("sh");
    folder.args(["-c", "exec \"$0\" \"$@\" </tmp"]);
    for (shell, said) in [(closed, "is closed"), (folder, "is a folder")] {
        let ran = Ran::from(around(shell, &share).output().unwrap());
        assert_eq!(ran.code, 2, "{}", ran.err);
        let said = format!("standard input {said}");
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    assert_eq!(homes.ok("a", &["list"]), "", "something was shared");
    homes.ok("a", &["share", "-", "--name", "s"]);
}

/// Every command that reads a standard descriptor, and what it says if that is closed.
const READING: [(&str, &[&str], &str); 6] = [
    ("<&-", &["share", "-"], "standard input is closed"),
    ("<&-", &["share", "--text", "-"], "standard input is closed"),
    (
        "<&-",
        &["seal", "-", "--out", "o", "--to", "a"],
        "standard input is closed",
    ),
    ("<&-", &["pair", "127.0.0.1:1"], "standard input is closed"),
    (
        "<&-",
        &["share", "f", "--password-fd", "0"],
        "descriptor 0 cannot be read: it is closed",
    ),
    (
        ">&-",
        &["share", "f", "--password-fd", "1"],
        "descriptor 1 cannot be read: it is closed",
    ),
];

#[test]
fn a_closed_descriptor_is_never_taken_for_an_empty_one() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "f").unwrap();
    for (redirection, args, said) in READING {
        // A home that has no circle yet is the one that pairs.
        let home = if args[0] == "pair" { "new" } else { "a" };
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]);
        let ran = Ran::from(around(shell, &homes.command(home, args)).output().unwrap());
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    assert_eq!(homes.ok("a", &["list"]), "", "something was shared");
    assert!(!homes.path("o").exists());
}

#[test]
fn content_is_never_given_to_a_closed_standard_output() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f"]);
    homes.ok("a", &["seal", "f", "--to", "b", "--out", "sealed"]);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    let giving: [(&str, &[&str]); 5] = [
        ("a", &["receive", "f", "--out", "-"]),
        ("b", &["open", "sealed", "--out", "-"]),
        ("b", &["inbox", "accept", "--all", "--out", "-"]),
        ("a", &["completions", "bash"]),
        ("a", &["man"]),
    ];
    for (home, args) in giving {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]);
        let ran = Ran::from(around(shell, &homes.command(home, args)).output().unwrap());
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        let said = "standard output is closed";
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    // Nothing was taken from the inbox, and `/dev/null` is a place like others.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" >/dev/null"]);
    let accept = homes.command("b", giving[2].1);
    let ran = Ran::from(around(shell, &accept).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains("nothing waits"), "{}", ran.err);
}
