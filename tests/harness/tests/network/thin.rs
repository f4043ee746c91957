//! A line of 24 KiB/s, which several chunks at a time are too many for: what is sent and fetched over it completes.

use std::{fs, sync::Arc, time::Instant};

use bytes::Bytes;
use colis::{
    client::{ClientOptions, Line},
    id::ChunkId,
    store::Store,
    testing::{Link, LinkOptions, Way},
    transfer::{self, SendOptions, Silent, Sources},
};
use futures::future::try_join_all;

use harness::load::Load;
use testkit::{Homes, bytes};

/// Bytes a second, each way: four chunks at a time are four times too slow for a peer, one is not.
const RATE: u64 = 24 << 10;
const CHUNK: usize = 128 << 10;

fn thin() -> Link {
    let mut options = LinkOptions::default();
    options.shared_rate = RATE;
    Link::new(options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thin_line_carries_a_transfer_to_several_recipients() {
    let homes = Homes::new(&["b", "c"]);
    let (load, link, line) = (Load::new(&homes), thin(), Line::default());
    let serving = ["b", "c"].map(|name| homes.serve(name, &["--inbox", "auto"]));
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    let mut entrances = Vec::new();
    for peer in &serving {
        let entrance = link.lead_to(peer.address).await.unwrap();
        let options = ClientOptions::default();
        let client = load.patient_client(&entrance.address().to_string(), options);
        stores.push(Arc::new(client.with_line(line.clone())));
        entrances.push(entrance);
    }
    let (path, content) = (homes.path("thin.bin"), bytes(1, 2 * CHUNK));
    fs::write(&path, &content).unwrap();
    let options = SendOptions {
        chunk_size: u32::try_from(CHUNK).unwrap(),
        jobs: 4,
        ..load.options.clone()
    };
    let sources = Sources::walk(std::slice::from_ref(&path)).unwrap();
    let begun = Instant::now();
    let sent = transfer::send(&load.sender, sources, &options, &stores, &Silent).await;
    let sent = sent.unwrap();
    assert!(sent.stores.iter().all(Result::is_ok), "{:?}", sent.stores);
    let passed = link.passed(Way::To);
    eprintln!(
        "2 x {} KiB at 24 KiB/s in {:?}, {} KiB on the way",
        content.len() >> 10,
        begun.elapsed(),
        passed >> 10
    );
    transfer::wait_until_settled(&*stores[0], sent.manifest.unwrap())
        .await
        .unwrap();
    let received = homes.home("b").join("received/thin.bin");
    assert!(fs::read(received).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thin_line_brings_several_chunks_at_a_time() {
    // Each takes longer than one alone is waited for.
    const LARGE: usize = 256 << 10;
    let homes = Homes::new(&["b"]);
    let (load, link) = (Load::new(&homes), thin());
    let serving = homes.serve("b", &["--inbox", "off"]);
    let near = load.client(&serving.to());
    let mut ids = Vec::new();
    for seed in 0..4 {
        let sealed = Bytes::from(bytes(seed, LARGE));
        ids.push(ChunkId::of(&sealed));
        near.put_chunk(ids[ids.len() - 1], sealed, None)
            .await
            .unwrap();
    }
    let entrance = link.lead_to(serving.address).await.unwrap();
    let options = ClientOptions {
        retries: 0,
        idle_timeout: std::time::Duration::from_secs(10),
        ..ClientOptions::default()
    };
    let far = load.patient_client(&entrance.address().to_string(), options);
    let fetched = try_join_all(ids.iter().map(|id| far.get_chunk(*id))).await;
    assert_eq!(fetched.unwrap().len(), 4);
}
