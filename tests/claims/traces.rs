//! A receive that gets nothing leaves nothing: no staging, and no folder that was made for it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::{Homes, bytes, wait_for};

const PASSWORDS: [(&str, &str); 2] = [
    ("right", "a password of the sender"),
    ("wrong", "a password of another"),
];

/// Destinations that are not there, and one that is.
const OUTS: [&str; 3] = ["o", "made/for/it", "mine"];

/// A circle of `a`, `b` and `c`, a file, and a folder for what is received.
fn circle() -> Homes {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path("f"), bytes(3, 100_000)).unwrap();
    fs::create_dir(homes.path("mine")).unwrap();
    for (name, password) in PASSWORDS {
        fs::write(homes.path(name), password).unwrap();
    }
    homes
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(self::files(&path)),
            path => files.push(path),
        }
    }
    files
}

/// Removes the only content chunk below `folder`, which is its largest file.
fn lose_content(folder: &Path) {
    let largest = files(folder)
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len());
    fs::remove_file(largest.unwrap()).unwrap();
}

/// Receives by `args` into each destination, in vain.
fn leaves_nothing(homes: &Homes, home: &str, args: &[&str], code: i32) {
    for out in OUTS {
        let args = [args, &["--out", out]].concat();
        homes.fails(home, &args, code);
        let (made, mine) = (out.split('/').next().unwrap(), homes.path("mine"));
        assert!(made == "mine" || !homes.path(made).exists(), "{args:?}");
        assert_eq!(fs::read_dir(mine).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn a_wrong_password_leaves_nothing() {
    let homes = circle();
    let seal = ["seal", "f", "--out", "sealed", "--password-file", "right"];
    homes.ok("a", &seal);
    let open = ["open", "sealed", "--password-file", "wrong"];
    leaves_nothing(&homes, "b", &open, 4);
    let share = ["share", "f", "--to", "b", "--password-file", "right"];
    homes.ok("a", &share);
    let a = homes.serve("a", &[]);
    for args in [&["receive", "f"][..], &["receive", "--all"]] {
        let from = ["--from", &a.to(), "--password-file", "wrong"];
        let args = [args, &from].concat();
        let ran = homes.run("c", &[&args[..], &["--out", "o"]].concat());
        assert!(!homes.path("o").exists(), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_lost_first_chunk_leaves_nothing() {
    let homes = circle();
    homes.ok("a", &["seal", "f", "--out", "sealed", "--to", "a"]);
    lose_content(&homes.path("sealed"));
    leaves_nothing(&homes, "a", &["open", "sealed"], 6);
    homes.ok("a", &["share", "f"]);
    lose_content(&homes.home("a").join("chunks/data"));
    leaves_nothing(&homes, "a", &["receive", "f"], 6);
    homes.fails("a", &["receive", "f"], 6);
    assert!(!homes.home("a").join("received").exists());
    let a = homes.serve("a", &[]);
    leaves_nothing(&homes, "b", &["receive", "f", "--from", &a.to()], 6);
}

#[test]
fn an_accepted_transfer_that_cannot_be_opened_leaves_nothing() {
    let homes = circle();
    let b = homes.serve("b", &["--inbox", "ask"]);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    wait_for("it waits", || !homes.ok("b", &["inbox"]).is_empty());
    drop(b);
    lose_content(&homes.home("b").join("chunks/data"));
    leaves_nothing(&homes, "b", &["inbox", "accept", "--all"], 6);
    let received = homes.home("b").join("received");
    let before = received.exists();
    homes.fails("b", &["inbox", "accept", "--all"], 6);
    assert_eq!(received.exists(), before);
    assert!(!received.join(".colis").exists());
}

#[test]
fn a_disk_without_room_is_left_as_it_was() {
    let homes = circle();
    homes.ok("a", &["seal", "f", "--out", "sealed", "--to", "a,b"]);
    homes.ok("a", &["share", "f"]);
    let a = homes.serve("a", &[]);
    let settings = "reserve = \"1000TiB\"\n";
    for home in ["a", "b"] {
        fs::write(homes.home(home).join("colis.toml"), settings).unwrap();
    }
    leaves_nothing(&homes, "a", &["open", "sealed"], 7);
    leaves_nothing(&homes, "a", &["receive", "f"], 7);
    leaves_nothing(&homes, "b", &["receive", "f", "--from", &a.to()], 7);
}

#[test]
fn what_can_be_continued_stays() {
    let homes = circle();
    fs::write(homes.path("large"), bytes(4, 5 << 20)).unwrap();
    homes.ok("a", &["seal", "large", "--out", "sealed", "--to", "a"]);
    let sealed = files(&homes.path("sealed/chunks"));
    let content: Vec<_> = sealed
        .into_iter()
        .filter(|p| p.metadata().unwrap().len() > 1 << 20)
        .collect();
    let away = homes.path("away");
    let mut stayed = 0;
    for chunk in content {
        fs::rename(&chunk, &away).unwrap();
        homes.fails("a", &["open", "sealed", "--out", "o"], 6);
        stayed += usize::from(homes.path("o/.colis").exists());
        fs::rename(&away, &chunk).unwrap();
        homes.ok("a", &["open", "sealed", "--out", "o"]);
        assert_eq!(fs::read(homes.path("o/large")).unwrap(), bytes(4, 5 << 20));
        assert!(!homes.path("o/.colis").exists());
        fs::remove_dir_all(homes.path("o")).unwrap();
    }
    assert_eq!(stayed, 4, "only without the first of 5 there is nothing");
}
