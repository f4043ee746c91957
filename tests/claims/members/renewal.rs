//! Renewing certificates while they are in use.

use std::fs;

use colis::{
    tls::{Inspected, ca},
    trust::{AddressBook, Bearer, Role},
};

use super::{
    certs, curl,
    kept::{YEAR, begun, member},
};
use testkit::{Homes, bytes, wait_for};

#[test]
fn a_transfer_in_flight_does_not_notice_that_both_sides_renew() {
    let homes = Homes::new(&[]);
    member(&homes, "b", &begun(200, YEAR));
    let a = homes.serve("a", &[]);
    homes.ok("b", &["list", &a.to()]);
    fs::write(homes.path("slow.bin"), bytes(1, 3 << 20)).unwrap();
    let args = [
        "send",
        "slow.bin",
        "--to",
        "a",
        "--chunk-size",
        "64KiB",
        "--limit",
        "1MiB",
        "--wait",
    ];
    let sending = homes
        .command("b", &args)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let chunks = || {
        homes
            .ok("a", &["--json", "list", "--chunks"])
            .lines()
            .count()
    };
    wait_for("some chunks are there", || chunks() > 3);
    let serials = |name: &str| Inspected::peer(&certs(&homes, name)).unwrap().caller;
    let before = (serials("a"), serials("b"));
    homes.ok("a", &["certs", "renew"]);
    homes.ok("b", &["certs", "renew", "--from", "a"]);
    wait_for("a has read it", || homes.log("a").contains("read again"));
    assert!(chunks() < 48, "it is still in flight");
    let ran = sending.wait_with_output().unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let received = fs::read(homes.home("a").join("received/slow.bin")).unwrap();
    assert_eq!(received, bytes(1, 3 << 20));
    for (before, after) in [(before.0, serials("a")), (before.1, serials("b"))] {
        assert_eq!(before.key_id, after.key_id);
        assert_ne!(before.serial, after.serial);
    }
}

#[test]
fn certificates_for_scripts_are_renewed_too() {
    let homes = Homes::new(&[]);
    member(&homes, "b", &begun(200, YEAR));
    let a = homes.serve("a", &[]);
    let url = format!("https://localhost:{}/v1", a.address.port());
    for (home, args) in [
        ("a", &["certs", "renew", "--script"][..]),
        ("b", &["certs", "renew", "--script", "--from", &a.to()]),
    ] {
        let before = Inspected::script(&certs(&homes, home)).unwrap().caller;
        homes.ok(home, args);
        let after = Inspected::script(&certs(&homes, home)).unwrap().caller;
        assert!(after.script && before.serial != after.serial);
        assert_eq!(
            (after.peer_id, after.key_id),
            (before.peer_id, before.key_id)
        );
        assert!(
            curl(&homes, home, &[&format!("{url}/health")])
                .out
                .contains("\"ok\"")
        );
    }
    // A script renews its own with curl, and gets no other.
    let (dir, request) = (certs(&homes, "b"), homes.path("request.pem"));
    let renew = |key: std::path::PathBuf| {
        let mut openssl = std::process::Command::new("openssl");
        openssl
            .args(["req", "-new", "-subj", "/CN=x", "-key"])
            .arg(key);
        assert!(
            openssl
                .arg("-out")
                .arg(&request)
                .output()
                .unwrap()
                .status
                .success()
        );
        let body = format!("@{}", request.display());
        let media = "content-type: application/x-pem-file";
        let to = format!("{url}/certs/renew");
        curl(&homes, "b", &["--data-binary", &body, "-H", media, &to]).out
    };
    let pem = renew(dir.client_key());
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    let refused = renew(dir.server_key());
    assert!(refused.contains("not-allowed"), "{refused}");
    // All of them go with their name.
    fs::write(dir.client_cert(), pem).unwrap();
    homes.ok("a", &["certs", "revoke", "b"]);
    wait_for("the renewed one too", || {
        !curl(&homes, "b", &[&format!("{url}/health")])
            .err
            .is_empty()
    });
}

#[test]
fn a_young_certificate_is_kept_and_said_to_be() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    for flag in [&[][..], &["--script"]] {
        let inspect = || match flag.is_empty() {
            true => Inspected::peer(&certs(&homes, "b")),
            false => Inspected::script(&certs(&homes, "b")),
        };
        let before = inspect().unwrap().caller;
        let to = a.to();
        let args = [&["certs", "renew", "--from", &to], flag].concat();
        let ran = homes.run("b", &args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.starts_with("not renewed yet: "), "{}", ran.out);
        assert!(ran.err.contains("a third of its time"), "{}", ran.err);
        assert_eq!(inspect().unwrap().caller.serial, before.serial);
    }
}

#[test]
fn a_key_that_the_circle_has_not_signed_gets_no_certificate_from_a_member() {
    let homes = Homes::new(&[]);
    let b = member(&homes, "b", &begun(200, YEAR));
    let circle = certs(&homes, "a");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    let acts_for = format!("urn:colis:peer:{}", b.caller().key_id);
    params.subject_alt_names = vec![rcgen::SanType::URI(acts_for.try_into().unwrap())];
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    let before = fs::read(circle.issued()).unwrap();
    let refused = ca::sign_renewal(&circle, &request, b.caller()).unwrap_err();
    assert!(
        refused.to_string().contains("nothing to that key"),
        "{refused}"
    );
    assert_eq!(fs::read(circle.issued()).unwrap(), before);
}

#[test]
fn a_broken_certificate_keeps_the_old_one_in_use_and_says_so() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let path = certs(&homes, "a").server_cert();
    let good = fs::read(&path).unwrap();
    fs::write(&path, "broken").unwrap();
    wait_for("it is noticed", || {
        homes.log("a").contains("certificates unchanged")
    });
    homes.ok("b", &["list", &a.to()]);
    // What else changes counts all the same.
    let book = AddressBook::new(certs(&homes, "a").peers());
    book.set_role("b", Bearer::Peer, Role::None).unwrap();
    wait_for("b is out", || homes.run("b", &["list", &a.to()]).code == 4);
    fs::write(&path, good).unwrap();
    wait_for("it is read again", || homes.log("a").contains("read again"));
}
