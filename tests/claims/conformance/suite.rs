//! The promises of the `Store` trait, one function a claim. Nothing here knows which store it talks to.

use std::collections::BTreeSet;

use bytes::Bytes;
use colis::{
    id::{ChunkId, ManifestId, PeerId},
    manifest::{MAX_SEALED_CHUNK, MIN_SEALED_CHUNK, Signer},
    store::{OfferAnswer, PageRequest, PartOf, Put, PutManifest, Store, StoreError, TransferState},
};
use futures::future::join_all;

use testkit::sealed::{Draft, chunk, password_wrap, wrap_for};

/// Holds what `make` gives to every promise. Each claim gets a store of its own, which is empty; `signer` is somebody
/// who may do everything there.
pub(crate) async fn run_all(signer: &dyn Signer, make: impl AsyncFn() -> Box<dyn Store>) {
    what_is_put_is_given_back(&*make().await).await;
    a_chunk_that_is_not_there_is_said_so(&*make().await).await;
    wrong_bytes_are_refused_and_leave_nothing(&*make().await).await;
    impossible_lengths_are_refused(&*make().await).await;
    putting_again_is_a_success_that_says_so(&*make().await).await;
    many_putting_one_chunk_make_one(&*make().await).await;
    bad_bytes_beside_good_ones_change_nothing(&*make().await).await;
    missing_are_named_in_the_order_asked(&*make().await).await;
    any_number_of_ids_can_be_asked_for(&*make().await).await;
    chunks_are_listed_in_order_whatever_the_page(&*make().await).await;
    a_list_of_chunks_stays_complete_while_more_come(&*make().await).await;
    an_offered_transfer_is_taken(&*make().await, signer).await;
    a_stream_of_unknown_size_can_be_offered(&*make().await, signer).await;
    a_manifest_is_given_back_exactly(&*make().await, signer).await;
    a_manifest_before_its_chunks_is_refused(&*make().await, signer).await;
    a_long_list_of_missing_chunks_is_cut_and_counted(&*make().await, signer).await;
    publishing_again_is_a_success_that_says_so(&*make().await, signer).await;
    many_publishing_one_transfer_make_one(&*make().await, signer).await;
    a_manifest_that_is_not_there_is_said_so(&*make().await).await;
    a_deleted_manifest_is_gone_and_can_come_again(&*make().await, signer).await;
    deleting_one_of_two_keeps_the_chunks_of_the_other(&*make().await, signer).await;
    manifests_are_listed_in_order_whatever_the_page(&*make().await, signer).await;
    a_reader_is_shown_what_may_open(&*make().await, signer).await;
    a_listed_manifest_tells_what_a_blind_store_can(&*make().await, signer).await;
}

const EVERYTHING: usize = 1_000;

async fn put(store: &dyn Store, seed: u64, length: usize) -> ChunkId {
    let (id, bytes) = chunk(seed, length);
    assert_eq!(store.put_chunk(id, bytes, None).await.unwrap(), Put::Stored);
    id
}

/// Three chunks, and a transfer that names them.
async fn draft(store: &dyn Store, signer: &dyn Signer, seed: u64) -> Draft {
    let mut ids = Vec::new();
    for seed in 3 * seed..3 * seed + 3 {
        ids.push(put(store, seed, 100).await);
    }
    Draft::new(signer, &ids)
}

async fn listed_chunks(store: &dyn Store, limit: usize) -> Vec<ChunkId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest { after, limit };
        let page = store.list_chunks(page).await.unwrap();
        assert!(page.items.len() <= limit, "a page is longer than asked");
        ids.extend(page.items.iter().map(|info| info.id));
        after = page.items.last().map(|info| info.id);
        if !page.more {
            return ids;
        }
        assert!(after.is_some(), "an empty page says that there is more");
    }
}

async fn listed_manifests(
    store: &dyn Store,
    limit: usize,
    reader: Option<PeerId>,
) -> Vec<ManifestId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let page = PageRequest { after, limit };
        let page = store.list_manifests(page, reader).await.unwrap();
        assert!(page.items.len() <= limit, "a page is longer than asked");
        ids.extend(page.items.iter().map(|info| info.id));
        after = page.items.last().map(|info| info.id);
        if !page.more {
            return ids;
        }
        assert!(after.is_some(), "an empty page says that there is more");
    }
}

fn is_not_found<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::NotFound { .. }))
}

async fn what_is_put_is_given_back(store: &dyn Store) {
    let mib = 1 << 20;
    let lengths = [
        MIN_SEALED_CHUNK,
        100,
        (64 << 10) + 28,
        mib + 27,
        mib + 28,
        mib + 29,
        MAX_SEALED_CHUNK,
    ];
    for (seed, length) in (0..).zip(lengths) {
        let (id, bytes) = chunk(seed, length);
        let stored = store.put_chunk(id, bytes.clone(), None).await.unwrap();
        assert_eq!(stored, Put::Stored, "{length} bytes");
        assert_eq!(store.head_chunk(id).await.unwrap(), Some(length as u64));
        let given = store.get_chunk(id).await.unwrap();
        assert!(given == bytes, "{length} bytes came back changed");
    }
}

async fn a_chunk_that_is_not_there_is_said_so(store: &dyn Store) {
    let (id, _) = chunk(0, 100);
    assert!(is_not_found(&store.get_chunk(id).await));
    assert_eq!(store.head_chunk(id).await.unwrap(), None);
    assert_eq!(store.missing_chunks(&[id]).await.unwrap(), [id]);
    assert_eq!(listed_chunks(store, EVERYTHING).await, []);
}

async fn wrong_bytes_are_refused_and_leave_nothing(store: &dyn Store) {
    let (id, right) = chunk(0, 100);
    let mut wrong = right.to_vec();
    wrong[50] ^= 1;
    let actual_id = ChunkId::of(&wrong);
    let answer = store.put_chunk(id, wrong.into(), None).await;
    assert!(
        matches!(answer, Err(StoreError::HashMismatch { expected, actual }) if expected == id && actual == actual_id),
        "{answer:?}"
    );
    assert!(is_not_found(&store.get_chunk(id).await));
    assert_eq!(listed_chunks(store, EVERYTHING).await, []);
}

async fn impossible_lengths_are_refused(store: &dyn Store) {
    for (length, expected) in [
        (0, colis::store::BadLength::Short),
        (MIN_SEALED_CHUNK - 1, colis::store::BadLength::Short),
        (MAX_SEALED_CHUNK + 1, colis::store::BadLength::Long),
    ] {
        let (id, bytes) = chunk(0, length);
        let answer = store.put_chunk(id, bytes, None).await;
        assert!(
            matches!(answer, Err(StoreError::ChunkLength { too, .. }) if too == expected),
            "{length} bytes: {answer:?}"
        );
        assert_eq!(store.head_chunk(id).await.unwrap(), None);
    }
}

async fn putting_again_is_a_success_that_says_so(store: &dyn Store) {
    let id = put(store, 0, 100).await;
    let (_, bytes) = chunk(0, 100);
    for _ in 0..3 {
        let again = store.put_chunk(id, bytes.clone(), None).await.unwrap();
        assert_eq!(again, Put::AlreadyThere);
    }
    assert_eq!(listed_chunks(store, EVERYTHING).await, [id]);
}

async fn many_putting_one_chunk_make_one(store: &dyn Store) {
    let (id, bytes) = chunk(0, (1 << 20) + 28);
    let puts = (0..64).map(|_| store.put_chunk(id, bytes.clone(), None));
    let answers: Vec<_> = join_all(puts).await;
    let stored = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Put::Stored)));
    assert_eq!(stored.count(), 1);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(listed_chunks(store, EVERYTHING).await, [id]);
    assert!(store.get_chunk(id).await.unwrap() == bytes);
}

async fn bad_bytes_beside_good_ones_change_nothing(store: &dyn Store) {
    let (id, good) = chunk(0, 1000);
    let puts = (0..64).map(|i| {
        let bytes = if i % 2 == 0 {
            good.clone()
        } else {
            chunk(i, 1000).1
        };
        store.put_chunk(id, bytes, None)
    });
    for (i, answer) in join_all(puts).await.into_iter().enumerate() {
        match answer {
            Ok(_) => assert_eq!(i % 2, 0, "wrong bytes were acknowledged"),
            Err(error) => assert!(
                i % 2 == 1 && matches!(error, StoreError::HashMismatch { .. }),
                "{error}"
            ),
        }
    }
    assert!(store.get_chunk(id).await.unwrap() == good);
}

async fn missing_are_named_in_the_order_asked(store: &dyn Store) {
    let (first, second) = (put(store, 1, 100).await, put(store, 2, 100).await);
    let absent = [9, 7, 8].map(|seed| chunk(seed, 100).0);
    let asked = [absent[0], first, absent[1], second, absent[2]];
    assert_eq!(store.missing_chunks(&asked).await.unwrap(), absent);
    assert_eq!(store.missing_chunks(&[]).await.unwrap(), []);
    assert_eq!(store.missing_chunks(&[first, second]).await.unwrap(), []);
}

async fn any_number_of_ids_can_be_asked_for(store: &dyn Store) {
    let there = put(store, 0, 100).await;
    let mut asked: Vec<_> = (1..=20_001).map(|seed| chunk(seed, 100).0).collect();
    asked.insert(15_000, there);
    let missing = store.missing_chunks(&asked).await.unwrap();
    asked.remove(15_000);
    assert!(missing == asked, "{} of 20001 are named", missing.len());
}

async fn chunks_are_listed_in_order_whatever_the_page(store: &dyn Store) {
    let mut put_ids = BTreeSet::new();
    for seed in 0..50 {
        put_ids.insert(put(store, seed, 100).await);
    }
    let expected: Vec<_> = put_ids.into_iter().collect();
    for limit in [1, 7, 49, 50, 51] {
        assert_eq!(
            listed_chunks(store, limit).await,
            expected,
            "pages of {limit}"
        );
    }
    let whole = PageRequest {
        after: None,
        limit: 50,
    };
    let whole = store.list_chunks(whole).await.unwrap();
    assert!(!whole.more, "nothing comes after the last");
    assert!(whole.items.iter().all(|info| info.length == 100));
    let past = PageRequest {
        after: Some(ChunkId::from_bytes([0xff; 32])),
        limit: 50,
    };
    assert_eq!(store.list_chunks(past).await.unwrap().items, []);
}

async fn a_list_of_chunks_stays_complete_while_more_come(store: &dyn Store) {
    let mut before = BTreeSet::new();
    for seed in 0..40 {
        before.insert(put(store, seed, 100).await);
    }
    let puts = join_all((100..140).map(|seed| {
        let (id, bytes) = chunk(seed, 100);
        store.put_chunk(id, bytes, None)
    }));
    let (listed, put) = futures::future::join(listed_chunks(store, 3), puts).await;
    assert!(put.iter().all(Result::is_ok), "{put:?}");
    assert!(listed.is_sorted_by(|a, b| a < b), "out of order, or twice");
    assert!(
        before.is_subset(&listed.into_iter().collect()),
        "what was there all the time is not listed"
    );
}

async fn an_offered_transfer_is_taken(store: &dyn Store, signer: &dyn Signer) {
    let chunks: Vec<_> = (0..3).map(|seed| chunk(seed, 100)).collect();
    let ids: Vec<_> = chunks.iter().map(|(id, _)| *id).collect();
    let draft = Draft::new(signer, &ids);
    let offer = draft.sign_offer(signer);
    for _ in 0..2 {
        let answer = store.put_offer(&offer).await.unwrap();
        assert!(
            matches!(answer, OfferAnswer::Accepted | OfferAnswer::Waiting),
            "{answer:?}"
        );
    }
    for (index, (id, bytes)) in [None, Some(0), None].into_iter().zip(chunks) {
        let part_of = Some(PartOf {
            transfer_id: draft.offer.transfer_id,
            by: signer.peer_id(),
            index,
        });
        assert_eq!(
            store.put_chunk(id, bytes, part_of).await.unwrap(),
            Put::Stored
        );
    }
    let stored = store.put_manifest(&draft.sign(signer)).await.unwrap();
    assert_eq!(stored, PutManifest::Stored);
}

async fn a_stream_of_unknown_size_can_be_offered(store: &dyn Store, signer: &dyn Signer) {
    let mut draft = draft(store, signer, 0).await;
    draft.offer.size = None;
    let answer = store.put_offer(&draft.sign_offer(signer)).await.unwrap();
    assert!(
        matches!(answer, OfferAnswer::Accepted | OfferAnswer::Waiting),
        "{answer:?}"
    );
}

async fn a_manifest_is_given_back_exactly(store: &dyn Store, signer: &dyn Signer) {
    let manifest = draft(store, signer, 0).await.sign(signer);
    let stored = store.put_manifest(&manifest).await.unwrap();
    assert_eq!(stored, PutManifest::Stored);
    let given = store.get_manifest(manifest.id()).await.unwrap();
    assert_eq!(&given, manifest.envelope());
    let state = store.manifest_state(manifest.id()).await.unwrap().state;
    assert!(
        matches!(state, TransferState::Stored | TransferState::Waiting),
        "{state:?}"
    );
    for id in manifest.payload().all_chunks() {
        assert_eq!(store.head_chunk(id).await.unwrap(), Some(100));
    }
}

async fn a_manifest_before_its_chunks_is_refused(store: &dyn Store, signer: &dyn Signer) {
    let there = put(store, 0, 100).await;
    let late: Vec<(ChunkId, Bytes)> = (1..3).map(|seed| chunk(seed, 100)).collect();
    let manifest = Draft::new(signer, &[late[0].0, there, late[1].0]).sign(signer);
    let answer = store.put_manifest(&manifest).await;
    let expected = [late[0].0, late[1].0];
    assert!(
        matches!(&answer, Err(StoreError::MissingChunks { count: 2, first }) if *first == expected),
        "{answer:?}"
    );
    assert!(is_not_found(&store.get_manifest(manifest.id()).await));
    assert!(is_not_found(&store.manifest_state(manifest.id()).await));
    assert_eq!(listed_manifests(store, EVERYTHING, None).await, []);
    for (id, bytes) in late {
        store.put_chunk(id, bytes, None).await.unwrap();
    }
    let stored = store.put_manifest(&manifest).await.unwrap();
    assert_eq!(stored, PutManifest::Stored);
}

async fn a_long_list_of_missing_chunks_is_cut_and_counted(store: &dyn Store, signer: &dyn Signer) {
    let ids: Vec<_> = (0..1_200).map(|seed| chunk(seed, 100).0).collect();
    let answer = store
        .put_manifest(&Draft::new(signer, &ids).sign(signer))
        .await;
    assert!(
        matches!(&answer, Err(StoreError::MissingChunks { count: 1_200, first }) if *first == ids[..1_000]),
        "{answer:?}"
    );
}

async fn publishing_again_is_a_success_that_says_so(store: &dyn Store, signer: &dyn Signer) {
    let manifest = draft(store, signer, 0).await.sign(signer);
    store.put_manifest(&manifest).await.unwrap();
    let again = store.put_manifest(&manifest).await.unwrap();
    assert_eq!(again, PutManifest::AlreadyThere);
    assert_eq!(
        listed_manifests(store, EVERYTHING, None).await,
        [manifest.id()]
    );
}

async fn many_publishing_one_transfer_make_one(store: &dyn Store, signer: &dyn Signer) {
    let manifest = draft(store, signer, 0).await.sign(signer);
    let answers = join_all((0..32).map(|_| store.put_manifest(&manifest))).await;
    let stored = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(PutManifest::Stored)));
    assert_eq!(stored.count(), 1);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(
        listed_manifests(store, EVERYTHING, None).await,
        [manifest.id()]
    );
}

async fn a_manifest_that_is_not_there_is_said_so(store: &dyn Store) {
    let id = ManifestId::of(b"nothing");
    assert!(is_not_found(&store.get_manifest(id).await));
    assert!(is_not_found(&store.manifest_state(id).await));
    assert!(is_not_found(&store.delete_manifest(id).await));
}

async fn a_deleted_manifest_is_gone_and_can_come_again(store: &dyn Store, signer: &dyn Signer) {
    let manifest = draft(store, signer, 0).await.sign(signer);
    store.put_manifest(&manifest).await.unwrap();
    store.delete_manifest(manifest.id()).await.unwrap();
    assert!(is_not_found(&store.get_manifest(manifest.id()).await));
    assert!(is_not_found(&store.delete_manifest(manifest.id()).await));
    assert_eq!(listed_manifests(store, EVERYTHING, None).await, []);
    let leased = store
        .missing_chunks(&manifest.payload().all_chunks().collect::<Vec<_>>())
        .await;
    assert_eq!(leased.unwrap(), [], "the lease of the chunks is not over");
    let stored = store.put_manifest(&manifest).await.unwrap();
    assert_eq!(stored, PutManifest::Stored);
}

async fn deleting_one_of_two_keeps_the_chunks_of_the_other(store: &dyn Store, signer: &dyn Signer) {
    let first = draft(store, signer, 0).await.sign(signer);
    let shared: Vec<_> = first.payload().all_chunks().collect();
    let second = Draft::new(signer, &shared).sign(signer);
    store.put_manifest(&first).await.unwrap();
    store.put_manifest(&second).await.unwrap();
    store.delete_manifest(first.id()).await.unwrap();
    for id in shared {
        assert_eq!(store.get_chunk(id).await.unwrap().len(), 100);
    }
    assert_eq!(
        listed_manifests(store, EVERYTHING, None).await,
        [second.id()]
    );
}

async fn manifests_are_listed_in_order_whatever_the_page(store: &dyn Store, signer: &dyn Signer) {
    let mut expected = BTreeSet::new();
    for seed in 0..20 {
        // Listed in between, so that a cache of the list has to follow.
        listed_manifests(store, EVERYTHING, None).await;
        let manifest = draft(store, signer, seed).await.sign(signer);
        store.put_manifest(&manifest).await.unwrap();
        expected.insert(manifest.id());
    }
    let expected: Vec<_> = expected.into_iter().collect();
    for limit in [1, 3, 19, 20, 21] {
        assert_eq!(
            listed_manifests(store, limit, None).await,
            expected,
            "pages of {limit}"
        );
    }
}

async fn a_reader_is_shown_what_may_open(store: &dyn Store, signer: &dyn Signer) {
    let reader = PeerId::of(b"reader");
    let mut for_reader = draft(store, signer, 0).await;
    for_reader.offer.wraps.push(wrap_for(reader));
    let mut with_password = draft(store, signer, 1).await;
    with_password.offer.wraps.push(password_wrap());
    let for_nobody_else = draft(store, signer, 2).await;
    let mut all = BTreeSet::new();
    for draft in [&for_reader, &with_password, &for_nobody_else] {
        let manifest = draft.sign(signer);
        store.put_manifest(&manifest).await.unwrap();
        all.insert(manifest.id());
    }
    let visible = BTreeSet::from([for_reader, with_password].map(|draft| draft.sign(signer).id()));
    for limit in [1, 2, EVERYTHING] {
        let listed = listed_manifests(store, limit, Some(reader)).await;
        assert_eq!(BTreeSet::from_iter(listed), visible, "pages of {limit}");
    }
    let to_self = listed_manifests(store, EVERYTHING, Some(signer.peer_id())).await;
    assert_eq!(BTreeSet::from_iter(to_self), all);
}

async fn a_listed_manifest_tells_what_a_blind_store_can(store: &dyn Store, signer: &dyn Signer) {
    let mut draft = draft(store, signer, 0).await;
    draft.offer.wraps.push(password_wrap());
    let manifest = draft.sign(signer);
    store.put_manifest(&manifest).await.unwrap();
    let page = PageRequest {
        after: None,
        limit: 10,
    };
    let page = store.list_manifests(page, None).await.unwrap();
    let payload = manifest.payload();
    let [info] = &page.items[..] else {
        panic!("{page:?}")
    };
    assert_eq!((info.id, info.sender), (manifest.id(), signer.peer_id()));
    assert_eq!(info.transfer_id, payload.transfer_id);
    assert_eq!(
        (info.created, info.expires),
        (payload.created, payload.expires)
    );
    assert_eq!((info.size, info.chunks), (payload.size, 3));
    assert_eq!(info.recipients, [signer.peer_id()]);
    assert!(info.password);
}
