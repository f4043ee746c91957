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
    #[error("the certificate of {name} expired on {}; the clock here says {}", .not_after.for_clocks(), .now.for_clocks())]
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
    #[error("the certificate of {name} is valid from {}; the clock here says {}", .not_before.for_clocks(), .now.for_clocks())]
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
    /// The authority has signed it, and nobody here has let its peer in.
    #[error("{name} is no member here: nobody has allowed peer {peer}")]
    NotAllowed {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
    },
    /// Its name is allowed, and belongs to another key.
    #[error("the name {name} belongs to peer {pinned} here, but peer {peer} shows it")]
    SecondKey {
        /// The name.
        name: String,
        /// The key that it belongs to.
        pinned: Box<PeerId>,
        /// Its key.
        peer: PeerId,
    },
    /// Whether it is revoked cannot be told.
    #[error("it cannot be told whether the certificate of {name} is revoked: {source}")]
    Unchecked {
        /// Its name.
        name: String,
        /// Its key.
        peer: PeerId,
        /// What is wrong with the revocation list.
        source: LibraryError,
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
    #[error(
        "no name: neither a DNS name among its alternative names nor, without any of those, a common name"
    )]
    Nameless,
    /// Its name cannot be that of a peer.
    #[error("its name cannot be that of a peer")]
    NoPeerName,
    /// Its key is of another kind.
    #[error("its key is not ECDSA P-256")]
    OtherKind,
    /// It acts for another peer, and an outside authority has signed it.
    #[error("it acts for another peer, which only a certificate of a circle's own authority can")]
    ActsForAnother,
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
            | Self::NotAllowed { peer, .. }
            | Self::SecondKey { peer, .. }
            | Self::Unchecked { peer, .. }
            | Self::Blocked { peer, .. } => Some(*peer),
            Self::OtherPeer { found, .. } => Some(*found),
        }
    }
}
