//! Revocations that stay: whatever was renewed, lost or restored, whoever was revoked is not let in again, and the next one
//! can be revoked.

use std::fs;

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    manifest::{Manifest, Payload as _, Signed, Timestamp, to_json},
    store::{FolderStore, Store as _, StoreError},
    tls::{
        self, Circle, CircleHandle, Expect, Identity, Renewed, Seen,
        ca::{self, CertificateOptions},
    },
    wire::Code,
};
use testkit::{Homes, Serving, rounds, site::Site, wait_for};
use time::{Duration, OffsetDateTime};

use super::certs;
use crate::bad_input::parcel::{Parcel, Plain, publish, sign};

const DAY: u64 = 24 * 3600;
pub(crate) const YEAR: Duration = Duration::days(365);

/// A certificate that began so many days ago.
pub(crate) fn begun(days: i64, life: Duration) -> CertificateOptions {
    let not_before = OffsetDateTime::now_utc() - Duration::days(days);
    CertificateOptions {
        not_before,
        not_after: not_before + life,
        ..CertificateOptions::default()
    }
}

pub(crate) fn member(homes: &Homes, name: &str, options: &CertificateOptions) -> Identity {
    ca::issue(&certs(homes, "a"), name, &certs(homes, name), options).unwrap()
}

fn is_out(homes: &Homes, who: &str, at: &Serving) -> bool {
    let ran = homes.run(who, &["list", &at.to()]);
    ran.code == 4 && ran.err.contains("revoked")
}

/// How many certificates were issued, and the bytes of the list.
fn sizes(homes: &Homes) -> (usize, u64) {
    let dir = certs(homes, "a");
    let issued = fs::read_to_string(dir.issued()).unwrap();
    (
        issued.lines().count(),
        fs::metadata(dir.crl()).unwrap().len(),
    )
}

pub(crate) fn client(homes: &Homes, name: &str, to: &Serving) -> PeerClient {
    let dir = certs(homes, name);
    let identity = Identity::load(&dir).unwrap();
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let config = tls::client_config(&identity, &circle, Expect::default(), &Seen::default());
    let options = ClientOptions::default();
    PeerClient::new(to.to().parse().unwrap(), config.unwrap(), options).unwrap()
}

/// `COLIS_ROUNDS` renewals of a reader, for its key and that of its scripts, by way of the server and past its rate.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_renewals_signs_nothing_and_revocation_travels_as_before() {
    let homes = Homes::new(&["b", "c"]);
    let m = member(&homes, "m", &begun(200, YEAR));
    let (a, c) = (homes.serve("a", &[]), homes.serve("c", &[]));
    homes.ok("m", &["list", &a.to()]);
    homes.ok("a", &["peers", "role", "m", "reader"]);
    let before = sizes(&homes).0;
    let (dir, own) = (certs(&homes, "a"), certs(&homes, "m"));
    let requests = [Renewed::Peer, Renewed::Script].map(|w| tls::renewal_request(&own, w).unwrap());
    let client = client(&homes, "m", &a);
    for request in requests.iter().cycle().take(40) {
        match client.renew(request).await {
            Ok(_) | Err(StoreError::Busy { .. } | StoreError::Refused { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    for request in requests.iter().cycle().take(rounds(300)) {
        ca::sign_renewal(&dir, request, m.caller()).unwrap();
    }
    assert_eq!(
        sizes(&homes).0,
        before + 2,
        "one new certificate for each key"
    );
    homes.ok("a", &["certs", "revoke", "m"]);
    assert!(
        sizes(&homes).1 < 1024,
        "the list has {} bytes",
        sizes(&homes).1
    );
    wait_for("m is out at a", || is_out(&homes, "m", &a));
    homes.ok("a", &["list", &c.to()]);
    wait_for("m is out at c", || is_out(&homes, "m", &c));
}

/// What may be lost on the circle's machine, or come back from a backup, between two revocations.
#[test]
fn whoever_was_revoked_stays_out_whatever_is_lost_or_restored() {
    type Loss = (&'static str, fn(&Homes));
    let losses: [Loss; 5] = [
        ("the record is lost", |homes| {
            fs::remove_file(certs(homes, "a").issued()).unwrap();
        }),
        ("the record is restored", |homes| {
            fs::copy(homes.path("issued.old"), certs(homes, "a").issued()).unwrap();
        }),
        ("the list is lost", |homes| {
            fs::remove_file(certs(homes, "a").crl()).unwrap();
        }),
        ("the list is restored", |homes| {
            fs::copy(homes.path("crl.old"), certs(homes, "a").crl()).unwrap();
        }),
        ("everything is restored", |homes| {
            fs::copy(homes.path("issued.old"), certs(homes, "a").issued()).unwrap();
            fs::copy(homes.path("crl.old"), certs(homes, "a").crl()).unwrap();
            let _ = fs::remove_file(certs(homes, "a").peers());
        }),
    ];
    for (what, lose) in losses {
        println!("{what}");
        let homes = Homes::new(&["b", "x"]);
        fs::copy(certs(&homes, "a").issued(), homes.path("issued.old")).unwrap();
        fs::copy(certs(&homes, "a").crl(), homes.path("crl.old")).unwrap();
        member(&homes, "m", &CertificateOptions::default());
        let b = homes.serve("b", &[]);
        homes.ok("x", &["list", &b.to()]);
        homes.ok("a", &["certs", "revoke", "m"]);
        homes.ok("a", &["list", &b.to()]);
        wait_for("m is out", || is_out(&homes, "m", &b));
        lose(&homes);
        homes.ok("a", &["certs", "revoke", "x"]);
        homes.ok("a", &["list", &b.to()]);
        wait_for("x is out too", || is_out(&homes, "x", &b));
        assert!(is_out(&homes, "m", &b), "{what}: m is in again at b");
        let a = homes.serve("a", &[]);
        for out in ["m", "x"] {
            assert!(is_out(&homes, out, &a), "{what}: {out} is in again at a");
        }
        one_list_again(&homes, &a, what);
    }
}

/// The circle's machine has signed one list of both, which goes around.
fn one_list_again(homes: &Homes, a: &Serving, what: &str) {
    let count = |name| {
        let list = fs::read_to_string(certs(homes, name).crl()).unwrap();
        list.matches("BEGIN X509 CRL").count()
    };
    homes.ok("b", &["list", &a.to()]);
    ca::refresh_list(&certs(homes, "a"), Timestamp::now()).unwrap();
    assert_eq!(count("a"), 1, "{what}");
    wait_for("b has the one list", || {
        homes.ok("b", &["list", &a.to()]);
        count("b") == 1
    });
}

/// Where neither a record, nor the address book, nor the directory knows the name any more, the id is enough.
#[test]
fn a_key_is_revoked_by_its_id_when_its_name_is_forgotten() {
    let homes = Homes::new(&["m"]);
    let a = homes.serve("a", &[]);
    homes.ok("m", &["list", &a.to()]);
    let dir = certs(&homes, "a");
    fs::remove_file(dir.issued()).unwrap();
    fs::remove_file(dir.peers()).unwrap();
    fs::remove_file(dir.directory()).unwrap();
    homes.fails("a", &["certs", "revoke", "m"], 6);
    let id = Identity::load(&certs(&homes, "m")).unwrap().caller().key_id;
    homes.ok("a", &["certs", "revoke", &id.to_string()]);
    wait_for("m is out", || is_out(&homes, "m", &a));
    // Without the record nothing is signed that it would have forbidden.
    let out = homes.path("n");
    let args = ["certs", "issue", "n", "--out", out.to_str().unwrap()];
    let said = homes.fails("a", &args, 3);
    assert!(said.contains("issued.jsonl"), "{said}");
}

/// A file that another program replaces by an older one.
#[test]
fn a_serving_peer_writes_back_a_list_that_was_replaced_by_an_older_one() {
    let homes = Homes::new(&["b", "m"]);
    let dir = certs(&homes, "b");
    let old = fs::read(dir.crl()).unwrap();
    let b = homes.serve("b", &[]);
    homes.ok("a", &["certs", "revoke", "m"]);
    homes.ok("a", &["list", &b.to()]);
    wait_for("m is out", || is_out(&homes, "m", &b));
    let new = fs::read(dir.crl()).unwrap();
    for replace in [true, false] {
        if replace {
            fs::write(dir.crl(), &old).unwrap();
        } else {
            fs::remove_file(dir.crl()).unwrap();
        }
        wait_for("it is written back", || {
            fs::read(dir.crl()).is_ok_and(|list| list == new)
        });
        assert!(is_out(&homes, "m", &b));
    }
}

fn backdated(sender: &Identity, reader: &Identity) -> Parcel {
    let mut parcel = Parcel::seal(sender, reader, Plain::files(&["late.txt"]));
    let now = Timestamp::now();
    parcel.manifest.created = Timestamp::from_unix_seconds(now.unix_seconds() - 10 * DAY);
    parcel.manifest.expires = Some(now.plus_seconds(DAY));
    parcel
}

/// Its certificate has expired, so that its serial number is on no list; what it signs is dated into its time.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_revoked_and_expired_member_dates_back_is_refused_everywhere() {
    let homes = Homes::new(&["b", "x"]);
    let m = member(&homes, "m", &begun(20, Duration::days(19)));
    let mut site = Site::of(homes, &["--inbox", "off"]);
    let a = site.identity("a");
    let signed = |parcel: &Parcel| sign(&to_json(&parcel.manifest), Manifest::TYPE, &m);
    let (first, second) = (backdated(&m, &a), backdated(&m, &a));
    first.upload(&site);
    second.upload(&site);
    // That a certificate has lapsed ends nothing: before the revocation this is taken.
    assert_eq!(publish(&site, &signed(&first)).status, 201);
    let folder = FolderStore::create(&site.homes.path("parcel")).unwrap();
    for (id, sealed) in &second.chunks {
        let sealed = Bytes::from(sealed.clone());
        folder.put_chunk(*id, sealed, None).await.unwrap();
    }
    let manifest = Signed::parse(signed(&second)).unwrap();
    folder.put_manifest(&manifest).await.unwrap();

    site.homes.ok("a", &["certs", "revoke", "m"]);
    fs::remove_file(certs(&site.homes, "a").issued()).unwrap();
    site.homes.ok("a", &["certs", "revoke", "x"]);
    let list = fs::read(certs(&site.homes, "a").crl()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let (_, der) = x509_parser::pem::parse_x509_pem(&list).unwrap();
    let serial = hex(&m.caller().serial);
    assert!(
        !hex(&der.contents).contains(&serial),
        "it is not listed by serial"
    );

    wait_for("a has read it", || is_out(&site.homes, "x", &site.serving));
    publish(&site, &signed(&second)).is(Code::UntrustedSigner, "a manifest that is dated back");
    let said = site.homes.fails("a", &["open", "parcel"], 4);
    assert!(said.contains("revoked"), "{said}");
    site.serving.kill();
    site.serving = site.homes.serve("a", &[]);
    wait_for("the inbox has refused it", || {
        site.homes.log("a").contains("not opened")
    });
    let received = testkit::tree(&site.homes.home("a").join("received"));
    assert!(
        !received.iter().any(|path| path.contains("late")),
        "{received:?}"
    );
}
