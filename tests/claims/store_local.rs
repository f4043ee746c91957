//! The store in a directory: damage, foreign things, the lock, collecting, receipts, a full disk.

mod collecting;
mod damage;
mod mass;
mod opening;
mod racing;
mod space;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use colis::{
    id::ChunkId,
    manifest::{Signer, Timestamp},
    store::{LocalStore, LocalStoreOptions, Store as _},
};

use testkit::sealed::{Draft, TestSigner, chunk};

const HOUR: u64 = 3600;

/// A store in a folder that goes with it.
struct Kept {
    store: LocalStore,
    root: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            store: open(root.path()),
            root,
        }
    }

    /// Closes the store and opens it again.
    fn reopened(self) -> Self {
        let Self { store, root } = self;
        drop(store);
        Self {
            store: open(root.path()),
            root,
        }
    }

    fn path_of(&self, id: ChunkId) -> PathBuf {
        path_of(self.root.path(), id)
    }

    async fn put(&self, seed: u64) -> ChunkId {
        let (id, bytes) = chunk(seed, 1000);
        self.store.put_chunk(id, bytes, None).await.unwrap();
        id
    }

    /// Three chunks, and a transfer of `signer` that names them.
    async fn draft(&self, signer: &dyn Signer, seed: u64) -> Draft {
        let mut ids = Vec::new();
        for seed in 3 * seed..3 * seed + 3 {
            ids.push(self.put(seed).await);
        }
        Draft::new(signer, &ids)
    }

    fn files_in(&self, folder: &str) -> usize {
        fs::read_dir(self.root.path().join(folder)).unwrap().count()
    }
}

fn open(root: &Path) -> LocalStore {
    LocalStore::open(root, LocalStoreOptions::default()).unwrap()
}

fn path_of(root: &Path, id: ChunkId) -> PathBuf {
    let name = id.to_string();
    root.join("data").join(&name[..2]).join(name)
}

/// Makes a file as if it had last been touched long ago.
fn age(path: &Path) {
    let old = SystemTime::now() - Duration::from_secs(48 * HOUR);
    // It may have been moved meanwhile: then it is as old as it is.
    if let Ok(file) = File::open(path) {
        file.set_modified(old).unwrap();
    }
}

fn age_all(kept: &Kept, folder: &str) {
    for entry in fs::read_dir(kept.root.path().join(folder)).unwrap() {
        age(&entry.unwrap().path());
    }
}

fn signer() -> TestSigner {
    TestSigner::new(1)
}

fn now() -> Timestamp {
    Timestamp::now()
}
