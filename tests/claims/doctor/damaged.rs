//! Every file of `certs/`, damaged in every way: what is said of it, and what to do, by commands, `serve` and `doctor`.

use std::{fs, path::Path};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use testkit::Homes;

/// How a file is damaged.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Damage {
    Garbage,
    Empty,
    Cut,
    Missing,
    OtherCircle,
    Newer,
    Fifo,
}
use Damage::{Cut, Empty, Fifo, Garbage, Missing, Newer, OtherCircle};

/// What is said of it.
#[derive(Debug, Clone, Copy)]
enum Said {
    /// A command and `serve` fail, with this hint.
    Fails(&'static str),
    /// They work, with this notice.
    Notes(&'static str),
}
use Said::{Fails, Notes};

/// Of this file of this home, damaged so: what commands say, and the hint of `doctor`, if it has one.
type Row = (
    &'static str,
    &'static str,
    &'static [Damage],
    Said,
    &'static str,
);

const BROKEN: &[Damage] = &[Garbage, Empty, Cut];
const ANY: &[Damage] = &[Garbage, Empty, Cut, Missing];
const OWN: &str = "colis certs revoke NAME, then colis pair";
const ROWS: &[Row] = &[
    (
        "b",
        "ca-cert.pem",
        ANY,
        Fails("certs/ of another machine of this circle"),
        "of this circle",
    ),
    (
        "b",
        "ca-cert.pem",
        &[OtherCircle],
        Fails("of one circle"),
        "of one circle",
    ),
    ("b", "server-cert.pem", ANY, Fails(OWN), OWN),
    (
        "a",
        "server-cert.pem",
        ANY,
        Fails("which is the circle's"),
        "which is the circle's",
    ),
    (
        "b",
        "server-cert.pem",
        &[OtherCircle],
        Fails(OWN),
        "of one circle",
    ),
    ("b", "server-key.pem", ANY, Fails(OWN), OWN),
    ("b", "server-key.pem", &[OtherCircle], Fails(OWN), OWN),
    ("b", "seal-key.pem", ANY, Fails(OWN), OWN),
    (
        "b",
        "crl.pem",
        BROKEN,
        Fails("colis peers check PEER"),
        "colis peers check PEER",
    ),
    (
        "b",
        "crl.pem",
        &[OtherCircle],
        Fails("colis peers check PEER"),
        "colis peers check PEER",
    ),
    (
        "b",
        "crl.pem",
        &[Missing],
        Notes("no-revocation-list"),
        "colis peers check PEER",
    ),
    (
        "b",
        "client-cert.pem",
        BROKEN,
        Notes("scripts-certificate-unusable"),
        "client-key.pem",
    ),
    (
        "b",
        "client-key.pem",
        ANY,
        Notes("scripts-certificate-unusable"),
        "client-key.pem",
    ),
    (
        "b",
        "client-key.pem",
        &[OtherCircle],
        Notes("scripts-certificate-unusable"),
        "client-key.pem",
    ),
    (
        "a",
        "ca-key.pem",
        BROKEN,
        Notes("circle-key-unusable"),
        "no other machine has it",
    ),
    (
        "a",
        "ca-key.pem",
        &[OtherCircle],
        Notes("circle-key-unusable"),
        "no other machine has it",
    ),
    (
        "a",
        "issued.jsonl",
        &[Garbage, Empty, Missing, Fifo],
        Notes("record-unusable"),
        "restore it from a backup",
    ),
    (
        "a",
        "issued.jsonl",
        &[Newer],
        Notes("record-unusable"),
        "use the colis that wrote it",
    ),
    (
        "b",
        "peers.json",
        BROKEN,
        Fails("roles and blocks are forgotten"),
        "roles and blocks",
    ),
    (
        "b",
        "peers.json",
        &[Newer],
        Fails("was written by a newer colis"),
        "newer colis",
    ),
    (
        "b",
        "store-id",
        BROKEN,
        Fails("it is noted anew"),
        "it is noted anew",
    ),
    (
        "b",
        "store-id",
        &[Fifo],
        Fails("move it away"),
        "move it away",
    ),
];

fn damage(file: &Path, damage: Damage, other: &Homes) {
    let good = fs::read(file).unwrap();
    let bytes = match damage {
        Garbage => b"\xffgarbage \x1b[31m\n".to_vec(),
        Empty => Vec::new(),
        Cut => good[..good.len() / 2].to_vec(),
        Missing => return fs::remove_file(file).unwrap(),
        Fifo => {
            fs::remove_file(file).unwrap();
            return damage_with_fifo(file);
        }
        OtherCircle => {
            let name = file.file_name().unwrap();
            let home = if name == "ca-key.pem" { "a" } else { "b" };
            fs::read(other.home(home).join("certs").join(name)).unwrap()
        }
        Newer if file.extension().unwrap() == "jsonl" => b"{\"v\":9,\"what\":\"new\"}\n".to_vec(),
        Newer => br#"{"v":9,"peers":{},"roles":{}}"#.to_vec(),
    };
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_file_of_certs_is_said_with_what_to_do_by_commands_serve_and_doctor() {
    let (homes, other) = (Homes::new(&["b"]), Homes::new(&["b"]));
    for home in ["a", "b"] {
        homes.ok(home, &["list"]);
        drop(homes.serve(home, &[]));
    }
    for (home, name, kinds, said, hint) in ROWS {
        let file = homes.home(home).join("certs").join(name);
        for kind in *kinds {
            let what = format!("{home} {name} {kind:?}");
            let (good, mode) = (
                fs::read(&file).unwrap(),
                fs::metadata(&file).unwrap().permissions(),
            );
            damage(&file, *kind, &other);
            commands_say(&homes, home, *said, &what);
            let doctor = homes.run(home, &["doctor"]);
            assert!(doctor.out.contains(hint), "{what}: {}", doctor.out);
            let is_well = doctor.out.contains("all is well");
            assert!(!is_well, "{what}: {}", doctor.out);
            let names = doctor.out.contains(name)
                || *hint == "of one circle"
                || [Missing, OtherCircle].contains(kind);
            assert!(names, "{what}: {}", doctor.out);
            let _ = fs::remove_file(&file);
            fs::write(&file, good).unwrap();
            fs::set_permissions(&file, mode).unwrap();
        }
    }
    for home in ["a", "b"] {
        assert_eq!(homes.run(home, &["status"]).code, 0, "all is mended");
    }
}

fn commands_say(homes: &Homes, home: &str, said: Said, what: &str) {
    match said {
        Fails(hint) => {
            for args in [&["status"][..], &["serve", "--listen", "127.0.0.1:0"]] {
                let ran = homes.run(home, args);
                assert!(
                    [3, 7].contains(&ran.code),
                    "{what}: {args:?}: {} {}",
                    ran.code,
                    ran.err
                );
                assert!(ran.err.contains(hint), "{what}: {args:?}: {}", ran.err);
            }
        }
        Notes(code) => {
            let status = homes.run(home, &["status", "--json"]).out;
            assert!(status.contains(code), "{what}: {status}");
            let serving = homes.serve(home, &[]);
            let told = || serving.said().iter().any(|said| said["code"] == code);
            testkit::wait_for(what, told);
        }
    }
}

/// Something else in the place of a file that not every command needs: (home, file, a command that fails for it).
const BESIDE: [(&str, &str, &[&str]); 4] = [
    (
        "a",
        "certs/issued.jsonl",
        &["certs", "issue", "c", "--out", "c"],
    ),
    ("a", "chunks/LOCK", &["gc"]),
    ("a", "chunks/state/history.jsonl", &["history"]),
    ("b", "chunks/LOCK", &["gc"]),
];

#[test]
fn what_keeps_a_command_from_working_is_said_by_doctor_and_by_status() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.path("f"), "f").unwrap();
    for home in ["a", "b"] {
        homes.ok(home, &["share", "f"]);
    }
    for (home, name, args) in BESIDE {
        let file = homes.home(home).join(name);
        let aside = file.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        damage_with_fifo(&file);
        for args in [args, &["doctor"], &["status"]] {
            let ran = homes.run(home, args);
            assert_ne!(ran.code, 0, "{args:?} with {name}: {}", ran.out);
            let said = ran.out + &ran.err;
            assert!(said.contains("a FIFO is in the place"), "{args:?}: {said}");
        }
        fs::remove_file(&file).unwrap();
        fs::rename(&aside, &file).unwrap();
    }
}

#[test]
fn a_circle_revokes_without_its_record() {
    let homes = Homes::new(&["b", "c"]);
    let record = homes.home("a").join("certs/issued.jsonl");
    let id = homes.run("b", &["--json", "status"]).object("status")["peer_id"]
        .as_str()
        .unwrap()
        .to_owned();
    fs::remove_file(&record).unwrap();
    damage_with_fifo(&record);
    homes.ok("a", &["certs", "revoke", &id]);
}

fn damage_with_fifo(file: &Path) {
    mknodat(CWD, file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}
