//! Letting go: leases, the trash, expired and opened transfers.

use std::{fs, time::Duration};

use colis::{
    id::{ChunkId, PeerId},
    manifest::{SignedManifest, Signer as _, Timestamp},
    store::{KeepSettled, LocalStore, Put, PutManifest, Store as _, StoreError, TransferState},
};

use super::{HOUR, Kept, age, age_all, now, signer};
use testkit::sealed::{Draft, TestSigner, chunk};

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_nobody_names_goes_when_its_lease_is_over() {
    let kept = Kept::new();
    let (old, young) = (kept.put(1).await, kept.put(2).await);
    age(&kept.path_of(old));
    let report = kept.store.gc(now()).unwrap();
    assert_eq!((report.chunks, report.bytes, report.removed), (1, 1000, 0));
    assert!(!kept.path_of(old).exists() && kept.path_of(young).exists());
    assert_eq!(kept.files_in("trash"), 1);
    assert_eq!(kept.store.gc(now()).unwrap().removed, 0, "not yet");
    age_all(&kept, "trash");
    assert_eq!(kept.store.gc(now()).unwrap().removed, 1);
    assert_eq!(kept.store.head_chunk(old).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unfinished_goes_at_once_if_the_owner_says_so() {
    let kept = Kept::new();
    let (old, young) = (kept.put(1).await, kept.put(2).await);
    age(&kept.path_of(old));
    let report = kept.store.gc_unfinished(now()).unwrap();
    assert_eq!((report.chunks, report.bytes, report.removed), (2, 2000, 2));
    assert_eq!(kept.files_in("trash"), 0, "it takes no space there either");
    let again = kept.store.put_chunk(young, chunk(2, 1000).1, None).await;
    assert_eq!(again.unwrap(), Put::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn putting_and_finding_present_renew_the_lease() {
    let kept = Kept::new();
    let (put, found) = (kept.put(1).await, kept.put(2).await);
    age(&kept.path_of(put));
    age(&kept.path_of(found));
    let again = kept.store.put_chunk(put, chunk(1, 1000).1, None).await;
    assert_eq!(again.unwrap(), Put::AlreadyThere);
    assert_eq!(kept.store.missing_chunks(&[found]).await.unwrap(), []);
    assert_eq!(kept.store.gc(now()).unwrap().chunks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_in_the_trash_comes_back_when_it_is_wanted() {
    let kept = Kept::new();
    for seed in 0..4 {
        age(&kept.path_of(kept.put(seed).await));
    }
    let ids: Vec<ChunkId> = (0..4).map(|seed| chunk(seed, 1000).0).collect();
    assert_eq!(kept.store.gc(now()).unwrap().chunks, 4);
    assert_eq!(kept.store.get_chunk(ids[0]).await.unwrap().len(), 1000);
    assert_eq!(kept.store.head_chunk(ids[1]).await.unwrap(), Some(1000));
    assert_eq!(kept.store.missing_chunks(&ids[2..3]).await.unwrap(), []);
    let put = kept.store.put_chunk(ids[3], chunk(3, 1000).1, None).await;
    assert_eq!(put.unwrap(), Put::AlreadyThere);
    assert_eq!(kept.files_in("trash"), 0);
    assert_eq!(
        kept.store.gc(now()).unwrap().chunks,
        0,
        "the lease is new too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_manifest_names_stays_whatever_its_age() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    kept.store.put_manifest(&manifest).await.unwrap();
    for id in manifest.payload().all_chunks() {
        age(&kept.path_of(id));
    }
    assert_eq!(kept.store.gc(now()).unwrap().chunks, 0);
    kept.store.delete_manifest(manifest.id()).await.unwrap();
    assert_eq!(kept.store.gc(now()).unwrap().chunks, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_goes_and_leaves_a_receipt() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    kept.store.put_manifest(&manifest).await.unwrap();
    assert_eq!(kept.store.gc(now()).unwrap().expired, 0);
    let report = kept.store.gc(now().plus_seconds(2 * HOUR)).unwrap();
    assert_eq!(report.expired, 1);
    let state = kept.store.manifest_state(manifest.id()).await.unwrap();
    assert_eq!(state.state, TransferState::Expired);
    let gone = kept.store.get_manifest(manifest.id()).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })));
    assert_eq!(kept.store.usage().unwrap().manifests, 0);
    assert_eq!(report.chunks, 0, "their leases run");
    let report = kept.store.gc(now().plus_seconds(26 * HOUR)).unwrap();
    assert_eq!(report.chunks, 3);
}

/// Lets go of what was opened or refused so long ago.
fn let_go_after(store: &LocalStore, time: Duration, now: Timestamp) -> usize {
    let keep = KeepSettled {
        opened: Some(time),
        refused: time,
    };
    store
        .let_go_settled(keep, PeerId::of(b"owner"), now)
        .unwrap()
}

/// The ways in which a manifest ends, each given as what it does to `manifest` in `kept`.
async fn end(kept: &Kept, manifest: &SignedManifest, way: usize) -> bool {
    let (store, id) = (&kept.store, manifest.id());
    match way {
        0 => store.let_expired_go(now().plus_seconds(HOUR / 2)).unwrap(),
        1 => store.gc(now().plus_seconds(HOUR / 2)).unwrap().expired,
        2 => store.delete_manifest(id).await.map(|()| 1).unwrap(),
        3 => store.let_go(id, TransferState::Opened).map(|()| 1).unwrap(),
        4 => {
            store.record_state(id, TransferState::Refused).unwrap();
            let_go_after(store, Duration::ZERO, now().plus_seconds(1))
        }
        _ => return false,
    };
    let gone = store.get_manifest(id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{way}");
    true
}

/// A manifest of somebody who has seen the ids of these chunks.
fn copy_of(chunks: &[ChunkId]) -> SignedManifest {
    let hostile = TestSigner::new(2);
    let mut draft = Draft::new(&hostile, chunks);
    draft.offer.expires = Some(draft.offer.created.plus_seconds(HOUR / 3));
    draft.sign(&hostile)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_of_a_manifest_takes_the_published_chunks_of_another() {
    let kept = Kept::new();
    let victim = kept.draft(&signer(), 0).await.sign(&signer());
    kept.store.put_manifest(&victim).await.unwrap();
    let chunks: Vec<_> = victim.payload().all_chunks().collect();
    for way in 0.. {
        let copy = copy_of(&chunks);
        kept.store.put_manifest(&copy).await.unwrap();
        if !end(&kept, &copy, way).await {
            break;
        }
        kept.store.gc(now().plus_seconds(60)).unwrap();
        for id in &chunks {
            assert!(kept.path_of(*id).exists(), "{way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_end_of_a_manifest_takes_chunks_that_another_is_about_to_publish() {
    let kept = Kept::new();
    for way in 0.. {
        // Put and acknowledged, not yet published.
        let draft = kept.draft(&signer(), way as u64).await;
        let victim = draft.sign(&signer());
        let chunks: Vec<_> = victim.payload().all_chunks().collect();
        let copy = copy_of(&chunks);
        kept.store.put_manifest(&copy).await.unwrap();
        if !end(&kept, &copy, way).await {
            break;
        }
        kept.store.gc(now().plus_seconds(60)).unwrap();
        for id in &chunks {
            assert!(kept.path_of(*id).exists(), "{way}: acknowledged, then gone");
        }
        kept.store.put_manifest(&victim).await.unwrap();
        kept.store.delete_manifest(victim.id()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_transfer_stays_for_its_time_and_then_only_its_receipt() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    let id = manifest.id();
    kept.store.put_manifest(&manifest).await.unwrap();
    kept.store.record_state(id, TransferState::Opened).unwrap();
    let day = Duration::from_secs(24 * HOUR);
    assert_eq!(let_go_after(&kept.store, day, now()), 0);
    assert!(kept.store.get_manifest(id).await.is_ok());
    let kept = kept.reopened();
    let tomorrow = now().plus_seconds(25 * HOUR);
    assert_eq!(let_go_after(&kept.store, day, tomorrow), 1);
    assert_eq!(let_go_after(&kept.store, day, tomorrow), 0);
    assert_eq!(kept.store.usage().unwrap().manifests, 0);
    assert_eq!(kept.store.gc(tomorrow).unwrap().chunks, 3);
    let state = kept.store.manifest_state(id).await.unwrap().state;
    assert_eq!(state, TransferState::Opened);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_copy_does_not_undo_that_a_transfer_was_opened() {
    let kept = Kept::new();
    let draft = kept.draft(&signer(), 0).await;
    let opened = draft.sign(&signer());
    let mut again = kept.draft(&signer(), 1).await;
    again.offer.transfer_id = draft.offer.transfer_id;
    again.offer.expires = Some(again.offer.created.plus_seconds(HOUR / 3));
    kept.store.put_manifest(&opened).await.unwrap();
    kept.store
        .put_manifest(&again.sign(&signer()))
        .await
        .unwrap();
    kept.store
        .let_go(opened.id(), TransferState::Opened)
        .unwrap();
    assert_eq!(
        kept.store.gc(now().plus_seconds(HOUR / 2)).unwrap().expired,
        1
    );
    let put = kept.store.put_manifest(&opened).await.unwrap();
    assert_eq!(put, PutManifest::AlreadyReceived);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back_from_its_sender_only() {
    let (kept, carrier) = (Kept::new(), TestSigner::new(2).peer_id());
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    let bring = async |kept: &Kept, by| kept.store.bring_manifest(&manifest, by).await;
    assert_eq!(bring(&kept, carrier).await.unwrap(), PutManifest::Stored);
    kept.store.delete_manifest(manifest.id()).await.unwrap();
    let kept = kept.reopened();
    let refused = bring(&kept, carrier).await.unwrap_err();
    assert!(matches!(refused, StoreError::Deleted), "{refused}");
    let own = bring(&kept, signer().peer_id()).await.unwrap();
    assert_eq!(own, PutManifest::Stored);
    let there = bring(&kept, carrier).await.unwrap();
    assert_eq!(there, PutManifest::AlreadyThere);
    kept.store.delete_manifest(manifest.id()).await.unwrap();
    kept.store.gc(now().plus_seconds(2 * HOUR)).unwrap();
    let kept = kept.reopened();
    assert_eq!(kept.files_in("state/deleted"), 1, "another may end later");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_within_a_minute_is_not_taken() {
    let kept = Kept::new();
    let mut draft = kept.draft(&signer(), 0).await;
    draft.offer.expires = Some(now().plus_seconds(59));
    let refused = kept.store.put_manifest(&draft.sign(&signer())).await;
    assert!(
        matches!(refused, Err(StoreError::EndsTooSoon { .. })),
        "{refused:?}"
    );
    let refused = kept.store.put_offer(&draft.sign_offer(&signer())).await;
    assert!(
        matches!(refused, Err(StoreError::EndsTooSoon { .. })),
        "{refused:?}"
    );
    draft.offer.expires = Some(now().plus_seconds(HOUR));
    let taken = kept.store.put_manifest(&draft.sign(&signer())).await;
    assert_eq!(taken.unwrap(), PutManifest::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_among_the_receipts_hides_none() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    kept.store.put_manifest(&manifest).await.unwrap();
    kept.store
        .record_state(manifest.id(), TransferState::Opened)
        .unwrap();
    let staged = kept.root.path().join("state/transfers/.staged-abc");
    let torn = kept
        .root
        .path()
        .join("state/transfers")
        .join("0".repeat(64));
    fs::write(&staged, b"{\"sen").unwrap();
    fs::write(torn, b"").unwrap();
    let later = now().plus_seconds(1);
    assert_eq!(let_go_after(&kept.store, Duration::ZERO, later), 1);
    age(&staged);
    kept.store.gc(now()).unwrap();
    assert!(!staged.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn journals_that_nobody_continues_are_removed_after_a_week() {
    let kept = Kept::new();
    let sending = kept.store.state_dir().join("sending");
    fs::write(sending.join("journal"), b"x").unwrap();
    assert_eq!(kept.store.gc(now()).unwrap().abandoned, 0);
    let later = now().plus_seconds(8 * 24 * HOUR);
    assert_eq!(kept.store.gc(later).unwrap().abandoned, 1);
}
