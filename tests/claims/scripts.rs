//! What scripts rely on: objects, dry runs, filters, limits, settings, logs, completions, manual pages, the unit.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    process::Stdio,
    time::{Duration, Instant},
};

use testkit::{Homes, bytes, person::set, tree, wait_for};

fn objects(out: &str) -> Vec<serde_json::Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    out.lines().map(object).collect()
}

/// Every command that ends by itself, in an order in which each has something to say; ADDRESS is where b serves.
const COMMANDS: &[&[&str]] = &[
    &["peers", "add", "ADDRESS"],
    &["peers", "check", "b"],
    &["peers"],
    &["send", "f", "--to", "b", "--wait"],
    &["send", "f", "--to", "b", "--dry-run"],
    &["share", "f"],
    &["list"],
    &["list", "--chunks"],
    &["list", "b"],
    &["receive", "--from", "b", "--all", "--mine"],
    &["inbox"],
    &["history"],
    &["config", "init"],
    &["config"],
    &["config", "set", "jobs", "3"],
    &["certs", "show"],
    &["certs", "issue", "c", "--out", "c-certs"],
    &["certs", "renew"],
    &["certs", "revoke", "c"],
    &["check", "--read-data"],
    &["gc"],
    &["status"],
    &["peers", "rename", "b", "ben"],
    &["seal", "f", "--to", "b", "--out", "sealed"],
    &["open", "sealed", "--out", "opened"],
    &["doctor"],
    &["peers", "forget", "b"],
];

#[test]
fn every_command_speaks_json_one_object_a_line_with_a_version() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--keep-opened", "1d"]);
    fs::write(homes.path("f"), bytes(1, 300_000)).unwrap();
    let to = b.to();
    let mut events = BTreeSet::new();
    for args in COMMANDS {
        let typed = [&["--json"], *args].concat();
        let typed = typed
            .iter()
            .map(|word| if *word == "ADDRESS" { &to } else { *word });
        let ran = homes.run("a", &typed.collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{args:?}: {ran:?}");
        assert_eq!(ran.err, "", "{args:?} talks beside its objects");
        let said = objects(&ran.out);
        if *args != ["inbox"] {
            assert!(!said.is_empty(), "{args:?} says nothing");
        }
        for object in said {
            assert_eq!(object["v"], 1, "{args:?}: {object}");
            events.insert(object["event"].as_str().unwrap().to_owned());
        }
    }
    let failed = homes.run("a", &["--json", "send", "nowhere", "--to", "b"]);
    let error = objects(&failed.out).pop().unwrap();
    assert_eq!(
        (error["exit"].as_i64(), failed.code),
        (Some(6), 6),
        "{error}"
    );
    assert!(error["hint"].is_string() && failed.err.is_empty());
    let documented = fs::read_to_string("docs/commands.md").unwrap();
    for event in events {
        assert!(
            documented.contains(&format!("`{event}`")),
            "{event} is not documented"
        );
    }
}

#[test]
fn content_on_standard_output_is_alone_there_and_nobody_reading_is_no_panic() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "content").unwrap();
    homes.ok("a", &["share", "f"]);
    let ran = homes.run("a", &["--json", "receive", "f", "--out", "-"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "content"));
    assert!(objects(&ran.err).iter().all(|object| object["v"] == 1));
    let ran = homes.run("a", &["--json", "receive", "none", "--out", "-"]);
    assert_eq!((ran.code, ran.out.as_str()), (6, ""));
    assert_eq!(objects(&ran.err)[0]["event"], "error");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut unread = homes.command("a", &["--json", "send", "nowhere", "--to", "b"]);
    let unread = unread
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(unread.status.code(), Some(6));
    assert_eq!(String::from_utf8_lossy(&unread.stderr), "");
}

#[test]
fn a_dry_run_lists_and_sends_nothing() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::create_dir(homes.path("d")).unwrap();
    fs::write(homes.path("d/f"), bytes(1, 2_000_000)).unwrap();
    let said = homes.ok("a", &["send", "d", "--to", &b.to(), "--dry-run"]);
    assert!(said.contains("1.9 MiB  d/f"), "{said}");
    assert!(
        said.contains("would send 2 entries, 1.9 MiB in 2 chunks"),
        "{said}"
    );
    assert_eq!(homes.ok("a", &["list", "b"]), "");
    assert_eq!(homes.ok("b", &["list", "--chunks"]), "");
    assert!(!homes.home("a").join("chunks/state/sending").exists());
}

#[test]
fn globs_and_gits_own_rules_leave_out_what_they_say() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let project = homes.path("p");
    for folder in ["src", "target/debug", ".git", "docs"] {
        fs::create_dir_all(project.join(folder)).unwrap();
    }
    for file in [
        "src/a.rs",
        "src/a.o",
        "target/debug/big",
        ".git/HEAD",
        "docs/x.tmp",
        "keep.o",
        "s",
    ] {
        fs::write(project.join(file), file).unwrap();
    }
    fs::write(project.join(".gitignore"), "/target\n*.o\n!keep.o\n").unwrap();
    let to = b.to();
    let args = format!("send p --to {to} --wait --git --exclude *.tmp --exclude /s");
    let args: Vec<_> = args.split(' ').collect();
    let ran = homes.run("a", &args);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("left out 5 by --exclude or --git"),
        "{ran:?}"
    );
    let got = tree(&homes.home("b").join("received/p"));
    let got: Vec<_> = got.iter().filter(|line| line.starts_with("file")).collect();
    let names: Vec<_> = got
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(names, [".gitignore", "keep.o", "src/a.rs"]);
    let said = homes.fails("a", &["send", "p", "--to", "b", "--exclude", "[z-"], 2);
    assert!(said.contains("hint: a glob is as in .gitignore"), "{said}");
    let args = "send p/src/a.o --to b --exclude *.o --wait".split(' ');
    let said = homes.fails("a", &args.collect::<Vec<_>>(), 2);
    assert!(said.contains("leaves out all that was named"), "{said}");
    assert!(!homes.home("b").join("received/a.o").exists(), "{said}");
}

#[test]
fn a_limit_is_for_the_network() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask", "--keep-opened", "1d"]);
    fs::write(homes.path("f"), bytes(1, 2 << 20)).unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    // With this the file would take half an hour.
    for home in ["a", "b"] {
        set(&homes, home, "limit", "1KiB");
    }
    let start = Instant::now();
    homes.ok("a", &["share", "f", "--to", "b"]);
    homes.ok("a", &["receive", "--all"]);
    homes.ok("a", &["check", "--read-data"]);
    homes.ok("b", &["inbox", "accept", "--all"]);
    drop(b);
    homes.ok("b", &["receive", "f", "--out", "again"]);
    assert!(start.elapsed() < Duration::from_secs(300));
}

#[test]
fn a_limit_holds_both_ways() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f"), bytes(1, 2 << 20)).unwrap();
    for args in [
        vec!["send", "f", "--to", &b.to(), "--limit", "1MiB"],
        vec![
            "receive", "--from", "b", "--all", "--mine", "--limit", "1MiB",
        ],
    ] {
        let start = Instant::now();
        homes.ok("a", &args[..]);
        let took = start.elapsed();
        assert!(took > Duration::from_millis(1700), "{args:?} took {took:?}");
    }
    let said = homes.fails("a", &["send", "f", "--to", "b", "--limit", "0"], 2);
    assert!(said.contains("a limit of 0 would move nothing"), "{said}");
    assert_eq!(
        homes
            .run("a", &["send", "f", "--to", "b", "--jobs", "0"])
            .code,
        2
    );
}

#[test]
fn standard_input_and_output_and_a_message_from_a_pipe() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--keep-opened", "1d"]);
    let feed = |args: &[&str], input: &[u8]| {
        let mut child = homes
            .command("a", args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        assert!(child.wait().unwrap().success(), "{args:?}");
    };
    feed(
        &["send", "-", "--name", "dump.sql", "--to", &b.to(), "--wait"],
        b"select 1;",
    );
    feed(
        &["send", "--text", "-", "--to", "b", "--wait"],
        b"from the clipboard\n",
    );
    let received = homes.home("b").join("received");
    assert_eq!(fs::read(received.join("dump.sql")).unwrap(), b"select 1;");
    assert_eq!(
        fs::read(received.join("message.txt")).unwrap(),
        b"from the clipboard\n"
    );
    let out = homes.ok("a", &["receive", "--from", "b", "dump.sql", "--out", "-"]);
    assert_eq!(out, "select 1;");
}

#[test]
fn settings_come_from_flags_the_environment_the_file_and_the_defaults() {
    let homes = Homes::new(&[]);
    let path = homes.ok("a", &["config", "init"]);
    assert!(
        fs::read_to_string(path.trim())
            .unwrap()
            .contains("# jobs = 4")
    );
    let said = homes.fails("a", &["config", "init"], 3);
    assert!(said.contains("hint: see what it sets"), "{said}");
    homes.ok("a", &["config", "set", "jobs", "2"]);
    homes.ok("a", &["config", "set", "inbox", "ask"]);
    let mut show = homes.command("a", &["--json", "config"]);
    let shown = show.env("COLIS_INBOX", "off").output().unwrap();
    let shown = objects(&String::from_utf8(shown.stdout).unwrap());
    let find = |key: &str| shown.iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!(find("jobs")["value"], "2");
    assert_eq!(find("jobs")["from"], "file");
    assert_eq!(find("inbox")["value"], "\"off\"");
    assert_eq!(find("inbox")["where"], "COLIS_INBOX");
    assert_eq!(find("keep_opened")["from"], "default");
    let said = homes.fails("a", &["config", "set", "qouta", "1GiB"], 3);
    assert!(said.contains("did you mean `quota`?"), "{said}");
    fs::write(homes.home("a").join("colis.toml"), "jobs = 2\nlisten = 7\n").unwrap();
    let said = homes.fails("a", &["status"], 3);
    assert!(said.contains("colis.toml:2:10: "), "{said}");
    let said = homes.fails("a", &["config"], 3);
    assert!(said.contains("colis.toml:2:10: "), "{said}");
}

#[test]
fn a_serving_peer_logs_transfers_and_never_what_is_in_them() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["-v"]);
    fs::write(homes.path("very-private-name.txt"), "very private content").unwrap();
    fs::write(homes.path("pw"), "very private password").unwrap();
    let args = [
        "send",
        "very-private-name.txt",
        "--to",
        &b.to(),
        "--password-file",
        "pw",
        "--wait",
    ];
    homes.ok("a", &args);
    let logs = homes.home("b").join("logs");
    let read = || -> String {
        let files = fs::read_dir(&logs)
            .unwrap()
            .map(|file| file.unwrap().path());
        files
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    };
    wait_for("the end of the transfer in the log", || {
        read().contains("\"message\":\"opened\"")
    });
    let log = read();
    let opened = objects(&log)
        .into_iter()
        .find(|line| line["message"] == "opened")
        .unwrap();
    assert_eq!(opened["bytes"], 20);
    assert!(
        opened["seconds"].is_number()
            && opened["rate"].is_string()
            && opened["timestamp"].is_string()
    );
    assert!(!log.contains("very") && !log.contains("private"), "{log}");
    assert_eq!(
        fs::metadata(&logs).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let quiet = homes.command("a", &["serve", "--listen", "127.0.0.1:0"]);
    let mut quiet = { quiet }
        .env("COLIS_LOG_DAYS", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("serving", || {
        homes.ok("a", &["status"]).contains("serving: 127")
    });
    quiet.kill().unwrap();
    quiet.wait().unwrap();
    assert!(!homes.home("a").join("logs").exists());
}

#[test]
fn completions_and_manual_pages_know_the_commands() {
    let homes = Homes::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let script = homes.ok("nowhere", &["completions", shell]);
        assert!(script.contains("COLIS_COMPLETE"), "{shell}: {script}");
    }
    assert!(homes.ok("nowhere", &["man"]).contains(".TH colis 1"));
    homes.ok("nowhere", &["man", "--out", "pages"]);
    let page = fs::read_to_string(homes.path("pages/colis-send.1")).unwrap();
    for title in [
        "OPTIONS",
        "EXAMPLES",
        "\"EXIT STATUS\"",
        "ENVIRONMENT",
        "FILES",
    ] {
        assert!(page.contains(&format!(".SH {title}\n")), "{title}: {page}");
    }
    assert!(page.contains("dry"), "{page}");
    assert_eq!(homes.run("nowhere", &["completions", "tcsh"]).code, 2);
}

#[test]
fn the_unit_is_written_once_and_never_over_a_foreign_one() {
    let homes = Homes::new(&[]);
    let install = |config: &str| {
        let mut command = homes.command("a", &["serve", "--install"]);
        testkit::Ran::from(
            command
                .env("XDG_CONFIG_HOME", homes.path(config))
                .output()
                .unwrap(),
        )
    };
    for _ in 0..2 {
        let ran = install("config");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.err.contains("systemctl --user enable --now colis"),
            "{ran:?}"
        );
    }
    let unit = homes.path("config/systemd/user/colis.service");
    let text = fs::read_to_string(&unit).unwrap();
    let home = homes.home("a").display().to_string();
    assert!(
        text.contains(&format!("\"--home\" \"{home}\" \"serve\"")),
        "{text}"
    );
    fs::write(&unit, "[Service]\n").unwrap();
    let ran = install("config");
    assert_eq!(ran.code, 3, "{ran:?}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), "[Service]\n");
}

#[test]
fn systemd_is_told_when_the_peer_listens() {
    let homes = Homes::new(&[]);
    let socket = UnixDatagram::bind(homes.path("notify")).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut command = homes.command("a", &["serve", "--listen", "127.0.0.1:0"]);
    command
        .env("NOTIFY_SOCKET", homes.path("notify"))
        .stderr(Stdio::null());
    let mut serving = command.stdout(Stdio::null()).spawn().unwrap();
    let mut told = [0; 64];
    let length = socket.recv(&mut told).unwrap();
    assert!(told[..length].starts_with(b"READY=1"));
    serving.kill().unwrap();
    serving.wait().unwrap();
}
