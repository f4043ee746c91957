//! What to do about certificates that do not count, keys that others can read, and disks that take nothing.

use std::path::Path;

use crate::{disk::Disk, manifest::Timestamp, tls::ca};

/// What to do for a peer whose certificate counts until then.
pub(super) fn already_issued(name: &str, until: Option<Timestamp>) -> String {
    let revoke = format!("colis certs revoke {name}");
    let Some(until) = until else {
        return format!(
            "renew it on that machine: colis certs renew; or revoke it for good: {revoke}"
        );
    };
    let last = ca::last_renewal(until);
    match Timestamp::now() > last {
        true => format!(
            "it ended on {until} and could be renewed until {last}: revoke it, and issue or pair again, as another peer: {revoke}"
        ),
        false => format!(
            "renew it on that machine, until {last}: colis certs renew; or revoke it for good: {revoke}"
        ),
    }
}

/// For a disk that takes nothing more: it may have bytes and no more files.
pub(in crate::cli) fn full(path: &Path) -> &'static str {
    let disk = path.ancestors().find_map(|folder| Disk::at(folder).ok());
    match disk.and_then(|disk| disk.files) {
        Some((0, _)) => "that disk can have no more files (inodes: df -i): remove some there",
        _ => "free some space on that disk, then run it again",
    }
}
