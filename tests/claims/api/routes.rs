//! The small routes, the answers that any route can give, and the event stream.

use std::{io, sync::Arc, time::Duration};

use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::Timestamp,
    name::LibraryError,
    server::{Limits, RenewError},
    store::{
        Alert, BadFormat, BadLength, LockedBy, Missing, NetworkCause, ProtocolFault, ReadOnly,
        Refusal, Rejection, Remote, StateAt, StoreError, TransferState,
    },
    tls::WhyRefused,
    wire::{Code, Health, HealthStatus, PeerBody, Problem, ServerEvent, route},
};
use reqwest::{Method, Response};
use tokio::time::timeout;

use testkit::server::{PATIENCE, TestPeer, problem, transfer::chunk};

#[tokio::test]
async fn a_peer_says_who_it_is_and_what_it_takes() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let body: PeerBody = client
        .get(peer.url("/v1/peer"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (body.peer_id, body.bundle.as_str()),
        (peer.own.id, "the bundle")
    );
    assert_eq!(body.limits.chunk_bytes, (64 << 20) + 28);
    assert_eq!(body.limits.requests, 32);
}

#[tokio::test]
async fn a_store_that_stopped_writing_shows_in_health() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let health = async || {
        let response = client.get(peer.url("/v1/health")).send().await.unwrap();
        response.json::<Health>().await.unwrap()
    };
    assert_eq!(health().await.status, HealthStatus::Ok);
    let breaks = || {
        *peer.store.fault.lock().unwrap() = Some(StoreError::ReadOnly(ReadOnly::WriteFailed {
            path: "/secret/path".into(),
            source: Arc::new(io::Error::other("secret cause")),
        }));
    };
    breaks();
    let (id, bytes) = chunk(1, 100);
    let put = client
        .put(peer.url(&format!("/v1/chunks/{id}")))
        .body(bytes)
        .send()
        .await
        .unwrap();
    let problem = problem(put, Code::StorageFailed).await;
    assert!(
        !problem.detail.contains("secret"),
        "the cause stays in the log"
    );
    breaks();
    assert_eq!(health().await.status, HealthStatus::ReadOnly);
    assert_eq!(health().await.version, env!("CARGO_PKG_VERSION"));
    *peer.store.fault.lock().unwrap() = None;
    let healed = health().await.status;
    assert_eq!(healed, HealthStatus::Ok, "its folder is back, say");
}

#[tokio::test]
async fn the_revocation_list_is_given_if_there_is_one() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    problem(
        client.get(peer.url("/v1/crl")).send().await.unwrap(),
        Code::NotTheCircle,
    )
    .await;
    *peer.desk.list.lock().unwrap() = Some("the list".into());
    let response = client.get(peer.url("/v1/crl")).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-pem-file");
    assert_eq!(response.text().await.unwrap(), "the list");
}

#[tokio::test]
async fn a_certificate_is_renewed_where_the_circle_is() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let ask = async |answer| {
        *peer.desk.renewal.lock().unwrap() = answer;
        let request = client
            .post(peer.url("/v1/certs/renew"))
            .header("content-type", "application/x-pem-file");
        request.body("request").send().await.unwrap()
    };
    problem(ask(None).await, Code::NotTheCircle).await;
    let cause = LibraryError::new("another\nkey");
    let refused = RenewError::Refused(WhyRefused::NoRequest(cause));
    problem(ask(Some(Err(refused))).await, Code::NotAllowed).await;
    let failed = RenewError::Failed("secret".into());
    assert!(
        !problem(ask(Some(Err(failed))).await, Code::Internal)
            .await
            .detail
            .contains("secret")
    );
    let renewed = ask(Some(Ok("certificate for ".into()))).await;
    assert_eq!(renewed.status(), 200);
    assert_eq!(renewed.text().await.unwrap(), "certificate for request");

    let url = peer.url("/v1/certs/renew");
    let json = client
        .post(&url)
        .header("content-type", "application/json")
        .body("{}");
    problem(json.send().await.unwrap(), Code::UnsupportedMediaType).await;
    let large = client
        .post(&url)
        .header("content-type", "application/x-pem-file")
        .body(vec![b'x'; 16_385]);
    problem(large.send().await.unwrap(), Code::TooLarge).await;
    let binary = client
        .post(&url)
        .header("content-type", "application/x-pem-file")
        .body(vec![0xff]);
    problem(binary.send().await.unwrap(), Code::NotAllowed).await;
}

#[tokio::test]
async fn what_no_route_is_at_is_404_and_a_wrong_method_405() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for path in [
        "/",
        "/v1",
        "/v2/peer",
        "/v1/peer/",
        "/v1/chunks/a/b",
        "//v1/peer",
        "/v1/openapi",
    ] {
        problem(
            client.get(peer.url(path)).send().await.unwrap(),
            Code::NoSuchRoute,
        )
        .await;
    }
    let id = ChunkId::of(b"x");
    for (method, path, allowed) in [
        (Method::POST, "/v1/peer".to_owned(), "GET,HEAD"),
        (Method::DELETE, format!("/v1/chunks/{id}"), "GET,HEAD,PUT"),
        (Method::TRACE, "/v1/health".into(), "GET,HEAD"),
        (Method::GET, "/v1/chunks/missing/".into(), ""),
    ] {
        let response = client
            .request(method, peer.url(&path))
            .send()
            .await
            .unwrap();
        if allowed.is_empty() {
            problem(response, Code::NoSuchRoute).await;
            continue;
        }
        let mut allow: Vec<_> = response.headers()["allow"]
            .to_str()
            .unwrap()
            .split(',')
            .collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{path}");
        problem(response, Code::MethodNotAllowed).await;
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_and_the_server_goes_on() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    *peer.store.panic.lock().unwrap() = true;
    let panicked = client.get(peer.url("/v1/chunks")).send().await.unwrap();
    let problem = problem(panicked, Code::Internal).await;
    assert!(
        !problem.detail.contains("told to"),
        "the message stays in the log"
    );
    assert_eq!(
        client
            .get(peer.url("/v1/chunks"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn every_failure_of_a_store_has_its_answer() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    for (fault, code) in failures() {
        *peer.store.fault.lock().unwrap() = Some(fault);
        let problem = problem(
            client.get(peer.url("/v1/chunks")).send().await.unwrap(),
            code,
        )
        .await;
        assert!(!problem.detail.contains("secret"), "{}", problem.detail);
    }
    peer.seen.forgive();
}

fn ends_too_soon() -> StoreError {
    let expires = Timestamp::now();
    StoreError::EndsTooSoon { expires }
}

fn not_found(what: Missing) -> StoreError {
    StoreError::NotFound(what)
}

fn remote() -> Remote {
    Remote::new("secret.example".parse().unwrap(), None)
}

fn refused(code: Refusal) -> StoreError {
    StoreError::Refused {
        code,
        detail: "no\nway".into(),
        by: None,
    }
}

/// A store of another program has codes of its own, and may use each of ours.
#[tokio::test]
async fn a_code_of_a_store_is_the_code_of_the_answer() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let own = "over-the-limit-of-the-bank".parse::<Refusal>().unwrap();
    let ours = Code::ALL.iter().map(|code| Refusal::Known(*code));
    for code in ours.chain([own]) {
        *peer.store.fault.lock().unwrap() = Some(refused(code.clone()));
        let answer = client.get(peer.url("/v1/chunks")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), code.status(), "{code}");
        let problem: Problem = answer.json().await.unwrap();
        assert_eq!(problem.code, code.as_str());
        assert_eq!(problem.kind, format!("urn:colis:problem:{code}"));
    }
    peer.seen.forgive();
}

#[test]
fn a_code_is_a_few_plain_words() {
    for wrong in ["", "Busy", "a b", "a\n", "ä", &"a".repeat(65)] {
        assert!(wrong.parse::<Refusal>().is_err(), "{wrong:?}");
    }
    for code in Code::ALL {
        assert_eq!(code.parts().0.parse(), Ok(Refusal::Known(*code)));
    }
}

fn failures() -> impl Iterator<Item = (StoreError, Code)> {
    let told = [
        (
            not_found(Missing::Chunk(ChunkId::of(b"c"))),
            Code::NoSuchChunk,
        ),
        (
            not_found(Missing::Manifest(ManifestId::of(b"m"))),
            Code::NoSuchManifest,
        ),
        (not_found(Missing::Circle), Code::NotTheCircle),
        (StoreError::Deleted, Code::Deleted),
        (ends_too_soon(), Code::EndsTooSoon),
        (
            StoreError::ChunkLength {
                length: 1,
                too: BadLength::Long,
            },
            Code::TooLarge,
        ),
        (refused(Code::NotAllowed.into()), Code::NotAllowed),
        (
            StoreError::Busy {
                seconds: 9,
                remote: None,
            },
            Code::Busy,
        ),
    ];
    let internal = internal_failures().map(|error| (error, Code::Internal));
    told.into_iter().chain(internal)
}

/// What of a store's matters no peer is told.
fn internal_failures() -> impl Iterator<Item = StoreError> {
    let path = || "/secret/path".into();
    [
        not_found(Missing::Store(path())),
        StoreError::Io {
            path: path(),
            source: io::ErrorKind::NotFound.into(),
        },
        StoreError::Format {
            path: path(),
            fault: BadFormat::Occupied("secret".into()),
        },
        StoreError::Locked {
            holder: LockedBy::Sealing(path()),
        },
        StoreError::Network {
            remote: remote(),
            cause: NetworkCause::Stalled,
        },
        StoreError::Protocol {
            remote: remote(),
            fault: ProtocolFault::NoHttp,
        },
        StoreError::Untrusted {
            remote: remote(),
            cause: Rejection::TheyRefusedUs(Alert::Revoked),
        },
    ]
    .into_iter()
}

#[tokio::test]
async fn events_are_streamed_as_they_happen() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let mut stream = client.get(peer.url("/v1/events")).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(next(&mut stream).await, ": listening\n\n");
    let (id, sender) = (ManifestId::of(b"m"), PeerId::of(b"p"));
    peer.events
        .send(ServerEvent::Published {
            id,
            sender,
            size: 5,
        })
        .unwrap();
    let event = next(&mut stream).await;
    assert!(event.starts_with("event: published\ndata: {"), "{event}");
    let data = event
        .lines()
        .find_map(|l| l.strip_prefix("data: "))
        .unwrap();
    assert!(
        matches!(serde_json::from_str(data), Ok(ServerEvent::Published { id: i, .. }) if i == id)
    );

    let state = StateAt::new(TransferState::Opened, Timestamp::now());
    peer.events.send(ServerEvent::State { id, state }).unwrap();
    assert!(next(&mut stream).await.starts_with("event: state\n"));
}

#[tokio::test]
async fn a_peer_has_two_event_streams_and_gets_one_back_by_closing_it() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let open = async || client.get(peer.url("/v1/events")).send().await.unwrap();
    let (first, _second) = (open().await, open().await);
    let third = open().await;
    assert_eq!(third.headers()["retry-after"], "1");
    problem(third, Code::TooManyRequests).await;
    let other = peer.client(&peer.member("b"));
    assert_eq!(
        other
            .get(peer.url("/v1/events"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    drop(first);
    let again = async {
        while open().await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, again)
        .await
        .expect("the stream was never given back");
}

#[tokio::test]
async fn a_listener_that_missed_events_is_told_to_ask_again() {
    let peer = TestPeer::start().await;
    let client = peer.client(&peer.member("a"));
    let mut stream = client.get(peer.url("/v1/events")).send().await.unwrap();
    assert_eq!(next(&mut stream).await, ": listening\n\n");
    let (id, sender) = (ManifestId::of(b"m"), PeerId::of(b"p"));
    for size in 0..10 {
        // Faster than the server's task can take them: the channel of the test keeps four.
        peer.events
            .send(ServerEvent::Published { id, sender, size })
            .unwrap();
    }
    assert!(next(&mut stream).await.starts_with("event: resync\n"));
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let limits = Limits {
        event_keep_alive: Duration::from_millis(20),
        ..Limits::default()
    };
    let peer = TestPeer::with_limits(limits).await;
    let client = peer.client(&peer.member("a"));
    let mut stream = client.get(peer.url("/v1/events")).send().await.unwrap();
    assert_eq!(next(&mut stream).await, ": listening\n\n");
    assert!(next(&mut stream).await.starts_with(':'));
}

async fn next(stream: &mut Response) -> String {
    let chunk = timeout(PATIENCE, stream.chunk())
        .await
        .expect("no event")
        .unwrap();
    String::from_utf8(chunk.expect("the stream ended").to_vec()).unwrap()
}

#[test]
fn the_document_names_every_route_and_every_code_with_its_status() {
    let document = include_str!("../../../docs/protocol.md");
    for code in Code::ALL {
        let (spelling, status) = code.parts();
        let listed = document
            .lines()
            .filter(|l| l.starts_with(&format!("| {status} |")))
            .any(|l| l.contains(&format!("`{spelling}`")));
        assert!(listed, "{status} {spelling}");
    }
    for route in route::ALL {
        let heading = document
            .lines()
            .any(|l| l.starts_with("### ") && l.split([' ', '`', '?']).any(|word| word == *route));
        assert!(heading, "{route}");
    }
}
