//! Sends that are cut, continued and whose source changes meanwhile: never two texts under one nonce, and what arrives
//! is the file as it was at one time.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use colis::{
    crypto::chunk::{Nonce, nonce_and_tag},
    id::{ChunkId, ManifestId},
    manifest::{SignedManifest, Signer as _},
    received::Received,
    store::{Store, StoreError},
    tls::{CertsDir, Circle, CircleHandle, Identity, ca},
    transfer::{
        self, OpenedTransfer, Reader, ReceiveOptions, SendOptions, Sender, Silent, Sources,
        TransferError,
    },
};

use testkit::rounds;
use testkit::tapped::{Tap, Tapped};

const CHUNK: usize = 64 << 10;

/// Numbers that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.below(u64::MAX).to_le_bytes());
        let mut bytes: Vec<u8> = words.take(length / 8 + 1).flatten().collect();
        bytes.truncate(length);
        bytes
    }
}

/// What happens at a put.
enum Accident {
    Nothing,
    Cut,
    /// This is written over the source, and its time is later.
    Edit(PathBuf, Vec<u8>),
}

fn edit(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    let later = SystemTime::now() + Duration::from_secs(10);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(later)
        .unwrap();
}

/// Remembers every nonce that a store was sent, and has an accident once.
struct Watcher {
    seen: Mutex<HashMap<Nonce, ChunkId>>,
    accident: Mutex<(u64, Accident)>,
}

impl Watcher {
    fn new(accident: (u64, Accident)) -> Self {
        Self {
            seen: Mutex::default(),
            accident: Mutex::new(accident),
        }
    }
}

impl Tap for Watcher {
    fn put(&self, id: ChunkId, sealed: &Bytes) -> Result<(), StoreError> {
        let (nonce, _) = nonce_and_tag(sealed);
        let before = self.seen.lock().unwrap().insert(nonce, id);
        assert!(
            before.is_none_or(|before| before == id),
            "two texts under one nonce"
        );
        let mut accident = self.accident.lock().unwrap();
        let (left, what) = &mut *accident;
        if *left > 0 {
            *left -= 1;
            return Ok(());
        }
        match std::mem::replace(what, Accident::Nothing) {
            Accident::Nothing => Ok(()),
            Accident::Cut => Err(StoreError::Deleted),
            Accident::Edit(path, content) => {
                edit(&path, &content);
                Ok(())
            }
        }
    }
}

/// Somebody who sends to himself.
struct Anna {
    root: tempfile::TempDir,
    identity: Arc<Identity>,
    circle: CircleHandle,
}

impl Anna {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let certs = CertsDir::new(root.path().join("certs"));
        let options = ca::CertificateOptions::default();
        let identity = Arc::new(ca::init(&certs, "anna", &options).unwrap());
        let circle = CircleHandle::new(Circle::load(&certs).unwrap());
        Self {
            root,
            identity,
            circle,
        }
    }

    async fn send(
        &self,
        path: &Path,
        store: &Arc<Tapped<Watcher>>,
    ) -> Result<ManifestId, TransferError> {
        let sender = Sender {
            signer: self.identity.clone(),
            seal_keys: self.identity.seal_keys().clone(),
            journals: self.root.path().join("journals"),
        };
        let options = SendOptions {
            chunk_size: CHUNK as u32,
            ..SendOptions::default()
        };
        let stores: [Arc<dyn Store>; 1] = [store.clone()];
        let sources = Sources::walk(&[path.to_owned()])?;
        let sent = transfer::send(&sender, sources, &options, &stores, &Silent).await?;
        Ok(sent.manifest.unwrap())
    }

    async fn receive(&self, store: &Tapped<Watcher>, id: ManifestId) -> Vec<u8> {
        let manifest = SignedManifest::parse(store.get_manifest(id).await.unwrap()).unwrap();
        let reader = Reader {
            me: self.identity.peer_id(),
            seal_keys: self.identity.seal_keys().clone(),
            password: None,
            verifier: Arc::new(self.circle.clone()),
        };
        let transfer = OpenedTransfer::open(store, manifest, &reader).await;
        let transfer = Arc::new(transfer.unwrap());
        let folder = tempfile::tempdir_in(self.root.path()).unwrap();
        let root = Arc::new(Received::open(folder.path()).unwrap());
        let options = ReceiveOptions::default();
        let received = transfer::receive(store, &transfer, &root, options, &Silent);
        fs::read(&received.await.unwrap().paths[0]).unwrap()
    }
}

#[derive(Default, Debug)]
struct Counted {
    cut: u32,
    edited_between: u32,
    changed_meanwhile: u32,
    arrived: u32,
}

/// One send to a store that cuts it or whose source changes, until it arrives.
async fn one_round(anna: &Anna, numbers: &mut Numbers, counted: &mut Counted) {
    let length = CHUNK + numbers.below(6 * CHUNK as u64) as usize;
    let path = anna.root.path().join("source.bin");
    let before = numbers.bytes(length);
    let mut after = before.clone();
    let end = length - numbers.below(1000) as usize;
    let from = numbers.below(end as u64) as usize;
    after[from] ^= 1;
    after.truncate(end);
    edit(&path, &before);
    let accident = match numbers.below(3) {
        0 => Accident::Edit(path.clone(), after.clone()),
        _ => Accident::Cut,
    };
    let accident = (numbers.below(8), accident);
    let store = Arc::new(Tapped::new(Watcher::new(accident)));
    let sent = match anna.send(&path, &store).await {
        Ok(sent) => sent,
        Err(TransferError::SourceChanged { .. }) => {
            counted.changed_meanwhile += 1;
            anna.send(&path, &store).await.unwrap()
        }
        Err(TransferError::Store(StoreError::Deleted)) => {
            counted.cut += 1;
            // Half of them with the time that the file had: only the bytes tell.
            if numbers.below(2) == 0 {
                counted.edited_between += 1;
                let time = fs::metadata(&path).unwrap().modified().unwrap();
                let same_length = [&after[..], &before[end..]].concat();
                fs::write(&path, same_length).unwrap();
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(time).unwrap();
            }
            anna.send(&path, &store).await.unwrap()
        }
        Err(other) => panic!("{other}"),
    };
    let arrived = anna.receive(&store, sent).await;
    let now = fs::read(&path).unwrap();
    assert!(arrived == now || arrived == before, "a mixture arrived");
    counted.arrived += 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_texts_go_out_under_one_nonce() {
    let (anna, mut numbers, mut counted) = (Anna::new(), Numbers(0x5eed), Counted::default());
    for _ in 0..rounds(60) {
        one_round(&anna, &mut numbers, &mut counted).await;
    }
    eprintln!("{counted:?}");
    assert!(counted.cut > 10 && counted.edited_between > 5 && counted.changed_meanwhile > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_any_size_come_back() {
    let (anna, mut numbers) = (Anna::new(), Numbers(0xf11e));
    let path = anna.root.path().join("any.bin");
    let mib = 1 << 20;
    let edges = [0, 1, mib - 1, mib, mib + 1, CHUNK - 1, CHUNK, CHUNK + 1];
    for round in 0..rounds(20) as usize {
        let random = numbers.below(1 << 24) >> numbers.below(24);
        let length = edges.get(round).copied().unwrap_or(random as usize);
        let content = numbers.bytes(length);
        edit(&path, &content);
        let store = Arc::new(Tapped::new(Watcher::new((0, Accident::Nothing))));
        let sent = anna.send(&path, &store).await.unwrap();
        assert!(anna.receive(&store, sent).await == content, "{length}");
    }
}
