//! Operations of one process on one home, side by side, with a peer that serves it and without.

use std::{
    fs,
    time::{Duration, Instant},
};

use colis::{
    session::{ReceiveRequest, Sealing, Session, message},
    testing::Network,
};
use testkit::{Homes, bytes};

#[tokio::test]
async fn operations_of_one_process_share_the_store() {
    let homes = Homes::new(&[]);
    let (one, two) = (
        Session::open(homes.home("a")).unwrap(),
        Session::open(homes.home("a")).unwrap(),
    );
    fs::write(homes.path("f"), bytes(1, 8 << 20)).unwrap();
    let (sealing, to) = (Sealing::default(), ["a".to_owned()]);
    let (file, text) = (one.walk([homes.path("f")]).unwrap(), message("x").unwrap());
    let shared = tokio::join!(
        one.share(file, &to, &sealing),
        one.share(text, &to, &sealing),
        one.list_of(None),
        two.list_of(None),
        two.collect_garbage(false),
    );
    assert!(shared.0.unwrap().complete && shared.1.unwrap().complete);
    shared.2.unwrap();
    shared.3.unwrap();
    shared.4.unwrap();
    let (received, again) = (
        one.receive(ReceiveRequest::named(["f"])),
        two.share(message("y").unwrap(), &to, &sealing),
    );
    let (received, again) = tokio::join!(received, again);
    assert!(received.unwrap().complete && again.unwrap().complete);
    // When they have ended the home is free.
    homes.ok("a", &["list"]);
    homes.ok("a", &["gc"]);
}

/// Runs `work`, and gives the longest time for which this thread did nothing else.
async fn longest_stall<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut longest = Duration::ZERO;
    let ticks = async {
        loop {
            let begun = Instant::now();
            tokio::time::sleep(Duration::from_millis(10)).await;
            longest = longest.max(begun.elapsed());
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = ticks => unreachable!("it ticks for ever"),
    };
    (done, longest)
}

#[tokio::test]
async fn a_served_home_is_asked_at_once_and_nothing_blocks() {
    let homes = Homes::new(&["b"]);
    let serving = homes.serve("b", &[]);
    let session = Session::open(homes.home("b")).unwrap();
    let to = ["b".to_owned()];
    let (sealing, begun) = (Sealing::default(), Instant::now());
    let work = async {
        session.list_of(None).await.unwrap();
        let shared = session.share(message("x").unwrap(), &to, &sealing).await;
        shared.unwrap();
        session.inbox().unwrap().waiting().await.unwrap();
    };
    let ((), stall) = longest_stall(work).await;
    // Each waited half a second for the lock.
    assert!(stall < Duration::from_millis(400), "{stall:?}");
    assert!(begun.elapsed() < Duration::from_millis(1400));
    drop(serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_this_process_is_found_too() {
    let network = Network::of(1).await.unwrap();
    let session = network.session(0).unwrap();
    let begun = Instant::now();
    for _ in 0..4 {
        session.list_of(None).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    network.shutdown().await.unwrap();
}
