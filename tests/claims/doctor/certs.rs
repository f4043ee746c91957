//! The files of `certs/`, and the clock.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, SerialNumber};

use super::{DAY, Said, certs, copy, doctor, member_with_dates};
use testkit::Homes;

#[test]
fn a_key_that_others_can_read_is_named_with_the_command() {
    let homes = Homes::new(&[]);
    let dir = certs(&homes, "a");
    for key in [dir.server_key(), dir.seal_key()] {
        fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    }
    doctor(&homes, "a", &[])
        .ends(3, &["keys"])
        .says(
            "keys",
            "fail",
            "can be read by others (mode 644)",
            Some("chmod 600 "),
        )
        .says("keys", "fail", "seal-key.pem", Some("seal-key.pem"))
        .says("certificate", "ok", "a, peer ", None);
}

#[test]
fn a_key_of_another_certificate_is_said() {
    let homes = Homes::new(&["b"]);
    copy(
        &certs(&homes, "b").server_key(),
        &certs(&homes, "a").server_key(),
    );
    doctor(&homes, "a", &[]).ends(3, &["certificate"]).says(
        "certificate",
        "fail",
        "not the key of the certificate beside it",
        Some("restore certs/"),
    );
}

#[test]
fn a_certificate_that_is_missing_or_damaged_is_said() {
    let homes = Homes::new(&[]);
    let path = certs(&homes, "a").server_cert();
    fs::write(&path, "-----BEGIN").unwrap();
    let said = doctor(&homes, "a", &[]);
    said.ends(3, &["certificate"])
        .says(
            "certificate",
            "fail",
            "no certificate in it",
            Some("restore certs/"),
        )
        .says(
            "revocation",
            "skip",
            "not known to come from the circle",
            None,
        );
    fs::remove_file(&path).unwrap();
    doctor(&homes, "a", &[]).ends(3, &["certificate"]).says(
        "certificate",
        "fail",
        "server-cert.pem is missing",
        Some("restore certs/"),
    );
}

#[test]
fn a_certificate_of_another_circle_is_said() {
    let (homes, other) = (Homes::new(&["b"]), Homes::new(&[]));
    copy(&certs(&other, "a").ca_cert(), &certs(&homes, "b").ca_cert());
    doctor(&homes, "b", &[])
        .ends(4, &["certificate"])
        .says(
            "certificate",
            "fail",
            "does not come from our circle",
            Some("of one circle"),
        )
        .says(
            "revocation",
            "skip",
            "not known to come from the circle",
            None,
        );
}

#[test]
fn a_certificate_that_has_ended_or_ends_soon_is_said() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "late", -2 * DAY, -DAY);
    member_with_dates(&homes, "soon", -DAY, 10 * DAY + DAY / 2);
    doctor(&homes, "late", &[]).ends(4, &["certificate"]).says(
        "certificate",
        "fail",
        "expired on",
        Some("colis certs renew"),
    );
    doctor(&homes, "soon", &[]).ends(0, &[]).says(
        "certificate",
        "warn",
        "10 days left",
        Some("colis certs renew --from PEER"),
    );
}

#[test]
fn a_clock_before_our_certificate_is_said() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "early", DAY, 2 * DAY);
    doctor(&homes, "early", &[])
        .ends(4, &["certificate", "clock"])
        .says("certificate", "fail", "is valid from", Some("timedatectl"))
        .says(
            "clock",
            "fail",
            "before our certificate begins",
            Some("timedatectl"),
        );
}

#[test]
fn a_clock_that_went_back_since_the_store_was_opened_is_said() {
    let homes = Homes::new(&[]);
    homes.ok("a", &["gc"]);
    let lock = File::open(homes.home("a").join("chunks/LOCK")).unwrap();
    lock.set_modified(SystemTime::now() + Duration::from_secs(7200))
        .unwrap();
    doctor(&homes, "a", &[]).ends(0, &[]).says(
        "clock",
        "warn",
        "before the store was last opened",
        Some("timedatectl"),
    );
}

#[test]
fn a_clock_before_the_program_was_made_is_said() {
    let homes = Homes::new(&[]);
    let program = homes.path("colis-of-tomorrow");
    testkit::copy_program(&program);
    let file = File::open(&program).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(86_400))
        .unwrap();
    drop(file);
    let said = Said::of(|global| {
        let mut command = Command::new(&program);
        command.arg("--home").arg(homes.home("a")).args(global);
        command.args(["doctor", "--listen", "127.0.0.1:0"]);
        command
    });
    said.ends(0, &[]).says(
        "clock",
        "warn",
        "before this program was made",
        Some("timedatectl"),
    );
}

#[test]
fn a_damaged_revocation_list_is_said() {
    let homes = Homes::new(&[]);
    let path = certs(&homes, "a").crl();
    let good = fs::read_to_string(&path).unwrap();
    // One character of the signature, beyond what the base64 of the head says.
    let at = good.len() - 40;
    let other = if good.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut forged = good.clone();
    forged.replace_range(at..=at, other);
    for damaged in ["garbage", forged.as_str()] {
        fs::write(&path, damaged).unwrap();
        doctor(&homes, "a", &[]).ends(3, &["revocation"]).says(
            "revocation",
            "fail",
            "crl.pem",
            Some("move it away"),
        );
    }
    fs::remove_file(&path).unwrap();
    doctor(&homes, "a", &[]).ends(0, &[]).says(
        "revocation",
        "warn",
        "no list",
        Some("colis peers check PEER"),
    );
}

#[test]
fn a_revocation_list_past_its_date_is_warned_about() {
    let homes = Homes::new(&[]);
    let dir = certs(&homes, "a");
    let key = KeyPair::from_pem(&fs::read_to_string(dir.ca_key()).unwrap()).unwrap();
    let circle = fs::read_to_string(dir.ca_cert()).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&circle, key).unwrap();
    let now = time::OffsetDateTime::now_utc();
    let list = CertificateRevocationListParams {
        this_update: now - 3 * DAY,
        next_update: now - DAY,
        crl_number: SerialNumber::from(7_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fs::write(dir.crl(), list.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
    doctor(&homes, "a", &[]).ends(0, &[]).says(
        "revocation",
        "warn",
        "list 7 is past its date",
        Some("it is signed again when this home is served"),
    );
}

#[test]
fn our_own_revocation_is_said_by_our_own_list() {
    let homes = Homes::new(&["b"]);
    homes.ok("a", &["certs", "revoke", "b"]);
    copy(&certs(&homes, "a").crl(), &certs(&homes, "b").crl());
    doctor(&homes, "b", &[]).ends(4, &["revocation"]).says(
        "revocation",
        "fail",
        "revokes our own certificate",
        Some("colis certs leave"),
    );
}

#[test]
fn the_other_files_are_looked_at_too() {
    let homes = Homes::new(&["b"]);
    let (a, b) = (certs(&homes, "a"), certs(&homes, "b"));
    copy(&b.client_key(), &a.client_key());
    doctor(&homes, "a", &[]).ends(0, &[]).says(
        "files",
        "warn",
        "curl and scripts cannot call",
        Some("client-cert.pem"),
    );
    fs::write(a.issued(), "{").unwrap();
    doctor(&homes, "a", &[]).ends(3, &["files"]).says(
        "files",
        "fail",
        "issued.jsonl: line 1",
        Some("backup"),
    );
    fs::write(a.peers(), "{").unwrap();
    doctor(&homes, "a", &["b"])
        .ends(3, &["files", "name"])
        .says("files", "fail", "peers.json is damaged", Some("backup"));
}

#[test]
fn of_a_certificate_that_is_renewed_no_more_nothing_says_to_renew_it() {
    let homes = Homes::new(&[]);
    member_with_dates(&homes, "late", -120 * DAY, -100 * DAY);
    let a = homes.serve("a", &[]);
    let said = doctor(&homes, "late", &[&a.to()]);
    assert!(
        said.text.contains("colis certs revoke late"),
        "{}",
        said.text
    );
    assert!(!said.text.contains("colis certs renew"), "{}", said.text);
    let status = homes.run("late", &["status"]);
    assert!(!status.err.contains("colis certs renew"), "{status:?}");
}
