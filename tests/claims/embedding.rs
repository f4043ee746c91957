//! A peer inside a program of one's own: what it gives, and that its end is an end.

mod fresh;
mod own_routes;
mod sendable;
mod several;
mod together;

use std::{
    fs,
    num::NonZeroU64,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use colis::{
    client::{PeerClient, PeerEvent},
    discover::Discovery,
    peer::{ArrivalsEnded, Peer, PeerError, PeerOptions, ReloadError},
    server::{CallerInfo, OwnRoutes},
    session::{Kind, SendRequest, Session},
    store::{OfferAnswer, Pace, Store, StoreError, TransferState},
    testing::{Network, Way},
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen, ca},
    transfer::{self, Recipient, SendOptions, Sender, Silent, Sources, TransferError},
    wire::ServerEvent,
};
use futures::StreamExt as _;
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
    let state = store.manifest_state(arrival.id).await.unwrap().state;
    assert_eq!(state, TransferState::Opened);
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
    let peer = open(&homes.home("b")).unwrap().with_routes(own).unwrap();
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
    assert!(
        said.contains(&format!("(not known)  {}  bank:atm\n", &c[..8])),
        "{said}"
    );
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
        Ok(Peer::open(options)?.with_routes(own).unwrap())
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

#[tokio::test(flavor = "multi_thread")]
async fn each_of_several_stores_has_its_answer_or_its_error_in_their_order() {
    let network = Network::of(4).await.unwrap();
    let (sender, path) = (network.session(0).unwrap(), network.path("f"));
    fs::write(&path, "x").unwrap();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    let mut options = SendOptions::default();
    for number in 1..network.len() {
        let connected = sender.connect(network.name(number)).await.unwrap();
        let (peer, seal_key) = (connected.peer.peer_id, connected.peer.seal_key);
        options.recipients.push(Recipient { peer, seal_key });
        stores.push(Arc::new(connected.client.with_retries(0)));
    }
    let us = Sender {
        seal_keys: sender.identity().seal_keys().clone(),
        signer: sender.identity().clone(),
        journals: network.path("journals"),
    };
    let send = || {
        let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
        transfer::send(&us, sources, &options, &stores, &Silent)
    };
    network.link(0, 1).cut();
    network.link(0, 2).cut();
    let sent = send().await.unwrap();
    let answers: Vec<_> = sent.stores.iter().map(|at| at.as_ref().ok()).collect();
    assert_eq!(answers, [None, None, Some(&OfferAnswer::Accepted)]);

    network.link(0, 3).cut();
    fs::write(&path, "y").unwrap();
    let Err(TransferError::NoStore { failures }) = send().await else {
        panic!("none of them can be reached")
    };
    assert_eq!(failures.len(), 3);
    for (number, error) in failures.iter().enumerate() {
        let TransferError::Store(StoreError::Network { remote, .. }) = error else {
            panic!("{error:?}")
        };
        let entrance = network.entrance(0, number + 1).address();
        assert_eq!(remote.address().to_string(), entrance.to_string());
    }
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_program_does_not_send_the_same_twice_at_once() {
    let network = Network::of(2).await.unwrap();
    let (sender, path) = (network.session(0).unwrap(), network.path("f"));
    fs::write(&path, bytes(1, 8 << 20)).unwrap();
    let mut to = SendRequest::to([network.name(1)]);
    to.pace = Some(Pace::new(NonZeroU64::new(1 << 20).unwrap()));
    let send = || {
        let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
        sender.send(sources, &to)
    };
    let mut first = Box::pin(send());
    let has_begun = async {
        while network.link(0, 1).passed(Way::To) < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        ended = &mut first => panic!("{ended:?}"),
        () = has_begun => {}
    }
    tokio::select! {
        ended = &mut first => panic!("{ended:?}"),
        second = send() => {
            let error = second.unwrap_err();
            assert_eq!(error.kind(), Kind::Locked, "{error:?}");
        }
    }
    drop(first);
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_follows_what_happens_at_a_peer() {
    let network = Network::of(2).await.unwrap();
    let sender = network.session(0).unwrap();
    let peer = sender.connect(network.name(1)).await.unwrap().client;
    let mut events = Box::pin(peer.events().await.unwrap());
    assert!(matches!(
        events.next().await,
        Some(Ok(PeerEvent::Listening))
    ));
    let path = network.path("f");
    fs::write(&path, "x").unwrap();
    let (sources, to) = (
        Sources::walk(&[path]).unwrap(),
        SendRequest::to([network.name(1)]),
    );
    let sent = sender.send(sources, &to).await.unwrap();
    let Some(Ok(PeerEvent::Happened(ServerEvent::Published { id, size: 1, .. }))) =
        events.next().await
    else {
        panic!("it is published first")
    };
    assert_eq!(Some(id), sent.manifest);
    let Some(Ok(PeerEvent::Happened(ServerEvent::State { id, state }))) = events.next().await
    else {
        panic!("then it is opened")
    };
    assert_eq!(
        (Some(id), state.state),
        (sent.manifest, TransferState::Opened)
    );
    network.link(0, 1).cut();
    assert!(matches!(
        events.next().await,
        Some(Err(StoreError::Network { .. }))
    ));
    assert!(events.next().await.is_none());
    let (others, own) = (network.session(1).unwrap(), network.peer(1));
    let owner = others.serving().unwrap().unwrap();
    let mut events = Box::pin(owner.events().await.unwrap());
    events.next().await.unwrap().unwrap();
    own.shutdown().await;
    assert!(events.next().await.is_none(), "the peer has ended");
}
