//! `colis status`: what it adds to what the other tests look at.

use std::fs;

use serde_json::Value;

use super::{DAY, member_with_dates};
use testkit::{Homes, bytes, wait_for};

fn status(homes: &Homes, home: &str) -> Value {
    let ran = homes.run(home, &["--json", "status"]);
    let said: Value = serde_json::from_str(&ran.out).unwrap();
    let notices = said["notices"].as_array().unwrap();
    let care = notices.iter().any(|notice| notice["care"] == true);
    assert_eq!(ran.code, if care { 11 } else { 0 }, "{said}");
    said
}

/// The codes of what is noticed, those that need care first.
fn noticed(said: &Value) -> [Vec<&str>; 2] {
    let notices = said["notices"].as_array().unwrap();
    [true, false].map(|care| {
        let of = notices.iter().filter(|notice| notice["care"] == care);
        of.map(|notice| notice["code"].as_str().unwrap()).collect()
    })
}

#[test]
fn a_quota_that_is_used_up_fails_the_doctor_and_needs_care() {
    let homes = Homes::new(&["b"]);
    let config = homes.home("b").join("colis.toml");
    let b = homes.serve("b", &["--inbox", "off"]);
    fs::write(homes.path("f.txt"), bytes(3, 80_000)).unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to()]);
    let well = status(&homes, "b");
    assert_eq!(noticed(&well)[0], [""; 0], "{well}");
    assert_eq!(well["quota"], Value::Null);
    let stored = well["store"]["bytes"].as_u64().unwrap();
    for (quota, usable) in [(10 << 10, 0), (stored, 0), (stored + 4321, 4321)] {
        fs::write(&config, format!("quota = \"{quota}\"\n")).unwrap();
        let said = status(&homes, "b");
        assert_eq!(said["quota"], quota);
        assert_eq!(said["usable"], usable, "{said}");
        assert_eq!(noticed(&said)[0].contains(&"quota-full"), usable == 0);
        let doctor = homes.run("b", &["doctor"]);
        let failed = doctor.out.contains("fail  disk");
        assert_eq!(
            (failed, doctor.code == 7),
            (usable == 0, usable == 0),
            "{}",
            doctor.out
        );
        assert!(doctor.out.contains("of the quota"), "{}", doctor.out);
    }
}

#[test]
fn status_says_what_to_know_and_by_its_exit_code_what_to_do() {
    let homes = Homes::new(&["b"]);
    let config = homes.home("b").join("colis.toml");
    fs::write(&config, "inbox = \"off\"\n").unwrap();
    let said = status(&homes, "b");
    assert_eq!(noticed(&said), [vec![], vec!["inbox-off", "not-served"]]);
    assert_eq!(said["version"], env!("CARGO_PKG_VERSION"));
    let days = said["scripts_certificate_days"].as_u64();
    assert!(matches!(days, Some(364 | 365)));
    let down = homes.run("b", &["status", "--serving"]);
    assert_eq!(down.code, 11, "{down:?}");
    assert!(down.err.contains("not served"), "{down:?}");
    let b = homes.serve("b", &[]);
    assert_eq!(homes.run("b", &["status", "--serving"]).code, 0);
    drop(b);
    fs::write(&config, "reserve = \"8000TiB\"\n").unwrap();
    assert_eq!(noticed(&status(&homes, "b"))[0], ["no-space"]);
    fs::write(&config, "[peers.nobody]\ninbox = \"off\"\n").unwrap();
    assert_eq!(noticed(&status(&homes, "b"))[0], ["rule-for-nobody"]);
    fs::write(&config, "").unwrap();
    fs::remove_file(homes.home("b").join("certs/crl.pem")).unwrap();
    assert_eq!(noticed(&status(&homes, "b"))[0], ["no-revocation-list"]);
    // What the inbox cannot write waits, and somebody has to see to it.
    let received = homes.home("a").join("received");
    let a = homes.serve("a", &[]);
    fs::remove_dir_all(&received).unwrap();
    fs::write(&received, "no folder").unwrap();
    fs::write(homes.path("f.txt"), "x").unwrap();
    homes.ok("b", &["send", "f.txt", "--to", &a.to()]);
    wait_for("it is noticed", || {
        noticed(&status(&homes, "a"))[0] == ["not-opened"]
    });
}

#[test]
fn what_has_expired_needs_care() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "over", -20 * DAY, -DAY);
    let said = status(&homes, "over");
    assert!(noticed(&said)[0].contains(&"certificate-expired"), "{said}");
}

#[test]
fn status_tells_what_waits_and_what_is_unfinished() {
    let homes = Homes::new(&["b"]);
    fs::write(homes.home("b").join("colis.toml"), "inbox = \"off\"\n").unwrap();
    let before = status(&homes, "b");
    assert_eq!(
        (&before["serving"], &before["since"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (before["waiting"].as_u64(), before["inbox"].as_str()),
        (Some(0), Some("off"))
    );
    let mut b = homes.serve("b", &[]);
    fs::write(homes.path("f.txt"), "x").unwrap();
    homes.ok("a", &["send", "f.txt", "--to", &b.to()]);
    let said = status(&homes, "b");
    assert_eq!(said["serving"], b.to());
    assert!(said["since"].as_str().unwrap() >= "2026", "{said}");
    assert_eq!(said["waiting"], 1);
    assert!(matches!(said["certificate_days"].as_u64(), Some(364 | 365)));
    let (free, usable) = (
        said["free"].as_u64().unwrap(),
        said["usable"].as_u64().unwrap(),
    );
    assert!(free > 0 && usable <= free);
    let text = homes.ok("b", &["status"]);
    for line in [
        &format!("serving: {} since today ", b.to()),
        "inbox: off, 1 transfer waits to be opened",
        " days left, until ",
        "sending: 0 unfinished",
        "disk: ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(status(&homes, "a")["unfinished"], 0);
    // A send that is cut leaves its journal.
    fs::write(homes.path("large.bin"), bytes(1, 150_000_000)).unwrap();
    let mut sending = homes
        .command("a", &["send", "large.bin", "--to", "b"])
        .spawn()
        .unwrap();
    wait_for("chunks arrive", || {
        status(&homes, "b")["store"]["chunks"].as_u64() > Some(4)
    });
    b.kill();
    sending.kill().unwrap();
    sending.wait().unwrap();
    assert_eq!(status(&homes, "a")["unfinished"], 1);
    let text = homes.ok("a", &["status"]);
    assert!(
        text.contains("sending: 1 unfinished, kept for a week; go on: colis send --resume ID|all"),
        "{text}"
    );
    assert_eq!(status(&homes, "b")["serving"], Value::Null);
    let again = homes.serve_on("b", &b.to(), &[]);
    homes.ok("a", &["send", "large.bin", "--to", &again.to()]);
    assert_eq!(status(&homes, "a")["unfinished"], 0);
    homes.ok("b", &["receive", "--all"]);
    assert_eq!(status(&homes, "b")["waiting"], 0);
}

#[test]
fn status_warns_of_a_certificate_that_ends_soon() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "soon", -DAY, 12 * DAY + DAY / 2);
    let ran = homes.run("soon", &["status"]);
    assert_eq!(ran.code, 11);
    assert!(ran.out.contains("certificate: 12 days left"), "{}", ran.out);
    assert!(
        ran.err
            .contains("ends soon; renew it: colis certs renew --from PEER"),
        "{}",
        ran.err
    );
    assert_eq!(status(&homes, "soon")["certificate_days"], 12);
    let fine = homes.run("a", &["status"]);
    assert!(!fine.err.contains("ends soon"), "{}", fine.err);
}
