//! Every store keeps the promises of `store.rs`: one suite for all of them.

mod peer;
mod suite;

use std::cell::Cell;

use colis::store::{FolderStore, LocalStore, LocalStoreOptions, MemoryStore, Store};

use testkit::sealed::TestSigner;

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_keeps_the_promises() {
    let make = async || Box::<MemoryStore>::default() as Box<dyn Store>;
    suite::run_all(&TestSigner::new(1), make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_store_keeps_the_promises() {
    let root = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    let make = async || {
        made.set(made.get() + 1);
        let path = root.path().join(made.get().to_string());
        Box::new(LocalStore::open(&path, LocalStoreOptions::default()).unwrap()) as Box<dyn Store>
    };
    suite::run_all(&TestSigner::new(1), make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_store_keeps_the_promises() {
    let root = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    let make = async || {
        made.set(made.get() + 1);
        let path = root.path().join(made.get().to_string());
        Box::new(FolderStore::create(&path).unwrap()) as Box<dyn Store>
    };
    suite::run_all(&TestSigner::new(1), make).await;
}
