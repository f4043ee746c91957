//! This machine: home, configuration, descriptors, memory, store, disk, inbox, port.

use std::{fs, net::TcpListener, os::unix::fs::symlink, process::Command};

use colis::store::{LocalStore, LocalStoreOptions};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Said, certs, doctor, doctor_after,
    fake::{Fake, Reply},
};
use testkit::Homes;

#[test]
fn a_machine_that_is_well_is_said_to_be() {
    let homes = Homes::new(&[]);
    let said = doctor(&homes, "a", &[]);
    said.ends(0, &[]);
    said.says("home", "ok", "(named by --home or COLIS_HOME)", None)
        .says("config", "ok", "no colis.toml", None)
        .says("keys", "ok", "4 private keys", None)
        .says("certificate", "ok", "a, peer ", None)
        .says("certificate", "ok", " days left (until ", None)
        .says("certificate", "ok", " localhost ", None)
        .says("revocation", "ok", ", good until ", None)
        .says("files", "ok", "1 peer known, 2 certificates issued", None)
        .says("clock", "ok", " UTC", None)
        .says("store", "ok", "none yet", None)
        .says("received", "ok", "none yet", None)
        .says("port", "ok", "is free", None);
    assert!(said.text.contains("0 failed"), "{}", said.text);
    let left: Vec<_> = fs::read_dir(homes.home("a")).unwrap().collect();
    // The certificates, and the mark of a home that was made here.
    assert_eq!(left.len(), 2, "doctor made something: {left:?}");
    let key = fs::read_to_string(certs(&homes, "a").server_key()).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!said.text.contains(secret));
}

#[test]
fn a_home_that_is_none_says_how_to_make_one() {
    let homes = Homes::new(&[]);
    let said = doctor(&homes, "nowhere", &[]);
    said.ends(3, &["home"])
        .says(
            "home",
            "fail",
            "is not there",
            Some("colis certs init --name"),
        )
        .says("certificate", "skip", "there is no certs/", None);
    fs::create_dir(homes.home("empty")).unwrap();
    doctor(&homes, "empty", &[]).says("home", "fail", "has no certs/", Some("--home DIR"));
}

#[test]
fn a_home_where_nothing_can_be_written_is_no_place_for_a_store() {
    let said = Said::of(|global| {
        let mut command = Command::new(testkit::program());
        command.args(["--home", "/proc/nowhere"]).args(global);
        command.args(["doctor", "--listen", "127.0.0.1:0"]);
        command
    });
    // `/proc` does not say how much is free there.
    said.ends(3, &["home", "store", "received"])
        .says(
            "store",
            "fail",
            "cannot be written",
            Some("belongs to the user"),
        )
        .says(
            "received",
            "fail",
            "cannot be written",
            Some("belongs to the user"),
        );
}

#[test]
fn a_mistake_in_the_configuration_is_named_by_line() {
    let homes = Homes::new(&[]);
    fs::write(homes.home("a").join("colis.toml"), "\nqouta = \"1GiB\"\n").unwrap();
    doctor(&homes, "a", &[]).ends(3, &["config"]).says(
        "config",
        "fail",
        "colis.toml:2:1: unknown key `qouta`; did you mean `quota`?",
        Some("correct that line"),
    );
}

#[test]
fn few_descriptors_are_said_and_what_needs_them_is_skipped() {
    let homes = Homes::new(&[]);
    homes.ok("a", &["gc"]);
    doctor_after(&homes, "a", "ulimit -n 64")
        .ends(3, &["descriptors"])
        .says(
            "descriptors",
            "fail",
            "64 open files at most",
            Some("LimitNOFILE="),
        )
        .says("store", "skip", "so few descriptors", None);
    doctor_after(&homes, "a", "ulimit -n 600")
        .ends(0, &[])
        .says(
            "descriptors",
            "warn",
            "enough for 88 of 10240 connections",
            Some("LimitNOFILE="),
        )
        .says("store", "ok", "free to be used", None);
    // The soft limit alone is no obstacle: it is raised.
    doctor_after(&homes, "a", "ulimit -S -n 64")
        .ends(0, &[])
        .says("store", "ok", "free to be used", None);
}

#[test]
fn a_low_limit_of_memory_is_said() {
    let homes = Homes::new(&[]);
    // What its threads keep for themselves must not use it up before anything is said.
    doctor_after(&homes, "a", "export MALLOC_ARENA_MAX=1; ulimit -v 250000")
        .ends(0, &[])
        .says(
            "memory",
            "warn",
            "by ulimit -v; a busy peer uses up to 256 MiB",
            Some("a busy peer is killed"),
        );
}

#[test]
fn a_store_of_a_later_version_is_left_alone() {
    let homes = Homes::new(&[]);
    homes.ok("a", &["gc"]);
    fs::write(homes.home("a").join("chunks/FORMAT"), "colis store 99\n").unwrap();
    doctor(&homes, "a", &[]).ends(3, &["store"]).says(
        "store",
        "fail",
        "written by a later version",
        Some("a newer colis has written it"),
    );
}

#[test]
fn a_store_that_is_damaged_is_said() {
    let homes = Homes::new(&[]);
    homes.ok("a", &["gc"]);
    let shard = homes.home("a").join("chunks/data/7f");
    fs::remove_dir(&shard).unwrap();
    // A backup leaves out empty folders.
    doctor(&homes, "a", &[]).ends(0, &[]);
    fs::write(&shard, "no folder").unwrap();
    doctor(&homes, "a", &[]).ends(7, &["store"]).says(
        "store",
        "fail",
        "chunks/data/7f",
        Some("then: colis check"),
    );
}

#[test]
fn a_reserve_beyond_the_free_space_leaves_nothing() {
    let homes = Homes::new(&[]);
    fs::write(
        homes.home("a").join("colis.toml"),
        "reserve = \"9000TiB\"\n",
    )
    .unwrap();
    doctor(&homes, "a", &[]).ends(7, &["disk"]).says(
        "disk",
        "fail",
        "nothing can be stored",
        Some("lower `reserve` in colis.toml"),
    );
}

#[test]
fn little_free_space_is_warned_about() {
    let homes = Homes::new(&[]);
    let disk = rustix::fs::statvfs(homes.home("a")).unwrap();
    let reserve = (disk.f_bavail * disk.f_frsize).saturating_sub(512 << 20);
    let setting = format!("reserve = \"{reserve}\"\n");
    fs::write(homes.home("a").join("colis.toml"), setting).unwrap();
    doctor(&homes, "a", &[]).ends(0, &[]).says(
        "disk",
        "warn",
        "MiB can be stored",
        Some("colis gc"),
    );
}

#[test]
fn a_received_folder_that_leads_elsewhere_is_refused() {
    let homes = Homes::new(&[]);
    let received = homes.home("a").join("received");
    symlink("/tmp", &received).unwrap();
    doctor(&homes, "a", &[]).ends(7, &["received"]).says(
        "received",
        "fail",
        "unsafe destination",
        Some("a real folder only"),
    );
    fs::remove_file(&received).unwrap();
    fs::write(&received, "").unwrap();
    doctor(&homes, "a", &[]).ends(7, &["received"]);
    fs::remove_file(&received).unwrap();
    fs::create_dir(&received).unwrap();
    doctor(&homes, "a", &[])
        .ends(0, &[])
        .says("received", "ok", "received", None);
}

#[test]
fn a_port_that_is_taken_is_said_with_who_has_it() {
    let homes = Homes::new(&[]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(
        homes.home("a").join("colis.toml"),
        format!("listen = \"{address}\"\n"),
    )
    .unwrap();
    let me = format!("{address} is in use by ");
    let said = Said::of(|global| {
        let mut command = homes.command("a", global);
        command.arg("doctor");
        command
    });
    said.ends(8, &["port"])
        .says("port", "fail", &me, Some("choose another: listen ="))
        .says(
            "port",
            "fail",
            &format!("(process {})", std::process::id()),
            Some("end that program"),
        );
}

#[test]
fn an_address_of_another_machine_cannot_be_listened_on() {
    let homes = Homes::new(&[]);
    let said = doctor(&homes, "a", &[]);
    said.says("port", "ok", "is free", None);
    let said = Said::of(|global| {
        let mut command = homes.command("a", global);
        command.args(["doctor", "--listen", "203.0.113.1:8443"]);
        command
    });
    said.ends(8, &["port"]).says(
        "port",
        "fail",
        "cannot listen on 203.0.113.1:8443",
        Some("an address of this machine"),
    );
}

#[test]
fn our_own_peer_is_asked_when_it_serves() {
    let homes = Homes::new(&[]);
    let serving = homes.serve("a", &[]);
    let lock = fs::read_to_string(homes.home("a").join("chunks/LOCK")).unwrap();
    let process: i32 = lock
        .lines()
        .next()
        .unwrap()
        .strip_prefix("pid ")
        .unwrap()
        .parse()
        .unwrap();
    let at = serving.to();
    doctor(&homes, "a", &[])
        .ends(0, &[])
        .says(
            "store",
            "ok",
            &format!("process {process} serves it on {at}"),
            None,
        )
        .says(
            "port",
            "ok",
            &format!("our own peer answers on {at} (process {process})"),
            None,
        );
    kill_process(Pid::from_raw(process).unwrap(), Signal::STOP).unwrap();
    let said = doctor(&homes, "a", &[]);
    kill_process(Pid::from_raw(process).unwrap(), Signal::CONT).unwrap();
    said.ends(8, &["port"]).says(
        "port",
        "fail",
        "no answer in time",
        Some(&format!("kill {process}")),
    );
}

#[test]
fn our_own_peer_that_cannot_write_any_more_is_said() {
    let homes = Homes::new(&[]);
    let fake = Fake::start(&certs(&homes, "a"), |path| match path {
        "/v1/health" => Reply::json(r#"{"status":"read-only","version":"0.1.0"}"#),
        _ => Reply::Never,
    });
    let store = LocalStore::open(
        &homes.home("a").join("chunks"),
        LocalStoreOptions::default(),
    );
    let store = store.unwrap();
    store.note_serving(&fake.to());
    doctor(&homes, "a", &[]).ends(7, &["port"]).says(
        "port",
        "fail",
        "cannot write any more",
        Some("restart `colis serve`"),
    );
}

#[test]
fn the_hint_about_a_wrong_configuration_can_be_followed() {
    let homes = Homes::new(&[]);
    let path = homes.home("a").join("colis.toml");
    fs::write(&path, "jobs = [\n").unwrap();
    let said = homes.fails("a", &["config", "init"], 3);
    assert!(said.contains("move it away first: mv "), "{said}");
    let said = doctor(&homes, "a", &[]);
    let hint = said.check("config")["hint"].as_str().unwrap();
    let (_, command) = hint.split_once("may be: ").unwrap();
    let (before, after) = command.split_once("; colis ").unwrap();
    let moved = Command::new("sh").args(["-c", before]).status().unwrap();
    assert!(moved.success(), "{before}");
    let args: Vec<_> = after.split(' ').collect();
    homes.ok("a", &args);
    doctor(&homes, "a", &[]).ends(0, &[]);
}

#[test]
fn looking_at_a_copied_home_writes_nothing() {
    let homes = Homes::new(&["b"]);
    homes.ok("b", &["list"]);
    let copied = Command::new("cp")
        .arg("-a")
        .args([homes.home("b"), homes.path("copy")])
        .status();
    assert!(copied.unwrap().success());
    let files = || {
        let mut find = Command::new("find");
        find.arg(homes.path("copy"))
            .args(["-type", "f", "-printf", "%p %T@ %s\n"]);
        let mut lines: Vec<_> = String::from_utf8(find.output().unwrap().stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let before = files();
    assert!(!before.is_empty());
    doctor(&homes, "copy", &[]).says("copies", "ok", "this home is a copy", None);
    assert!(homes.run("copy", &["status"]).code == 0);
    assert_eq!(files(), before);
}
