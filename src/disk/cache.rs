//! The page cache: durable bytes that are hardly read again leave it.
//!
//! A page that a file takes there is one that the system must find. Where a virtual machine gives free memory back to its host, each
//! new page is a fault of the host, which costs more than hashing what is in it. Pages that leave at once are taken again and again.

use std::os::fd::AsFd;

/// Smaller files stay: one more system call would cost more than their pages.
const SMALLEST: u64 = 256 << 10;

/// Drops the pages of `file`, which has `length` bytes and was just synced: after a sync that failed they may be the only copy.
/// This is advice, so that it fails nothing.
pub(crate) fn drop_synced(file: impl AsFd, length: u64) {
    if length >= SMALLEST {
        advise(file);
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn advise(file: impl AsFd) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn advise(_: impl AsFd) {}
