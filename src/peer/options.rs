//! What a peer is made of, and why one does not run.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{ASK_EVERY, InboxOptions};
use crate::{
    address::loopback,
    discover::Discovery,
    id::PeerId,
    received::ReceivedError,
    server::{BindError, Limits},
    store::{LocalStoreOptions, Relay, StoreError},
    tls::{OutsideOptions, TlsError},
    trust::Role,
};

/// What a peer is made of: [`at`](Self::at) gives the defaults, and each field may be set.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerOptions {
    /// The folder of certificates.
    pub certs: PathBuf,
    /// What is said of an outside authority, in the place of the circle's own.
    pub outside: OutsideOptions,
    /// The folder of the store.
    pub chunks: PathBuf,
    /// The folder where received files appear.
    pub received: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// What to do with what arrives.
    pub inbox: InboxOptions,
    /// How the store behaves.
    pub store: LocalStoreOptions,
    /// What it does for others, and asks of them.
    pub relay: RelayOptions,
    /// What members may do here that have no role of their own.
    pub default_role: Role,
    /// How often known peers are asked for revocations, about: [`ASK_EVERY`].
    pub ask_every: Duration,
    /// Whether it is announced, if it listens on more than the loopback.
    pub discovery: Discovery,
    /// What its server bears of others. It is looked at when the peer is opened.
    pub limits: Limits,
}

impl PeerOptions {
    /// A peer of the home in this folder, with `certs`, `chunks` and `received` in it as the command line has them. It listens on a
    /// free port of the loopback, opens what arrives, and does everything else as `colis serve` does without settings.
    pub fn at(home: impl AsRef<Path>) -> Self {
        let home = home.as_ref();
        Self {
            certs: home.join("certs"),
            outside: OutsideOptions::default(),
            chunks: home.join("chunks"),
            received: home.join("received"),
            listen: SocketAddr::new(loopback(), 0),
            inbox: InboxOptions::default(),
            store: LocalStoreOptions::default(),
            relay: RelayOptions::default(),
            default_role: Role::default(),
            ask_every: ASK_EVERY,
            discovery: Discovery::default(),
            limits: Limits::default(),
        }
    }

    /// The same, listening there.
    #[must_use]
    pub fn listening(self, listen: SocketAddr) -> Self {
        Self { listen, ..self }
    }
}

/// How transfers go by way of others.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// The most stored bytes of transfers that one sender may have here for others.
    pub quota: Option<u64>,
    /// For how long they are kept, if they do not expire before.
    pub keep: Option<Duration>,
    /// How often known peers are asked for what they store for us; zero for never.
    pub collect: Duration,
}

impl RelayOptions {
    /// The same for the store of `owner`.
    pub(crate) fn of(&self, owner: PeerId) -> Relay {
        Relay {
            owner,
            quota: self.quota,
            keep: self.keep,
        }
    }
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            quota: None,
            keep: None,
            collect: Duration::from_secs(60),
        }
    }
}

/// Why a peer does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The folder of received files.
    #[error(transparent)]
    Received(#[from] ReceivedError),
    /// The port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Serving.
    #[error("serving failed: {0}")]
    Serve(#[from] io::Error),
}
