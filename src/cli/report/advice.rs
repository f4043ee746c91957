//! What to do about certificates that do not count, keys that others can read, and disks that take nothing.

use std::path::Path;

use crate::{
    disk::{Disk, Lack, lacks},
    manifest::{Distrust, Timestamp},
    store::{Alert, Rejection},
    tls::ca,
};

/// For our certificate that is revoked.
pub(in crate::cli) const ASK_FOR_NEW: &str =
    "ask the owner of the circle for a new certificate: colis certs issue";
const OTHER_CIRCLE: &str = "that peer belongs to another circle: both need certificates of one circle, see colis certs issue";

/// What to do where one side does not trust the other.
pub(super) fn rejected(cause: &Rejection) -> &'static str {
    match cause {
        Rejection::WeRefusedThem(distrust) => distrusted(distrust),
        Rejection::TheyRefusedUs(alert) => refused(*alert),
    }
}

/// What to do about the certificate of a peer.
pub(in crate::cli) fn distrusted(distrust: &Distrust) -> &'static str {
    match distrust {
        Distrust::Expired { .. } => {
            "compare the clocks of both machines: timedatectl; if they are right, on that machine: colis certs renew, which a peer that serves does by itself if it reaches the circle's machine"
        }
        Distrust::NotYetValid { .. } => "compare the clocks of both machines: timedatectl",
        Distrust::Revoked { .. } => {
            "the owner of the circle took it back: that machine needs a new one, colis certs issue"
        }
        Distrust::Foreign { .. } => OTHER_CIRCLE,
        Distrust::OtherPeer { .. } => {
            "another machine is at that address now: give the new one; or if that peer really has a new key: \
             colis peers forget NAME"
        }
        Distrust::Malformed(_) | Distrust::WrongUsage { .. } | Distrust::Blocked { .. } => {
            "is it a colis peer? It should serve with the server-cert.pem that was issued for it"
        }
    }
}

/// What to do about a peer that refuses our certificate.
pub(in crate::cli) fn refused(alert: Alert) -> &'static str {
    match alert {
        Alert::Revoked => ASK_FOR_NEW,
        Alert::Expired => {
            "compare the clocks of both machines: timedatectl; if they are right, renew ours: colis certs renew"
        }
        Alert::Blocked => {
            "its owner has blocked this peer; only its owner can change that, there: colis peers role NAME member"
        }
        Alert::OtherCircle => OTHER_CIRCLE,
        Alert::NoneShown | Alert::OtherVersion | Alert::Other(_) => {
            "compare the certificates of both machines: colis certs show"
        }
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
