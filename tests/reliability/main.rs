//! What was acknowledged is never lost, and what has its final name is whole: peers are killed, and their disks lose
//! power, under load, while a ledger outside keeps what they acknowledged.
//!
//! `cargo test --test reliability -- --ignored --nocapture --test-threads 1`. `COLIS_ROUNDS` says how often; without it each
//! test does a few rounds. `COLIS_FS=xfs` takes XFS instead of ext4.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it did"
)]

mod calls;
mod campaign;
mod cuts;
mod disk;
mod ledger;
mod load;
mod rot;
#[path = "../support/mod.rs"]
mod support;

use campaign::{Campaign, Fault};

/// Rounds of a test, unless the environment says otherwise.
fn rounds(few: usize) -> usize {
    std::env::var("COLIS_ROUNDS").map_or(few, |rounds| rounds.parse().unwrap())
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_peer_that_is_killed_loses_nothing_acknowledged() {
    let outcome = Campaign::new(Fault::Kill).run(rounds(12));
    outcome.show("kill -9");
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_disk_that_loses_power_loses_nothing_acknowledged() {
    if !disk::can_mount() {
        eprintln!("not tried: only root can mount a disk image");
        return;
    }
    let outcome = Campaign::new(Fault::PowerLoss).run(rounds(12));
    outcome.show("power loss");
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
}

/// Every call with `COLIS_ROUNDS`, whatever it says; else one in so many.
fn step(few: usize) -> usize {
    std::env::var_os("COLIS_ROUNDS").map_or(few, |_| 1)
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_send_survives_a_kill_at_each_system_call() {
    let killed = calls::of_a_send(step(5));
    eprintln!("kill -9 at {killed} system calls of a send");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_receive_survives_a_kill_at_each_system_call() {
    let killed = calls::of_a_receive(step(9));
    eprintln!("kill -9 at {killed} system calls of a receive");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_serving_peer_survives_a_kill_at_each_system_call() {
    let killed = calls::of_a_serving_peer(step(40));
    eprintln!("kill -9 at {killed} system calls of a serving peer");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn what_rots_on_the_disk_is_never_given_out() {
    let damages = rounds(50);
    rot::campaign(damages);
    eprintln!("{damages} damaged chunks noticed by the peer, as many by check");
}

#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_transfer_survives_connections_that_end_anywhere() {
    let cuts = cuts::campaign(rounds(40));
    eprintln!("{cuts} connections cut");
}

/// A harness that cannot fail proves nothing: each of these leaves out one sync.
#[cfg(feature = "sabotage")]
#[test]
#[ignore = "a campaign: minutes, and root for the disk images"]
fn a_sync_that_is_left_out_is_seen_within_twenty_rounds() {
    assert!(disk::can_mount(), "only root can mount a disk image");
    for what in ["file-sync", "folder-sync", "received-sync"] {
        let outcome = Campaign::new(Fault::PowerLoss).without(what).run(20);
        outcome.show(what);
        assert!(!outcome.violations.is_empty(), "nobody noticed: {what}");
    }
}

/// Some number below `limit`.
fn rand(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % limit
}
