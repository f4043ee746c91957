//! Commands that are printed to be copied: a shell takes each path in them for one word, whatever is in it.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use testkit::{Homes, Ran, program};

use super::layering;

/// What stands before a path in a command of a shell, or of colis.
const BEFORE: [&str; 14] = [
    "mv {",
    "chmod 600 {",
    "chmod go-w {",
    "chmod u+rw {",
    "chmod {mode} {",
    "rm {",
    "cat {",
    ") > {",
    "findmnt -T {",
    "-in {",
    "--out {",
    "--home {",
    "mkdir -p {",
    "set received {",
];

/// Whether what stands in the braces at `at` of `text` is made by the one function for it.
fn is_word(text: &str, at: usize) -> bool {
    let name = text[at..].split('}').next().unwrap();
    let near = &text[at.saturating_sub(400)..text.len().min(at + 400)];
    let near = near.split_whitespace().collect::<Vec<_>>().join(" ");
    match name {
        // What it is stands behind the text.
        "" => near.contains("shell_word"),
        name => [
            format!("let {name} = shell_word("),
            format!("let ({name}, "),
            format!(", {name}) = ("),
        ]
        .iter()
        .any(|binding| text.contains(binding) && text.contains("shell_word(")),
    }
}

#[test]
fn every_command_that_is_shown_with_a_path_has_it_from_one_function() {
    let mut found = 0;
    for (path, text) in layering::sources() {
        let text = layering::program(&text);
        for before in BEFORE {
            for (at, _) in text.match_indices(before) {
                let letter = text[..at].chars().next_back();
                if letter.is_some_and(char::is_alphabetic) {
                    continue;
                }
                found += 1;
                let word = at + before.len();
                assert!(
                    is_word(text, word),
                    "{}: {}",
                    path.display(),
                    &text[at..word]
                );
            }
        }
    }
    assert!(found >= 15, "{found}: they are not found any more");
}

/// A member whose home is called as people call folders.
struct Odd {
    homes: Homes,
}

const HOME: &str = "Eve's \"box\" $HOME";

impl Odd {
    fn new() -> Self {
        let homes = Homes::new(&[]);
        let certs = homes.home(HOME).join("certs");
        homes.ok(
            "a",
            &["certs", "issue", "eve", "--out", certs.to_str().unwrap()],
        );
        Self { homes }
    }

    /// The text behind `before` in what `args` say, up to `end`, is typed into a shell.
    fn types(&self, args: &[&str], before: &str, end: &str) {
        let ran = self.homes.run(HOME, args);
        let said = ran.out + &ran.err;
        let (_, command) = said.split_once(before).unwrap_or_else(|| panic!("{said}"));
        let command = command.split(end).next().unwrap();
        let mut shell = Command::new("sh");
        let folder = program().parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        shell
            .args(["-c", command])
            .env("PATH", path)
            .env("HOME", "/nowhere");
        let typed = Ran::from(shell.current_dir(self.homes.path("")).output().unwrap());
        assert_eq!(typed.code, 0, "{command}: {typed:?}");
    }
}

#[test]
fn what_is_copied_from_the_screen_does_what_it_says_in_a_home_with_blanks_and_quotes() {
    let odd = Odd::new();
    let home = odd.homes.home(HOME);
    let key = home.join("certs/server-key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    odd.types(&["list"], "hint: ", "\n");
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    odd.homes.ok(HOME, &["list"]);
    // A file of settings that is wrong is moved away.
    fs::write(home.join("colis.toml"), "no = ").unwrap();
    odd.types(&["config", "init"], "first: ", "\n");
    assert!(home.join("colis.toml.bad").exists() && !home.join("colis.toml").exists());
    // A circle that was left is gone back to.
    odd.homes.ok(HOME, &["certs", "leave", "--yes"]);
    odd.types(&["list"], "go back: ", "\n");
    odd.homes.ok(HOME, &["list"]);
}

#[test]
fn a_failure_has_the_time_of_this_machine_for_people_and_of_the_world_for_programs() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to(), "--wait"]);
    let args = ["delete", "f.txt", "--at", "b", "--yes"];
    let fails = |more: &[&str], expected: &str| {
        let mut command = homes.command("a", &[more, &args].concat());
        let ran = Ran::from(command.env("TZ", "Asia/Tokyo").output().unwrap());
        assert_eq!(ran.code, 6, "{ran:?}");
        let said = ran.out + &ran.err;
        assert!(said.contains(expected), "{said}");
        said
    };
    let said = fails(&[], "opened it at today ");
    assert!(!said.contains("Z and does not"), "{said}");
    fails(&["--full"], "Z and does not keep it");
    fails(&["--json"], "Z and does not keep it");
}
