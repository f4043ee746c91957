//! Hostile names, thousands in a transfer, through a real receive: nothing outside of its folder changes, nothing there is
//! written over, and what appears has a name that is what it looks like.

use std::{
    collections::HashSet,
    fs,
    path::{Component, Path},
};

use colis::name::{Place, RelPath, SafeName};

use super::Dice;
use crate::bad_input::parcel::{Parcel, Plain};
use testkit::site::{Site, assert_clean};
use testkit::{rounds, tree};

/// Names in one transfer.
const TOGETHER: usize = 2_500;

/// Pieces that mean something to a file system, a shell, a terminal or another system.
const PIECES: [&str; 88] = [
    "..",
    ".",
    "...",
    "/",
    "//",
    "/../",
    "/./",
    "\\",
    "..\\",
    "\\..\\",
    "\\\\srv\\",
    "C:",
    "c:\\",
    "a:b",
    "::$DATA",
    "\0",
    "\n",
    "\r",
    "\t",
    "\u{1b}[2J",
    "\u{1b}]0;x\u{7}",
    "\u{9b}31m",
    "\u{7f}",
    "\u{8}",
    "\u{85}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{202a}",
    "\u{202d}",
    "\u{2066}",
    "\u{2069}",
    "\u{200b}",
    "\u{200d}",
    "\u{200e}",
    "\u{2060}",
    "\u{feff}",
    "\u{ad}",
    "\u{61c}",
    "\u{e0041}",
    "\u{180e}",
    "\u{3164}",
    "\u{ffa0}",
    "\u{115f}",
    "CON",
    "con.",
    "NUL",
    "nul.txt",
    "AUX ",
    "COM1",
    "com\u{b9}",
    "LPT0",
    "CONIN$",
    "PRN.x",
    ".colis",
    ".colis/",
    "publishing",
    "lock",
    "tree",
    ".bashrc",
    ".ssh",
    "authorized_keys",
    "-rf",
    "--help",
    "~",
    "~root",
    "$HOME",
    "$(id)",
    "`id`",
    "|id",
    ";id",
    "&",
    "*",
    "?",
    "\"",
    "'",
    " ",
    "%2e%2e%2f",
    "%00",
    "\u{ff0f}",
    "\u{2215}",
    "\u{ff0e}\u{ff0e}",
    "\u{e9}",
    "e\u{301}",
    "\u{1f4e6}",
    "(2)",
    "x.txt",
    "name",
];

/// A name made of such pieces, or of any characters.
fn name(dice: &mut Dice) -> String {
    let mut name = String::new();
    for _ in 0..=dice.below(4) {
        match dice.below(8) {
            0 => name.extend(char::from_u32(
                u32::try_from(dice.below(0x11_0000)).unwrap(),
            )),
            1 => name.push_str(&"long".repeat(dice.below(70))),
            2 => name.push_str(&dice.below(1000).to_string()),
            _ => name.push_str(dice.of(&PIECES)),
        }
    }
    name
}

/// A transfer of files with hostile names, as many as the format lets through. Gives how many.
fn plain(dice: &mut Dice, wanted: usize) -> (Plain, usize, usize) {
    let (mut plain, mut files, mut folders) = (Plain::default(), HashSet::new(), HashSet::new());
    let mut tried = 0;
    while files.len() < wanted {
        tried += 1;
        let name = name(dice);
        let Ok(path) = RelPath::parse(&name) else {
            continue;
        };
        let parents: Vec<_> = name
            .match_indices('/')
            .map(|(at, _)| name[..at].to_owned())
            .collect();
        let clashes = files.contains(&name)
            || folders.contains(&name)
            || parents.iter().any(|p| files.contains(p));
        if clashes {
            continue;
        }
        for parent in parents {
            if folders.insert(parent.clone()) {
                plain.folder(&parent);
            }
        }
        plain.add(path.as_str(), name.as_bytes());
        files.insert(name);
    }
    (plain, wanted, tried)
}

/// Links that lead out, beside the files.
fn add_links(plain: &mut Plain) {
    let targets = [
        "..",
        "../..",
        "/",
        "/etc/passwd",
        "../victim",
        "a/../../..",
        "./../x",
        "\0",
        "",
        "//x",
        "..//..//x",
    ];
    for (number, target) in targets.iter().enumerate() {
        plain.link(&format!("link-{number}"), target);
        plain.folder(&format!("deep-{number}"));
        plain.link(&format!("deep-{number}/link"), target);
    }
}

#[test]
fn hostile_names_end_in_their_folder_and_replace_nothing() {
    let (site, wanted) = (Site::default(), rounds(1_000));
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let (mut done, mut tried, mut dice) = (0, 0, Dice::new(58));
    let victim = homes.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("precious"), "mine").unwrap();
    while done < wanted {
        let (mut plain, count, of) = plain(&mut dice, TOGETHER.min(wanted));
        add_links(&mut plain);
        let id = Parcel::seal(&b, &a, plain).send(&site, &b).to_string();
        let out = homes.path("out");
        fs::create_dir(&out).unwrap();
        occupy(&out);
        let (before, there) = (outside(&site), tree(&out));
        let ran = homes.run("a", &["receive", &id, "--out", "out"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_clean(&ran.out);
        assert_clean(&ran.err);
        assert_eq!(outside(&site), before, "something outside was touched");
        let after = tree(&out);
        let lost: Vec<_> = there.iter().filter(|line| !after.contains(line)).collect();
        assert!(lost.is_empty(), "written over: {lost:?}");
        let files = |lines: &[String]| {
            lines
                .iter()
                .filter(|line| line.starts_with("file "))
                .count()
        };
        assert_eq!(files(&after) - files(&there), count, "files are missing");
        assert!(
            !after
                .iter()
                .any(|line| line.starts_with("link ") && !there.contains(line)),
            "a link leads out"
        );
        all_harmless(&out, &there);
        fs::remove_dir_all(&out).unwrap();
        (done, tried) = (done + count, tried + of);
    }
    eprintln!("{done} of {tried} hostile names let through by the format, all in their folder");
}

/// Takes names that are about to come, with everything that can have a name.
fn occupy(out: &Path) {
    for name in ["x.txt", "name", "_-rf", "_.bashrc", "_CON"] {
        fs::write(out.join(name), "mine").unwrap();
    }
    for name in ["lock", "tree", "_.colis"] {
        fs::create_dir(out.join(name)).unwrap();
    }
    for name in ["publishing", "authorized_keys", "~"] {
        std::os::unix::fs::symlink("../victim", out.join(name)).unwrap();
    }
}

/// What must stay as it is: everything but `out/` and what a peer that runs notes in its home.
fn outside(site: &Site) -> Vec<String> {
    let own = ["out", "a", "a/chunks", "a/logs", "a.log"].map(Path::new);
    let root = site.homes.path("");
    let mut lines = Vec::new();
    for folder in ["", "a"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            if own.contains(&&*path) {
                continue;
            }
            let below = tree(&root.join(&path)).into_iter();
            lines.extend(below.map(|line| format!("{} {line}", path.display())));
        }
    }
    lines.sort();
    lines
}

/// Every name there is one that [`SafeName`] would not change, and shows what it is.
fn all_harmless(out: &Path, there: &[String]) {
    let mut todo = vec![out.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .file_name()
                .unwrap()
                .to_str()
                .expect("a name that is text");
            let place = if folder == out {
                Place::TopLevel
            } else {
                Place::Nested
            };
            assert_clean(name);
            let ours = there
                .iter()
                .any(|line| line.split(' ').nth(1) == Some(name));
            assert!(
                ours || SafeName::new(name, place).as_str() == name,
                "{name:?}"
            );
            if path.is_dir() && !path.is_symlink() {
                todo.push(path);
            }
        }
    }
}

/// The format refuses what the file system would read as another place, whatever is around it.
#[test]
fn no_path_that_the_format_takes_leads_elsewhere() {
    let (wanted, mut dice) = (rounds(20_000), Dice::new(59));
    let mut taken = 0;
    for _ in 0..wanted {
        let name = name(&mut dice);
        if let Ok(path) = RelPath::parse(&name) {
            taken += 1;
            let plain = Path::new(path.as_str())
                .components()
                .all(|c| matches!(c, Component::Normal(_)));
            assert!(plain && !name.contains('\0'), "{name:?}");
            let mapped: Vec<_> = name
                .split('/')
                .map(|part| SafeName::new(part, Place::Nested))
                .collect();
            let alone = |part: &SafeName| Path::new(part.as_str()).components().count() == 1;
            assert!(mapped.iter().all(alone), "{name:?}");
        }
    }
    eprintln!("{wanted} names, {taken} taken");
}

/// Tables with one entry that is no honest path are refused whole, by a real receive.
#[test]
fn a_table_with_one_bad_path_is_refused_whole() {
    let (site, rounds) = (Site::default(), rounds(12));
    let (a, b, homes) = (site.identity("a"), site.identity("b"), &site.homes);
    let mut dice = Dice::new(60);
    for _ in 0..rounds {
        let bad = loop {
            let name = name(&mut dice);
            if RelPath::parse(&name).is_err() {
                break name;
            }
        };
        let id = Parcel::seal(&b, &a, Plain::files(&["good", &bad]))
            .send(&site, &b)
            .to_string();
        let before = outside(&site);
        let ran = homes.run("a", &["receive", &id, "--out", "out"]);
        assert_eq!(ran.code, 5, "{bad:?}: {}", ran.err);
        assert_clean(&ran.err);
        assert_eq!(outside(&site), before, "{bad:?}");
        assert!(tree(&homes.path("out")).is_empty(), "{bad:?}");
    }
    eprintln!("{rounds} tables refused");
}
