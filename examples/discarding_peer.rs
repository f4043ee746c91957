//! A peer that keeps no content: it checks the digest of every chunk and forgets its bytes. What a send to it takes is
//! sealing, the network and hashing, without a disk: `cargo run --example discarding_peer -- CERTS [ADDRESS]`.

#![allow(clippy::print_stdout, reason = "an example says where it is")]

use std::{
    collections::HashSet,
    env,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{SignedManifest, SignedOffer, Signer as _},
    server::{self, Gate, Limits, NoCircle, NoOwner, ServerState, Services, StoreDesk},
    store::{
        ChunkInfo, ManifestInfo, Missing, OfferAnswer, Page, PageRequest, PartOf, Put, PutManifest,
        StateAt, Store, StoreError, StoreFuture,
    },
    tls::{self, Caller, CertsDir, Circle, CircleHandle, Identity},
};
use rustls::ServerConfig;
use tokio::sync::broadcast;

/// The ids of the chunks that came. Nothing else is kept.
#[derive(Default)]
struct Forgetful(Mutex<HashSet<ChunkId>>);

impl Forgetful {
    fn known(&self) -> MutexGuard<'_, HashSet<ChunkId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, ids: impl Iterator<Item = ChunkId>) -> Vec<ChunkId> {
        let known = self.known();
        ids.filter(|id| !known.contains(id)).collect()
    }
}

/// The answer to whoever wants something back.
fn gone<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    let what = Missing::Path("what was discarded".to_owned());
    Box::pin(async { Err(StoreError::NotFound(what)) })
}

fn empty<'a, T: Send + 'a>() -> StoreFuture<'a, Page<T>> {
    let (items, more) = (Vec::new(), false);
    Box::pin(async move { Ok(Page { items, more }) })
}

impl Store for Forgetful {
    fn put_offer<'a>(&'a self, _: &'a SignedOffer) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async { Ok(OfferAnswer::Accepted) })
    }

    fn put_chunk(&self, id: ChunkId, sealed: Bytes, _: Option<PartOf>) -> StoreFuture<'_, Put> {
        Box::pin(async move {
            let (expected, actual) = (id, ChunkId::of(&sealed));
            if actual != expected {
                return Err(StoreError::HashMismatch { expected, actual });
            }
            let new = self.known().insert(id);
            Ok(if new { Put::Stored } else { Put::AlreadyThere })
        })
    }

    fn get_chunk(&self, _: ChunkId) -> StoreFuture<'_, Bytes> {
        gone()
    }

    fn head_chunk(&self, _: ChunkId) -> StoreFuture<'_, Option<u64>> {
        Box::pin(async { Ok(None) })
    }

    fn missing_chunks<'a>(&'a self, ids: &'a [ChunkId]) -> StoreFuture<'a, Vec<ChunkId>> {
        let missing = self.missing(ids.iter().copied());
        Box::pin(async { Ok(missing) })
    }

    fn list_chunks(&self, _: PageRequest<ChunkId>) -> StoreFuture<'_, Page<ChunkInfo>> {
        empty()
    }

    fn put_manifest<'a>(&'a self, manifest: &'a SignedManifest) -> StoreFuture<'a, PutManifest> {
        Box::pin(async {
            let first = self.missing(manifest.payload().all_chunks());
            if !first.is_empty() {
                let count = first.len();
                return Err(StoreError::MissingChunks { count, first });
            }
            Ok(PutManifest::Stored)
        })
    }

    fn get_manifest(&self, _: ManifestId) -> StoreFuture<'_, Bytes> {
        gone()
    }

    fn manifest_state(&self, _: ManifestId) -> StoreFuture<'_, StateAt> {
        gone()
    }

    fn list_manifests(
        &self,
        _: PageRequest<ManifestId>,
        _: Option<PeerId>,
    ) -> StoreFuture<'_, Page<ManifestInfo>> {
        empty()
    }

    fn delete_manifest(&self, _: ManifestId) -> StoreFuture<'_, ()> {
        gone()
    }
}

/// Lets in the members of a circle. A peer that runs for long would read its files again when they change.
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
    let usage = "usage: discarding_peer CERTS [ADDRESS]";
    let certs = CertsDir::new(env::args_os().nth(1).ok_or(usage)?);
    let address = env::args().nth(2).unwrap_or("127.0.0.1:0".to_owned());
    let identity = Identity::load(&certs)?;
    let circle = CircleHandle::new(Circle::load(&certs)?);
    let config = tls::server_config(&identity, &circle)?;
    let bundle = String::from_utf8(identity.bundle()?.envelope().to_vec())?;
    let store = Arc::new(Forgetful::default());
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
    let listener = server::bind(address.parse()?)?;
    println!("discards on {}; Ctrl-C ends it", listener.local_addr()?);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(server::serve(listener, state, stop).await?)
}
