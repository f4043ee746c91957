//! What the Tab key makes of a command line in real shells.

use std::{fs, process::Command};

use rexpect::session::spawn_command;
use testkit::{Homes, has};

/// A circle whose first member has the script of `shell`, files to choose from, and a transfer in its history.
struct Typing {
    homes: Homes,
    script: std::path::PathBuf,
    /// The beginning of the transfer's id.
    sent: String,
}

impl Typing {
    fn new(shell: &str) -> Self {
        let homes = Homes::new(&["ben", "carl"]);
        let folder = homes.path("work");
        fs::create_dir_all(folder.join("my dir/inside it")).unwrap();
        fs::write(folder.join("notes 1.txt"), "text").unwrap();
        let notes = folder.join("notes 1.txt");
        let shared = ["--json", "share", notes.to_str().unwrap(), "--to", "ben"];
        let shared = homes.run("a", &shared).object("sent");
        let script = homes.path("script");
        fs::write(&script, homes.ok("a", &["completions", shell])).unwrap();
        let sent = shared["id"].as_str().unwrap()[..8].to_owned();
        Self {
            homes,
            script,
            sent,
        }
    }

    /// What is typed, and the words that the shell makes of it with a Tab behind.
    fn expected(&self) -> Vec<(String, String)> {
        let mut expected: Vec<_> = [
            ("receive --out my", "<receive><--out><my dir/>"),
            ("--home my", "<--home><my dir/>"),
            ("serve --home my", "<serve><--home><my dir/>"),
            ("pair --code-file notes", "<pair><--code-file><notes 1.txt>"),
            ("send notes", "<send><notes 1.txt>"),
            ("receive --al", "<receive><--all>"),
            ("send --to b", "<send><--to><ben>"),
            ("send --to ben,c", "<send><--to><ben,carl>"),
            ("send --to ben,", "<send><--to><ben,carl>"),
            ("peers block c", "<peers><block><carl>"),
            ("config set inb", "<config><set><inbox>"),
            ("config set inbox of", "<config><set><inbox><off>"),
            ("peers role ben rea", "<peers><role><ben><reader>"),
        ]
        .map(|(typed, words)| (typed.to_owned(), words.to_owned()))
        .into();
        let (begun, id) = (&self.sent[..2], &self.sent);
        expected.push((format!("grant {begun}"), format!("<grant><{id}>")));
        expected.push((format!("check ben {begun}"), format!("<check><ben><{id}>")));
        expected
    }

    /// Types each line into an interactive `shell`, in which the command `colis` prints its words.
    fn type_into(&self, mut shell: Command, before: &str, expected: &[(String, String)]) {
        shell.current_dir(self.homes.path("work"));
        shell
            .env("TERM", "dumb")
            .env("COLIS_HOME", self.homes.home("a"));
        let mut shell = spawn_command(shell, Some(60_000)).unwrap();
        let prints = "colis() { printf '<%s>' \"$@\"; echo; }";
        shell
            .send_line(&format!("{before} . {}; {prints}", self.script.display()))
            .unwrap();
        for (typed, words) in expected {
            shell.send(&format!("colis {typed}\t\r")).unwrap();
            shell.flush().unwrap();
            if let Err(error) = shell.exp_string(words) {
                panic!("{typed}: {error}");
            }
        }
        shell.send_line("exit").unwrap();
    }
}

#[test]
fn bash_completes_options_files_peers_transfers_and_settings() {
    if !has("bash") {
        return;
    }
    let typing = Typing::new("bash");
    let work = typing.homes.path("work");
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-i"])
        .env("INPUTRC", "/dev/null")
        .env("PS1", "ready>")
        .env("HOME", &work);
    let mut expected = typing.expected();
    expected.extend(
        [
            ("receive --out 'notes", "<receive><--out><notes 1.txt>"),
            ("receive --out \"notes", "<receive><--out><notes 1.txt>"),
            ("receive --out my\\ d", "<receive><--out><my dir/>"),
            ("receive --out ~/my", "<receive><--out><WORK/my dir/>"),
            (
                "receive --out my\\ dir/in",
                "<receive><--out><my dir/inside it/>",
            ),
        ]
        .map(|(typed, words)| {
            (
                typed.to_owned(),
                words.replace("WORK", work.to_str().unwrap()),
            )
        }),
    );
    typing.type_into(bash, "", &expected);
}

#[test]
fn zsh_completes_the_same() {
    if !has("zsh") {
        return;
    }
    let typing = Typing::new("zsh");
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-i"]).env("PS1", "ready>");
    typing.type_into(
        zsh,
        "unsetopt zle_bracketed_paste; autoload -U compinit; compinit -D;",
        &typing.expected(),
    );
}

#[test]
fn fish_is_told_what_a_transfer_has_in_it() {
    if !has("fish") {
        return;
    }
    let typing = Typing::new("fish");
    let propose = |line: &str| {
        let script = format!("source {}; complete -C '{line}'", typing.script.display());
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &script])
            .current_dir(typing.homes.path("work"))
            .env("HOME", typing.homes.path("work"))
            .env("COLIS_HOME", typing.homes.home("a"));
        String::from_utf8(fish.output().unwrap().stdout).unwrap()
    };
    assert_eq!(propose("colis send --to b"), "ben\n");
    assert_eq!(
        propose("colis grant "),
        format!("{}\tnotes 1.txt\n", typing.sent)
    );
    assert!(propose("colis config set in").starts_with("inbox\t"));
    assert!(propose("colis send my").starts_with("my dir/"));
}

#[test]
fn peers_are_proposed_once_and_never_oneself() {
    let homes = Homes::new(&["ben", "carl"]);
    let a = homes.serve("a", &[]);
    let _ben = homes.serve("ben", &[]);
    // Carl is only in the directory that a has.
    homes.ok("ben", &["peers", "add", &a.to()]);
    let propose = |words: &[&str]| {
        let mut asked = Command::new(testkit::program());
        asked.arg("--").arg("colis").args(words);
        asked
            .env("COLIS_COMPLETE", "bash")
            .env("COLIS_HOME", homes.home("ben"))
            .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
            .env("_CLAP_IFS", "\n");
        let said = String::from_utf8(asked.output().unwrap().stdout).unwrap();
        let mut said: Vec<_> = said.lines().map(|l| l.trim().to_owned()).collect();
        said.sort();
        said
    };
    assert_eq!(propose(&["peers", "forget", ""]), ["a", "carl"]);
    assert_eq!(propose(&["send", "--to", ""]), ["a", "carl"]);
    assert_eq!(propose(&["send", "--to", "a,"]), ["a,carl"]);
    assert_eq!(propose(&["send", "--to", "b"]), [""; 0]);
}
