//! The same transfer received again makes no further copies, whatever has its name.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, process::Stdio};

use testkit::{Homes, bytes, tree};

/// The names in `out`, without the folder of stagings.
fn names(homes: &Homes) -> BTreeSet<String> {
    let names = fs::read_dir(homes.path("out")).unwrap().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name != ".colis").collect()
}

/// A peer that shares a file, a folder and a link whose names are all taken in `out`.
fn taken() -> Homes {
    let homes = Homes::new(&[]);
    fs::create_dir_all(homes.path("out/folder")).unwrap();
    fs::write(homes.path("out/notes.txt"), "mine").unwrap();
    fs::write(homes.path("out/folder/f"), "mine").unwrap();
    symlink("elsewhere", homes.path("out/other")).unwrap();
    fs::create_dir_all(homes.path("folder/deep")).unwrap();
    fs::write(homes.path("notes.txt"), "theirs").unwrap();
    fs::write(homes.path("folder/f"), "their").unwrap();
    fs::write(homes.path("folder/deep/g"), bytes(5, 200_000)).unwrap();
    symlink("deep/g", homes.path("folder/link")).unwrap();
    fs::write(homes.path("other"), "").unwrap();
    homes.ok("a", &["share", "notes.txt"]);
    homes.ok("a", &["share", "folder", "other"]);
    homes
}

const RECEIVE: [&str; 6] = ["receive", "--all", "--mine", "--again", "--out", "out"];
const EXPECTED: [&str; 6] = [
    "folder",
    "folder (2)",
    "notes (2).txt",
    "notes.txt",
    "other",
    "other (2)",
];

#[test]
fn a_receive_that_is_repeated_finds_what_it_has_under_a_number() {
    let homes = taken();
    for round in 0..3 {
        let said = homes.ok("a", &RECEIVE);
        assert_eq!(names(&homes), EXPECTED.map(str::to_owned).into(), "{said}");
        assert_eq!(said.contains("already there"), round > 0, "{said}");
    }
    assert_eq!(
        tree(&homes.path("folder")),
        tree(&homes.path("out/folder (2)"))
    );
    // Other content under the next number is not it; the one after that may be.
    fs::rename(
        homes.path("out/notes (2).txt"),
        homes.path("out/notes (3).txt"),
    )
    .unwrap();
    fs::write(homes.path("out/notes (2).txt"), "yours").unwrap();
    let said = homes.ok("a", &RECEIVE);
    assert!(said.contains("notes (3).txt  (already there"), "{said}");
    assert!(!names(&homes).contains("notes (4).txt"));
    // What was changed is received anew, and nothing is written over.
    fs::write(homes.path("out/folder (2)/deep/g"), "changed").unwrap();
    homes.ok("a", &RECEIVE);
    assert!(names(&homes).contains("folder (3)"));
    assert_eq!(
        fs::read(homes.path("out/folder (2)/deep/g")).unwrap(),
        b"changed"
    );
}

#[test]
fn receives_at_once_make_one_copy() {
    let homes = taken();
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut command = homes.command("a", &RECEIVE);
        running.push(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
    }
    for mut child in running {
        let code = child.wait().unwrap().code();
        // One that found a transfer in the hands of another says so.
        assert!(matches!(code, Some(0 | 9 | 10)), "{code:?}");
    }
    homes.ok("a", &RECEIVE);
    assert_eq!(names(&homes), EXPECTED.map(str::to_owned).into());
}

#[test]
fn receives_of_one_transfer_at_once_have_it_or_say_that_another_has() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "small").unwrap();
    homes.ok("a", &["share", "f"]);
    for round in 0..6 {
        let out = format!("out{round}");
        let args = ["receive", "f", "--out", &out];
        let started: Vec<_> = (0..8)
            .map(|_| {
                let mut command = homes.command("a", &args);
                let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
                piped.spawn().unwrap()
            })
            .collect();
        for child in started {
            let ended = child.wait_with_output().unwrap();
            let err = String::from_utf8_lossy(&ended.stderr);
            assert!(matches!(ended.status.code(), Some(0 | 9)), "{err}");
        }
        assert_eq!(
            fs::read_to_string(homes.path(&out).join("f")).unwrap(),
            "small"
        );
        let there = fs::read_dir(homes.path(&out)).unwrap().count();
        assert_eq!(there, 1, "a copy, or a staging that stayed");
    }
}

#[test]
fn a_transfer_that_lacks_one_entry_at_its_top_gets_that_one() {
    let homes = Homes::new(&[]);
    for name in ["one", "two"] {
        fs::write(homes.path(name), name).unwrap();
    }
    homes.ok("a", &["share", "one", "two"]);
    homes.ok("a", &RECEIVE);
    fs::remove_file(homes.path("out/two")).unwrap();
    homes.ok("a", &RECEIVE);
    let expected = ["one", "two"].map(str::to_owned);
    assert_eq!(names(&homes), BTreeSet::from(expected));
}
