//! The codes of problems: why a store, near or far, did not do what it was asked. Programs match them, so they are stable.

use std::{fmt, str::FromStr};

use crate::manifest::{ManifestError, VerifyError};

/// The longest code that is not one of colis.
const MAX_OWN: usize = 64;

/// The code with which a store refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A code of colis.
    Known(Code),
    /// A code of a store that is not of colis, or of a later version.
    Own(OwnCode),
}

/// A code that is not one of colis: words of lower-case letters and digits with hyphens between, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnCode(String);

/// Not a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code is 1 to 64 lower-case letters, digits and hyphens")]
pub struct NotACode;

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Known(code)
    }
}

impl Refusal {
    /// Its spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(code) => code.parts().0,
            Self::Own(code) => &code.0,
        }
    }

    /// Its HTTP status: 403 for a code that is not one of colis.
    pub fn status(&self) -> u16 {
        match self {
            Self::Known(code) => code.parts().1,
            Self::Own(_) => Code::NotAllowed.parts().1,
        }
    }

    /// The code, if it is one of colis.
    pub fn known(&self) -> Option<Code> {
        match self {
            Self::Known(code) => Some(*code),
            Self::Own(_) => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Refusal {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        let known = Code::ALL.iter().find(|code| code.parts().0 == text);
        if let Some(code) = known {
            return Ok(Self::Known(*code));
        }
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        match (1..=MAX_OWN).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self::Own(OwnCode(text.to_owned()))),
            false => Err(NotACode),
        }
    }
}

/// Every problem code with its status: stable, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "`meaning` says it")]
pub enum Code {
    BadId,
    BadLimit,
    BadCursor,
    BadQuery,
    BadHeader,
    BadJson,
    ManifestSyntax,
    UnsupportedVersion,
    UnsupportedType,
    ManifestInvariant,
    BadWrap,
    KdfParams,
    Expired,
    FromTheFuture,
    BadSignature,
    UntrustedSigner,
    SenderMismatch,
    IdMismatch,
    HashMismatch,
    BadList,
    BadDirectory,
    ChunkTooShort,
    MissingChunks,
    Deleted,
    Cancelled,
    EndsTooSoon,
    NotYours,
    NoSuchRoute,
    NoSuchChunk,
    NoSuchManifest,
    NoSuchTransfer,
    NotTheCircle,
    NotAllowed,
    CertificateExpired,
    MethodNotAllowed,
    LengthRequired,
    TooLarge,
    UriTooLong,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    ExpectationFailed,
    SlowBody,
    ShortBody,
    TooManyRequests,
    Busy,
    NoSpace,
    QuotaExceeded,
    SettingsUnusable,
    StorageFailed,
    ChunkCorrupt,
    Internal,
}

impl Code {
    /// All of them, for the document and the tests.
    pub const ALL: &'static [Self] = &[
        Self::BadId,
        Self::BadLimit,
        Self::BadCursor,
        Self::BadQuery,
        Self::BadHeader,
        Self::BadJson,
        Self::ManifestSyntax,
        Self::UnsupportedVersion,
        Self::UnsupportedType,
        Self::ManifestInvariant,
        Self::BadWrap,
        Self::KdfParams,
        Self::Expired,
        Self::FromTheFuture,
        Self::BadSignature,
        Self::UntrustedSigner,
        Self::SenderMismatch,
        Self::IdMismatch,
        Self::HashMismatch,
        Self::BadList,
        Self::BadDirectory,
        Self::ChunkTooShort,
        Self::MissingChunks,
        Self::Deleted,
        Self::Cancelled,
        Self::EndsTooSoon,
        Self::NotYours,
        Self::NoSuchRoute,
        Self::NoSuchChunk,
        Self::NoSuchManifest,
        Self::NoSuchTransfer,
        Self::NotTheCircle,
        Self::NotAllowed,
        Self::CertificateExpired,
        Self::MethodNotAllowed,
        Self::LengthRequired,
        Self::TooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::ExpectationFailed,
        Self::SlowBody,
        Self::ShortBody,
        Self::TooManyRequests,
        Self::Busy,
        Self::NoSpace,
        Self::QuotaExceeded,
        Self::SettingsUnusable,
        Self::StorageFailed,
        Self::ChunkCorrupt,
        Self::Internal,
    ];

    /// Its spelling and its HTTP status.
    pub const fn parts(self) -> (&'static str, u16) {
        match self {
            Self::BadId => ("bad-id", 400),
            Self::BadLimit => ("bad-limit", 400),
            Self::BadCursor => ("bad-cursor", 400),
            Self::BadQuery => ("bad-query", 400),
            Self::BadHeader => ("bad-header", 400),
            Self::BadJson => ("bad-json", 400),
            Self::ManifestSyntax => ("manifest-syntax", 400),
            Self::UnsupportedVersion => ("unsupported-version", 422),
            Self::UnsupportedType => ("unsupported-type", 422),
            Self::ManifestInvariant => ("manifest-invariant", 422),
            Self::BadWrap => ("bad-wrap", 422),
            Self::KdfParams => ("kdf-params", 422),
            Self::Expired => ("expired", 422),
            Self::FromTheFuture => ("from-the-future", 422),
            Self::BadSignature => ("bad-signature", 422),
            Self::UntrustedSigner => ("untrusted-signer", 403),
            Self::SenderMismatch => ("sender-mismatch", 403),
            Self::IdMismatch => ("id-mismatch", 422),
            Self::HashMismatch => ("hash-mismatch", 422),
            Self::BadList => ("bad-list", 422),
            Self::BadDirectory => ("bad-directory", 422),
            Self::ChunkTooShort => ("chunk-too-short", 422),
            Self::MissingChunks => ("missing-chunks", 409),
            Self::Deleted => ("deleted", 410),
            Self::Cancelled => ("cancelled", 410),
            Self::EndsTooSoon => ("ends-too-soon", 422),
            Self::NotYours => ("not-yours", 403),
            Self::NoSuchRoute => ("no-such-route", 404),
            Self::NoSuchChunk => ("no-such-chunk", 404),
            Self::NoSuchManifest => ("no-such-manifest", 404),
            Self::NoSuchTransfer => ("no-such-transfer", 404),
            Self::NotTheCircle => ("not-the-circle", 404),
            Self::NotAllowed => ("not-allowed", 403),
            Self::CertificateExpired => ("certificate-expired", 403),
            Self::MethodNotAllowed => ("method-not-allowed", 405),
            Self::LengthRequired => ("length-required", 411),
            Self::TooLarge => ("too-large", 413),
            Self::UriTooLong => ("uri-too-long", 414),
            Self::UnsupportedMediaType => ("unsupported-media-type", 415),
            Self::RangeNotSatisfiable => ("range-not-satisfiable", 416),
            Self::ExpectationFailed => ("expectation-failed", 417),
            Self::SlowBody => ("slow-body", 408),
            Self::ShortBody => ("short-body", 400),
            Self::TooManyRequests => ("too-many-requests", 429),
            Self::Busy => ("busy", 503),
            Self::NoSpace => ("no-space", 507),
            Self::QuotaExceeded => ("quota-exceeded", 507),
            Self::SettingsUnusable => ("settings-unusable", 409),
            Self::StorageFailed => ("storage-failed", 503),
            Self::ChunkCorrupt => ("chunk-corrupt", 500),
            Self::Internal => ("internal", 500),
        }
    }

    /// The code for an offer or manifest that is refused.
    pub const fn of_manifest(error: &ManifestError) -> Self {
        match error {
            ManifestError::TooLarge { .. } => Self::TooLarge,
            ManifestError::Syntax { .. } => Self::ManifestSyntax,
            ManifestError::UnsupportedVersion { .. } => Self::UnsupportedVersion,
            ManifestError::UnsupportedType { .. } => Self::UnsupportedType,
            ManifestError::Invariant { .. } => Self::ManifestInvariant,
            ManifestError::BadWrap(_) => Self::BadWrap,
            ManifestError::KdfParameters(_) => Self::KdfParams,
            ManifestError::Expired { .. } => Self::Expired,
            ManifestError::FromTheFuture { .. } => Self::FromTheFuture,
            ManifestError::Untrusted(VerifyError::BadSignature) => Self::BadSignature,
            ManifestError::Untrusted(VerifyError::SenderMismatch { .. }) => Self::SenderMismatch,
            ManifestError::Untrusted(
                VerifyError::UntrustedSigner { .. }
                | VerifyError::Revoked
                | VerifyError::Blocked { .. },
            ) => Self::UntrustedSigner,
        }
    }

    /// What it means, in a line.
    #[allow(clippy::too_many_lines, reason = "a line for each code")]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadId => "not an id: lower-case hex digits of exact number",
            Self::BadLimit => "`limit` is no number in its bounds",
            Self::BadCursor => "`after` is no id of this list",
            Self::BadQuery => "a key that the list does not take, one twice, or a wrong value",
            Self::BadHeader => "a header that is malformed, missing or twice",
            Self::BadJson => "not the JSON that is asked for",
            Self::ManifestSyntax => {
                "not an envelope with an offer or manifest, in its one spelling"
            }
            Self::UnsupportedVersion => "a later version of the format",
            Self::UnsupportedType => "an envelope with something else in it",
            Self::ManifestInvariant => "a field contradicts the format; `detail` names it",
            Self::BadWrap => "a wrapped key contradicts the format",
            Self::KdfParams => "a password's parameters are not accepted",
            Self::Expired => "its time is over",
            Self::FromTheFuture => "it is dated more than 24 hours ahead",
            Self::BadSignature => "the signature is not of these bytes",
            Self::UntrustedSigner => {
                "the certificate in it is not of this circle, or revoked, or its sender may put nothing here"
            }
            Self::SenderMismatch => "the certificate in it is not the sender's",
            Self::IdMismatch => "the id in the path is not that of the body",
            Self::HashMismatch => {
                "the bytes have another id, which is in `actual`; nothing is stored"
            }
            Self::BadList => "no revocation list of this circle",
            Self::BadDirectory => {
                "no directory of this circle, or another one with the number of the one here"
            }
            Self::ChunkTooShort => "no room for nonce and tag",
            Self::MissingChunks => "`missing` names the first 1,000, `missing_count` counts all",
            Self::Deleted => "it was deleted here: only its sender may put or grant it again",
            Self::Cancelled => "the owner wants no more of this transfer",
            Self::EndsTooSoon => "it expires within a minute: sign it with a later `expires`",
            Self::NotYours => "only its sender and the owner of the store may do this",
            Self::NoSuchRoute => "nothing is at this address",
            Self::NoSuchChunk => "the chunk is not here",
            Self::NoSuchManifest => "the manifest is not here",
            Self::NoSuchTransfer => "nothing of that transfer is arriving",
            Self::NotTheCircle => "the circle's list or key is not on this machine",
            Self::NotAllowed => "refused; `detail` says why",
            Self::CertificateExpired => "the caller's certificate has ended: renew it",
            Self::MethodNotAllowed => "the route takes the methods that `Allow` names",
            Self::LengthRequired => "a body needs a `Content-Length`, and no `Transfer-Encoding`",
            Self::TooLarge => "the body is too long, or none is taken",
            Self::UriTooLong => "more than 256 bytes of path or 2 KiB of query",
            Self::UnsupportedMediaType => "another `Content-Type`, or a `Content-Encoding`",
            Self::RangeNotSatisfiable => {
                "the range begins after the end; `Content-Range` has the length"
            }
            Self::ExpectationFailed => "the only expectation met is `100-continue`",
            Self::SlowBody => "the body stopped or crawls",
            Self::ShortBody => "the body ended early; nothing is stored",
            Self::TooManyRequests => "too much of this peer at once; `Retry-After` says when",
            Self::Busy => "too much at once; `Retry-After` says when",
            Self::NoSpace => "the disk is full; with `needed` and `free`",
            Self::QuotaExceeded => "the quota is used up; with `needed`, `free` and `quota`",
            Self::SettingsUnusable => {
                "the settings cannot be read again; those from before stay in force"
            }
            Self::StorageFailed => "the store cannot write any more; reading goes on",
            Self::ChunkCorrupt => {
                "the stored bytes are damaged and were not sent; putting the chunk again heals it"
            }
            Self::Internal => "something failed here; the log there says what",
        }
    }
}
