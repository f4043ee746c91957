//! The home folder: where `certs/`, `chunks/`, `received/` and `colis.toml` are.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};

use super::{Error, certs::LeaveError};
use crate::{
    config::Config,
    id::Digest,
    manifest::Timestamp,
    private,
    received::{STAGINGS, marked_around},
    tls::{self, CertsDir, OutsideOptions, TlsError},
    trust::{name_of, write_durably},
};

/// The file in a home that says where it is.
const MARK: &str = ".colis-home";
/// The file in `certs/` that says since when this home is a copy, and for how long it is told.
const COPIED: &str = "copied.json";
const TOLD_SECONDS: u64 = 7 * 24 * 3600;

/// Why no folder can be the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoFolder {
    /// It was named, with an empty name.
    #[error("the name of the home folder is empty")]
    NoName,
    /// The user has no folder that is known by a whole path.
    #[error("HOME names no folder by its whole path")]
    NoUserFolder,
}

/// Which rule chose a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenBy {
    /// It was named, by `--home`, by `COLIS_HOME`, or by the program.
    Name,
    /// It is the current folder.
    CurrentFolder,
    /// It is the platform's folder for data.
    Platform,
}

impl ChosenBy {
    /// The rule, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Name => "named by --home or COLIS_HOME",
            Self::CurrentFolder => "the current folder",
            Self::Platform => "the platform's folder for data",
        }
    }
}

/// A home folder, and why it is the one.
#[derive(Debug, Clone)]
pub struct Home {
    root: PathBuf,
    /// Which rule chose it.
    chosen_by: ChosenBy,
}

impl Home {
    /// The folder that was named; else the current one, if it is a home of ours; else that of the platform.
    ///
    /// # Errors
    /// Fails if no folder is named and the platform has none, or if it is among received files.
    pub fn resolve(named: Option<&Path>) -> Result<Self, Error> {
        let home = Self::choose(named)?;
        match marked_around(&home.root) {
            Some(received) => Err(Error::AmongReceived {
                home: home.root,
                received,
            }),
            None => Ok(home),
        }
    }

    fn choose(named: Option<&Path>) -> Result<Self, Error> {
        if let Some(root) = named {
            if root.as_os_str().is_empty() {
                return Err(Error::NoHomeFolder(NoFolder::NoName));
            }
            let root = std::path::absolute(root).map_err(|e| Error::io(root, e))?;
            return Ok(Self {
                root,
                chosen_by: ChosenBy::Name,
            });
        }
        if let Ok(current) = env::current_dir()
            && is_home(&current)
        {
            // What is among received files is refused as that.
            if !is_marked(&current) && marked_around(&current).is_none() {
                return Err(Error::UnmarkedHome(current));
            }
            return Ok(Self {
                root: current,
                chosen_by: ChosenBy::CurrentFolder,
            });
        }
        let data = platform_folder("XDG_DATA_HOME", ".local/share")
            .ok_or(Error::NoHomeFolder(NoFolder::NoUserFolder))?;
        Ok(Self {
            root: data.join("colis"),
            chosen_by: ChosenBy::Platform,
        })
    }

    /// Notes in it, once it has keys, that it was chosen here: then it is also the home of what runs in it.
    pub fn mark(&self) {
        if !is_home(&self.root) || is_marked(&self.root) {
            return;
        }
        let path = self.root.join(MARK);
        if self.is_unmarked_copy() {
            self.note_copied();
        }
        let written =
            place(&self.root).and_then(|place| write_durably(&path, place.as_bytes(), 0o600));
        if let Err(error) = written {
            // It works as well, but must be named.
            tracing::debug!(%error, path = %path.display(), "the home is not marked");
        }
    }

    /// Whether it has the mark of another place: it is a copy, or was moved here from another file system.
    fn is_unmarked_copy(&self) -> bool {
        is_home(&self.root) && self.root.join(MARK).exists() && !is_marked(&self.root)
    }

    fn note_copied(&self) {
        let note = serde_json::to_vec(&Timestamp::now()).map_err(io::Error::from);
        let noted = note.and_then(|note| write_durably(&self.certs().join(COPIED), &note, 0o600));
        if let Err(error) = noted {
            tracing::debug!(%error, "it is not noted that this home is a copy");
        }
    }

    /// When this home was first used as a copy, if that was within a week.
    pub fn copied(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_unmarked_copy() {
            return Some(now);
        }
        let note = private::read(&self.certs().join(COPIED)).ok()?;
        let copied: Timestamp = serde_json::from_slice(&note).ok()?;
        (now < copied.plus_seconds(TOLD_SECONDS)).then_some(copied)
    }

    /// Whether there is no peer in it, nor a part of one.
    pub fn is_new(&self) -> bool {
        let dir = CertsDir::new(self.certs());
        let of_circle = [dir.ca_cert(), dir.ca_key()];
        let of_peer = [dir.server_cert(), dir.server_key(), dir.seal_key()];
        let parts = of_circle.iter().chain(&of_peer);
        !parts.into_iter().any(|path| path.exists())
    }

    /// Whether it is the platform's, however it was chosen.
    pub(super) fn is_of_platform(&self) -> bool {
        let data = platform_folder("XDG_DATA_HOME", ".local/share");
        data.is_some_and(|data| data.join("colis") == self.root)
    }

    /// Which rule chose it.
    pub fn chosen_by(&self) -> ChosenBy {
        self.chosen_by
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Fails if it has no certificates, before anything is made in it: it may be the place of a disk that is not mounted.
    ///
    /// # Errors
    /// Fails if the folder or its `certs/` is not there.
    pub fn check_there(&self) -> Result<(), Error> {
        if self.certs().is_dir() {
            return Ok(());
        }
        if let Some(left) = self.left() {
            return Err(left.into());
        }
        let root = self.root.clone();
        Err(match root.is_dir() {
            true => Error::NotAHome(root),
            false => Error::NoHome(root),
        })
    }

    /// That this home has left its circle, if that is why it has no certificates.
    pub(crate) fn left(&self) -> Option<LeaveError> {
        let dir = CertsDir::new(self.certs());
        let folder = tls::left(&dir).into_iter().next()?;
        self.is_new().then(|| LeaveError::HasLeft {
            revoked: tls::is_known_revoked(&folder),
            folder: folder.path().to_owned(),
            certs: self.certs(),
        })
    }

    /// Takes the note of which store this home has along, from the circle that was left last. Where that store is not there, as on
    /// a disk that is not mounted, none must be made in its place: it would know nothing of what was received before.
    pub(super) fn keep_store(&self) {
        let Some(left) = tls::left(&CertsDir::new(self.certs())).into_iter().next() else {
            return;
        };
        let kept =
            fs::read(left.store()).and_then(|id| write_durably(&self.store_mark(), &id, 0o600));
        if let Err(error) = kept {
            tracing::debug!(%error, "which store this home has is not taken along");
        }
    }

    /// Why it has no identity: it may have left its circle.
    pub(super) fn explain(&self, error: TlsError) -> Error {
        let left = matches!(error, TlsError::Missing { .. }).then(|| self.left());
        left.flatten().map_or_else(|| error.into(), Error::from)
    }

    /// The files of certificates and keys, with what the settings say of an outside authority now. Settings that cannot be used say
    /// nothing, which lets nobody in; they are told by whatever uses the others.
    pub fn dir(&self) -> CertsDir {
        let config = Config::load(&self.config(), |_| None).unwrap_or_default();
        CertsDir::new(self.certs()).with(self.outside(&config))
    }

    /// What the settings say of an outside authority, with whole paths.
    pub(crate) fn outside(&self, config: &Config) -> OutsideOptions {
        let said = config.tls.clone().unwrap_or_default();
        let whole = |path: Option<PathBuf>| path.map(|path| self.root.join(path));
        OutsideOptions {
            ca: whole(said.ca),
            cert: whole(said.cert),
            key: whole(said.key),
            crl: whole(said.crl),
            allowed: said.allowed,
            settings: Some(self.config()).filter(|path| path.exists()),
        }
    }

    /// The folder of certificates and keys.
    pub fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    /// The folder of the store.
    pub fn chunks(&self) -> PathBuf {
        self.root.join("chunks")
    }

    /// What says which store it has.
    pub fn store_mark(&self) -> PathBuf {
        CertsDir::new(self.certs()).store()
    }

    /// Where a serving peer's log goes.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The file of settings.
    pub fn config(&self) -> PathBuf {
        self.root.join("colis.toml")
    }

    /// What is never sent with a folder around it: keys, and what changes while we work.
    pub fn own_folders(&self, config: &Config) -> Vec<PathBuf> {
        let stagings = self.received(config).join(STAGINGS);
        let left = tls::left_root(&CertsDir::new(self.certs()));
        vec![self.certs(), left, self.chunks(), self.logs(), stagings]
    }

    /// Where is kept what is needed to seal again what was sent.
    pub fn sent(&self) -> PathBuf {
        self.chunks().join("state/sent")
    }

    /// Where journals of unfinished sends are kept.
    pub fn journals(&self) -> PathBuf {
        self.chunks().join("state/sending")
    }
}

/// The folder that the XDG variable `name` says, else the one `below` the user's home. A path that is relative or empty says
/// nothing, as the XDG base directory specification has it: keys must not go into whatever folder is the current one.
pub(crate) fn platform_folder(name: &str, below: &str) -> Option<PathBuf> {
    let absolute = |name| {
        let path = env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    absolute(name).or_else(|| Some(absolute("HOME")?.join(below)))
}

/// Whether `folder` has the private keys of a peer.
pub(super) fn is_home(folder: &Path) -> bool {
    let key = folder.join("certs/server-key.pem").symlink_metadata();
    key.is_ok_and(|key| {
        key.is_file() && key.uid() == rustix::process::geteuid().as_raw() && key.mode() & 0o077 == 0
    })
}

/// Whether `folder` was made or named as a home on this machine. A home that came in an archive must not become ours, with
/// the circle and the addresses of whoever packed it.
fn is_marked(folder: &Path) -> bool {
    let mark = private::read_text(&folder.join(MARK));
    mark.is_ok_and(|mark| place(folder).is_ok_and(|place| mark == place))
}

/// What a folder has that no archive can carry: the machine it is on, its inode, and when it was made. It keeps all of them
/// when it is renamed.
fn place(folder: &Path) -> io::Result<String> {
    let metadata = fs::metadata(folder)?;
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let made = metadata.created().ok();
    let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let text = format!("{machine} {} {since:?}", metadata.ino());
    Ok(format!("{}\n", Digest::of(text.as_bytes())))
}

/// What the system calls this machine, as a name of ours.
pub fn host_name() -> Option<String> {
    name_of_host(&rustix::system::uname().nodename().to_string_lossy())
}

/// The name of a peer for a host that is called so: what a person types is made a name in the same way.
fn name_of_host(host: &str) -> Option<String> {
    let host = host.trim().to_lowercase();
    let is_address = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_address {
        return name_of(&host.replace('.', "-"));
    }
    // Without its domain: a machine that joins must not have the name of a host.
    let mut labels = host.split('.').filter(|label| !label.is_empty());
    let label = labels.next()?.trim_start_matches(['-', '_']);
    name_of(label)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_host_is_called_as_what_is_typed() {
        for (host, name) in [
            ("anna", "anna"),
            ("Anna.lan", "anna"),
            ("Eve's Laptop", "eves-laptop"),
            ("K\u{e4}the.local", "kathe"),
            ("a_b", "a_b"),
            ("_x", "x"),
            ("10.0.0.1", "10-0-0-1"),
            ("7", "7"),
        ] {
            assert_eq!(name_of_host(host).as_deref(), Some(name), "{host}");
        }
        for host in ["", ".", "\u{65e5}\u{672c}"] {
            assert_eq!(name_of_host(host), None, "{host:?}");
        }
    }

    fn make_home(folder: &Path, mode: u32) {
        fs::create_dir_all(folder.join("certs")).unwrap();
        let key = folder.join("certs/server-key.pem");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_private_home_that_was_named_here_is_ours() {
        let root = tempfile::tempdir().unwrap();
        let named = |path: &Path| Home::resolve(Some(path)).unwrap().mark();
        let [open, ours, copy] = ["open", "ours", "copy"].map(|name| root.path().join(name));
        make_home(&open, 0o644);
        named(&open);
        assert!(!is_home(&open) && !is_marked(&open));
        make_home(&ours, 0o600);
        assert!(is_home(&ours) && !is_marked(&ours));
        named(&ours);
        assert!(is_marked(&ours));
        make_home(&copy, 0o600);
        fs::copy(ours.join(MARK), copy.join(MARK)).unwrap();
        assert!(!is_marked(&copy), "a mark is not carried");
        let moved = root.path().join("moved");
        fs::rename(&ours, &moved).unwrap();
        assert!(is_marked(&moved), "it is the same folder");
    }
}
