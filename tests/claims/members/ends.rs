//! Certificates that end: they are renewed in time, or it is said everywhere; one that has ended can be renewed and do nothing
//! else. Tried with clocks that are moved, as real processes.

use std::{fs, process::Command, sync::OnceLock};

use colis::{
    tls::{
        Inspected,
        ca::{self, CertificateOptions},
    },
    wire::{Code, route},
};
use rustls::AlertDescription;
use serde_json::Value;
use testkit::{
    Homes, Ran, Serving, has,
    site::{Site, certificate, key, read_to_close, request, shows},
    wait_for,
};
use time::Duration;

use super::{
    certs, curl,
    kept::{YEAR, begun, member},
};

/// Lets `command` run so many days from now: as `faketime` does, but with nothing between that would outlive it.
pub(super) fn move_clock(command: &mut Command, days: i64) {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let mut faketime = Command::new("faketime");
        faketime.args(["-f", "+0d", "sh", "-c", "printf %s \"$LD_PRELOAD\""]);
        String::from_utf8(faketime.output().unwrap().stdout).unwrap()
    });
    command.env("LD_PRELOAD", library);
    command.env("FAKETIME", format!("{days:+}d"));
    // Waiting is measured by another clock, which nobody can set.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// `colis ...` of `home`, so many days from now.
pub(super) fn in_days(homes: &Homes, days: i64, home: &str, args: &[&str]) -> Command {
    let mut command = homes.command(home, args);
    move_clock(&mut command, days);
    command
}

pub(super) fn ran_in_days(homes: &Homes, days: i64, home: &str, args: &[&str]) -> Ran {
    in_days(homes, days, home, args).output().unwrap().into()
}

pub(super) fn serve_in_days(homes: &Homes, days: i64, home: &str) -> Serving {
    let args = ["--json", "serve", "--listen", "127.0.0.1:0"];
    homes.serve_by(home, in_days(homes, days, home, &args))
}

/// The serial numbers of both certificates of `home`.
fn serials(homes: &Homes, home: &str) -> [Vec<u8>; 2] {
    let dir = certs(homes, home);
    [Inspected::peer(&dir), Inspected::script(&dir)].map(|i| i.unwrap().caller.serial)
}

fn both_are_new(homes: &Homes, home: &str, before: &[Vec<u8>; 2]) -> bool {
    let after = serials(homes, home);
    after
        .iter()
        .zip(before)
        .all(|(after, before)| after != before)
}

fn status(homes: &Homes, home: &str) -> Value {
    serde_json::from_str(&homes.run(home, &["--json", "status"]).out).unwrap()
}

pub(super) fn codes(notices: &Value) -> Vec<&str> {
    let notices = notices.as_array().unwrap().iter();
    notices.map(|n| n["code"].as_str().unwrap()).collect()
}

pub(super) fn told(serving: &Serving, code: &str) -> bool {
    let said = serving.said();
    said.iter()
        .any(|said| said["event"] == "notice" && said["code"] == code)
}

#[test]
fn a_serving_peer_renews_by_itself_and_shows_the_new_certificate_at_once() {
    let homes = Homes::new(&["c"]);
    // 25 days are left.
    member(&homes, "b", &begun(340, YEAR));
    let (dir, before) = (certs(&homes, "b"), serials(&homes, "b"));
    let id = Inspected::peer(&dir).unwrap().caller.key_id;
    let a = homes.serve("a", &[]);
    homes.ok("b", &["list", &a.to()]);
    let b = homes.serve("b", &[]);
    wait_for("both are renewed", || both_are_new(&homes, "b", &before));
    assert_eq!(Inspected::peer(&dir).unwrap().caller.key_id, id);
    let says = format!("{} left", "364 days");
    wait_for("b shows the new one", || {
        homes.run("c", &["doctor", &b.to()]).out.contains(&says)
    });
    assert!(!told(&b, "certificate-ends-soon"));
    // It is the same peer, under a later bundle.
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("b", &["send", "f", "--to", &a.to(), "--wait"]);
}

#[test]
fn the_certificate_of_the_circle_s_machine_is_renewed_by_itself_too() {
    if !has("faketime") {
        return;
    }
    for days in [336, 400, 1000] {
        let homes = Homes::new(&[]);
        let before = serials(&homes, "a");
        let a = serve_in_days(&homes, days, "a");
        wait_for("both are renewed", || both_are_new(&homes, "a", &before));
        let ran = ran_in_days(&homes, days, "a", &["list", &a.to()]);
        assert_eq!(ran.code, 0, "{days}: {}", ran.err);
    }
}

#[test]
fn what_cannot_be_renewed_is_said_everywhere() {
    let homes = Homes::new(&["c"]);
    member(&homes, "b", &begun(340, YEAR));
    let b = homes.serve("b", &[]);
    for code in ["certificate-ends-soon", "scripts-certificate-ends-soon"] {
        wait_for("the program that started it is told", || told(&b, code));
        assert!(codes(&status(&homes, "b")["notices"]).contains(&code));
        let logs = fs::read_dir(homes.home("b").join("logs")).unwrap();
        let logs = logs.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let is_warning = |line: &str| line.contains("\"WARN\"") && line.contains(code);
        assert!(
            logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>())
                .any(|line| is_warning(&line))
        );
    }
    let url = format!("https://localhost:{}/v1/health", b.address.port());
    let health: Value = serde_json::from_str(&curl(&homes, "c", &[&url]).out).unwrap();
    for (field, days) in [
        ("certificate_days", 24),
        ("scripts_certificate_days", 24),
        ("circle_days", 3649),
        ("revocation_list_days", 29),
    ] {
        // By the second in which it was made.
        let is_near = |said: &Value| [days, days + 1].contains(&said.as_i64().unwrap());
        assert!(is_near(&health[field]), "{health}");
        assert!(is_near(&status(&homes, "b")[field]), "{field}");
    }
}

/// A clock that is set back, or was ahead where the circle was made, is said where an end would be.
#[test]
fn what_is_not_valid_yet_is_said_everywhere() {
    if !has("faketime") {
        return;
    }
    let homes = Homes::new(&[]);
    // Whoever asks it is not refused for a certificate that begins too late.
    member(&homes, "c", &begun(340, YEAR));
    const EARLY: [&str; 4] = [
        "certificate-not-yet-valid",
        "scripts-certificate-not-yet-valid",
        "circle-not-yet-valid",
        "revocation-list-not-yet-valid",
    ];
    let none = status(&homes, "a");
    assert!(
        !codes(&none["notices"])
            .iter()
            .any(|code| EARLY.contains(code))
    );
    let said = ran_in_days(&homes, -30, "a", &["--json", "status"]).out;
    let said: Value = serde_json::from_str(&said).unwrap();
    for code in EARLY {
        let notices = said["notices"].as_array().unwrap();
        let notice = notices.iter().find(|notice| notice["code"] == code);
        let notice = notice.unwrap_or_else(|| panic!("{code}: {said}"));
        assert_eq!(notice["care"], true);
        assert!(
            notice["text"].as_str().unwrap().contains("set the clock"),
            "{notice}"
        );
    }
    let text = ran_in_days(&homes, -30, "a", &["status"]).out;
    assert!(
        text.contains("certificate: counts from ") && text.contains(" only\n"),
        "{text}"
    );
    let doctor = ran_in_days(&homes, -30, "a", &["doctor"]);
    assert_ne!(doctor.code, 0, "{}", doctor.out);
    for step in ["certificate", "circle", "revocation", "files", "clock"] {
        let mut lines = doctor
            .out
            .lines()
            .skip_while(|line| line.split_whitespace().nth(1) != Some(step));
        let step = lines.by_ref().take(2).collect::<Vec<_>>().join(" ");
        assert!(step.contains("set the clock"), "{step}: {}", doctor.out);
    }
    let a = serve_in_days(&homes, -30, "a");
    for code in EARLY {
        wait_for("the program that started it is told", || told(&a, code));
        assert!(homes.log("a").contains(code), "{}", homes.log("a"));
    }
    let url = format!("https://localhost:{}/v1/health", a.address.port());
    let health: Value = serde_json::from_str(&curl(&homes, "c", &[&url]).out).unwrap();
    let four = [
        "certificate",
        "scripts_certificate",
        "circle",
        "revocation_list",
    ];
    assert_eq!(health["not_yet_valid"], serde_json::json!(four));
}

/// A machine that is too slow to listen in time gets more of it.
#[test]
fn the_moment_at_which_a_certificate_of_a_serving_peer_ends_is_an_event() {
    let homes = Homes::new(&["c"]);
    for seconds in [8, 16, 32, 64] {
        let name = format!("b{seconds}");
        let options = CertificateOptions {
            not_after: time::OffsetDateTime::now_utc() + Duration::seconds(seconds),
            ..CertificateOptions::default()
        };
        member(&homes, &name, &options);
        let b = homes.serve(&name, &[]);
        let url = format!("https://localhost:{}/v1/events", b.address.port());
        let most = (seconds + 5).to_string();
        let heard = curl(&homes, "c", &["-N", "--max-time", &most, &url]);
        if !heard.out.contains(": listening") {
            continue;
        }
        assert!(heard.out.contains("event: notice"), "{}", heard.out);
        assert!(heard.out.contains("certificate-expired"), "{}", heard.out);
        assert!(told(&b, "certificate-expired"));
        let text = homes.run(&name, &["status"]).out;
        assert!(text.contains("certificate: expired "), "{text}");
        assert_eq!(status(&homes, &name)["certificate_days"], -1);
        return;
    }
    panic!("nobody was heard in time");
}

#[test]
fn a_member_whose_certificate_has_ended_renews_within_the_time_for_it_and_stays_who_it_is() {
    if !has("faketime") {
        return;
    }
    // Issued for 365 days: the last of them, the day after, and the last of the 90 in which it is still renewed.
    for days in [364, 366, 450] {
        let homes = Homes::new(&["b", "s"]);
        let ids =
            ["b", "s"].map(|name| Inspected::peer(&certs(&homes, name)).unwrap().caller.key_id);
        let now = homes.serve("a", &[]);
        homes.ok("b", &["list", &now.to()]);
        drop(now);
        let a = serve_in_days(&homes, days, "a");
        homes_know(&homes, &["b", "s"], &a);
        // By the command that everything advises, exactly as it stands there.
        let said = ran_in_days(&homes, days, "b", &["status"]);
        assert!(
            said.err.contains("renew it: colis certs renew"),
            "{}",
            said.err
        );
        let before = serials(&homes, "b");
        for args in [&["certs", "renew"][..], &["certs", "renew", "--script"]] {
            let ran = ran_in_days(&homes, days, "b", args);
            assert_eq!(ran.code, 0, "{days} {args:?}: {}", ran.err);
        }
        assert!(both_are_new(&homes, "b", &before), "{days}");
        // By itself.
        let before = serials(&homes, "s");
        let s = serve_in_days(&homes, days, "s");
        wait_for("s has renewed both", || both_are_new(&homes, "s", &before));
        fs::write(homes.path("f"), "x").unwrap();
        let ran = ran_in_days(&homes, days, "b", &["send", "f", "--to", &s.to()]);
        assert_eq!(ran.code, 0, "{days}: {}", ran.err);
        for (name, id) in ["b", "s"].iter().zip(ids) {
            let caller = Inspected::peer(&certs(&homes, name)).unwrap().caller;
            assert_eq!(caller.key_id, id, "{days} {name}");
        }
    }
}

/// It could ask nobody for revocations with the certificate that had ended.
#[test]
fn a_member_that_starts_with_an_ended_certificate_learns_of_revocations_when_it_has_a_new_one() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    let homes = Homes::new(&["b", "m"]);
    let a = serve_in_days(&homes, 366, "a");
    homes_know(&homes, &["b", "m"], &a);
    let ran = ran_in_days(&homes, 366, "m", &["certs", "renew"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = ran_in_days(&homes, 366, "a", &["certs", "revoke", "m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let b = serve_in_days(&homes, 366, "b");
    wait_for("m is out", || {
        let ran = ran_in_days(&homes, 366, "m", &["list", &b.to()]);
        ran.code == 4 && ran.err.contains("revoked")
    });
}

/// Renewing is what everybody advises whose certificate has ended: one that is revoked is told that it is revoked.
#[test]
fn who_is_revoked_and_expired_is_told_that_it_is_revoked() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    let homes = Homes::new(&["m"]);
    homes.ok("a", &["certs", "revoke", "m"]);
    let a = serve_in_days(&homes, 366, "a");
    homes_know(&homes, &["m"], &a);
    for args in [&["list", "a"][..], &["certs", "renew"]] {
        let ran = ran_in_days(&homes, 366, "m", args);
        assert_eq!(ran.code, 4, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("it is revoked"), "{args:?}: {}", ran.err);
        assert!(!ran.err.contains("expired"), "{args:?}: {}", ran.err);
    }
    let log = fs::read_dir(homes.home("a").join("logs")).unwrap();
    let log: String = log
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(log.contains("the certificate of m is revoked"), "{log}");
}

#[test]
fn a_circle_s_machine_whose_clock_is_behind_is_said_to_be_why_nothing_is_renewed() {
    if !has("faketime") {
        println!("not tried: no faketime");
        return;
    }
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    homes_know(&homes, &["b"], &a);
    let young = homes.ok("b", &["certs", "renew"]);
    assert!(young.contains("not renewed yet"), "{young}");
    let ran = ran_in_days(&homes, 200, "b", &["certs", "renew"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("the clocks differ"), "{}", ran.err);
    assert!(!ran.out.contains("not renewed yet"), "{}", ran.out);
}

/// Writes into the address books of these where `a` is: what they know from former times.
pub(super) fn homes_know(homes: &Homes, names: &[&str], a: &Serving) {
    for name in names {
        let path = certs(homes, name).peers();
        let mut book: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        book["peers"]["a"]["addresses"] = serde_json::json!([a.to()]);
        fs::write(&path, serde_json::to_vec(&book).unwrap()).unwrap();
    }
}

#[test]
fn after_the_time_for_it_a_certificate_is_renewed_no_more_and_what_to_do_is_said() {
    if !has("faketime") {
        return;
    }
    for days in [456, 2000] {
        let homes = Homes::new(&["b"]);
        let a = serve_in_days(&homes, days, "a");
        homes_know(&homes, &["b"], &a);
        let ran = ran_in_days(&homes, days, "b", &["certs", "renew"]);
        assert_eq!(ran.code, 4, "{days}: {}", ran.err);
        for says in ["colis certs revoke", "colis pair", "certs leave"] {
            assert!(ran.err.contains(says), "{days} {says}: {}", ran.err);
        }
        let said = ran_in_days(&homes, days, "b", &["status"]).err;
        assert!(said.contains("certificate for scripts expired"), "{said}");
        assert!(!said.contains("certs renew"), "{said}");
        let out = homes.path("b2");
        let args = ["certs", "issue", "b", "--out", out.to_str().unwrap()];
        let ran = ran_in_days(&homes, days, "a", &args);
        assert_eq!(ran.code, 4, "{}", ran.err);
        assert!(ran.err.contains("colis certs revoke b"), "{}", ran.err);
        // And that is what helps.
        let ran = ran_in_days(&homes, days, "a", &["certs", "revoke", "b"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let ran = ran_in_days(&homes, days, "a", &args);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
}

#[test]
fn whose_certificate_has_ended_may_have_it_renewed_and_nothing_else() {
    let homes = Homes::new(&["c", "gone", "none"]);
    for name in ["late", "out", "blocked"] {
        member(&homes, name, &begun(20, Duration::days(19)));
    }
    homes.ok("a", &["certs", "revoke", "out"]);
    homes.ok("a", &["peers", "block", "blocked"]);
    let site = Site::of(homes, &["--inbox", "off"]);
    let homes = &site.homes;
    let shown = |name: &str| {
        let dir = certs(homes, name);
        shows(homes, vec![certificate(&dir)], key(&dir))
    };
    let asked = |bytes: &[u8]| {
        let mut stream = site.connect(shown("late"));
        let _ = std::io::Write::write_all(&mut stream, bytes);
        read_to_close(&mut stream)
    };
    let zeros = "0".repeat(64);
    for path in route::ALL {
        let path = path
            .replace("{id}", &zeros)
            .replace("{transfer_id}", &zeros[..32]);
        for method in ["GET", "PUT", "POST", "DELETE"] {
            if path != route::RENEW {
                asked(&request(method, &path, "", b"")).is(Code::CertificateExpired, &path);
            }
        }
    }
    asked(&request("GET", "/nothing", "", b"")).is(Code::CertificateExpired, "no route");
    let said = homes.fails("late", &["list", &site.serving.to()], 4);
    assert!(said.contains("colis certs renew"), "{said}");
    // Whom the circle has taken back, or the owner has blocked, gets nothing.
    for (name, expected) in [
        ("out", AlertDescription::CertificateRevoked),
        ("blocked", AlertDescription::AccessDenied),
    ] {
        assert_eq!(site.alert(shown(name)), expected, "{name}");
        homes.fails(name, &["certs", "renew", "--from", &site.serving.to()], 4);
    }
    homes.ok("late", &["certs", "renew", "--from", &site.serving.to()]);
    homes.ok("late", &["list", &site.serving.to()]);
}

#[test]
fn another_machine_than_the_circle_s_lets_nobody_in_whose_certificate_has_ended() {
    let homes = Homes::new(&["c"]);
    member(&homes, "late", &begun(20, Duration::days(19)));
    let c = homes.serve("c", &[]);
    let site = Site { homes, serving: c };
    let dir = certs(&site.homes, "late");
    let alert = site.alert(shows(&site.homes, vec![certificate(&dir)], key(&dir)));
    assert_eq!(alert, AlertDescription::CertificateExpired);
    let said = site
        .homes
        .fails("late", &["certs", "renew", "--from", &site.serving.to()], 4);
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn a_name_that_was_given_to_another_key_is_renewed_for_that_one_only() {
    let homes = Homes::new(&[]);
    let b = member(&homes, "b", &begun(20, Duration::days(19)));
    let (dir, kept) = (certs(&homes, "a"), homes.path("issued.kept"));
    fs::copy(dir.issued(), &kept).unwrap();
    // The record was lost, the name issued again, and the record was found.
    let first = fs::read_to_string(&kept).unwrap();
    let own: String = first
        .lines()
        .filter(|l| l.contains("\"name\":\"a\""))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(dir.issued(), own).unwrap();
    fs::remove_file(dir.peers()).unwrap();
    let out = colis::tls::CertsDir::new(homes.path("b2"));
    ca::issue(&dir, "b", &out, &CertificateOptions::default()).unwrap();
    let again = fs::read_to_string(dir.issued()).unwrap();
    fs::write(dir.issued(), format!("{first}{again}")).unwrap();
    let request =
        colis::tls::renewal_request(&certs(&homes, "b"), colis::tls::Renewed::Peer).unwrap();
    let refused = ca::sign_renewal(&dir, &request, b.caller()).unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    // By the name none is revoked, and both are said; each is by its id.
    let both = [
        b.caller().key_id,
        Inspected::peer(&out).unwrap().caller.key_id,
    ];
    let said = homes.fails("a", &["certs", "revoke", "b"], 4);
    for id in both.map(|id| id.to_string()) {
        assert!(said.contains(&id), "{said}");
        assert!(homes.ok("a", &["certs", "revoke", &id]).contains(&id));
    }
}
