//! Whoever is revoked or blocked gets no new answer after a second, whatever its connections were doing.
//!
//! `COLIS_ROUNDS` members are put out, half of them in either way, each while it has four connections in work. The
//! default of 25 makes 100 runs.

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    id::ChunkId,
    store::Store as _,
    tls::{
        self, Circle, CircleHandle, Expect, Identity, Seen,
        ca::{self, CertificateOptions},
    },
    trust::{AddressBook, Bearer, Role},
    wire::REVOCATION_DEADLINE,
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::{Barrier, watch},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::certs;
use testkit::{Homes, Serving, bytes, wait_for};

const GET: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(30);
/// A chunk that a slow reader does not have within the time of the test.
const LARGE: usize = 16 << 20;
/// What the kernel may still have for a slow reader.
const RECEIVE_BUFFER: u32 = 32 << 10;

type Stream = TlsStream<TcpStream>;
/// When the member was put out.
type Out = watch::Receiver<Option<Instant>>;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_put_out_gets_no_new_answer_after_a_second() {
    let rounds = testkit::rounds(25);
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("a", &["--inbox", "off"]);
    let large = store_large_chunk(&homes, &serving).await;
    let mut runs = 0;
    for first in (0..rounds).step_by(5) {
        let mut batch = JoinSet::new();
        // Until all of them are in the middle of something.
        let busy = Arc::new(Barrier::new(4 * (rounds.min(first + 5) - first) + 1));
        let mut outs = Vec::new();
        for number in first..rounds.min(first + 5) {
            let name = format!("m{number}");
            let identity = member(&homes, &name);
            let (tell, out) = watch::channel(None);
            for case in 0..4 {
                let stream = connect(&homes, &name, &serving).await;
                let (out, name, busy) = (out.clone(), name.clone(), busy.clone());
                batch.spawn(async move {
                    match case {
                        0 => idle(stream, out, &busy).await,
                        1 => download(stream, out, &busy, large).await,
                        2 => upload(stream, out, &busy, &name).await,
                        _ => pipelined(stream, out, &busy).await,
                    }
                });
            }
            outs.push((name, identity, tell));
        }
        timeout(PATIENCE, busy.wait()).await.unwrap();
        for (number, (name, identity, tell)) in outs.iter().enumerate() {
            put_out(&homes, name, identity, number % 2 == 0);
            tell.send(Some(Instant::now())).unwrap();
        }
        while let Some(run) = batch.join_next().await {
            run.unwrap();
            runs += 1;
        }
    }
    assert_eq!(runs, 4 * rounds);
    println!("{runs} runs");
}

/// Nobody gives a revoked peer the list that says so.
#[test]
fn a_revoked_peer_says_so_itself_as_soon_as_a_member_has_refused_it() {
    let homes = Homes::new(&["b", "c"]);
    let a = homes.serve("a", &[]);
    for name in ["b", "c"] {
        homes.ok(name, &["peers", "add", &a.to()]);
    }
    homes.ok("a", &["certs", "revoke", "b"]);
    // Before, it would still be given the list.
    wait_for("the list", || {
        homes
            .log("a")
            .contains("certificates and revocations read again")
    });
    let status = |name| homes.run(name, &["--json", "status"]).object("status");
    let notices = |name| status(name)["notices"].to_string();
    assert!(!notices("b").contains("revoked"), "nobody has told it yet");
    let said = homes.fails("b", &["peers", "check", "a"], 4);
    assert!(said.contains("revoked"), "{said}");
    homes.ok("c", &["peers", "check", "a"]);
    let told = notices("b");
    assert!(told.contains("certificate-said-revoked"), "{told}");
    assert!(told.contains("a refused this peer as revoked"), "{told}");
    assert!(!notices("c").contains("revoked"));
    let doctor = homes.run("b", &["doctor"]);
    assert_eq!(doctor.code, 4, "{doctor:?}");
    assert!(
        doctor.out.contains("a refused this peer as revoked"),
        "{doctor:?}"
    );
    // A peer that serves asks by itself, at its start.
    fs::remove_file(homes.home("b").join("certs/refused.json")).unwrap();
    let _b = homes.serve("b", &[]);
    wait_for("it is told", || {
        homes.log("b").contains("a refused this peer as revoked")
    });
    assert!(notices("b").contains("certificate-said-revoked"));
}

/// A stream of events that goes on by itself, of a peer and of its script, until their certificate ends. A machine that is too
/// slow to begin one in time gets more of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_ends_with_its_certificate() {
    let homes = Arc::new(Homes::new(&[]));
    let serving = homes.serve("a", &["--inbox", "off"]);
    for seconds in [3, 6, 12, 24] {
        let name = format!("m{seconds}");
        let options = CertificateOptions {
            not_after: time::OffsetDateTime::now_utc() + Duration::from_secs(seconds),
            ..CertificateOptions::default()
        };
        ca::issue(&certs(&homes, "a"), &name, &certs(&homes, &name), &options).unwrap();
        let url = format!("https://localhost:{}/v1/events", serving.address.port());
        let script = tokio::task::spawn_blocking({
            let (homes, name) = (homes.clone(), name.clone());
            move || {
                super::curl(
                    &homes,
                    &name,
                    &["--no-buffer", "--max-time", "60", "-i", &url],
                )
            }
        });
        let mut stream = connect(&homes, &name, &serving).await;
        let events = b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut piece = [0; 4096];
        let _ = stream.write_all(events).await;
        let began = matches!(stream.read(&mut piece).await, Ok(1..));
        rest(&mut stream).await;
        let script = timeout(PATIENCE, script).await.unwrap().unwrap();
        if began && script.out.contains(" 200 ") {
            assert_ne!(script.code, 28, "the script's stream goes on");
            return;
        }
    }
    panic!("no stream began within 24 seconds");
}

fn put_out(homes: &Homes, name: &str, identity: &Identity, revoke: bool) {
    let dir = certs(homes, "a");
    if revoke {
        ca::revoke(&dir, name).unwrap();
    } else {
        let id = identity.caller().key_id.to_string();
        let book = AddressBook::new(dir.peers());
        book.set_role(&id, Bearer::Peer, Role::None).unwrap();
    }
}

/// Nothing is answered on it any more.
async fn idle(mut stream: Stream, mut out: Out, busy: &Barrier) {
    answers(&mut stream).await;
    busy.wait().await;
    let end = deadline(&mut out).await;
    sleep_until(end).await;
    let _ = stream.write_all(GET).await;
    assert_eq!(rest(&mut stream).await, 0, "an idle connection");
}

/// A slow reader gets what its own kernel has, and no more.
async fn download(mut stream: Stream, mut out: Out, busy: &Barrier, chunk: ChunkId) {
    let get = format!("GET /v1/chunks/{chunk} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut piece = vec![0; 16 << 10];
    let mut got = stream.read(&mut piece).await.unwrap();
    assert!(piece.starts_with(b"HTTP/1.1 200 "));
    busy.wait().await;
    loop {
        let put_out = *out.borrow();
        if put_out.is_some_and(|at| Instant::now() >= at + REVOCATION_DEADLINE) {
            break;
        }
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(length) => got += length,
        }
        sleep(Duration::from_millis(10)).await;
    }
    sleep_until(deadline(&mut out).await).await;
    let late = rest(&mut stream).await;
    assert!(
        got + late < LARGE / 2,
        "{got} and {late}: it was not in the middle"
    );
    assert!(
        late <= 4 * RECEIVE_BUFFER as usize,
        "{late} bytes came late"
    );
}

/// The rest of a body is not waited for, and not answered.
async fn upload(mut stream: Stream, mut out: Out, busy: &Barrier, name: &str) {
    let body = bytes(name.len() as u64, 64 << 10);
    let id = ChunkId::of(&body);
    let head = format!(
        "PUT /v1/chunks/{id} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (begin, end) = body.split_at(body.len() / 2);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(begin).await.unwrap();
    stream.flush().await.unwrap();
    busy.wait().await;
    sleep_until(deadline(&mut out).await).await;
    let _ = stream.write_all(end).await;
    assert_eq!(rest(&mut stream).await, 0, "an upload");
}

/// Requests without pause: the last byte of an answer comes within the second.
async fn pipelined(stream: Stream, mut out: Out, busy: &Barrier) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let asking = tokio::spawn(async move {
        while writing.write_all(&GET.repeat(4)).await.is_ok() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    let (mut piece, mut last, mut answered) = ([0; 4096], Instant::now(), 0);
    while let Ok(length @ 1..) = timeout(PATIENCE, reading.read(&mut piece)).await.unwrap() {
        if answered == 0 {
            busy.wait().await;
        }
        (last, answered) = (Instant::now(), answered + length);
    }
    asking.abort();
    let end = deadline(&mut out).await;
    assert!(answered > 0, "it was never answered");
    assert!(last <= end, "answered {:?} late", last - end);
}

/// The moment after which nothing may come.
async fn deadline(out: &mut Out) -> Instant {
    let put_out = timeout(PATIENCE, out.wait_for(Option::is_some))
        .await
        .unwrap();
    put_out.unwrap().unwrap() + REVOCATION_DEADLINE
}

/// How many bytes come until the other side closes, which it must have done.
async fn rest(stream: &mut Stream) -> usize {
    let (mut piece, mut got) = (vec![0; 64 << 10], 0);
    let patience = Instant::now() + PATIENCE;
    while let Ok(length @ 1..) = timeout_at(patience, stream.read(&mut piece))
        .await
        .expect("still open")
    {
        got += length;
    }
    got
}

async fn answers(stream: &mut Stream) {
    stream.write_all(GET).await.unwrap();
    let mut piece = [0; 4096];
    let length = timeout(PATIENCE, stream.read(&mut piece))
        .await
        .unwrap()
        .unwrap();
    assert!(piece[..length].starts_with(b"HTTP/1.1 200 "));
}

fn member(homes: &Homes, name: &str) -> Identity {
    let options = CertificateOptions::default();
    ca::issue(&certs(homes, "a"), name, &certs(homes, name), &options).unwrap()
}

/// A connection of the member `name`, which reads little ahead.
async fn connect(homes: &Homes, name: &str, serving: &Serving) -> Stream {
    let dir = certs(homes, name);
    let identity = Identity::load(&dir).unwrap();
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let config = tls::client_config(&identity, &circle, Expect::default(), &Seen::default());
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    let tcp = socket.connect(serving.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config.unwrap()));
    connector.connect(name, tcp).await.unwrap()
}

async fn store_large_chunk(homes: &Homes, serving: &Serving) -> ChunkId {
    let dir = certs(homes, "b");
    let identity = Identity::load(&dir).unwrap();
    let circle = CircleHandle::new(Circle::load(&dir).unwrap());
    let config = tls::client_config(&identity, &circle, Expect::default(), &Seen::default());
    let address = serving.to().parse().unwrap();
    let client = PeerClient::new(address, config.unwrap(), ClientOptions::default()).unwrap();
    let chunk = Bytes::from(bytes(1, LARGE));
    let id = ChunkId::of(&chunk);
    client.put_chunk(id, chunk, None).await.unwrap();
    id
}
