//! How a setting cannot be used: the parameters of [`ConfigError`](super::ConfigError).

use super::units::UnitError;
use crate::{
    address::ListenError,
    name::LibraryError,
    trust::{NAME_RULE, ParseAllowedError},
};

/// How a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFault {
    /// The file is no TOML.
    #[error("{0}")]
    Syntax(LibraryError),
    /// No setting has this name. A newer version may have one.
    #[error("unknown key `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// The name.
        key: String,
        /// The name of a setting that it may be a misspelling of.
        nearest: &'static str,
    },
    /// The value is of another type.
    #[error("invalid type: {found}, expected {expected}")]
    WrongType {
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A number is too small or too large.
    #[error("invalid value: integer `{found}`, expected {expected}")]
    OutOfRange {
        /// The number.
        found: i64,
        /// What should stand there.
        expected: &'static str,
    },
    /// A word is none of those that are known.
    #[error("unknown variant `{word}`, expected one of {}", Words(.known))]
    UnknownWord {
        /// The word.
        word: String,
        /// Those that are known.
        known: &'static [&'static str],
    },
    /// It is no size, or no time.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// It is no address to listen on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A text of the environment or the command line is no number.
    #[error("not a number: {0}")]
    NoNumber(String),
    /// Such a text is neither true nor false.
    #[error("not true or false: {0}")]
    NoTruth(String),
    /// Such a text is not UTF-8.
    #[error("not valid UTF-8")]
    NotUtf8,
    /// No chunk has that size.
    #[error("a chunk has 64KiB to 64MiB, a power of two")]
    ChunkSize,
    /// So many chunks cannot be in flight.
    #[error("at most {most} chunks in flight")]
    TooManyJobs {
        /// The limit.
        most: usize,
    },
    /// A limit that moves nothing.
    #[error("a limit of 0 would move nothing; leave the line out for none")]
    NoLimit,
    /// It names no folder.
    #[error(
        "a folder is a whole path, one that begins with ~/, or one from the home folder of colis on"
    )]
    NoFolder,
    /// No peer can be called so.
    #[error("{NAME_RULE}")]
    PeerName,
    /// A text says nobody who could be allowed.
    #[error(transparent)]
    Allowed(#[from] ParseAllowedError),
}

impl ConfigFault {
    /// Whether the error is to say where the key stands, and not where its value does.
    pub(super) fn is_of_key(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. }
                | Self::ChunkSize
                | Self::TooManyJobs { .. }
                | Self::NoLimit
                | Self::PeerName
        )
    }
}

/// Words in backticks, with commas.
struct Words<'a>(&'a [&'static str]);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, word) in self.0.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}`{word}`")?;
        }
        Ok(())
    }
}
