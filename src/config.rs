//! `colis.toml` in the home folder: what was not said on the command line or in the environment.
//!
//! Flags win over `COLIS_*`, which win over the file, which wins over the defaults; clap joins the first two.

pub mod units;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// The settings that the file may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen, as `0.0.0.0:8443`.
    pub listen: Option<std::net::SocketAddr>,
    /// `auto` or `off`.
    pub inbox: Option<InboxSetting>,
    /// For how long sealed chunks stay after a transfer was opened, as `1d` or `0`.
    pub keep_opened: Option<units::DurationText>,
    /// The most bytes that the store takes, as `100GiB`.
    pub quota: Option<units::SizeText>,
    /// Bytes of the disk that stay free, as `1GiB`.
    pub reserve: Option<units::SizeText>,
    /// Plain bytes of a chunk, as `1MiB`.
    pub chunk_size: Option<units::SizeText>,
    /// Chunks in flight.
    pub jobs: Option<usize>,
}

/// What to do with what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InboxSetting {
    /// Open it on arrival.
    Auto,
    /// Leave it sealed.
    Off,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not what it must be.
    #[error("{path}:{line}:{column}: {reason}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

const KEYS: [&str; 7] = [
    "listen",
    "inbox",
    "keep_opened",
    "quota",
    "reserve",
    "chunk_size",
    "jobs",
];

impl Config {
    /// Reads the file at `path`; without it everything has its default.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1;
            let reason = explain(error.message());
            ConfigError::Invalid {
                path: path.to_owned(),
                line,
                column,
                reason,
            }
        })
    }
}

/// An unknown key gets the nearest known one beside it.
fn explain(message: &str) -> String {
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let Some(unknown) = unknown else {
        return message.trim_end().to_owned();
    };
    let nearest = KEYS
        .into_iter()
        .min_by_key(|key| strsim::levenshtein(key, unknown))
        .unwrap_or_default();
    format!("unknown key `{unknown}`; did you mean `{nearest}`?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_read() {
        let text = "listen = \"127.0.0.1:1\"\ninbox = \"off\"\nkeep_opened = \"12h\"\nquota = \"1GiB\"\nreserve = \"0\"\n\
                    chunk_size = \"64KiB\"\njobs = 2\n";
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
                "colis.toml:1:9: unknown variant `maybe`, expected `auto` or `off`",
            ),
            (
                "quota = \"big\"\n",
                "colis.toml:1:9: not a size: big; expected a number with KiB, MiB, GiB or TiB",
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
}
