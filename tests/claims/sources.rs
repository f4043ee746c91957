//! What is sent of the paths that are named, what is left out below them, and how that is said.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use testkit::{Homes, Ran, around, bytes, has, wait_for};

/// The objects of one kind in what a command said with `--json`.
fn objects(ran: &Ran, event: &str) -> Vec<Value> {
    let objects = ran.out.lines().map(serde_json::from_str);
    let objects = objects.map(|object: Result<Value, _>| object.unwrap());
    objects.filter(|object| object["event"] == event).collect()
}

/// The paths below `folder` that end in `end`.
fn ending(folder: &Path, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                todo.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_folder_around_the_home_in_use_is_sent_without_what_colis_works_in() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let (user, home) = (homes.path("user"), homes.path("user/.local/share/colis"));
    fs::create_dir_all(home.parent().unwrap()).unwrap();
    fs::rename(homes.home("a"), &home).unwrap();
    fs::write(user.join("doc"), "text").unwrap();
    for folder in ["received/.colis", "chunks", "logs"] {
        fs::create_dir_all(home.join(folder)).unwrap();
    }
    fs::write(home.join("received/mine"), "x").unwrap();
    // A link leads to it too, and so does another name of the home.
    symlink(&home, homes.path("linked")).unwrap();
    for named in ["user/.local/share/colis", "linked"] {
        let args = ["send", "user", "--to", &b.to(), "--wait"];
        let ran = homes.run(named, &args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        for folder in ["certs", "chunks", "logs", "received/.colis"] {
            let said = format!("skipped user/.local/share/colis/{folder}: colis works in it");
            assert!(ran.err.contains(&said), "{folder}: {}", ran.err);
        }
    }
    let received = homes.home("b").join("received/user");
    assert_eq!(fs::read(received.join("doc")).unwrap(), b"text");
    assert!(received.join(".local/share/colis/received/mine").exists());
    assert_eq!(ending(&homes.home("b/received"), ".pem"), [""; 0]);
}

#[test]
fn keys_of_colis_are_sent_by_no_command_unless_that_is_asked_for() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    let mut copy = Command::new("cp");
    copy.arg("-a").args([homes.home("a"), homes.path("copy")]);
    assert!(copy.status().unwrap().success());
    let certs = homes.path("copy/certs");
    fs::rename(certs.join("seal-key.pem"), certs.join("Old-Key.bak")).unwrap();
    fs::rename(certs.join("ca-key.pem"), certs.join("ca-key (2).pem")).unwrap();
    // A key that is not ours is a file like others.
    fs::write(certs.join("id_key.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
    let to = b.to();
    for args in [
        &["send", "copy", "--to", &to, "--wait"][..],
        &["share", "copy"],
        &["seal", "copy", "--to", "b", "--out", "sealed"],
        &["send", "copy", "--to", &to, "--dry-run"],
    ] {
        let ran = homes.run("a", args);
        assert_eq!(ran.code, 10, "{args:?}: {}", ran.err);
        for key in ["Old-Key.bak", "ca-key (2).pem", "server-key.pem"] {
            let said = format!("skipped copy/certs/{key}: a private key of colis");
            assert!(ran.err.contains(&said), "{args:?}, {key}: {}", ran.err);
        }
        assert!(!ran.err.contains("id_key"), "{}", ran.err);
        assert!(!ran.out.contains("-Key.bak"), "{}", ran.out);
    }
    // By its own name, and by that of a link.
    symlink("copy/certs/server-key.pem", homes.path("harmless")).unwrap();
    for named in [
        "copy/certs/server-key.pem",
        "a/certs/seal-key.pem",
        "harmless",
    ] {
        let said = homes.fails("a", &["send", named, "--to", &to], 2);
        assert!(said.contains("--with-keys"), "{said}");
    }
    let keys = |end| ending(&homes.home("b/received"), end);
    assert_eq!(
        keys("-key.pem").len() + keys(".bak").len() + keys("(2).pem").len(),
        0
    );
    let all = ["send", "copy/certs", "--to", &to, "--wait", "--with-keys"];
    homes.ok("a", &all);
    assert_eq!(keys(".bak").len(), 1);
}

#[test]
fn in_the_home_itself_its_keys_are_not_sent_either() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    for args in [[".", "--wait"], ["certs", "--wait"]] {
        let to = b.to();
        let mut command = homes.command("a", &["send", "--to", &to]);
        let ran = command.args(args).current_dir(homes.home("a")).output();
        let ran = Ran::from(ran.unwrap());
        assert!([0, 10].contains(&ran.code), "{}", ran.err);
        assert!(ran.err.contains("skipped "), "{}", ran.err);
    }
    assert_eq!(ending(&homes.home("b/received"), "-key.pem"), [""; 0]);
}

#[test]
fn a_link_that_is_named_stands_for_what_it_leads_to() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::create_dir_all(homes.path("disk/folder")).unwrap();
    fs::write(homes.path("disk/film.mov"), "film").unwrap();
    fs::write(homes.path("disk/folder/f"), "in it").unwrap();
    symlink("f", homes.path("disk/folder/inner")).unwrap();
    let link = |name: &str, target: &str| symlink(target, homes.path(name)).unwrap();
    link("relative", "disk/film.mov");
    link("absolute", homes.path("disk/film.mov").to_str().unwrap());
    link("chain", "relative");
    link("photos", "disk/folder");
    let to = b.to();
    let received = homes.home("b").join("received");
    for name in ["relative", "absolute", "chain"] {
        homes.ok("a", &["send", name, "--to", &to, "--wait"]);
        let file = received.join(name);
        assert!(file.symlink_metadata().unwrap().is_file(), "{name}");
        assert_eq!(fs::read(file).unwrap(), b"film");
    }
    homes.ok("a", &["send", "photos", "--to", &to, "--wait"]);
    assert_eq!(fs::read(received.join("photos/f")).unwrap(), b"in it");
    let inner = fs::read_link(received.join("photos/inner")).unwrap();
    assert_eq!(inner, Path::new("f"), "inside of a folder a link stays one");
    let globbed = [
        "send",
        "photos",
        "--exclude",
        "inner",
        "--to",
        &to,
        "--dry-run",
    ];
    let said = homes.ok("a", &globbed);
    assert!(
        said.contains("photos/f") && !said.contains("inner"),
        "{said}"
    );
    homes.ok("a", &["seal", "relative", "--to", "b", "--out", "sealed"]);
    homes.ok("b", &["open", "sealed", "--out", "opened"]);
    assert_eq!(fs::read(homes.path("opened/relative")).unwrap(), b"film");
}

#[test]
fn a_named_link_that_leads_nowhere_is_an_error() {
    let homes = Homes::new(&[]);
    symlink("not-there", homes.path("dangling")).unwrap();
    symlink("loop", homes.path("loop")).unwrap();
    for command in [
        &["share"][..],
        &["seal", "--password", "--out", "o"],
        &["send", "--to", "a"],
    ] {
        let args = [command, &["dangling"]].concat();
        let said = homes.fails("a", &args, 6);
        assert!(said.contains("dangling is a link to not-there"), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
    homes.fails("a", &["share", "loop"], 7);
    assert_eq!(homes.ok("a", &["list"]), "");
}

/// The command without the rights of root, who may read everything.
fn without_rights(command: Command) -> Command {
    if !rustix::process::geteuid().is_root() {
        return command;
    }
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set=-all", "--inh-caps=-all"]);
    around(setpriv, &command)
}

#[test]
fn what_cannot_be_read_below_a_named_folder_is_left_out_and_said() {
    if !has("setpriv") {
        return;
    }
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::create_dir_all(homes.path("d/closed")).unwrap();
    fs::create_dir_all(homes.path("d/listed-only")).unwrap();
    let closed = ["d/secret", "d/empty", "d/closed", "d/listed-only/f"];
    for (name, content) in [
        ("d/a", "1"),
        ("d/secret", "2"),
        ("d/empty", ""),
        ("d/listed-only/f", "3"),
    ] {
        fs::write(homes.path(name), content).unwrap();
    }
    let chmod = |name: &str, mode| {
        fs::set_permissions(homes.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [
        ("d/secret", 0),
        ("d/empty", 0),
        ("d/closed", 0),
        ("d/listed-only", 0o400),
    ] {
        chmod(name, mode);
    }
    let run = |args: &[&str]| Ran::from(without_rights(homes.command("a", args)).output().unwrap());
    let to = b.to();
    for args in [
        &["send", "d", "--to", &to, "--dry-run"][..],
        &["send", "d", "--to", &to, "--wait"],
        &["share", "d"],
        &["seal", "d", "--to", "b", "--out", "sealed"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 10, "{args:?}: {}", ran.err);
        for path in closed {
            assert!(
                ran.err.contains(&format!("skipped {path}: ")),
                "{}",
                ran.err
            );
        }
        let ran = run(&[&["--json"], args].concat());
        assert_eq!(ran.code, 10, "{args:?}: {}", ran.out);
        assert_eq!(objects(&ran, "left-out").len(), closed.len(), "{}", ran.out);
    }
    let received = homes.home("b").join("received/d");
    assert_eq!(fs::read(received.join("a")).unwrap(), b"1");
    assert!(!received.join("secret").exists() && received.join("listed-only").is_dir());
    for named in ["d/secret", "d/closed"] {
        assert_eq!(run(&["share", named]).code, 7, "{named}");
    }
    chmod("d/listed-only", 0o700);
}

#[test]
fn what_comes_and_goes_while_a_folder_is_sent_is_left_out_and_said() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::create_dir(homes.path("d")).unwrap();
    fs::write(homes.path("d/large"), bytes(3, 8 << 20)).unwrap();
    let (to, received) = (b.to(), homes.home("b").join("received"));
    let send = [
        "send",
        "d",
        "--to",
        &to,
        "--chunk-size",
        "64KiB",
        "--limit",
        "8MiB",
        "--wait",
    ];
    let stored = || !ending(&homes.home("b/chunks/data"), "").is_empty();
    for name in ["d/m.log", "d/n.tmp", "d/o.tmp"] {
        fs::write(homes.path(name), "first").unwrap();
    }
    let mut command = homes.command("a", &send);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    wait_for("chunks arrive", stored);
    fs::remove_file(homes.path("d/n.tmp")).unwrap();
    fs::write(homes.path("d/m.log"), "first, second").unwrap();
    let ran = Ran::from(child.unwrap().wait_with_output().unwrap());
    assert_eq!(ran.code, 10, "{}", ran.err);
    for path in ["d/m.log", "d/n.tmp"] {
        let said = format!("skipped {path}: it changed or vanished");
        assert!(ran.err.contains(&said), "{path}: {}", ran.err);
    }
    assert_eq!(fs::read(received.join("d/o.tmp")).unwrap(), b"first");
    assert!(fs::read(received.join("d/large")).unwrap() == bytes(3, 8 << 20));
    assert!(!received.join("d/m.log").exists());
}

#[test]
fn what_goes_while_a_folder_is_sealed_is_left_out_and_said() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::create_dir(homes.path("d")).unwrap();
    let size = 48 << 20;
    fs::write(homes.path("d/large"), bytes(3, size)).unwrap();
    fs::write(homes.path("d/n.tmp"), "first").unwrap();
    let seal = [
        "seal",
        "d",
        "--to",
        "b",
        "--chunk-size",
        "64KiB",
        "--out",
        "sealed",
    ];
    let mut command = homes.command("a", &seal);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let chunks = homes.path("sealed/chunks");
    wait_for("chunks are sealed", || !ending(&chunks, "").is_empty());
    fs::remove_file(homes.path("d/n.tmp")).unwrap();
    let ran = Ran::from(child.unwrap().wait_with_output().unwrap());
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert!(ran.err.contains("skipped d/n.tmp: "), "{}", ran.err);
    let left = ending(&chunks, "").len();
    assert!(
        left < size / (64 << 10) + 10,
        "{left}: the first try is in it"
    );
    homes.ok("b", &["open", "sealed", "--out", "opened"]);
    assert!(fs::read(homes.path("opened/d/large")).unwrap() == bytes(3, size));
}

#[test]
fn names_that_become_one_text_are_numbered_and_said() {
    use std::os::unix::ffi::OsStrExt as _;
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    let name = |bytes: &[u8]| homes.path("d").join(std::ffi::OsStr::from_bytes(bytes));
    fs::create_dir(homes.path("d")).unwrap();
    for (bytes, text) in [
        (&b"caf\xe9.txt"[..], "no text"),
        (b"caf%E9.txt", "text"),
        (b"caf%E9 (2).txt", "taken"),
        (b"\xe9\xe9", "neither"),
        (b"\xe9%E9", "nor"),
    ] {
        fs::write(name(bytes), text).unwrap();
    }
    fs::create_dir(name(b"f\xff")).unwrap();
    fs::write(name(b"f\xff/inside"), "inside").unwrap();
    fs::write(name(b"f%FF"), "beside").unwrap();
    let ran = homes.run("a", &["--json", "send", "d", "--to", &b.to(), "--wait"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    let names = objects(&ran, "renamed");
    let names: Vec<_> = names.iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["d/%E9%E9 (2)", "d/caf%E9 (3).txt", "d/f%FF (2)"]);
    let received = |name: &str| {
        let path = homes.home("b").join("received/d").join(name);
        fs::read_to_string(path).unwrap()
    };
    for (name, text) in [
        ("caf%E9.txt", "text"),
        ("caf%E9 (2).txt", "taken"),
        ("caf%E9 (3).txt", "no text"),
        ("f%FF", "beside"),
        ("f%FF (2)/inside", "inside"),
    ] {
        assert_eq!(received(name), text, "{name}");
    }
    let mut pair = [received("%E9%E9"), received("%E9%E9 (2)")];
    pair.sort();
    assert_eq!(pair, ["neither", "nor"]);
    let again = homes.run("a", &["share", "d"]);
    assert!(
        again.err.contains("is sent as d/f%FF (2): "),
        "{}",
        again.err
    );
}

#[test]
fn files_that_are_on_no_disk_are_left_out_and_can_be_streamed() {
    let folder = "/sys/kernel/mm/transparent_hugepage";
    if !Path::new(folder).join("enabled").exists() {
        return eprintln!("not tried: there is no {folder} here");
    }
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    for dry in [&["--dry-run"][..], &["--wait"]] {
        let ran = homes.run("a", &[&["send", folder, "--to", &b.to()], dry].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let said = format!("skipped {folder}/enabled: a file that is not on a disk");
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert!(!ran.err.contains("changed"), "{}", ran.err);
    }
    let file = format!("{folder}/enabled");
    let said = homes.fails("a", &["send", &file, "--to", &b.to()], 7);
    assert!(
        said.contains("hint: send what it gives instead: `- --name NAME < FILE`"),
        "{said}"
    );
    let args = ["send", "-", "--name", "enabled", "--to", &b.to(), "--wait"];
    let mut stream = homes.command("a", &args);
    stream.stdin(fs::File::open(&file).unwrap());
    let ran = Ran::from(stream.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let received = fs::read(homes.home("b").join("received/enabled")).unwrap();
    assert_eq!(received, fs::read(&file).unwrap());
}

#[test]
fn a_path_that_is_too_deep_or_too_long_is_not_to_be_renamed() {
    let homes = Homes::new(&[]);
    let (deep, long) = (
        ["d"; 130].join("/"),
        ["x".repeat(200).as_str(); 21].join("/"),
    );
    for tree in [&deep, &long] {
        fs::create_dir_all(homes.path("top")).unwrap();
        // Made step by step: the system takes no path that is so long.
        let script = "cd top; for part; do mkdir \"$part\" && cd \"$part\" || exit 1; done";
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "bash"]).args(tree.split('/'));
        assert!(
            shell
                .current_dir(homes.path(""))
                .status()
                .unwrap()
                .success()
        );
        let said = homes.fails("a", &["share", "top"], 2);
        assert!(said.contains("hint: send a folder further down"), "{said}");
        let mut remove = Command::new("rm");
        remove.arg("-rf").arg(homes.path("top"));
        assert!(remove.status().unwrap().success());
    }
}

#[test]
fn a_dry_run_makes_no_store() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "f").unwrap();
    let send = ["send", "f", "--keep", "--to", &b.to()];
    homes.ok("a", &[&send[..], &["--dry-run"]].concat());
    assert!(!homes.home("a").join("chunks").exists());
    homes.ok("a", &send);
    assert!(homes.home("a").join("chunks").exists());
}

#[test]
fn a_filter_leaves_out_what_was_named_itself_and_says_so() {
    let homes = Homes::new(&[]);
    for file in ["a.txt", "b.iso", "c.o", "d/e.iso"] {
        let path = homes.path("in").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    fs::write(homes.path("in/.gitignore"), "*.o\n").unwrap();
    let all = ["in/a.txt", "in/b.iso", "in/c.o", "in/d"];
    let share =
        |paths: &[&str], flags: &[&str]| homes.run("a", &[&["share"], paths, flags].concat());
    let ran = share(&all, &["--exclude", "*.iso", "--git"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for named in ["in/b.iso", "in/c.o"] {
        let said = format!("skipped {named}: it was named, and --exclude or --git leaves it out");
        assert!(ran.err.contains(&said), "{}", ran.err);
    }
    homes.ok("a", &["receive", "--all", "--out", "out"]);
    let mut there: Vec<_> = fs::read_dir(homes.path("out")).unwrap().flatten().collect();
    there.sort_by_key(|entry| entry.file_name());
    let names: Vec<_> = there.iter().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["a.txt", "d"]);
    assert!(!homes.path("out/d/e.iso").exists());
    // Nothing remains.
    for (paths, flags) in [
        (&all[1..2], &["--exclude", "*.iso"][..]),
        (&all[2..3], &["--git"]),
        (&all, &["--exclude", "/*"]),
    ] {
        let ran = share(paths, flags);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("nothing to send"), "{}", ran.err);
    }
    // What is not there is an error all the same, and `.` is never meant by a glob.
    assert_eq!(share(&["in/no.iso"], &["--exclude", "*.iso"]).code, 6);
    assert_eq!(share(&["."], &["--exclude", "*"]).code, 0);
}
