//! What a person reads: short ids, times of the clock on the wall, rows that fit, pages, names, and no log.

use std::{fs, process::Command};

use console::measure_text_width;
use rexpect::session::{PtySession, spawn_command};
use testkit::{Homes, Serving, wait_for};

/// Wide characters, and longer than most terminals.
const WIDE: &str = "映画映画映画映画映画映画映画映画映画映画映画映画.txt";

/// A home that has sent, shared and received, and a peer that asks.
fn populated() -> (Homes, Serving) {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask", "--keep-opened", "1d"]);
    fs::create_dir(homes.path("docs")).unwrap();
    for name in ["docs/one.txt", "my film.mov", WIDE] {
        fs::write(homes.path(name), name).unwrap();
    }
    let to = b.to();
    homes.ok("a", &["send", "docs", "my film.mov", WIDE, "--to", &to]);
    homes.ok("a", &["send", "docs", "--to", "b", "--keep"]);
    homes.ok("a", &["share", "my film.mov"]);
    (homes, b)
}

/// Runs `colis` on a terminal of this size.
fn on_a_terminal(homes: &Homes, home: &str, size: (u16, u16), args: &[&str]) -> PtySession {
    let (columns, rows) = size;
    let colis = homes.command(home, args);
    let mut command = Command::new("sh");
    let script = format!("stty cols {columns} rows {rows}; exec \"$@\"");
    command.args(["-c", &script, "sh"]).arg(colis.get_program());
    command.args(colis.get_args()).current_dir(homes.path(""));
    command.envs(
        colis
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .env("TERM", "xterm-256color")
        .env("LC_ALL", "C.UTF-8");
    command.env_remove("PAGER").env_remove("COLIS_LOG");
    spawn_command(command, Some(60_000)).unwrap()
}

/// All that it shows. The bytes of wide characters come as a character each.
fn to_the_end(mut shown: PtySession) -> String {
    let bytes = shown
        .exp_eof()
        .unwrap()
        .chars()
        .map(|c| c as u32 as u8)
        .collect();
    String::from_utf8(bytes).unwrap()
}

fn is_for_programs(word: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let is_id = word.len() >= 32 && word.chars().all(is_hex);
    let is_time = word.len() == 20 && word.starts_with("20") && word.ends_with('Z');
    is_id || is_time
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\n', ',', ';', '(', ')', '|'])
}

#[test]
fn people_read_short_ids_and_local_times_everywhere_and_all_of_them_with_full() {
    let (homes, _b) = populated();
    let id = homes.ok("b", &["inbox"]);
    let id = id.split_whitespace().next().unwrap();
    let commands: [(&str, &[&str]); 18] = [
        ("a", &["list"]),
        ("a", &["list", "b"]),
        ("a", &["list", "--chunks"]),
        ("a", &["history"]),
        ("a", &["peers"]),
        ("a", &["peers", "check", "b"]),
        ("a", &["status"]),
        ("b", &["status"]),
        ("a", &["certs", "show"]),
        ("a", &["check", "b", "docs"]),
        ("a", &["send", "my film.mov", "--to", "b"]),
        ("a", &["grant", "my film.mov", "--to", "b"]),
        ("b", &["inbox"]),
        ("b", &["inbox", "list", id]),
        ("b", &["inbox", "accept", id]),
        ("b", &["inbox", "refuse", "--all"]),
        ("b", &["history"]),
        ("a", &["certs", "issue", "c", "--out", "c"]),
    ];
    for (home, args) in commands {
        let ran = homes.run(home, args);
        assert_eq!(ran.code, 0, "{args:?} {ran:?}");
        // Two people compare this one, and whole.
        let said = format!("{}\n{}", ran.out, ran.err);
        let lines = said.lines().filter(|line| !line.starts_with("this peer: "));
        for line in lines {
            assert!(!words(line).any(is_for_programs), "{args:?}: {line}");
        }
    }
    for args in [["list", "b"], ["history", "-n1"], ["certs", "show"]] {
        let said = homes.ok("a", &[&["--full"], &args[..]].concat());
        assert!(words(&said).any(is_for_programs), "{said}");
    }
}

#[test]
fn a_time_is_that_of_the_zone_of_the_person() {
    let (homes, _b) = populated();
    let hour = |zone: &str| {
        let mut command = homes.command("a", &["history", "-n1"]);
        let out = command.env("TZ", zone).output().unwrap().stdout;
        let out = String::from_utf8(out).unwrap();
        let time = words(&out).find(|word| word.len() == 5 && word.contains(':'));
        time.unwrap()[..2].parse::<i32>().unwrap()
    };
    assert_eq!((hour("UTC0") + 9) % 24, hour("JST-9"));
}

#[test]
fn no_row_is_wider_than_the_terminal_and_a_pipe_has_all_of_it() {
    let (homes, _b) = populated();
    let commands: [(&str, &[&str]); 6] = [
        ("a", &["list", "b"]),
        ("a", &["list", "--chunks"]),
        ("a", &["history"]),
        ("a", &["peers"]),
        ("b", &["status"]),
        ("b", &["history"]),
    ];
    for columns in [40, 80] {
        for (home, args) in commands {
            let shown = on_a_terminal(&homes, home, (columns, 200), args);
            for line in to_the_end(shown).lines() {
                // A command that is to be typed is not broken.
                let is_talk = line.contains("; see ") || line.contains(": colis ");
                let fits = measure_text_width(line) <= usize::from(columns);
                assert!(fits || is_talk, "{args:?} at {columns}: {line}");
            }
        }
    }
    let shown = to_the_end(on_a_terminal(&homes, "a", (80, 200), &["history"]));
    assert!(shown.contains('…') && !shown.contains(WIDE), "{shown}");
    let full = on_a_terminal(&homes, "a", (80, 200), &["--full", "history"]);
    assert!(to_the_end(full).contains(WIDE));
    assert!(homes.ok("a", &["history"]).contains(WIDE));
}

#[test]
fn a_long_list_comes_by_the_pager_of_the_person() {
    let (homes, _b) = populated();
    let on = |pager: &str, rows, args: &[&str]| {
        let args = [&["--home", "a"], args].concat();
        let mut command = Command::new("sh");
        let script = format!("stty cols 80 rows {rows}; exec \"$@\"");
        command.args(["-c", &script, "sh"]).arg(testkit::program());
        command.args(args).current_dir(homes.path(""));
        command.env("TERM", "xterm").env("PAGER", pager);
        let mut shown = spawn_command(command, Some(60_000)).unwrap();
        shown.exp_eof().unwrap()
    };
    let mark = "sed s/^/PAGED:/";
    let paged = on(mark, 4, &["list", "--chunks"]);
    assert!(
        paged.starts_with("PAGED:") && paged.contains(" chunks, "),
        "{paged}"
    );
    for (rows, args) in [
        (50, &["list", "--chunks"][..]),
        (4, &["--no-pager", "list", "--chunks"]),
        (4, &["--json", "list", "--chunks"]),
    ] {
        assert!(!on(mark, rows, args).contains("PAGED"), "{args:?}");
    }
    let some = on("no-such-pager", 4, &["list", "--chunks"]);
    assert!(some.contains("more: --no-pager shows them all"), "{some}");
    assert!(!homes.ok("a", &["list", "--chunks"]).contains("more"));
    // Without one that is named it is less, which q ends.
    let mut less = on_a_terminal(&homes, "a", (80, 4), &["list", "--chunks"]);
    less.exp_string(":").unwrap();
    less.send("q").unwrap();
    less.flush().unwrap();
    less.exp_eof().unwrap();
}

#[test]
fn serve_on_a_terminal_shows_what_arrives_and_keeps_its_log_in_the_file() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    for (more, has_log) in [(&[][..], false), (&["-v"], true)] {
        let args = [more, &["serve", "--listen", "127.0.0.1:0"]].concat();
        let mut serving = on_a_terminal(&homes, "b", (200, 50), &args);
        let before = serving.exp_string("b serves on 127.0.0.1:").unwrap();
        let port = serving.exp_regex("[0-9]+").unwrap().1;
        homes.ok(
            "a",
            &[
                "send",
                "f.txt",
                "--to",
                &format!("127.0.0.1:{port}"),
                "--wait",
            ],
        );
        let said = serving.exp_string("received ").unwrap();
        serving.exp_string("from a").unwrap();
        serving.send_control('c').unwrap();
        let after = serving.exp_eof().unwrap();
        let all = format!("{before}{said}{after}");
        assert_eq!(all.contains(" INFO "), has_log, "{all}");
    }
    let logs = fs::read_dir(homes.home("b").join("logs")).unwrap();
    let logs = logs.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    assert!(logs.collect::<String>().contains("\"message\":\"opened\""));
}

#[test]
fn a_name_is_taken_where_an_id_is_and_an_ambiguous_one_is_told_apart() {
    let (homes, _b) = populated();
    let said = homes.fails("b", &["inbox", "accept", "docs"], 2);
    let waiting = homes.ok("b", &["inbox"]);
    let ids = waiting
        .lines()
        .filter(|line| line.contains("from a (verified)"));
    for line in ids {
        let id = line.split_whitespace().next().unwrap();
        let mut listed = said.lines().filter(|line| line.contains("  from a  docs"));
        let is_listed = listed.any(|line| line.starts_with(&format!("  {id}  ")));
        assert!(is_listed, "{said}");
    }
    assert!(said.contains("docs may be one of 2 transfers"), "{said}");
    homes.ok("b", &["inbox", "refuse", WIDE]);
    // What was refused does not make it ambiguous any more.
    homes.ok("b", &["inbox", "accept", "docs"]);
    assert!(homes.home("b").join("received/docs/one.txt").exists());
    let said = homes.fails("b", &["inbox", "accept", "no such"], 6);
    assert!(
        said.contains("nothing that waits is or has no such"),
        "{said}"
    );
    let said = homes.ok("a", &["check", "b", "docs"]);
    assert!(said.contains("holds every byte"), "{said}");
    homes.fails("a", &["check", "b", "no such"], 6);
}

#[test]
fn a_folder_that_is_there_does_not_come_again_beside_what_has_changed() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "ask"]);
    fs::create_dir(homes.path("docs")).unwrap();
    fs::write(homes.path("docs/one.txt"), "one").unwrap();
    for text in ["old", "new"] {
        fs::write(homes.path("notes.txt"), text).unwrap();
        homes.ok("a", &["send", "docs", "notes.txt", "--to", &b.to()]);
        let said = homes.ok("b", &["inbox", "accept", "--all"]);
        let is_there = said
            .lines()
            .any(|line| line.ends_with("received/docs  (already there, identical)"));
        assert_eq!(is_there, text == "new", "{said}");
    }
    let received = homes.home("b").join("received");
    assert!(!received.join("docs (2)").exists());
    assert_eq!(
        fs::read_to_string(received.join("notes (2).txt")).unwrap(),
        "new"
    );
}

#[test]
fn status_and_peers_say_where_this_peer_is() {
    let homes = Homes::new(&[]);
    let _a = homes.serve_on("a", "0.0.0.0:0", &[]);
    wait_for("it says where", || {
        homes.ok("a", &["status"]).contains("serving: 0.0.0.0:")
    });
    let status = homes.ok("a", &["--json", "status"]);
    assert!(
        status.contains("\"serving\":\"127.0.0.1:") && status.contains("\"listens\":\"0.0.0.0:"),
        "{status}"
    );
    let peers = homes.ok("a", &["peers"]);
    assert!(
        peers.contains("a (this peer)") && !peers.contains("no address yet"),
        "{peers}"
    );
}
