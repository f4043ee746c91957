//! File systems that people have: what one cannot do is worked around, or left out and said; it fails no transfer.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use testkit::{
    Homes, around,
    disk::{
        self, Disk,
        Refusal::{
            self, Decomposed, FolderRemoval, FolderSync, Links, Modes, NotAscii, Punctuation,
            RenameFlags, Size, Symlinks, Times,
        },
    },
    has,
};

/// What they refuse, about.
const NFS: &[Refusal] = &[RenameFlags];
const P9: &[Refusal] = &[RenameFlags, FolderSync];
const CIFS: &[Refusal] = &[Symlinks, Times, FolderSync];
const FAT: &[Refusal] = &[Links, Symlinks, Modes];
const FUSE: &[Refusal] = &[RenameFlags, Links, Times, Size];
const ALL: &[Refusal] = &[RenameFlags, Links, Symlinks, Times, Modes, FolderSync, Size];

const DISKS: [&[Refusal]; 6] = [NFS, P9, CIFS, FAT, FUSE, ALL];

/// What is opened in this home stays, to be received once more.
fn keep_opened(homes: &Homes) {
    fs::write(homes.home("a").join("colis.toml"), "keep_opened = \"1d\"\n").unwrap();
}

/// A circle in which `a` has a folder, a file and a link that `b` has sent.
fn sent() -> Homes {
    let homes = Homes::new(&["b"]);
    keep_opened(&homes);
    let folder = homes.path("d");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/x"), "x").unwrap();
    fs::write(folder.join("f"), "f").unwrap();
    symlink("f", folder.join("l")).unwrap();
    fs::write(homes.path("n.txt"), "theirs").unwrap();
    let serving = homes.serve("a", &["--inbox", "off"]);
    homes.ok("b", &["send", "d", "n.txt", "--to", &serving.to()]);
    homes
}

fn is_received(homes: &Homes, out: &Path, refused: &[Refusal]) {
    let mine = out.join("n.txt");
    fs::create_dir_all(out).unwrap();
    fs::write(&mine, "mine").unwrap();
    let args = ["receive", "--all", "--out", out.to_str().unwrap()];
    let said = homes.run("a", &args);
    assert_eq!(said.code, 0, "{refused:?}: {}", said.err);
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    assert_eq!((read("d/f"), read("d/sub/x")), ("f".into(), "x".into()));
    assert_eq!(
        (read("n.txt"), read("n (2).txt")),
        ("mine".into(), "theirs".into())
    );
    assert!(!out.join(".colis").exists(), "{refused:?}: a staging stays");
    let has_link = fs::read_link(out.join("d/l")).is_ok();
    assert_eq!(has_link, !refused.contains(&Symlinks));
    for (refusal, told) in [
        (Symlinks, "skipped the link d/l"),
        (Times, "lets no times be set"),
    ] {
        let is_told = said.err.contains(told);
        assert_eq!(
            is_told,
            refused.contains(&refusal),
            "{refused:?}: {}",
            said.err
        );
    }
}

#[test]
fn a_folder_is_received_on_every_file_system() {
    for refused in DISKS {
        let Some(disk) = Disk::refusing(refused) else {
            return;
        };
        let (homes, out) = (sent(), disk.path().join("o"));
        is_received(&homes, &out, refused);
        fs::remove_file(out.join("n.txt")).unwrap();
        fs::rename(out.join("n (2).txt"), out.join("n.txt")).unwrap();
        let again = homes.ok("a", &["receive", "d", "--out", out.to_str().unwrap()]);
        assert!(
            again.contains("already there, identical"),
            "{refused:?}: {again}"
        );
    }
}

/// A name, the refusal by which it cannot be had, and what it is called then.
const NAMES: [(&str, Refusal, &str); 8] = [
    ("a?b", Punctuation, "a_b"),
    ("*", Punctuation, "_"),
    ("\"q\" <x>|y", Punctuation, "_q_ _x__y"),
    ("?", Punctuation, "_ (2)"),
    ("caf\u{e9}", NotAscii, "caf_"),
    ("cafe\u{301} au lait", Decomposed, "caf\u{e9} au lait"),
    ("\u{6f22}\u{5b57}", NotAscii, "__"),
    ("plain", Punctuation, "plain"),
];

#[test]
fn names_that_a_file_system_refuses_get_others_there_and_only_there() {
    for refused in [Punctuation, NotAscii, Decomposed] {
        let Some(disk) = Disk::refusing(&[refused]) else {
            return;
        };
        let homes = Homes::new(&["b"]);
        keep_opened(&homes);
        fs::create_dir_all(homes.path("d/in?")).unwrap();
        for (name, ..) in NAMES {
            fs::write(homes.path("d").join(name), name).unwrap();
        }
        fs::write(homes.path("d/in?/x"), "x").unwrap();
        symlink("in?/x", homes.path("d/l")).unwrap();
        fs::write(homes.path("top?"), "top").unwrap();
        let serving = homes.serve("a", &["--inbox", "off"]);
        homes.ok("b", &["send", "d", "top?", "--to", &serving.to()]);
        let out = disk.path().join("o");
        let to = out.to_str().unwrap();
        homes.ok("a", &["receive", "--all", "--out", to]);
        let again = homes.ok("a", &["receive", "d", "--out", to]);
        assert!(
            again.contains("already there, identical"),
            "{refused:?}: {again}"
        );
        let odd = if refused == Punctuation { '_' } else { '?' };
        assert!(out.join(format!("d/in{odd}/x")).exists(), "{refused:?}");
        assert!(out.join(format!("top{odd}")).exists(), "{refused:?}");
        assert_eq!(fs::read_to_string(out.join("d/l")).unwrap(), "x");
        for (name, by, other) in NAMES {
            let called = if by == refused { other } else { name };
            if refused == NotAscii && by != NotAscii && !name.is_ascii() {
                continue;
            }
            let read = fs::read_to_string(out.join("d").join(called)).ok();
            assert_eq!(read.as_deref(), Some(name), "{refused:?}: {called}");
        }
    }
}

#[test]
fn a_home_works_on_every_file_system_that_keeps_its_keys_private() {
    for refused in DISKS {
        let Some(disk) = Disk::refusing(refused) else {
            return;
        };
        if refused.contains(&Modes) {
            continue;
        }
        is_a_home(&disk.path().join("h"), &format!("{refused:?}"));
    }
}

/// A home can be made there, and serves, receives, shares and is checked; `kind` is said if not.
pub(crate) fn is_a_home(path: &Path, kind: &str) {
    let (homes, home) = (Homes::new(&[]), path.to_str().unwrap());
    homes.ok(home, &["certs", "init", "--name", "h"]);
    let certs = homes.home("g").join("certs");
    homes.ok(
        home,
        &["certs", "issue", "g", "--out", certs.to_str().unwrap()],
    );
    fs::write(homes.path("f"), "f").unwrap();
    let serving = homes.serve(home, &[]);
    homes.ok("g", &["send", "f", "--to", &serving.to(), "--wait"]);
    let received = fs::read_to_string(path.join("received/f"));
    assert_eq!(received.unwrap(), "f", "{kind}");
    drop(serving);
    homes.ok(home, &["share", "f"]);
    homes.ok(home, &["gc"]);
    homes.ok(home, &["check", "--read-data"]);
}

#[test]
fn no_private_key_is_written_where_nothing_is_private() {
    let Some(disk) = Disk::refusing(FAT) else {
        return;
    };
    let homes = Homes::new(&[]);
    let home = disk.path().join("h");
    let (home, certs) = (home.to_str().unwrap(), home.join("g"));
    let said = homes.fails(home, &["certs", "init", "--name", "h"], 7);
    assert!(said.contains("umask=077"), "{said}");
    let issue = ["certs", "issue", "g", "--out", certs.to_str().unwrap()];
    let said = homes.fails("a", &issue, 7);
    assert!(said.contains("umask=077"), "{said}");
    let found = Command::new("grep")
        .args(["-rlE", "PRIVATE KEY|SEAL KEY"])
        .arg(disk.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn what_is_staged_and_cannot_be_removed_fails_nothing() {
    let Some(disk) = Disk::refusing(&[FolderRemoval]) else {
        return;
    };
    let (homes, out) = (sent(), disk.path().join("o"));
    for _ in 0..2 {
        let ran = homes.run("a", &["receive", "d", "--out", out.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.err.contains("cannot be removed"), "{}", ran.err);
        assert_eq!(fs::read_to_string(out.join("d/f")).unwrap(), "f");
    }
}

#[test]
fn what_does_not_fit_leaves_nothing() {
    let homes = sent();
    let small = ["receive", "d", "--out", "o"];
    fs::write(
        homes.home("a").join("colis.toml"),
        "reserve = \"1000000TiB\"\n",
    )
    .unwrap();
    let said = homes.fails("a", &small, 7);
    assert!(said.contains("no space"), "{said}");
    assert!(!homes.path("o/.colis").exists());
}

#[test]
fn keys_where_no_modes_are_kept_are_said_to_be_kept_elsewhere() {
    let Some(disk) = Disk::refusing(&[Modes]) else {
        return;
    };
    let (homes, home) = (Homes::new(&["b"]), disk.path().join("h"));
    let home = home.to_str().unwrap();
    let made = homes.run(home, &["certs", "init", "--name", "h"]);
    // One that was carried there.
    let copied = Command::new("cp")
        .arg("-r")
        .arg(homes.home("a"))
        .arg(disk.path().join("c"))
        .status();
    assert!(copied.unwrap().success());
    let home = disk.path().join("c");
    let home = home.to_str().unwrap();
    let listed = homes.run(home, &["list", "h"]);
    let doctor = homes.run(home, &["doctor"]);
    for said in [made.err, listed.err, doctor.out + &doctor.err] {
        assert!(said.contains("keeps no modes"), "{said}");
        assert!(!said.contains("chmod 600"), "{said}");
    }
}

#[test]
fn a_disk_without_files_left_is_said_to_be_one() {
    let Some(disk) = Disk::mount(disk::exact, 40) else {
        return;
    };
    let (homes, home) = (Homes::new(&[]), disk.path().join("h"));
    let home = home.to_str().unwrap();
    homes.ok(home, &["certs", "init", "--name", "h"]);
    let said = homes.fails(home, &["serve", "--listen", "127.0.0.1:0"], 7);
    assert!(said.contains("no more files (inodes"), "{said}");
}

#[test]
fn what_cannot_be_written_is_named_as_the_person_knows_it() {
    if !has("strace") {
        return;
    }
    let homes = sent();
    fs::write(homes.path("big"), vec![7; 3 << 20]).unwrap();
    homes.ok("a", &["share", "big"]);
    for call in ["fallocate", "pwrite64", "mkdirat"] {
        let args = ["receive", "big", "--out", "o"];
        let ran = injected(&homes, call, "ENOSPC", &args).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(7), "{call}: {said}");
        let longest = said.split(|c: char| !c.is_ascii_hexdigit()).map(str::len);
        assert!(longest.max() < Some(32), "{call}: {said}");
    }
}

#[test]
fn a_link_to_a_folder_is_followed_if_it_is_said_so() {
    let homes = sent();
    fs::create_dir(homes.path("real")).unwrap();
    symlink("real", homes.path("link")).unwrap();
    let said = homes.fails("a", &["receive", "d", "--out", "link"], 7);
    let followed = format!("--out {}/", homes.path("link").display());
    assert!(said.contains(&followed), "{said}");
    homes.ok("a", &["receive", "d", "--out", "link/"]);
    assert!(homes.path("real/d/f").exists());
}

#[test]
fn doctor_names_what_a_file_system_lacks() {
    let words = [
        (RenameFlags, "no rename without replacing"),
        (Symlinks, "no symbolic links"),
        (Times, "no times that can be set"),
        (FolderSync, "no sync of folders"),
    ];
    for refused in [NFS, CIFS] {
        let Some(disk) = Disk::refusing(refused) else {
            return;
        };
        let (homes, home) = (Homes::new(&[]), disk.path().join("h"));
        let home = home.to_str().unwrap();
        homes.ok(home, &["certs", "init", "--name", "h"]);
        let said = homes.run(home, &["doctor"]);
        for (refusal, word) in words {
            let is_named = said.out.contains(word) || said.err.contains(word);
            assert_eq!(is_named, refused.contains(&refusal), "{word}: {}", said.out);
        }
    }
}

/// `colis` under strace, which lets `call` fail with `error`.
fn injected(homes: &Homes, call: &str, error: &str, args: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    // The tracer stands aside, so that who ends the child ends the program and not only its tracer.
    strace.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
    strace.args(["-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error={error}")]);
    around(strace, &homes.command("a", args))
}

#[test]
fn single_calls_that_a_file_system_refuses_fail_no_receive() {
    if !has("strace") {
        return;
    }
    let refused = [
        ("symlinkat", "EPERM"),
        // A mount of cloud storage.
        ("symlinkat", "EIO"),
        ("utimensat", "EPERM"),
        ("utimensat", "EOPNOTSUPP"),
        ("fallocate", "EINVAL"),
        ("renameat2", "EINVAL"),
        ("renameat2,linkat", "EOPNOTSUPP"),
        ("flock", "ENOLCK"),
        ("flock", "EOPNOTSUPP"),
        ("fchmod", "EPERM"),
    ];
    let homes = sent();
    for (number, (call, error)) in refused.into_iter().enumerate() {
        let out = format!("o{number}");
        let args = ["receive", "d", "--keep-exec", "--out", &out];
        let ran = injected(&homes, call, error, &args).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{call} {error}: {said}");
        assert_eq!(
            fs::read_to_string(homes.path(&out).join("d/f")).unwrap(),
            "f"
        );
    }
}

#[test]
fn one_process_has_a_store_also_where_locks_are_refused() {
    if !has("strace") {
        return;
    }
    let homes = sent();
    let serve = ["--json", "serve", "--listen", "127.0.0.1:0"];
    let serving = homes.serve_by("a", injected(&homes, "flock", "ENOLCK", &serve));
    let second = injected(&homes, "flock", "ENOLCK", &serve)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_ne!(second.status.code(), Some(0), "{said}");
    drop(serving);
}
