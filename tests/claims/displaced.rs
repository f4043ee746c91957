//! Folders that are moved or removed under a running peer: it goes on where their names lead now, or says that it cannot.

use std::fs;

use testkit::{Homes, wait_for};

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
