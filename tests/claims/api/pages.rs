//! Pages of lists whose entries are long.

use colis::{
    id::{ManifestId, PeerId, TransferId},
    manifest::MAX_WRAPS,
    store::Store as _,
    wire::{MAX_PAGE_BYTES, ManifestList},
};

use testkit::sealed::{Draft, TestSigner, chunk, wrap_for};
use testkit::server::TestPeer;

const TRANSFERS: usize = 400;

/// A catalogue of transfers that have as many recipients as there may be.
async fn fill(peer: &TestPeer) {
    let signer = TestSigner::new(1);
    let ids = [1, 2, 3].map(|seed| chunk(seed, 100));
    for (id, sealed) in &ids {
        let put = peer.store.put_chunk(*id, sealed.clone(), None).await;
        put.unwrap();
    }
    let mut draft = Draft::new(&signer, &ids.map(|(id, _)| id));
    let readers = (1..MAX_WRAPS).map(|n| wrap_for(PeerId::of(&n.to_be_bytes())));
    draft.offer.wraps.extend(readers);
    for _ in 0..TRANSFERS {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        let put = peer.store.put_manifest(&draft.sign(&signer)).await;
        put.unwrap();
    }
}

#[tokio::test]
async fn a_page_ends_early_when_it_gets_long_and_the_next_goes_on() {
    let peer = TestPeer::start().await;
    fill(&peer).await;
    let client = peer.client(&peer.member("a"));
    let mut all: Vec<ManifestId> = Vec::new();
    let (mut after, mut pages) = (String::new(), 0);
    loop {
        let url = peer.url(&format!("/v1/manifests?limit=10000{after}"));
        let page = client.get(url).send().await.unwrap();
        let page = page.bytes().await.unwrap();
        assert!(page.len() < 2 * MAX_PAGE_BYTES, "{} bytes", page.len());
        let list: ManifestList = serde_json::from_slice(&page).unwrap();
        all.extend(list.manifests.iter().map(|info| info.id));
        pages += 1;
        let Some(next) = list.next else { break };
        after = format!("&after={next}");
    }
    assert!(pages > 1, "it is long");
    assert_eq!(all.len(), TRANSFERS);
    assert!(all.is_sorted_by(|a, b| a < b), "none is there twice");
}
