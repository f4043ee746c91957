//! Where received files appear: as the settings say, else where a person looks for what came.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{Error, Home, Session, home::platform_folder};
use crate::{
    config::Config,
    id::{PeerId, TransferId},
    private,
    received::{Received, STAGINGS},
    tls::CertsDir,
    transfer::discard_staged,
};

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
