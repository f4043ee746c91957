//! The revocation lists of an outside authority.

use std::{fs, process::Command};

use testkit::{Homes, wait_for};

use super::{Leaf, Pki, Site};

#[test]
fn a_list_that_is_replaced_counts_at_once_also_on_open_connections() {
    let site = Site::alone();
    let homes = &site.homes;
    site.join("b");
    let leaf = site.pki.leaf(&Leaf::of("a.example.org"));
    site.import("a", &leaf);
    for (home, other) in [("a", "b.example.org"), ("b", "a.example.org")] {
        site.allow(home, &[other]);
    }
    let crl = homes.path("crl.pem");
    fs::write(&crl, site.pki.lists()).unwrap();
    homes.ok("b", &["certs", "import", "--crl", crl.to_str().unwrap()]);
    fs::write(homes.path("f"), "x").unwrap();
    let b = homes.serve("b", &[]);
    let send = ["send", "f", "--to", &b.to()];
    homes.ok("a", &send);
    // Members do not give them to each other.
    let (cert, key) = leaf.split_once(' ').unwrap();
    let mut curl = Command::new("curl");
    curl.args([
        "-sSk",
        "--cert",
        cert,
        "--key",
        key,
        &format!("https://{}/v1/crl", b.to()),
    ]);
    let answer = curl.output().unwrap().stdout;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("\"status\":404"), "{answer}");
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    let dates = "-crl_lastupdate 20200101000000Z -crl_nextupdate 20400101000000Z";
    let older = site.pki.list("root", "") + &site.pki.list("issuing", dates);
    site.pki.revoke(&leaf);
    let newest = site.pki.lists();
    fs::write(homes.home("b").join("certs/crl.pem"), &newest).unwrap();
    wait_for("the list", || {
        homes.log("b").contains("revocations read again")
    });
    let said = homes.fails("a", &send, 4);
    assert!(said.contains("revoked"), "{said}");
    wait_for("the reason", || {
        homes
            .log("b")
            .contains("the certificate of a.example.org is revoked")
    });
    // Nothing goes to it either.
    fs::write(homes.path("g"), "y").unwrap();
    let said = homes.fails(
        "b",
        &["send", "g", "--to", "a.example.org", "--via", &b.to()],
        4,
    );
    assert!(said.contains("revoked"), "{said}");
    what_is_worse_changes_nothing(homes, &send, &older, &newest);
}

/// A broken list, an older one or none brings nobody back who was revoked, and is said.
fn what_is_worse_changes_nothing(homes: &Homes, send: &[&str], older: &str, newest: &str) {
    let (in_force, crl) = (homes.home("b").join("certs/crl.pem"), homes.path("crl.pem"));
    fs::write(&in_force, "nothing").unwrap();
    wait_for("the fault", || {
        homes.log("b").contains("what is on disk cannot be used")
    });
    homes.fails("a", send, 4);
    let is_said = || {
        homes
            .log("b")
            .matches("older than the one in force")
            .count()
    };
    fs::write(&in_force, older).unwrap();
    wait_for("the older list", || is_said() == 1);
    homes.fails("a", send, 4);
    fs::remove_file(&in_force).unwrap();
    wait_for("no list", || is_said() == 2);
    homes.fails("a", send, 4);
    fs::write(&in_force, newest).unwrap();
    fs::write(&crl, older).unwrap();
    let import = ["certs", "import", "--crl", crl.to_str().unwrap()];
    let said = homes.fails("b", &import, 3);
    assert!(said.contains("older than the one in force"), "{said}");
    assert_eq!(fs::read_to_string(&in_force).unwrap(), newest);
}

#[test]
fn what_is_wrong_with_a_list_is_said() {
    let site = Site::new();
    let homes = &site.homes;
    let other = Pki::new(&homes.path("other"));
    let (root, issuing) = (site.pki.list("root", ""), site.pki.list("issuing", ""));
    let import = |text: &str| {
        let crl = homes.path("crl.pem");
        fs::write(&crl, text).unwrap();
        homes.run("b", &["certs", "import", "--crl", crl.to_str().unwrap()])
    };
    // The other authority has the same names, and other keys.
    let forged = root.clone() + &other.list("issuing", "");
    let stranger = Pki::called(&homes.path("stranger"), "Stranger").list("root", "");
    for (text, says) in [
        (issuing.clone(), "no list of CN=Example-Root"),
        (root.clone(), "no list of CN=Example-Issuing"),
        (
            forged,
            "its list of CN=Example-Issuing is not signed by the key of",
        ),
        (
            root.clone() + &root + &issuing,
            "two lists of CN=Example-Root",
        ),
        (
            root.clone() + &issuing + &stranger,
            "it has a list of CN=Stranger-Root",
        ),
        ("nothing".into(), "no revocation list in it"),
    ] {
        let ran = import(&text);
        assert_eq!(ran.code, 3, "{says}: {ran:?}");
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
        assert!(ran.err.contains("crl.pem"), "{}", ran.err);
        assert!(!homes.home("b").join("certs/crl.pem").exists());
    }
    // Past its date, and not yet of its date: both apply, and are said.
    let past = root.clone()
        + &site.pki.list(
            "issuing",
            "-crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z",
        );
    assert_eq!(import(&past).code, 0);
    let doctor = homes.run("b", &["doctor"]);
    assert!(doctor.out.contains("past its date"), "{doctor:?}");
    let early = root
        + &site.pki.list(
            "issuing",
            "-crl_lastupdate 20490101000000Z -crl_nextupdate 20490201000000Z",
        );
    assert_eq!(import(&early).code, 0);
    let doctor = homes.run("b", &["doctor"]);
    assert!(
        doctor.out.contains("is dated 2049-01-01 00:00:00 UTC"),
        "{doctor:?}"
    );
}

#[test]
fn without_a_list_of_each_authority_nobody_of_that_one_is_let_in() {
    let site = Site::new();
    let homes = &site.homes;
    // By hand, past the check of the import.
    fs::write(
        homes.home("b").join("certs/crl.pem"),
        site.pki.list("issuing", ""),
    )
    .unwrap();
    let said = homes.fails("b", &["list"], 3);
    assert!(said.contains("no list of CN=Example-Root"), "{said}");
    assert!(
        said.contains("root and intermediates, into one file"),
        "{said}"
    );
}

#[test]
fn an_intermediate_that_is_revoked_takes_its_peers_with_it() {
    let site = Site::new();
    let homes = &site.homes;
    fs::write(homes.path("f"), "x").unwrap();
    fs::write(homes.home("b").join("certs/crl.pem"), site.pki.lists()).unwrap();
    let b = homes.serve("b", &[]);
    homes.ok("a", &["send", "f", "--to", &b.to()]);
    let issuing = site.pki.file("issuing", "ca.pem");
    site.pki.openssl(
        "root",
        &format!("ca -config ca.cnf -revoke {}", issuing.display()),
    );
    fs::write(homes.home("b").join("certs/crl.pem"), site.pki.lists()).unwrap();
    wait_for("the list", || {
        homes.log("b").contains("revocations read again")
    });
    homes.fails("a", &["send", "f", "--to", &b.to()], 4);
}

#[test]
fn a_list_of_sixteen_mib_is_used_and_a_larger_one_is_refused() {
    let site = Site::new();
    let homes = &site.homes;
    let root = site.pki.list("root", "");
    let index = site.pki.file("issuing", "index.txt");
    let before = fs::read_to_string(&index).unwrap();
    // An entry has 35 bytes: tags, 16 of a serial number, a date.
    for (entries, is_taken) in [(470_000, true), (490_000, false)] {
        let entry = |n| format!("R\t491231235959Z\t260101000000Z\t4{n:031X}\tunknown\t/CN=x\n");
        let more: String = (0..entries).map(entry).collect();
        fs::write(&index, before.clone() + &more).unwrap();
        let crl = homes.path("crl.pem");
        fs::write(&crl, root.clone() + &site.pki.list("issuing", "")).unwrap();
        let ran = homes.run("b", &["certs", "import", "--crl", crl.to_str().unwrap()]);
        assert_eq!(ran.code == 0, is_taken, "{entries}: {ran:?}");
        assert_eq!(
            ran.err.contains("more than 16 MiB"),
            !is_taken,
            "{entries}: {ran:?}"
        );
    }
    let b = homes.serve("b", &[]);
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("a", &["send", "f", "--to", &b.to(), "--wait"]);
}
