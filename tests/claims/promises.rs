//! The page on security names for each promise the tests that hold it: they are there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

const PAGE: &str = include_str!("../../docs/security.md");

/// The names of tests in the last cells of the page's tables.
fn named() -> Vec<&'static str> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    spans.filter(|span| span.contains("::")).collect()
}

/// The tests of this program.
fn ours() -> BTreeSet<String> {
    let program = std::env::current_exe().unwrap();
    let listed = Command::new(program).arg("--list").output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// Whether a file below `folder` has a test of this name.
fn is_below(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_below(&path, name);
        }
        let is_code = path.extension().is_some_and(|kind| kind == "rs");
        is_code
            && fs::read_to_string(&path)
                .unwrap()
                .contains(&format!("fn {name}("))
    })
}

#[test]
fn every_test_that_the_security_page_names_is_there() {
    let (ours, tests) = (ours(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let is_there = |name: &str| match name.split("::").collect::<Vec<_>>()[..] {
        ["harness", program, test] => is_below(&tests.join("harness/tests").join(program), test),
        ["quiet", .., test] => is_below(&tests.join("quiet"), test),
        _ => ours.contains(name),
    };
    let missing: Vec<_> = named().into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
}

#[test]
fn every_promise_has_a_test() {
    let rows: Vec<_> = PAGE
        .split("| promise | test |")
        .skip(1)
        .flat_map(|table| {
            table
                .lines()
                .skip(2)
                .take_while(|line| line.starts_with("| "))
        })
        .collect();
    assert!(rows.len() > 30, "{} promises", rows.len());
    let without: Vec<_> = rows.iter().filter(|row| !row.contains("::")).collect();
    assert!(without.is_empty(), "{without:#?}");
}
