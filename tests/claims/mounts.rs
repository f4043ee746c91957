//! Stores and homes on disks that are not mounted: nothing is made in their place, and it is said what to look at.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use testkit::Homes;

const ASKS: &str = "is its disk mounted?";

/// Every command that would make a store, write below it or say that there is none.
const COMMANDS: [&[&str]; 9] = [
    &["serve", "--listen", "127.0.0.1:0"],
    &["list"],
    &["inbox"],
    &["receive", "--all"],
    &["share", "f"],
    &["check"],
    &["gc"],
    &["status"],
    &["history"],
];

type Put = fn(&Path);

/// What is where the disk was.
const PLACES: [(&str, Put); 3] = [
    ("nothing", |_| ()),
    ("an empty folder", |path| fs::create_dir(path).unwrap()),
    ("a link that leads nowhere", |path| {
        symlink("/nowhere/at/all", path).unwrap();
    }),
];

fn remove(path: &Path) {
    let _ = fs::remove_dir(path);
    let _ = fs::remove_file(path);
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

#[test]
fn a_store_whose_format_a_loss_of_power_took_is_mended_as_it_is_said() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f"]);
    fs::write(homes.home("a").join("chunks/FORMAT"), "").unwrap();
    let said = homes.fails("a", &["share", "f"], 3);
    assert!(
        said.contains("damaged") && !said.contains("newer"),
        "{said}"
    );
    let command = said.split_once("one of this home: ").unwrap().1;
    let command = command.split_once(", then").unwrap().0;
    let mut shell = Command::new("sh");
    let mended = shell.args(["-c", command]).current_dir(homes.path("."));
    assert!(mended.status().unwrap().success(), "{command}");
    homes.ok("a", &["check", "--read-data"]);
    homes.ok("a", &["share", "f"]);
}

#[test]
fn a_store_that_is_not_there_is_not_made_anew() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    homes.ok("a", &["share", "f"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("b", &["share", "f"]);
    let (to, sealed) = (b.to(), homes.path("sealed"));
    let (sealed, out) = (sealed.to_str().unwrap(), homes.path("out"));
    homes.ok("a", &["seal", "f", "--to", "b", "--out", sealed]);
    let out = out.to_str().unwrap();
    // They need another's store, or none; their journals and history are below ours.
    let elsewhere: [&[&str]; 6] = [
        &["send", "f", "--to", "b"],
        &["send", "f", "--to", &to, "--dry-run"],
        &["receive", "--all", "--from", &to],
        &["receive", "--all", "--from", &to, "--out", out],
        &["seal", "f", "--to", "b", "--out", "again"],
        &["open", sealed, "--out", out],
    ];
    let (chunks, disk) = (homes.home("a").join("chunks"), homes.path("disk"));
    fs::rename(&chunks, &disk).unwrap();
    for (what, put) in PLACES {
        put(&chunks);
        for args in COMMANDS.into_iter().chain(elsewhere) {
            let said = homes.fails("a", args, 7);
            assert!(said.contains(ASKS), "{what}, {args:?}: {said}");
            assert!(!chunks.exists() || is_empty(&chunks), "{what}, {args:?}");
        }
        let doctor = homes.run("a", &["doctor"]);
        assert!(doctor.code == 7 && doctor.out.contains(ASKS), "{doctor:?}");
        remove(&chunks);
    }
    fs::rename(&disk, &chunks).unwrap();
    assert!(homes.ok("a", &["check"]).contains("1 transfer complete"));
}

#[test]
fn stop_ends_a_peer_whose_store_is_away_and_says_so_where_none_is_found() {
    let homes = Homes::new(&["b"]);
    assert!(
        homes.run("b", &["stop"]).code == 0,
        "it never had a store, so nobody serves it"
    );
    let (chunks, disk) = (homes.home("b").join("chunks"), homes.path("disk"));
    for (what, put) in PLACES {
        let mut b = homes.serve("b", &[]);
        fs::rename(&chunks, &disk).unwrap();
        put(&chunks);
        let stopped = homes.run("b", &["--json", "stop"]).object("stopped");
        assert_eq!(stopped["serving"], b.to().as_str(), "{what}");
        assert_eq!(stopped["process"], b.id(), "{what}");
        assert_eq!(b.end(), Some(0), "{what}");
        remove(&chunks);
        fs::rename(&disk, &chunks).unwrap();
    }
    // One that was killed has left its note, and another process its port.
    homes.serve("b", &[]).kill();
    fs::rename(&chunks, &disk).unwrap();
    for (what, put) in PLACES {
        put(&chunks);
        let said = homes.fails("b", &["stop"], 7);
        assert!(said.contains("cannot be told"), "{what}: {said}");
        assert!(said.contains("kill PID"), "{what}: {said}");
        assert!(!said.contains("nobody serves"), "{what}: {said}");
        remove(&chunks);
    }
}

#[test]
fn another_store_is_taken_and_a_new_one_made_only_when_told_so() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    let serving = homes.serve("b", &[]);
    homes.ok("a", &["send", "f", "--to", &serving.to(), "--wait"]);
    drop(serving);
    let (chunks, old) = (homes.home("b").join("chunks"), homes.path("old"));
    fs::rename(&chunks, &old).unwrap();
    let told = homes.run("b", &["check", "--new-store"]);
    assert_eq!(told.code, 0, "{told:?}");
    let said = told.out + &told.err;
    assert!(said.contains("may come once more"), "{said}");
    homes.ok("b", &["gc"]);
    // The old one, on the disk that was found again, is now the foreign one.
    fs::rename(&chunks, homes.path("new")).unwrap();
    fs::rename(&old, &chunks).unwrap();
    let said = homes.fails("b", &["gc"], 7);
    assert!(said.contains("another store"), "{said}");
    homes.ok("b", &["check", "--new-store"]);
    let history = homes.ok("b", &["history"]);
    assert!(history.contains("received"), "{history}");
}

#[test]
fn nothing_is_made_where_a_home_should_be() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f"), "f").unwrap();
    fs::create_dir(homes.path("empty")).unwrap();
    let more: [&[&str]; 3] = [
        &["send", "f", "--to", "a"],
        &["peers"],
        &["serve", "--install"],
    ];
    for home in ["empty", "nowhere"] {
        for args in COMMANDS.into_iter().chain(more) {
            let said = homes.fails(home, args, 3);
            assert!(said.contains(ASKS), "{args:?}: {said}");
            assert!(!homes.path("nowhere").exists(), "{args:?}");
            assert!(is_empty(&homes.path("empty")), "{args:?}");
        }
    }
}
