//! What is too much, too slow or malformed: over a raw TLS connection where no HTTP client would send it.

use std::time::Duration;

use colis::{
    id::ChunkId,
    server::Limits,
    wire::{Code, MAX_CHUNK_BODY, MAX_MANIFEST_BODY},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use testkit::server::{PATIENCE, TestPeer, problem, read_to_close, transfer::chunk};

const SHORT: Duration = Duration::from_millis(300);

/// Sends `head` and whatever follows, and gives status, code and whether the server closed (it must, to return).
async fn answer(peer: &TestPeer, bytes: &str) -> (u16, String) {
    let text = peer.talk(&peer.member("a"), bytes.as_bytes()).await;
    let status = text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0);
    let code = text
        .split("\"code\":\"")
        .nth(1)
        .and_then(|c| c.split('"').next());
    (status, code.unwrap_or_default().to_owned())
}

#[track_caller]
fn is(actual: &(u16, String), code: Code) {
    let (spelling, status) = code.parts();
    assert_eq!(*actual, (status, spelling.to_owned()));
}

fn put(id: ChunkId, headers: &str) -> String {
    format!("PUT /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_body_of_unclear_length_is_refused_and_the_connection_closed() {
    let peer = TestPeer::start().await;
    let (id, _) = chunk(1, 100);
    let chunked = "transfer-encoding: chunked\r\n";
    is(
        &answer(&peer, &(put(id, chunked) + "5\r\nhello\r\n0\r\n\r\n")).await,
        Code::LengthRequired,
    );
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n";
    is(
        &answer(&peer, &(put(id, both) + "0\r\n\r\n")).await,
        Code::LengthRequired,
    );
    let none = "connection: close\r\n";
    is(&answer(&peer, &put(id, none)).await, Code::LengthRequired);
    for wrong in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: -1\r\n",
        "content-length: 1e3\r\n",
        "content-length: 18446744073709551616\r\n",
    ] {
        assert_eq!(answer(&peer, &put(id, wrong)).await.0, 400, "{wrong}");
    }
    assert_eq!(*peer.store.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_body_where_none_is_understood_is_refused() {
    let peer = TestPeer::start().await;
    let leave = |body: &str| {
        let length = body.len();
        format!(
            "POST /v1/certs/leave HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    is(&answer(&peer, &leave("{}")).await, Code::TooLarge);
    is(&answer(&peer, &leave("")).await, Code::NotTheCircle);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let peer = TestPeer::start().await;
    let (id, _) = chunk(1, 100);
    let large = format!("content-length: {}\r\n", MAX_CHUNK_BODY + 1);
    is(&answer(&peer, &put(id, &large)).await, Code::TooLarge);
    let expecting = format!("{large}expect: 100-continue\r\n");
    let text = peer
        .talk(&peer.member("a"), put(id, &expecting).as_bytes())
        .await;
    assert!(
        text.starts_with("HTTP/1.1 413"),
        "no `100 Continue` comes before it: {text}"
    );
    for path in ["manifests", "offers"] {
        let id = if path == "offers" {
            id.to_string()[..32].to_owned()
        } else {
            id.to_string()
        };
        let length = MAX_MANIFEST_BODY + 1;
        let head = format!(
            "PUT /v1/{path}/{id} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        is(&answer(&peer, &head).await, Code::TooLarge);
    }
    let with_body = "GET /v1/peer HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
    is(&answer(&peer, with_body).await, Code::TooLarge);
}

#[tokio::test]
async fn the_refusal_of_a_large_body_is_readable_while_it_is_being_sent() {
    let peer = TestPeer::start().await;
    let mut stream = peer.connect(&peer.member("a")).await;
    let (id, _) = chunk(1, 100);
    let head = put(id, &format!("content-length: {}\r\n", MAX_CHUNK_BODY + 1));
    stream.write_all(head.as_bytes()).await.unwrap();
    let body = stream.write_all(&[0; 16 << 20]).await;
    body.expect("the server reset the connection instead of hearing us out");
    let text = read_to_close(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
}

#[tokio::test]
async fn the_largest_chunk_fits() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let (id, bytes) = chunk(1, MAX_CHUNK_BODY);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    assert_eq!(
        client.put(url).body(bytes).send().await.unwrap().status(),
        201
    );
}

#[tokio::test]
async fn a_head_has_its_bounds() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let long = client
        .get(peer.url(&format!("/v1/{}", "a".repeat(253))))
        .send()
        .await
        .unwrap();
    problem(long, Code::UriTooLong).await;
    let fits = client
        .get(peer.url(&format!("/v1/{}", "a".repeat(252))))
        .send()
        .await
        .unwrap();
    problem(fits, Code::NoSuchRoute).await;
    let query = client
        .get(peer.url(&format!("/v1/chunks?{}", "a".repeat(2049))))
        .send()
        .await
        .unwrap();
    problem(query, Code::UriTooLong).await;

    let headers = |count: usize| {
        (0..count)
            .map(|i| format!("x-{i}: 1\r\n"))
            .collect::<String>()
    };
    let get = |headers: &str| {
        format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n")
    };
    assert_eq!(answer(&peer, &get(&headers(62))).await.0, 200);
    assert_eq!(answer(&peer, &get(&headers(63))).await.0, 431);
    let large = format!("x: {}\r\n", "a".repeat(16 << 10));
    assert_eq!(answer(&peer, &get(&large)).await.0, 431);
}

#[tokio::test]
async fn headers_that_ask_for_what_is_not_done_are_refused() {
    let peer = TestPeer::start().await;
    let (id, _) = chunk(1, 5);
    let body = "content-length: 5\r\n";
    for (headers, code) in [
        ("content-encoding: gzip\r\n", Code::UnsupportedMediaType),
        ("expect: 200-ok\r\n", Code::ExpectationFailed),
        ("colis-offer: a\r\ncolis-offer: b\r\n", Code::BadHeader),
        ("host: y\r\n", Code::BadHeader),
    ] {
        is(
            &answer(&peer, &(put(id, &format!("{body}{headers}")) + "hello")).await,
            code,
        );
    }
    let no_host = "GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n";
    is(&answer(&peer, no_host).await, Code::BadHeader);
    let identity = put(
        id,
        &format!("{body}connection: close\r\ncontent-encoding: identity\r\n"),
    ) + "hello";
    is(&answer(&peer, &identity).await, Code::ChunkTooShort);
}

#[tokio::test]
async fn only_http_1_is_spoken() {
    let peer = TestPeer::start().await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert!([0, 400].contains(&answer(&peer, preface).await.0));
    assert_eq!(answer(&peer, "nonsense\r\n\r\n").await.0, 400);
    assert_eq!(peer.requests_seen(), 0);
    for line in [
        "OPTIONS *",
        "CONNECT example.com:443",
        "GET http://example.com/",
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        is(&answer(&peer, &head).await, Code::NoSuchRoute);
    }
}

#[tokio::test]
async fn a_hundred_is_said_before_a_body_that_waits_for_it() {
    let peer = TestPeer::start().await;
    let mut stream = peer.connect(&peer.member("a")).await;
    let (id, bytes) = chunk(1, 100);
    let head = put(
        id,
        "content-length: 100\r\nconnection: close\r\nexpect: 100-continue\r\n",
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 25];
    timeout(PATIENCE, stream.read_exact(&mut line))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&bytes).await.unwrap();
    assert!(read_to_close(&mut stream).await.starts_with("HTTP/1.1 201"));
}

#[tokio::test]
async fn a_body_that_stops_or_crawls_is_given_up() {
    let idle = Limits {
        body_idle: SHORT,
        body_grace: Duration::from_secs(3600),
        ..Limits::default()
    };
    let slow = Limits {
        body_grace: SHORT,
        min_body_rate: 1 << 30,
        ..Limits::default()
    };
    for limits in [idle, slow] {
        let peer = TestPeer::with_limits(limits).await;
        let (id, bytes) = chunk(b'x', 100);
        let begun = put(id, "content-length: 100\r\n") + "xxxxx";
        is(&answer(&peer, &begun).await, Code::SlowBody);
        assert_eq!(bytes.len(), 100);
        assert!(!peer.store.holds(id));
    }
}

#[tokio::test]
async fn a_body_that_ends_early_stores_nothing() {
    let peer = TestPeer::start().await;
    let (id, _) = chunk(b'x', 100);
    let mut stream = peer.connect(&peer.member("a")).await;
    let begun = put(id, "content-length: 100\r\n") + "xxxxx";
    stream.write_all(begun.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let text = read_to_close(&mut stream).await;
    assert!(text.is_empty() || text.contains("short-body"), "{text}");
    assert_eq!(*peer.store.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn who_says_nothing_or_half_a_head_is_closed() {
    let peer = TestPeer::with_limits(Limits {
        head_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    for begun in ["", "GET /v1/hea", "GET /v1/health HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(
            peer.talk(&peer.member("a"), begun.as_bytes())
                .await
                .find("200"),
            None
        );
    }
    let kept = "GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
    assert_eq!(answer(&peer, kept).await.0, 200, "then idle, then closed");
    assert_eq!(peer.requests_seen(), 1);
}

#[tokio::test]
async fn who_begins_no_handshake_is_closed() {
    let peer = TestPeer::with_limits(Limits {
        handshake_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let mut tcp = TcpStream::connect(peer.address).await.unwrap();
    let mut byte = [0];
    let read = timeout(PATIENCE, tcp.read(&mut byte))
        .await
        .expect("never closed");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_response_that_nobody_reads_is_given_up() {
    let peer = TestPeer::with_limits(Limits {
        response_stall: SHORT,
        ..Limits::default()
    })
    .await;
    let client = peer.client(&peer.member("a"));
    let (id, bytes) = chunk(1, MAX_CHUNK_BODY);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    assert_eq!(
        client.put(url).body(bytes).send().await.unwrap().status(),
        201
    );
    let mut stream = peer.connect(&peer.member("b")).await;
    let get = format!("GET /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    calls(&peer, 2).await;
    drop(client);
    let closed = async {
        while peer.state.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, closed)
        .await
        .expect("a reader that sleeps keeps its connection");
}

#[tokio::test]
async fn strangers_wait_their_turn_in_the_handshake_and_members_get_in() {
    let limits = Limits {
        handshakes_per_address: 2,
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(TcpStream::connect(peer.address).await.unwrap());
    }
    // The accept loop takes connections in order, so the two are inside when the third is refused.
    let mut third = TcpStream::connect(peer.address).await.unwrap();
    let read = timeout(PATIENCE, third.read(&mut [0]))
        .await
        .expect("the third is let in");
    assert!(matches!(read, Ok(0) | Err(_)));
    drop(waiting);
    let member = peer.member("a");
    let gets_in = async {
        while peer
            .connect_with(peer.circle.client_config(Some(&member)))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gets_in)
        .await
        .expect("the permits never came back");
}

#[tokio::test]
async fn silent_strangers_of_many_hosts_keep_no_member_out() {
    let limits = Limits {
        handshakes: 4,
        handshakes_per_address: 2,
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let mut silent = Vec::new();
    for host in [2, 2, 3, 3] {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, host], 0).into()).unwrap();
        silent.push(socket.connect(peer.address).await.unwrap());
    }
    // The accept loop takes connections in order, so all places are taken when the member comes.
    let get = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = peer.talk(&peer.member("a"), get).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let read = timeout(PATIENCE, silent[0].read(&mut [0]))
        .await
        .expect("nobody made way");
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_peer_has_so_many_connections() {
    let peer = TestPeer::with_limits(Limits {
        connections_per_peer: 1,
        ..Limits::default()
    })
    .await;
    let (a, b) = (peer.member("a"), peer.member("b"));
    let get = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let mut first = peer.connect(&a).await;
    let open = async {
        while peer.state.open_connections() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, open).await.unwrap();
    let mut second = peer.connect(&a).await;
    assert_eq!(read_to_close(&mut second).await, "");
    assert!(peer.talk(&b, get).await.starts_with("HTTP/1.1 200"));
    first.write_all(get).await.unwrap();
    assert!(read_to_close(&mut first).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn requests_in_work_are_counted_for_each_and_for_all() {
    let limits = Limits {
        requests: 3,
        requests_per_peer: 2,
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let barrier = peer.store.close();
    let clients = [
        peer.client(&peer.member("a")),
        peer.client(&peer.member("b")),
    ];
    let list = |who: usize| clients[who].get(peer.url("/v1/chunks")).send();
    let mut waiting = Vec::new();
    for (who, count) in [(0, 1), (0, 2), (1, 3)] {
        waiting.push(tokio::spawn(list(who)));
        calls(&peer, count).await;
    }
    let mine = list(0).await.unwrap();
    assert_eq!(mine.headers()["retry-after"], "1");
    problem(mine, Code::TooManyRequests).await;
    let all = list(1).await.unwrap();
    assert_eq!(all.headers()["retry-after"], "1");
    problem(all, Code::Busy).await;
    barrier.add_permits(10);
    for request in waiting {
        assert_eq!(
            request.await.unwrap().unwrap().bytes().await.unwrap().len(),
            25
        );
    }
    assert_eq!(list(0).await.unwrap().status(), 200);
}

#[tokio::test]
async fn bodies_in_memory_are_counted_in_both_directions() {
    let limits = Limits {
        body_memory: 1000,
        body_memory_per_peer: 500,
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let (a, b) = (
        peer.client(&peer.member("a")),
        peer.client(&peer.member("b")),
    );
    let (id, bytes) = chunk(1, 900);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    assert_eq!(
        a.put(&url)
            .body(bytes.clone())
            .send()
            .await
            .unwrap()
            .status(),
        201,
        "one always fits"
    );

    let barrier = peer.store.close();
    let before = *peer.store.calls.lock().unwrap();
    let reading = tokio::spawn(a.get(&url).send());
    calls(&peer, before + 1).await;
    for who in [&a, &b] {
        let response = who.put(&url).body(bytes.clone()).send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "1");
        problem(response, Code::Busy).await;
    }
    barrier.add_permits(10);
    assert_eq!(
        reading.await.unwrap().unwrap().bytes().await.unwrap(),
        bytes
    );
    assert_eq!(
        b.put(&url)
            .body(bytes.clone())
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn an_envelope_counts_for_what_checking_it_takes() {
    let limits = Limits {
        body_memory: 4000,
        body_memory_per_peer: 4000,
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let client = peer.client(&peer.member("a"));
    let (id, bytes) = chunk(1, 900);
    let url = peer.url(&format!("/v1/chunks/{id}"));
    client.put(&url).body(bytes).send().await.unwrap();
    let barrier = peer.store.close();
    let before = *peer.store.calls.lock().unwrap();
    let reading = tokio::spawn(client.get(&url).send());
    calls(&peer, before + 1).await;
    let put = |path: String, length: usize| {
        let put = client.put(peer.url(&path)).body(vec![b'{'; length]);
        put.header("content-type", "application/vnd.dsse+json")
            .send()
    };
    for path in [
        format!("/v1/manifests/{id}"),
        format!("/v1/offers/{}", "0".repeat(32)),
    ] {
        problem(put(path.clone(), 800).await.unwrap(), Code::Busy).await;
        assert_ne!(put(path, 700).await.unwrap().status(), 503);
    }
    barrier.add_permits(10);
    assert_eq!(reading.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish_and_ends_streams() {
    let mut peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let mut events = client.get(peer.url("/v1/events")).send().await.unwrap();
    let beginning = events.chunk().await.unwrap();
    assert_eq!(beginning.unwrap(), ": listening\n\n");
    let barrier = peer.store.close();
    let request = tokio::spawn(client.get(peer.url("/v1/chunks")).send());
    calls(&peer, 1).await;
    peer.shut_down();
    let end = timeout(PATIENCE, events.chunk())
        .await
        .expect("the stream goes on");
    assert!(end.unwrap().is_none());
    barrier.add_permits(1);
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    drop(client);
    let ended = timeout(PATIENCE, peer.task.take().unwrap())
        .await
        .expect("it serves on");
    ended.unwrap().unwrap();
    assert!(
        TcpStream::connect(peer.address).await.is_err(),
        "the port is free"
    );
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_finish() {
    let mut peer = TestPeer::with_limits(Limits {
        drain: SHORT,
        ..Limits::default()
    })
    .await;
    let client = peer.client(&peer.member("a"));
    let _barrier = peer.store.close();
    let request = tokio::spawn(client.get(peer.url("/v1/chunks")).send());
    calls(&peer, 1).await;
    peer.shut_down();
    let ended = timeout(PATIENCE, peer.task.take().unwrap())
        .await
        .expect("it serves on");
    ended.unwrap().unwrap();
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn a_server_that_is_dropped_closes_its_connections() {
    let mut peer = TestPeer::start().await;
    let mut stream = peer.connect(&peer.member("a")).await;
    let _barrier = peer.store.close();
    stream
        .write_all(b"GET /v1/chunks HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    calls(&peer, 1).await;
    peer.task.take().unwrap().abort();
    assert_eq!(read_to_close(&mut stream).await, "");
}

/// Waits until the store has been called so often.
async fn calls(peer: &TestPeer, count: usize) {
    let arrived = async {
        while *peer.store.calls.lock().unwrap() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, arrived)
        .await
        .expect("the request never arrived");
}
