//! Directories that are not the circle's, or not what they must be, brought to a real peer; and hints that lead elsewhere.

use std::{fs, net::TcpListener};

use colis::{
    manifest::{Signed, Signer as _},
    tls::Identity,
    trust::{Member, PeerBundle, SignedDirectory},
};
use testkit::{Homes, Serving};

use super::{CircleKey, certs, directory, member, names, number, peer_id};
use crate::members::curl;

/// Puts a directory with curl, as a script of the home `by`. Gives what is said, and the status.
fn put_by(homes: &Homes, by: &str, to: &Serving, envelope: &[u8]) -> String {
    let path = homes.path("directory");
    fs::write(&path, envelope).unwrap();
    let url = format!("https://localhost:{}/v1/directory", to.address.port());
    let media = "content-type: application/vnd.dsse+json";
    let args = [
        "-w",
        " %{http_code}",
        "-H",
        media,
        "-T",
        path.to_str().unwrap(),
        &url,
    ];
    curl(homes, by, &args).out
}

fn put(homes: &Homes, to: &Serving, directory: &SignedDirectory) -> String {
    put_by(homes, "c", to, directory.envelope())
}

fn refuses(said: &str, why: &str) {
    assert!(
        said.contains("\"bad-directory\"") && said.ends_with(" 422"),
        "{said}"
    );
    assert!(said.contains(why), "{why}: {said}");
}

#[test]
fn a_directory_that_the_circle_has_not_signed_is_not_taken() {
    let (homes, foreign) = (Homes::new(&["b", "c"]), Homes::new(&["b", "c"]));
    let b = homes.serve("b", &[]);
    let good = directory(&homes, "a");
    let before = fs::read(certs(&homes, "b").directory()).unwrap();
    let later = good.payload().number + 1_000_000;
    refuses(&put(&homes, &b, &directory(&foreign, "a")), "sender");
    // Another key under the id of this circle.
    let CircleKey(circle, _) = CircleKey::of(&homes);
    let CircleKey(_, key) = CircleKey::of(&foreign);
    let forged = CircleKey(circle, key).signs(later, good.payload().members.clone());
    refuses(&put(&homes, &b, &forged), "bad signature");
    // A member's key.
    let text = String::from_utf8(good.envelope().to_vec()).unwrap();
    let wrong = text.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1);
    for bad in [wrong.as_bytes(), &text.as_bytes()[1..], b"", b"\xff", b"{}"] {
        refuses(&put_by(&homes, "c", &b, bad), "");
    }
    assert_eq!(fs::read(certs(&homes, "b").directory()).unwrap(), before);
}

#[test]
fn a_number_never_goes_back_and_means_one_directory() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let old = directory(&homes, "a");
    let key = CircleKey::of(&homes);
    let members = old.payload().members.clone();
    let new = key.signs(old.payload().number + 1_000_000, members.clone());
    assert!(put(&homes, &b, &new).ends_with("\"stored\"} 201"));
    for known in [&new, &old] {
        assert!(put(&homes, &b, known).ends_with("\"already-there\"} 200"));
    }
    let other = key.signs(new.payload().number, members[..1].to_vec());
    refuses(&put(&homes, &b, &other), "has its number");
    let there = fs::read(certs(&homes, "b").directory()).unwrap();
    assert_eq!(there, new.envelope()[..]);
    let flood = (0..12).map(|_| put(&homes, &b, &old)).collect::<String>();
    assert!(flood.contains(" 429"), "{flood}");
    // On the circle's machine one of both is signed.
    let mut a = homes.serve("a", &[]);
    fs::write(certs(&homes, "a").directory(), new.envelope()).unwrap();
    assert!(put(&homes, &a, &other).ends_with("\"stored\"} 201"));
    assert!(number(&homes, "a") > new.payload().number);
    assert_eq!(names(&directory(&homes, "a")), ["a", "b", "c"]);
    a.kill();
}

#[test]
fn one_that_is_too_long_is_refused_before_it_is_read() {
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let said = put_by(&homes, "c", &b, &vec![b' '; (8 << 20) + 1]);
    assert!(
        said.contains("\"too-large\"") && said.ends_with(" 413"),
        "{said}"
    );
}

#[test]
fn a_member_that_is_none_makes_a_directory_of_no_use() {
    let (homes, foreign) = (Homes::new(&["b", "c"]), Homes::new(&["x"]));
    let b = homes.serve("b", &[]);
    let key = CircleKey::of(&homes);
    let later = number(&homes, "a") + 1_000_000;
    // Of another circle.
    let stranger = member(&certs(&foreign, "x"), &[]);
    refuses(
        &put(&homes, &b, &key.signs(later, vec![stranger])),
        "certificate",
    );
    // What b says of itself, signed by c; and what c says of itself under another name.
    let (of_b, of_c) = (certs(&homes, "b"), certs(&homes, "c"));
    let c = Identity::load(&of_c).unwrap();
    let said = Identity::load(&of_b).unwrap().bundle().unwrap();
    let bundle = said.payload().clone();
    let addresses = Vec::new();
    let signed = |bundle: PeerBundle| Member {
        bundle: Signed::sign(bundle, &c).unwrap(),
        addresses: addresses.clone(),
    };
    refuses(
        &put(&homes, &b, &key.signs(later, vec![signed(bundle)])),
        "bad signature",
    );
    let mut renamed = c.bundle().unwrap().payload().clone();
    renamed.name = "a".into();
    refuses(
        &put(&homes, &b, &key.signs(later, vec![signed(renamed)])),
        "another name",
    );
    assert!(number(&homes, "b") < later);
    assert_ne!(c.peer_id(), peer_id(&homes, "b"));
}

#[test]
fn a_revoked_member_in_it_counts_for_nothing() {
    let homes = Homes::new(&["b", "c", "d"]);
    let b = homes.serve("b", &[]);
    homes.ok("a", &["peers", "add", &b.to()]);
    homes.ok("a", &["certs", "revoke", "d"]);
    homes.ok("a", &["peers", "check", "b"]);
    let members = ["a", "b", "c", "d"].map(|name| member(&certs(&homes, name), &[]));
    let later = number(&homes, "a") + 1_000_000;
    let with_d = CircleKey::of(&homes).signs(later, members.into());
    assert!(put(&homes, &b, &with_d).ends_with(" 201"));
    assert!(names(&directory(&homes, "b")).contains(&"d"));
    let listed = homes.ok("b", &["peers"]);
    assert!(
        listed.contains("\nc  ") && !listed.contains("\nd  "),
        "{listed}"
    );
    fs::write(homes.path("f"), "x").unwrap();
    homes.fails("b", &["send", "f", "--to", "d", "--via", "a"], 6);
    // And the circle's machine drops it from the next.
    homes.ok("a", &["peers", "check", "b"]);
    assert_eq!(names(&directory(&homes, "a")), ["a", "b", "c"]);
    assert!(number(&homes, "a") > later);
}

#[test]
fn a_blocked_member_is_told_nothing_and_spreads_nothing() {
    let homes = Homes::new(&["b", "c"]);
    let (b, c) = (homes.serve("b", &[]), homes.serve("c", &[]));
    homes.ok("b", &["peers", "add", &c.to()]);
    let old = number(&homes, "b");
    let members = directory(&homes, "a").payload().members.clone();
    let later = CircleKey::of(&homes).signs(number(&homes, "a") + 1_000_000, members);
    homes.ok("b", &["peers", "block", "c"]);
    fs::write(certs(&homes, "c").directory(), later.envelope()).unwrap();
    assert_eq!(put(&homes, &b, &later), " 000", "it is not answered at all");
    let url = format!("https://localhost:{}/v1/directory", b.address.port());
    assert_eq!(curl(&homes, "c", &[&url]).out, "");
    // Nor is it asked.
    homes.ok("b", &["peers", "check", "c"]);
    assert_eq!(number(&homes, "b"), old);
    for role in ["sender", "reader", "monitor"] {
        homes.ok("b", &["peers", "role", "c", role]);
        let said = curl(&homes, "c", &["-w", " %{http_code}", &url]).out;
        assert!(
            said.contains("\"not-allowed\"") && said.ends_with(" 403"),
            "{said}"
        );
        let said = put(&homes, &b, &later);
        assert!(
            said.contains("\"not-allowed\"") && said.ends_with(" 403"),
            "{said}"
        );
    }
    let peer = format!("https://localhost:{}/v1/peer", b.address.port());
    assert!(!curl(&homes, "c", &[&peer]).out.contains("\"directory\""));
}

/// Whoever answers at an address that the directory says must show the key.
#[test]
fn hints_that_lead_elsewhere_give_nothing_away() {
    let homes = Homes::new(&["b", "c", "d"]);
    let (d, silent) = (
        homes.serve("d", &[]),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let silent = silent.local_addr().unwrap().to_string();
    let (there, nowhere) = (d.to(), "no-such-host.invalid:1");
    let of = |name: &str, hints: &[&str]| member(&certs(&homes, name), hints);
    let later = number(&homes, "a") + 1_000_000;
    let members = vec![
        of("b", &[]),
        of("c", &[&there, &silent, nowhere, "[::1]:1"]),
    ];
    let lying = CircleKey::of(&homes).signs(later, members);
    fs::write(certs(&homes, "b").directory(), lying.envelope()).unwrap();
    fs::write(homes.path("salaries.txt"), "x").unwrap();
    let ran = homes.run("b", &["send", "salaries.txt", "--to", "c"]);
    assert!([4, 8].contains(&ran.code), "{} {}", ran.code, ran.err);
    let received = homes.home("d").join("received/salaries.txt");
    assert!(!received.exists());
    let chunks = homes.ok("d", &["list"]);
    assert_eq!(chunks, "", "nothing was stored there");
}

#[test]
fn what_is_in_the_place_of_the_directory_keeps_nothing_from_working_and_is_said() {
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    homes.ok("c", &["peers", "add", &b.to()]);
    fs::write(homes.path("file"), "text").unwrap();
    let path = certs(&homes, "c").directory();
    type Makes = fn(&std::path::Path);
    let makes: [(&str, Makes); 4] = [
        ("FIFO", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }),
        ("folder", |path| fs::create_dir(path).unwrap()),
        ("not", |path| fs::write(path, "garbage").unwrap()),
        ("denied", |path| {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
        }),
    ];
    for (what, make) in makes {
        // Root reads every file.
        if what == "denied" && rustix::process::geteuid().is_root() {
            continue;
        }
        let put = || {
            let _ = fs::remove_dir(&path).or_else(|_| fs::remove_file(&path));
            make(&path);
        };
        put();
        let status = homes.run("c", &["--json", "status"]);
        assert!(
            status.out.contains("directory-unusable"),
            "{what}: {status:?}"
        );
        let doctor = homes.run("c", &["doctor"]);
        assert!(
            doctor.out.contains("directory.json.bad"),
            "{what}: {doctor:?}"
        );
        homes.ok("c", &["peers"]);
        homes.ok("c", &["list", "b"]);
        put();
        homes.ok("c", &["send", "file", "--to", "b"]);
        put();
        drop(homes.serve("c", &[]));
    }
}
