//! Who is let in by the real circle: certificates made by the program, refused by a serving peer in the handshake, and
//! peers refused by the program as a client.

use std::{process::Command, sync::Arc};

use colis::{
    client::{ClientOptions, PeerClient},
    id::PeerId,
    manifest::Signer as _,
    store::{Rejection, StoreError},
    tls::{self, Caller, CertsDir, Circle, CircleHandle, Distrust, Expect, Identity, Seen, ca},
};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use testkit::{Homes, Serving};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

const DAY: time::Duration = time::Duration::DAY;

/// Shows a certificate with whatever key it was given.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(crate) fn certs(homes: &Homes, name: &str) -> CertsDir {
    CertsDir::new(homes.home(name).join("certs"))
}

pub(crate) fn peer_id(homes: &Homes, name: &str) -> PeerId {
    Identity::load(&certs(homes, name)).unwrap().peer_id()
}

/// A client that trusts the server and shows the certificate of one with the key of another, or nothing.
fn config(homes: &Homes, shown: Option<(&CertsDir, &CertsDir)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certs(homes, "a").ca_cert()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(tls::provider());
    let config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let Some((certificate, key)) = shown else {
        return config.with_no_client_auth();
    };
    let chain = vec![CertificateDer::from_pem_file(certificate.server_cert()).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key.server_key()).unwrap();
    let key = tls::provider().key_provider.load_private_key(key).unwrap();
    config.with_client_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))))
}

/// What the peer answers to a request, in bytes; an error if it hangs up.
async fn ask(serving: &Serving, config: ClientConfig) -> std::io::Result<Vec<u8>> {
    let tcp = TcpStream::connect(serving.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    stream
        .write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map(|_| answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_peer_answers_members_and_nobody_else() {
    let (homes, foreign) = (Homes::new(&["b"]), Homes::new(&["b"]));
    let circle = certs(&homes, "a");
    let with_dates = |name: &str, from: time::Duration, to: time::Duration| {
        let now = time::OffsetDateTime::now_utc();
        let options = ca::CertificateOptions {
            sans: Vec::new(),
            not_before: now + from,
            not_after: now + to,
        };
        let out = certs(&homes, name);
        ca::issue(&circle, name, &out, &options).unwrap();
        out
    };
    let expired = with_dates("late", -2 * DAY, -DAY);
    let early = with_dates("early", DAY, 2 * DAY);
    let revoked = with_dates("gone", -DAY, DAY);
    homes.ok("a", &["certs", "revoke", "gone"]);
    let (b, stranger) = (certs(&homes, "b"), certs(&foreign, "b"));
    let serving = homes.serve("a", &[]);
    let member = ask(&serving, config(&homes, Some((&b, &b)))).await.unwrap();
    assert!(member.starts_with(b"HTTP/1.1 200 "), "a member is answered");
    let expired = ask(&serving, config(&homes, Some((&expired, &expired))));
    let expired = String::from_utf8(expired.await.unwrap()).unwrap();
    assert!(expired.starts_with("HTTP/1.1 403 "), "only to be renewed");
    assert!(expired.contains("certificate-expired"), "{expired}");
    for (who, shown) in [
        ("no certificate", None),
        ("not yet valid", Some((&early, &early))),
        ("revoked", Some((&revoked, &revoked))),
        ("of another circle", Some((&stranger, &stranger))),
        (
            "a member's certificate with another key",
            Some((&b, &stranger)),
        ),
    ] {
        let refused = ask(&serving, config(&homes, shown)).await;
        assert!(
            refused.is_err(),
            "{who}: {:?}",
            refused.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        );
    }
}

/// A client of `home` as the program makes it.
fn client(homes: &Homes, home: &str, serving: &Serving, expect: Expect) -> PeerClient {
    let dir = certs(homes, home);
    let identity = Identity::load(&dir).unwrap();
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let config = tls::client_config(&identity, &circle, expect, &Seen::default()).unwrap();
    let options = ClientOptions {
        retries: 0,
        ..ClientOptions::default()
    };
    PeerClient::new(serving.to().parse().unwrap(), config, options).unwrap()
}

/// Why `client` does not trust the peer that answers, and which peer its error names.
async fn distrust(client: &PeerClient) -> (Distrust, Option<PeerId>) {
    let error = client.health().await.unwrap_err();
    let culprit = error.culprit();
    match error {
        StoreError::Untrusted {
            cause: Rejection::WeRefusedThem(distrust),
            ..
        } => (distrust, culprit),
        other => panic!("{other:?}"),
    }
}

async fn is_another_peer(client: &PeerClient, who: PeerId) {
    let (distrust, culprit) = distrust(client).await;
    assert!(
        matches!(&distrust, Distrust::OtherPeer { found, .. } if *found == who),
        "{distrust}"
    );
    assert_eq!(culprit, Some(who));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_trusts_only_the_peer_that_it_expects() {
    let homes = Homes::new(&["b", "c"]);
    let serving = homes.serve("b", &[]);
    client(&homes, "a", &serving, Expect::default())
        .health()
        .await
        .unwrap();
    let id = |name: &str| Identity::load(&certs(&homes, name)).unwrap().peer_id();
    let expect = Expect {
        peer: Some(id("b")),
        ..Expect::default()
    };
    client(&homes, "a", &serving, expect)
        .health()
        .await
        .unwrap();
    let expect = Expect {
        peer: Some(id("c")),
        ..Expect::default()
    };
    is_another_peer(&client(&homes, "a", &serving, expect), id("b")).await;
    let known = [("b".to_owned(), PeerId::of(b"the b that was known"))].into();
    let expect = Expect {
        known,
        ..Expect::default()
    };
    // A known name shows another key.
    is_another_peer(&client(&homes, "a", &serving, expect), id("b")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_answers_first_is_the_only_one_who_will_do() {
    let homes = Homes::new(&["b", "c"]);
    let mut first = homes.serve("b", &[]);
    let client = client(&homes, "a", &first, Expect::default());
    client.health().await.unwrap();
    let address = first.to();
    first.kill();
    let _other = homes.serve_on("c", &address, &[]);
    let c = Identity::load(&certs(&homes, "c")).unwrap().peer_id();
    is_another_peer(&client, c).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_refuses_a_server_with_a_bad_certificate() {
    let homes = Homes::new(&["b"]);
    // The script's certificate is for calling: it must not serve.
    let b = certs(&homes, "b");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let chain = vec![CertificateDer::from_pem_file(b.client_cert()).unwrap()];
    let script = Caller::from_certificate(&chain[0]).unwrap().key_id;
    let script_key = PrivateKeyDer::from_pem_file(b.client_key()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(tls::provider());
    let config = config
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let config = config.with_single_cert(chain, script_key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let accepting = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        acceptor.accept(tcp).await.map(drop)
    });
    let dir = certs(&homes, "a");
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let identity = Identity::load(&dir).unwrap();
    let config =
        tls::client_config(&identity, &circle, Expect::default(), &Seen::default()).unwrap();
    let options = ClientOptions {
        retries: 0,
        ..ClientOptions::default()
    };
    let client = PeerClient::new(address.to_string().parse().unwrap(), config, options).unwrap();
    let (distrust, culprit) = distrust(&client).await;
    assert!(
        matches!(distrust, Distrust::WrongUsage { .. }),
        "{distrust}"
    );
    assert_eq!(culprit, Some(script));
    assert!(
        accepting.await.unwrap().is_err(),
        "the handshake was not completed"
    );
}

#[test]
fn curl_and_openssl_can_use_the_certificates() {
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("b", &[]);
    let dir = certs(&homes, "b");
    let mut verify = Command::new("openssl");
    let verified = verify
        .arg("verify")
        .arg("-CAfile")
        .arg(dir.ca_cert())
        .arg(dir.server_cert())
        .output()
        .unwrap();
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    let curl = |extra: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail", "--tlsv1.3", "--max-time", "20", "--cacert"])
            .arg(dir.ca_cert())
            .args(extra);
        curl.arg(format!(
            "https://localhost:{}/v1/health",
            serving.address.port()
        ))
        .output()
        .unwrap()
    };
    let (cert, key) = (dir.client_cert(), dir.client_key());
    let answered = curl(&[
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ]);
    assert!(
        String::from_utf8_lossy(&answered.stdout).contains("\"status\":\"ok\""),
        "{answered:?}"
    );
    let refused = curl(&[]);
    assert!(
        !refused.status.success() && refused.stdout.is_empty(),
        "{refused:?}"
    );
    let old = curl(&[
        "--tls-max",
        "1.2",
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ]);
    assert!(
        !old.status.success() && old.stdout.is_empty(),
        "TLS 1.2 is spoken: {old:?}"
    );
}

#[test]
fn keys_of_a_joiner_that_was_killed_do_not_stay_in_its_home() {
    let homes = Homes::new(&[]);
    let issued = homes.path("issued");
    let issued = issued.to_str().unwrap();
    homes.ok("a", &["certs", "issue", "n", "--out", issued]);
    let next: [(&str, &[&str]); 3] = [
        ("by-init", &["certs", "init", "--name", "n"]),
        ("by-import", &["certs", "import", issued]),
        ("by-pair", &["pair", "127.0.0.1:1", "--name", "n"]),
    ];
    for (home, args) in next {
        let [left, other] = [".certs-x1Y2z3", ".certs-of-mine"].map(|n| homes.home(home).join(n));
        for folder in [&left, &other] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("server-key.pem"), "secret").unwrap();
        }
        let ran = homes.run(home, args);
        assert!(!left.exists(), "{home}: {}", ran.err);
        assert!(other.exists(), "{home}: this is none of ours");
    }
}
