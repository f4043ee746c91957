//! Why an offer or manifest is refused.

use super::{Contradiction, MAX_ENVELOPE, SyntaxFault, Timestamp, VerifyError, WrapFault};
use crate::name::LibraryError;

/// Why an offer or manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Longer than [`MAX_ENVELOPE`].
    #[error("the envelope has {length} bytes, at most {MAX_ENVELOPE} are allowed")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// Not the JSON that it must be, or not in its one spelling.
    #[error("not a well-formed {what}: {fault}")]
    Syntax {
        /// Envelope, offer, manifest, table...
        what: &'static str,
        /// Where and why.
        fault: SyntaxFault,
    },
    /// Made by a later version of the format.
    #[error("format version {v} is not supported, this is version 1")]
    UnsupportedVersion {
        /// The version that it claims.
        v: u64,
    },
    /// The envelope carries something else.
    #[error("the envelope does not carry a {expected}")]
    UnsupportedType {
        /// The media type that was expected.
        expected: &'static str,
    },
    /// A field contradicts the format or another field.
    #[error("field `{field}`: {fault}")]
    Invariant {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        fault: Contradiction,
    },
    /// A wrap that no reader may try.
    #[error("bad wrap: {0}")]
    BadWrap(#[from] WrapFault),
    /// PBKDF2 iterations outside of the accepted window.
    #[error(transparent)]
    KdfParameters(crate::crypto::CryptoError),
    /// Its time is over.
    #[error("expired on {}; the clock here says {}", .expires.for_clocks(), .now.for_clocks())]
    Expired {
        /// When it expired.
        expires: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// Made in the future: one of the two clocks is wrong.
    #[error("made on {}, but the clock here says {}", .created.for_clocks(), .now.for_clocks())]
    FromTheFuture {
        /// When it says it was made.
        created: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// The signature or its signer is not trusted.
    #[error(transparent)]
    Untrusted(#[from] VerifyError),
}

impl ManifestError {
    pub(super) fn syntax(what: &'static str, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let cause = text.strip_suffix(&format!(" at line {line} column {column}"));
        let cause = LibraryError::new(cause.unwrap_or(&text));
        let fault = SyntaxFault::Json {
            line,
            column,
            cause,
        };
        Self::Syntax { what, fault }
    }
}
