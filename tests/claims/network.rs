//! The kit for tests of programs that use colis: peers on the loopback, and links that are cut.

use std::{fs, path::Path, time::Duration};

use colis::{
    peer::{Outcome, Peer},
    session::{Kind, SendRequest, Sent},
    testing::{LinkOptions, Network, Way},
    transfer::Sources,
};
use testkit::bytes;
use tokio::time::timeout;

const SIZE: usize = 8 << 20;

/// Sends `path` from one peer to another, in small chunks.
async fn send(
    network: &Network,
    path: &Path,
    from: usize,
    to: usize,
) -> Result<Sent, colis::session::Error> {
    let mut request = SendRequest::to([network.name(to)]);
    request.sealing.chunk_size = Some(64 << 10);
    let sources = Sources::walk(&[path.to_owned()]).unwrap();
    network.session(from)?.send(sources, &request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_peer_knows_every_other_by_name() {
    let network = Network::of(4).await.unwrap();
    let mut arrivals = Vec::new();
    for number in 0..network.len() {
        arrivals.push(network.peer(number).arrivals());
    }
    for from in 0..network.len() {
        let path = network.path(&format!("from{from}"));
        fs::write(&path, from.to_string()).unwrap();
        for to in (0..network.len()).filter(|to| *to != from) {
            send(&network, &path, from, to).await.unwrap();
            let arrival = arrivals[to].recv().await.unwrap();
            assert_eq!(arrival.sender_name.as_deref(), Some(network.name(from)));
            assert!(matches!(arrival.outcome, Outcome::Opened(_)));
        }
    }
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_over_a_link_that_is_cut_in_the_middle_fails_and_goes_on_when_it_is_whole() {
    let network = Network::of(3).await.unwrap();
    let (path, content) = (network.path("film"), bytes(1, SIZE));
    fs::write(&path, &content).unwrap();
    let link = network.link(1, 2);
    link.cut_after(SIZE as u64 / 2);
    let error = send(&network, &path, 1, 2).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error:?}");
    let cut_at = link.passed(Way::To);
    assert!(cut_at >= SIZE as u64 / 2, "{cut_at}");
    // The others are not cut.
    send(&network, &path, 0, 2).await.unwrap();
    link.restore();
    let mut arrivals = network.peer(2).arrivals();
    let sent = send(&network, &path, 1, 2).await.unwrap();
    assert!(sent.already_chunks > 0, "{sent:?}");
    let Outcome::Opened(files) = arrivals.recv().await.unwrap().outcome else {
        panic!("it is not opened")
    };
    assert!(fs::read(&files.paths[0]).unwrap() == content);
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_passes_nothing_holds_a_send_up_until_it_is_restored() {
    let network = Network::of(2).await.unwrap();
    let path = network.path("f");
    fs::write(&path, "x").unwrap();
    network.link(0, 1).stall();
    let sending = send(&network, &path, 0, 1);
    let mut sending = Box::pin(sending);
    let early = timeout(Duration::from_secs(1), &mut sending).await;
    assert!(early.is_err(), "{early:?}");
    assert!(network.link(0, 1).connections() > 0);
    network.link(0, 1).restore();
    sending.await.unwrap();
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_killed_runs_again_and_is_reached_where_it_was() {
    let mut network = Network::of(2).await.unwrap();
    let path = network.path("f");
    fs::write(&path, "x").unwrap();
    network.kill(1).await;
    let error = send(&network, &path, 0, 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error:?}");
    // Its home is free.
    drop(Peer::open(colis::peer::PeerOptions::at(network.home(1))).unwrap());
    network.start(1).unwrap();
    let mut arrivals = network.peer(1).arrivals();
    send(&network, &path, 0, 1).await.unwrap();
    arrivals.recv().await.unwrap();
    network.stop(1).await.unwrap();
    network.stop(1).await.unwrap();
    network.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_dropped_leaves_nothing() {
    let network = Network::of(2).await.unwrap();
    let (root, peer) = (network.path(""), network.peer(1).clone());
    assert!(root.exists());
    drop(network);
    peer.released().await;
    assert!(!root.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_takes_its_time() {
    let network = Network::of(2).await.unwrap();
    let mut options = LinkOptions::default();
    options.latency = Duration::from_millis(40);
    let link = colis::testing::Link::new(options);
    let entrance = link.lead_to(network.peer(1).address()).await.unwrap();
    let begun = std::time::Instant::now();
    let session = network.session(0).unwrap();
    session
        .connect(&entrance.address().to_string())
        .await
        .unwrap();
    // The handshake and a request: two round trips at least.
    assert!(begun.elapsed() >= Duration::from_millis(160));
    network.shutdown().await.unwrap();
}
