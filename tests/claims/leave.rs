//! Leaving a circle: nothing is lost, nobody is left behind unasked, and the way back is one folder.

mod again;
mod menu;
mod old_identity;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use serde_json::Value;
use testkit::{Homes, Ran, around, person::Person, tree, wait_for};

/// The folders in `left/` of a home.
fn left(homes: &Homes, home: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(homes.home(home).join("left"));
    let listed = listed.into_iter().flatten();
    let mut left: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    left.sort();
    left
}

/// Leaves, and gives what was said of it.
fn leaves(homes: &Homes, home: &str, args: &[&str]) -> Value {
    let leave = [&["--json", "certs", "leave", "--yes"], args].concat();
    let said = homes.ok(home, &leave);
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// Whether `a` counts a certificate of `name`.
fn is_counted(homes: &Homes, name: &str) -> bool {
    let shown = homes.ok("a", &["--json", "certs", "show"]);
    let mut shown = shown
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    shown.any(|o| o["event"] == "issued" && o["name"] == name && o["revoked"] == false)
}

fn digits(folder: &Path) -> String {
    let name = folder.file_name().unwrap().to_str().unwrap();
    name.split('-').nth(3).unwrap().to_owned()
}

#[test]
fn a_member_that_leaves_is_revoked_and_its_home_is_as_an_empty_one_with_nothing_lost() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("b", &["share", "f.txt"]);
    let certs = tree(&homes.home("b").join("certs"));
    let history = homes.ok("b", &["history"]);
    let said = leaves(&homes, "b", &[]);
    assert_eq!(
        (&said["event"], &said["name"]),
        (&"left".into(), &"b".into())
    );
    assert_eq!(
        (&said["revoked"], &said["ended"]),
        (&true.into(), &false.into())
    );
    assert!(!is_counted(&homes, "b"));
    let log = || homes.log("a").contains("left the circle");
    wait_for("a line of the log", log);
    // All of it is there, under a name with the date.
    let [folder] = left(&homes, "b").try_into().unwrap();
    assert_eq!(folder, PathBuf::from(said["folder"].as_str().unwrap()));
    // What is new says that going back is of no use.
    let mut kept = tree(&folder);
    kept.retain(|line| !line.starts_with("file revoked "));
    assert_eq!(kept, certs);
    assert_eq!(digits(&folder).len(), 8);
    assert!(!homes.home("b").join("certs").exists());
    // Every command says where the keys are, and what to do now.
    for command in [
        &["certs", "show"][..],
        &["certs", "leave", "--yes"],
        &["status"],
        &["list"],
        &["send", "f.txt", "--to", "a"],
        &["serve"],
    ] {
        let refused = homes.fails("b", command, 3);
        let folder = folder.to_str().unwrap();
        assert!(refused.contains("has left its circle"), "{refused}");
        assert!(refused.contains(folder), "{refused}");
        assert!(refused.contains("colis pair HOST"), "{refused}");
    }
    // What was sent and received needs no keys.
    assert_eq!(homes.ok("b", &["history"]), history);
    let looked = homes.run("b", &["doctor"]);
    assert!(looked.out.contains("has left its circle"), "{}", looked.out);
    // A circle is made as in an empty home. What was here before is here still.
    homes.ok("b", &["certs", "init", "--name", "b"]);
    assert_eq!(homes.ok("b", &["history"]), history);
    assert!(homes.ok("b", &["list"]).contains("f.txt"));
    homes.ok("b", &["certs", "show"]);
    // The second one that is left on this day has a folder of its own too.
    leaves(&homes, "b", &[]);
    assert_eq!(left(&homes, "b").len(), 2);
}

#[test]
fn where_the_circles_machine_is_not_reached_the_command_to_type_there_is_said() {
    let homes = Homes::new(&["b"]);
    let left = homes.run("b", &["certs", "leave", "--yes"]);
    assert_eq!(left.code, 0, "{}", left.err);
    // By its id: the name may be another machine's by then.
    let todo = format!(
        "colis certs revoke {}",
        left.out.split("  ").nth(1).unwrap()
    );
    assert!(left.err.contains("was not reached"), "{}", left.err);
    assert!(left.err.contains(&todo), "{}", left.err);
    assert!(is_counted(&homes, "b"));
    homes.ok("a", &["certs", "revoke", "b"]);
    assert!(!is_counted(&homes, "b"));
}

#[test]
fn nobody_leaves_while_a_peer_serves_or_something_waits_to_be_opened() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &["--inbox", "ask"]);
    let before = tree(&homes.home("b").join("certs"));
    let refused = homes.fails("b", &["certs", "leave", "--yes"], 9);
    assert!(refused.contains("colis stop"), "{refused}");
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to()]);
    homes.ok("b", &["stop"]);
    b.end();
    let refused = homes.fails("b", &["certs", "leave", "--yes"], 2);
    assert!(refused.contains("(f.txt from a)"), "{refused}");
    assert!(refused.contains("colis inbox accept --all"), "{refused}");
    let now = tree(&homes.home("b").join("certs"));
    // A peer that serves learns of others.
    let learned = ["directory.json", "peers.json", "serving.json"];
    let learns = |line: &str| learned.iter().any(|name| line.contains(name));
    let stays = before.iter().filter(|line| !learns(line));
    let lost: Vec<_> = stays.filter(|line| !now.contains(line)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    homes.ok("b", &["inbox", "accept", "--all"]);
    leaves(&homes, "b", &[]);
    let received = homes.home("b").join("received/f.txt");
    assert_eq!(fs::read_to_string(received).unwrap(), "text");
}

#[test]
fn a_circle_does_not_end_under_its_members_unless_it_is_named() {
    let homes = Homes::new(&["b", "c"]);
    homes.ok("a", &["certs", "revoke", "c"]);
    let refused = homes.fails("a", &["certs", "leave", "--yes"], 2);
    assert!(
        refused.contains("others are in the circle: b\n"),
        "{refused}"
    );
    assert!(refused.contains("--end-circle a"), "{refused}");
    // The name alone is no yes, and a yes alone is no name.
    homes.fails("a", &["certs", "leave", "--end-circle", "b", "--yes"], 2);
    homes.fails("a", &["certs", "leave", "--end-circle", "--yes"], 2);
    homes.fails("a", &["certs", "leave", "--end-circle", "a"], 2);
    homes.fails("b", &["certs", "leave", "--end-circle", "b", "--yes"], 3);
    // What is refused whatever the answer is, is not told first.
    for (home, name) in [("a", "b"), ("b", "b"), ("b", "a")] {
        let ran = homes.run(home, &["certs", "leave", "--end-circle", name]);
        assert_ne!(ran.code, 0);
        assert!(!ran.err.contains("leaves"), "{}", ran.err);
    }
    // A record that is missing or damaged does not say that nobody else is there.
    homes.ok("a", &["certs", "revoke", "b"]);
    let record = homes.home("a").join("certs/issued.jsonl");
    let kept = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    let refused = homes.fails("a", &["certs", "leave", "--yes"], 3);
    assert!(refused.contains("is not known"), "{refused}");
    fs::write(&record, &kept[..kept.len() / 2]).unwrap();
    fs::write(&record, "damage\n").unwrap();
    homes.fails("a", &["certs", "leave", "--yes"], 3);
    assert!(left(&homes, "a").is_empty());
    let said = leaves(&homes, "a", &["--end-circle", "a"]);
    assert_eq!(said["ended"], true);
    // Where it is known that nobody else is there, no name is asked for.
    fs::rename(left(&homes, "a").remove(0), homes.home("a").join("certs")).unwrap();
    fs::write(&record, kept).unwrap();
    leaves(&homes, "a", &[]);
}

/// As docs/operating.md says it.
#[test]
fn a_folder_that_is_moved_back_takes_the_circle_back() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &[]);
    leaves(&homes, "a", &["--end-circle", "a"]);
    let certs = homes.home("a").join("certs");
    fs::rename(left(&homes, "a").remove(0), &certs).unwrap();
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to(), "--wait"]);
    homes.ok("a", &["certs", "issue", "c", "--out", "c/certs"]);
    // It is left again: the folder of this day is free.
    leaves(&homes, "a", &["--end-circle", "a"]);
    assert_eq!(left(&homes, "a").len(), 1);
}

#[test]
fn a_person_is_told_what_it_means_and_asked_and_no_is_the_answer_of_an_empty_line() {
    let homes = Homes::new(&["b"]);
    let at_terminal = |home: &str, args: &[&str]| {
        Person::at_terminal(&homes, homes.command(home, args), "xterm-256color")
    };
    homes.ok("b", &["config", "init"]);
    let rule = "[peers.a]\ninbox = \"ask\"\n";
    fs::write(homes.home("b").join("colis.toml"), rule).unwrap();
    for (key, left_after) in [("\r", 0), ("n\r", 0), ("y\r", 1)] {
        let mut ben = at_terminal("b", &["certs", "leave"]);
        ben.sees("b leaves the circle of a");
        ben.sees("address book move to a folder in");
        ben.sees("[peers.a]");
        ben.sees("Leave it? [y/N]");
        ben.presses(key);
        ben.sees(if left_after == 0 {
            "nothing was changed"
        } else {
            "colis certs revoke "
        });
        assert_eq!(ben.ends(), 0);
        assert_eq!(left(&homes, "b").len(), left_after);
    }
    // A yes is no name, and nobody is asked in spite of it.
    let mut anna = at_terminal("a", &["certs", "leave", "--end-circle", "--yes"]);
    anna.sees("the name of this machine is missing");
    assert_eq!(anna.ends(), 2);
    let mut anna = at_terminal("a", &["certs", "leave", "--end-circle"]);
    anna.sees("and the circle ends");
    anna.sees("to be told by you: b");
    anna.sees("Type the name of this machine, a, to end its circle:");
    anna.types("b");
    assert_eq!(anna.ends(), 2);
    let mut anna = at_terminal("a", &["certs", "leave", "--end-circle"]);
    anna.sees("to end its circle:");
    anna.types("a");
    assert_eq!(anna.ends(), 0);
    assert_eq!(left(&homes, "a").len(), 1);
    // Without a terminal nobody can be asked.
    homes.ok("c", &["certs", "init", "--name", "c"]);
    let refused = homes.fails("c", &["certs", "leave"], 2);
    assert!(refused.contains("--yes"), "{refused}");
}

/// Killed at any moment: the home is the one that it was, or has left.
#[test]
fn a_kill_leaves_the_old_home_or_one_that_has_left() {
    let homes = Homes::new(&[]);
    let (mut old, mut new) = (0, 0);
    let began = Instant::now();
    homes.ok("a", &["certs", "show"]);
    // As long as such a command takes here now, and some.
    let step = began.elapsed() / 10;
    for delay in (0..60).map(|number| step * number) {
        let mut command = homes.command("a", &["certs", "leave", "--yes"]);
        let mut child = command
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        let certs = homes.home("a").join("certs");
        let shown = homes.run("a", &["certs", "show"]);
        match shown.code {
            0 => old += 1,
            code => {
                assert_eq!((code, certs.exists()), (3, false), "{}", shown.err);
                assert!(shown.err.contains("has left its circle"), "{}", shown.err);
                fs::rename(left(&homes, "a").pop().unwrap(), &certs).unwrap();
                homes.ok("a", &["certs", "show"]);
                new += 1;
            }
        }
        if old > 2 && new > 2 {
            break;
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

/// What is refused, run as a member of a script, is refused by the circle's machine too.
#[test]
fn a_script_cannot_leave_for_its_peer() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let certs = homes.home("b").join("certs");
    let posts = |who: &str, route: &str| {
        let mut curl = Command::new("curl");
        let file = |name: &str| certs.join(name);
        curl.args(["--silent", "--request", "POST", "--output", "/dev/null"]);
        curl.args(["--write-out", "%{http_code}", "--cacert"])
            .arg(file("ca-cert.pem"));
        curl.arg("--cert").arg(file(&format!("{who}-cert.pem")));
        curl.arg("--key").arg(file(&format!("{who}-key.pem")));
        curl.arg(format!(
            "https://127.0.0.1:{}/v1/certs/{route}",
            a.address.port()
        ));
        curl.args(["--header", "content-type: application/x-pem-file"]);
        // What leaves says nothing.
        curl.args(["--data", if route == "leave" { "" } else { "none" }]);
        Ran::from(curl.output().unwrap()).out
    };
    assert_eq!(posts("client", "leave"), "403");
    assert!(is_counted(&homes, "b"));
    // Nor can it keep its peer from leaving, by asking for renewals without end.
    let flood: Vec<_> = (0..30).map(|_| posts("client", "renew")).collect();
    assert!(flood.contains(&"429".to_owned()), "{flood:?}");
    assert_eq!(posts("server", "leave"), "204");
    assert!(!is_counted(&homes, "b"));
}

/// It cannot be renamed, and nothing half is left.
#[test]
fn a_folder_of_certificates_that_is_a_mount_point_stays_and_it_is_said() {
    let can = Command::new("unshare").args(["--mount", "true"]).output();
    if !can.is_ok_and(|can| can.status.success()) {
        return eprintln!("not tried: it takes root and unshare");
    }
    let homes = Homes::new(&[]);
    let (certs, disk) = (homes.home("a").join("certs"), homes.path("disk"));
    fs::rename(&certs, &disk).unwrap();
    fs::create_dir(&certs).unwrap();
    let mut outer = Command::new("unshare");
    let script = r#"mount --bind "$1" "$2" && shift 2 && exec "$@""#;
    outer.args(["--mount", "sh", "-c", script, "sh"]);
    outer.arg(&disk).arg(&certs);
    let leave = homes.command("a", &["certs", "leave", "--yes"]);
    let refused = Ran::from(around(outer, &leave).output().unwrap());
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("is a mount point"), "{}", refused.err);
    assert!(left(&homes, "a").is_empty());
    assert!(disk.join("server-key.pem").exists());
}

/// What waits there is not known.
#[test]
fn nobody_leaves_while_the_disk_of_the_store_is_not_mounted() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("b", &["share", "f.txt"]);
    let (chunks, disk) = (homes.home("b").join("chunks"), homes.path("disk"));
    fs::rename(&chunks, &disk).unwrap();
    let refused = homes.fails("b", &["certs", "leave", "--yes"], 7);
    assert!(refused.contains("is its disk mounted?"), "{refused}");
    assert!(homes.home("b").join("certs").exists());
    fs::rename(&disk, &chunks).unwrap();
    leaves(&homes, "b", &[]);
    // The home of the next circle knows which store it has, too.
    fs::rename(&chunks, &disk).unwrap();
    homes.ok("b", &["certs", "init", "--name", "b"]);
    let refused = homes.fails("b", &["list"], 7);
    assert!(refused.contains("is its disk mounted?"), "{refused}");
    fs::rename(&disk, &chunks).unwrap();
    assert!(homes.ok("b", &["list"]).contains("f.txt"));
}
