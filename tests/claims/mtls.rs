//! Who has no business here reaches nothing: not one request comes through to the application.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use colis::wire::REVOCATION_DEADLINE;
use rustls::{
    ClientConfig, SignatureScheme, client::ResolvesClientCert,
    crypto::aws_lc_rs::sign::any_ecdsa_type, sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use testkit::server::{
    PATIENCE, TestPeer,
    pki::{Circle, Identity, Validity},
    read_to_close,
};
use testkit::stretched;

const GET: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const GET_AND_STAY: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n";

/// Tries to make a request, and asserts that nothing is answered and nothing comes through.
async fn is_shut_out(peer: &TestPeer, config: ClientConfig) {
    // In TLS 1.3 a client learns of its refusal only when it reads.
    if let Ok(mut stream) = peer.connect_with(config).await {
        let _ = stream.write_all(GET).await;
        assert_eq!(read_to_close(&mut stream).await, "");
    }
    let member = peer.member("member");
    let before = peer.requests_seen();
    assert!(
        peer.talk(&member, GET).await.starts_with("HTTP/1.1 200"),
        "the door is shut for all"
    );
    assert_eq!((before, peer.requests_seen()), (0, 1));
}

#[tokio::test]
async fn without_a_certificate() {
    let peer = TestPeer::start().await;
    is_shut_out(&peer, peer.circle.client_config(None)).await;
}

#[tokio::test]
async fn with_a_certificate_of_another_circle() {
    let peer = TestPeer::start().await;
    let stranger = Circle::new("test circle").issue("a", Validity::Now);
    is_shut_out(&peer, peer.circle.client_config(Some(&stranger))).await;
}

#[tokio::test]
async fn with_a_certificate_that_has_expired_or_is_not_yet_valid() {
    for validity in [Validity::Past, Validity::Future] {
        let peer = TestPeer::start().await;
        let late = peer.circle.issue("a", validity);
        is_shut_out(&peer, peer.circle.client_config(Some(&late))).await;
    }
}

#[tokio::test]
async fn with_a_revoked_certificate() {
    let peer = TestPeer::start().await;
    let revoked = peer.member("a");
    peer.circle.revoke(&revoked);
    is_shut_out(&peer, peer.circle.client_config(Some(&revoked))).await;
}

#[tokio::test]
async fn with_a_members_certificate_and_another_key() {
    let peer = TestPeer::start().await;
    let member = peer.member("a");
    let thief = Circle::new("elsewhere").issue("thief", Validity::Now);
    let key = any_ecdsa_type(&thief.key()).unwrap();
    let stolen = Stolen(Arc::new(CertifiedKey::new(
        vec![member.certificate.clone()],
        key,
    )));
    let mut config = peer.circle.client_config(None);
    config.client_auth_cert_resolver = Arc::new(stolen);
    is_shut_out(&peer, config).await;
}

#[tokio::test]
async fn without_tls() {
    let peer = TestPeer::start().await;
    let mut tcp = TcpStream::connect(peer.address).await.unwrap();
    tcp.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, tcp.read_to_end(&mut answer))
        .await
        .expect("never closed");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(peer.requests_seen(), 0);
}

#[tokio::test]
async fn a_revocation_closes_an_idle_connection_within_a_second() {
    let peer = TestPeer::start().await;
    let member = peer.member("a");
    let mut stream = peer.connect(&member).await;
    one_answer(&mut stream).await;
    let revoked = Instant::now();
    peer.circle.revoke(&member);
    assert_eq!(read_to_close(&mut stream).await, "");
    let took = revoked.elapsed();
    assert!(took < stretched(REVOCATION_DEADLINE), "{took:?}");
    assert_eq!(peer.state.open_connections(), 0);
}

#[tokio::test]
async fn a_revocation_ends_a_request_in_work() {
    let peer = TestPeer::start().await;
    let member = peer.member("a");
    let _barrier = peer.store.close();
    let mut stream = peer.connect(&member).await;
    stream
        .write_all(b"GET /v1/chunks HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let arrived = async {
        while *peer.store.calls.lock().unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, arrived).await.unwrap();
    peer.circle.revoke(&member);
    assert_eq!(
        peer.state.drop_revoked(),
        1,
        "a reload need not wait for the watcher"
    );
    assert_eq!(read_to_close(&mut stream).await, "");
}

#[tokio::test]
async fn a_request_after_a_revocation_is_not_answered() {
    // The watcher sleeps: only the look at each request is left.
    let limits = colis::server::Limits {
        revocation_check: Duration::from_secs(3600),
        ..Default::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let member = peer.member("a");
    let mut stream = peer.connect(&member).await;
    one_answer(&mut stream).await;
    peer.circle.revoke(&member);
    stream
        .write_all(b"GET /v1/chunks HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_to_close(&mut stream).await, "");
    assert_eq!(*peer.store.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn others_stay_connected_when_one_is_revoked() {
    let peer = TestPeer::start().await;
    let (one, other): (Identity, Identity) = (peer.member("one"), peer.member("other"));
    let (mut first, mut second) = (peer.connect(&one).await, peer.connect(&other).await);
    one_answer(&mut first).await;
    one_answer(&mut second).await;
    peer.circle.revoke(&one);
    assert_eq!(read_to_close(&mut first).await, "");
    one_answer(&mut second).await;
}

async fn one_answer(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) {
    stream.write_all(GET_AND_STAY).await.unwrap();
    let mut text = String::new();
    while !text.ends_with('}') {
        let mut piece = [0; 1024];
        let length = timeout(PATIENCE, stream.read(&mut piece))
            .await
            .unwrap()
            .unwrap();
        assert!(length > 0, "closed after {text}");
        text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
    }
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

/// Shows a certificate whose key it does not have.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
