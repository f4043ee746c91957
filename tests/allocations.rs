//! Allocations of the heap for each chunk, from file to file over mutual TLS: both ends in this process, which has an
//! allocator that counts. Bytes allocated for a byte of content tell how often it is copied into a buffer of its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]
#![allow(
    clippy::print_stdout,
    reason = "whoever sets a limit wants the counts: `--nocapture` shows them"
)]

use std::{
    alloc::System,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use colis::{
    client::PeerClient,
    id::ManifestId,
    manifest::{SignedManifest, Signer as _},
    peer::{Peer, PeerOptions},
    received::Received,
    store::{LocalStore, LocalStoreOptions, PageRequest, Store},
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, ca},
    transfer::{
        self, OpenedTransfer, Reader, ReceiveOptions, SendOptions, Sender, Silent, Sources,
    },
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use testkit::{
    bytes,
    sealed::{Draft, TestSigner, chunk},
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Chunks of the two files. What the larger takes more is what its chunks take, without what every transfer takes.
const FEW: usize = 8;
const MANY: usize = 40;
const CHUNK: usize = 1 << 20;

/// The most that one chunk may take.
struct Limits {
    /// Allocations, also those that only grow.
    allocations: usize,
    /// Bytes allocated for each byte of content.
    bytes: f64,
}

/// Counted in November 2026: 299 allocations, 4.1 bytes a byte.
const SENDING_AND_STORING: Limits = Limits {
    allocations: 375,
    bytes: 5.1,
};
/// Counted in November 2026: 282 allocations, 4.9 bytes a byte.
const FETCHING_AND_WRITING: Limits = Limits {
    allocations: 360,
    bytes: 6.1,
};

/// The counts are those of the process: one test after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The most that a store keeps in memory for a published transfer, however many chunks it names. Counted in November 2026:
/// 433 bytes.
const KEPT_FOR_A_MANIFEST: usize = 2 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_names_many_chunks_is_kept_in_few_bytes() {
    const CHUNKS: u64 = 10_000;
    const MANIFESTS: usize = 20;
    let _alone = ALONE.lock().await;
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::open(root.path(), LocalStoreOptions::default()).unwrap();
    let signer = TestSigner::new(1);
    let ids: Vec<_> = (0..CHUNKS)
        .map(|seed| {
            let (id, bytes) = chunk(seed, 29);
            let name = id.to_string();
            fs::write(root.path().join("data").join(&name[..2]).join(name), bytes).unwrap();
            id
        })
        .collect();
    let publish = async || {
        let manifest = Draft::new(&signer, &ids).sign(&signer);
        store.put_manifest(&manifest).await.unwrap();
    };
    let (after, limit) = (None, 1);
    let page = PageRequest { after, limit };
    store.list_manifests(page, None).await.unwrap();
    publish().await;
    let region = Region::new(ALLOCATOR);
    for _ in 0..MANIFESTS {
        publish().await;
    }
    let change = region.change();
    let kept = change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated);
    println!("{} bytes are kept for a manifest", kept / MANIFESTS);
    assert!(kept / MANIFESTS < KEPT_FOR_A_MANIFEST, "{kept} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_takes_few_allocations() {
    let _alone = ALONE.lock().await;
    let ends = Ends::start();
    // The first transfer pays for what is made once.
    ends.exchange("warm", FEW).await;
    let (sent_few, received_few) = ends.exchange("few", FEW).await;
    let (sent_many, received_many) = ends.exchange("many", MANY).await;
    check(
        "sending and storing",
        sent_many - sent_few,
        &SENDING_AND_STORING,
    );
    check(
        "fetching and writing",
        received_many - received_few,
        &FETCHING_AND_WRITING,
    );
}

fn check(what: &str, more: Stats, limits: &Limits) {
    let chunks = MANY - FEW;
    let allocations = (more.allocations + more.reallocations) / chunks;
    let bytes = more.bytes_allocated as f64 / (chunks * CHUNK) as f64;
    let line = format!("{what}: {allocations} allocations a chunk, {bytes:.2} bytes a byte");
    println!("{line}");
    assert!(allocations <= limits.allocations, "{line}");
    assert!(bytes <= limits.bytes, "{line}");
}

/// A member of a circle, and a peer that stores for it.
struct Ends {
    root: tempfile::TempDir,
    anna: Arc<Identity>,
    circle: CircleHandle,
    peer: Arc<dyn Store>,
}

impl Ends {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let certs = ["anna", "ben"].map(|name| CertsDir::new(root.path().join(name)));
        let anna = ca::init(&certs[0], "anna", &Default::default()).unwrap();
        ca::issue(&certs[0], "ben", &certs[1], &Default::default()).unwrap();
        let circle = CircleHandle::new(Circle::load(&certs[0]).unwrap());
        let mut options = PeerOptions::at(root.path());
        options.certs = root.path().join("ben");
        options.received = root.path().join("received by ben");
        let listening = Peer::open(options);
        let listening = listening.unwrap();
        let address = listening.address().to_string().parse().unwrap();
        tokio::spawn(listening.run(std::future::pending()));
        let config =
            tls::client_config(&anna, &circle, Expect::default(), &Default::default()).unwrap();
        let peer = PeerClient::new(address, config, Default::default()).unwrap();
        Self {
            root,
            anna: Arc::new(anna),
            circle,
            peer: Arc::new(peer),
        }
    }

    /// Sends a file of so many chunks to the peer, for ourselves, and fetches it back. Gives what each took.
    async fn exchange(&self, name: &str, chunks: usize) -> (Stats, Stats) {
        let content = bytes(chunks as u64, chunks * CHUNK);
        let path = self.root.path().join(name);
        fs::write(&path, &content).unwrap();

        let region = Region::new(ALLOCATOR);
        let id = self.send(&path).await;
        let sent = region.change();
        let region = Region::new(ALLOCATOR);
        let received = self.receive(id).await;
        let took = region.change();
        assert!(fs::read(received).unwrap() == content, "other bytes came");
        (sent, took)
    }

    async fn send(&self, path: &Path) -> ManifestId {
        let sender = Sender {
            signer: self.anna.clone(),
            seal_keys: self.anna.seal_keys().clone(),
            journals: self.root.path().join("journals"),
        };
        let sources = Sources::walk(&[path.to_owned()]).unwrap();
        let (options, stores) = (SendOptions::default(), [self.peer.clone()]);
        let sent = transfer::send(&sender, sources, &options, &stores, &Silent).await;
        sent.unwrap().manifest.unwrap()
    }

    async fn receive(&self, id: ManifestId) -> PathBuf {
        let reader = Reader {
            me: self.anna.peer_id(),
            seal_keys: self.anna.seal_keys().clone(),
            password: None,
            verifier: Arc::new(self.circle.clone()),
        };
        let envelope = self.peer.get_manifest(id).await.unwrap();
        let manifest = SignedManifest::parse(envelope).unwrap();
        let opened = OpenedTransfer::open(&*self.peer, manifest, &reader).await;
        let opened = Arc::new(opened.unwrap());
        let into = Arc::new(Received::open(&self.root.path().join("received")).unwrap());
        let options = ReceiveOptions::default();
        let received = transfer::receive(&*self.peer, &opened, &into, options, &Silent);
        received.await.unwrap().paths.remove(0)
    }
}
