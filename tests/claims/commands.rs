//! The commands as a person or a script types them, with what they answer, also to mistakes.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Stdio,
};

use testkit::{Homes, bytes, tree, wait_for};

#[test]
fn the_commands_of_the_first_walk_work_as_written() {
    let homes = Homes::new(&["b"]);
    let issued = homes.home("b").join("certs");
    assert!(
        !issued.join("ca-key.pem").exists(),
        "the circle's key never leaves its machine"
    );
    for key in ["server-key.pem", "client-key.pem", "seal-key.pem"] {
        assert_eq!(
            fs::metadata(issued.join(key)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{key}"
        );
    }
    let b = homes.serve("b", &["--inbox", "off"]);
    let content = bytes(1, 3_000_000);
    fs::write(homes.path("f.bin"), &content).unwrap();
    assert_eq!(
        homes
            .run("a", &["-q", "send", "f.bin", "--to", &b.to()])
            .err,
        ""
    );
    homes.ok("a", &["send", "f.bin", "--to", "a", "--via", &b.to()]);
    homes.ok(
        "a",
        &["receive", "--from", &b.to(), "--all", "--out", "got"],
    );
    assert_eq!(fs::read(homes.path("got/f.bin")).unwrap(), content);
    assert!(
        !homes.path("got/f (2).bin").exists(),
        "the identical file is not written twice"
    );
    let listed = homes.ok("a", &["list", "b"]);
    assert_eq!(listed.matches("f.bin").count(), 2, "{listed}");
    assert!(homes.ok("b", &["list"]).contains("(sealed for others)"));
    homes.ok("b", &["receive", "--all"]);
    assert_eq!(
        fs::read(homes.home("b").join("received/f.bin")).unwrap(),
        content
    );
}

#[test]
fn a_folder_arrives_as_it_was() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let folder = homes.path("project");
    fs::create_dir_all(folder.join("deep/empty")).unwrap();
    fs::write(folder.join("deep/\u{e9}t\u{e9} \"x\".txt"), "odd").unwrap();
    fs::write(folder.join(".hidden"), "").unwrap();
    fs::write(folder.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(folder.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("deep", folder.join("link")).unwrap();
    let before = fs::metadata(folder.join("run.sh"))
        .unwrap()
        .modified()
        .unwrap();
    homes.ok("a", &["send", "project", "--to", &b.to(), "--wait"]);
    let received = homes.home("b").join("received/project");
    assert_eq!(tree(&received), tree(&folder));
    let script = fs::metadata(received.join("run.sh")).unwrap();
    assert_eq!(
        script.permissions().mode() & 0o111,
        0,
        "nothing that arrives can be executed"
    );
    assert_eq!(script.modified().unwrap(), before);
    homes.ok("a", &["send", "project", "--to", "a", "--via", "b"]);
    homes.ok(
        "a",
        &[
            "receive",
            "--from",
            "b",
            "project",
            "--out",
            "kept",
            "--keep-exec",
        ],
    );
    assert_ne!(
        fs::metadata(homes.path("kept/project/run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o111,
        0
    );
}

#[test]
fn links_that_lead_out_are_skipped_and_reported() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::create_dir(homes.path("d")).unwrap();
    symlink("/etc/passwd", homes.path("d/absolute")).unwrap();
    symlink("../../up", homes.path("d/up")).unwrap();
    homes.ok("a", &["send", "d", "--to", &b.to()]);
    let ran = homes.run("b", &["receive", "--all"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.err.contains("skipped the link d/absolute")
            && ran.err.contains("skipped the link d/up"),
        "{}",
        ran.err
    );
    assert_eq!(tree(&homes.home("b").join("received/d")), ["dir "]);
}

#[test]
fn the_inbox_never_overwrites() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let received = homes.home("b").join("received");
    fs::write(homes.path("f.txt"), "one").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to(), "--wait"]);
    fs::write(homes.path("f.txt"), "two").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to(), "--wait"]);
    assert_eq!(fs::read_to_string(received.join("f.txt")).unwrap(), "one");
    assert_eq!(
        fs::read_to_string(received.join("f (2).txt")).unwrap(),
        "two"
    );
    assert!(!received.join(".colis").exists(), "no staging is left");
}

#[test]
fn standard_input_and_output_carry_a_stream() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let content = bytes(2, 2_500_000);
    let mut send = homes
        .command("a", &["send", "-", "--name", "dump.sql", "--to", &b.to()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    send.stdin.take().unwrap().write_all(&content).unwrap();
    assert!(send.wait().unwrap().success());
    let got = homes
        .command("b", &["receive", "dump.sql", "--out", "-"])
        .output()
        .unwrap();
    assert!(got.status.success());
    assert_eq!(got.stdout, content);
}

#[test]
fn a_password_opens_for_whoever_knows_it() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("secret.txt"), "for those who know").unwrap();
    fs::write(homes.path("pw"), "correct horse\n").unwrap();
    fs::write(homes.path("wrong"), "wrong horse\n").unwrap();
    homes.ok(
        "a",
        &[
            "send",
            "secret.txt",
            "--via",
            &b.to(),
            "--password",
            "--password-file",
            "pw",
        ],
    );
    let locked = homes.run(
        "c",
        &["receive", "--from", &b.to(), "--all", "--out", "c-out"],
    );
    assert_eq!(locked.code, 10, "{}", locked.err);
    assert!(locked.out.contains("locked by a password"));
    let wrong = [
        "receive",
        "--from",
        &b.to(),
        "--all",
        "--password-file",
        "wrong",
        "--out",
        "c-out",
    ];
    assert!(homes.fails("c", &wrong, 4).contains("wrong password"));
    homes.ok(
        "c",
        &[
            "receive",
            "--from",
            &b.to(),
            "--all",
            "--password-file",
            "pw",
            "--out",
            "c-out",
        ],
    );
    assert_eq!(
        fs::read_to_string(homes.path("c-out/secret.txt")).unwrap(),
        "for those who know"
    );
    let asked = homes.fails("a", &["send", "secret.txt", "--via", "b", "--password"], 2);
    assert!(asked.contains("--password-file"), "{asked}");
}

#[test]
fn share_keeps_it_here_for_the_members_to_fetch() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("shared.txt"), "take it").unwrap();
    homes.ok("a", &["share", "shared.txt"]);
    let a = homes.serve("a", &[]);
    // The store is held by the serving peer now; sharing more goes through it.
    fs::write(homes.path("more.txt"), "this too").unwrap();
    homes.ok("a", &["share", "more.txt"]);
    homes.ok("b", &["receive", "--from", &a.to(), "--all"]);
    assert_eq!(
        fs::read_to_string(homes.home("b").join("received/shared.txt")).unwrap(),
        "take it"
    );
    assert_eq!(
        fs::read_to_string(homes.home("b").join("received/more.txt")).unwrap(),
        "this too"
    );
}

#[test]
fn keep_also_stores_it_here() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f.txt"), "kept").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to(), "--keep"]);
    assert!(homes.ok("a", &["list"]).contains("f.txt"));
    assert!(
        homes
            .ok("a", &["check", "--read-data"])
            .contains("3 chunks")
    );
}

#[test]
fn a_revoked_peer_is_out_within_a_second_and_told_why() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    homes.ok("b", &["send", "f.txt", "--to", &a.to()]);
    homes.ok("a", &["certs", "revoke", "b"]);
    wait_for("b is refused", || homes.run("b", &["list", "a"]).code == 4);
    let said = homes.fails("b", &["send", "f.txt", "--to", "a"], 4);
    assert!(
        said.contains("revoked") && said.contains("hint: "),
        "{said}"
    );
    assert!(homes.ok("a", &["certs", "show"]).contains("revoked"));
}

#[test]
fn renewal_keeps_the_peer_and_needs_no_restart() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let id = |text: &str| text.split_whitespace().nth(3).map(str::to_owned);
    let before = homes.ok("b", &["certs", "show"]);
    homes.ok("b", &["certs", "renew", "--from", &a.to()]);
    assert_eq!(id(&homes.ok("b", &["certs", "show"])), id(&before));
    homes.ok("b", &["list", "a"]);
    homes.ok("a", &["certs", "renew"]);
    homes.ok("b", &["list", "a"]);
    // Where the circle's key is elsewhere, the machine that made the circle is asked.
    let again = homes.ok("b", &["certs", "renew"]);
    assert!(again.contains("not renewed yet"), "{again}");
    let nowhere = Homes::new(&["c"]);
    let said = nowhere.fails("c", &["certs", "renew"], 6);
    assert!(said.contains("no address of a is known"), "{said}");
}

#[test]
fn a_peer_of_another_circle_is_refused_on_both_sides() {
    let (ours, theirs) = (Homes::new(&[]), Homes::new(&[]));
    let a = ours.serve("a", &[]);
    let said = theirs.fails("a", &["list", &a.to()], 4);
    assert!(said.contains("not come from our circle"), "{said}");
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn mistakes_are_answered_with_what_to_do() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    let fifo = homes.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    for (args, code, says) in [
        (&["send", "f.txt"][..], 2, "nobody to send to"),
        (
            &["send", "f.txt", "--to", "b"],
            6,
            "no address of b is known",
        ),
        (&["send", "f.txt", "--to", "host:99999"], 2, "not a port"),
        (&["send", "f.txt", "--to", "http://x"], 2, "it is a URL"),
        (&["send", "f.txt", "--to", "[::1"], 2, "`[` without `]`"),
        (
            &["send", "f.txt", "--to", "127.0.0.1:1"],
            8,
            "nobody serves colis at 127.0.0.1:1",
        ),
        (&["share", "nothing.txt"], 6, "nothing.txt"),
        (&["share", "fifo"], 7, "FIFO"),
        (&["share", "f.txt", "f.txt"], 2, "two sources are called"),
        (&["share", "/"], 2, "no name that could be sent"),
        (
            &["share", "f.txt", "--chunk-size", "1000"],
            2,
            "a power of two",
        ),
        (&["share", "f.txt", "--chunk-size", "big"], 2, "not a size"),
        (&["share", "f.txt", "--expires", "soon"], 2, "not a time"),
        (&["share", "-", "f.txt"], 2, "cannot be sent together"),
        (&["receive"], 2, "nothing to receive was named"),
        (&["receive", "unknown.txt"], 6, "no transfer for us"),
        (&["certs", "init", "--name", "a"], 3, "is there already"),
        (
            &["certs", "issue", "b", "--out", "x"],
            4,
            "was issued and is not revoked",
        ),
        (&["certs", "issue", "!", "--out", "x"], 2, "bad name"),
        (
            &["certs", "revoke", "nobody"],
            6,
            "no certificate was issued to nobody",
        ),
        (&["certs", "revoke", "a"], 4, "own machine"),
        (
            &["peers", "forget", "nobody"],
            6,
            "no peer is called nobody",
        ),
        (
            &["send", "f.txt", "--to", "a", "--secret", "x"],
            2,
            "unexpected argument",
        ),
    ] {
        let said = homes.fails("a", args, code);
        assert!(said.contains(says), "{args:?} said {said}");
    }
    let empty = homes.fails("nowhere", &["status"], 3);
    assert!(
        empty.contains("hint: is its disk mounted? For a new home: colis certs init"),
        "{empty}"
    );
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let homes = Homes::new(&[]);
    let key = homes.home("a").join("certs/server-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = homes.fails("a", &["status"], 3);
    assert!(
        said.contains("can be read by others") && said.contains("hint: chmod 600"),
        "{said}"
    );
}

#[test]
fn a_config_with_a_mistake_is_named_by_line() {
    let homes = Homes::new(&[]);
    fs::write(
        homes.home("a").join("colis.toml"),
        "inbox = \"off\"\nqouta = \"1GiB\"\n",
    )
    .unwrap();
    let said = homes.fails("a", &["status"], 3);
    assert!(
        said.contains("colis.toml:2:1: unknown key `qouta`; did you mean `quota`?"),
        "{said}"
    );
}

#[test]
fn a_second_peer_on_the_same_home_names_the_first() {
    let homes = Homes::new(&[]);
    let _serving = homes.serve("a", &[]);
    let said = homes.fails("a", &["serve", "--listen", "127.0.0.1:0"], 9);
    assert!(said.contains("in use by process"), "{said}");
    assert!(homes.ok("a", &["status"]).contains("serving: 127.0.0.1:"));
}

#[test]
fn a_source_that_changes_is_refused_and_publishes_nothing() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let path = homes.path("growing.log");
    fs::write(&path, bytes(3, 40_000_000)).unwrap();
    let mut sending = homes.command("a", &["send", "growing.log", "--to", &b.to()]);
    let sending = sending
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let shards = homes.home("b").join("chunks/data");
    let stored = || {
        let folders = fs::read_dir(&shards).into_iter().flatten().flatten();
        folders
            .flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten())
            .count()
    };
    wait_for("a chunk arrives", || stored() > 1);
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"more")
        .unwrap();
    let ended = sending.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("source-changed"));
    assert_eq!(homes.ok("a", &["list", "b"]), "");
}

#[test]
fn one_transfer_that_is_broken_does_not_keep_the_others_away() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    let send = |name: &str| {
        fs::write(homes.path(name), name.repeat(1000)).unwrap();
        homes.ok("a", &["send", name, "--to", &b.to()]);
    };
    send("broken.txt");
    let shards = fs::read_dir(homes.home("b").join("chunks/data")).unwrap();
    let chunks = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let chunks: Vec<_> = chunks.map(|chunk| chunk.unwrap().path()).collect();
    let others = ["one.txt", "two.txt", "three.txt"];
    others.iter().copied().for_each(send);
    for chunk in chunks {
        fs::write(chunk, "rot").unwrap();
    }
    let (from, out) = (b.to(), homes.path("out"));
    let receive = ["receive", "--from", &from, "--out", out.to_str().unwrap()];
    let some = homes.run("a", &[&receive[..], &["--all", "--mine"]].concat());
    assert_eq!(some.code, 10, "{some:?}");
    assert!(some.err.contains("not received: "), "{some:?}");
    for name in others {
        let came = fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(came, name.repeat(1000));
    }
    assert!(!out.join("broken.txt").exists());
    homes.fails("a", &[&receive[..], &["broken.txt"]].concat(), 6);
}

#[test]
fn json_is_one_object_a_line_with_a_version() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    for args in [
        &["--json", "send", "f.txt", "--to", &b.to()][..],
        &["--json", "list", "b"],
        &["--json", "list", "b", "--chunks"],
        &[
            "--json", "receive", "--from", "b", "--all", "--mine", "--out", "o",
        ],
        &["--json", "peers"],
        &["--json", "status"],
        &["--json", "certs", "show"],
    ] {
        let out = homes.ok("a", args);
        assert!(!out.is_empty(), "{args:?}");
        for line in out.lines() {
            let object: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(object["v"], 1, "{line}");
            assert!(object["event"].is_string(), "{line}");
        }
    }
    let failed = homes.run("a", &["--json", "receive", "unknown.txt"]);
    let object: serde_json::Value = serde_json::from_str(&failed.out).unwrap();
    assert_eq!(
        (object["event"].as_str(), object["exit"].as_i64()),
        (Some("error"), Some(6))
    );
}

#[test]
fn a_folder_that_is_there_is_not_written_twice() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let folder = homes.path("folder");
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("f.txt"), "first").unwrap();
    symlink("f.txt", folder.join("link")).unwrap();
    homes.ok("a", &["share", "folder"]);
    let from = a.to();
    let args = [
        "receive", "--from", &from, "--all", "--again", "--out", "in",
    ];
    homes.ok("b", &args);
    let received = tree(&homes.path("in"));
    homes.ok("b", &args);
    assert_eq!(tree(&homes.path("in")), received);
    // One that differs in anything is another one.
    fs::write(homes.path("in/folder/f.txt"), "other").unwrap();
    homes.ok("b", &args);
    fs::remove_file(homes.path("in/folder (2)/link")).unwrap();
    symlink("empty", homes.path("in/folder (2)/link")).unwrap();
    homes.ok("b", &args);
    for name in ["folder", "folder (2)", "folder (3)"] {
        let text = fs::read_to_string(homes.path("in").join(name).join("f.txt"));
        assert_eq!(
            text.unwrap(),
            if name == "folder" { "other" } else { "first" }
        );
    }
}
