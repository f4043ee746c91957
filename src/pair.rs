//! First contact by a short code: how a machine becomes a member of a circle without a folder carried by hand.
//!
//! The machine that holds the circle's key *invites*: it listens, and shows a code to its person. The new one *joins*: its
//! person types the code. Both prove to each other that they know it, by a password-authenticated key exchange (SPAKE2): whoever
//! listens learns nothing that helps guessing, and whoever guesses must ask one of the two, who count.
//!
//! What is proved is bound to everything that matters. The tag of each side covers the TLS channel (its exporter), both
//! messages of the exchange, and a commitment of each side to its public keys; so nobody can stand between, or put other keys in
//! the place of these. Only then, over that channel, the new machine asks for its certificates, and gets them. Its private
//! keys stay where they were made. `docs/protocol.md` has the messages.

mod breach;
mod card;
mod code;
mod exchange;
mod frame;
mod inviter;
mod joiner;
#[cfg(test)]
mod tests;
mod words;

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

pub use breach::Breach;
pub use code::{Code, CodeError};
pub use inviter::{FailedAttempt, Invitation, NameCheck, Paired, all_free, invite};
pub use joiner::{IfTaken, Joined, Wish, join, knock};

use crate::{
    name::{LibraryError, connection_failed},
    tls::TlsError,
};

/// Where an inviting machine listens, while it shows a code.
pub const PAIRING_PORT: u16 = 8444;

/// What bounds a pairing.
#[derive(Debug, Clone)]
pub struct PairOptions {
    /// How long a code counts.
    pub life: Duration,
    /// After so many wrong codes it counts no more.
    pub tries: u8,
    /// For each step of the other side.
    pub step: Duration,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(5 * 60),
            tries: 3,
            step: Duration::from_secs(10),
        }
    }
}

/// Why two machines are not paired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Nobody is there.
    #[error("nobody shows a code at {address}: {source}")]
    Unreachable {
        /// Where we tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Another service answers there, most likely the peer that serves files.
    #[error("{address} is the port of files, where no code is shown")]
    ServesFiles {
        /// Where we tried.
        address: SocketAddr,
    },
    /// The other machine knows another code.
    #[error("wrong code ({left} of its tries left)")]
    WrongCode {
        /// How often it may still be tried.
        left: u8,
    },
    /// The other machine took our code and could not prove that it knows it.
    #[error("what answers does not know the code")]
    Impostor,
    /// Wrong codes have used up the tries.
    #[error("wrong codes were tried too often: this code counts no more")]
    Burned,
    /// Nobody came in time.
    #[error("nobody joined in time: this code counts no more")]
    Expired,
    /// Another machine has joined by the code.
    #[error("another machine has joined by this code: it counts no more")]
    Used,
    /// Another machine is joining right now.
    #[error("another machine is joining right now")]
    Busy,
    /// The other side refuses.
    #[error("refused: {said}")]
    Refused {
        /// What it says. Remote text: escape it before showing it.
        said: String,
    },
    /// This machine cannot have the name that it asked for.
    #[error("it cannot be called {name} there: {said}")]
    NameTaken {
        /// The name.
        name: String,
        /// Why not, as the other side says. Remote text: escape it before showing it.
        said: String,
        /// One that it can have.
        free: Option<String>,
    },
    /// The other side has looked whether a code is shown, and tried none.
    #[error("it has looked whether a code is shown here, and tried none")]
    OnlyLooked,
    /// The other side showed no code, and others came.
    #[error("it showed no code, and made way for others")]
    MadeWay,
    /// The other side does not keep to the protocol.
    #[error("what answers does not speak the pairing protocol: {0}")]
    Protocol(#[from] Breach),
    /// The name of the other machine has no address.
    #[error("the name of that machine has no address")]
    NoAddress,
    /// The other side was too slow.
    #[error("the other machine says nothing more")]
    Silent,
    /// The connection broke.
    #[error("{}", connection_failed(.0))]
    Broken(#[source] io::Error),
    /// It broke between the certificate and the last word: nothing was kept here.
    #[error("the connection broke at the last step; nothing was kept here")]
    Undecided,
    /// The new machine did not get so far, or did not say so.
    #[error("{name} did not say that it has its certificates, so they are revoked again: {source}")]
    TakenBack {
        /// What it was to be called.
        name: String,
        /// What went wrong.
        source: Box<Self>,
    },
    /// The home that would join has certificates.
    #[error("this home has certificates already: {}", .path.display())]
    HasCertificates {
        /// Which.
        path: PathBuf,
    },
    /// Certificates could not be made or used.
    #[error(transparent)]
    Tls(TlsError),
    /// The system failed us.
    #[error("{0}")]
    Failed(LibraryError),
}

impl From<TlsError> for PairError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Exists { path } => Self::HasCertificates { path },
            error => Self::Tls(error),
        }
    }
}

impl PairError {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(LibraryError::new(error))
    }
}
