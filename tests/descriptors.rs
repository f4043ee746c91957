//! The accept loop survives a process without free file descriptors. Alone in its process: the limit is the process's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use colis::server::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpStream, time::timeout};

use testkit::server::{PATIENCE, TestPeer};

const GET: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_lack_of_descriptors_passes() {
    let limits = Limits {
        handshakes_per_address: 1000,
        handshake_timeout: Duration::from_secs(3600),
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let member = peer.member("a");
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(64);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();

    let mut held = Vec::new();
    let refused = loop {
        match TcpStream::connect(peer.address).await {
            Ok(tcp) => held.push(tcp),
            Err(e) => break e,
        }
    };
    assert_eq!(refused.raw_os_error(), Some(24), "EMFILE: {refused}");
    // One free descriptor is ours for one more connection, so the server's accept is what fails next.
    held.pop();
    let unaccepted = TcpStream::connect(peer.address).await;
    drop((held, unaccepted));

    let answered = timeout(PATIENCE, async {
        loop {
            if let Ok(stream) = TcpStream::connect(peer.address).await {
                drop(stream);
                break peer.talk(&member, GET).await;
            }
            tokio::task::yield_now().await;
        }
    });
    let answer = answered.await.expect("the accept loop has ended");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
