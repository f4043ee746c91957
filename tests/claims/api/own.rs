//! Routes of a program that embeds the server: the same guard, limits and refusals as for the contract's own.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    routing::{get, post},
};
use colis::{
    server::{CallerInfo, Denied, Limits, OwnRoutes, ServerState},
    trust::{Right, Role},
    wire::{self, Code},
};
use futures::stream;
use tokio::sync::Semaphore;

use testkit::server::{TestPeer, problem};

fn right() -> Right {
    "bank:atm".parse().unwrap()
}

fn members(routes: Router<ServerState>) -> OwnRoutes {
    OwnRoutes::new().for_members(routes)
}

#[tokio::test]
async fn a_handler_knows_who_calls() {
    let who = get(|caller: CallerInfo| async move {
        let (name, role, script) = (caller.name().to_owned(), caller.role(), caller.is_script());
        let rights: Vec<_> = caller.rights().into_iter().map(String::from).collect();
        let serial = caller.serial().len();
        assert!(serial > 0 && caller.not_after() > colis::manifest::Timestamp::now());
        format!("{} {name} {role} {script} {rights:?}", caller.peer_id())
    });
    let own = OwnRoutes::new().for_right(right(), Router::new().route("/who", who));
    let peer = TestPeer::with_routes(Limits::default(), own).await;
    let atm = peer.member("atm-1");
    peer.roles.lock().unwrap().insert(atm.id, Role::None);
    let rights = BTreeSet::from([right()]);
    peer.rights.lock().unwrap().insert(atm.id, rights);
    let said = peer.client(&atm).get(peer.url("/who")).send().await;
    let said = said.unwrap().text().await.unwrap();
    assert_eq!(said, format!("{} atm-1 none false [\"bank:atm\"]", atm.id));
}

#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_at_once_also_within_a_request() {
    let (entered, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let [inside, waits] = [entered.clone(), go.clone()];
    let withdraw = move |caller: CallerInfo| async move {
        caller.require(&right())?;
        inside.add_permits(1);
        waits.acquire().await.unwrap().forget();
        caller.require(&right())?;
        Ok::<_, Denied>("money")
    };
    let own = OwnRoutes::new().for_right(right(), Router::new().route("/cash", get(withdraw)));
    let peer = TestPeer::with_routes(Limits::default(), own).await;
    let atm = peer.member("atm");
    peer.rights
        .lock()
        .unwrap()
        .insert(atm.id, BTreeSet::from([right()]));
    let (client, url) = (peer.client(&atm), peer.url("/cash"));
    let (asking, again) = (client.get(&url).send(), client.get(&url));
    let taking = async {
        entered.acquire().await.unwrap().forget();
        peer.rights.lock().unwrap().clear();
        go.add_permits(1);
    };
    let (asked, ()) = futures::future::join(asking, taking).await;
    problem(asked.unwrap(), Code::NotAllowed).await;
    problem(again.send().await.unwrap(), Code::NotAllowed).await;
}

#[tokio::test]
async fn the_rate_counts_own_routes_too() {
    let cost = wire::OTHER_REQUEST_COST.get();
    // One request at once, then one in a second.
    let limits = Limits {
        requests_per_second: cost,
        request_burst: cost,
        ..Limits::default()
    };
    let own = members(Router::new().route("/hello", get(|| async { "hello" })));
    let peer = TestPeer::with_routes(limits, own).await;
    let client = peer.client(&peer.member("who"));
    let begun = Instant::now();
    for _ in 0..3 {
        let answer = client.get(peer.url("/hello")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "hello");
    }
    assert!(begun.elapsed() > Duration::from_millis(1900));
}

#[tokio::test]
async fn a_peer_has_so_many_requests_in_work_at_own_routes() {
    let (entered, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let [inside, waits] = [entered.clone(), go.clone()];
    let wait = move || async move {
        inside.add_permits(1);
        waits.acquire().await.unwrap().forget();
    };
    let limits = Limits {
        requests_per_peer: 1,
        ..Limits::default()
    };
    let own = members(Router::new().route("/wait", get(wait)));
    let peer = TestPeer::with_routes(limits, own).await;
    let client = peer.client(&peer.member("who"));
    let first = tokio::spawn(client.get(peer.url("/wait")).send());
    entered.acquire().await.unwrap().forget();
    let second = client.get(peer.url("/wait")).send().await.unwrap();
    problem(second, Code::TooManyRequests).await;
    go.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn heads_and_bodies_are_bounded() {
    let limits = Limits {
        body_idle: Duration::from_millis(300),
        body_grace: Duration::from_millis(300),
        ..Limits::default()
    };
    let echo = Router::new()
        .route("/echo", post(|body: Bytes| async move { body }))
        // axum's own extractors have a limit of 2 MB, this one has none.
        .route("/raw", post(|_: Body| async {}));
    let own = members(echo).with_max_body(1000);
    let peer = TestPeer::with_routes(limits, own).await;
    let who = peer.member("who");
    let client = peer.client(&who);
    let send =
        |path: &str, bytes: usize| client.post(peer.url(path)).body(vec![7_u8; bytes]).send();
    let echoed = send("/echo", 1000).await.unwrap();
    assert_eq!(echoed.bytes().await.unwrap().len(), 1000);
    for path in ["/echo", "/raw"] {
        problem(send(path, 1001).await.unwrap(), Code::TooLarge).await;
    }
    let query = format!("/echo?{}", "q".repeat(wire::MAX_QUERY + 1));
    problem(send(&query, 1).await.unwrap(), Code::UriTooLong).await;
    let chunked = b"POST /raw HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = peer.talk(&who, chunked).await;
    assert!(answer.starts_with("HTTP/1.1 411"), "{answer}");
    let half = b"POST /raw HTTP/1.1\r\nHost: b\r\nContent-Length: 10\r\n\r\n12345";
    let answer = peer.talk(&who, half).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_the_connection_lives() {
    let panics = get(|Path(n): Path<u32>| async move { (10 / n).to_string() });
    let peer = TestPeer::with_routes(
        Limits::default(),
        members(Router::new().route("/div/{n}", panics)),
    )
    .await;
    let client = peer.client(&peer.member("who"));
    let failed = client.get(peer.url("/div/0")).send().await.unwrap();
    problem(failed, Code::Internal).await;
    let answer = client.get(peer.url("/div/5")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "2");
    assert_eq!(peer.state.open_connections(), 1);
}

#[tokio::test]
async fn the_contract_keeps_its_addresses_and_what_is_not_routed() {
    let other = || async { "own" };
    let routes = Router::new()
        .route("/v1/peer", get(other))
        .route("/v1/mine", get(other))
        .route("/v1", get(other))
        .route("/mine", get(other))
        .nest("/nested", Router::new().fallback(other))
        .fallback(other);
    let peer = TestPeer::with_routes(Limits::default(), members(routes)).await;
    let (who, reader) = (peer.member("who"), peer.member("reader"));
    peer.roles.lock().unwrap().insert(reader.id, Role::Reader);
    let client = peer.client(&who);
    let ask = |path: &str| client.get(peer.url(path)).send();
    assert!(ask("/v1/peer").await.unwrap().text().await.unwrap() != "own");
    assert_eq!(ask("/mine").await.unwrap().text().await.unwrap(), "own");
    for path in ["/v1", "/v1/mine", "/v1/", "/v1/chunks/x/y", "/other"] {
        problem(ask(path).await.unwrap(), Code::NoSuchRoute).await;
    }
    let posted = client.post(peer.url("/mine")).send().await.unwrap();
    problem(posted, Code::MethodNotAllowed).await;
    let reader = peer.client(&reader);
    for path in ["/mine", "/nested/any"] {
        let answer = reader.get(peer.url(path)).send().await.unwrap();
        problem(answer, Code::NotAllowed).await;
    }
}

#[tokio::test]
async fn an_answer_may_be_a_stream() {
    let parts = || async {
        let parts = (0..100_u32).map(|n| Ok::<_, std::io::Error>(vec![7_u8; 1000 + n as usize]));
        Body::from_stream(stream::iter(parts))
    };
    let peer = TestPeer::with_routes(
        Limits::default(),
        members(Router::new().route("/parts", get(parts))),
    )
    .await;
    let client = peer.client(&peer.member("who"));
    let answer = client.get(peer.url("/parts")).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), 104_950);
}
