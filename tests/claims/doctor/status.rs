//! `colis status`: what it adds to what the other tests look at.

use std::fs;

use serde_json::Value;

use super::{DAY, member_with_dates};
use testkit::{Homes, bytes, wait_for};

fn status(homes: &Homes, home: &str) -> Value {
    serde_json::from_str(&homes.ok(home, &["--json", "status"])).unwrap()
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
        &format!("serving: {} since 2", b.to()),
        "inbox: off, 1 transfer waits to be opened",
        " days left, until 2",
        "sending: 0 unfinished",
        "disk: ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(status(&homes, "a")["unfinished"], 0);
    // A send that is cut leaves its journal.
    fs::write(homes.path("large.bin"), bytes(1, 30_000_000)).unwrap();
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
    assert_eq!(ran.code, 0);
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
