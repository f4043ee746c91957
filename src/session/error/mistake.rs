//! Requests that cannot be meant as they stand.

use super::Candidate;
use crate::trust::NAME_RULE;

/// A request that cannot be meant as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// A home of an outside authority is made of three files, and one was not named.
    #[error(
        "the files of an outside authority are its certificates, that of this peer and the key for it"
    )]
    OutsideFiles,
    /// Several transfers may be meant.
    #[error("{text} may be one of {count} transfers: {}", listed(.candidates))]
    Ambiguous {
        /// What was given: a name, or the beginning of an id.
        text: String,
        /// How many may be meant.
        count: usize,
        /// They, in the order of time; of many the last ones.
        candidates: Vec<Candidate>,
    },
    /// Too little of an id.
    #[error("{text} is too short: an id needs at least {least} digits")]
    ShortId {
        /// What was given.
        text: String,
        /// As many digits count.
        least: usize,
    },
    /// Several peers may be meant.
    #[error("{text} may be {}", .peers.join(", or "))]
    SeveralPeers {
        /// What was given.
        text: String,
        /// The beginning of the id of each, and its names, escaped.
        peers: Vec<String>,
    },
    /// Neither a recipient nor a store is named.
    #[error("nobody to send to")]
    NobodyToSendTo,
    /// Neither a recipient nor a password is named.
    #[error("nobody but us could open it")]
    NobodyCouldOpen,
    /// A chunk size that is none.
    #[error("a chunk has 64KiB to 64MiB, a power of two")]
    ChunkSize,
    /// A transfer that would expire while it is sent.
    #[error("a transfer of a minute or less would be gone at once")]
    LifeTooShort,
    /// It is to be waited for what this peer sends to itself.
    #[error("nothing from this peer to itself is opened on arrival")]
    WaitsForItself,
    /// It is to be waited for a peer that only stores it.
    #[error("{peer} is not told when it is opened")]
    NotToldWhenOpened {
        /// The peer that stores it.
        peer: String,
    },
    /// A peer would be called as this one is.
    #[error("{name} is the name of this peer")]
    OwnName {
        /// The name.
        name: String,
    },
    /// A peer would forget itself.
    #[error("{name} is this peer itself")]
    ForgetsItself {
        /// Its name.
        name: String,
    },
    /// The role of this peer in its own store.
    #[error("the owner of a store may do everything in it")]
    OwnRole,
    /// The settings forbid to look around.
    #[error("looking around in the network is switched off")]
    DiscoveryOff,
    /// A name is given to a machine that has one.
    #[error("a name is for a machine that is new, and this one has a name")]
    NamedAlready,
    /// A machine is to be called as its host is, and no peer can be called so.
    #[error("this machine has no name that could be used")]
    NoName,
    /// A machine cannot be called so.
    #[error("bad name {name:?}: {NAME_RULE}")]
    BadName {
        /// The name.
        name: String,
    },
    /// A certificate is to name a host that is none.
    #[error("{host:?} is no name or address of a host")]
    NoHost {
        /// What was given.
        host: String,
    },
    /// Several machines show a code under one name.
    #[error("{count} machines show a code as {name}: {addresses}")]
    SeveralInviters {
        /// The name.
        name: String,
        /// How many.
        count: usize,
        /// Where the first of them are.
        addresses: String,
    },
    /// This machine in the place of the one that shows a code.
    #[error("{name} is this machine itself, and no code is shown here")]
    OwnHost {
        /// As it was typed.
        name: String,
    },
    /// A pairing code in the place of a host. It is not repeated, and was not sent.
    #[error(
        "this is a pairing code, not the machine that shows it; it was not looked up or sent, and still counts"
    )]
    CodeForHost,
    /// A message that is empty, or too long for one.
    #[error("a message has 1 to {most} bytes")]
    MessageLength {
        /// The most bytes.
        most: u64,
    },
    /// A limit of the rate that lets nothing pass.
    #[error("a limit of 0 would move nothing")]
    MovesNothing,
    /// Nothing is named that is to be received.
    #[error("nothing to receive was named")]
    NothingToReceive,
    /// Not one transfer, whose content alone can go to a writer.
    #[error("{count} transfers cannot go to one stream")]
    NotOneTransfer {
        /// As many were chosen.
        count: usize,
    },
    /// An unfinished send that is not known well enough to be resumed by its id.
    #[error("{text} is continued only by the command that began it")]
    ResumedByRepeating {
        /// The id of the transfer.
        text: String,
    },
    /// An unfinished send that was sealed with a password, and none is given.
    #[error("the password that it was sealed with is needed to go on")]
    ResumeNeedsPassword,
    /// More sources than are read at once.
    #[error("{count} sources, at most {most} are read at once")]
    TooManySources {
        /// As many were named.
        count: usize,
        /// As many may be.
        most: usize,
    },
}

impl Mistake {
    /// That `text` may mean each of `candidates`.
    pub(in crate::session) fn ambiguous(text: &str, candidates: Vec<Candidate>) -> Self {
        Self::Ambiguous {
            text: text.to_owned(),
            count: candidates.len(),
            candidates: Candidate::in_time(candidates),
        }
    }
}

fn listed(candidates: &[Candidate]) -> String {
    let listed = candidates.iter().map(ToString::to_string);
    listed.collect::<Vec<_>>().join("; ")
}
