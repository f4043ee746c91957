//! Why a unit is not written, or not removed.

use std::path::PathBuf;

use crate::session::Kind;

/// Why a unit is not written, or not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// A unit cannot be called so.
    #[error("a unit is named by at most 64 letters, digits, - and _")]
    BadName,
    /// The user has no folder for units.
    #[error("there is no folder for units: HOME names no folder by its whole path")]
    NoFolder,
    /// There is no such unit.
    #[error("there is no unit {}", .0.display())]
    NotThere(PathBuf),
    /// Somebody else has written it.
    #[error("{} was not written by colis", .0.display())]
    NotOurs(PathBuf),
    /// It serves another home.
    #[error("{} serves {}", .unit.display(), .home.as_deref().unwrap_or("an unknown home"))]
    OfAnother {
        /// Its file.
        unit: PathBuf,
        /// The home, as a word of a unit.
        home: Option<String>,
    },
    /// Something is not UTF-8.
    #[error("{what} is not UTF-8, which a unit must be: {text}")]
    NoText {
        /// What that is.
        what: String,
        /// How it looks.
        text: String,
    },
    /// The name of the program has a quote or a backslash.
    #[error("systemd starts no program with a quote or a backslash in its name: {0}")]
    QuotedProgram(String),
    /// Something has a control character.
    #[error("it has a control character, which no line of a unit has: {0}")]
    ControlCharacter(String),
    /// A path that the unit of a system must have has a colon.
    #[error("systemd cannot give a service a path with a colon in it: {folders}, {program}")]
    Colon {
        /// The folders, as words of a unit.
        folders: String,
        /// The program.
        program: String,
    },
}

impl UnitError {
    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoFolder | Self::NotOurs(_) | Self::OfAnother { .. } => Kind::Config,
            Self::NotThere(_) => Kind::NotFound,
            Self::BadName
            | Self::NoText { .. }
            | Self::QuotedProgram(_)
            | Self::ControlCharacter(_)
            | Self::Colon { .. } => Kind::Usage,
        }
    }
}
