//! The table of docs/commands.md says which commands ask, and every command is in it.

use std::{collections::BTreeMap, fs, path::Path};

use testkit::{Homes, Serving};

use super::{locked, with};
use crate::events::commands;

/// What is said where it is needed and nobody can be asked.
const ASKS: &str = "which was not given";

/// Of each command of the table: whether it asks, and whether it does while a peer serves.
fn table() -> BTreeMap<String, (bool, bool)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page
        .split_once("\n## The passphrase of the keys\n")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let asks = |cell: &str| cell.starts_with("yes");
    cells
        .flat_map(|cells| {
            let names = cells[1]
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned());
            let asked = (asks(cells[2]), asks(cells[3]));
            names.map(move |name| (name, asked)).collect::<Vec<_>>()
        })
        .collect()
}

/// What is typed of it; none of what is not tried, because it never looks at a home.
fn typed(name: &str) -> Option<Vec<&str>> {
    let more: &[&str] = match name {
        "demo" | "completions" | "man" => return None,
        "send" | "seal" => &["f", "--to", "b", "--out", "o"],
        "share" => &["f"],
        "grant" => &["3f2a", "--to", "b"],
        "delete" => &["3f2a", "--yes"],
        "receive" => &["--all"],
        "open" => &["nowhere"],
        "inbox accept" | "inbox refuse" | "inbox stop" => &["3f2a"],
        "peers add" => &["127.0.0.1:9"],
        "peers check" | "peers block" | "peers forget" | "certs revoke" => &["b"],
        "peers rename" => &["b", "b"],
        "peers role" => &["b", "member"],
        "peers allow" | "peers deny" => &["b", "bank:atm"],
        "doctor PEER" => return Some(vec!["doctor", "b"]),
        "pair HOST" => return Some(vec!["pair", "127.0.0.1:9"]),
        "pair" => &["--life", "1s"],
        "certs leave" => &["--yes"],
        "certs init" => &["--name", "c"],
        "certs import" => &["nowhere"],
        "certs issue" => &["c", "--out", "c"],
        "certs passphrase set" => &["--new-file", "secret"],
        "config set" => &["jobs", "3"],
        "config unset" => &["jobs"],
        "serve" => &["--listen", "127.0.0.1:0"],
        _ => &[],
    };
    // `send` has no `--out`.
    let more = if name == "send" { &more[..3] } else { more };
    Some(name.split(' ').chain(more.iter().copied()).collect())
}

/// Whether it asks, by what it says.
fn asks(homes: &Homes, home: &str, args: &[&str]) -> bool {
    let mut command = homes.command(home, args);
    command.env("XDG_CONFIG_HOME", homes.path("config"));
    let ran = testkit::Ran::from(command.output().unwrap());
    let asks = ran.err.contains(ASKS);
    assert_eq!(asks, ran.code == 9 && asks, "{args:?}: {ran:?}");
    asks
}

fn serve(homes: &Homes, home: &str) -> Serving {
    let args = with(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    homes.serve_by(home, homes.command(home, &args))
}

#[test]
fn the_table_has_every_command_and_is_true() {
    let homes = locked(&["b"]);
    super::set(&homes, "b", "secret");
    fs::write(homes.path("f"), "text").unwrap();
    let table = table();
    for name in commands(&homes, &[]) {
        assert!(table.contains_key(&name), "`{name}` is not in the table");
    }
    let mut wrong = Vec::new();
    let mut check = |home: &str, when: &str, name: &str, args: &[&str], expected: bool| {
        if asks(&homes, home, args) != expected {
            wrong.push(format!("`{name}` of {home} {when}: expected {expected}"));
        }
    };
    for (name, (asks, _)) in &table {
        if let Some(args) = typed(name) {
            check("a", "alone", name, &args, *asks);
        }
    }
    // What stops or leaves comes last.
    let last = |name: &String| ["stop", "certs leave"].contains(&name.as_str());
    for (home, has_circle_key) in [("a", true), ("b", false)] {
        let _serving = serve(&homes, home);
        let (end, begin): (Vec<_>, Vec<_>) = table.iter().partition(|(name, _)| last(name));
        for (name, (_, asks)) in begin.into_iter().chain(end) {
            if let Some(args) = typed(name) {
                let expected = *asks && has_circle_key;
                check(home, "while it is served", name, &args, expected);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_peer_that_was_killed_hands_nothing_over_and_the_next_one_does() {
    let homes = locked(&[]);
    let mut serving = serve(&homes, "a");
    homes.ok("a", &["list"]);
    serving.kill();
    homes.fails("a", &["list"], 9);
    let next = serve(&homes, "a");
    homes.ok("a", &["list"]);
    homes.ok("a", &["stop"]);
    drop(next);
    assert!(!homes.home("a").join("certs/keys.sock").exists());
    homes.fails("a", &["list"], 9);
}
