//! A peer inside a program of one's own: what it gives, and that its end is an end.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use colis::{
    client::PeerClient,
    discover::Discovery,
    peer::{Peer, PeerError, PeerOptions, ReloadError},
    server::{CallerInfo, OwnRoutes},
    session::Session,
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen},
};
use testkit::{Homes, bytes};
use tokio::{
    sync::{broadcast::error::RecvError, oneshot},
    task::JoinHandle,
};

fn open(home: &Path) -> Result<Peer, PeerError> {
    let mut options = PeerOptions::at(home);
    options.discovery = Discovery::Off;
    Peer::open(options)
}

/// A peer in this process to which a transfer is on its way.
struct Busy {
    homes: Homes,
    running: JoinHandle<Result<(), PeerError>>,
    stop: oneshot::Sender<()>,
    sending: Child,
}

impl Busy {
    async fn start() -> Self {
        let homes = Homes::new(&["b"]);
        let peer = open(&homes.home("b")).unwrap();
        let to = format!("localhost:{}", peer.address().port());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(peer.run(async { stopped.await.unwrap_or_default() }));
        fs::write(homes.path("film"), bytes(1, 16 << 20)).unwrap();
        let args = ["send", "film", "--to", &to, "--limit", "1MiB"];
        let mut sending = homes.command("a", &args);
        let sending = sending.stderr(Stdio::null()).spawn().unwrap();
        let owner = owner_of(&homes);
        // Some of its content is there, so that it is being opened.
        while owner
            .arriving()
            .await
            .unwrap()
            .iter()
            .all(|one| one.bytes < 2 << 20)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self {
            homes,
            running,
            stop,
            sending,
        }
    }

    /// The same home can be opened again, with no more of a pause than a lock is waited for.
    fn expect_free(mut self) {
        let begun = Instant::now();
        let again = open(&self.homes.home("b"));
        let _ = self.sending.kill();
        let _ = self.sending.wait();
        assert!(
            again.is_ok(),
            "{:?} after {:?}",
            again.err(),
            begun.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_has_ended_in_the_middle_of_a_transfer_holds_nothing() {
    let mut busy = Busy::start().await;
    let (stop, _) = oneshot::channel();
    std::mem::replace(&mut busy.stop, stop).send(()).unwrap();
    (&mut busy.running).await.unwrap().unwrap();
    busy.expect_free();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_dropped_in_the_middle_of_a_transfer_holds_nothing() {
    let mut busy = Busy::start().await;
    busy.running.abort();
    assert!((&mut busy.running).await.unwrap_err().is_cancelled());
    busy.expect_free();
}

/// A client of the peer that runs in the home of b, as its owner.
fn owner_of(homes: &Homes) -> PeerClient {
    let session = Session::open(homes.home("b")).unwrap();
    session.serving().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_of_use_while_a_peer_runs_and_after_its_end() {
    let homes = Homes::new(&["b"]);
    let peer = open(&homes.home("b")).unwrap();
    let handle = peer.handle();
    let mut arrivals = handle.arrivals();
    let running = tokio::spawn(peer.run(std::future::pending()));
    let to = format!("localhost:{}", handle.address().port());
    fs::write(homes.path("f"), "x").unwrap();
    homes.ok("a", &["send", "f", "--to", &to]);
    let arrival = arrivals.recv().await.unwrap();
    let store = handle.store().unwrap();
    store.get_manifest(arrival.id).await.unwrap();
    drop(store);
    assert_eq!(handle.identity().name(), "b");
    handle.shutdown().await;
    assert!(handle.store().is_none());
    assert_eq!(arrivals.recv().await.unwrap_err(), RecvError::Closed);
    assert!(matches!(handle.reload().await, Err(ReloadError::Ended)));
    open(&homes.home("b")).unwrap();
    running.await.unwrap().unwrap();
}

/// An HTTP client that shows the certificate of a peer.
fn member(homes: &Homes, home: &str) -> reqwest::Client {
    let certs = CertsDir::new(homes.home(home).join("certs"));
    let (identity, circle) = (
        Identity::load(&certs).unwrap(),
        Circle::load(&certs).unwrap(),
    );
    let circle = CircleHandle::new(circle);
    let config = tls::client_config(&identity, &circle, Expect::default(), &Seen::default());
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(config.unwrap())
        .no_proxy();
    client.build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_given_or_taken_counts_at_once_in_the_routes_that_ask_for_it() {
    let homes = Homes::new(&["b", "c"]);
    let atm = |caller: CallerInfo| async move { format!("money for {}", caller.name()) };
    let right = "bank:atm".parse().unwrap();
    let own = OwnRoutes::new().for_right(right, Router::new().route("/atm", get(atm)));
    let peer = open(&homes.home("b")).unwrap().with_routes(own);
    let handle = peer.handle();
    tokio::spawn(peer.run(std::future::pending()));
    let identity = Identity::load(&CertsDir::new(homes.home("c").join("certs"))).unwrap();
    let (c, client) = (identity.caller().key_id.to_string(), member(&homes, "c"));
    let url = format!("https://localhost:{}/atm", handle.address().port());
    let ask = || async {
        let answer = client.get(&url).send().await.ok()?;
        Some(answer.status().as_u16())
    };
    let change = |args: &[&str]| homes.ok("b", &[&["peers"], args].concat());
    assert_eq!(ask().await, Some(403));
    for _ in 0..5 {
        change(&["allow", &c, "bank:atm"]);
        assert_eq!(ask().await, Some(200));
        change(&["deny", &c, "bank:atm"]);
        assert_eq!(ask().await, Some(403));
    }
    change(&["allow", &c, "bank:teller"]);
    assert_eq!(ask().await, Some(403), "another right");
    // The role `none` takes every right away; one that is given after it lets in for its routes alone.
    change(&["block", &c]);
    assert_eq!(ask().await, None);
    let said = change(&["allow", &c, "bank:atm"]);
    assert_eq!(said.trim(), format!("{c}: bank:atm"));
    assert_eq!(ask().await, Some(200));
    let said = change(&[]);
    assert!(said.contains(&format!("{c} bank:atm")), "{said}");
    homes.fails("b", &["peers", "allow", &c, "everything"], 2);
    homes.fails("b", &["peers", "allow", "nobody", "bank:atm"], 6);
    owner_of(&homes).stop().await.unwrap();
    handle.released().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_routes_of_a_peer_know_the_caller_and_a_revoked_one_is_cut_by_a_reload() {
    let homes = Homes::new(&["b", "c"]);
    let hello = |caller: CallerInfo| async move { format!("hello, {}", caller.name()) };
    let own = OwnRoutes::new().for_members(Router::new().route("/hello", get(hello)));
    let peer = open(&homes.home("b")).unwrap().with_routes(own);
    let handle = peer.handle();
    tokio::spawn(peer.run(std::future::pending()));
    let client = member(&homes, "c");
    let url = format!("https://localhost:{}/hello", handle.address().port());
    let ask = || client.get(&url).send();
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "hello, c");
    homes.ok("a", &["certs", "revoke", "c"]);
    let list = |home: &str| CertsDir::new(homes.home(home).join("certs")).crl();
    fs::copy(list("a"), list("b")).unwrap();
    handle.reload().await.unwrap();
    assert!(
        ask().await.is_err(),
        "an open connection is cut, and a new one refused"
    );
    owner_of(&homes).stop().await.unwrap();
    handle.released().await;
}
