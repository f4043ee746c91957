//! The home folder: where `certs/`, `chunks/`, `received/` and `colis.toml` are.

use std::{
    env,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::report::{ExitCode, Failure};
use crate::trust::is_peer_name;

/// A home folder, and why it is the one.
#[derive(Debug, Clone)]
pub(super) struct Home {
    root: PathBuf,
    /// Which rule chose it.
    pub(super) why: &'static str,
}

impl Home {
    /// The folder that was named; else the current one, if it is a home of ours; else that of the platform.
    pub(super) fn resolve(named: Option<&Path>) -> Result<Self, Failure> {
        if let Some(root) = named {
            let root = std::path::absolute(root).map_err(|e| Failure::io(root, &e))?;
            return Ok(Self {
                root,
                why: "named by --home or COLIS_HOME",
            });
        }
        if let Ok(current) = env::current_dir()
            && is_home(&current)
        {
            return Ok(Self {
                root: current,
                why: "the current folder",
            });
        }
        let data = env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let data = data.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/share")));
        let failure = || {
            Failure::new(ExitCode::Config, "there is no home folder").hint("name one: --home DIR")
        };
        Ok(Self {
            root: data.ok_or_else(failure)?.join("colis"),
            why: "the platform's folder for data",
        })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn certs(&self) -> PathBuf {
        self.root.join("certs")
    }

    pub(super) fn chunks(&self) -> PathBuf {
        self.root.join("chunks")
    }

    pub(super) fn received(&self) -> PathBuf {
        self.root.join("received")
    }

    /// Where a serving peer's log goes.
    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.root.join("colis.toml")
    }

    /// Where journals of unfinished sends are kept.
    pub(super) fn journals(&self) -> PathBuf {
        self.chunks().join("state/sending")
    }
}

/// Whether `folder` is a home that we made. One that somebody sent us must never become ours.
fn is_home(folder: &Path) -> bool {
    let key = folder.join("certs/server-key.pem").symlink_metadata();
    let ours = key.is_ok_and(|key| {
        key.is_file() && key.uid() == rustix::process::geteuid().as_raw() && key.mode() & 0o077 == 0
    });
    ours && !folder
        .ancestors()
        .any(|parent| parent.file_name().is_some_and(|name| name == "received"))
}

/// What the system calls this machine, as a name of ours.
pub(super) fn host_name() -> Option<String> {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name: String = name.chars().filter(|c| allowed(*c)).take(63).collect();
    // Without its domain: a machine that joins must not have the name of a host.
    let name = name.trim_start_matches(['-', '_', '.']);
    let name = name.split('.').next().unwrap_or_default().to_owned();
    is_peer_name(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn make_home(folder: &Path, mode: u32) {
        fs::create_dir_all(folder.join("certs")).unwrap();
        let key = folder.join("certs/server-key.pem");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_private_home_outside_of_received_is_ours() {
        let root = tempfile::tempdir().unwrap();
        assert!(!is_home(root.path()));
        make_home(root.path(), 0o600);
        assert!(is_home(root.path()));
        make_home(&root.path().join("open"), 0o644);
        assert!(!is_home(&root.path().join("open")));
        make_home(&root.path().join("received/gift"), 0o600);
        assert!(!is_home(&root.path().join("received/gift")));
    }
}
