//! Good clients stay fast, and the peer stays small, while others misbehave; and when its store is large, and for long.
//!
//! `cargo test --test overload -- --nocapture`. With `COLIS_ROUNDS` each does it at full size: 10,000 connections, a
//! million chunks; with `COLIS_MINUTES` the soak takes so long.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it measured"
)]

mod crowd;
mod good;
mod hammer;
#[path = "../reliability/ledger.rs"]
#[allow(dead_code, reason = "tests/reliability uses the rest")]
mod ledger;
#[path = "../reliability/load.rs"]
#[allow(dead_code, reason = "tests/reliability uses the rest")]
mod load;
mod members;
mod memory;
#[path = "../network/proxy.rs"]
mod proxy;
mod scale;
mod site;
mod soak;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crowd::{Crowd, Vice};
use good::{Good, median};
use site::{Site, mib, until};

/// So fast is fast enough, whatever it was before.
const FAST_MS: f64 = 250.0;

/// Whether at full size.
fn is_long() -> bool {
    std::env::var_os("COLIS_ROUNDS").is_some()
}

/// One at a time: each measures how long things take.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_silent_and_slow_connections_does_not_slow_the_others() {
    let _alone = alone();
    let (strangers, members, windows) = match is_long() {
        true => (7000, 3000, 12),
        false => (1200, 300, 4),
    };
    let site = Site::new();
    let good = Good::start(&site).await;
    let base = good.watch(Duration::from_secs(5)).await;
    let (memory, descriptors) = (site.resident(), site.descriptors());
    eprintln!("before: {}", base.show());

    let crowd = Crowd::gather(&site, strangers, members);
    let (mut slow, mut failures, mut most) = (Vec::new(), Vec::new(), 0);
    for _ in 0..windows {
        let seen = good.watch(Duration::from_secs(5)).await;
        most = most.max(site.descriptors());
        eprintln!("with {most} descriptors: {}", seen.show());
        slow.push(seen.p99());
        failures.extend(seen.failures);
    }
    let grown = site.peak().saturating_sub(memory);
    let (opened, refused, late) = crowd.report();
    drop(crowd);
    let is_base = || site.descriptors() <= descriptors + 2;
    let drained = until("every descriptor is free again", is_base).await;
    eprintln!(
        "{opened} bad connections, {refused} turned away, {} closed; {} MiB more; drained in {drained:?}",
        late.len(),
        mib(grown)
    );
    tell_lateness(&late);
    assert!(
        failures.is_empty(),
        "{} failed: {failures:#?}",
        failures.len()
    );
    let slow = median(slow);
    assert!(slow <= FAST_MS.max(3.0 * base.p99()), "{slow} ms");
    assert!(grown <= 200 << 20, "{} MiB more", mib(grown));
    assert!(drained <= Duration::from_secs(10), "{drained:?}");
    assert!(most > descriptors + members / 2, "nobody came: {most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_members_are_served_in_little_memory() {
    let _alone = alone();
    members::measure(if is_long() { 10_000 } else { 500 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_bodies_at_once_are_turned_away_in_little_memory() {
    let _alone = alone();
    memory::measure(if is_long() { 20 } else { 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_hammers_does_not_slow_the_others() {
    let _alone = alone();
    hammer::measure(if is_long() { 6 } else { 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_store_is_ready_at_once_and_lists_quickly() {
    let _alone = alone();
    scale::measure(if is_long() { 1_000_000 } else { 20_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_uses_no_more_after_long_than_at_first() {
    let _alone = alone();
    let minutes = std::env::var("COLIS_MINUTES").map_or(0, |minutes| minutes.parse().unwrap());
    let seconds = if minutes > 0 { 60 * minutes } else { 20 };
    soak::measure(Duration::from_secs(seconds)).await;
}

/// Says how late bad connections were closed, of each kind; it may be a second.
fn tell_lateness(late: &[(Vice, Duration)]) {
    let limit = Duration::from_secs(1);
    for vice in [
        Vice::Silent,
        Vice::HalfHello,
        Vice::SilentMember,
        Vice::SlowHead,
        Vice::SlowBody,
        Vice::NeverReads,
    ] {
        let times = late.iter().filter(|(other, _)| *other == vice);
        let mut times: Vec<_> = times.map(|(_, late)| *late).collect();
        times.sort();
        let count = times.len();
        let over = times.iter().filter(|late| **late > limit).count();
        let most = times.last().copied().unwrap_or_default();
        eprintln!("{vice:?}: {count} closed, {over} of them over a second late, at most {most:?}");
        // One in a hundred may be late because this machine was busy when it was looked at.
        assert!(over * 100 <= count, "{vice:?}: {over} of {count} too late");
        assert!(most <= 5 * limit, "{vice:?}: {most:?}");
    }
}
