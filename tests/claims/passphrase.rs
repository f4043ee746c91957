//! The passphrase on a home's keys: what it covers, who asks for it, and where it is not.

mod given;
mod killed;
mod memory;
mod table;
mod terminal;

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use testkit::Homes;

/// It would be recognized anywhere.
const PASSPHRASE: &str = "canary-passphrase-93d1f0";
const OTHER: &str = "another-passphrase-5c";

/// A file that only we can read.
fn secret(homes: &Homes, name: &str, text: &str) -> String {
    let path = homes.path(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    name.to_owned()
}

/// A circle of `a` and these others, in which the keys of `a` are under the passphrase, which is in the file `secret`.
fn locked(others: &[&str]) -> Homes {
    let homes = Homes::new(others);
    secret(&homes, "secret", PASSPHRASE);
    set(&homes, "a", "secret");
    homes
}

fn set(homes: &Homes, home: &str, file: &str) {
    let set = ["certs", "passphrase", "set", "--new-file", file];
    homes.ok(home, &set);
}

const WITH: [&str; 2] = ["--key-passphrase-file", "secret"];

fn with<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&WITH[..], args].concat()
}

fn keys(homes: &Homes, home: &str) -> [PathBuf; 3] {
    let certs = homes.home(home).join("certs");
    ["ca-key.pem", "server-key.pem", "seal-key.pem"].map(|name| certs.join(name))
}

#[test]
fn it_covers_every_key_but_that_of_scripts_and_can_be_changed_and_taken_off() {
    let homes = Homes::new(&["b"]);
    let script = homes.home("a").join("certs/client-key.pem");
    let read = |path: &PathBuf| fs::read(path).unwrap();
    let (before, plain) = (keys(&homes, "a").map(|key| read(&key)), read(&script));
    secret(&homes, "secret", PASSPHRASE);
    secret(&homes, "other", OTHER);
    let args = ["certs", "passphrase", "set", "--new-file", "secret"];
    let ran = homes.run("a", &args);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.err.contains("If this passphrase is lost, the keys are"),
        "{}",
        ran.err
    );
    let none = format!(
        "colis --home {} peers role a none --script",
        homes.home("a").display()
    );
    assert!(ran.err.contains(&none), "{}", ran.err);
    let is_locked = |key: &PathBuf| read(key).starts_with(b"-----BEGIN COLIS LOCKED KEY-----");
    assert!(keys(&homes, "a").iter().all(is_locked) && read(&script) == plain);
    homes.ok("a", &["peers", "role", "a", "none", "--script"]);
    let said = homes.fails(
        "a",
        &["certs", "passphrase", "set", "--new-file", "other"],
        9,
    );
    assert!(
        said.contains("under a passphrase, which was not given"),
        "{said}"
    );
    homes.ok(
        "a",
        &with(&["certs", "passphrase", "set", "--new-file", "other"]),
    );
    let wrong = homes.fails("a", &with(&["list"]), 9);
    assert!(wrong.contains("wrong passphrase"), "{wrong}");
    homes.ok(
        "a",
        &[
            "--key-passphrase-file",
            "other",
            "certs",
            "passphrase",
            "remove",
        ],
    );
    assert_eq!(keys(&homes, "a").map(|key| read(&key)), before);
    let none = homes.run("a", &["--json", "certs", "passphrase", "remove"]);
    let none = none.object("passphrase");
    assert_eq!(
        (&none["set"], &none["before"]),
        (&false.into(), &false.into())
    );
}

#[test]
fn with_it_everything_works_as_without() {
    let homes = locked(&["b"]);
    secret(&homes, "other", OTHER);
    set(&homes, "b", "other");
    let b = [
        "--json",
        "--key-passphrase-file",
        "other",
        "serve",
        "--listen",
        "127.0.0.1:0",
    ];
    let b = homes.serve_by("b", homes.command("b", &b));
    fs::write(homes.path("f.txt"), "text").unwrap();
    homes.ok("a", &with(&["send", "f.txt", "--to", &b.to(), "--wait"]));
    homes.ok("a", &with(&["share", "f.txt"]));
    homes.ok("a", &with(&["receive", "--all", "--out", "got"]));
    homes.ok("a", &with(&["certs", "renew"]));
    homes.ok("a", &with(&["certs", "issue", "c", "--out", "c/certs"]));
    homes.ok("a", &with(&["certs", "revoke", "c"]));
    let said = homes.ok("a", &with(&["doctor", "b"]));
    assert!(!said.contains("passphrase"), "{said}");
    let said = homes.run("a", &["doctor"]);
    let closed = "under a passphrase that was not given";
    assert!(said.code == 0 && said.out.contains(closed), "{said:?}");
    homes.ok("b", &["stop"]);
}

#[test]
fn it_is_not_set_while_a_peer_serves_nor_where_it_is_short_or_others_can_read_it() {
    let homes = Homes::new(&[]);
    secret(&homes, "secret", PASSPHRASE);
    secret(&homes, "short", "eleven-char");
    fs::write(homes.path("open"), PASSPHRASE).unwrap();
    fs::set_permissions(homes.path("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let set = |file: &'static str| ["certs", "passphrase", "set", "--new-file", file];
    let said = homes.fails("a", &set("short"), 2);
    assert!(said.contains("at least 12 characters"), "{said}");
    let said = homes.fails("a", &set("open"), 3);
    assert!(said.contains("chmod 600 open"), "{said}");
    let said = homes.fails("a", &["certs", "passphrase", "set"], 2);
    assert!(said.contains("--new-file FILE"), "{said}");
    let serving = homes.serve("a", &[]);
    let said = homes.fails("a", &set("secret"), 9);
    assert!(said.contains("colis stop"), "{said}");
    drop(serving);
    homes.ok("a", &set("secret"));
    let open = ["--key-passphrase-file", "open", "list"];
    assert!(homes.fails("a", &open, 3).contains("chmod 600 open"));
}

#[test]
fn a_damaged_or_hostile_key_file_is_named_and_nothing_is_computed() {
    let homes = locked(&[]);
    let key = homes.home("a").join("certs/server-key.pem");
    let good = fs::read_to_string(&key).unwrap();
    let parsed = pem::parse(&good).unwrap();
    for (at, what) in [
        (2, "Argon2id"),
        (0, "malformed locked key"),
        (200, "does not authenticate"),
    ] {
        let mut bytes = parsed.contents().to_vec();
        bytes[at] ^= 0xff;
        let bad = pem::encode(&pem::Pem::new(parsed.tag(), bytes));
        fs::write(&key, bad).unwrap();
        let said = homes.fails("a", &with(&["list"]), 3);
        assert!(
            said.contains("server-key.pem") && said.contains(what),
            "{said}"
        );
    }
    fs::write(&key, good).unwrap();
    homes.ok("a", &with(&["list"]));
}

#[test]
fn a_folder_that_is_taken_over_keeps_its_passphrase() {
    let homes = Homes::new(&["b"]);
    secret(&homes, "secret", PASSPHRASE);
    set(&homes, "b", "secret");
    homes.fails("c", &["certs", "import", "b/certs"], 9);
    homes.ok("c", &with(&["certs", "import", "b/certs"]));
    homes.fails("c", &["list"], 9);
    homes.ok("c", &with(&["list"]));
}

#[test]
fn a_locked_key_is_left_out_of_what_is_sent() {
    let homes = locked(&[]);
    fs::create_dir(homes.path("d")).unwrap();
    fs::copy(&keys(&homes, "a")[1], homes.path("d/old-key.bak")).unwrap();
    fs::write(homes.path("d/f"), "text").unwrap();
    let ran = homes.run("a", &with(&["share", "d"]));
    assert!(ran.code == 10 && ran.err.contains("old-key.bak"), "{ran:?}");
}
