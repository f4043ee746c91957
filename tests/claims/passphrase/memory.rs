//! Where it is not: in logs, on a command line, in an environment, and in memory once the keys are open.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    process::Command,
};

use testkit::{
    Homes,
    person::{Person, listen_on_a_free_port},
};

use super::{PASSPHRASE, locked, with};

/// How often it is in the memory of a process; `None` if we may not look.
fn in_memory(process: u32) -> Option<usize> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let mut memory = File::open(format!("/proc/{process}/mem")).ok()?;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - begin).unwrap()];
        memory.seek(SeekFrom::Start(begin)).unwrap();
        let mut read = 0;
        while let Ok(more @ 1..) = memory.read(&mut bytes[read..]) {
            read += more;
        }
        let needle = PASSPHRASE.as_bytes();
        let (first, rest) = needle.split_first().unwrap();
        let ats = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
        found += ats
            .filter(|(at, _)| bytes[at + 1..].starts_with(rest))
            .count();
    }
    Some(found)
}

/// Fails if it is anywhere of a process.
fn assert_clean(process: u32) {
    for file in ["cmdline", "environ"] {
        let text = fs::read(format!("/proc/{process}/{file}")).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains(PASSPHRASE),
            "{file}"
        );
    }
    match in_memory(process) {
        Some(found) => assert_eq!(found, 0, "in the memory of the process"),
        None => eprintln!("the memory is not looked at: only root may"),
    }
}

#[test]
fn a_look_into_memory_finds_what_is_there() {
    let kept = PASSPHRASE.to_owned();
    if let Some(found) = in_memory(std::process::id()) {
        assert!(found > 0, "{kept} is in this process, and was not found");
    }
}

#[test]
fn a_peer_that_was_given_it_has_it_nowhere() {
    let homes = locked(&["b"]);
    let args = ["-vv", "--json", "serve", "--listen", "127.0.0.1:0"];
    let mut serve = homes.command("a", &with(&args));
    serve.env("COLIS_LOG", "trace");
    let serving = homes.serve_by("a", serve);
    assert_clean(serving.id());
    fs::write(homes.path("f"), "text").unwrap();
    let mut send = homes.command("a", &with(&["-vv", "send", "f", "--to", "a"]));
    let said = send.env("COLIS_LOG", "trace").output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_clean(serving.id());
    let logs = fs::read_dir(homes.home("a").join("logs")).unwrap();
    let logs = logs.map(|log| fs::read_to_string(log.unwrap().path()).unwrap());
    for log in logs.chain([homes.log("a"), said]) {
        assert!(!log.contains(PASSPHRASE), "{log}");
    }
    assert!(homes.log("a").contains("started"), "nothing was logged");
    let found = Command::new("grep")
        .args(["-rl", PASSPHRASE])
        .arg(homes.home("a"))
        .output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
}

#[test]
fn a_menu_into_which_it_was_typed_has_it_nowhere() {
    let homes = locked(&[]);
    listen_on_a_free_port(&homes, "a");
    let mut anna = Person::start(&homes, "a");
    anna.sees("Passphrase of the keys");
    anna.types(PASSPHRASE);
    anna.sees("serves on 127.0.0.1:");
    anna.sees_menu();
    assert!(!anna.shown().contains(PASSPHRASE), "{}", anna.shown());
    assert_clean(process_of(&homes));
    anna.quits();
}

/// The process that serves `a`.
fn process_of(homes: &Homes) -> u32 {
    let status = homes.run("a", &["--json", "status"]);
    u32::try_from(status.object("status")["process"].as_u64().unwrap()).unwrap()
}
