//! A name or the beginning of an id that several transfers have: every command lists them in the order of time, with what tells them
//! apart, and shows the same command with the id of one, which does it.

use std::{fs, process::Command};

use colis::manifest::Timestamp;
use testkit::{Homes, Ran, bytes, program, wait_for};

/// In a later second than whatever was before.
fn later(write: impl FnOnce()) {
    write();
    let now = Timestamp::now();
    wait_for("the next second", || Timestamp::now() > now);
}

/// What `args` say, which may mean several.
struct Several {
    said: String,
    /// The command with the id of one.
    command: String,
}

impl Several {
    fn of(homes: &Homes, home: &str, args: &[&str], count: usize) -> Self {
        let said = homes.fails(home, args, 2);
        let sentence = format!("may be one of {count} transfers");
        assert!(said.contains(&sentence), "{args:?}: {said}");
        let listed = said.lines().filter(|line| line.starts_with("  "));
        let listed: Vec<_> = listed.map(str::trim).collect();
        assert_eq!(listed.len(), count, "{args:?}: {said}");
        for line in &listed {
            let id = line.split(' ').next().unwrap();
            assert!(
                id.len() == 8 && u64::from_str_radix(id, 16).is_ok(),
                "{line}"
            );
            assert!(line.contains("  today "), "{line}");
        }
        let (_, command) = said.split_once("for example the last: ").unwrap();
        let command = command.trim().to_owned();
        let last = listed.last().unwrap().split(' ').next().unwrap();
        assert!(command.contains(last), "{command}: {said}");
        Self { said, command }
    }

    /// Does what it says to be typed, in a shell.
    fn is_typed(&self, homes: &Homes) -> Ran {
        let mut shell = Command::new("sh");
        let folder = std::path::Path::new(program()).parent().unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        shell
            .args(["-c", &self.command])
            .current_dir(homes.path(""));
        shell.env("PATH", path).env("COLIS_DISCOVERY", "false");
        Ran::from(shell.output().unwrap())
    }

    fn does(&self, homes: &Homes) {
        let ran = self.is_typed(homes);
        assert_eq!(ran.code, 0, "{}: {ran:?}", self.command);
    }
}

const NAME: &str = "my notes.txt";

#[test]
fn a_name_that_several_have_is_listed_and_one_is_chosen_by_its_id() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    for home in ["a", "c"] {
        homes.ok(home, &["peers", "add", &b.to()]);
    }
    for (home, length) in [("a", 3), ("c", 30), ("a", 300)] {
        later(|| {
            fs::write(homes.path(NAME), bytes(length, length as usize)).unwrap();
            homes.ok(home, &["send", NAME, "--to", "b", "--keep"]);
        });
    }
    wait_for("they wait", || {
        let out = homes.ok("b", &["--json", "inbox"]);
        out.matches("\"event\":\"waiting\"").count() == 3
    });
    // Where the same is sent again it is said to whom, else by whom.
    for (args, count, who) in [
        (&["check", "b", NAME][..], 2, "to b"),
        (&["grant", NAME, "--to", "c"], 2, "to b"),
        (&["delete", NAME, "--at", "b", "--dry-run"], 2, "to b"),
        (&["delete", NAME, "--dry-run"], 2, "to b"),
        (&["receive", NAME], 2, "to b"),
    ] {
        let several = Several::of(&homes, "a", args, count);
        let sizes: Vec<_> = several
            .said
            .match_indices(" B  ")
            .map(|(at, _)| at)
            .collect();
        assert_eq!(sizes.len(), count, "{}", several.said);
        assert_eq!(several.said.matches(who).count(), count, "{}", several.said);
        several.does(&homes);
    }
    for args in [
        &["receive", "--out", "out", NAME][..],
        &["inbox", "list", NAME],
        &["inbox", "accept", NAME],
    ] {
        let several = Several::of(&homes, "b", args, 3);
        assert!(several.said.contains("from c"), "{}", several.said);
        several.does(&homes);
        if args[0] == "receive" {
            // What was received does not wait any more, and the same name means the others.
            Several::of(&homes, "b", &["inbox", "refuse", NAME], 2).does(&homes);
            break;
        }
    }
    // A program has all of it in one message, with whole times.
    let ran = homes.run("a", &["--json", "receive", NAME]);
    let error = ran.object("error");
    let message = error["message"].as_str().unwrap();
    assert_eq!(message.matches("Z 3").count(), 2, "{message}");
}

#[test]
fn unfinished_sends_of_one_name_are_told_apart() {
    let homes = Homes::new(&["b", "c"]);
    fs::write(homes.path(NAME), bytes(1, 4 << 20)).unwrap();
    let to: Vec<_> = ["b", "c"].map(|home| (home, homes.serve(home, &[]))).into();
    for (number, (home, serving)) in to.iter().enumerate() {
        homes.ok("a", &["peers", "add", &serving.to()]);
        later(|| {
            let args = [
                "send",
                NAME,
                "--to",
                home,
                "--limit",
                "512KiB",
                "--retry-for",
                "0",
            ];
            let mut sending = homes.command("a", &args).spawn().unwrap();
            wait_for("it has begun", || {
                let listed = homes.ok("a", &["--json", "list"]);
                listed.matches("\"event\":\"unfinished\"").count() == number + 1
            });
            wait_for("something of it is there", || {
                let arriving = homes.ok(home, &["--json", "inbox"]);
                arriving.contains("\"event\":\"arriving\"") && !arriving.contains("\"bytes\":0,")
            });
            if *home == "b" {
                // And what is arriving is called by its name too.
                let said = homes.ok("b", &["inbox", "stop", NAME]);
                assert!(said.contains("stopped: "), "{said}");
            } else {
                sending.kill().unwrap();
            }
            sending.wait().unwrap();
        });
    }
    for flag in ["--resume", "--drop"] {
        let several = Several::of(&homes, "a", &["send", flag, NAME], 2);
        assert!(several.said.contains("to b"), "{}", several.said);
        assert!(several.said.contains("to c"), "{}", several.said);
        if flag == "--drop" {
            several.does(&homes);
            homes.ok("a", &["send", "--drop", NAME]);
        }
    }
}

#[test]
fn what_was_sent_is_listed_with_its_id_and_whom_it_is_for() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    homes.ok("a", &["peers", "add", &b.to()]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.run(
        "a",
        &["send", "f.txt", "--to", "b,c", "--via", "b", "--keep"],
    );
    let history = homes.ok("a", &["history"]);
    let line = history.lines().last().unwrap();
    let id = line.split(' ').next().unwrap();
    assert!(id.len() == 8 && line.contains("  today "), "{history}");
    for command in [
        &["check", "b", id][..],
        &["grant", id, "--to", "c"],
        &["delete", id, "--at", "b", "--dry-run"],
        &["receive", "--out", "out", id],
        &["delete", id, "--dry-run"],
    ] {
        homes.ok("a", command);
    }
    for list in [&["list"][..], &["list", "b"]] {
        let listed = homes.ok("a", list);
        assert!(listed.contains("  mine  to b, c  f.txt"), "{listed}");
        let row = homes
            .run("a", &[&["--json"], list].concat())
            .object("transfer");
        assert_eq!(row["to"], serde_json::json!(["b", "c"]), "{row}");
    }
    // To the others it is from its sender.
    let listed = homes.ok("b", &["list"]);
    assert!(listed.contains("from a  f.txt"), "{listed}");
}
