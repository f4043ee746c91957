//! Names that are different for the sender, and one on the recipient's file system: nothing is lost, nothing is written over.

use std::{fs, path::Path};

use testkit::Homes;
use testkit::disk::{self, Disk, Fold};

const STORAGE: i32 = 7;

/// A circle in which `a` has what `b` has sent: these files, each with its own path as its content.
fn sent(paths: &[&str]) -> Homes {
    let homes = Homes::new(&["b"]);
    for path in paths {
        let file = homes.path("b").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, path).unwrap();
    }
    // It is received more than once.
    fs::write(homes.home("a").join("colis.toml"), "keep_opened = \"1d\"\n").unwrap();
    let serving = homes.serve("a", &["--inbox", "off"]);
    let tops = paths.iter().map(|path| path.split('/').next().unwrap());
    let mut tops: Vec<_> = tops.map(|top| format!("b/{top}")).collect();
    tops.dedup();
    let tops: Vec<_> = tops.iter().map(String::as_str).collect();
    homes.ok("b", &[&["send", "--to", &serving.to()], &tops[..]].concat());
    drop(serving);
    homes
}

/// The contents of all files below `folder`.
fn contents(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.ends_with(testkit::MARKER) {
            continue;
        }
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found.sort();
    found
}

fn sorted(paths: &[&str]) -> Vec<String> {
    let mut sorted: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
    sorted.sort();
    sorted
}

fn receive(out: &Path) -> [&str; 5] {
    [
        "receive",
        "--all",
        "--again",
        "--out",
        out.to_str().unwrap(),
    ]
}

#[test]
fn names_that_are_one_on_the_disk_are_all_delivered_and_told() {
    let capitals = ["d/README", "d/SUB/x", "d/readme", "d/sub/X", "d/sub/x"];
    let accents = ["d/cafe\u{301}", "d/caf\u{e9}"];
    let at_the_top = ["N.txt", "n.txt"];
    let cases: [(Fold, &[&str], &[&str]); 3] = [
        (
            disk::case,
            &capitals,
            &["d/readme (2)", "d/sub (2)", "d/sub (2)/x (2)"],
        ),
        (disk::forms, &accents, &["d/caf\u{e9} (2)"]),
        (disk::case, &at_the_top, &["n (2).txt"]),
    ];
    for (fold, paths, numbered) in cases {
        let Some(disk) = Disk::mount(fold, 1000) else {
            return;
        };
        let homes = sent(paths);
        let out = disk.path().join("o");
        let said = homes.run("a", &receive(&out));
        assert_eq!((said.code, contents(&out)), (0, sorted(paths)));
        for name in numbered {
            let told = format!("is called {name} here");
            assert!(said.err.contains(&told), "{told} is not in {}", said.err);
        }
        let again = homes.ok("a", &receive(&out));
        assert!(again.contains("already there, identical"), "{again}");
        assert_eq!(contents(&out), sorted(paths));
    }
}

#[test]
fn a_disk_without_room_for_another_file_loses_none() {
    let paths = ["d/README", "d/a", "d/b", "d/readme"];
    // Root, folder, stagings, staging, lock, tree and journal besides the folder d and its files.
    for room in 8..12 {
        let Some(disk) = Disk::mount(disk::case, room) else {
            return;
        };
        let homes = sent(&paths);
        let out = disk.path().join("o");
        let said = homes.fails("a", &receive(&out), STORAGE);
        assert!(said.contains("space"), "{said}");
        let left = fs::read_dir(&out).into_iter().flatten();
        assert!(
            left.into_iter()
                .all(|entry| entry.unwrap().file_name() == ".colis")
        );
        disk.grow(20);
        homes.ok("a", &receive(&out));
        assert_eq!(contents(&out), paths, "with room for {room} first");
    }
}

#[test]
fn names_that_only_the_disk_takes_for_one_are_refused() {
    let Some(disk) = Disk::mount(|name| name.replace('0', "o"), 1000) else {
        return;
    };
    let homes = sent(&["d/f0", "d/fo", "d/link"]);
    let out = disk.path().join("o");
    let said = homes.fails("a", &receive(&out), STORAGE);
    assert!(
        said.contains("are one on the file system") && said.contains("--out"),
        "{said}"
    );
    assert!(contents(&out).is_empty(), "nothing of it stays");
    homes.ok("a", &["receive", "--all"]);
    assert_eq!(contents(&homes.home("a").join("received")).len(), 3);
}
