//! Folders that are moved or removed under a running peer: it goes on where their names lead now, or says that it cannot.

use std::{fs, path::Path};

use testkit::{Homes, Serving, wait_for};

const WAITED: &str = "--wait";

fn homes() -> Homes {
    let homes = Homes::new(&["b"]);
    for name in ["f", "g", "h", "i"] {
        fs::write(homes.path(name), name).unwrap();
    }
    homes
}

#[test]
fn what_arrives_is_where_its_folder_is_now() {
    let homes = homes();
    let serving = homes.serve("a", &[]);
    let received = homes.home("a").join("received");
    let send = |name| homes.ok("b", &["send", name, "--to", &serving.to(), WAITED]);
    send("f");
    fs::rename(&received, homes.path("sorted")).unwrap();
    send("g");
    assert_eq!(fs::read_to_string(received.join("g")).unwrap(), "g");
    assert!(!homes.path("sorted/g").exists());
    fs::remove_dir_all(&received).unwrap();
    send("h");
    assert_eq!(fs::read_to_string(received.join("h")).unwrap(), "h");
    let told = || {
        let said = serving.said();
        let opened = said.iter().filter(|object| object["event"] == "arrival");
        opened
            .map(|object| object["paths"][0].clone())
            .collect::<Vec<_>>()
    };
    wait_for("three arrivals are told", || told().len() == 3);
    for (path, name) in told().iter().zip(["f", "g", "h"]) {
        assert_eq!(
            path.as_str().unwrap(),
            received.join(name).to_str().unwrap()
        );
    }
}

#[test]
fn why_something_waits_is_told_until_it_is_opened() {
    let homes = homes();
    let received = homes.home("a").join("received");
    let serving = homes.serve("a", &[]);
    fs::remove_dir_all(&received).unwrap();
    fs::write(&received, "a file is in the way").unwrap();
    homes.ok("b", &["send", "f", "--to", &serving.to()]);
    let waits = |command| {
        let said = homes.run("a", &[command]);
        format!("{}{}", said.out, said.err).contains("not a real folder")
    };
    wait_for("the reason is told", || waits("inbox"));
    assert!(waits("status"));
    fs::remove_file(&received).unwrap();
    homes.ok("b", &["send", "g", "--to", &serving.to(), WAITED]);
    homes.ok("a", &["inbox", "accept", "--all"]);
    assert_eq!(fs::read_to_string(received.join("f")).unwrap(), "f");
    assert!(!waits("inbox") && !waits("status"));
}

#[test]
fn a_store_that_was_moved_away_takes_nothing_until_it_is_back() {
    let homes = homes();
    let (chunks, away) = (homes.home("a").join("chunks"), homes.path("away"));
    let serving = homes.serve("a", &["--inbox", "off"]);
    let send = |name| homes.run("b", &["send", name, "--to", &serving.to()]);
    assert_eq!(send("f").code, 0);
    fs::rename(&chunks, &away).unwrap();
    assert_ne!(send("g").code, 0);
    let doctor = homes.run("b", &["doctor", &serving.to()]);
    assert!(
        doctor.out.contains("cannot write any more"),
        "{}",
        doctor.out
    );
    fs::create_dir(&chunks).unwrap();
    assert_ne!(send("g").code, 0, "another folder is not it");
    fs::remove_dir(&chunks).unwrap();
    fs::rename(&away, &chunks).unwrap();
    let again = send("g");
    assert_eq!(again.code, 0, "{}", again.err);
    let doctor = homes.run("b", &["doctor", &serving.to()]);
    assert!(
        !doctor.out.contains("cannot write any more"),
        "{}",
        doctor.out
    );
}

/// What is asked of a running peer: how it is, as a member sees it.
fn is_well(homes: &Homes, serving: &Serving) -> bool {
    let doctor = homes.run("b", &["doctor", &serving.to()]);
    !doctor.out.contains("cannot write any more")
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(copied.unwrap().success());
}

/// The folders without which a peer cannot go on by itself, below the one that has its home.
const NEEDED: [&str; 3] = ["a", "a/certs", "a/chunks"];

#[test]
fn a_folder_that_goes_is_told_and_the_peer_goes_on_when_it_is_back() {
    for folder in NEEDED {
        let homes = homes();
        let (path, away) = (homes.path(folder), homes.path("away"));
        let serving = homes.serve("a", &[]);
        homes.ok("b", &["send", "f", "--to", &serving.to(), WAITED]);
        fs::rename(&path, &away).unwrap();
        wait_for("its health says so", || !is_well(&homes, &serving));
        let told = || homes.log("a").matches("moved or removed while").count();
        wait_for("its log says so", || told() > 0);
        let sent = homes.run("b", &["send", "g", "--to", &serving.to()]);
        assert_eq!(sent.code, 7, "{folder}: {sent:?}");
        if folder == "a" {
            let status = homes.run("away", &["status"]);
            assert!(status.err.contains("does not lead to it"), "{status:?}");
            let doctor = homes.run("away", &["doctor"]);
            assert!(doctor.out.contains("does not lead to it"), "{doctor:?}");
        }
        assert!(!path.exists(), "{folder} is made again");
        // A disk that is not mounted leaves an empty folder.
        fs::create_dir(&path).unwrap();
        let sent = homes.run("b", &["send", "h", "--to", &serving.to()]);
        assert_eq!(sent.code, 7, "{folder}: {sent:?}");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "{folder}");
        fs::remove_dir(&path).unwrap();
        fs::rename(&away, &path).unwrap();
        wait_for("it is well again", || is_well(&homes, &serving));
        homes.ok("b", &["send", "i", "--to", &serving.to(), WAITED]);
        assert_eq!(told(), 1, "{folder}: said once");
    }
}

#[test]
fn a_folder_that_is_removed_is_told_and_made_by_nobody() {
    for folder in NEEDED {
        let homes = homes();
        let (path, copied) = (homes.path(folder), homes.path("copy"));
        let serving = homes.serve("a", &[]);
        copy(&path, &copied);
        // A peer that has just begun still writes there.
        wait_for("it is removed", || {
            let _ = fs::remove_dir_all(&path);
            !path.exists()
        });
        wait_for("its health says so", || !is_well(&homes, &serving));
        let sent = homes.run("b", &["send", "g", "--to", &serving.to()]);
        assert_eq!(sent.code, 7, "{folder}: {sent:?}");
        assert!(!path.exists(), "{folder} is made again");
        drop(serving);
        copy(&copied, &path);
        let serving = homes.serve("a", &[]);
        homes.ok("b", &["send", "g", "--to", &serving.to(), WAITED]);
    }
}

#[test]
fn a_blocked_peer_stays_blocked_while_the_folder_of_certificates_is_gone() {
    let homes = homes();
    let serving = homes.serve("a", &[]);
    homes.ok("b", &["send", "f", "--to", &serving.to()]);
    homes.ok("a", &["peers", "role", &peer_id(&homes, "b"), "none"]);
    wait_for("b is kept out", || {
        homes.run("b", &["send", "g", "--to", &serving.to()]).code == 4
    });
    fs::rename(homes.path("a/certs"), homes.path("away")).unwrap();
    wait_for("its log says so", || {
        homes.log("a").contains("moved or removed while")
    });
    homes.fails("b", &["send", "h", "--to", &serving.to()], 4);
}

/// The id of the peer whose home it is.
fn peer_id(homes: &Homes, home: &str) -> String {
    let status = homes.ok(home, &["--json", "status"]);
    let status: serde_json::Value = serde_json::from_str(status.lines().next().unwrap()).unwrap();
    status["peer_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_log_whose_folder_or_file_goes_is_begun_again() {
    let homes = homes();
    let serving = homes.serve("a", &[]);
    let logs = homes.home("a").join("logs");
    let text = || {
        let files = fs::read_dir(&logs).into_iter().flatten();
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        texts.collect::<String>()
    };
    let gone: [fn(&Path, &Path); 3] = [
        |logs, away| fs::rename(logs, away).unwrap(),
        |logs, _| fs::remove_dir_all(logs).unwrap(),
        |logs, _| {
            let mut files = fs::read_dir(logs).unwrap();
            files
                .try_for_each(|file| fs::remove_file(file?.path()))
                .unwrap();
        },
    ];
    for (go, name) in gone.into_iter().zip(["f", "g", "h"]) {
        go(&logs, &homes.path("away"));
        homes.ok("b", &["send", name, "--to", &serving.to(), WAITED]);
        wait_for("what came then is in the log", || text().contains("opened"));
    }
}
