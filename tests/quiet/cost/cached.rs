//! What a transfer leaves in the page cache: of what was synced and is large, nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::{Homes, around, bytes};

use super::LARGE;

/// Chunks from this length on leave it.
const DROPPED: u64 = 256 << 10;
/// A plain file of this length does too.
const LARGE_FILE: u64 = 64 << 20;

/// Pages of `files` in memory.
fn resident(files: &[PathBuf]) -> u64 {
    let mut fincore = Command::new("fincore");
    fincore.args(["--noheadings", "--raw", "--output", "PAGES"]);
    let found = fincore.args(files).output().unwrap();
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{said}");
    let pages = String::from_utf8(found.stdout).unwrap();
    let pages = pages
        .lines()
        .map(|line| line.trim().parse::<u64>().unwrap());
    pages.sum()
}

/// The chunks in the store of `home` that are `large`, or those that are not.
fn chunks(homes: &Homes, home: &str, large: bool) -> Vec<PathBuf> {
    let shards = fs::read_dir(homes.path(home).join("chunks/data")).unwrap();
    let files = shards.flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    let is_large = |path: &PathBuf| (fs::metadata(path).unwrap().len() >= DROPPED) == large;
    files.filter(is_large).collect()
}

#[test]
fn a_stored_chunk_leaves_the_page_cache_and_what_is_small_stays() {
    let _shared = crate::MACHINE.blocking_read();
    let homes = LARGE.make();
    let peer = homes.serve("b", &["--inbox", "off"]);
    homes.ok("a", &["send", LARGE.name, "--to", &peer.to()]);
    let (large, small) = (chunks(&homes, "b", true), chunks(&homes, "b", false));
    assert_eq!(large.len(), LARGE.length >> 20);
    assert_eq!(resident(&large), 0);
    assert!(resident(&small) >= small.len() as u64, "table and sums");
}

#[test]
fn a_delivered_file_leaves_the_page_cache() {
    let _shared = crate::MACHINE.blocking_read();
    let homes = LARGE.make();
    let peer = homes.serve("c", &["--inbox", "auto"]);
    homes.ok("a", &["send", LARGE.name, "--to", &peer.to(), "--wait"]);
    let file = homes.path("c/received").join(LARGE.name).join("0.bin");
    assert!(fs::metadata(&file).unwrap().len() >= LARGE_FILE);
    assert_eq!(resident(&[file]), 0);
}

/// Advice by the thread that synced, right after a sync that worked.
#[test]
fn a_sync_that_failed_drops_nothing() {
    let _shared = crate::MACHINE.blocking_read();
    let homes = Homes::new(&[]);
    // Its table, which is stored first, is large, so that a large file is the first that is synced.
    let folder = homes.path("many");
    fs::create_dir(&folder).unwrap();
    for file in 0..4_000 {
        fs::write(folder.join(format!("{file}.txt")), "").unwrap();
    }
    fs::write(folder.join("large.bin"), bytes(1, 1 << 20)).unwrap();
    let failed = traced(&homes, "failed", &["--inject=fdatasync:error=EIO"], 7);
    assert!(failed.iter().any(|call| call.starts_with("fdatasync")));
    assert!(
        !failed.iter().any(|call| call.starts_with("fadvise64")),
        "{failed:?}"
    );
    let worked = traced(&homes, "worked", &[], 0);
    let dropped = worked
        .iter()
        .enumerate()
        .filter(|(_, call)| call.starts_with("fadvise64("));
    let dropped: Vec<_> = dropped
        .map(|(place, call)| (&worked[place - 1], call))
        .collect();
    for (before, call) in &dropped {
        let file = |call: &str| call.split(['(', ')', ',']).nth(1).map(str::to_owned);
        assert!(
            before.starts_with("fdatasync(") && before.ends_with("= 0"),
            "{before}"
        );
        assert_eq!(file(before), file(call));
        assert!(call.contains("POSIX_FADV_DONTNEED"), "{call}");
    }
    assert_eq!(dropped.len(), chunks(&homes, "a", true).len());
}

/// The calls of `share` that sync and advise, thread after thread.
fn traced(homes: &Homes, name: &str, more: &[&str], code: i32) -> Vec<String> {
    let folder = homes.path(name);
    fs::create_dir(&folder).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-ff", "--trace=fdatasync,fadvise64", "-o"]);
    strace.arg(folder.join("calls")).args(more);
    let ran = around(strace, &homes.command("a", &["share", "many"])).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(code), "{said}");
    calls_in(&folder)
}

fn calls_in(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    let is_call = |line: &String| line.starts_with("fdatasync") || line.starts_with("fadvise64");
    lines.filter(is_call).collect()
}
