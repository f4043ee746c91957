//! What a library said when it failed: kept for the log, never looked into.

/// The text of another library's error, which may quote what was parsed: escape it before showing it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LibraryError(String);

impl LibraryError {
    /// What `error` says.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
