//! The store of a home: whether it is whole, and what is not needed any more in it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{
    Error, Event, Home, Reporter, Session,
    serve::keep_settled,
    serving::through_serving,
    store::{self, blocking},
};
use crate::{
    client::PeerClient,
    config::Config,
    id::PeerId,
    manifest::{Signer as _, Timestamp},
    peer::{History, expired_entry},
    server::TellLimits,
    store::{CheckReport, Expired, GcReport, LocalStore, StoreError, Unnamed},
    tls::{Circle, CircleHandle, Identity, TlsError},
    transfer::Reader,
    trust::AddressBook,
    wire::GcBody,
};

/// How a store is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckRequest {
    /// Whether every chunk is read and hashed.
    pub read_data: bool,
    /// Whether the home begins with the store that is in the place of the one that it had, or with a new one.
    pub new_store: bool,
}

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What is as it must be, and what is not.
    #[serde(flatten)]
    pub report: CheckReport,
    /// Whether every chunk was read and hashed.
    pub read_data: bool,
    /// Whether there is a store: a home has none before something is stored.
    pub exists: bool,
}

/// What was let go, and what was freed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// What was collected.
    #[serde(flatten)]
    pub report: GcReport,
    /// Transfers that were let go, because they were opened or refused long enough ago.
    pub opened: usize,
    /// Names of those who had put what was freed, as far as they are known here.
    #[serde(default)]
    pub names: BTreeMap<PeerId, String>,
}

impl From<GcBody> for Collected {
    fn from(body: GcBody) -> Self {
        let report = GcReport {
            expired: body.expired,
            chunks: body.chunks,
            bytes: body.bytes,
            by: body.by,
            removed: body.removed,
            abandoned: body.abandoned,
            sends: body.sends,
        };
        Self {
            report,
            opened: body.opened,
            names: BTreeMap::new(),
        }
    }
}

/// Checks the store of `home`. While another process has it, damage is reported and left where it is, which is told.
///
/// # Errors
/// Fails if the home or the disk of its store is not there, or the store cannot be read.
pub async fn check_store(
    home: &Home,
    config: &Config,
    request: CheckRequest,
    reporter: &dyn Reporter,
) -> Result<Checked, Error> {
    home.check_there()?;
    if request.new_store {
        let root = store::begin_anew(home, config)?;
        let path = root.to_string_lossy().into_owned();
        reporter.tell(&Event::NewStore { path });
    }
    store::check_there(home)?;
    if !home.chunks().join("FORMAT").exists() {
        return Ok(Checked::default());
    }
    let (store, read_data) = (open_or_look(home, config, reporter)?, request.read_data);
    Ok(Checked {
        report: blocking(move || store.check(read_data)).await?,
        read_data,
        exists: true,
    })
}

/// Lets go of what is settled or has expired in the store of `home`, and frees what nobody names; with `unfinished` also what
/// has come of transfers that are not whole. The peer that serves the home does it, where one does.
///
/// # Errors
/// Fails if the home is not there, another process has its store and does not serve it, or the store cannot be written.
pub async fn collect_garbage(
    home: &Home,
    config: &Config,
    unfinished: bool,
) -> Result<Collected, Error> {
    home.check_there()?;
    let serving = || store::serving(home, config);
    let ask = |peer: PeerClient| async move { peer.collect(unfinished).await.map(Collected::from) };
    let here = || collect_here(home, config, unfinished);
    let mut collected = through_serving(serving, ask, here).await?;
    collected.names = names(home, &collected.report.by);
    Ok(collected)
}

async fn collect_here(home: &Home, config: &Config, unfinished: bool) -> Result<Collected, Error> {
    let (store, keep) = (store::open(home, config)?, keep_settled(config));
    // A home without certificates has opened nothing.
    let owner = Identity::load(&home.dir()).map(|me| me.peer_id());
    let expired = Remembered::of(home);
    blocking(move || {
        let gone = store.take_expired(Timestamp::now(), &|gone| expired.add(&store, &gone))?;
        let opened = match owner {
            Ok(owner) => store.let_go_settled(keep, owner, Timestamp::now())?,
            Err(_) => 0,
        };
        let mut report = match unfinished {
            true => store.gc_unfinished(Timestamp::now())?,
            false => store.gc(Timestamp::now())?,
        };
        report.expired += gone;
        Ok(Collected {
            report,
            opened,
            names: BTreeMap::new(),
        })
    })
    .await
}

/// Where it is remembered what has expired while no peer served the home.
struct Remembered {
    history: History,
    /// `None` where the home has no keys that can be used: then it is not known what was for it.
    reader: Option<Reader>,
    limits: TellLimits,
    runtime: Handle,
}

impl Remembered {
    fn of(home: &Home) -> Self {
        let dir = home.dir();
        let read = || {
            let (identity, circle) = (Identity::load(&dir)?, Circle::load(&dir)?);
            Ok::<_, TlsError>(Reader {
                me: identity.peer_id(),
                seal_keys: identity.seal_keys().clone(),
                password: None,
                verifier: Arc::new(CircleHandle::new(circle)),
            })
        };
        Self {
            history: History::new(&home.chunks()),
            reader: read().ok(),
            limits: TellLimits::default(),
            runtime: Handle::current(),
        }
    }

    /// Blocks. Not being able to write the history is no reason to keep what has expired.
    fn add(&self, store: &LocalStore, gone: &Expired) {
        let Some(reader) = &self.reader else { return };
        let entry = self.runtime.block_on(expired_entry(store, reader, gone));
        let Some(mut entry) = entry else { return };
        if let Some(left_out) = self.limits.entry(&gone.info.sender) {
            entry.left_out = left_out;
            let _ = self.history.append(&entry);
        }
    }
}

fn names(home: &Home, by: &[Unnamed]) -> BTreeMap<PeerId, String> {
    let known = AddressBook::new(home.dir().peers()).peers();
    let known = known.unwrap_or_default().into_iter();
    let known = known.filter(|peer| by.iter().any(|one| one.peer_id == Some(peer.peer_id)));
    known
        .map(|peer| (peer.peer_id, peer.called().to_owned()))
        .collect()
}

impl Session {
    /// Checks the store of this home.
    ///
    /// # Errors
    /// As [`check_store`].
    pub async fn check(&self, request: CheckRequest) -> Result<Checked, Error> {
        check_store(&self.home, &self.config, request, &*self.reporter).await
    }

    /// Frees what is not needed any more in the store of this home.
    ///
    /// # Errors
    /// As [`collect_garbage`].
    pub async fn collect_garbage(&self, unfinished: bool) -> Result<Collected, Error> {
        collect_garbage(&self.home, &self.config, unfinished).await
    }
}

/// The store, or if a peer of ours is serving it, a look at it.
fn open_or_look(
    home: &Home,
    config: &Config,
    reporter: &dyn Reporter,
) -> Result<Arc<LocalStore>, Error> {
    let error = match store::open(home, config) {
        Ok(store) => return Ok(store),
        Err(error) => error,
    };
    let holder = match &error {
        StoreError::Locked { holder } => Some(holder.to_string()),
        // A disk to read only keeps nobody from looking.
        StoreError::Io { .. } => None,
        _ => return Err(error.into()),
    };
    let looked = match (store::look(home), &holder) {
        (Ok(store), _) => Arc::new(store),
        (Err(looking), Some(_)) => return Err(looking.into()),
        (Err(_), None) => return Err(error.into()),
    };
    let reason = error.to_string();
    reporter.tell(&Event::OnlyLooks { holder, reason });
    Ok(looked)
}
