//! Clients that send, put and read as fast as they can until the peer is gone.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, PeerClient},
    id::{ChunkId, ManifestId},
    manifest::Signer as _,
    store::{Store, StoreError},
    tls::{self, CertsDir, Circle, CircleHandle, Expect, Identity, Seen},
    transfer::{self, Recipient, SendOptions, Sender, Silent, Sources, TransferError},
    wire::HealthStatus,
};
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use testkit::{Homes, bytes, stretched};

const SENDERS: usize = 4;
const PUTTERS: usize = 4;
const READERS: usize = 2;
const CHUNK: u32 = 64 << 10;

/// Who loads a peer.
pub struct Load {
    identity: Arc<Identity>,
    circle: CircleHandle,
    pub sender: Sender,
    pub options: SendOptions,
    folder: PathBuf,
    next: AtomicU64,
}

impl Load {
    /// From `a` to `b`, as they are in `homes`.
    pub fn new(homes: &Homes) -> Self {
        Self::of("a", homes)
    }

    /// From `who` to `b`.
    pub fn of(who: &str, homes: &Homes) -> Self {
        let certs = |home: &str| CertsDir::new(homes.home(home).join("certs"));
        let identity = Arc::new(Identity::load(&certs(who)).unwrap());
        let recipient = Identity::load(&certs("b")).unwrap();
        let options = SendOptions {
            recipients: vec![Recipient {
                peer: recipient.peer_id(),
                seal_key: recipient.seal_keys()[0].public().clone(),
            }],
            chunk_size: CHUNK,
            ..SendOptions::default()
        };
        let folder = homes.path("load");
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            circle: CircleHandle::new(Circle::load(&certs(who)).unwrap()),
            sender: Sender {
                signer: identity.clone(),
                seal_keys: identity.seal_keys().clone(),
                journals: homes.path("journals"),
            },
            identity,
            options,
            folder,
            next: AtomicU64::default(),
        }
    }

    /// A number that nobody has yet.
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts it against the peer at `address`. Each part ends by itself when the peer is gone, with what the peer had
    /// promised and did not keep.
    pub fn start(
        self: &Arc<Self>,
        address: &str,
        ledger: &Arc<Ledger>,
        fault: &Arc<AtomicBool>,
    ) -> JoinSet<Option<String>> {
        let mut load = JoinSet::new();
        let worker = || Worker {
            client: self.client(address),
            ledger: ledger.clone(),
            load: self.clone(),
            fault: fault.clone(),
        };
        for _ in 0..SENDERS {
            load.spawn(worker().send());
        }
        for _ in 0..PUTTERS {
            load.spawn(worker().put());
        }
        for number in 0..READERS {
            load.spawn(worker().read(number));
        }
        load
    }

    /// Sends a file `name` with `content`. When it gives `Ok`, the peer has it.
    pub async fn send(
        &self,
        client: &PeerClient,
        name: &str,
        content: &[u8],
    ) -> Result<ManifestId, TransferError> {
        let stores: [Arc<dyn Store>; 1] = [Arc::new(client.clone())];
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
        let sent = transfer::send(&self.sender, sources, &self.options, &stores, &Silent).await;
        std::fs::remove_file(path).unwrap();
        Ok(sent?.manifest.unwrap())
    }

    /// After a call has failed with `error`: what passes leaves a peer that takes more, and a disk that failed one that
    /// says so.
    pub async fn goes_on(
        &self,
        address: &str,
        ledger: &Arc<Ledger>,
        error: &str,
    ) -> Result<(), StoreError> {
        let client = self.patient_client(address, ClientOptions::default());
        let sealed = Bytes::from(content(self.number()));
        let id = ChunkId::of(&sealed);
        match client.put_chunk(id, sealed.clone(), None).await {
            Err(StoreError::ReadOnly { .. }) if error == "EIO" => return Ok(()),
            put => put?,
        };
        ledger.has_chunk(id);
        let got = client.get_chunk(id).await?;
        assert!(got == sealed, "chunk {id}");
        Ok(())
    }

    /// A peer whose disk refuses everything says so, at once and to everybody.
    pub async fn is_refused(&self, address: &str) -> Result<(), String> {
        let client = self.client(address);
        let (begin, limit) = (Instant::now(), stretched(Duration::from_secs(1)));
        loop {
            let sealed = Bytes::from(content(self.number()));
            match client.put_chunk(ChunkId::of(&sealed), sealed, None).await {
                Err(StoreError::ReadOnly { .. }) => break,
                Err(_) if begin.elapsed() < limit => {}
                put => return Err(format!("a put was answered {put:?}")),
            }
        }
        let health = client.health().await.map_err(|e| e.to_string())?;
        let is_red = health.status == HealthStatus::ReadOnly;
        is_red.then_some(()).ok_or_else(|| format!("{health:?}"))
    }

    /// A client that never tries again.
    pub fn client(&self, address: &str) -> PeerClient {
        let options = ClientOptions {
            retries: 0,
            ..ClientOptions::default()
        };
        self.patient_client(address, options)
    }

    pub fn patient_client(&self, address: &str, options: ClientOptions) -> PeerClient {
        let expect = Expect::default();
        let tls = tls::client_config(&self.identity, &self.circle, expect, &Seen::default());
        PeerClient::new(address.parse().unwrap(), tls.unwrap(), options).unwrap()
    }
}

/// One client.
struct Worker {
    client: PeerClient,
    ledger: Arc<Ledger>,
    load: Arc<Load>,
    /// Whether the fault is here: reading may fail from now on.
    fault: Arc<AtomicBool>,
}

impl Worker {
    /// Sends one file after the other.
    async fn send(self) -> Option<String> {
        loop {
            let number = self.load.number();
            let (name, content) = (format!("{number}.bin"), content(number));
            self.ledger.sends(&name, &content);
            let sent = self.load.send(&self.client, &name, &content).await;
            self.ledger.has_transfer(sent.ok()?, &name);
        }
    }

    /// Puts one chunk after the other, as a script would.
    async fn put(self) -> Option<String> {
        loop {
            let sealed = Bytes::from(content(self.load.number()));
            let id = ChunkId::of(&sealed);
            self.client.put_chunk(id, sealed, None).await.ok()?;
            self.ledger.has_chunk(id);
        }
    }

    /// Reads what the peer has promised to have.
    async fn read(self, first: usize) -> Option<String> {
        let mut number = first;
        loop {
            number += 7919;
            let Some(id) = self.ledger.some_chunk(number) else {
                if self.fault.load(Ordering::SeqCst) {
                    return None;
                }
                tokio::task::yield_now().await;
                continue;
            };
            match self.client.get_chunk(id).await {
                Ok(_) => {}
                Err(_) if self.fault.load(Ordering::SeqCst) => return None,
                Err(error) => return Some(format!("reading chunk {id}: {error}")),
            }
        }
    }
}

/// Bytes that no other number has: from 100 bytes to four chunks.
pub fn content(number: u64) -> Vec<u8> {
    let length = 100 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (4 * u64::from(CHUNK) - 100);
    bytes(number + 1, usize::try_from(length).unwrap())
}
