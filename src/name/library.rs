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

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind, Read as _};

    use super::*;

    #[test]
    fn a_connection_that_was_closed_is_said_to_be_without_an_address_of_a_manual() {
        let manual =
            "peer closed connection without sending TLS close_notify: https://docs.rs/rustls";
        let ended = Error::new(ErrorKind::UnexpectedEof, manual);
        assert_eq!(connection_failed(&ended), "the connection was closed");
        let short = [0; 1].as_slice().read_exact(&mut [0; 2]).unwrap_err();
        assert_eq!(connection_failed(&short), "the connection was closed");
        let reset = Error::from(ErrorKind::ConnectionReset);
        assert_eq!(
            connection_failed(&reset),
            format!("the connection broke: {reset}")
        );
    }
}
