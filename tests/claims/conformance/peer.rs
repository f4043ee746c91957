//! A peer over mutual TLS keeps the promises of `store.rs`, as the store behind it does.

use std::{cell::Cell, future, path::Path, sync::Arc};

use colis::{
    client::{ClientOptions, PeerClient},
    server::{self, Limits, NoCircle, NoOwner, ServerState, Services, StoreDesk},
    store::{LocalStore, LocalStoreOptions, Store},
};
use tokio::sync::broadcast;

use super::suite;
use testkit::server::pki::{Circle, Identity, TestGate, Validity};

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_keeps_the_promises() {
    let root = tempfile::tempdir().unwrap();
    let circle = Circle::new("test circle");
    let member = circle.issue("member", Validity::Now);
    let made = Cell::new(0);
    let make = async || {
        made.set(made.get() + 1);
        let path = root.path().join(made.get().to_string());
        Box::new(peer_with_a_store_at(&path, &circle, &member)) as Box<dyn Store>
    };
    suite::run_all(&member, make).await;
}

/// A client, as `member`, of a peer that serves until the runtime ends.
fn peer_with_a_store_at(path: &Path, circle: &Arc<Circle>, member: &Identity) -> PeerClient {
    let own = circle.issue("owner", Validity::Now);
    let store = Arc::new(LocalStore::open(path, LocalStoreOptions::default()).unwrap());
    let gate = Arc::new(TestGate {
        circle: circle.clone(),
        own: own.clone(),
        roles: Arc::default(),
        rights: Arc::default(),
    });
    let state = ServerState::new(Services {
        peer_id: own.id,
        store: store.clone(),
        verifier: gate.clone(),
        gate,
        bundle: Arc::new(|| "the bundle".to_owned()),
        circle: Arc::new(NoCircle),
        health: Arc::new(NoCircle),
        owner: Arc::new(NoOwner),
        offers: Arc::new(StoreDesk(store)),
        events: broadcast::Sender::new(4),
        limits: Limits::default(),
    });
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(server::serve(listener, state, future::pending()));
    let tls = circle.client_config(Some(member));
    PeerClient::new(address.parse().unwrap(), tls, ClientOptions::default()).unwrap()
}
