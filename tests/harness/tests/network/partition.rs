//! A network that is gone for a while: nobody is told, nothing passes, and then it is back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use colis::client::ClientOptions;
use tokio::time::sleep;

use crate::{Road, is_long};
use colis::testing::{LinkOptions, Way};
use testkit::bytes;

const SIZE: usize = 12 << 20;
/// So that it is gone in the middle of the transfer.
const RATE: u64 = 4 << 20;
/// Chunks in flight, which each try again.
const JOBS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_goes_on_when_the_network_is_back() {
    let silences: &[u64] = if is_long() {
        &[1, 5, 12, 20, 40, 60]
    } else {
        &[1, 7]
    };
    let all = silences.iter().map(|seconds| goes_on(*seconds));
    futures::future::join_all(all).await;
}

async fn goes_on(seconds: u64) {
    let mut options = LinkOptions::default();
    options.rate = RATE;
    let road = Road::new(options, ClientOptions::default()).await;
    let (link, content) = (&road.link, bytes(seconds, SIZE));
    let done = AtomicBool::new(false);
    let passed = || link.passed(Way::To);
    let interrupted = async {
        while passed() < SIZE as u64 / 4 {
            sleep(Duration::from_millis(5)).await;
        }
        link.stall();
        let before = link.connections();
        sleep(Duration::from_secs(seconds)).await;
        let attempts = link.connections() - before;
        let arrived = link.delivered();
        link.restore();
        let healed = Instant::now();
        let is_over = || done.load(Ordering::SeqCst);
        while link.delivered() < arrived + (1 << 20) && !is_over() {
            sleep(Duration::from_millis(5)).await;
        }
        (attempts, healed.elapsed())
    };
    let send = async {
        let sent = road.send("cut.bin", &content).await;
        done.store(true, Ordering::SeqCst);
        sent
    };
    let (sent, (attempts, resumed)) = tokio::join!(send, interrupted);
    eprintln!("{seconds} s of silence: {attempts} connections tried, a MiB more after {resumed:?}");
    sent.unwrap();
    assert!(road.received("cut.bin") == content);
    assert!(resumed <= Duration::from_secs(5), "{resumed:?}");
    assert!(attempts as u64 <= 2 * JOBS + seconds, "{attempts} attempts");
}
