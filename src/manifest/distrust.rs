//! Why a certificate does not count.

use super::Timestamp;
use crate::{id::PeerId, name::LibraryError};

/// Why a certificate does not count. Names in it are those of the certificate: remote text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// It is no certificate that we can read.
    #[error("malformed certificate: {0}")]
    Malformed(#[from] BadCertificate),
    /// Another circle signed it, or nobody.
    #[error("the certificate does not come from our circle ({source})")]
    Foreign {
        /// What the check of its signature found.
        source: LibraryError,
    },
    /// Its time is over.
    #[error("the certificate of {name} expired on {not_after}; the clock here says {now}")]
    Expired {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
        /// When it ended.
        not_after: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// Its time has not come.
    #[error("the certificate of {name} is valid from {not_before}; the clock here says {now}")]
    NotYetValid {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
        /// When it begins to count.
        not_before: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// The circle has taken it back.
    #[error("the certificate of {name} is revoked")]
    Revoked {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
    },
    /// It is for something else.
    #[error("the certificate of {name} is not for this use")]
    WrongUsage {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
    },
    /// The owner of the peer that was called lets it do nothing there.
    #[error("{name} has the role none here")]
    Blocked {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
    },
    /// Another peer answers than the one that was asked for.
    #[error("peer {found} (called {name}) answered instead of peer {expected}")]
    OtherPeer {
        /// The name of the one that answered.
        name: String,
        /// The peer that was wanted.
        expected: PeerId,
        /// The peer that answered.
        found: PeerId,
    },
}

/// Why bytes are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCertificate {
    /// It cannot be parsed.
    #[error(transparent)]
    Unreadable(#[from] LibraryError),
    /// Bytes follow it.
    #[error("bytes after the certificate")]
    Trailing,
    /// It names nobody.
    #[error("no common name")]
    Nameless,
    /// It says that it acts for a peer, with something that is no peer id.
    #[error("it acts for something that is no peer")]
    ActsForNoPeer,
    /// Too many certificates came along with it.
    #[error("a long chain of certificates")]
    LongChain,
}

impl Distrust {
    /// The peer whose certificate it is, if that could be read from it. Nothing proves it.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Malformed(_) | Self::Foreign { .. } => None,
            Self::Expired { peer, .. }
            | Self::NotYetValid { peer, .. }
            | Self::Revoked { peer, .. }
            | Self::WrongUsage { peer, .. }
            | Self::Blocked { peer, .. } => Some(*peer),
            Self::OtherPeer { found, .. } => Some(*found),
        }
    }
}
