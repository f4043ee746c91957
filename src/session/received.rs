//! Where received files appear: as the settings say, else where a person looks for what came.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{
    Error, Home, Session,
    care::existing,
    home::{is_home, platform_folder},
};
use crate::{
    config::{self, Config, ConfigError},
    disk::lacks,
    id::{PeerId, TransferId},
    private,
    received::{Received, STAGINGS},
    tls::CertsDir,
    transfer::discard_staged,
};

/// The setting of where received files appear.
pub(super) const RECEIVED: &str = "received";
/// Folders of a home that nothing is received into.
const OF_HOME: [&str; 4] = ["certs", "chunks", "left", "logs"];

/// Why a folder cannot become the one of received files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// It is relative, and nobody sees to what.
    #[error("{} is not a whole path", .path.display())]
    Relative {
        /// As it was typed.
        path: PathBuf,
    },
    /// The folder that it is to be made in is not there.
    #[error("{} is not there", .parent.display())]
    NoParent {
        /// That folder.
        parent: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a folder", .path.display())]
    NotAFolder {
        /// Where.
        path: PathBuf,
    },
    /// It is a link, which anybody may lead elsewhere who can change it.
    #[error("{} is a link", .path.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads, if anything is there.
        to: Option<PathBuf>,
    },
    /// It is a home, or around one: nothing below received files is ever taken as a home.
    #[error("{} is the home {}, or around it", .path.display(), .home.display())]
    AroundHome {
        /// The folder.
        path: PathBuf,
        /// The home.
        home: PathBuf,
    },
    /// It is among what colis works with.
    #[error("{} is in {}, where colis keeps its own files", .path.display(), .of.display())]
    OfHome {
        /// The folder.
        path: PathBuf,
        /// The folder of the home that it is in.
        of: PathBuf,
    },
    /// Nothing can be written there.
    #[error("{} cannot be written: {source}", .path.display())]
    Unwritable {
        /// The folder, or the one in which it is to be made.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Home {
    /// The folder where received files appear. A relative one counts from the home folder on.
    pub fn received(&self, config: &Config) -> PathBuf {
        match &config.received {
            Some(set) => self.root().join(set),
            None => self.received_unset(),
        }
    }

    /// What remembers which folder that was.
    pub fn received_mark(&self) -> PathBuf {
        CertsDir::new(self.certs()).received()
    }

    /// The platform's home is in a hidden folder, where nobody looks for files. A home that has some in its `received/` keeps them
    /// together.
    fn received_unset(&self) -> PathBuf {
        let own = self.root().join("received");
        if !self.is_of_platform() || has_entries(&own) {
            return own;
        }
        let Some(downloads) = downloads() else {
            return own;
        };
        let among = downloads.join("colis");
        // One that was used before is used again, or said to be missing.
        let is_there = || downloads.is_dir() && !among.join("certs").exists();
        match Received::is_remembered(&among, &self.received_mark()) || is_there() {
            true => among,
            false => own,
        }
    }

    /// Whether received files can appear in the folder that is called so, before it is chosen for that: what is wrong is said now, and
    /// not when something arrives. Nothing of the trial is left.
    ///
    /// # Errors
    /// [`NoPlace`]; [`ConfigError`] if it names no folder.
    pub fn check_received(&self, text: &str) -> Result<(), Error> {
        let path = config::folder(text).map_err(|fault| ConfigError::Value {
            name: RECEIVED.to_owned(),
            fault,
        })?;
        if path.is_relative() {
            return Err(NoPlace::Relative { path }.into());
        }
        self.check_place(&path)
    }

    /// The same of a whole path.
    pub(super) fn check_place(&self, path: &Path) -> Result<(), Error> {
        self.check_apart(path)?;
        check_folder(path)?;
        let path = existing(path);
        match lacks(&path) {
            Ok(_) => Ok(()),
            Err(source) => Err(NoPlace::Unwritable { path, source }.into()),
        }
    }

    /// Whether `path` is apart from homes and from what this one works with.
    fn check_apart(&self, path: &Path) -> Result<(), NoPlace> {
        let real = |path: &Path| path.canonicalize().ok();
        let Some(there) = path.ancestors().find_map(real) else {
            return Ok(());
        };
        let own = OF_HOME.map(|name| self.root().join(name));
        let is_in =
            |of: &PathBuf| path.starts_with(of) || real(of).is_some_and(|of| there.starts_with(of));
        if let Some(of) = own.into_iter().find(is_in) {
            let path = path.to_owned();
            return Err(NoPlace::OfHome { path, of });
        }
        let platform =
            platform_folder("XDG_DATA_HOME", ".local/share").map(|data| data.join("colis"));
        let platform = platform.filter(|home| is_home(home));
        let homes = [Some(self.root().to_owned()), platform];
        let is_around = |home: &PathBuf| {
            let (path, home) = (real(path), real(home));
            path.is_some_and(|path| home.is_some_and(|home| home.starts_with(path)))
        };
        let around = homes.into_iter().flatten().find(is_around);
        match around.or_else(|| is_home(path).then(|| path.to_owned())) {
            Some(home) => {
                let path = path.to_owned();
                Err(NoPlace::AroundHome { path, home })
            }
            None => Ok(()),
        }
    }

    /// Forgets which folder that was, so that another one is taken in its place.
    pub(super) fn forget_received(&self) {
        // What is not there is forgotten.
        let _ = fs::remove_file(self.received_mark());
    }
}

impl Session {
    /// Opens the folder where received files appear.
    pub(super) fn received(&self) -> Result<Received, Error> {
        let path = self.home.received(&self.config);
        Ok(Received::open_known(&path, &self.home.received_mark())?)
    }

    /// Removes what was staged there of a transfer that is not wanted any more. Blocks.
    pub(super) fn drop_staged(&self, sender: PeerId, transfer: TransferId) {
        let has_stagings = self.home.received(&self.config).join(STAGINGS).is_dir();
        if has_stagings && let Ok(received) = self.received() {
            discard_staged(&received, sender, transfer);
        }
    }
}

/// Whether a folder is at `path`, or can be made in one that is there.
fn check_folder(path: &Path) -> Result<(), NoPlace> {
    let found = path.symlink_metadata();
    let path = path.to_owned();
    match found {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(found) if found.is_symlink() => {
            let to = path.canonicalize().ok().filter(|to| to.is_dir());
            Err(NoPlace::Link { path, to })
        }
        Ok(_) => Err(NoPlace::NotAFolder { path }),
        Err(_) => match path.parent() {
            Some(parent) if !parent.is_dir() => {
                let parent = parent.to_owned();
                Err(match existing_file(&parent) {
                    Some(path) => NoPlace::NotAFolder { path },
                    None => NoPlace::NoParent { parent },
                })
            }
            _ => Ok(()),
        },
    }
}

/// What is in the way of a folder at `path`: the nearest above it that is there, if that is none.
fn existing_file(path: &Path) -> Option<PathBuf> {
    let found = path.ancestors().find(|path| path.exists())?;
    (!found.is_dir()).then(|| found.to_owned())
}

/// Whether anything is in `folder`, or something else is in its place.
fn has_entries(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => folder.symlink_metadata().is_ok(),
    }
}

/// The folder for downloads, as the desktop has it (`user-dirs.dirs` of the XDG user directories), else `~/Downloads`. The user's
/// own folder is none: by that it is switched off.
fn downloads() -> Option<PathBuf> {
    let user = env::home_dir().filter(|user| user.is_absolute())?;
    let dirs = platform_folder("XDG_CONFIG_HOME", ".config")?.join("user-dirs.dirs");
    let named = private::read_text(&dirs).ok();
    let named = named.and_then(|text| named_in(&text, &user));
    let folder = named.unwrap_or_else(|| user.join("Downloads"));
    (folder != user).then_some(folder)
}

/// The folder for downloads in the text of `user-dirs.dirs`, whose lines are `XDG_NAME_DIR="$HOME/..."` or with a whole path.
fn named_in(text: &str, user: &Path) -> Option<PathBuf> {
    let mut lines = text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("XDG_DOWNLOAD_DIR=")?;
        value.strip_prefix('"')?.strip_suffix('"')
    });
    let mut value = String::new();
    let mut chars = lines.next_back()?.chars();
    while let Some(c) = chars.next() {
        value.push(if c == '\\' { chars.next()? } else { c });
    }
    match value.strip_prefix("$HOME") {
        Some("") => Some(user.to_owned()),
        Some(below) => Some(user.join(below.strip_prefix('/')?.trim_end_matches('/'))),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_for_downloads_is_read_as_the_desktop_writes_it() {
        for (text, folder) in [
            (
                "XDG_DOWNLOAD_DIR=\"$HOME/Downloads\"\n",
                Some("/home/ben/Downloads"),
            ),
            (
                "# c\nXDG_DESKTOP_DIR=\"$HOME/x\"\n  XDG_DOWNLOAD_DIR=\"$HOME/T\u{e9}l\u{e9}/\"\n",
                Some("/home/ben/T\u{e9}l\u{e9}"),
            ),
            ("XDG_DOWNLOAD_DIR=\"/data/in\"", Some("/data/in")),
            (
                "XDG_DOWNLOAD_DIR=\"$HOME/a \\\"b\\\"\"",
                Some("/home/ben/a \"b\""),
            ),
            ("XDG_DOWNLOAD_DIR=\"$HOME/\"", Some("/home/ben")),
            ("XDG_DOWNLOAD_DIR=\"$HOMER/x\"", None),
            ("XDG_DOWNLOAD_DIR=\"relative\"", None),
            ("", None),
        ] {
            let found = named_in(text, Path::new("/home/ben"));
            assert_eq!(found.as_deref(), folder.map(Path::new), "{text}");
        }
    }
}
