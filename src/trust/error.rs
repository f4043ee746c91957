//! How the address book fails.

use std::{io, path::PathBuf};

use super::NAME_RULE;
use crate::id::PeerId;

/// What a newer version has written into the address book. Names in it are foreign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// The version of the file.
    #[error("it has version {0}")]
    Version(u64),
    /// A field.
    #[error("field {name:?} of {of} is not known")]
    Field {
        /// Its name.
        name: String,
        /// What it is a field of.
        of: &'static str,
    },
    /// A role.
    #[error("role {0:?} is not known")]
    Role(String),
}

/// Why the address book refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A name that is known shows another key.
    #[error("the name {name} belongs to peer {known}, but peer {shown} shows it")]
    NameTaken {
        /// The name.
        name: String,
        /// Whose it is.
        known: PeerId,
        /// Who shows it.
        shown: PeerId,
    },
    /// A bundle older than the one that is known.
    #[error("an old bundle of {name}: sequence {shown}, known is {known}")]
    OldBundle {
        /// The peer.
        name: String,
        /// The sequence that is known.
        known: u64,
        /// The sequence that was shown.
        shown: u64,
    },
    /// A name that this person gave to one peer is that of another.
    #[error("{alias} is our own name for {name}, so no other peer can be called so")]
    AliasTaken {
        /// The name in question.
        alias: String,
        /// The peer that has it here.
        name: String,
    },
    /// A new name that is in use.
    #[error("{name} is the name of a known peer already")]
    InUse {
        /// The name.
        name: String,
    },
    /// Not a name.
    #[error("bad name {name:?}: {NAME_RULE}")]
    BadName {
        /// What was given.
        name: String,
    },
    /// No peer has this name.
    #[error("no peer is called {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A newer version has written the file. It is never overwritten, for what is not known would be lost.
    #[error("{path} was written by a newer colis: {unknown}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// What is not known in it.
        unknown: Unknown,
    },
    /// The file is damaged. It is never overwritten.
    #[error("{path} is damaged: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
