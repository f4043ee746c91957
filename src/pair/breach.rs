//! How the other side does not keep to the pairing protocol.

use crate::{manifest::ManifestError, name::LibraryError};

/// How the other side does not keep to the pairing protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// It speaks another version.
    #[error("another version of it")]
    Version,
    /// Its first message has another length.
    #[error("a hello of another length")]
    HelloLength,
    /// Its message of the key exchange is none.
    #[error("a bad message of the key exchange")]
    Exchange,
    /// It sends a frame of a kind that is not known.
    #[error("an unknown kind of frame")]
    FrameKind,
    /// It sends a frame that is longer than it may be.
    #[error("a frame that is too long")]
    FrameLength,
    /// It sends another frame than the one whose turn it is.
    #[error("a frame out of its turn")]
    FrameTurn,
    /// It sends JSON of another shape.
    #[error("{0}")]
    Json(LibraryError),
    /// It sends other keys than those that it has committed to.
    #[error("other keys than were committed to")]
    OtherKeys,
    /// What it says of itself is not a bundle.
    #[error("{0}")]
    Bundle(ManifestError),
}
