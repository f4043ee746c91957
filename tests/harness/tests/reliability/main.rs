//! What was acknowledged is never lost, and what has its final name is whole: peers are killed, their disks lose power, fail or
//! are full, connections end, bytes rot, while a ledger outside keeps what was acknowledged.
//!
//! `COLIS_ROUNDS` says how often; without it each test does a few rounds. `COLIS_FS=xfs` takes XFS instead of ext4.
//! With `--features sabotage` the harnesses themselves are tried.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends where something is not as it must be, and says what it did"
)]

mod calls;
mod campaign;
mod cuts;
mod disk;
mod errors;
mod foreign;
mod full;
mod hostile;
mod inject;
mod rot;
#[cfg(feature = "sabotage")]
mod sabotaged;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use campaign::{Fault, Outcome, campaign};
use disk::Disk;
use full::Full;
use inject::{Numbers, Wrong};
use testkit::{is_long, rounds};

/// Every call with `COLIS_ROUNDS`, whatever it says; else every `step`th until the `last`.
fn numbers(step: usize, last: usize) -> Numbers {
    match is_long() {
        true => (1..=usize::MAX).step_by(1),
        false => (1..=last).step_by(step),
    }
}

/// One at a time: they load the machine, and a peer must be ready within a second.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kept(outcome: &Outcome, what: &str) {
    outcome.show(what);
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
}

#[test]
fn a_peer_that_is_killed_loses_nothing_acknowledged() {
    let _alone = alone();
    kept(&campaign(Fault::Kill, rounds(8)), "kill -9");
}

#[test]
fn a_disk_that_loses_power_loses_nothing_acknowledged() {
    let _alone = alone();
    if disk::can_mount() {
        kept(&campaign(Fault::PowerLoss, rounds(8)), "power loss");
    }
}

#[test]
fn a_disk_that_fails_under_load_is_said_so_and_loses_nothing_acknowledged() {
    let _alone = alone();
    if disk::can_mount() {
        kept(&campaign(Fault::DeadDisk, rounds(4)), "dead disk");
    }
}

#[test]
fn a_serving_peer_in_which_a_call_fails_acknowledges_nothing_wrong() {
    let _alone = alone();
    if disk::can_mount() {
        let outcome = errors::of_a_serving_peer(&numbers(1, 1));
        kept(&outcome, "failing calls of a serving peer");
    }
}

#[test]
fn a_send_survives_a_kill_at_each_system_call() {
    let _alone = alone();
    let killed = calls::of_a_send(&numbers(9, 30), Wrong::Killed);
    eprintln!("kill -9 at {killed} system calls of a send");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
fn a_receive_survives_a_kill_at_each_system_call() {
    let _alone = alone();
    let killed = calls::of_a_receive(&numbers(19, 60), Wrong::Killed);
    eprintln!("kill -9 at {killed} system calls of a receive");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
fn a_serving_peer_survives_a_kill_at_each_system_call() {
    let _alone = alone();
    let killed = calls::of_a_serving_peer(&numbers(39, 40));
    eprintln!("kill -9 at {killed} system calls of a serving peer");
    assert!(killed > 3, "it was killed {killed} times");
}

#[test]
fn a_send_survives_a_failure_of_each_system_call() {
    let _alone = alone();
    for error in ["EIO", "ENOSPC"] {
        let failed = calls::of_a_send(&numbers(39, 40), Wrong::Fails(error));
        eprintln!("{error} at {failed} system calls of a send");
        assert!(failed > 3, "{error} {failed} times");
    }
}

#[test]
fn a_receive_survives_a_failure_of_each_system_call() {
    let _alone = alone();
    if !disk::can_mount() {
        return;
    }
    for error in ["EIO", "ENOSPC"] {
        let failed = calls::of_a_receive(&numbers(39, 40), Wrong::Fails(error));
        eprintln!("{error} at {failed} system calls of a receive");
        assert!(failed > 3, "{error} {failed} times");
    }
}

#[test]
fn a_hostile_member_takes_nothing_from_the_others() {
    let _alone = alone();
    let length = Duration::from_secs(rounds(8) as u64);
    let (acknowledged, tried, broken) = hostile::campaign(length);
    eprintln!("{tried} hostile acts, {acknowledged} acknowledgements to others");
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(acknowledged > 5 && tried > 5, "{acknowledged} {tried}");
}

#[test]
fn a_full_disk_is_said_so_and_heals() {
    let _alone = alone();
    if disk::can_mount() {
        for full in [Full::Reserve, Full::Blocks, Full::Inodes] {
            full::campaign(full);
        }
    }
}

#[test]
fn a_chunk_whose_folder_was_never_synced_is_not_acknowledged() {
    let _alone = alone();
    if disk::can_mount() {
        Disk::kinds().for_each(full::dies_before_the_folder_is_synced);
    }
}

#[test]
fn a_peer_without_descriptors_is_there_again_when_it_has_some() {
    let _alone = alone();
    full::of_descriptors();
}

#[test]
fn what_is_not_ours_in_a_store_is_reported_and_never_followed() {
    let _alone = alone();
    if disk::can_mount() {
        let things = foreign::campaign();
        eprintln!("{things} foreign things reported");
    }
}

#[test]
fn what_rots_on_the_disk_is_never_given_out() {
    let _alone = alone();
    let damages = rounds(50);
    rot::campaign(damages);
    eprintln!("{damages} damaged chunks noticed by the peer, as many by check");
}

#[test]
fn a_transfer_survives_connections_that_end_anywhere() {
    let _alone = alone();
    let cuts = cuts::campaign(rounds(40));
    eprintln!("{cuts} connections cut");
}

/// Some number below `limit`.
fn rand(limit: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % limit
}
