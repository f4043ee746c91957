//! Routes of a program beside those of the server: what it may put together, and what they cost.

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use colis::{
    peer::{Peer, PeerOptions},
    server::OwnRoutes,
    session::{Home, SendRequest, Session, certs, message},
    trust::Right,
};
use testkit::Homes;
use tokio::sync::Semaphore;

/// A peer in the home of b with these routes, and where its routes are.
fn serve(homes: &Homes, own: OwnRoutes) -> (colis::peer::PeerHandle, String) {
    let mut options = PeerOptions::at(homes.home("b"));
    options.discovery = colis::discover::Discovery::Off;
    let peer = Peer::open(options).unwrap().with_routes(own).unwrap();
    let handle = peer.handle();
    let base = format!("https://localhost:{}", handle.address().port());
    tokio::spawn(peer.run(std::future::pending()));
    (handle, base)
}

/// An HTTP client of that peer, with the certificate of a.
fn client(homes: &Homes, handle: &colis::peer::PeerHandle) -> reqwest::Client {
    let a = Session::open(homes.home("a")).unwrap();
    let tls = a.tls_config(handle.peer_id()).unwrap();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
    client.no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_is_read_by_members_and_written_by_a_right() {
    let homes = Homes::new(&["b"]);
    let right: Right = "shop:order".parse().unwrap();
    let routes =
        || OwnRoutes::new().for_members(Router::new().route("/a", get(|| async { "read" })));
    let writes = || Router::new().route("/a", post(|| async { "written" }));
    let own = routes().for_right(right.clone(), writes());
    let (handle, base) = serve(&homes, own);
    let client = client(&homes, &handle);
    let url = format!("{base}/a");
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(client.get(&url)).await, 200);
    assert_eq!(status(client.post(&url)).await, 403);
    assert_eq!(status(client.put(&url)).await, 405);
    let absent = client.get(format!("{base}/b")).send().await.unwrap();
    assert_eq!(absent.status(), 404);
    assert!(!absent.text().await.unwrap().contains("/v1"));
    let owner = Session::open(homes.home("b")).unwrap();
    owner.allow("a", &right).await.unwrap();
    handle.reload().await.unwrap();
    assert_eq!(status(client.post(&url)).await, 200);
    handle.shutdown().await;

    // The same method twice is said when the peer is made, not in the task that runs it.
    let own = routes().for_any_role(Router::new().route("/a", get(|| async { "other" })));
    let peer = Peer::open(PeerOptions::at(homes.home("b"))).unwrap();
    let error = peer.with_routes(own).err().unwrap();
    assert!(error.to_string().contains("/a"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_as_long_as_the_program_allows_whatever_takes_it() {
    let homes = Homes::new(&["b"]);
    let own = OwnRoutes::new().with_max_body(8 << 20).for_members(
        Router::new()
            .route(
                "/bytes",
                post(|body: Bytes| async move { body.len().to_string() }),
            )
            .route(
                "/text",
                post(|body: String| async move { body.len().to_string() }),
            ),
    );
    let (handle, base) = serve(&homes, own);
    let client = client(&homes, &handle);
    for path in ["bytes", "text"] {
        let post = |size: usize| {
            let url = format!("{base}/{path}");
            client.post(url).body(vec![b'x'; size]).send()
        };
        let said = post(5 << 20).await.unwrap().text().await.unwrap();
        assert_eq!(said, (5 << 20).to_string());
        let refused = post(9 << 20).await.unwrap();
        assert_eq!(refused.status(), 413);
        let kind = refused.headers()["content-type"].to_str().unwrap();
        assert_eq!(kind, "application/problem+json");
    }
    handle.shutdown().await;
}

static STARTED: Semaphore = Semaphore::const_new(0);
static GO: Semaphore = Semaphore::const_new(0);

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_of_own_routes_take_no_place_from_transfers() {
    let homes = Homes::new(&["b"]);
    let slow = || async {
        STARTED.add_permits(1);
        GO.acquire().await.unwrap().forget();
        "done"
    };
    let own = OwnRoutes::new().for_members(Router::new().route("/slow", get(slow)));
    let (handle, base) = serve(&homes, own);
    let client = client(&homes, &handle);
    let url = format!("{base}/slow");
    let mut waiting = Vec::new();
    for number in 1..=32 {
        let request = client.get(&url);
        waiting.push(tokio::spawn(request.send()));
        // Not all at once: only so many of one address may be in a handshake.
        while STARTED.available_permits() < number {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 429, "they have all the places");
    let a = Session::open(homes.home("a")).unwrap();
    let to = SendRequest::to([handle.address().to_string()]);
    let sent = a.send(message("x").unwrap(), &to).await.unwrap();
    assert!(sent.complete);
    GO.add_permits(1000);
    for answer in waiting {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    handle.shutdown().await;
}

#[test]
fn a_certificate_names_hosts_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    for (number, bad) in ["not a host!!", "", "a/b"].into_iter().enumerate() {
        let home = Home::resolve(Some(&root.path().join(number.to_string()))).unwrap();
        let made = certs::init(&home, "a", vec![bad.to_owned()]);
        assert_eq!(made.unwrap_err().kind(), colis::session::Kind::Usage);
    }
    let home = Home::resolve(Some(&root.path().join("good"))).unwrap();
    let good = ["nas.example", "192.0.2.7", "2001:db8::7"];
    certs::init(&home, "a", good.map(str::to_owned).to_vec()).unwrap();
}
