//! Damage and foreign things are found, reported and never served.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, sync::Arc};

use colis::{
    id::ChunkId,
    store::{LocalStore, PageRequest, Put, PutManifest, Store as _, StoreError},
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Kept, signer};
use testkit::sealed::chunk;

fn is_not_found<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotFound { .. }))
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Damages the file in one way of many.
fn damage(path: &Path, way: usize) {
    let mut bytes = fs::read(path).unwrap();
    match way % 4 {
        0 => {
            let at = way * 37 % bytes.len();
            bytes[at] ^= 1 << (way % 8);
        }
        1 => bytes.truncate(way % bytes.len()),
        2 => bytes[..512].fill(0),
        _ => bytes.push(0),
    }
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_served_and_heals_by_being_put_again() {
    let kept = Kept::new();
    for seed in 0..200 {
        let id = kept.put(seed).await;
        damage(&kept.path_of(id), seed as usize);
        let served = kept.store.get_chunk(id).await;
        assert!(is_not_found(&served), "damage {seed}: {served:?}");
        assert_eq!(kept.store.head_chunk(id).await.unwrap(), None);
        assert_eq!(kept.store.missing_chunks(&[id]).await.unwrap(), [id]);
        let (_, bytes) = chunk(seed, 1000);
        let put = kept.store.put_chunk(id, bytes.clone(), None).await.unwrap();
        assert_eq!(put, Put::Stored, "damage {seed}");
        assert!(kept.store.get_chunk(id).await.unwrap() == bytes);
    }
    assert!(kept.files_in("corrupt") >= 150, "somebody may look at them");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_that_nobody_has_seen_yet_heals_by_being_put_again() {
    let kept = Kept::new();
    for seed in 0..20 {
        let id = kept.put(seed).await;
        damage(&kept.path_of(id), seed as usize);
        let (_, bytes) = chunk(seed, 1000);
        let put = kept.store.put_chunk(id, bytes.clone(), None).await.unwrap();
        assert_eq!(put, Put::Stored, "damage {seed}");
        assert!(kept.store.get_chunk(id).await.unwrap() == bytes);
        let again = kept.store.put_chunk(id, bytes, None).await.unwrap();
        assert_eq!(again, Put::AlreadyThere);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_reads_finds_every_damage() {
    let kept = Kept::new();
    let mut damaged = BTreeSet::new();
    for seed in 0..100 {
        let id = kept.put(seed).await;
        if seed % 2 == 0 {
            damage(&kept.path_of(id), seed as usize);
            damaged.insert(id);
        }
    }
    let seen = std::cell::Cell::new(0);
    let report = kept
        .store
        .check_with_progress(true, &|bytes| seen.set(bytes));
    let report = report.unwrap();
    assert_eq!((report.chunks, report.bytes), (50, 50_000));
    assert_eq!(seen.get(), 50_000);
    let named = report.problems.iter().map(|problem| {
        let name = problem.path.rsplit('/').next().unwrap();
        name.parse::<ChunkId>().unwrap()
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), damaged);
    assert_eq!(
        kept.files_in("corrupt"),
        50,
        "the damaged chunks are set aside"
    );
    assert_eq!(kept.store.check(true).unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_pair_of_chunks_is_found() {
    let kept = Kept::new();
    let (first, second) = (kept.put(1).await, kept.put(2).await);
    let aside = kept.root.path().join("aside");
    fs::rename(kept.path_of(first), &aside).unwrap();
    fs::rename(kept.path_of(second), kept.path_of(first)).unwrap();
    fs::rename(&aside, kept.path_of(second)).unwrap();
    assert_eq!(
        kept.store.check(false).unwrap().problems,
        [],
        "names and lengths are right"
    );
    assert!(is_not_found(&kept.store.get_chunk(first).await));
    assert_eq!(kept.store.check(true).unwrap().problems.len(), 1);
    assert!(is_not_found(&kept.store.get_chunk(second).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_put_while_its_damage_is_being_found_stays() {
    let kept = Arc::new(Kept::new());
    let (id, bytes) = chunk(7, 1000);
    for round in 0..200 {
        kept.put(7).await;
        damage(&kept.path_of(id), 4 * round);
        let gets = (0..4).map(|_| {
            let kept = kept.clone();
            tokio::spawn(async move { kept.store.get_chunk(id).await.ok() })
        });
        let gets: Vec<_> = gets.collect();
        // Healed by the first put that comes after the damage was found.
        while kept.store.head_chunk(id).await.unwrap().is_some()
            && !gets.iter().all(|g| g.is_finished())
        {
            tokio::task::yield_now().await;
        }
        let put = kept.store.put_chunk(id, bytes.clone(), None).await.unwrap();
        for get in gets {
            let served = get.await.unwrap();
            assert!(served.is_none_or(|served| served == bytes));
        }
        if put == Put::Stored {
            let there = kept.store.head_chunk(id).await.unwrap();
            assert_eq!(there, Some(1000), "round {round}: acknowledged, then gone");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_things_are_reported_and_never_followed() {
    let kept = Kept::new();
    let good = kept.put(1).await;
    let outside = kept.root.path().join("outside");
    fs::write(&outside, chunk(2, 1000).1).unwrap();
    let ids: Vec<_> = (2..6).map(|seed| chunk(seed, 1000).0).collect();
    symlink(&outside, kept.path_of(ids[0])).unwrap();
    fifo(&kept.path_of(ids[1]));
    fs::create_dir(kept.path_of(ids[2])).unwrap();
    fs::write(kept.path_of(ids[3]), b"").unwrap();
    let shard = kept.root.path().join("data/00");
    fs::write(shard.join("notes.txt"), b"mine").unwrap();
    fs::write(shard.join("A".repeat(64)), b"upper case").unwrap();
    fs::write(shard.join("ff".repeat(32)), vec![0; 100]).unwrap();
    fs::write(kept.root.path().join("manifests/notes.txt"), b"mine").unwrap();

    for id in &ids {
        assert!(is_not_found(&kept.store.get_chunk(*id).await), "{id}");
        assert_eq!(kept.store.head_chunk(*id).await.unwrap(), None, "{id}");
    }
    assert_eq!(kept.store.missing_chunks(&ids).await.unwrap(), ids);
    let page = PageRequest {
        after: None,
        limit: 100,
    };
    let listed = kept.store.list_chunks(page).await.unwrap();
    let listed: Vec<_> = listed.items.iter().map(|info| info.id).collect();
    assert_eq!(listed, [good]);
    let report = kept.store.check(true).unwrap();
    assert_eq!(report.problems.len(), 8, "{:#?}", report.problems);
    assert_eq!(kept.store.check(true).unwrap().problems.len(), 4);
    assert!(
        outside.exists() && shard.join("notes.txt").exists(),
        "what is not ours is left alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_of_a_chunk_is_set_aside_and_the_store_stays_writable() {
    let kept = Kept::new();
    let (outside, bytes) = (kept.root.path().join("outside"), chunk(1, 1000).1);
    fs::write(&outside, &bytes).unwrap();
    let id = chunk(1, 1000).0;
    let path = kept.path_of(id);
    let put_in_the_way: [&dyn Fn(); 5] = [
        &|| symlink(&outside, &path).unwrap(),
        &|| fifo(&path),
        &|| fs::create_dir(&path).unwrap(),
        &|| fs::write(&path, b"").unwrap(),
        &|| fs::write(&path, vec![0; 999]).unwrap(),
    ];
    for (way, put_in_the_way) in put_in_the_way.iter().enumerate() {
        put_in_the_way();
        let put = kept.store.put_chunk(id, bytes.clone(), None).await.unwrap();
        assert_eq!(put, Put::Stored, "way {way}");
        assert!(kept.store.get_chunk(id).await.unwrap() == bytes);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(kept.files_in("corrupt"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_is_set_aside_and_heals_by_being_put_again() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    let id = manifest.id();
    let path = kept.root.path().join("manifests").join(id.to_string());
    for _ in 0..2 {
        let put = kept.store.put_manifest(&manifest).await.unwrap();
        assert_eq!(put, PutManifest::Stored);
        fs::write(&path, b"{}").unwrap();
        assert!(is_not_found(&kept.store.get_manifest(id).await));
    }
    kept.store.put_manifest(&manifest).await.unwrap();
    fs::write(&path, b"{}").unwrap();
    assert_eq!(kept.store.check(false).unwrap().problems.len(), 1);
    kept.store.put_manifest(&manifest).await.unwrap();
    fs::write(&path, b"{}").unwrap();
    let unseen = kept.store.put_manifest(&manifest).await.unwrap();
    assert_eq!(unseen, PutManifest::Stored);
    let given = kept.store.get_manifest(id).await.unwrap();
    assert_eq!(&given, manifest.envelope());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_whose_chunk_was_lost_is_reported_and_asks_for_it_again() {
    let kept = Kept::new();
    let manifest = kept.draft(&signer(), 0).await.sign(&signer());
    kept.store.put_manifest(&manifest).await.unwrap();
    let lost = manifest.payload().chunks[0];
    fs::remove_file(kept.path_of(lost)).unwrap();
    let report = kept.store.check(false).unwrap();
    assert_eq!((report.manifests, report.problems.len()), (0, 1));
    let again = kept.store.put_manifest(&manifest).await;
    assert!(
        matches!(&again, Err(StoreError::MissingChunks { count: 1, first }) if *first == [lost]),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opened_to_read_changes_nothing() {
    let kept = Kept::new();
    let (good, bad) = (kept.put(1).await, kept.put(2).await);
    damage(&kept.path_of(bad), 0);
    let reader = LocalStore::open_read_only(kept.root.path()).unwrap();
    assert_eq!(reader.get_chunk(good).await.unwrap().len(), 1000);
    assert!(is_not_found(&reader.get_chunk(bad).await));
    assert_eq!(reader.check(true).unwrap().problems.len(), 1);
    assert!(kept.path_of(bad).exists(), "it was not set aside");
    let (id, bytes) = chunk(3, 1000);
    let put = reader.put_chunk(id, bytes, None).await;
    assert!(matches!(put, Err(StoreError::ReadOnly { .. })), "{put:?}");
}
