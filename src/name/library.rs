//! What a library said when it failed: kept for the log, never looked into.

/// The text of another library's error, which may quote what was parsed: escape it before showing it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LibraryError(String);

/// What is said of a connection that failed. At its end the TLS library would send people to its manual.
pub fn connection_failed(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => format!("the connection broke: {error}"),
    }
}

impl LibraryError {
    /// What `error` says.
    pub fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}
