//! What only the inside can break: a sync that fails.

use rustix::io::Errno;

use super::{LocalStore, LocalStoreOptions};
use crate::{
    id::ChunkId,
    store::{Put, Store as _, StoreError},
};

fn store() -> (tempfile::TempDir, LocalStore) {
    let root = tempfile::tempdir().unwrap();
    let store = LocalStore::open(root.path(), LocalStoreOptions::default()).unwrap();
    (root, store)
}

fn chunk(seed: u8) -> (ChunkId, bytes::Bytes) {
    let bytes = bytes::Bytes::from(vec![seed; 100]);
    (ChunkId::of(&bytes), bytes)
}

fn break_all(store: &LocalStore, error: Option<Errno>) {
    for shard in &store.inner.shards {
        shard.break_with(error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_never_acknowledged_and_ends_writing_but_not_reading() {
    let (_root, store) = store();
    let (there, bytes) = chunk(0);
    store.put_chunk(there, bytes.clone(), None).await.unwrap();
    break_all(&store, Some(Errno::IO));
    let puts = (1..33).map(|seed| {
        let (id, bytes) = chunk(seed);
        store.put_chunk(id, bytes, None)
    });
    for answer in futures::future::join_all(puts).await {
        assert!(
            matches!(answer, Err(StoreError::ReadOnly { .. })),
            "{answer:?}"
        );
    }
    // The disk seems well again, but what it forgot is not known.
    break_all(&store, None);
    let (id, another) = chunk(99);
    let later = store.put_chunk(id, another, None).await;
    assert!(
        matches!(later, Err(StoreError::ReadOnly { .. })),
        "{later:?}"
    );
    assert!(store.get_chunk(there).await.unwrap() == bytes);
    assert_eq!(store.missing_chunks(&[there]).await.unwrap(), []);
    assert!(matches!(
        store.gc(crate::manifest::Timestamp::now()),
        Err(StoreError::ReadOnly { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_only_at_the_sync_heals() {
    let (_root, store) = store();
    let (id, bytes) = chunk(0);
    break_all(&store, Some(Errno::NOSPC));
    let full = store.put_chunk(id, bytes.clone(), None).await;
    assert!(matches!(full, Err(StoreError::NoSpace { .. })), "{full:?}");
    let again = store.put_chunk(id, bytes.clone(), None).await;
    assert!(
        matches!(again, Err(StoreError::NoSpace { .. })),
        "it is there, but not durable: {again:?}"
    );
    break_all(&store, None);
    let put = store.put_chunk(id, bytes, None).await.unwrap();
    assert_eq!(put, Put::AlreadyThere);
}
