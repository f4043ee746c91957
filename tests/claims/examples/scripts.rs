//! The scripts, with the real curl: up, cut, up again, listed, down, opened; and everybody who may not.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use super::{Running, circle, names, ok, run, script, seal, url};
use testkit::{Homes, bytes, wait_for};

/// The chunks that the peer `name` has stored.
fn stored(homes: &Homes, name: &str) -> BTreeSet<String> {
    let shards = fs::read_dir(homes.home(name).join("chunks/data"));
    let shards = shards.into_iter().flatten().flatten();
    shards.flat_map(|shard| names(shard.path())).collect()
}

/// A curl that writes down what it was told before it is the real one. Gives the value for PATH.
fn writing_curl(homes: &Homes) -> String {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|folder| folder.join("curl"));
    let real = real.into_iter().find(|curl| curl.is_file()).unwrap();
    let folder = homes.path("bin");
    fs::create_dir(&folder).unwrap();
    let log = homes.path("curl.log");
    let text = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\nexec '{}' \"$@\"\n",
        log.display(),
        real.display()
    );
    // By a child process, as `testkit::copy_program` says.
    let written = homes.path("curl.sh");
    fs::write(&written, text).unwrap();
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(written);
    let installed = install.arg(folder.join("curl")).status();
    assert!(installed.unwrap().success());
    format!("{}:{path}", folder.display())
}

/// The ids between the braces of the argument that begins with `before`.
fn told(log: &Path, before: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(log).unwrap();
    let lists = text
        .lines()
        .filter_map(|line| line.split_once(before)?.1.strip_suffix('}'));
    lists
        .flat_map(|list| list.split(',').map(str::to_owned))
        .collect()
}

#[test]
fn two_peers_make_the_whole_round_trip() {
    let homes = circle(&[]);
    let content = bytes(11, 3_000_000);
    fs::write(homes.path("a photo.jpg"), &content).unwrap();
    fs::create_dir(homes.path("other place")).unwrap();
    let mut command = script(&homes, "two-peers.sh", &["a photo.jpg"]);
    let ran = super::Ran::from(
        command
            .env("TMPDIR", homes.path("other place"))
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.err);
    assert!(ran.out.contains("sent 5 of 5 chunks"), "{}", ran.out);
    assert!(ran.out.contains("fetched 5 of 5 chunks"), "{}", ran.out);
    assert!(ran.out.ends_with("identical\n"), "{}", ran.out);
    assert!(names(homes.path("other place")).is_empty(), "it tidies up");
}

#[test]
fn an_interrupted_upload_continues_with_only_what_is_missing() {
    let homes = circle(&["b"]);
    let content = bytes(12, 30_000_000);
    fs::write(homes.path("f"), &content).unwrap();
    let id = seal(
        &homes,
        "f",
        "sealed here",
        &["--to", "b", "--chunk-size", "64KiB"],
    );
    let all = names(homes.path("sealed here/chunks"));

    let mut b = homes.serve("b", &["--inbox", "off"]);
    let mut first = script(
        &homes,
        "upload.sh",
        &[&url(&b), "certs of a", "sealed here"],
    );
    let first = first
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("some chunks arrive", || stored(&homes, "b").len() > 20);
    b.kill();
    let first = super::Ran::from(first.wait_with_output().unwrap());
    assert_ne!(first.code, 0, "it was too fast to be cut");
    assert!(first.err.contains("curl: ("), "{}", first.err);
    let before = stored(&homes, "b");
    assert!(before.len() < all.len() && before.is_subset(&all));

    let b = homes.serve("b", &["--inbox", "off"]);
    let mut second = script(
        &homes,
        "upload.sh",
        &[&url(&b), "certs of a", "sealed here"],
    );
    let second = second.env("PATH", writing_curl(&homes)).output().unwrap();
    let second = super::Ran::from(second);
    assert_eq!(second.code, 0, "{}", second.err);
    let missing: BTreeSet<_> = all.difference(&before).cloned().collect();
    assert_eq!(told(&homes.path("curl.log"), "chunks/{"), missing);
    let said = format!(
        "sent {} of {} chunks\n{id}  stored\n",
        missing.len(),
        all.len()
    );
    assert_eq!(second.out, said);
    assert_eq!(stored(&homes, "b"), all);

    let third = ok(
        &homes,
        "upload.sh",
        &[&url(&b), "certs of a", "sealed here"],
    );
    assert_eq!(
        third,
        format!("sent 0 of {} chunks\n{id}  already-there\n", all.len())
    );
    homes.ok("b", &["receive", "--all"]);
    assert!(fs::read(homes.home("b").join("received/f")).unwrap() == content);
    homes.ok("b", &["check", "--read-data"]);
}

#[test]
fn a_download_keeps_what_is_whole_and_opens_to_the_same_bytes() {
    let homes = circle(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let content = bytes(13, 3_000_000);
    fs::write(homes.path("f"), &content).unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    let listed = ok(&homes, "list.sh", &[&url(&b), "certs of b"]);
    let id = listed.split('\t').next().unwrap();
    let args = [&url(&b), "certs of b", id, "got it"];
    assert!(ok(&homes, "download.sh", &args).starts_with("fetched 5 of 5 chunks\n"));

    let chunks = homes.path("got it/chunks");
    let mut all = names(&chunks).into_iter();
    let (gone, cut, bad) = (
        all.next().unwrap(),
        all.next().unwrap(),
        all.next().unwrap(),
    );
    fs::remove_file(chunks.join(&gone)).unwrap();
    fs::write(chunks.join(&cut), "a beginning").unwrap();
    fs::write(chunks.join(&bad), "").unwrap();
    let mut again = script(&homes, "download.sh", &args);
    let again = super::Ran::from(again.env("PATH", writing_curl(&homes)).output().unwrap());
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(
        again.out.starts_with("fetched 3 of 5 chunks\n"),
        "{}",
        again.out
    );
    assert_eq!(
        told(&homes.path("curl.log"), "chunks/{"),
        [gone, cut, bad].into()
    );

    homes.ok("b", &["open", "got it", "--out", "opened here"]);
    assert!(fs::read(homes.path("opened here/f")).unwrap() == content);
}

#[test]
fn what_was_downloaded_can_be_passed_on() {
    let homes = circle(&["b", "c"]);
    let (b, c) = (
        homes.serve("b", &["--inbox", "off"]),
        homes.serve("c", &["--inbox", "off"]),
    );
    fs::write(homes.path("f"), "for c").unwrap();
    let id = seal(&homes, "f", "sealed", &["--to", "c"]);
    ok(&homes, "upload.sh", &[&url(&b), "certs of a", "sealed"]);
    ok(
        &homes,
        "download.sh",
        &[&url(&b), "certs of b", &id, "carried"],
    );
    let said = homes.fails("b", &["open", "carried"], 4);
    assert!(said.contains("not addressed to us"), "{said}");
    ok(&homes, "upload.sh", &[&url(&c), "certs of b", "carried"]);
    homes.ok("c", &["receive", "--all"]);
    assert_eq!(
        fs::read_to_string(homes.home("c").join("received/f")).unwrap(),
        "for c"
    );
}

#[test]
fn the_list_has_every_page() {
    let homes = circle(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    assert_eq!(ok(&homes, "list.sh", &[&url(&b), "certs of b"]), "");
    let mut ids = BTreeSet::new();
    for n in 0..5 {
        fs::write(homes.path("f"), bytes(n, 1000)).unwrap();
        let folder = format!("sealed {n}");
        ids.insert(seal(&homes, "f", &folder, &["--to", "b"]));
        ok(&homes, "upload.sh", &[&url(&b), "certs of a", &folder]);
    }
    for page in ["1", "2", "5", "1000"] {
        let listed = ok(&homes, "list.sh", &[&url(&b), "certs of b", page]);
        let lines: Vec<Vec<_>> = listed
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        assert_eq!(lines.len(), 5, "pages of {page}: {listed}");
        let listed: BTreeSet<_> = lines.iter().map(|line| line[0].to_owned()).collect();
        assert_eq!(listed, ids, "pages of {page}");
        assert!(
            lines
                .iter()
                .all(|line| (line[2], line[3], line[4].len()) == ("1000", "3", 64))
        );
    }
    let bad = run(&homes, "list.sh", &[&url(&b), "certs of b", "0"]);
    assert_eq!((bad.code, bad.out.as_str()), (22, ""));
    assert!(bad.err.contains("bad-limit"), "{}", bad.err);
}

#[test]
fn who_is_no_member_gets_nothing_and_leaves_nothing() {
    let (homes, strangers) = (circle(&["b"]), circle(&[]));
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), "secret").unwrap();
    let id = seal(&homes, "f", "sealed", &["--to", "b"]);
    // A certificate of another circle, by somebody who trusts ours.
    let wrong = homes.path("wrong certs");
    fs::create_dir(&wrong).unwrap();
    fs::copy(
        homes.path("certs of a/ca-cert.pem"),
        wrong.join("ca-cert.pem"),
    )
    .unwrap();
    for name in ["client-cert.pem", "client-key.pem"] {
        fs::copy(
            strangers.home("a").join("certs").join(name),
            wrong.join(name),
        )
        .unwrap();
    }
    let theirs = strangers.path("certs of a");
    let calls = |certs: &str| {
        [
            run(&homes, "upload.sh", &[&url(&b), certs, "sealed"]),
            run(&homes, "list.sh", &[&url(&b), certs]),
            run(&homes, "download.sh", &[&url(&b), certs, &id, "got"]),
            run(&homes, "events.sh", &[&url(&b), certs]),
        ]
    };
    for ran in calls("wrong certs") {
        assert!(
            [35, 56].contains(&ran.code) && ran.out.is_empty(),
            "{ran:?}"
        );
        assert!(ran.err.contains("alert unknown ca"), "{ran:?}");
    }
    // Somebody who does not trust us hangs up before saying anything.
    for ran in calls(theirs.to_str().unwrap()) {
        assert!(ran.code == 60 && ran.out.is_empty(), "{ran:?}");
    }
    let mut bare = Command::new("curl");
    bare.args(["--silent", "--show-error", "--tlsv1.3", "--cacert"])
        .arg(homes.path("certs of a/ca-cert.pem"))
        .arg(format!("{}/v1/health", url(&b)));
    let bare = super::Ran::from(bare.output().unwrap());
    assert!(
        [35, 56].contains(&bare.code) && bare.out.is_empty(),
        "{bare:?}"
    );
    assert!(bare.err.contains("certificate required"), "{bare:?}");
    assert!(stored(&homes, "b").is_empty());

    homes.ok("a", &["certs", "issue", "c", "--out", "certs of c"]);
    let list = || run(&homes, "list.sh", &[&url(&b), "certs of c"]);
    assert_eq!(list().code, 0);
    homes.ok("a", &["certs", "revoke", "c"]);
    let [from, to] = ["a", "b"].map(|name| homes.home(name).join("certs/crl.pem"));
    fs::copy(from, to).unwrap();
    wait_for("the script of a revoked peer is refused", || {
        list().err.contains("alert certificate revoked")
    });
}

#[test]
fn a_damaged_chunk_is_refused_and_nothing_is_published() {
    let homes = circle(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), bytes(14, 300_000)).unwrap();
    let id = seal(
        &homes,
        "f",
        "sealed",
        &["--to", "b", "--chunk-size", "64KiB"],
    );
    let name = names(homes.path("sealed/chunks")).pop_first().unwrap();
    let path = homes.path("sealed/chunks").join(&name);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&path, bad).unwrap();
    let args = [&url(&b), "certs of a", "sealed"];
    let ran = run(&homes, "upload.sh", &args);
    assert_eq!(ran.code, 22, "{ran:?}");
    assert!(ran.err.contains("hash-mismatch"), "{ran:?}");
    assert!(!stored(&homes, "b").contains(&name));
    assert_eq!(ok(&homes, "list.sh", &[&url(&b), "certs of b"]), "");
    let said = homes.fails("b", &["open", "sealed"], 5);
    assert!(
        said.contains(&format!("sealed/chunks/{name} is damaged")),
        "{said}"
    );

    fs::write(&path, good).unwrap();
    assert!(ok(&homes, "upload.sh", &args).ends_with(&format!("{id}  stored\n")));
    let changed = homes.path(&format!("sealed/manifests/{id}.dsse"));
    fs::write(&changed, fs::read_to_string(&changed).unwrap() + " ").unwrap();
    let ran = run(&homes, "upload.sh", &args);
    assert!(ran.code == 22 && ran.err.contains("id-mismatch"), "{ran:?}");
}

#[test]
fn mistakes_are_said_before_anything_is_done() {
    let homes = circle(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let peer = url(&b);
    fs::create_dir_all(homes.path("unfinished/chunks")).unwrap();
    let unknown = "0".repeat(64);
    for (name, args, code, says) in [
        ("upload.sh", &[][..], 2, "usage"),
        (
            "upload.sh",
            &[&peer, "certs of a", "unfinished"],
            1,
            "has no manifest",
        ),
        ("upload.sh", &[&peer, "certs of a", "nothing"], 1, "nothing"),
        ("list.sh", &[&peer], 2, "usage"),
        (
            "list.sh",
            &["https://localhost:1", "certs of a"],
            7,
            "curl: (7)",
        ),
        (
            "download.sh",
            &[&peer, "certs of a", "../../x", "got"],
            2,
            "usage",
        ),
        (
            "download.sh",
            &[&peer, "certs of a", &unknown, "got"],
            22,
            "404",
        ),
        ("events.sh", &[], 2, "usage"),
    ] {
        let ran = run(&homes, name, args);
        assert_eq!(ran.code, code, "{name} {args:?}: {ran:?}");
        assert!(ran.err.contains(says), "{name} {args:?}: {ran:?}");
    }
    assert!(
        names(homes.path("got/manifests")).is_empty(),
        "no reply is kept as a manifest"
    );
}

/// A member who is no colis at all: whatever is in `files` is an answer.
fn answer_with(files: &Path, certs: &Path) -> (Running, String) {
    let mut server = Command::new("openssl");
    server.args(["s_server", "-WWW", "-tls1_3", "-accept", "127.0.0.1:0"]);
    server.arg("-cert").arg(certs.join("server-cert.pem"));
    server.arg("-key").arg(certs.join("server-key.pem"));
    server
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = Running(server.current_dir(files).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let port = lines.find_map(|line| Some(line.strip_prefix("ACCEPT 127.0.0.1:")?.to_owned()));
    // What it goes on to say is read by nobody, but must not stop it.
    std::thread::spawn(move || lines.for_each(drop));
    (server, format!("https://localhost:{}", port.unwrap()))
}

#[test]
fn a_peer_that_lies_chooses_no_path() {
    let homes = circle(&["b"]);
    let files = homes.path("files");
    fs::create_dir_all(files.join("v1/manifests")).unwrap();
    fs::create_dir_all(files.join("v1/chunks")).unwrap();
    let payload =
        data_encoding::BASE64.encode(br#"{"table":[],"chunks":["../../evil"],"sums":[]}"#);
    let manifest = format!(r#"{{"payload":"{payload}"}}"#);
    let id = colis::id::Digest::of(manifest.as_bytes()).to_string();
    fs::write(files.join("v1/manifests").join(&id), manifest).unwrap();
    let other = "1".repeat(64);
    fs::write(
        files.join("v1/manifests").join(&other),
        "not what was asked for",
    )
    .unwrap();

    let (_server, peer) = answer_with(&files, &homes.home("b").join("certs"));
    let evil = run(
        &homes,
        "download.sh",
        &[&peer, "certs of a", &id, "got/deep"],
    );
    let lied = run(
        &homes,
        "download.sh",
        &[&peer, "certs of a", &other, "got/deep"],
    );
    assert!(evil.code != 0 && evil.err.contains("not an id"), "{evil:?}");
    assert!(
        lied.code == 1 && lied.err.contains("another manifest"),
        "{lied:?}"
    );
    assert_eq!(names(homes.path("got")), ["deep".to_owned()].into());
    assert!(names(homes.path("got/deep/chunks")).is_empty());
    assert_eq!(
        names(homes.path("got/deep/manifests")),
        [format!("{id}.dsse")].into()
    );
}

#[test]
fn events_are_shown_as_they_happen() {
    let homes = circle(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let mut command = script(&homes, "events.sh", &[&url(&b), "certs of b"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut listening = Running(command.spawn().unwrap());
    let lines = BufReader::new(listening.0.stdout.take().unwrap()).lines();
    let (heard, hears) = mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .for_each(|line| drop(heard.send(line)))
    });
    // It is not told when the stream begins, so transfers come until one is heard.
    let mut published = Vec::new();
    let line = (0..60).find_map(|n| {
        fs::write(homes.path("f"), bytes(n, 100)).unwrap();
        let folder = format!("sealed {n}");
        published.push(seal(&homes, "f", &folder, &["--to", "b"]));
        ok(&homes, "upload.sh", &[&url(&b), "certs of a", &folder]);
        hears.recv_timeout(Duration::from_millis(500)).ok()
    });
    let line = line.unwrap();
    let fields: Vec<_> = line.split('\t').collect();
    assert_eq!((fields[0], fields[2]), ("published", "100"), "{line}");
    assert!(published.iter().any(|id| id == fields[1]), "{line}");
    drop(b);
    listening.0.wait().unwrap();
}
