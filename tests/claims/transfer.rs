//! Whole transfers through the library: every interesting size, every way to cut them, every lie of a store.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use colis::{
    crypto::password::Password,
    id::{ChunkId, ManifestId},
    manifest::{SignedManifest, SignedOffer, Signer as _},
    received::Received,
    store::{MemoryStore, Store, StoreError},
    tls::{CertsDir, Circle, CircleHandle, Identity, ca},
    transfer::{
        self, Arriving, OpenedTransfer, Reader, ReceiveOptions, ReceivedFiles, Recipient,
        SendOptions, Sender, Sent, Silent, Sources, TransferError,
    },
};
use testkit::tapped::{Tap, Tapped};
use testkit::{bytes, tree};

const CHUNK: usize = 64 << 10;

/// Two members of a circle in one folder.
struct Two {
    root: tempfile::TempDir,
    anna: Arc<Identity>,
    ben: Arc<Identity>,
    circle: CircleHandle,
}

impl Two {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (
            CertsDir::new(root.path().join("a")),
            CertsDir::new(root.path().join("b")),
        );
        let options = ca::CertificateOptions::default();
        let anna = Arc::new(ca::init(&a, "anna", &options).unwrap());
        let ben = Arc::new(ca::issue(&a, "ben", &b, &options).unwrap());
        let circle = CircleHandle::new(Circle::load(&a).unwrap());
        Self {
            root,
            anna,
            ben,
            circle,
        }
    }

    fn sender(&self) -> Sender {
        let journals = self.root.path().join("journals");
        Sender {
            signer: self.anna.clone(),
            seal_keys: self.anna.seal_keys().clone(),
            journals,
        }
    }

    fn options(&self) -> SendOptions {
        let seal_key = self.ben.seal_keys()[0].public().clone();
        let recipients = vec![Recipient {
            peer: self.ben.peer_id(),
            seal_key,
        }];
        SendOptions {
            recipients,
            chunk_size: CHUNK as u32,
            ..SendOptions::default()
        }
    }

    fn reader(&self, who: &Arc<Identity>) -> Reader {
        Reader {
            me: who.peer_id(),
            seal_keys: who.seal_keys().clone(),
            password: None,
            verifier: Arc::new(self.circle.clone()),
        }
    }

    async fn send(&self, path: &Path, store: &Arc<dyn Store>) -> Result<Sent, TransferError> {
        let sources = Sources::walk(&[path.to_owned()])?;
        transfer::send(
            &self.sender(),
            sources,
            &self.options(),
            std::slice::from_ref(store),
            &Silent,
        )
        .await
    }

    async fn open(
        &self,
        store: &dyn Store,
        id: ManifestId,
    ) -> Result<Arc<OpenedTransfer>, TransferError> {
        let manifest = SignedManifest::parse(store.get_manifest(id).await?)?;
        Ok(Arc::new(
            OpenedTransfer::open(store, manifest, &self.reader(&self.ben)).await?,
        ))
    }

    async fn receive(
        &self,
        store: &dyn Store,
        id: ManifestId,
        into: &str,
    ) -> Result<ReceivedFiles, TransferError> {
        let transfer = self.open(store, id).await?;
        let root = Arc::new(Received::open(&self.root.path().join(into)).unwrap());
        transfer::receive(store, &transfer, &root, ReceiveOptions::default(), &Silent).await
    }

    fn write(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.root.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// Lets a store fail after so many chunks, and counts what passes.
struct Failing {
    puts_left: AtomicU64,
    gets_left: AtomicU64,
    puts: AtomicU64,
    gets: AtomicU64,
    replaced: Mutex<Option<(ChunkId, Bytes)>>,
}

impl Failing {
    fn new() -> Arc<Tapped<Self>> {
        Arc::new(Tapped::new(Self {
            puts_left: AtomicU64::new(u64::MAX),
            gets_left: AtomicU64::new(u64::MAX),
            puts: AtomicU64::new(0),
            gets: AtomicU64::new(0),
            replaced: Mutex::new(None),
        }))
    }

    fn take(left: &AtomicU64) -> Result<(), StoreError> {
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        taken
            .map(drop)
            .map_err(|_| StoreError::NobodyToAsk { peer: None })
    }
}

impl Tap for Failing {
    fn put(&self, _: ChunkId, _: &Bytes) -> Result<(), StoreError> {
        Self::take(&self.puts_left)?;
        self.puts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn get(&self, id: ChunkId) -> Result<Option<Bytes>, StoreError> {
        Self::take(&self.gets_left)?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        let replaced = self.replaced.lock().unwrap();
        let instead = replaced.as_ref().filter(|(replaced, _)| *replaced == id);
        Ok(instead.map(|(_, by)| by.clone()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_interesting_size_comes_back() {
    let two = Two::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7] {
        let content = bytes(size as u64, size);
        let path = two.write(&format!("f{size}"), &content);
        let sent = two.send(&path, &store).await.unwrap();
        assert_eq!(
            (sent.size, sent.chunks),
            (size as u64, size.div_ceil(CHUNK) as u64)
        );
        let received = two
            .receive(&*store, sent.manifest.unwrap(), "in")
            .await
            .unwrap();
        assert_eq!(fs::read(&received.paths[0]).unwrap(), content, "{size}");
        let out = &mut Vec::new();
        let transfer = two.open(&*store, sent.manifest.unwrap()).await.unwrap();
        transfer::stream_content(&*store, &transfer, 4, out, &Silent)
            .await
            .unwrap();
        assert_eq!(*out, content, "{size} as a stream");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_files_are_packed_and_come_back() {
    let two = Two::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let folder = two.root.path().join("many");
    for n in 0..300 {
        let inner = folder.join(format!("d{}", n % 7));
        fs::create_dir_all(&inner).unwrap();
        fs::write(
            inner.join(format!("f{n}")),
            bytes(n, (n as usize * 37) % 1500),
        )
        .unwrap();
    }
    let sent = two.send(&folder, &store).await.unwrap();
    assert!(sent.chunks < 6, "{} chunks for small files", sent.chunks);
    two.receive(&*store, sent.manifest.unwrap(), "in")
        .await
        .unwrap();
    assert_eq!(tree(&two.root.path().join("in/many")), tree(&folder));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_cut_anywhere_continues_and_repeats_nothing() {
    let two = Two::new();
    let content = bytes(7, 20 * CHUNK + 11);
    let path = two.write("cut.bin", &content);
    for cut in 0..24 {
        let failing = Failing::new();
        let store: Arc<dyn Store> = failing.clone();
        failing.tap.puts_left.store(cut, Ordering::SeqCst);
        let first = two.send(&path, &store).await;
        assert!(first.is_err() || cut == 23, "cut after {cut}");
        failing.tap.puts_left.store(u64::MAX, Ordering::SeqCst);
        let sent = match first {
            Ok(sent) => sent,
            Err(_) => two.send(&path, &store).await.unwrap(),
        };
        // Table, 21 chunks, sums: each was put once, whenever that was.
        assert_eq!(
            failing.tap.puts.load(Ordering::SeqCst),
            23,
            "cut after {cut}"
        );
        let into = format!("in{cut}");
        let received = two
            .receive(&*store, sent.manifest.unwrap(), &into)
            .await
            .unwrap();
        assert_eq!(fs::read(&received.paths[0]).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receive_cut_anywhere_continues_where_it_was() {
    let two = Two::new();
    let failing = Failing::new();
    let store: Arc<dyn Store> = failing.clone();
    let content = bytes(8, 20 * CHUNK + 11);
    let id = two
        .send(&two.write("cut.bin", &content), &store)
        .await
        .unwrap()
        .manifest
        .unwrap();
    for cut in 0..23 {
        let into = format!("in{cut}");
        failing.tap.gets_left.store(cut, Ordering::SeqCst);
        assert!(
            two.receive(&*store, id, &into).await.is_err(),
            "cut after {cut}"
        );
        assert!(
            !two.root.path().join(&into).join("cut.bin").exists(),
            "nothing partial has its name"
        );
        failing.tap.gets_left.store(u64::MAX, Ordering::SeqCst);
        failing.tap.gets.store(0, Ordering::SeqCst);
        let received = two.receive(&*store, id, &into).await.unwrap();
        assert_eq!(fs::read(&received.paths[0]).unwrap(), content);
        // Table and sums again, and the content that had not come.
        let again = 2 + 21 - received.already_chunks;
        assert_eq!(
            failing.tap.gets.load(Ordering::SeqCst),
            again,
            "cut after {cut}"
        );
        if cut >= 10 {
            assert!(
                received.already_chunks > 0,
                "cut after {cut}: nothing was kept"
            );
        }
        assert!(
            !two.root.path().join(&into).join(".colis").exists(),
            "the staging is gone"
        );
    }
}

/// The one file below `folder` that is called `name`.
fn staged(folder: &Path, name: &str) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
    let mut found = entries.filter_map(|path| match path.is_dir() {
        true => staged(&path, name),
        false => path.ends_with(name).then_some(path),
    });
    found.next()
}

/// What was known of its digest is believed only while nobody else has written to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_staged_file_that_was_edited_or_removed_comes_whole_or_not_at_all() {
    let two = Two::new();
    let failing = Failing::new();
    let store: Arc<dyn Store> = failing.clone();
    let folder = two.root.path().join("two");
    fs::create_dir(&folder).unwrap();
    // The second begins off every border of its digest's tree.
    fs::write(folder.join("a.bin"), bytes(20, 700)).unwrap();
    let content = bytes(21, 20 * CHUNK + 11);
    fs::write(folder.join("b.bin"), &content).unwrap();
    let id = two.send(&folder, &store).await.unwrap().manifest.unwrap();
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("left", |_| {}),
        ("edited", |file| {
            let mut there = fs::read(file).unwrap();
            there[5] ^= 1;
            fs::write(file, there).unwrap();
        }),
        ("cut", |file| fs::write(file, "").unwrap()),
        ("removed", |file| fs::remove_file(file).unwrap()),
    ];
    for (into, harm) in harms {
        failing.tap.gets_left.store(14, Ordering::SeqCst);
        assert!(two.receive(&*store, id, into).await.is_err());
        failing.tap.gets_left.store(u64::MAX, Ordering::SeqCst);
        harm(&staged(&two.root.path().join(into), "b.bin").unwrap());
        let received = two.receive(&*store, id, into).await.unwrap();
        let path = received.paths[0].join("b.bin");
        assert!(fs::read(&path).unwrap() == content, "{into}");
        let kept = received.already_chunks > 0;
        assert_eq!(kept, into == "left", "{into}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_in_any_order_is_opened_as_it_comes_and_not_read_again() {
    let two = Two::new();
    let failing = Failing::new();
    let store: Arc<dyn Store> = failing.clone();
    let folder = two.root.path().join("two");
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("a.bin"), bytes(30, 700)).unwrap();
    fs::write(folder.join("b.bin"), bytes(31, 20 * CHUNK + 11)).unwrap();
    fs::write(folder.join("c.bin"), "").unwrap();
    let id = two.send(&folder, &store).await.unwrap().manifest.unwrap();
    let transfer = two.open(&*store, id).await.unwrap();
    let manifest = transfer.manifest.payload();
    let offer = SignedOffer::sign(manifest.to_offer(), &*two.anna).unwrap();
    let root = Arc::new(Received::open(&two.root.path().join("in")).unwrap());
    let (reader, options) = (two.reader(&two.ben), ReceiveOptions::default());
    let arriving = Arriving::begin(offer, &*store, &reader, &root, options).await;
    let arriving = Arc::new(arriving.unwrap().unwrap());
    // All but one, from the last to the first, each twice.
    let mut writing = tokio::task::JoinSet::new();
    let chunks = manifest.chunks.iter().enumerate().rev();
    for (index, id) in chunks.filter(|(index, _)| *index != 3) {
        for _ in 0..2 {
            let sealed = store.get_chunk(*id).await.unwrap();
            writing.spawn(arriving.clone().write(index as u64, *id, sealed));
        }
    }
    writing
        .join_all()
        .await
        .into_iter()
        .for_each(Result::unwrap);
    let arriving = Arc::into_inner(arriving);
    failing.tap.gets.store(0, Ordering::SeqCst);
    let received = transfer::receive_rest(&*store, &transfer, &root, arriving, options, &Silent);
    let received = received.await.unwrap();
    assert_eq!(tree(&received.paths[0]), tree(&folder));
    assert_eq!(received.already_chunks, manifest.chunks.len() as u64 - 1);
    assert_eq!(
        failing.tap.gets.load(Ordering::SeqCst),
        1,
        "the one that was not brought"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::too_many_lines, reason = "a table")]
async fn what_a_store_changes_is_never_released() {
    let two = Two::new();
    let failing = Failing::new();
    let store: Arc<dyn Store> = failing.clone();
    let id = two
        .send(&two.write("f.bin", &bytes(9, 3 * CHUNK + 7)), &store)
        .await
        .unwrap()
        .manifest
        .unwrap();
    let other = two
        .send(&two.write("g.bin", &bytes(10, 3 * CHUNK + 7)), &store)
        .await
        .unwrap()
        .manifest
        .unwrap();
    let manifest = two
        .open(&*store, id)
        .await
        .unwrap()
        .manifest
        .payload()
        .clone();
    let foreign = two
        .open(&*store, other)
        .await
        .unwrap()
        .manifest
        .payload()
        .clone();
    let get = async |id| failing.inner.get_chunk(id).await.unwrap();
    let (first, second, last) = (manifest.chunks[0], manifest.chunks[1], manifest.chunks[3]);
    let mut flipped = get(first).await.to_vec();
    flipped[100] ^= 1;
    let truncated = get(last).await.slice(..20);
    let shorter = get(last).await.slice(..30);
    let extended = [&get(last).await[..], b"x"].concat();
    for (what, replaced, by) in [
        ("flipped", first, flipped.into()),
        ("swapped", first, get(second).await),
        ("repeated", second, get(first).await),
        ("made the last", first, get(last).await),
        ("from another transfer", first, get(foreign.chunks[0]).await),
        (
            "the table in its place",
            first,
            get(manifest.table[0]).await,
        ),
        ("truncated below a chunk", last, truncated),
        ("truncated", last, shorter),
        ("extended", last, extended.into()),
        (
            "another table",
            manifest.table[0],
            get(foreign.table[0]).await,
        ),
        ("other sums", manifest.sums[0], get(foreign.sums[0]).await),
    ] {
        *failing.tap.replaced.lock().unwrap() = Some((replaced, by));
        // Each into a folder of its own: what an attempt before had verified would not be fetched again.
        let refused = two.receive(&*store, id, what).await;
        let told = matches!(
            refused,
            Err(TransferError::Crypto(_) | TransferError::Integrity { .. })
        );
        assert!(told, "{what}: {:?}", refused.map(|r| r.paths));
        assert!(!two.root.path().join(what).join("f.bin").exists(), "{what}");
    }
    *failing.tap.replaced.lock().unwrap() = None;
    two.receive(&*store, id, "in").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_recipient_and_the_sender_can_open_it() {
    let two = Two::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let path = two.write("private.txt", b"for anna alone");
    let sources = Sources::walk(&[path]).unwrap();
    let options = SendOptions {
        recipients: Vec::new(),
        ..two.options()
    };
    let sent = transfer::send(
        &two.sender(),
        sources,
        &options,
        std::slice::from_ref(&store),
        &Silent,
    )
    .await
    .unwrap();
    let id = sent.manifest.unwrap();
    assert!(matches!(
        two.open(&*store, id).await,
        Err(TransferError::NotForUs { .. })
    ));
    let manifest = SignedManifest::parse(store.get_manifest(id).await.unwrap()).unwrap();
    OpenedTransfer::open(&*store, manifest, &two.reader(&two.anna))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_opens_without_a_key_and_an_unknown_sender_is_shown_as_such() {
    let two = Two::new();
    let stranger = Two::new();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let path = stranger.write("note.txt", b"from outside");
    let options = SendOptions {
        password: Some(Password::new("correct horse")),
        ..stranger.options()
    };
    let sources = Sources::walk(&[path]).unwrap();
    let sent = transfer::send(
        &stranger.sender(),
        sources,
        &options,
        std::slice::from_ref(&store),
        &Silent,
    )
    .await
    .unwrap();
    let manifest = || async {
        SignedManifest::parse(store.get_manifest(sent.manifest.unwrap()).await.unwrap()).unwrap()
    };
    let mut reader = two.reader(&two.ben);
    let without = OpenedTransfer::open(&*store, manifest().await, &reader).await;
    assert!(
        matches!(without, Err(TransferError::Manifest(_))),
        "a stranger's signature alone counts for nothing"
    );
    reader.password = Some(Password::new("correct horse"));
    let opened = OpenedTransfer::open(&*store, manifest().await, &reader)
        .await
        .unwrap();
    assert_eq!(opened.origin, transfer::Origin::Unverified);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_transfer_goes_to_several_stores_at_once() {
    let two = Two::new();
    let stores: [Arc<dyn Store>; 3] =
        std::array::from_fn(|_| Arc::new(MemoryStore::default()) as Arc<dyn Store>);
    let content = bytes(11, 5 * CHUNK);
    let sources = Sources::walk(&[two.write("f.bin", &content)]).unwrap();
    let sent = transfer::send(&two.sender(), sources, &two.options(), &stores, &Silent)
        .await
        .unwrap();
    for (n, store) in stores.iter().enumerate() {
        let received = two
            .receive(&**store, sent.manifest.unwrap(), &format!("in{n}"))
            .await
            .unwrap();
        assert_eq!(fs::read(&received.paths[0]).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_file_is_not_continued_as_the_old_one() {
    let two = Two::new();
    let failing = Failing::new();
    let store: Arc<dyn Store> = failing.clone();
    let path = two.write("doc.txt", &bytes(12, 10 * CHUNK));
    failing.tap.puts_left.store(6, Ordering::SeqCst);
    assert!(two.send(&path, &store).await.is_err());
    failing.tap.puts_left.store(u64::MAX, Ordering::SeqCst);
    let edited = bytes(13, 10 * CHUNK);
    fs::write(&path, &edited).unwrap();
    let sent = two.send(&path, &store).await.unwrap();
    assert_eq!(sent.already_chunks, 0);
    let received = two
        .receive(&*store, sent.manifest.unwrap(), "in")
        .await
        .unwrap();
    assert_eq!(fs::read(&received.paths[0]).unwrap(), edited);
}
