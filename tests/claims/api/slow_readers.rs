//! Peers that take their answers slowly, or not at all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use colis::{
    id::ChunkId,
    server::Limits,
    store::Store as _,
    wire::{Code, MAX_MISSING_IDS},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use testkit::sealed::{Draft, TestSigner, chunk};
use testkit::server::{PATIENCE, TestPeer, pki::Identity, problem};

/// A connection whose kernel takes little that nobody has read.
async fn connect(peer: &TestPeer, who: &Identity) -> TlsStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect(peer.address).await.unwrap();
    let name = ServerName::IpAddress(peer.address.ip().into());
    let config = peer.circle.client_config(Some(who));
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, tcp).await.unwrap()
}

/// Asks, and reads only how the answer begins.
async fn ask(peer: &TestPeer, who: &Identity, request: &str) -> TlsStream<TcpStream> {
    let mut stream = connect(peer, who).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    let read = timeout(PATIENCE, stream.read_exact(&mut head)).await;
    read.unwrap().unwrap();
    assert_eq!(&head, b"HTTP/1.1 200", "{request}");
    stream
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Enough for a long list, also as text.
const MANIFESTS: usize = 2_500;

/// One request for each kind of long answer.
async fn long_answers(peer: &TestPeer) -> Vec<String> {
    let (id, sealed) = chunk(1, 1 << 20);
    peer.store.put_chunk(id, sealed, None).await.unwrap();
    let mut ids = Vec::new();
    for seed in 0..MAX_MISSING_IDS as u64 {
        let (id, sealed) = chunk(seed, 30);
        peer.store.put_chunk(id, sealed, None).await.unwrap();
        ids.push(id);
    }
    let signer = TestSigner::new(1);
    let large = Draft::new(&signer, &ids).sign(&signer);
    peer.store.put_manifest(&large).await.unwrap();
    for _ in 0..MANIFESTS {
        let manifest = Draft::new(&signer, &ids[..3]).sign(&signer);
        peer.store.put_manifest(&manifest).await.unwrap();
    }
    *peer.desk.list.lock().unwrap() = Some("x".repeat(1 << 20));
    let unknown: Vec<_> = (0..MAX_MISSING_IDS)
        .map(|n| ChunkId::of(&n.to_le_bytes()))
        .collect();
    let question = serde_json::json!({ "ids": unknown }).to_string();
    let missing = format!(
        "POST /v1/chunks/missing HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{question}",
        question.len()
    );
    let manifest = large.id();
    vec![
        get(&format!("/v1/chunks/{id}")),
        get(&format!("/v1/manifests/{manifest}")),
        get("/v1/chunks?limit=10000"),
        get("/v1/manifests?limit=10000"),
        get("/v1/manifests?limit=10000").replace("\r\n\r\n", "\r\naccept: text/plain\r\n\r\n"),
        get("/v1/crl"),
        missing,
    ]
}

#[tokio::test]
async fn every_long_answer_is_charged_until_it_is_taken() {
    let peer = TestPeer::with_limits(Limits {
        body_memory_per_peer: 64 << 10,
        memory_patience: Duration::ZERO,
        response_stall: Duration::from_secs(3600),
        ..Limits::default()
    })
    .await;
    let (a, b) = (peer.member("a"), peer.member("b"));
    let (client, other) = (peer.client(&a), peer.client(&b));
    let (id, bytes) = chunk(77_777_777, 100 << 10);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let (small, small_bytes) = chunk(77_777_778, 32 << 10);
    for request in long_answers(&peer).await {
        let what = request.lines().next().unwrap().to_owned();
        let mut unread = ask(&peer, &a, &request).await;
        let put = |client: &reqwest::Client| client.put(&url).body(bytes.clone()).send();
        let mine = put(&client).await.unwrap();
        assert_eq!(mine.status(), 503, "{what}: it is in no bound");
        problem(mine, Code::Busy).await;
        let theirs = other.put(peer.url(&format!("/v1/chunks/{small}")));
        let theirs = theirs.body(small_bytes.clone()).send().await;
        let theirs = theirs.unwrap().status();
        assert!(theirs.is_success(), "{what}: others go on");
        // Once it is taken, there is room again.
        let taken = async {
            let mut answer = vec![0; 64 << 10];
            while put(&client).await.unwrap().status() == 503 {
                let _ = timeout(Duration::from_millis(10), unread.read(&mut answer)).await;
            }
        };
        timeout(PATIENCE, taken)
            .await
            .unwrap_or_else(|_| panic!("{what}: never given back"));
    }
}

/// Bytes a second that all connections of a peer must take together.
const LEAST: u64 = 1 << 20;
const STALL: Duration = Duration::from_secs(3);

/// Takes far less than the least rate, but never nothing for long. Gives after how long it was cut, or `None` after `end`.
async fn trickle(mut stream: TlsStream<TcpStream>, end: Duration) -> Option<Duration> {
    let began = Instant::now();
    let mut some = [0; 2 << 10];
    while began.elapsed() < end {
        if stream.read_exact(&mut some).await.is_err() {
            return Some(began.elapsed());
        }
        sleep(Duration::from_millis(20)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_peer_takes_is_counted_over_all_its_connections() {
    let peer = TestPeer::with_limits(Limits {
        min_body_rate: LEAST,
        body_grace: Duration::from_secs(3600),
        response_stall: STALL,
        ..Limits::default()
    })
    .await;
    let (id, sealed) = chunk(1, 8 << 20);
    peer.store.put_chunk(id, sealed, None).await.unwrap();
    let a = peer.member("a");
    let path = get(&format!("/v1/chunks/{id}"));
    let alone = ask(&peer, &a, &path).await;
    let cut = trickle(alone, PATIENCE).await.expect("far too slow");

    let slow = [
        ask(&peer, &a, &path).await,
        ask(&peer, &a, &path).await,
        ask(&peer, &a, &path).await,
    ];
    let quick = peer.client(&a);
    let (id, sealed) = chunk(2, 4 << 20);
    peer.store.put_chunk(id, sealed, None).await.unwrap();
    let url = peer.url(&format!("/v1/chunks/{id}"));
    let reading = tokio::spawn(async move {
        loop {
            let response = quick.get(&url).send().await.unwrap();
            assert_eq!(response.status(), 200);
            assert_eq!(response.bytes().await.unwrap().len(), 4 << 20);
        }
    });
    let trickles = slow.map(|stream| trickle(stream, 2 * cut));
    for cut in futures::future::join_all(trickles).await {
        assert_eq!(cut, None, "another connection took enough");
    }
    assert!(!reading.is_finished(), "it was turned away");
    reading.abort();
}
