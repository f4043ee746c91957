//! How files of certificates and keys are wrong, and why the circle's machine refuses: the parameters of [`TlsError`](super::TlsError).

use std::path::PathBuf;

use crate::{
    crypto::CryptoError,
    id::PeerId,
    manifest::{ManifestError, Timestamp},
    name::LibraryError,
};

/// How a file is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadFile {
    /// It is not a regular file.
    #[error("not a regular file")]
    NotRegular,
    /// Another user owns a private one.
    #[error("it belongs to another user")]
    OtherOwner,
    /// It is too long for a certificate, or not a file.
    #[error("not a file of certificates")]
    NotCertificates,
    /// It has no certificate.
    #[error("no certificate in it ({0})")]
    NoCertificate(LibraryError),
    /// The certificate of a peer is one for its scripts.
    #[error("it is a script's certificate")]
    OfScript,
    /// It has no private key of the form that is read.
    #[error("no PKCS#8 private key in it")]
    NoKey,
    /// It has several private keys.
    #[error("more than one private key in it")]
    SeveralKeys,
    /// Its key is of another kind.
    #[error("not an ECDSA P-256 key")]
    OtherKind,
    /// Its key is not that of the certificate.
    #[error("it is not the key of the certificate beside it")]
    OtherKey,
    /// It has no seal key.
    #[error("no seal key in it")]
    NoSealKey,
    /// It is under a passphrase, and is damaged or asks for too much.
    #[error("{0}")]
    Locked(CryptoError),
    /// The certificate of the circle cannot be parsed.
    #[error("{0}")]
    BadCircle(LibraryError),
    /// The certificate that is offered is not one of this circle.
    #[error("it is of another circle")]
    OtherCircle,
    /// The certificate that is offered is not signed by the circle's key.
    #[error("the circle's key has not signed it")]
    NotSelfSigned,
    /// The certificates of an outside authority in it cannot be used.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// The revocation lists in it cannot be used.
    #[error(transparent)]
    List(#[from] BadList),
    /// The directory in it cannot be used.
    #[error(transparent)]
    Directory(#[from] BadDirectory),
    /// The record of what was issued has no whole line.
    #[error("line 1: no whole line in it")]
    NoLine,
    /// A line of that record cannot be parsed.
    #[error("line {number}: {cause}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// What the parser says.
        cause: LibraryError,
    },
}

/// Why the file of an outside authority's certificates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAuthority {
    /// It cannot be parsed.
    #[error("{0}")]
    Unreadable(LibraryError),
    /// There is no certificate in it.
    #[error("no certificate in it")]
    None,
    /// It has more than any authority needs.
    #[error("more certificates than an authority has")]
    TooMany,
    /// One is that of somebody who signs nothing.
    #[error("{name} in it is no authority (basicConstraints CA:TRUE is missing)")]
    NoAuthority {
        /// What it is called.
        name: String,
    },
    /// The root is not in it.
    #[error(
        "no root in it, which has signed itself: it needs the root and what is between that and its peers"
    )]
    NoRoot,
}

/// Why revocation lists cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadList {
    /// They cannot be parsed, or checked with the certificate of this peer.
    #[error("{0}")]
    Unreadable(LibraryError),
    /// They are more than a circle has.
    #[error("more lists than a circle has")]
    TooMany,
    /// There is none.
    #[error("no revocation list in it")]
    None,
    /// One has no number, or one that is too large.
    #[error("it has no usable number")]
    NoNumber,
    /// One is not signed by the circle's key.
    #[error("it is not signed by our circle ({0})")]
    NotSigned(LibraryError),
    /// With those in force they are longer than lists may be.
    #[error("with ours it is longer than lists may be")]
    TooLong,
    /// An outside authority's is longer than such a list may be.
    #[error("a list in it has more than 16 MiB")]
    TooLarge,
    /// It is of somebody who is not among the outside authority's certificates.
    #[error("it has a list of {issuer}, which is none of the authorities that are trusted here")]
    OtherIssuer {
        /// What it is called.
        issuer: String,
    },
    /// An outside authority's key has not signed it.
    #[error("its list of {issuer} is not signed by the key of {issuer}")]
    BadSignature {
        /// What it is called.
        issuer: String,
    },
    /// There are two of one issuer.
    #[error("it has two lists of {issuer}, where one of each authority is needed")]
    Twice {
        /// What it is called.
        issuer: String,
    },
    /// There is none of an authority that has signed for this peer.
    #[error("it has no list of {issuer}, and one of each authority is needed")]
    Missing {
        /// What it is called.
        issuer: String,
    },
    /// A newer one of that issuer is in force: whoever brings back an older one would undo a revocation.
    #[error("its list of {issuer} is missing, or older than the one in force")]
    Older {
        /// What it is called.
        issuer: String,
    },
    /// Members do not give each other the lists of an outside authority.
    #[error("an outside authority signs here, and its lists are not taken from members")]
    OfOutside,
}

impl BadList {
    /// Whether it is about a list of an outside authority.
    pub fn is_of_outside(&self) -> bool {
        matches!(
            self,
            Self::TooLarge
                | Self::OtherIssuer { .. }
                | Self::BadSignature { .. }
                | Self::Twice { .. }
                | Self::Missing { .. }
                | Self::Older { .. }
        )
    }
}

/// Why a directory cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDirectory {
    /// It cannot be parsed, or the circle's key has not signed it.
    #[error(transparent)]
    Document(Box<ManifestError>),
    /// What it says of a member does not count.
    #[error("its member {peer}: {fault}")]
    Member {
        /// The member.
        peer: PeerId,
        /// Why.
        fault: Box<ManifestError>,
    },
    /// A member is called otherwise by its certificate than by its bundle.
    #[error("its member {peer}: the certificate has another name")]
    MemberName {
        /// The member.
        peer: PeerId,
    },
    /// An outside authority signs no directory.
    #[error("an outside authority signs here, which signs no directory")]
    OfOutside,
    /// Another directory of the circle has its number.
    #[error(
        "it is another one than ours, which has its number {number}: the circle's key was used on two machines"
    )]
    Conflict {
        /// The number.
        number: u64,
    },
}

/// Why a certificate is not made, taken over or revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhyRefused {
    /// The circle's own certificate has ended.
    #[error(
        "the circle's own certificate ended on {ended}: renew it first, with colis certs renew-circle"
    )]
    CircleEnded {
        /// When.
        ended: Timestamp,
    },
    /// The circle has signed as many keys as it can revoke.
    #[error("this circle has signed as many keys as its revocation list can hold")]
    CircleFull,
    /// A machine is joining, whose certificates are on their way.
    #[error("a machine is joining by a code just now: try again when that has ended")]
    Pairing,
    /// The circle's own machine was to be revoked.
    #[error("the circle's own machine cannot be revoked")]
    OwnMachine,
    /// The name of the circle's own machine was to be given to another.
    #[error("the circle's own machine is called {name}")]
    OwnName {
        /// The name.
        name: String,
    },
    /// Several peers may be meant.
    #[error("several peers have an id that begins so: give the whole id")]
    SeveralPeers,
    /// Several peers that are not revoked have one name.
    #[error("{} peers are called {name}: {}", .peers.len(), listed(.peers))]
    SameName {
        /// The name.
        name: String,
        /// The peers.
        peers: Vec<PeerId>,
    },
    /// A file to revoke has no certificate.
    #[error("there is no certificate in that file")]
    NoCertificate,
    /// What asks for a certificate cannot be parsed.
    #[error("not a signing request: {0}")]
    NoRequest(LibraryError),
    /// The key that is to be signed is of another kind.
    #[error("not an ECDSA P-256 key")]
    OtherKind,
    /// A machine that joins has one key for itself and its scripts.
    #[error("its scripts need a key of their own")]
    SharedKey,
    /// A key of a machine that joins has a certificate, or was revoked.
    #[error("this circle has issued a certificate for that key before")]
    KnownKey,
    /// The name of a machine that joins could pass for that of a host.
    #[error(
        "the name of a machine that joins must have no dot, and not be that of another host: choose another"
    )]
    HostName,
    /// The certificate that is to be renewed ended too long ago.
    #[error("its certificate ended on {ended}, and was to be renewed within {days} days")]
    EndedTooLongAgo {
        /// When it ended.
        ended: Timestamp,
        /// For so many days it could be renewed.
        days: u64,
    },
    /// A certificate of scripts was to be renewed for another key.
    #[error("a certificate is renewed for the key that it has")]
    RenewedKey,
    /// The certificates of the caller are revoked.
    #[error("its certificates are revoked")]
    Revoked,
    /// The name of the caller has gone to another key.
    #[error("its name belongs to another key by now")]
    NameGone,
    /// There is no record of a certificate for the key.
    #[error("this circle has issued nothing to that key")]
    NothingIssued,
    /// What came as a renewed certificate is none.
    #[error("the renewal is no certificate")]
    NoRenewal,
    /// The renewed certificate is not a renewal of the one that is here.
    #[error("the renewed certificate is for another key, name or use")]
    OtherRenewal,
    /// The certificate that was issued for this machine has another name.
    #[error("the certificate is for another name")]
    OtherName,
    /// The peer that issued it cannot be verified.
    #[error("{0}")]
    Issuer(ManifestError),
    /// The peer that issued it is called otherwise by its certificate.
    #[error("its certificate has another name than it says")]
    IssuerName,
    /// The certificate for scripts is that of another peer.
    #[error("the script's certificate does not act for this peer")]
    OtherScript,
    /// A home of an outside authority was to do what only a circle's own can.
    #[error("{} is for a circle with an authority of its own, and this home has an outside one ({})", .0.what, .0.authority)]
    OutsideAuthority(Box<OutsideAuthority>),
    /// The certificate of an outside authority is not for what a peer does with it.
    #[error("the certificate of {name} is not for a server, as which a peer signs and serves: {}", match .for_clients {
        true => "its extended key usage is clientAuth alone",
        false => "it has no extended key usage serverAuth",
    })]
    NotForServers {
        /// Whether it is for clients.
        for_clients: bool,
        /// Its name.
        name: String,
        /// The file with its key.
        key: PathBuf,
    },
    /// The key for a certificate of an outside authority is of another kind.
    #[error("the key of {name} is {kind}, where a peer has ECDSA P-256")]
    KeyKind {
        /// What it is.
        kind: String,
        /// The name in its certificate.
        name: String,
    },
    /// No certificate of a file is that of the key.
    #[error("{}: no certificate in it is that of the key in {}", .cert.display(), .key.display())]
    NotOfKey {
        /// The file with certificates.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A renewed certificate has another key.
    #[error("that certificate has another key, and this would be another peer with it: {} instead of {}", .0.new, .0.old)]
    OtherPeer(Box<OtherPeer>),
    /// The certificates of a circle's own authority were to be replaced by those of an outside one.
    #[error("this home has certificates of a circle's own authority")]
    OwnAuthority,
    /// The folder to import is that of the circle's own machine.
    #[error(
        "{} holds the circle's key, which stays on its machine; another machine gets a folder made there by \
         `colis certs issue NAME --out DIR`",
        .folder.display()
    )]
    HasCircleKey {
        /// The folder.
        folder: PathBuf,
    },
}

/// What was asked of an outside authority that only a circle's own does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideAuthority {
    /// What the authority is called.
    pub authority: String,
    /// What was asked.
    pub what: &'static str,
    /// What stands in the place of that, in lines of which the first says what it is about.
    pub instead: Vec<String>,
}

/// A certificate with which a peer would be another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPeer {
    /// Its name.
    pub name: String,
    /// Who it is.
    pub old: PeerId,
    /// Who it would be.
    pub new: PeerId,
}

/// Whole ids, one after the other.
fn listed(peers: &[PeerId]) -> String {
    let ids: Vec<_> = peers.iter().map(ToString::to_string).collect();
    ids.join(", ")
}
