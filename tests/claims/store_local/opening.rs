//! Opening a store: its lock, its format, its folders, what it remembers.

use std::fs;

use colis::store::{
    LocalStore, LocalStoreOptions, OfferAnswer, PutManifest, Store as _, StoreError, TransferState,
};

use super::{Kept, open, signer};

#[test]
fn two_cannot_have_one_store() {
    let root = tempfile::tempdir().unwrap();
    let first = open(root.path());
    first.note_serving("127.0.0.1:9443");
    let second = LocalStore::open(root.path(), LocalStoreOptions::default());
    let holder = colis::store::LockedBy::Process(std::process::id());
    assert!(
        matches!(&second, Err(StoreError::Locked { holder: named }) if *named == holder),
        "{:?}",
        second.err()
    );
    let serving = LocalStore::serving_address(root.path());
    assert_eq!(serving.as_deref(), Some("127.0.0.1:9443"));
    drop(first);
    assert_eq!(LocalStore::serving_address(root.path()), None);
    open(root.path());
}

#[test]
fn asking_where_a_store_is_served_keeps_nobody_from_opening_it() {
    let root = tempfile::tempdir().unwrap();
    drop(open(root.path()));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                LocalStore::serving_address(root.path());
            }
        });
        let opened: Result<Vec<_>, _> = (0..50)
            .map(|_| LocalStore::open(root.path(), LocalStoreOptions::default()).map(drop))
            .collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        opened.unwrap();
    });
}

#[test]
fn a_later_format_is_refused_untouched() {
    for (text, reason) in [
        ("colis store 2\n", "later version"),
        ("colis store 1", "not the format"),
        ("", "empty"),
        ("something else\n", "not the format"),
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("FORMAT"), text).unwrap();
        for opened in [
            LocalStore::open(root.path(), LocalStoreOptions::default()),
            LocalStore::open_read_only(root.path()),
        ] {
            let given = opened.map(drop).unwrap_err().to_string();
            assert!(given.contains(reason), "{text:?}: {given}");
        }
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            1,
            "{text:?}: nothing is made beside it"
        );
    }
}

#[test]
fn a_store_is_made_with_the_folders_above_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/chunks");
    let store = open(&path);
    assert_eq!(store.state_dir(), path.join("state"));
    assert_eq!(fs::read_dir(path.join("data")).unwrap().count(), 256);
    let format = fs::read_to_string(path.join("FORMAT")).unwrap();
    let id = format.strip_prefix("colis store 1\n").unwrap();
    assert_eq!(id.trim_end().len(), 32, "{id}");
}

#[test]
fn folders_that_a_backup_left_out_are_made_again() {
    let kept = Kept::new();
    for name in ["data/7f", "trash", "corrupt", "state/sending"] {
        fs::remove_dir(kept.root.path().join(name)).unwrap();
    }
    let kept = kept.reopened();
    assert_eq!(kept.store.check(true).unwrap().problems, []);
    assert!(kept.root.path().join("data/7f").is_dir());
}

#[test]
fn there_is_nothing_to_read_where_no_store_is() {
    let root = tempfile::tempdir().unwrap();
    let opened = LocalStore::open_read_only(root.path()).map(drop);
    assert!(matches!(opened, Err(StoreError::NotFound { .. })));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_is_not_taken_again_even_by_a_new_process() {
    let kept = Kept::new();
    let draft = kept.draft(&signer(), 0).await;
    let (offer, manifest) = (draft.sign_offer(&signer()), draft.sign(&signer()));
    kept.store.put_manifest(&manifest).await.unwrap();
    kept.store
        .let_go(manifest.id(), TransferState::Opened)
        .unwrap();
    let kept = kept.reopened();
    let state = kept.store.manifest_state(manifest.id()).await.unwrap();
    assert_eq!(state.state, TransferState::Opened);
    let receipt = kept
        .store
        .receipt_of(offer.payload().sender, offer.payload().transfer_id);
    assert_eq!(receipt.unwrap().manifest, manifest.id());
    assert_eq!(
        kept.store.put_offer(&offer).await.unwrap(),
        OfferAnswer::AlreadyReceived
    );
    assert_eq!(
        kept.store.put_manifest(&manifest).await.unwrap(),
        PutManifest::AlreadyReceived
    );
    assert_eq!(kept.store.usage().unwrap().manifests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_of_another_sender_is_another_transfer() {
    let kept = Kept::new();
    let draft = kept.draft(&signer(), 0).await;
    let manifest = draft.sign(&signer());
    kept.store.put_manifest(&manifest).await.unwrap();
    kept.store
        .let_go(manifest.id(), TransferState::Opened)
        .unwrap();
    let another = testkit::sealed::TestSigner::new(2);
    let mut copied = kept.draft(&another, 0).await;
    copied.offer.transfer_id = draft.offer.transfer_id;
    let put = kept.store.put_manifest(&copied.sign(&another)).await;
    assert_eq!(put.unwrap(), PutManifest::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_state_survives_and_goes_with_a_deleted_manifest() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    let id = manifest.id();
    kept.store.put_manifest(&manifest).await.unwrap();
    kept.store.record_state(id, TransferState::Waiting).unwrap();
    let kept = kept.reopened();
    let state = kept.store.manifest_state(id).await.unwrap();
    assert_eq!(state.state, TransferState::Waiting);
    kept.store.delete_manifest(id).await.unwrap();
    let gone = kept.store.manifest_state(id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
}

#[test]
fn folders_that_a_backup_left_out_because_they_were_empty_are_read_as_empty() {
    let homes = testkit::Homes::new(&[]);
    fs::write(homes.path("file"), "text").unwrap();
    homes.ok("a", &["share", "file"]);
    let chunks = homes.home("a").join("chunks");
    let mut left_out = 0;
    for parent in ["data", "state", "."] {
        for entry in fs::read_dir(chunks.join(parent)).unwrap() {
            let path = entry.unwrap().path();
            left_out += usize::from(path.is_dir() && fs::remove_dir(path).is_ok());
        }
    }
    assert!(left_out > 250, "{left_out}");
    homes.ok("a", &["status"]);
    homes.ok("a", &["doctor"]);
    let data = chunks.join("data");
    let there = fs::read_dir(&data).map_or(0, Iterator::count);
    assert!(there < 20, "status and doctor make nothing: {there}");
    homes.ok("a", &["inbox"]);
    homes.ok("a", &["check"]);
    assert_eq!(fs::read_dir(chunks.join("data")).unwrap().count(), 256);
}
