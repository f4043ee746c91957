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
    peer::{ArrivalsEnded, Peer, PeerError, PeerOptions, ReloadError},
    server::{CallerInfo, OwnRoutes},
    session::{SendRequest, Session},
    testing::Network,
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen, ca},
    transfer::Sources,
};
use testkit::{Homes, bytes};
use tokio::{sync::oneshot, task::JoinHandle};

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
    let mut network = Network::of(2).await.unwrap();
    let handle = network.peer(1).clone();
    let mut arrivals = handle.arrivals();
    let path = network.path("f");
    fs::write(&path, "x").unwrap();
    let (sources, to) = (
        Sources::walk(&[path]).unwrap(),
        SendRequest::to([network.name(1)]),
    );
    let sender = network.session(0).unwrap();
    sender.send(sources, &to).await.unwrap();
    let arrival = arrivals.recv().await.unwrap();
    let store = handle.store().unwrap();
    store.get_manifest(arrival.id).await.unwrap();
    drop(store);
    assert_eq!(handle.identity().name(), network.name(1));
    handle.shutdown().await;
    assert!(handle.store().is_none());
    assert_eq!(arrivals.recv().await, Err(ArrivalsEnded));
    assert!(matches!(handle.reload().await, Err(ReloadError::Ended)));
    open(network.home(1)).unwrap();
    network.stop(1).await.unwrap();
}

/// An HTTP client that shows the certificate of a peer.
fn member(certs: &CertsDir) -> reqwest::Client {
    let (identity, circle) = (Identity::load(certs).unwrap(), Circle::load(certs).unwrap());
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
    let certs = CertsDir::new(homes.home("c").join("certs"));
    let identity = Identity::load(&certs).unwrap();
    let (c, client) = (identity.caller().key_id.to_string(), member(&certs));
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
    let hello = |caller: CallerInfo| async move { format!("hello, {}", caller.name()) };
    let network = Network::open(3, move |_, options| {
        let own = OwnRoutes::new().for_members(Router::new().route("/hello", get(hello)));
        Ok(Peer::open(options)?.with_routes(own))
    });
    let network = network.await.unwrap();
    let certs = |number| CertsDir::new(network.home(number).join("certs"));
    let (caller, called) = (certs(2), network.peer(1));
    let client = member(&caller);
    let url = format!("https://{}/hello", network.entrance(2, 1).address());
    let ask = || client.get(&url).send();
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "hello, peer2");
    ca::revoke(&certs(0), network.name(2)).unwrap();
    fs::copy(certs(0).crl(), certs(1).crl()).unwrap();
    called.reload().await.unwrap();
    assert!(
        ask().await.is_err(),
        "an open connection is cut, and a new one refused"
    );
    let owner = network.session(1).unwrap().serving().unwrap().unwrap();
    owner.stop().await.unwrap();
    called.released().await;
}
