//! What is not as it was sent is said: names that were changed, links that were left out.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use testkit::{
    Homes, Ran, Serving,
    disk::{self, Disk},
    wait_for,
};

/// A folder with names that no receiver keeps, and links through each of them.
fn folder(homes: &Homes) {
    for folder in ["d", "d/cur", "d/x:y", "d/x:y/in"] {
        fs::create_dir(homes.path(folder)).unwrap();
    }
    for file in [
        "d/a:b",
        "d/aux.c",
        "d/cur/1.host:2,S",
        "d/x:y/end.",
        "d/x:y/in/la.st.",
        "d/plain",
    ] {
        fs::write(homes.path(file), file).unwrap();
    }
    for (link, target) in [
        ("d/1", "a:b"),
        ("d/2", "cur/1.host:2,S"),
        ("d/cur/3", "../x:y/end."),
        ("d/4", "x:y"),
        ("d/x:y/5", "../aux.c"),
        ("d/6", "plain"),
        ("d/cur/up", "../x:y/in"),
        ("d/far", "cur/up"),
        ("d/7", "far/la.st."),
    ] {
        symlink(target, homes.path(link)).unwrap();
    }
}

const LINKS: [&str; 7] = ["1", "2", "cur/3", "4", "x_y/5", "6", "7"];
const RENAMED: [(&str, &str); 6] = [
    ("d/a:b", "d/a_b"),
    ("d/aux.c", "d/_aux.c"),
    ("d/cur/1.host:2,S", "d/cur/1.host_2,S"),
    ("d/x:y", "d/x_y"),
    ("d/x:y/end.", "d/x_y/end_"),
    ("d/x:y/in/la.st.", "d/x_y/in/la.st_"),
];

fn object(said: &str, event: &str) -> Value {
    let mut objects = said.lines().map(|line| serde_json::from_str(line).unwrap());
    objects
        .rfind(|object: &Value| object["event"] == event)
        .unwrap()
}

/// Waits for what `serving` says of an arrival.
fn arrival(serving: &Serving) -> Value {
    let arrived = || {
        serving
            .said()
            .into_iter()
            .find(|said| said["event"] == "arrival")
    };
    wait_for("it arrives", || arrived().is_some());
    arrived().unwrap()
}

#[test]
fn changed_names_are_said_and_links_follow_them() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    folder(&homes);
    homes.ok("a", &["share", "d"]);
    for round in 0..2 {
        let ran = homes.run("a", &["receive", "d", "--out", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let json = homes.ok("a", &["--json", "receive", "d", "--out", "out"]);
        let said = object(&json, "received");
        assert_eq!(said["renamed"], json!(RENAMED), "{round}");
        for (from, to) in RENAMED {
            let line = format!("{from} is called {to} here: ");
            assert!(ran.err.contains(&line), "{round} {line}: {}", ran.err);
        }
    }
    homes.ok("a", &["send", "d", "--to", &b.to(), "--wait"]);
    assert_eq!(arrival(&b)["renamed"], json!(RENAMED));
    wait_for("it is logged", || {
        homes.log("b").contains("names were changed")
    });
    assert!(!homes.log("b").contains("aux.c"), "a log has no names");
    for root in [homes.path("out/d"), homes.home("b").join("received/d")] {
        for link in LINKS {
            let there = fs::metadata(root.join(link));
            assert!(there.is_ok(), "{link} leads nowhere in {}", root.display());
        }
    }
}

/// Links of a folder with twins, also through folders and links that have twins themselves.
const TWINS: [(&str, &str); 11] = [
    ("d/1", "README"),
    ("d/2", "readme"),
    ("d/3", "SUB/x"),
    ("d/4", "sub/x"),
    ("d/SUB/5", "../sub/X"),
    ("d/sub/6", "../SUB/x"),
    ("d/VIA", "SUB"),
    ("d/via", "sub"),
    ("d/7", "VIA/x"),
    ("d/8", "via/X"),
    ("d/SUB/9", "./..//via/x"),
];

#[test]
fn links_among_twins_lead_to_what_they_led_to() {
    let Some(disk) = Disk::mount(disk::case, 1000) else {
        return;
    };
    let homes = Homes::new(&[]);
    for folder in ["d/SUB", "d/sub"] {
        fs::create_dir_all(homes.path(folder)).unwrap();
    }
    let files = [
        "d/README",
        "d/readme",
        "d/readme (2)",
        "d/SUB/x",
        "d/sub/x",
        "d/sub/X",
    ];
    for file in files {
        fs::write(homes.path(file), file).unwrap();
    }
    for (link, target) in TWINS {
        symlink(target, homes.path(link)).unwrap();
    }
    symlink("readme (2)", homes.path("d/10")).unwrap();
    homes.ok("a", &["share", "d"]);
    let out = disk.path().join("o");
    let receive = ["receive", "d", "--out", out.to_str().unwrap()];
    homes.ok("a", &receive);
    let again = homes.ok("a", &receive);
    assert!(again.contains("already there, identical"), "{again}");
    let read = |root: &Path, link: &str| fs::read_to_string(root.join(link)).unwrap();
    for link in ["1", "2", "3", "4", "SUB/5", "7", "8", "SUB/9", "10"] {
        let link = format!("d/{link}");
        assert_eq!(read(&out, &link), read(&homes.path(""), &link), "{link}");
    }
    // The folder itself is the second one there.
    let sixth = read(&out, "d/sub (2)/6");
    assert_eq!(sixth, read(&homes.path(""), "d/sub/6"));
}

#[test]
fn links_that_are_left_out_are_said_every_time_and_to_everybody() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::create_dir(homes.path("only")).unwrap();
    symlink("/etc/hostname", homes.path("only/l")).unwrap();
    let to = b.to();
    for args in [
        &["send", "only", "--to", &to, "--dry-run"][..],
        &["send", "only", "--to", &to, "--wait"],
        &["share", "only"],
    ] {
        let ran = homes.run("a", args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("only/l: a link that leads out"),
            "{args:?}: {}",
            ran.err
        );
    }
    assert_eq!(arrival(&b)["skipped_links"], json!(["only/l"]));
    for round in 0..3 {
        let ran = homes.run("a", &["receive", "only", "--out", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("skipped the link only/l"),
            "{round}: {}",
            ran.err
        );
        let json = homes.ok("a", &["--json", "receive", "only", "--out", "out"]);
        assert_eq!(
            object(&json, "received")["skipped_links"],
            json!(["only/l"])
        );
    }
}

#[test]
fn what_comes_from_a_stream_is_dated_when_it_was_sent() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let (to, before) = (b.to(), SystemTime::now() - Duration::from_secs(2));
    let mut command = homes.command("a", &["send", "-", "--name", "s", "--to", &to, "--wait"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"stream").unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    homes.ok("a", &["send", "--text", "hello", "--to", &to, "--wait"]);
    for name in ["s", "message.txt"] {
        let file = homes.home("b").join("received").join(name);
        let modified = fs::metadata(file).unwrap().modified().unwrap();
        assert!(
            modified > before && modified <= SystemTime::now(),
            "{name}: {modified:?}"
        );
    }
}

#[test]
fn a_name_is_found_in_another_normal_form() {
    let homes = Homes::new(&["b"]);
    let (composed, decomposed) = ("\u{e9}.txt", "e\u{301}.txt");
    fs::write(homes.path(decomposed), "of a Mac").unwrap();
    homes.ok("a", &["share", decomposed]);
    homes.ok("a", &["receive", composed, "--out", "out"]);
    assert_eq!(
        fs::read(homes.path("out").join(decomposed)).unwrap(),
        b"of a Mac"
    );
    // What is equal as it is comes first.
    fs::write(homes.path(composed), "typed").unwrap();
    homes.ok("a", &["share", composed]);
    for (name, content) in [(composed, "typed"), (decomposed, "of a Mac")] {
        let out = format!("out of {name}");
        homes.ok("a", &["receive", name, "--out", &out]);
        let there = fs::read_dir(homes.path(&out)).unwrap().count();
        assert_eq!(there, 1, "{name:?}");
        assert_eq!(
            fs::read(homes.path(&out).join(name)).unwrap(),
            content.as_bytes()
        );
    }
}
