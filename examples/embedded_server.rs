//! A peer's routes inside a program of one's own, beside a route of its own, behind the same door:
//! `cargo run --example embedded_server -- CERTS`, with the certs/ folder of a home.

#![allow(clippy::print_stdout, reason = "an example says where it is")]

use std::{env, error::Error, sync::Arc};

use axum::{Router, routing::get};
use colis::{
    manifest::Signer as _,
    server::{
        self, App, CallerInfo, Gate, Limits, NoCircle, NoOwner, OwnRoutes, ServerState, Services,
        StoreDesk,
    },
    store::MemoryStore,
    tls::{self, Caller, CertsDir, Circle, CircleHandle, Identity},
};
use rustls::ServerConfig;
use tokio::sync::broadcast;

/// Lets in the members of a circle. One that runs for long would read its files again when they change.
struct Members {
    config: Arc<ServerConfig>,
    circle: CircleHandle,
}

impl Gate for Members {
    fn server_config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    fn caller(&self, certificate: &[u8]) -> Option<Caller> {
        Caller::from_certificate(certificate).ok()
    }

    fn is_revoked(&self, caller: &Caller) -> bool {
        self.circle.now().is_revoked(caller)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let certs = CertsDir::new(
        env::args_os()
            .nth(1)
            .ok_or("usage: embedded_server CERTS")?,
    );
    let identity = Identity::load(&certs)?;
    let circle = CircleHandle::new(Circle::load(&certs)?);
    let config = tls::server_config(&identity, &circle)?;
    let bundle = String::from_utf8(identity.bundle()?.envelope().to_vec())?;
    let store = Arc::new(MemoryStore::default());
    let state = ServerState::new(Services {
        peer_id: identity.peer_id(),
        store: store.clone(),
        verifier: Arc::new(circle.clone()),
        gate: Arc::new(Members { config, circle }),
        bundle: Arc::new(move || bundle.clone()),
        circle: Arc::new(NoCircle),
        health: Arc::new(NoCircle),
        owner: Arc::new(NoOwner),
        offers: Arc::new(StoreDesk(store)),
        events: broadcast::Sender::new(64),
        limits: Limits::default(),
    });
    let hello = |caller: CallerInfo| async move { format!("hello, {}\n", caller.name()) };
    let own = OwnRoutes::new().for_members(Router::new().route("/hello", get(hello)));

    let listener = server::bind(([127, 0, 0, 1], 0).into())?;
    let port = listener.local_addr()?.port();
    println!("https://localhost:{port}/hello, and everything of docs/protocol.md; Ctrl-C ends it");
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(App::new(state, own).serve(listener, stop).await?)
}
