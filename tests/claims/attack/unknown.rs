//! Transfers signed by somebody whom the reader's circle does not know. A password opens them, and nothing else is given up for
//! it: the key must have signed whose digest the sender's id is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use colis::{
    crypto::password::Password,
    id::{ManifestId, PeerId},
    manifest::{Manifest, Payload as _, Signer as _, Timestamp, Wrap, WrapScope, dsse, to_json},
    tls::{CertsDir, Identity},
};
use p256::ecdsa::Signature;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
};
use serde_json::Value;
use testkit::site::{Site, certs};
use testkit::{Homes, Ran};

use crate::bad_input::parcel::{Parcel, Plain, publish, sign};

const PASSWORD: &str = "correct horse battery";

/// The circle of the sender `b`, and that of the reader `a`, which has a member `b` too.
struct Bench {
    theirs: Homes,
    ours: Homes,
    parcel: Parcel,
    b: Identity,
}

/// A manifest, and its signature.
struct Envelope {
    manifest: Manifest,
    signature: [u8; 64],
}

fn identity(homes: &Homes, name: &str) -> Identity {
    Identity::load(&certs(homes, name)).unwrap()
}

fn signature(manifest: &Manifest, signer: &Identity) -> [u8; 64] {
    let message = dsse::pae(Manifest::TYPE, &to_json(manifest));
    signer.sign(&message).unwrap()
}

impl Bench {
    fn new() -> Self {
        let (theirs, ours) = (Homes::new(&["b"]), Homes::new(&["b"]));
        let b = identity(&theirs, "b");
        let parcel = Parcel::seal(&b, &b, Plain::files(&["f.txt"]));
        fs::write(ours.path("password"), PASSWORD).unwrap();
        Self {
            theirs,
            ours,
            parcel,
            b,
        }
    }

    /// The transfer as `sender` would seal it for the password.
    fn manifest(&self, sender: PeerId, certificate: Vec<u8>) -> Manifest {
        let mut manifest = self.parcel.manifest.clone();
        let scope = WrapScope {
            key_id: manifest.key_id,
            transfer_id: manifest.transfer_id,
            sender,
        };
        let key = &self.parcel.key;
        let public = self.b.seal_keys()[0].public();
        manifest.wraps = vec![
            Wrap::to_recipient(key, scope, sender, public).unwrap(),
            Wrap::to_password(key, scope, &Password::new(PASSWORD)).unwrap(),
        ];
        (manifest.sender, manifest.certificate) = (sender, certificate);
        manifest
    }

    /// By `b` as it is, after a change.
    fn changed(&self, change: impl FnOnce(&mut Manifest)) -> Envelope {
        let mut manifest = self.manifest(self.b.peer_id(), self.b.certificate());
        change(&mut manifest);
        let signature = signature(&manifest, &self.b);
        Envelope {
            manifest,
            signature,
        }
    }

    /// What `a`, who has the password, says to the transfer in a sealed folder.
    fn opens(&self, folder: &str, envelope: &Envelope) -> Ran {
        write_folder(&self.ours.path(folder), &self.parcel, envelope);
        let _ = fs::remove_dir_all(self.ours.path("opened"));
        let args = ["--json", "open", folder, "--out", "opened"];
        let password = ["--password-file", "password"];
        self.ours.run("a", &[&args[..], &password].concat())
    }

    fn refuses(&self, name: &str, envelope: &Envelope, exit: i32) {
        let ran = self.opens(name, envelope);
        assert_eq!(ran.code, exit, "{name}: {}{}", ran.out, ran.err);
        assert!(!self.ours.path("opened/f.txt").exists(), "{name}");
    }
}

fn write_folder(root: &Path, parcel: &Parcel, envelope: &Envelope) {
    let keyid = envelope.manifest.sender;
    let bytes = dsse::write(
        Manifest::TYPE,
        &to_json(&envelope.manifest),
        keyid,
        &envelope.signature,
    );
    let manifest = format!("{}.dsse", ManifestId::of(&bytes));
    for folder in ["chunks", "manifests"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("manifests").join(manifest), bytes).unwrap();
    for (id, sealed) in &parcel.chunks {
        fs::write(root.join("chunks").join(id.to_string()), sealed).unwrap();
    }
}

/// A certificate for the key of `dir`, with these usages, signed by the circle of `circle`.
fn certify(circle: &CertsDir, dir: &CertsDir, usages: &[ExtendedKeyUsagePurpose]) -> Vec<u8> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&read(circle.ca_key())).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(circle.ca_cert()), ca_key).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "b");
    params.extended_key_usages = usages.to_vec();
    let key = KeyPair::from_pem(&read(dir.server_key())).unwrap();
    params.signed_by(&key, &issuer).unwrap().der().to_vec()
}

const SERVES: [ExtendedKeyUsagePurpose; 1] = [ExtendedKeyUsagePurpose::ServerAuth];

/// The last object of an event that was printed.
fn said(out: &str, event: &str) -> Value {
    let objects = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects
        .rev()
        .find(|object| object["event"] == event)
        .unwrap_or_else(|| panic!("no {event} in {out}"))
}

#[test]
fn what_an_unknown_key_signed_is_shown_under_its_id_and_stays_unverified() {
    let bench = Bench::new();
    // A stranger; and the key of a known peer, under a certificate of another circle.
    let known = identity(&bench.ours, "b");
    let foreign = certify(
        &certs(&bench.theirs, "a"),
        &certs(&bench.ours, "b"),
        &SERVES,
    );
    let manifest = bench.manifest(known.peer_id(), foreign);
    let signature = signature(&manifest, &known);
    for (folder, envelope) in [
        ("stranger", bench.changed(|_| {})),
        (
            "known",
            Envelope {
                manifest,
                signature,
            },
        ),
    ] {
        let ran = bench.opens(folder, &envelope);
        assert_eq!(ran.code, 0, "{folder}: {}", ran.err);
        let id = envelope.manifest.sender.to_string();
        let received = said(&ran.out, "received");
        assert_eq!(received["verified"], false, "{folder}");
        assert_eq!(received["sender"], id[..8], "{folder}");
        let history = said(&bench.ours.ok("a", &["--json", "history"]), "history");
        assert_eq!(history["verified"], false, "{folder}");
        assert_eq!(history["peers"][0], id[..8], "{folder}");
        let shown = bench.ours.ok("a", &["history"]);
        let from = format!("from {} (not verified)", &id[..8]);
        assert!(shown.lines().last().unwrap().contains(&from), "{shown}");
    }
}

/// Each of these opened before, as "from b".
#[test]
fn a_password_opens_nothing_that_the_key_of_its_sender_did_not_sign() {
    let bench = Bench::new();
    let other = identity(&bench.ours, "b");
    let with_signature = |change: &dyn Fn(&[u8; 64]) -> [u8; 64]| {
        let good = bench.changed(|_| {});
        let signature = change(&good.signature);
        Envelope { signature, ..good }
    };
    let manifest = bench.manifest(bench.b.peer_id(), bench.b.certificate());
    let by_another = Envelope {
        signature: signature(&manifest, &other),
        manifest,
    };
    let unsigned = Envelope {
        signature: [0; 64],
        ..bench.changed(|m| m.certificate.clear())
    };
    for (name, envelope, exit) in [
        ("damaged", with_signature(&damaged), 5),
        ("zero", with_signature(&|_| [0; 64]), 5),
        ("high-s", with_signature(&high_s), 5),
        ("by-another-key", by_another, 5),
        ("nothing-at-all", unsigned, 4),
    ] {
        bench.refuses(name, &envelope, exit);
    }
}

/// So did each of these.
#[test]
fn a_password_opens_nothing_whose_certificate_is_not_that_of_its_sender() {
    let bench = Bench::new();
    let ours = identity(&bench.ours, "b");
    let [circle, b] = ["a", "b"].map(|name| certs(&bench.theirs, name));
    let script = certificate_of(&b.client_cert());
    let no_usage = certify(&circle, &b, &[]);
    let for_clients = certify(&circle, &b, &[ExtendedKeyUsagePurpose::ClientAuth]);
    let long_ago = Timestamp::from_unix_seconds(1_000_000_000);
    let recently = Timestamp::from_unix_seconds(Timestamp::now().unix_seconds() - 60);
    let ended = Some(recently.plus_seconds(1));
    let manifest = bench.manifest(ours.peer_id(), bench.b.certificate());
    let as_a_member = Envelope {
        signature: signature(&manifest, &bench.b),
        manifest,
    };
    let changed = |change: &dyn Fn(&mut Manifest)| bench.changed(change);
    for (name, envelope) in [
        ("none", changed(&|m| m.certificate.clear())),
        ("under-the-id-of-a-member", as_a_member),
        (
            "of-a-member",
            changed(&|m| m.certificate = ours.certificate()),
        ),
        ("of-a-script", changed(&|m| m.certificate = script.clone())),
        ("no-usage", changed(&|m| m.certificate = no_usage.clone())),
        (
            "for-clients",
            changed(&|m| m.certificate = for_clients.clone()),
        ),
        (
            "signed-before-it",
            changed(&|m| (m.created, m.expires) = (long_ago, None)),
        ),
        (
            "expired",
            changed(&|m| (m.created, m.expires) = (recently, ended)),
        ),
    ] {
        bench.refuses(name, &envelope, 4);
    }
}

/// The circle has taken back a key; a certificate of another circle for it changes nothing.
#[test]
fn a_revoked_key_signs_nothing_under_another_certificate() {
    let bench = Bench::new();
    let revoked = identity(&bench.ours, "b");
    let foreign = certify(
        &certs(&bench.theirs, "a"),
        &certs(&bench.ours, "b"),
        &SERVES,
    );
    let manifest = bench.manifest(revoked.peer_id(), foreign);
    let signature = signature(&manifest, &revoked);
    let envelope = Envelope {
        manifest,
        signature,
    };
    assert_eq!(bench.opens("before", &envelope).code, 0);
    bench.ours.ok("a", &["certs", "revoke", "b"]);
    let ran = bench.opens("after", &envelope);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("revoked") || ran.out.contains("revoked"));
}

/// A certificate must name what it is for, also one of the circle.
#[test]
fn a_certificate_of_the_circle_without_a_usage_signs_nothing() {
    let site = Site::default();
    let (homes, b) = (&site.homes, site.identity("b"));
    let [a_certs, b_certs] = ["a", "b"].map(|name| certs(homes, name));
    let mut parcel = Parcel::seal(&b, &site.identity("a"), Plain::files(&["f.txt"]));
    parcel.upload(&site);
    let any = [ExtendedKeyUsagePurpose::Any];
    for usages in [&[][..], &any] {
        parcel.manifest.certificate = certify(&a_certs, &b_certs, usages);
        let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
        let answer = publish(&site, &envelope);
        answer.is(colis::wire::Code::UntrustedSigner, "no usage");
        let envelope = Envelope {
            signature: signature(&parcel.manifest, &b),
            manifest: parcel.manifest.clone(),
        };
        let folder = format!("folder-{}", usages.len());
        write_folder(&homes.path(&folder), &parcel, &envelope);
        let said = homes.fails("a", &["open", &folder], 4);
        assert!(said.contains("not for this use"), "{said}");
    }
    parcel.manifest.certificate = certify(&a_certs, &b_certs, &SERVES);
    let envelope = sign(&to_json(&parcel.manifest), Manifest::TYPE, &b);
    assert_eq!(publish(&site, &envelope).status, 201);
}

/// What is not summed up has no sums.
#[test]
fn sums_in_a_transfer_without_files_are_refused() {
    let homes = Homes::new(&["b"]);
    let (a, b) = (identity(&homes, "a"), identity(&homes, "b"));
    for (name, sums, exit) in [("without", Vec::new(), 0), ("with", vec![b'\n'; 256], 5)] {
        let mut plain = Plain::default();
        plain.folder("d");
        plain.sums = sums;
        let parcel = Parcel::seal(&b, &a, plain);
        let envelope = Envelope {
            signature: signature(&parcel.manifest, &b),
            manifest: parcel.manifest.clone(),
        };
        write_folder(&homes.path(name), &parcel, &envelope);
        let ran = homes.run("a", &["open", name, "--out", "opened"]);
        assert_eq!(ran.code, exit, "{name}: {}", ran.err);
        let _ = fs::remove_dir_all(homes.path("opened"));
    }
}

fn certificate_of(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap();
    pem::parse(text).unwrap().into_contents()
}

fn damaged(good: &[u8; 64]) -> [u8; 64] {
    let mut bad = *good;
    bad[10] ^= 1;
    bad
}

/// The other valid signature of the same key, with the order minus s.
fn high_s(good: &[u8; 64]) -> [u8; 64] {
    let good = Signature::from_slice(good).unwrap();
    let (r, s) = good.split_scalars();
    let high = Signature::from_scalars(*r, -*s).unwrap();
    high.to_bytes().into()
}
