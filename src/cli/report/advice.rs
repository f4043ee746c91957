//! What to do about certificates that do not count, keys that others can read, and disks that take nothing.

use std::path::Path;

use crate::{
    disk::{Disk, Lack, lacks},
    manifest::Timestamp,
    tls::ca,
};

/// What to do where one side does not trust the other for this reason.
pub(super) fn untrusted(reason: &str) -> &'static str {
    if reason.contains("revoked") {
        "ask the owner of the circle for a new certificate: colis certs issue"
    } else if reason.contains("blocked") {
        "only its owner can change that, there: colis peers role NAME member"
    } else if reason.contains("refused our certificate (it has expired") {
        "compare the clocks of both machines; if they are right, renew ours: colis certs renew"
    } else {
        "compare certificates and clocks on both machines: colis certs show"
    }
}

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

/// What `command` cannot mend of the mode of `path`, because the file system keeps none; else `command`.
pub(in crate::cli) fn unless_without_modes(path: &Path, command: String) -> String {
    let folder = path.parent().unwrap_or(path);
    match lacks(folder).is_ok_and(|lacks| lacks.contains(&Lack::Modes)) {
        false => command,
        true => format!(
            "the file system of {} keeps no modes, so chmod changes nothing there: keep the home on another (--home), such \
             as ext4, or mount that one for yourself alone (umask=077)",
            folder.display()
        ),
    }
}
