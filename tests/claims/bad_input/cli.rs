//! Rows 67 to 75: the command line.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::fs::{FileExt as _, PermissionsExt as _, symlink},
    process::{Child, Stdio},
};

use rustix::{
    fs::{CWD, FileType, mknodat},
    process::{Pid, Signal, kill_process},
};

use testkit::site::{Site, assert_clean};
use testkit::{Homes, Ran, bytes, wait_for};

/// Fails with `code`, and says `what`.
fn fails(homes: &Homes, args: &[&str], code: i32, what: &str) {
    let said = homes.fails("a", args, code);
    assert!(said.contains(what), "{args:?} said {said}");
    assert_clean(&said);
}

fn homes_with_file() -> Homes {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    homes
}

pub(crate) fn row_67_commands_that_are_none() {
    let homes = homes_with_file();
    fs::create_dir(homes.path("d")).unwrap();
    fs::write(homes.path("d/f.txt"), "y").unwrap();
    for (args, what) in [
        (&["frobnicate"][..], "Usage: colis"),
        (&["send", "f.txt", "--frob"], "Usage: colis send"),
        (&["send"], "Usage: colis send"),
        (&["send", "f.txt", "--to"], "a value is required"),
        (&["receive", "--all", "x"], "cannot be used with"),
        (&["serve", "--inbox", "maybe"], "possible values"),
        (
            &["serve", "--listen", "nowhere"],
            "for instance 0.0.0.0:9443",
        ),
        (
            &["send", "f.txt", "--to", "a", "--jobs", "-1"],
            "unexpected argument",
        ),
    ] {
        fails(&homes, args, 2, what);
    }
    fails(
        &homes,
        &["share", "f.txt", "d/f.txt"],
        2,
        "two sources are called",
    );
    fails(
        &homes,
        &["share", "-", "f.txt"],
        2,
        "cannot be sent together",
    );
    fails(&homes, &["share", "-", "--name", ".."], 2, "cannot be sent");
}

pub(crate) fn row_68_a_password_on_the_command_line() {
    let homes = homes_with_file();
    let share = ["share", "f.txt"];
    let with = |more: &[&'static str]| [&share[..], more].concat();
    let equals = with(&["--password=correct horse"]);
    fails(&homes, &equals, 2, "no more were expected");
    let apart = with(&["--password", "correct horse"]);
    fails(
        &homes,
        &apart,
        6,
        "hint: a password is never on the command line",
    );
    fails(
        &homes,
        &with(&["--passphrase", "x"]),
        2,
        "unexpected argument",
    );
    assert_eq!(homes.ok("a", &["list"]), "", "something was shared");
}

pub(crate) fn row_69_passwords_of_bad_length() {
    let homes = homes_with_file();
    let share = |password: &[u8]| {
        fs::write(homes.path("pw"), password).unwrap();
        let args = ["share", "f.txt", "--password-file", "pw"];
        let ran = homes.run("a", &args);
        assert_clean(&ran.err);
        ran
    };
    let short = "correct hor".as_bytes();
    let long = [b'x'; 1025];
    for password in [&b""[..], b"\n", b"\r\n", short, &long, &[b'x'; 10_000]] {
        let ran = share(password);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("password-length"), "{}", ran.err);
    }
    let no_text = share(b"\xff\xfe is no text");
    assert_eq!(no_text.code, 2, "{}", no_text.err);
    assert!(
        no_text.err.contains("UTF-8") && no_text.err.contains("hint: "),
        "{}",
        no_text.err
    );
    let closed = ["share", "f.txt", "--password-fd", "99"];
    fails(&homes, &closed, 2, "descriptor 99");
    assert_eq!(homes.ok("a", &["list"]), "", "something was shared");
    assert_eq!(share(b"correct horse\r\n").code, 0);
    // Only the end of the line is no part of it.
    let open = |password: &[u8]| {
        fs::write(homes.path("pw"), password).unwrap();
        let args = ["receive", "--all", "--out", "out", "--password-file", "pw"];
        homes.run("a", &args).code
    };
    assert_eq!(open(b"correct horse"), 0);
    // From a descriptor, as a script gives it.
    let args = ["share", "f.txt", "--password-fd", "0"];
    let mut child = homes
        .command("a", &args)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"too short\n")
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

pub(crate) fn row_70_sources_that_cannot_be_sent() {
    let homes = homes_with_file();
    mknodat(CWD, homes.path("fifo"), FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(homes.path("socket")).unwrap();
    for (source, code, what) in [
        ("nothing.txt", 6, "nothing.txt"),
        ("f.txt/x", 7, "f.txt/x"),
        ("", 2, "a value is required"),
        ("fifo", 7, "fifo is a FIFO"),
        ("socket", 7, "socket is a socket"),
        ("/dev/null", 7, "/dev/null is a character device"),
        ("/proc/self/status", 7, "is not on a disk"),
        (
            "/sys/kernel/mm/transparent_hugepage/enabled",
            7,
            "is not on a disk",
        ),
        ("/", 2, "no name that could be sent"),
    ] {
        fails(&homes, &["share", source], code, what);
    }
    // Root may read everything.
    if !rustix::process::geteuid().is_root() {
        fs::write(homes.path("secret"), "").unwrap();
        fs::set_permissions(homes.path("secret"), fs::Permissions::from_mode(0o000)).unwrap();
        fails(&homes, &["share", "secret"], 7, "secret");
    }
    // In a folder what cannot be sent is left out, and said; a link is sent as a link.
    fs::create_dir(homes.path("d")).unwrap();
    symlink("/etc/passwd", homes.path("d/link")).unwrap();
    fs::rename(homes.path("fifo"), homes.path("d/fifo")).unwrap();
    assert_eq!(homes.ok("a", &["list"]), "", "something was shared");
    let ran = homes.run("a", &["share", "d"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("skipped d/fifo"), "{}", ran.err);
}

/// Chunks that `home` has on disk.
fn stored(homes: &Homes, home: &str) -> usize {
    let shards = fs::read_dir(homes.home(home).join("chunks/data"));
    let shards = shards.into_iter().flatten().flatten();
    shards
        .flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten())
        .count()
}

const SIZE: usize = 24 << 20;

/// `b` sends a large file to `a`, and has stored some of it already.
fn sending(site: &Site) -> Child {
    fs::write(site.homes.path("large.bin"), bytes(3, SIZE)).unwrap();
    let before = stored(&site.homes, "a");
    let to = site.serving.to();
    let send = ["send", "large.bin", "--to", &to, "--chunk-size", "64KiB"];
    let mut command = site.homes.command("b", &send);
    let child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    wait_for("chunks arrive", || stored(&site.homes, "a") > before + 2);
    child.unwrap()
}

/// What is arriving, or was begun, is listed too.
fn is_published(site: &Site) -> bool {
    let listed = site.homes.ok("a", &["--json", "list"]);
    listed.contains("\"event\":\"transfer\"")
}

pub(crate) fn row_71_a_source_that_changes() {
    let site = Site::default();
    let path = site.homes.path("large.bin");
    for change in [append, cut, write_and_set_time_back] {
        let child = sending(&site);
        change(&path);
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 5, "{}", ran.err);
        assert!(
            ran.err.contains("source-changed") && ran.err.contains("hint: "),
            "{}",
            ran.err
        );
        assert!(!is_published(&site), "it was published");
    }
    // Under its name is another file now: the one that was opened is sent, whole.
    let child = sending(&site);
    fs::write(path.with_extension("new"), bytes(4, SIZE)).unwrap();
    fs::rename(path.with_extension("new"), &path).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    site.homes.ok("a", &["receive", "--all", "--out", "out"]);
    let sent = fs::read(site.homes.path("out/large.bin")).unwrap();
    assert!(sent == bytes(3, SIZE));
    site.is_well();
}

fn append(path: &std::path::Path) {
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(b"more").unwrap();
}

/// Only what the system itself notes of the file tells of it.
fn write_and_set_time_back(path: &std::path::Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let before = file.metadata().unwrap().modified().unwrap();
    for at in [0, SIZE as u64 - 4] {
        file.write_all_at(b"edit", at).unwrap();
    }
    file.set_modified(before).unwrap();
}

fn cut(path: &std::path::Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(SIZE as u64 - 1).unwrap();
}

pub(crate) fn row_72_a_destination_that_takes_nothing() {
    let homes = homes_with_file();
    homes.ok("a", &["share", "f.txt"]);
    for out in ["/proc/colis-out", "/dev/null", "/dev/null/x", "f.txt"] {
        let ran = homes.run("a", &["receive", "f.txt", "--out", out]);
        assert!([6, 7].contains(&ran.code), "{out}: {}", ran.err);
        assert!(ran.err.contains(out), "{out}: {}", ran.err);
    }
    // A stream that is full.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = homes.command("a", &["receive", "f.txt", "--out", "-"]);
    let ran = Ran::from(command.stdout(full).output().unwrap());
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert_eq!(fs::read_to_string(homes.path("f.txt")).unwrap(), "x");
}

pub(crate) fn row_73_peers_that_nobody_knows() {
    let homes = homes_with_file();
    let said = homes.fails("a", &["send", "f.txt", "--to", "nobody"], 6);
    assert!(said.contains("no peer is called nobody"), "{said}");
    assert!(said.contains("colis peers add HOST"), "{said}");
    // A beginning of a name is no name; no name has capitals, so they do not matter.
    homes.ok("a", &["peers", "rename", "b", "berta"]);
    fails(&homes, &["list", "bert"], 6, "did you mean berta?");
    fails(&homes, &["list", "Berta"], 6, "no address of b is known");
    fails(&homes, &["list", "Brta"], 6, "did you mean berta?");
    homes.ok("a", &["peers", "rename", "berta", "b"]);
    fails(&homes, &["list", "b"], 6, "no address of b is known");
    fails(
        &homes,
        &["peers", "forget", "nobody"],
        6,
        "no peer is called nobody",
    );
}

pub(crate) fn row_74_interrupts_and_closed_outputs() {
    let site = Site::default();
    for signals in [1, 2] {
        let child = sending(&site);
        let pid = Pid::from_child(&child);
        for _ in 0..signals {
            let _ = kill_process(pid, Signal::INT);
        }
        let ran = Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ran.code, 130, "{}", ran.err);
        assert!(
            ran.err.contains("hint: run the same command again"),
            "{}",
            ran.err
        );
        assert!(!is_published(&site), "it was published");
    }
    let to = site.serving.to();
    let again = ["send", "large.bin", "--to", &to, "--chunk-size", "64KiB"];
    let ran = site.homes.run("b", &again);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.err.contains("already there"),
        "it begins anew: {}",
        ran.err
    );
    // A reader of a part of a long list or file wants no more, and is told nothing.
    let list = ["list", "a", "--chunks"];
    let content = ["receive", "large.bin", "--from", "a", "--out", "-"];
    for args in [&list[..], &content] {
        let mut child = site.homes.command("b", args);
        let mut child = child
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0; 10]).unwrap();
        drop(out);
        let ran = Ran::from(child.wait_with_output().unwrap());
        // How long the list is belongs to no part of it.
        let told = ran.err.lines().filter(|line| !line.contains(" chunks, "));
        assert_eq!((ran.code, told.count()), (0, 0), "{args:?}: {}", ran.err);
    }
    site.is_well();
}

pub(crate) fn row_75_addresses_that_are_none() {
    let homes = homes_with_file();
    for address in [
        "host:99999",
        "host:0",
        "host:",
        "host:-1",
        "[::1",
        "[x]:1",
        "http://host",
        "https://host:1/",
        "a b",
        "a/b",
        "user@host",
        "1.2.3",
        "0x7f.1",
        "\u{1b}[31m",
        "h\u{f4}st",
        "-",
        ":8443",
    ] {
        let to = format!("--to={address}");
        fails(&homes, &["send", "f.txt", &to], 2, "bad address");
        if address != "-" {
            fails(&homes, &["list", address], 2, "bad address");
        }
    }
}
