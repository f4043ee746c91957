//! Good clients stay fast, and the peer stays small, while others misbehave; and when its store is large, and for long.
//!
//! `cargo test -p harness --test overload -- --nocapture`. With `COLIS_ROUNDS` each does it at full size: 10,000 connections, a
//! million chunks; with `COLIS_MINUTES` the soak takes so long.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it measured"
)]

mod attacks;
mod crowd;
mod good;
mod hammer;
mod members;
mod memory;
mod room;
mod scale;
mod site;
mod soak;
mod storm;

use std::time::Duration;

use testkit::{is_long, minutes};
use tokio::sync::Mutex;

/// So fast is fast enough, whatever it was before.
const FAST_MS: f64 = 250.0;

/// How long good clients are looked at before a percentile is taken.
const WINDOW: Duration = Duration::from_secs(5);

/// One at a time: each measures how long things take.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_silent_and_slow_connections_does_not_slow_the_others() {
    let _alone = ALONE.lock().await;
    match is_long() {
        true => crowd::measure(7000, 3000, 12).await,
        false => crowd::measure(1200, 300, 5).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_members_are_served_in_little_memory() {
    let _alone = ALONE.lock().await;
    members::measure(if is_long() { 10_000 } else { 500 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_bodies_at_once_are_turned_away_in_little_memory() {
    let _alone = ALONE.lock().await;
    memory::measure(if is_long() { 20 } else { 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_on_memory_at_once_kills_nobody_and_lets_others_work() {
    let _alone = ALONE.lock().await;
    storm::measure(if is_long() { 4 } else { 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_hammers_does_not_slow_the_others() {
    let _alone = ALONE.lock().await;
    hammer::measure(if is_long() { 10 } else { 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_store_is_ready_at_once_and_lists_quickly() {
    let _alone = ALONE.lock().await;
    scale::measure(if is_long() { 1_000_000 } else { 20_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_uses_no_more_after_long_than_at_first() {
    let _alone = ALONE.lock().await;
    let seconds = minutes().map_or(20, |minutes| 60 * minutes);
    soak::measure(Duration::from_secs(seconds)).await;
}
