//! The local store and the store in memory do what the model says, whatever is done to them in whatever order.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use colis::{
    id::ChunkId,
    manifest::{SignedManifest, Timestamp},
    store::{
        LocalStore, LocalStoreOptions, MemoryStore, PageRequest, Put, Store, StoreError,
        TransferState,
    },
};
use proptest::test_runner::Config;
use proptest_state_machine::StateMachineTest;
use tokio::runtime::Runtime;

use crate::machine::{Answer, CHUNKS, Model, Step, TRANSFERS, chunks_of};
use testkit::rounds;
use testkit::sealed::{Draft, TestSigner, chunk};

const DAY: u64 = 24 * 3600;
/// Steps of a sequence.
const STEPS: usize = 60;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// What all sequences are about, and where they run.
struct World {
    runtime: Runtime,
    now: Timestamp,
    chunks: Vec<(ChunkId, Bytes)>,
    transfers: Vec<SignedManifest>,
    /// In memory where there is such a place: this is about answers, not about durability.
    tmp: PathBuf,
}

impl World {
    fn new() -> Self {
        let mut chunks: Vec<_> = (0..CHUNKS as u64).map(|seed| chunk(seed, 100)).collect();
        chunks.sort();
        let signers = [TestSigner::new(1), TestSigner::new(2)];
        let transfer = |t| {
            let signer = &signers[t % signers.len()];
            let ids: Vec<_> = chunks_of(t).map(|c| chunks[c].0).collect();
            let mut draft = Draft::new(signer, &ids);
            draft.offer.expires = Some(draft.offer.created.plus_seconds(1000 * DAY));
            draft.sign(signer)
        };
        let mut transfers: Vec<_> = (0..TRANSFERS).map(transfer).collect();
        transfers.sort_by_key(|manifest| manifest.payload().table[0]);
        let shm = PathBuf::from("/dev/shm");
        Self {
            runtime: Runtime::new().unwrap(),
            now: Timestamp::now(),
            chunks,
            transfers,
            tmp: if shm.is_dir() {
                shm
            } else {
                std::env::temp_dir()
            },
        }
    }

    fn chunk_number(&self, id: ChunkId) -> usize {
        self.chunks
            .iter()
            .position(|(known, _)| *known == id)
            .unwrap()
    }
}

fn answer_of_error<T>(result: Result<T, StoreError>, good: impl FnOnce(T) -> Answer) -> Answer {
    match result {
        Ok(value) => good(value),
        Err(StoreError::NotFound { .. }) => Answer::NotFound,
        Err(StoreError::HashMismatch { .. }) => Answer::Mismatch,
        Err(StoreError::NoSpace { .. }) => Answer::NoSpace,
        Err(StoreError::MissingChunks { count, .. }) => Answer::MissingChunks(count),
        Err(error) => panic!("{error}"),
    }
}

fn exact(given: &Bytes, expected: &Bytes) -> Answer {
    assert!(given == expected, "other bytes were given");
    Answer::Exact
}

/// The steps that every store can take.
async fn take(store: &dyn Store, step: &Step) -> Answer {
    let world = &*WORLD;
    match *step {
        Step::Put(c) => {
            let (id, bytes) = world.chunks[c].clone();
            answer_of_error(store.put_chunk(id, bytes, None).await, Answer::Put)
        }
        Step::Bring(t) => {
            let mut stored = Vec::new();
            for c in chunks_of(t) {
                let (id, bytes) = world.chunks[c].clone();
                if store.put_chunk(id, bytes, None).await.ok() == Some(Put::Stored) {
                    stored.push(c);
                }
            }
            Answer::Ids(stored)
        }
        Step::PutWrong(c) => {
            let bytes = world.chunks[(c + 1) % CHUNKS].1.clone();
            let put = store.put_chunk(world.chunks[c].0, bytes, None).await;
            answer_of_error(put, Answer::Put)
        }
        Step::Get(c) => {
            let (id, bytes) = &world.chunks[c];
            answer_of_error(store.get_chunk(*id).await, |given| exact(&given, bytes))
        }
        Step::Head(c) => {
            let length = store.head_chunk(world.chunks[c].0).await.unwrap();
            assert!(length.is_none_or(|length| length == 100));
            Answer::Length(length.is_some())
        }
        Step::Missing => {
            let ids: Vec<_> = world.chunks.iter().map(|(id, _)| *id).collect();
            let missing = store.missing_chunks(&ids).await.unwrap();
            Answer::Ids(
                missing
                    .into_iter()
                    .map(|id| world.chunk_number(id))
                    .collect(),
            )
        }
        Step::ListChunks => Answer::Ids(list_chunks(store).await),
        Step::Publish(t) => {
            let put = store.put_manifest(&world.transfers[t]).await;
            answer_of_error(put, Answer::Published)
        }
        Step::GetManifest(t) => {
            let manifest = &world.transfers[t];
            let given = store.get_manifest(manifest.id()).await;
            answer_of_error(given, |given| exact(&given, manifest.envelope()))
        }
        Step::ListManifests => Answer::Ids(list_manifests(store).await),
        Step::Delete(t) => {
            let deleted = store.delete_manifest(world.transfers[t].id()).await;
            answer_of_error(deleted, |()| Answer::Done)
        }
        ref other => panic!("{other:?} is for stores on disk"),
    }
}

/// By pages of three.
async fn list_chunks(store: &dyn Store) -> Vec<usize> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_chunks(PageRequest { after, limit: 3 });
        let page = page.await.unwrap();
        found.extend(page.items.iter().map(|info| WORLD.chunk_number(info.id)));
        after = page.items.last().map(|info| info.id);
        if !page.more {
            return found;
        }
    }
}

async fn list_manifests(store: &dyn Store) -> Vec<usize> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.list_manifests(PageRequest { after, limit: 2 }, None);
        let page = page.await.unwrap();
        found.extend(page.items.iter().map(|info| {
            let known = WORLD.transfers.iter().position(|m| m.id() == info.id);
            known.unwrap()
        }));
        after = page.items.last().map(|info| info.id);
        if !page.more {
            found.sort_unstable();
            return found;
        }
    }
}

struct InMemory;

impl StateMachineTest for InMemory {
    type SystemUnderTest = MemoryStore;
    type Reference = Model<false>;

    fn init_test(_: &Model<false>) -> MemoryStore {
        MemoryStore::default()
    }

    fn apply(store: MemoryStore, model: &Model<false>, step: Step) -> MemoryStore {
        let answer = match step {
            Step::LetGo(t) => {
                let id = WORLD.transfers[t].id();
                let there = WORLD.runtime.block_on(store.get_manifest(id));
                store.let_go(id);
                answer_of_error(there, |_| Answer::Done)
            }
            step => WORLD.runtime.block_on(take(&store, &step)),
        };
        assert_eq!(answer, model.answer);
        store
    }
}

/// A store in a folder that goes with it.
struct OnDisk {
    store: Option<LocalStore>,
    root: tempfile::TempDir,
    full: bool,
}

impl OnDisk {
    fn store(&self) -> &LocalStore {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        let reserve = if self.full { u64::MAX } else { 0 };
        let options = LocalStoreOptions {
            reserve: Some(reserve),
            ..LocalStoreOptions::default()
        };
        self.store = Some(LocalStore::open(self.root.path(), options).unwrap());
    }

    fn folder_of(&self, c: usize) -> PathBuf {
        let name = WORLD.chunks[c].0.to_string();
        self.root.path().join("data").join(&name[..2])
    }

    fn place(&self, c: usize, in_trash: bool) -> PathBuf {
        let folder = if in_trash {
            self.root.path().join("trash")
        } else {
            self.folder_of(c)
        };
        folder.join(WORLD.chunks[c].0.to_string())
    }

    fn age(&self, in_trash: bool) {
        let old = SystemTime::now() - Duration::from_secs(2 * DAY);
        for c in 0..CHUNKS {
            if let Ok(file) = File::open(self.place(c, in_trash)) {
                file.set_modified(old).unwrap();
            }
        }
    }

    fn rot(&self, c: usize) {
        let path = self.place(c, false);
        if let Ok(file) = File::options().read(true).write(true).open(path) {
            let touched = file.metadata().unwrap().modified().unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, 50).unwrap();
            file.write_all_at(&[byte[0] ^ 1], 50).unwrap();
            file.set_modified(touched).unwrap();
        }
    }

    /// Nothing was synced of what went to the trash.
    fn undo_trash(&self) {
        for c in 0..CHUNKS {
            if self.place(c, true).exists() {
                fs::rename(self.place(c, true), self.place(c, false)).unwrap();
            }
        }
    }

    fn leave_half_written_files(&self) {
        for folder in [self.folder_of(0), self.root.path().join("manifests")] {
            fs::write(folder.join(".staged-0123456789"), b"half").unwrap();
        }
    }

    fn collect(&self, now: Timestamp) -> Answer {
        let report = self.store().gc(now).unwrap();
        Answer::Collected {
            expired: report.expired,
            chunks: report.chunks,
            removed: report.removed,
        }
    }

    /// What only the disk can do.
    fn suffer(&mut self, step: &Step) -> Answer {
        match *step {
            Step::LetGo(t) => {
                let id = WORLD.transfers[t].id();
                let gone = self.store().let_go(id, TransferState::Opened);
                return answer_of_error(gone, |()| Answer::Done);
            }
            Step::Collect => return self.collect(WORLD.now),
            Step::Expire => {
                let later = WORLD.now.plus_seconds(1001 * DAY);
                return Answer::Collected {
                    expired: self.store().let_expired_go(later).unwrap(),
                    chunks: 0,
                    removed: 0,
                };
            }
            Step::Check => {
                let report = self.store().check(true).unwrap();
                let problems = report.problems.iter();
                // What a crash left is no problem of a chunk.
                let real = problems.filter(|problem| !problem.path.contains(".staged-"));
                return Answer::Problems(real.count());
            }
            Step::AgeChunks => self.age(false),
            Step::AgeTrash => self.age(true),
            Step::Rot(c) => self.rot(c),
            Step::Crash => {
                self.leave_half_written_files();
                self.reopen();
            }
            Step::PowerLoss => {
                self.store = None;
                self.undo_trash();
                self.reopen();
            }
            Step::Full(full) => {
                self.full = full;
                self.reopen();
            }
            ref step => return WORLD.runtime.block_on(take(self.store(), step)),
        }
        Answer::Done
    }
}

impl StateMachineTest for OnDisk {
    type SystemUnderTest = Self;
    type Reference = Model<true>;

    fn init_test(_: &Model<true>) -> Self {
        let root = tempfile::tempdir_in(&WORLD.tmp).unwrap();
        let (store, full) = (None, false);
        let mut store = Self { store, root, full };
        store.reopen();
        store
    }

    fn apply(mut store: Self, model: &Model<true>, step: Step) -> Self {
        let answer = store.suffer(&step);
        assert_eq!(answer, model.answer);
        store
    }

    /// What is on the disk is what the model says, without asking the store.
    fn check_invariants(store: &Self, model: &Model<true>) {
        for c in 0..CHUNKS {
            for in_trash in [false, true] {
                let expected = model.chunks.get(&c).is_some_and(|k| k.in_trash == in_trash);
                assert_eq!(store.place(c, in_trash).exists(), expected, "chunk {c}");
            }
        }
        let manifest = |t: usize| WORLD.transfers[t].id().to_string();
        let folder = store.root.path().join("manifests");
        for t in 0..TRANSFERS {
            let expected = model.published.contains(&t);
            assert_eq!(Path::exists(&folder.join(manifest(t))), expected, "{t}");
        }
    }
}

fn config(few: u32) -> Config {
    Config {
        cases: rounds(few),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(config(200))]

    #[test]
    fn a_store_in_memory_answers_as_the_model_says(sequential 1..STEPS => InMemory);
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(config(200))]

    #[test]
    fn a_store_on_disk_answers_and_keeps_what_the_model_says(sequential 1..STEPS => OnDisk);
}
