//! A harness that cannot fail proves nothing: each is run against a build that leaves something out, and must say so.

use std::process::Command;

/// What is left out, the test that must see it, and what that test must say.
const SABOTAGES: [(&str, &str, &str); 11] = [
    (
        "file-sync",
        "a_disk_that_loses_power_loses_nothing_acknowledged",
        " is wrong, it has ",
    ),
    (
        "folder-sync",
        "a_disk_that_loses_power_loses_nothing_acknowledged",
        " is lost",
    ),
    (
        "received-sync",
        "a_disk_that_loses_power_loses_nothing_acknowledged",
        "/received/",
    ),
    (
        "shutdown-check",
        "a_chunk_whose_folder_was_never_synced_is_not_acknowledged",
        "xfs: acknowledged without a disk",
    ),
    (
        "sync-errors",
        "a_serving_peer_in_which_a_call_fails_acknowledges_nothing_wrong",
        " is wrong, it has ",
    ),
    (
        "sync-errors",
        "a_receive_survives_a_failure_of_each_system_call",
        ": not whole",
    ),
    (
        "send-journal,existing",
        "a_send_survives_a_kill_at_each_system_call",
        "left: 2",
    ),
    (
        "existing",
        "a_receive_survives_a_kill_at_each_system_call",
        "folder (2)",
    ),
    (
        "leases",
        "a_hostile_member_takes_nothing_from_the_others",
        " is lost",
    ),
    (
        "read-hash",
        "what_rots_on_the_disk_is_never_given_out",
        "one bit at",
    ),
    (
        "retries",
        "a_transfer_survives_connections_that_end_anywhere",
        "Network",
    ),
];

#[test]
fn what_is_left_out_is_seen_within_twenty_rounds() {
    let _alone = super::alone();
    for (what, test, said) in SABOTAGES {
        let mut harness = Command::new(std::env::current_exe().unwrap());
        harness.args(["--exact", test, "--nocapture"]);
        let ran = harness
            .env("COLIS_SABOTAGE", what)
            .env("COLIS_ROUNDS", "20")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success(), "nobody noticed: {what}");
        assert!(text.contains(said), "{what}: {text}");
        eprintln!("without {what}: {test} fails");
    }
}
