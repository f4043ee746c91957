//! System calls that fail, one after the other: nothing is acknowledged that the disk does not have, and what passes heals
//! by itself.

use crate::{
    campaign::{Bench, Fault, Outcome},
    inject::{Numbers, each},
};

/// Calls that a serving peer makes, and the errors that each may give. Not `write`: strace cannot tell a file from what
/// wakes a thread; `full.rs` lets it fail in earnest.
const OF_A_PEER: [(&str, &[&str]); 6] = [
    (
        "EIO",
        &[
            "fdatasync",
            "fsync",
            "openat",
            "openat2",
            "read",
            "newfstatat",
            "statx",
            "fstat",
            "getdents64",
            "utimensat",
            "mkdirat",
            "fallocate",
            "pwrite64",
            "linkat",
            "rename",
            "renameat2",
            "unlinkat",
            "ftruncate",
        ],
    ),
    (
        "ENOSPC",
        &[
            "openat",
            "openat2",
            "mkdirat",
            "fallocate",
            "pwrite64",
            "fsync",
            "fdatasync",
            "linkat",
            "rename",
            "renameat2",
        ],
    ),
    ("EDQUOT", &["openat", "fallocate", "fdatasync", "linkat"]),
    ("EMFILE", &["openat", "openat2", "accept4"]),
    ("ENOMEM", &["openat", "accept4", "linkat", "getdents64"]),
    ("EINTR", &["openat", "read", "accept4", "epoll_wait"]),
];

/// A serving peer in which each of these calls fails, under load, until something is broken.
pub(crate) fn of_a_serving_peer(numbers: &Numbers) -> Outcome {
    let mut bench = Bench::new(true, Outcome::default());
    for (error, calls) in OF_A_PEER {
        each(calls, numbers, |call| {
            bench.renew_if_old();
            bench.outcome.violations.is_empty() && bench.round(Fault::Error(call, error))
        });
    }
    bench.finish()
}
