//! `kill -9` of either side, at many points: what was acknowledged is there, nothing partial has a final name, and the
//! same command continues.

use std::{fs, path::Path, process::Stdio};

use testkit::{Homes, bytes, sending, wait_for};

/// Chunks that a store has on disk.
fn stored(home: &Path) -> usize {
    let shards = fs::read_dir(home.join("chunks/data"))
        .into_iter()
        .flatten()
        .flatten();
    shards
        .flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten())
        .count()
}

const SIZE: usize = 24 << 20;
const CHUNKS: usize = 384;

#[test]
fn a_sender_that_is_killed_continues() {
    let homes = Homes::new(&["b"]);
    let b = homes.serve("b", &["--inbox", "off"]);
    for (round, points) in [20, 120, 250, 330].into_iter().enumerate() {
        let name = format!("f{round}.bin");
        let content = bytes(round as u64, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let before = stored(&homes.home("b"));
        let to = b.to();
        let args = ["send", &name, "--to", &to, "--chunk-size", "64KiB"];
        let mut sending = homes
            .command("a", &args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("enough chunks", || {
            stored(&homes.home("b")) >= before + points
        });
        sending.kill().unwrap();
        sending.wait().unwrap();
        let ran = homes.run("a", &args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err
                .contains(&format!("of {CHUNKS} chunks already there")),
            "{}",
            ran.err
        );
        homes.ok("a", &["receive", "--from", "b", &name, "--out", "back"]);
        assert_eq!(fs::read(homes.path("back").join(&name)).unwrap(), content);
    }
    assert!(
        homes
            .run("b", &["check", "--read-data"])
            .out
            .contains("4 transfers complete")
    );
}

#[test]
fn a_receiving_peer_that_is_killed_loses_nothing_acknowledged() {
    let homes = Homes::new(&["b"]);
    let mut b = homes.serve("b", &["--keep-opened", "1d"]);
    let listen = b.to();
    fs::write(homes.path("whole.bin"), bytes(90, 1_000_000)).unwrap();
    homes.ok("a", &["send", "whole.bin", "--to", &listen, "--wait"]);
    for (round, points) in [10, 150, 300].into_iter().enumerate() {
        let name = format!("f{round}.bin");
        let content = bytes(round as u64 + 40, SIZE);
        fs::write(homes.path(&name), &content).unwrap();
        let before = stored(&homes.home("b"));
        let sender = homes
            .command("a", &sending(&name, &listen))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("enough chunks", || {
            stored(&homes.home("b")) >= before + points
        });
        b.kill();
        let received = homes.home("b").join("received");
        assert!(
            !received.join(&name).exists(),
            "nothing partial has its final name"
        );
        // The sender waits for the peer to come back, and goes on by itself.
        b = homes.serve_on("b", &listen, &["--keep-opened", "1d"]);
        let ended = sender.wait_with_output().unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        assert_eq!(fs::read(received.join(&name)).unwrap(), content);
    }
    assert!(
        homes
            .run("b", &["check", "--read-data"])
            .out
            .contains("4 transfers complete")
    );
}

#[test]
fn a_receive_that_is_killed_continues_and_never_shows_a_part() {
    let homes = Homes::new(&["b"]);
    let a = homes.serve("a", &[]);
    let content = bytes(70, SIZE);
    fs::write(homes.path("f.bin"), &content).unwrap();
    homes.ok("a", &["share", "f.bin", "--chunk-size", "64KiB"]);
    let args = ["receive", "--from", &a.to(), "--all", "--out", "in"];
    let progress = || {
        let stagings = fs::read_dir(homes.path("in/.colis"))
            .into_iter()
            .flatten()
            .flatten();
        let journals =
            stagings.filter_map(|staging| fs::metadata(staging.path().join("progress")).ok());
        journals.map(|journal| journal.len()).max().unwrap_or(0)
    };
    // Each chunk that is done adds a record of 13 bytes to the journal.
    // What a round needs is more than what the round before has left.
    for records in [30, 100, 150] {
        let mut receiving = homes
            .command("b", &args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let has_ended = || homes.path("in/f.bin").exists();
        wait_for("enough progress", || {
            progress() >= 68 + records * 13 || has_ended()
        });
        receiving.kill().unwrap();
        receiving.wait().unwrap();
        assert!(!has_ended(), "it ended before it could be killed");
    }
    let ran = homes.run("b", &args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("chunks already there"), "{}", ran.err);
    assert_eq!(fs::read(homes.path("in/f.bin")).unwrap(), content);
    assert!(!homes.path("in/.colis").exists());
}

#[test]
fn a_delete_that_is_killed_leaves_a_whole_store_and_can_be_repeated() {
    let homes = Homes::new(&[]);
    fs::write(homes.path("f.bin"), bytes(80, SIZE)).unwrap();
    let trash = || fs::read_dir(homes.home("a").join("chunks/trash")).map_or(0, Iterator::count);
    for points in [0, 1, 40, 300] {
        let args = ["share", "f.bin", "--to", "a", "--chunk-size", "64KiB"];
        homes.ok("a", &args);
        let mut deleting = homes
            .command("a", &["delete", "f.bin", "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("enough chunks in the trash", || {
            trash() >= points || deleting.try_wait().unwrap().is_some()
        });
        deleting.kill().unwrap();
        deleting.wait().unwrap();
        // What can be seen is whole, and none of it goes twice.
        homes.ok("a", &["check", "--read-data"]);
        let again = homes.run("a", &["delete", "f.bin", "--yes"]);
        assert!([0, 6].contains(&again.code), "{again:?}");
        assert_eq!(homes.ok("a", &["list"]), "");
        homes.ok("a", &["gc", "--unfinished"]);
        assert_eq!((stored(&homes.home("a")), trash()), (0, 0));
        // Its sender brings it back.
        homes.ok("a", &args);
        assert!(homes.ok("a", &["list"]).contains("f.bin"));
        homes.ok("a", &["delete", "f.bin", "--yes"]);
        homes.ok("a", &["gc", "--unfinished"]);
    }
}
