//! Nobody fills a log, a history or a folder of states with transfers.

use std::fs;

use colis::{
    client::PeerClient,
    crypto::chunk::OVERHEAD,
    id::{PeerId, TransferId},
    manifest::Signer as _,
    store::Store as _,
    tls::{CertsDir, Identity},
};
use testkit::{
    Homes, Serving,
    person::set,
    sealed::{Draft, chunk, wrap_for},
    wait_for,
};

use super::{history, inbox_counts, logged};
use crate::members::kept::client;

/// What `c` needs to bring `b` a transfer of no bytes that cannot be opened. Its chunks are there.
pub(crate) async fn unopenable(
    homes: &Homes,
    b: &Serving,
) -> (Identity, PeerId, PeerClient, Draft) {
    let identity = |name| Identity::load(&CertsDir::new(homes.home(name).join("certs"))).unwrap();
    let (c, to) = (identity("c"), identity("b").peer_id());
    let client = client(homes, "c", b);
    let [table, sums] = [1, 2].map(|seed| chunk(seed, 256 + OVERHEAD));
    for (id, sealed) in [&table, &sums] {
        client.put_chunk(*id, sealed.clone(), None).await.unwrap();
    }
    let mut draft = Draft::new(&c, &[table.0, sums.0]);
    draft.offer.wraps.push(wrap_for(to));
    (c, to, client, draft)
}

/// A transfer of no bytes that cannot be opened, again and again under other ids.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_cannot_be_opened_fill_neither_log_nor_history_nor_state() {
    const COUNT: usize = 60;
    let homes = Homes::new(&["b", "c"]);
    let b = homes.serve("b", &[]);
    let (c, _, client, mut draft) = unopenable(&homes, &b).await;
    for _ in 0..COUNT {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        let manifest = draft.sign(&c);
        client.put_manifest(&manifest).await.unwrap();
        let id = manifest.id();
        wait_for("it is looked at", || {
            let state = homes
                .home("b")
                .join("chunks/state/transfers")
                .join(id.to_string());
            state.exists()
        });
        client.delete_manifest(id).await.unwrap();
    }
    let states = fs::read_dir(homes.home("b").join("chunks/state/transfers")).unwrap();
    assert_eq!(states.count(), 0);
    let lines = logged(&homes, "not opened");
    assert!((1..=11).contains(&lines.len()), "{}", lines.len());
    assert_eq!(lines[0]["sender"], "c");
    let entries = history(&homes, "refused").len();
    assert!((32..=33).contains(&entries), "{entries}");
    let count = inbox_counts(&homes, &b)["failed"].as_u64().unwrap();
    assert!(count >= COUNT as u64, "the rest is counted: {count}");
}

/// Many small transfers of a sender about whose transfers the owner is asked.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_that_wait_fill_neither_log_nor_history_and_all_of_them_wait() {
    const COUNT: usize = 60;
    let homes = Homes::new(&["b", "c"]);
    set(&homes, "b", "inbox", "ask");
    let b = homes.serve("b", &[]);
    let (c, _, client, mut draft) = unopenable(&homes, &b).await;
    for _ in 0..COUNT {
        draft.offer.transfer_id = TransferId::generate().unwrap();
        client.put_manifest(&draft.sign(&c)).await.unwrap();
    }
    let waiting = || inbox_counts(&homes, &b)["left_waiting"].as_u64();
    wait_for("all are looked at", || waiting() == Some(COUNT as u64));
    let lines = logged(&homes, "not opened unasked");
    assert!((1..=11).contains(&lines.len()), "{}", lines.len());
    assert_eq!(
        (&lines[0]["sender"], &lines[0]["silenced"]),
        (&"c".into(), &0.into())
    );
    let entries = history(&homes, "waiting");
    assert!((32..=33).contains(&entries.len()), "{}", entries.len());
    assert!(entries[0]["left_out"] == 0, "{}", entries[0]);
    let inbox = homes.ok("b", &["--json", "inbox"]);
    assert_eq!(inbox.matches("\"event\":\"waiting\"").count(), COUNT);
}
