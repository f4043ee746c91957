//! What to do where one side does not trust the other.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use rustix::process::geteuid;

use crate::{
    manifest::Distrust,
    name::shell_word,
    peer::moving_directory,
    store::Alert,
    tls::{CertsDir, Inspected, TlsError},
};

/// For our certificate that is revoked.
pub(crate) const ASK_FOR_NEW: &str = "this peer is a member no more; to come in again as another one: colis certs leave, then \
     colis pair on the circle's machine, and here colis pair HOST";
/// The same where an outside authority signs.
pub(crate) const ASK_FOR_NEW_OUTSIDE: &str = "this peer is a member no more; to come in again as another one: colis certs leave, then colis certs \
     import, with a certificate for another key";
/// Where an outside authority's lists are not all there.
pub(crate) const NO_LIST: &str = "put the newest list of each authority of the chain, root and intermediates, into one file: certs/crl.pem, or crl of [tls] \
     in colis.toml";
const OTHER_CIRCLE: &str = "that peer belongs to another circle: both need certificates of one circle, see colis certs issue";

/// What to do about a file of `certs/` that is not what it must be, or is not there.
pub(crate) fn bad_file(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dir = CertsDir::new(path.parent().unwrap_or(Path::new(".")));
    let here = shell_word(path);
    match &*name {
        "crl.pem" if dir.outside().is_some() => NO_LIST.to_owned(),
        "authority.pem" => {
            "take the authority's certificates over again, root and intermediates: colis certs import --ca FILE".to_owned()
        }
        "server-cert.pem" | "server-key.pem" | "seal-key.pem" if dir.outside().is_some() => {
            "restore certs/ from a backup; if there is none, as another peer, with certs/ moved away: colis certs import --ca FILE --cert \
             FILE --key FILE"
                .to_owned()
        }
        "crl.pem" if is_of_another_circle(&dir) => ONE_CIRCLE.to_owned(),
        "directory.json" => moving_directory(&dir),
        "crl.pem" => format!(
            "move it away, then fetch it from a member: mv {here} {here}.bad; colis peers check PEER"
        ),
        "ca-cert.pem" => {
            "restore it from a backup, or copy it from certs/ of another machine of this circle: it is the same file there".to_owned()
        }
        "ca-key.pem" => {
            "restore it from a backup: no other machine has it, and without it nobody can join, be renewed or be revoked".to_owned()
        }
        "client-cert.pem" | "client-key.pem" => {
            "restore client-cert.pem and client-key.pem from the folder that was issued, or from a backup; only curl and scripts need them".to_owned()
        }
        "issued.jsonl" => {
            NO_RECORD.to_owned()
        }
        "server-cert.pem" | "server-key.pem" | "seal-key.pem" if dir.ca_key().exists() => {
            "restore certs/ from one backup of this machine, which is the circle's".to_owned()
        }
        "server-cert.pem" | "server-key.pem" | "seal-key.pem" => {
            "restore certs/ from one folder, the one that was issued or a backup; if there is none, on the circle's machine: \
             colis certs revoke NAME, then colis pair; here, with certs/ moved away: colis pair HOST"
                .to_owned()
        }
        _ => "restore it from a backup".to_owned(),
    }
}

/// What to do about a file or folder that this user may not use, or that is on a disk to read only.
pub(crate) fn no_rights(path: &Path, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::PermissionDenied => Some(not_allowed(path)),
        io::ErrorKind::ReadOnlyFilesystem => {
            let path = shell_word(path);
            Some(format!(
                "its disk is mounted to be read only: findmnt -T {path}; mount it to be written, or use another --home"
            ))
        }
        _ => None,
    }
}

fn not_allowed(path: &Path) -> String {
    let us = geteuid().as_raw();
    // What is in a folder that may not be looked into cannot be asked.
    let there = path
        .ancestors()
        .filter_map(|at| Some((at, fs::metadata(at).ok()?)));
    let (mut there, lacks) = (there.peekable(), |owner: u32| owner != us);
    match there.peek() {
        Some((at, found)) if lacks(found.uid()) => format!(
            "{} belongs to the user with the number {}, and this process is of {us}: run it as that user, or give the home to this one, \
             chown -R",
            at.display(),
            found.uid()
        ),
        Some((at, found)) if found.is_file() && found.mode() & 0o600 != 0o600 => {
            let at = shell_word(at);
            format!("give its owner the right to read and write it: chmod u+rw {at}")
        }
        _ => "look at the permissions of it and of the folders above it".to_owned(),
    }
}

/// What to do about a record of what was issued that cannot be used.
pub(crate) fn bad_record(error: &TlsError) -> &'static str {
    match error {
        TlsError::Newer { .. } => NEWER,
        _ => NO_RECORD,
    }
}

/// For what a newer version has written.
pub(crate) const NEWER: &str =
    "use the colis that wrote it, or restore the file from before; nothing was changed";

/// Where the record of what was issued is lost.
pub(crate) const NO_RECORD: &str = "restore it from a backup: without it a name or a key could be given twice; revoking works without it";

/// Where our certificate and that of the circle do not belong together.
pub(crate) const ONE_CIRCLE: &str = "ca-cert.pem and server-cert.pem must be of one circle: restore them from the folder that was issued";

fn is_of_another_circle(dir: &CertsDir) -> bool {
    let judged = Inspected::peer(dir).and_then(|own| own.judge(dir, own.caller.not_before));
    matches!(judged, Err(TlsError::Distrusted(Distrust::Foreign { .. })))
}

/// Whether `path` is missing in a folder that has other files of a home.
#[cfg(feature = "cli")]
pub(crate) fn is_missing_alone(path: &Path) -> bool {
    let dir = CertsDir::new(path.parent().unwrap_or(Path::new(".")));
    let others = [dir.server_cert(), dir.server_key(), dir.ca_cert()];
    others.iter().any(|other| other != path && other.exists())
}

/// What to do about the certificate of a peer.
pub(crate) fn distrusted(distrust: &Distrust) -> &'static str {
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
        Distrust::NotAllowed { .. } => {
            "if it shall be one: colis peers allow ID, with that id; or put its id or its DNS name into allowed of [tls] in colis.toml"
        }
        Distrust::SecondKey { .. } => {
            "if that machine really has a new key: colis peers forget NAME, then again; if not, somebody got a certificate of its name"
        }
        Distrust::Unchecked { .. } => NO_LIST,
        Distrust::Malformed(_) | Distrust::WrongUsage { .. } | Distrust::Blocked { .. } => {
            "is it a colis peer? It should serve with the server-cert.pem that was issued for it"
        }
    }
}

/// What to do about a peer that refuses our certificate.
pub(crate) fn refused(alert: Alert) -> &'static str {
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
