//! After a circle was left: who is revoked by a name that is used again, the way back, and what is said of those that are no members.

use std::fs;

use serde_json::Value;
use testkit::Homes;

use super::{is_counted, leaves, left};

/// The event `event` of a command that succeeds.
fn event(homes: &Homes, home: &str, args: &[&str], event: &str) -> Value {
    let said = homes.ok(home, &[&["--json"], args].concat());
    let lines = said
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.into_iter().find(|o| o["event"] == event).unwrap()
}

fn id(homes: &Homes, home: &str) -> String {
    let own = event(homes, home, &["certs", "show"], "identity");
    own["peer_id"].as_str().unwrap().to_owned()
}

/// The codes of what `status` says of `home`, which needs care and is not served.
fn notices(homes: &Homes, home: &str) -> Vec<String> {
    let ran = homes.run(home, &["--json", "status"]);
    assert_eq!(ran.code, 11, "{ran:?}");
    let status: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    let notices = status["notices"].as_array().unwrap().iter();
    let codes = notices.map(|notice| notice["code"].as_str().unwrap().to_owned());
    codes.filter(|code| code != "not-served").collect()
}

#[test]
fn a_name_that_is_used_again_means_the_member_of_today() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    let first = id(&homes, "b");
    leaves(&homes, "b", &[]);
    homes.ok("a", &["certs", "issue", "b", "--out", "b/certs"]);
    let second = id(&homes, "b");
    // The folder that was left is used once more, and left again: it was revoked before, and nothing is to be typed.
    fs::create_dir(homes.home("old")).unwrap();
    let folder = left(&homes, "b").remove(0);
    fs::rename(folder, homes.home("old").join("certs")).unwrap();
    let ran = homes.run("old", &["--json", "certs", "leave", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("certs revoke"), "{}", ran.err);
    let said: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    assert_eq!(said["revoked_before"], true, "{said}");
    assert!(is_counted(&homes, "b"));
    // The name means the one that counts; then it means nobody who does.
    let revoked = event(&homes, "a", &["certs", "revoke", "b"], "revoked");
    assert_eq!(revoked["peer_ids"], serde_json::json!([second]));
    assert_eq!(revoked["certificates"], 2);
    let again = event(&homes, "a", &["certs", "revoke", "b"], "revoked");
    assert_eq!(
        (&again["before"], &again["certificates"]),
        (&true.into(), &0.into())
    );
    assert!(again["peer_ids"].to_string().contains(&first), "{again}");
}

/// As after a backup of the circle's machine was restored.
#[test]
fn two_members_of_one_name_are_not_revoked_unasked() {
    let homes = Homes::new(&[]);
    let record = homes.home("a").join("certs/issued.jsonl");
    let before = fs::read_to_string(&record).unwrap();
    let book = homes.home("a").join("certs/peers.json");
    let known = fs::read(&book).unwrap();
    homes.ok("a", &["certs", "issue", "b", "--out", "b/certs"]);
    fs::write(&book, known).unwrap();
    let with_first = fs::read_to_string(&record).unwrap();
    fs::write(&record, &before).unwrap();
    homes.ok("a", &["certs", "issue", "b", "--out", "b2/certs"]);
    let with_second = fs::read_to_string(&record).unwrap();
    let both = format!("{with_first}{}", &with_second[before.len()..]);
    fs::write(&record, both).unwrap();
    let ids = [id(&homes, "b"), id(&homes, "b2")].map(|id| id[..8].to_owned());
    let refused = homes.fails("a", &["certs", "revoke", "b"], 4);
    assert!(ids.iter().all(|id| refused.contains(id)), "{refused}");
    assert!(is_counted(&homes, "b"));
    let said = homes.ok("a", &["certs", "revoke", &ids[0]]);
    assert!(said.contains(&ids[0]) && !said.contains(&ids[1]), "{said}");
    assert!(is_counted(&homes, "b"));
    let said = homes.ok("a", &["certs", "revoke", "b"]);
    assert!(said.contains(&ids[1]) && !said.contains(&ids[0]), "{said}");
    assert!(!is_counted(&homes, "b"));
}

#[test]
fn a_member_on_no_record_is_said_to_be_revoked_and_not_none_of_its_certificates() {
    let homes = Homes::new(&[]);
    let record = homes.home("a").join("certs/issued.jsonl");
    let before = fs::read(&record).unwrap();
    homes.ok("a", &["certs", "issue", "b", "--out", "b/certs"]);
    fs::write(&record, before).unwrap();
    let said = homes.ok("a", &["certs", "revoke", &id(&homes, "b")]);
    assert!(!said.contains("revoked 0 "), "{said}");
    assert!(said.contains("no certificate is on record"), "{said}");
}

#[test]
fn a_circles_machine_that_refuses_was_reached_and_why_is_said() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    homes.ok("a", &["peers", "block", "b"]);
    let own = id(&homes, "b");
    let ran = homes.run("b", &["certs", "leave", "--yes"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.contains("was not reached"), "{}", ran.err);
    assert!(ran.err.contains("blocked"), "{}", ran.err);
    assert!(
        ran.err.contains(&format!("colis certs revoke {own}")),
        "{}",
        ran.err
    );
}

#[test]
fn the_way_back_is_to_the_circle_that_was_left_last() {
    let homes = Homes::new(&[]);
    let mut last = String::new();
    for _ in 0..6 {
        last = leaves(&homes, "a", &[])["folder"]
            .as_str()
            .unwrap()
            .to_owned();
        let refused = homes.fails("a", &["status"], 3);
        let back = format!("mv {last} ");
        assert!(refused.contains(&back), "{refused}");
        homes.ok("a", &["certs", "init", "--name", "a"]);
    }
    // What is moved to where another circle is in use is in it, and that is noticed.
    let name = last.rsplit('/').next().unwrap();
    let nested = homes.home("a").join("certs").join(name);
    fs::rename(&last, nested).unwrap();
    assert_eq!(notices(&homes, "a"), ["certs-nested"]);
    let looked = homes.run("a", &["doctor"]);
    assert!(looked.out.contains("colis certs leave"), "{}", looked.out);
}

#[test]
fn the_way_back_is_not_offered_where_it_leads_nowhere() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes.ok("b", &["peers", "add", &a.to()]);
    let said = leaves(&homes, "b", &[]);
    assert_eq!(said["revoked"], true);
    let refused = homes.fails("b", &["status"], 3);
    assert!(refused.contains("are revoked"), "{refused}");
    assert!(!refused.contains("mv "), "{refused}");
    // Whoever goes back nevertheless is told.
    let certs = homes.home("b").join("certs");
    fs::rename(left(&homes, "b").remove(0), &certs).unwrap();
    assert_eq!(notices(&homes, "b"), ["certificate-revoked"]);
    let looked = homes.run("b", &["doctor"]);
    assert_ne!(looked.code, 0, "{}", looked.out);
    assert!(looked.out.contains("then colis pair"), "{}", looked.out);
}

#[test]
fn a_home_that_has_left_gets_no_new_circle_in_silence() {
    let homes = Homes::new(&["b"]);
    leaves(&homes, "b", &[]);
    leaves(&homes, "a", &["--end-circle", "a"]);
    for home in ["a", "b"] {
        let refused = homes.fails(home, &["pair", "--port", "0"], 3);
        assert!(refused.contains("has left its circle"), "{refused}");
        assert!(!homes.home(home).join("certs").exists());
    }
}

#[test]
fn who_is_revoked_is_said_to_be_so_and_not_to_be_off() {
    let homes = Homes::new(&["b", "c", "d"]);
    fs::write(homes.path("f.txt"), "text").unwrap();
    let a = homes.serve("a", &[]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("c", &["peers", "add", &a.to()]);
    for name in ["b", "d"] {
        homes.ok("a", &["certs", "revoke", name]);
    }
    let listed = homes.ok("a", &["peers"]);
    let row = listed.lines().find(|line| line.starts_with("b ")).unwrap();
    assert!(row.contains("  revoked  "), "{listed}");
    // Carl knows of dora by the directory alone, and asks before he says that she has no address.
    for (home, args) in [
        ("a", &["peers", "check", "b"][..]),
        ("a", &["send", "f.txt", "--to", "b"]),
        ("c", &["peers", "check", "d"]),
    ] {
        let refused = homes.fails(home, args, 4);
        assert!(refused.contains(" is revoked"), "{refused}");
        assert!(!refused.contains("peers add"), "{refused}");
    }
}
