//! A full disk and a quota: said before anything is written, healed by making space.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use colis::{
    crypto::chunk::OVERHEAD,
    id::{ChunkId, PeerId},
    manifest::{Signer, Timestamp},
    store::{LocalStore, LocalStoreOptions, OfferAnswer, PartOf, Put, Store, StoreError},
};

use super::{Kept, path_of, signer};
use testkit::sealed::{Draft, TestSigner, chunk};

const MIB: usize = 1 << 20;

/// A file system of its own in memory, if we may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at.path())
            .output();
        mounted
            .is_ok_and(|mounted| mounted.status.success())
            .then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the store may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn open_with(root: &Path, reserve: u64, quota: Option<u64>) -> LocalStore {
    let options = LocalStoreOptions {
        reserve: Some(reserve),
        quota,
        relay: None,
    };
    LocalStore::open(root, options).unwrap()
}

/// Puts chunks until there is no space. Gives what was stored, and the refusal.
async fn fill(store: &LocalStore) -> (Vec<ChunkId>, StoreError) {
    let mut stored = Vec::new();
    for seed in 0.. {
        let (id, bytes) = chunk(seed, MIB);
        match store.put_chunk(id, bytes, None).await {
            Ok(_) => stored.push(id),
            Err(error) => return (stored, error),
        }
    }
    unreachable!("the loop has no end")
}

async fn assert_full_and_healing(store: &LocalStore, root: &Path) {
    let (stored, error) = fill(store).await;
    let full = matches!(
        error,
        StoreError::NoSpace { .. } | StoreError::NoRoom { .. }
    );
    assert!(full, "{error}");
    assert!(stored.len() > 2, "{} chunks", stored.len());
    for id in &stored {
        assert_eq!(store.get_chunk(*id).await.unwrap().len(), MIB);
    }
    assert_eq!(
        store.usage().unwrap().chunks,
        stored.len() as u64,
        "nothing is left of what was refused"
    );
    for id in &stored[..2] {
        fs::remove_file(path_of(root, *id)).unwrap();
    }
    let (id, bytes) = chunk(1_000_000, MIB);
    let put = store.put_chunk(id, bytes, None).await.unwrap();
    assert_eq!(put, Put::Stored, "space heals without opening again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_so_and_heals() {
    // Without the right to mount, the quota's test is what is left.
    for reserve in [0, MIB as u64] {
        if let Some(disk) = SmallDisk::mount("size=8m") {
            let store = open_with(disk.0.path(), reserve, None);
            assert_full_and_healing(&store, disk.0.path()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_inodes_is_said_so_and_nothing_is_lost() {
    if let Some(disk) = SmallDisk::mount("size=64m,nr_inodes=290") {
        let store = open_with(disk.0.path(), 0, None);
        assert_full_and_healing(&store, disk.0.path()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_said_so_and_counts_what_was_there_before() {
    let root = tempfile::tempdir().unwrap();
    let quota = 8 * MIB as u64;
    let store = open_with(root.path(), 0, Some(quota));
    let (stored, error) = fill(&store).await;
    assert_eq!(stored.len(), 8);
    assert!(
        matches!(error, StoreError::NoSpace { free: 0, quota: Some(q), .. } if q == quota),
        "{error:?}"
    );
    drop(store);
    let store = open_with(root.path(), 0, Some(quota));
    let (id, bytes) = chunk(99, MIB);
    let put = store.put_chunk(id, bytes.clone(), None).await;
    assert!(matches!(put, Err(StoreError::NoSpace { .. })), "{put:?}");
    let again = store.put_chunk(stored[0], chunk(0, MIB).1, None).await;
    assert_eq!(again.unwrap(), Put::AlreadyThere, "it takes no space");
}

async fn offer(
    store: &dyn Store,
    draft: &Draft,
    signer: &dyn Signer,
) -> Result<OfferAnswer, StoreError> {
    store.put_offer(&draft.sign_offer(signer)).await
}

/// A transfer of as many MiB.
fn draft_of(mib: usize) -> Draft {
    let mut draft = Draft::new(&signer(), &[chunk(0, 100).0, chunk(1, 100).0]);
    draft.offer.chunk_size = MIB as u32;
    draft.offer.size = Some((mib * MIB) as u64);
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_reserves_its_space_until_it_is_used() {
    let root = tempfile::tempdir().unwrap();
    let store = open_with(root.path(), 0, Some(18 * MIB as u64));
    let (draft, signer) = (draft_of(8), signer());
    let answer = offer(&store, &draft, &signer).await.unwrap();
    assert_eq!(answer, OfferAnswer::Accepted);
    assert!(
        store
            .check_offer(&draft_of(9).sign_offer(&signer), signer.peer_id())
            .await
            .is_ok()
    );
    let too_much = offer(&store, &draft_of(11), &signer).await;
    assert!(
        matches!(too_much, Err(StoreError::NoSpace { .. })),
        "{too_much:?}"
    );
    let part_of = part_of(&draft, draft.offer.sender);
    for seed in 0..8 {
        let (id, bytes) = chunk(seed, MIB);
        store.put_chunk(id, bytes, part_of).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reserved_for_a_sender_nobody_else_can_use() {
    let root = tempfile::tempdir().unwrap();
    let store = open_with(root.path(), 0, Some(18 * MIB as u64));
    let (draft, signer) = (draft_of(8), signer());
    offer(&store, &draft, &signer).await.unwrap();
    // It names the transfer of another.
    let stolen = part_of(&draft, TestSigner::new(2).peer_id());
    for seed in 0..9 {
        let (id, bytes) = chunk(seed, MIB);
        store.put_chunk(id, bytes, stolen).await.unwrap();
    }
    let (id, bytes) = chunk(9, MIB);
    let refused = store.put_chunk(id, bytes, stolen).await;
    assert!(
        matches!(refused, Err(StoreError::NoSpace { .. })),
        "{refused:?}"
    );
    for seed in 20..28 {
        let (id, bytes) = chunk(seed, MIB);
        let put = store.put_chunk(id, bytes, part_of(&draft, signer.peer_id()));
        assert_eq!(put.await.unwrap(), Put::Stored, "{seed}");
    }
}

fn part_of(draft: &Draft, by: PeerId) -> Option<PartOf> {
    Some(PartOf {
        transfer_id: draft.offer.transfer_id,
        by,
        index: Some(0),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_has_come_half_can_be_offered_again_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let quota = Some(10 * MIB as u64);
    let store = open_with(root.path(), 0, quota);
    let (draft, signer) = (draft_of(8), signer());
    offer(&store, &draft, &signer).await.unwrap();
    let part_of = part_of(&draft, draft.offer.sender);
    for seed in 0..4 {
        let (id, bytes) = chunk(seed, MIB);
        store.put_chunk(id, bytes, part_of).await.unwrap();
    }
    offer(&store, &draft, &signer).await.unwrap();
    drop(store);
    let store = open_with(root.path(), 0, quota);
    offer(&store, &draft, &signer).await.unwrap();
    let another = offer(&store, &draft_of(9), &signer).await;
    assert!(
        matches!(another, Err(StoreError::NoSpace { .. })),
        "{another:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_keeps_space_for_what_matters_more() {
    let kept = Kept::new();
    drop(kept.store);
    let store = open_with(kept.root.path(), u64::MAX, None);
    let (id, bytes) = chunk(0, MIB);
    let put = store.put_chunk(id, bytes, None).await;
    assert!(
        matches!(put, Err(StoreError::NoSpace { free: 0, .. })),
        "{put:?}"
    );
}

#[tokio::test]
async fn the_ballast_that_was_given_up_is_made_again_while_the_store_is_open() {
    let root = tempfile::tempdir().unwrap();
    let store = open_with(root.path(), 0, None);
    let ballast = root.path().join("state/ballast");
    fs::remove_file(&ballast).unwrap();
    store.let_expired_go(Timestamp::now()).unwrap();
    assert!(ballast.exists());
}

#[tokio::test]
async fn a_quota_counts_bytes_and_a_file_takes_at_most_a_block_more() {
    const COUNT: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let (smallest, root) = (OVERHEAD + 1, folder.path().join("chunks"));
    let store = open_with(&root, 0, Some(COUNT * smallest as u64));
    for seed in 0..COUNT {
        let (id, bytes) = chunk(seed, smallest);
        store.put_chunk(id, bytes, None).await.unwrap();
    }
    let (id, bytes) = chunk(COUNT, smallest);
    let refused = store.put_chunk(id, bytes, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::NoSpace { .. }), "{refused}");
    let shards = fs::read_dir(root.join("data")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let files: Vec<_> = files
        .map(|file| file.unwrap().metadata().unwrap())
        .collect();
    assert_eq!(files.len() as u64, COUNT);
    for file in files {
        // A block of this file system, and one for an attribute that the inode has no room for.
        let most = file.len() + 2 * file.blksize();
        assert!(file.blocks() * 512 <= most, "{} blocks", file.blocks());
    }
}
