//! Peers of one circle on the loopback, each reached from each other over a link of its own.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{Entrance, Link};
use crate::{
    config::Config,
    discover::Discovery,
    peer::{Peer, PeerError, PeerHandle, PeerOptions},
    session::{Error, Home, Session, Silent},
    tls::{
        CertsDir, TlsError,
        ca::{self, CertificateOptions},
    },
    trust::{AddressBook, TrustError},
};

/// The settings of each home, also for commands that a test runs in it.
const SETTINGS: &str = "discovery = false\n";

/// Peers on the loopback, in temporary homes, all of one circle: the first has its key. They know each other, each by the name and
/// by an address that leads over the [`Link`] between the two.
///
/// [`shutdown`](Self::shutdown) ends them properly; a network that is dropped is cut off, and its homes are removed.
pub struct Network {
    peers: Vec<Running>,
    /// By the numbers of two peers, the smaller one first.
    links: HashMap<(usize, usize), Link>,
    /// Where the first of two peers reaches the second one.
    entrances: HashMap<(usize, usize), Entrance>,
    open: Box<Open>,
    /// Removed last.
    root: TempDir,
}

/// Opens the peer of this number.
type Open = dyn Fn(usize, PeerOptions) -> Result<Peer, PeerError> + Send + Sync;

struct Running {
    name: String,
    home: PathBuf,
    handle: PeerHandle,
    task: Option<JoinHandle<Result<(), PeerError>>>,
}

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A file or a port.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address book.
    #[error(transparent)]
    Book(#[from] TrustError),
    /// A peer does not run, or did not end well.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The task of a peer was cut, or has panicked.
    #[error(transparent)]
    Task(#[from] tokio::task::JoinError),
}

impl Network {
    /// Runs so many peers, called `peer0`, `peer1` and so on, which open what arrives. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn of(count: usize) -> Result<Self, NetworkError> {
        Self::open(count, |_, options| Peer::open(options)).await
    }

    /// The same with peers that `open` opens: by other options than these, or with routes of its own.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub async fn open(
        count: usize,
        open: impl Fn(usize, PeerOptions) -> Result<Peer, PeerError> + Send + Sync + 'static,
    ) -> Result<Self, NetworkError> {
        let mut network = Self {
            peers: Vec::new(),
            links: HashMap::new(),
            entrances: HashMap::new(),
            open: Box::new(open),
            root: tempfile::tempdir()?,
        };
        for number in 0..count {
            network.add(number)?;
        }
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                network.connect(from, to).await?;
            }
        }
        Ok(network)
    }

    fn add(&mut self, number: usize) -> Result<(), NetworkError> {
        let name = format!("peer{number}");
        let home = self.root.path().join(&name);
        let (certs, options) = (
            CertsDir::new(home.join("certs")),
            CertificateOptions::default(),
        );
        match self.peers.first() {
            None => ca::init(&certs, &name, &options)?,
            Some(first) => {
                let first = CertsDir::new(first.home.join("certs"));
                ca::issue(&first, &name, &certs, &options)?
            }
        };
        fs::write(home.join("colis.toml"), SETTINGS)?;
        let (handle, task) = self.run(number, &home)?;
        self.peers.push(Running {
            name,
            home,
            handle,
            task: Some(task),
        });
        Ok(())
    }

    fn run(
        &self,
        number: usize,
        home: &Path,
    ) -> Result<(PeerHandle, JoinHandle<Result<(), PeerError>>), PeerError> {
        let mut options = PeerOptions::at(home);
        options.discovery = Discovery::Off;
        let peer = (self.open)(number, options)?;
        let handle = peer.handle();
        Ok((handle, tokio::spawn(peer.run(std::future::pending()))))
    }

    /// Makes the way by which one peer reaches another, and puts it into its address book.
    async fn connect(&mut self, from: usize, to: usize) -> Result<(), NetworkError> {
        let peer = &self.peers[to].handle;
        let link = self.links.entry(ordered(from, to)).or_default();
        let entrance = link.lead_to(peer.address()).await?;
        let certs = CertsDir::new(self.peers[from].home.join("certs"));
        let (bundle, at) = (peer.identity().bundle()?, entrance.address().to_string());
        AddressBook::new(certs.peers()).learn(&bundle, &at)?;
        self.entrances.insert((from, to), entrance);
        Ok(())
    }

    /// How many peers it has, those that were stopped among them.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The handle of a peer: of the last that ran in its home.
    ///
    /// # Panics
    /// If there is no peer of that number, here and in what follows.
    pub fn peer(&self, number: usize) -> &PeerHandle {
        &self.peers[number].handle
    }

    /// What the others call it.
    pub fn name(&self, number: usize) -> &str {
        &self.peers[number].name
    }

    /// Its home.
    pub fn home(&self, number: usize) -> &Path {
        &self.peers[number].home
    }

    /// A place for a file of the test, beside the homes; it goes with the network.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A member that acts from the home of this peer. It reaches the others over the links.
    ///
    /// # Errors
    /// Those of [`Session::with`].
    pub fn session(&self, number: usize) -> Result<Session, Error> {
        let home = Home::resolve(Some(self.home(number)))?;
        let config = Config {
            discovery: Some(false),
            ..Config::default()
        };
        Session::with(home, config, Arc::new(Silent))
    }

    /// The link between two peers, both ways.
    ///
    /// # Panics
    /// If it is one and the same peer.
    pub fn link(&self, one: usize, other: usize) -> &Link {
        &self.links[&ordered(one, other)]
    }

    /// Where `from` reaches `to`: for clients of the test's own that shall go over the link.
    ///
    /// # Panics
    /// If it is one and the same peer.
    pub fn entrance(&self, from: usize, to: usize) -> &Entrance {
        &self.entrances[&(from, to)]
    }

    /// Ends a peer. Nothing of its home is held then.
    ///
    /// # Errors
    /// What its [`Peer::run`] gave.
    pub async fn stop(&mut self, number: usize) -> Result<(), NetworkError> {
        let peer = &mut self.peers[number];
        peer.handle.stop();
        match peer.task.take() {
            Some(task) => Ok(task.await??),
            None => Ok(()),
        }
    }

    /// Cuts a peer off in whatever it does, as if its process were killed, and waits until its home is free.
    pub async fn kill(&mut self, number: usize) {
        let peer = &mut self.peers[number];
        if let Some(task) = peer.task.take() {
            task.abort();
            peer.handle.released().await;
        }
    }

    /// Runs a peer again that has ended. The others reach it where they did.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn start(&mut self, number: usize) -> Result<(), NetworkError> {
        let (handle, task) = self.run(number, self.home(number))?;
        for ((_, to), entrance) in &self.entrances {
            if *to == number {
                entrance.lead_to(handle.address());
            }
        }
        let peer = &mut self.peers[number];
        (peer.handle, peer.task) = (handle, Some(task));
        Ok(())
    }

    /// Ends all peers, one after the other.
    ///
    /// # Errors
    /// The first that their [`Peer::run`] gave.
    pub async fn shutdown(mut self) -> Result<(), NetworkError> {
        for number in 0..self.len() {
            self.stop(number).await?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for task in self.peers.iter_mut().filter_map(|peer| peer.task.take()) {
            task.abort();
        }
    }
}

fn ordered(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}
