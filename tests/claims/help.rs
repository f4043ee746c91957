//! What `--help` gives, and how a wrong command line is answered.

use std::{fs::File, process::Command};

use testkit::{Homes, Ran};

fn colis(words: &[&str]) -> Command {
    let mut command = Command::new(testkit::program());
    command
        .args(words)
        .env_remove("COLIS_HOME")
        .env("NO_COLOR", "1");
    command
}

fn help(words: &[&str]) -> String {
    let ran = Ran::from(colis(&[words, &["--help"]].concat()).output().unwrap());
    assert_eq!(ran.code, 0, "{words:?}: {}", ran.err);
    ran.out
}

/// The commands that the help of a command lists.
fn below(help: &str) -> Vec<String> {
    let listed = help
        .split_once("\nCommands:\n")
        .map_or("", |(_, rest)| rest);
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

/// Looks at the help of what is below `words`. Gives how many commands that are.
fn check_below(words: &[&str]) -> usize {
    let mut checked = 0;
    for name in below(&help(words)) {
        let words = [words, &[&name]].concat();
        let said = help(&words);
        let example = format!("\n  colis {} ", words.join(" "));
        let (_, examples) = said
            .split_once("\nExamples:\n")
            .unwrap_or_else(|| panic!("{words:?} has no example: {said}"));
        let examples = format!("\n{examples} ").replace('\n', " \n");
        assert!(examples.contains(&example), "{words:?}: {examples}");
        checked += 1 + check_below(&words);
    }
    checked
}

#[test]
fn every_command_has_an_example_in_its_help() {
    assert!(check_below(&[]) > 40);
}

#[test]
fn help_into_a_full_disk_fails_and_into_a_closed_pipe_does_not() {
    for words in [&["--help"][..], &["--version"], &["send", "--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let ran = Ran::from(colis(words).stdout(full).output().unwrap());
        assert_eq!(ran.code, 7, "{words:?}: {}", ran.err);
        assert!(ran.err.contains("colis: standard output: "), "{}", ran.err);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Ran::from(colis(words).stdout(writer).output().unwrap());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
    }
}

#[test]
fn a_wrong_command_line_is_an_error_like_any_other() {
    let homes = Homes::new(&[]);
    for (words, what, hint) in [
        (
            &["sned", "f"][..],
            "unrecognized subcommand 'sned'",
            "a similar subcommand exists: 'send'. Usage: colis ",
        ),
        (
            &["send", "f", "--wiat"],
            "unexpected argument '--wiat' found",
            "a similar argument exists: '--wait'. Usage: colis send ",
        ),
        (
            &["peers", "rename", "b"],
            "the following required arguments were not provided: <NEW>",
            "Usage: colis peers rename ",
        ),
        (
            &["serve", "--inbox", "never"],
            "invalid value 'never' for '--inbox <INBOX>' [possible values: auto, ask, off]",
            "see how it is used: colis --help",
        ),
    ] {
        let said = homes.fails("a", words, 2);
        let start = format!("colis: {what}\nhint: {hint}");
        assert!(said.starts_with(&start), "{words:?}: {said}");
        assert_eq!(said.lines().count(), 2, "{said}");
        let ran = homes.run("a", &[&["--json"], words].concat());
        let error = ran.object("error");
        assert_eq!((ran.code, ran.err.as_str()), (2, ""), "{words:?}");
        assert_eq!(error["exit"], 2, "{error}");
        assert_eq!(error["message"], what, "{error}");
        assert!(error["hint"].as_str().unwrap().starts_with(hint), "{error}");
    }
}
