//! The store of the session's own home: opened here, or behind the peer that is serving it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Error, Session, Silent, serve::keep_settled, serving::through_serving, store_options};
use crate::{
    client::PeerClient,
    config::Config,
    id::ManifestId,
    peer::{Reasons, RelayOptions},
    store::{LocalStore, Store, StoreError, TransferState},
    tls::{Inspected, Seen},
    wire::{DecidedQuestion, Decision},
};

use super::Home;

/// The store of a home.
pub enum OwnStore {
    /// Opened by this process. All operations of it share one.
    Direct(Arc<LocalStore>),
    /// Held by the peer that serves the home, which is asked.
    Served(PeerClient),
}

impl OwnStore {
    /// The store behind either.
    pub fn as_store(&self) -> Arc<dyn Store> {
        match self {
            Self::Direct(store) => store.clone(),
            Self::Served(client) => Arc::new(client.clone()),
        }
    }

    /// What it has now, read from the disk, which may be read beside the peer that serves it: much faster than asking that peer for
    /// each transfer.
    pub(super) fn to_read(&self, session: &Session) -> Arc<dyn Store> {
        match (self, look(&session.home)) {
            (Self::Served(_), Ok(store)) => Arc::new(store),
            _ => self.as_store(),
        }
    }
}

impl Session {
    /// Opens the store of this home. Where a peer is serving it, in this process or another, that peer is asked instead. What
    /// has the store open in this process shares it.
    ///
    /// Blocks for up to three seconds while another process has the store that does not serve, such as a command.
    ///
    /// # Errors
    /// Fails if the store is in use by something that does not serve, or its disk is not mounted or not readable.
    pub fn own_store(&self) -> Result<OwnStore, Error> {
        match self.serving()? {
            Some(peer) => Ok(OwnStore::Served(peer)),
            None => self.opened_or_served(open(&self.home, &self.config)),
        }
    }

    /// The same, without blocking a thread of the runtime.
    pub(crate) async fn own(&self) -> Result<OwnStore, Error> {
        if let Some(peer) = self.serving()? {
            return Ok(OwnStore::Served(peer));
        }
        let (home, config) = (self.home.clone(), self.config.clone());
        let opened = tokio::task::spawn_blocking(move || open(&home, &config)).await?;
        self.opened_or_served(opened)
    }

    fn opened_or_served(
        &self,
        opened: Result<Arc<LocalStore>, StoreError>,
    ) -> Result<OwnStore, Error> {
        match opened {
            Ok(store) => Ok(OwnStore::Direct(store)),
            Err(error @ StoreError::Locked { .. }) => self.served_store(error),
            // A disk to read only keeps nobody from looking, nor from receiving to another. Something else in the place of a file
            // is for the person to move away.
            Err(StoreError::Io { path, source }) if source.raw_os_error().is_some() => {
                let failed = |_| StoreError::Io { path, source };
                let store = look(&self.home).map_err(failed)?;
                Ok(OwnStore::Direct(Arc::new(store)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The peer that serves this home, if one does: it does what its owner asks.
    ///
    /// # Errors
    /// Fails if no client of it can be made.
    pub fn serving(&self) -> Result<Option<PeerClient>, Error> {
        let served = LocalStore::serving_address(&self.home.chunks());
        served.map(|address| self.own_client(&address)).transpose()
    }

    pub(super) fn own_client(&self, address: &str) -> Result<PeerClient, Error> {
        let (me, seen) = (Some(self.peer_id()), Seen::default());
        let client = self.client(&address.parse()?, me, &seen, self.client_options)?;
        Ok(client.of_own_home())
    }

    fn served_store(&self, locked: StoreError) -> Result<OwnStore, Error> {
        let Some(address) = LocalStore::serving_address(&self.home.chunks()) else {
            return Err(locked.into());
        };
        Ok(OwnStore::Served(self.own_client(&address)?))
    }

    /// Records what the owner has decided about a transfer in the own store: the peer that serves it does so, and where nobody does,
    /// this process.
    pub(crate) async fn record(
        &self,
        own: &OwnStore,
        manifest: ManifestId,
        decision: Decision,
    ) -> Result<(), Error> {
        if let OwnStore::Direct(store) = own {
            return self.record_in(store.clone(), manifest, decision).await;
        }
        let question = &DecidedQuestion { manifest, decision };
        let ask = |peer: PeerClient| async move { peer.decided(question).await };
        let here = || async {
            let store = open(&self.home, &self.config)?;
            self.record_in(store, manifest, decision).await
        };
        through_serving(|| self.serving(), ask, here).await
    }

    async fn record_in(
        &self,
        store: Arc<LocalStore>,
        id: ManifestId,
        decision: Decision,
    ) -> Result<(), Error> {
        let (keep, me) = (keep_settled(&self.config), self.peer_id());
        blocking(move || match decision {
            Decision::Opened => store.record_opened(id, keep, me),
            Decision::Refused => store.record_state(id, TransferState::Refused),
        })
        .await?;
        Reasons::new(&self.home.chunks()).forget(id);
        Ok(())
    }
}

/// The peer that serves `home`, if one does.
pub(super) fn serving(home: &Home, config: &Config) -> Result<Option<PeerClient>, Error> {
    if LocalStore::serving_address(&home.chunks()).is_none() {
        return Ok(None);
    }
    Session::with(home.clone(), config.clone(), Arc::new(Silent))?.serving()
}

/// Fails if the store of this home is on a disk that is not mounted, or another one is in its place.
pub(crate) fn check_there(home: &Home) -> Result<(), StoreError> {
    LocalStore::check_known(&home.chunks(), &home.store_mark())
}

/// The store of a home, while something of this process has it open.
type Slot = Arc<Mutex<Weak<LocalStore>>>;

/// The stores that this process has opened, by their homes.
static OPENED: LazyLock<Mutex<HashMap<PathBuf, Slot>>> = LazyLock::new(Mutex::default);

/// Opens the store of this home, and makes it if the home never had one. Where this process has it open already, that one is
/// shared: the lock of a store keeps out other processes, and not the second of two operations that run side by side.
pub(crate) fn open(home: &Home, config: &Config) -> Result<Arc<LocalStore>, StoreError> {
    let folder = home.chunks();
    // The folder of chunks may not be there yet.
    let root = home.root().canonicalize();
    let root = root.unwrap_or_else(|_| home.root().to_owned());
    let slot = lock(&OPENED).entry(root).or_default().clone();
    // Held while it is opened, so that whoever comes second finds it.
    let mut opened = lock(&slot);
    if let Some(shared) = opened.upgrade().filter(|store| store.is_in_place()) {
        LocalStore::check_known(&folder, &home.store_mark())?;
        return Ok(shared);
    }
    let mut options = store_options(config);
    if options.quota.is_some() {
        // What makes room for more is what its owner has opened.
        let owner = Inspected::peer(&home.dir()).ok();
        options.relay = owner.map(|owner| RelayOptions::default().of(owner.caller.key_id));
    }
    let store = LocalStore::open_known(&folder, &home.store_mark(), options)?;
    let store = Arc::new(store);
    *opened = Arc::downgrade(&store);
    Ok(store)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens it only to read, beside any process that uses it.
pub(crate) fn look(home: &Home) -> Result<LocalStore, StoreError> {
    LocalStore::look_at_known(&home.chunks(), &home.store_mark())
}

/// Takes the store that is in the place of the one that this home had, or makes one. Returns where it is.
pub(crate) fn begin_anew(home: &Home, config: &Config) -> Result<PathBuf, StoreError> {
    let (root, mark) = (home.chunks(), home.store_mark());
    LocalStore::open_instead(&root, &mark, store_options(config))?;
    Ok(root)
}

/// Runs `work` on the store where blocking is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::task::spawn_blocking(work).await??)
}
