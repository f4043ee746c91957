//! The settings: flags win over `COLIS_*`, which win over `colis.toml` in the home folder, which wins over the defaults.
//!
//! Flags are for the command line to join; this room gives what the environment and the file say, and for each setting
//! where its value comes from. A value that cannot be used is an error that says where it stands.

mod edit;
mod fault;
mod file;
mod origin;
mod settings;
pub mod units;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use edit::{set, template, unset};
pub use fault::ConfigFault;
pub use file::folder;
pub use origin::{SetBy, Shown};
pub use settings::{Counts, SETTINGS, Setting, Unset, variable};

use crate::{private, tls::OutsideOptions, trust};

/// The settings that were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, as [`parse_listen`](crate::address::parse_listen) reads it: `[::]:8443`, `:8443`.
    pub listen: Option<SocketAddr>,
    /// What to do with what arrives for us.
    pub inbox: Option<InboxSetting>,
    /// Where received files appear: a whole path, or one from the home folder on.
    pub received: Option<PathBuf>,
    /// With `inbox = "auto"`: larger transfers wait for a yes.
    pub auto_up_to: Option<units::SizeText>,
    /// For how long a transfer stays after it was opened, as `1d` or `0`.
    pub keep_opened: Option<units::DurationText>,
    /// For how long a transfer stays after it was refused.
    pub keep_refused: Option<units::DurationText>,
    /// The most bytes that the store takes, as `100GiB`.
    pub quota: Option<units::SizeText>,
    /// The most bytes that one sender may store here for others.
    pub relay_quota: Option<units::SizeText>,
    /// For how long they are kept at most.
    pub relay_keep: Option<units::DurationText>,
    /// How often other peers are asked for what they store for us, as `1m`; `0` for never.
    pub collect: Option<units::DurationText>,
    /// Bytes of the disk that stay free, as `1GiB`.
    pub reserve: Option<units::SizeText>,
    /// Plain bytes of a chunk, as `1MiB`.
    pub chunk_size: Option<units::SizeText>,
    /// Chunks in flight.
    pub jobs: Option<NonZeroUsize>,
    /// Bytes a second that `send` and `receive` move at most.
    pub limit: Option<units::SizeText>,
    /// How many days of logs are kept while serving; 0 writes none.
    pub log_days: Option<usize>,
    /// What members may do here that have no role of their own.
    pub default_role: Option<trust::Role>,
    /// Whether peers are found and told by themselves in the local network.
    pub discovery: Option<bool>,
    /// What is different for one sender, by its name.
    pub peers: BTreeMap<String, PeerSettings>,
    /// An outside authority in the place of the circle's own: where its files are, from the home folder on, and who is a member.
    pub tls: Option<OutsideOptions>,
}

/// What is different for one sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerSettings {
    /// What to do with what arrives from it.
    pub inbox: Option<InboxSetting>,
    /// With `inbox = "auto"`: larger transfers wait for a yes.
    pub auto_up_to: Option<units::SizeText>,
}

/// What to do with what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InboxSetting {
    /// Open it on arrival.
    Auto,
    /// Wait for a yes.
    Ask,
    /// Leave it sealed.
    Off,
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not what it must be.
    #[error("{path}:{line}:{column}: {fault}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// A variable of the environment, or a value that was to be set, is not what it must be.
    #[error("{name}: {fault}")]
    Value {
        /// The variable or the setting.
        name: String,
        /// What is wrong.
        fault: ConfigFault,
    },
    /// No setting has this name.
    #[error("there is no setting `{name}`{}", .nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The one that it may be a misspelling of.
        nearest: Option<&'static str>,
    },
    /// What holds for a single peer is a table of the file, and is not set as one setting.
    #[error(
        "`{name}` is no setting of its own: what holds for one peer, and for an outside authority, are tables of colis.toml, such as [peers.ben] and [tls]"
    )]
    OfOnePeer {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Config {
    /// Reads the file at `path` and what `variable` says of the environment; without both everything has its default.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(
        path: &Path,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::parse(&read(path)?, path)?;
        for (setting, value) in settings::from_environment(environment)? {
            let taken = config.take(setting.key, settings::given(&value));
            taken.map_err(|fault| ConfigError::Value {
                name: variable(setting.key),
                fault,
            })?;
        }
        Ok(config)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        file::parse(text).map_err(|(span, fault)| {
            let before = text.get(..span.start).unwrap_or_default();
            let last_line = before.rsplit('\n').next().unwrap_or_default();
            ConfigError::Invalid {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: last_line.chars().count() + 1,
                fault,
            }
        })
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    match private::read_text(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ConfigError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_setting_is_read() {
        let text = "listen = \"127.0.0.1:1\"\ninbox = \"off\"\nkeep_opened = \"12h\"\nquota = \"1GiB\"\nauto_up_to = \"1MiB\"\nlimit = \"1MiB\"\nlog_days = 3\nreserve = \"0\"\n\
                    chunk_size = \"64KiB\"\njobs = 2\n[peers.ben]\ninbox = \"ask\"\n";
        let config = Config::parse(text, Path::new("colis.toml")).unwrap();
        assert_eq!(config.inbox, Some(InboxSetting::Off));
        assert_eq!(config.chunk_size.map(|size| size.bytes()), Some(65_536));
        assert_eq!(
            config.keep_opened.map(|time| time.duration().as_secs()),
            Some(43_200)
        );
    }

    #[test]
    fn an_error_names_line_column_and_the_nearest_key() {
        for (text, expected) in [
            (
                "jobs = 2\nqouta = \"1GiB\"\n",
                "colis.toml:2:1: unknown key `qouta`; did you mean `quota`?",
            ),
            (
                "inbox = \"maybe\"\n",
                "colis.toml:1:9: unknown variant `maybe`, expected one of `auto`, `ask`, `off`",
            ),
            (
                "quota = \"big\"\n",
                "colis.toml:1:9: not a size: big; expected a number with KiB, MiB, GiB or TiB",
            ),
            (
                "jobs = 0\n",
                "colis.toml:1:8: invalid value: integer `0`, expected a number from 1",
            ),
            (
                "\nchunk_size = \"3MiB\"\n",
                "colis.toml:2:1: a chunk has 64KiB to 64MiB, a power of two",
            ),
            (
                "[peers.\"BEN\"]\ninbox = \"ask\"\n",
                "colis.toml:1:9: a name has 1 to 63 of a-z, 0-9, `-`, `_` and `.`, and begins with a letter or a digit; what is an address, as `10.0.0.1`, is none",
            ),
        ] {
            assert_eq!(
                Config::parse(text, Path::new("colis.toml"))
                    .unwrap_err()
                    .to_string(),
                expected
            );
        }
    }

    #[test]
    fn the_environment_wins_and_its_errors_name_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("colis.toml");
        fs::write(&path, "jobs = 2\ninbox = \"off\"\n").unwrap();
        let with = |name: &'static str, value: &'static str| {
            Config::load(&path, move |asked| (asked == name).then(|| value.into()))
        };
        let config = with("COLIS_JOBS", "7").unwrap();
        assert_eq!(config.jobs.map(NonZeroUsize::get), Some(7));
        assert_eq!(config.inbox, Some(InboxSetting::Off));
        let config = with("COLIS_INBOX", "ask").unwrap();
        assert_eq!(config.inbox, Some(InboxSetting::Ask));
        for (name, value, expected) in [
            ("COLIS_JOBS", "many", "COLIS_JOBS: not a number: many"),
            (
                "COLIS_QUOTA",
                "big",
                "COLIS_QUOTA: not a size: big; expected a number with KiB, MiB, GiB or TiB",
            ),
            (
                "COLIS_CHUNK_SIZE",
                "3MiB",
                "COLIS_CHUNK_SIZE: a chunk has 64KiB to 64MiB, a power of two",
            ),
        ] {
            assert_eq!(with(name, value).unwrap_err().to_string(), expected);
        }
    }
}
