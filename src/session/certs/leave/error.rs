//! Why a circle is not left.

use std::path::PathBuf;

use crate::{session::Kind, tls::TlsError};

/// Transfers that are named.
const NAMED: usize = 10;

/// Why a circle is not left. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// A peer serves the home.
    #[error("this home is in use: a peer serves it at {serving}")]
    Served {
        /// Where.
        serving: String,
    },
    /// Something waits to be opened.
    #[error("not left: {}", waits(.waiting))]
    Waiting {
        /// The beginning of each id, and what it is.
        waiting: Vec<String>,
    },
    /// The circle would end, and others are in it.
    #[error("not left: this is the circle's machine, and others are in the circle: {}", .others.join(", "))]
    HasMembers {
        /// The name of this machine.
        own: String,
        /// Their names.
        others: Vec<String>,
    },
    /// The circle would end, and it is not known whether others are in it.
    #[error(
        "not left: this is the circle's machine, and who else is in the circle is not known: {why}"
    )]
    MembersUnknown {
        /// The name of this machine.
        own: String,
        /// Why.
        why: TlsError,
    },
    /// The circle that is to end was called by another name.
    #[error("not left: this machine is called {own}, and not {name}")]
    OtherName {
        /// As it was typed.
        name: String,
        /// The name of this machine.
        own: String,
    },
    /// The home has no certificates, because it has left its circle.
    #[error("this home has left its circle: its keys and certificates are in {}", .folder.display())]
    HasLeft {
        /// The folder of the last one.
        folder: PathBuf,
        /// Where it was.
        certs: PathBuf,
        /// Whether it is known that its keys are revoked: going back is of no use.
        revoked: bool,
    },
}

impl LeaveError {
    /// What can be done about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Served { .. } => Kind::Locked,
            Self::HasMembers { .. } | Self::Waiting { .. } | Self::OtherName { .. } => Kind::Usage,
            Self::MembersUnknown { .. } | Self::HasLeft { .. } => Kind::Config,
        }
    }
}

fn waits(waiting: &[String]) -> String {
    let named = waiting.get(..NAMED).unwrap_or(waiting).join(", ");
    let more = match waiting.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let wait = if waiting.len() == 1 { "waits" } else { "wait" };
    format!("{named}{more} {wait} to be opened")
}
