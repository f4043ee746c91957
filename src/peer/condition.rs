//! How a running peer is, beyond what its server sees: revocation list, disk, store, inbox.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use tokio::sync::Mutex;

use super::{adjust::InForce, door::Door, inbox::Inbox};
use crate::{
    manifest::Signer as _,
    server::HealthDesk,
    store::{LocalStore, ManifestInfo, PageRequest, Store as _, StoreError},
    trust::Role,
    wire::{Condition, DEFAULT_PAGE, Stored},
};

/// Counting the store anew takes at most this part of the time, however often somebody asks.
const COUNTING: u32 = 50;

/// Looks at the parts of a peer.
pub(super) struct ConditionDesk {
    door: Arc<Door>,
    store: Arc<LocalStore>,
    inbox: Arc<Inbox>,
    chunks: PathBuf,
    options: InForce,
    counted: Mutex<Option<Counted>>,
}

/// What counting gave, when it was done, and how long it took.
#[derive(Clone, Copy)]
struct Counted {
    stored: Stored,
    waiting: u64,
    damaged: u64,
    at: Instant,
    took: Duration,
}

impl ConditionDesk {
    pub(super) fn new(
        door: &Arc<Door>,
        store: &Arc<LocalStore>,
        inbox: &Arc<Inbox>,
        chunks: PathBuf,
        options: InForce,
    ) -> Self {
        Self {
            door: door.clone(),
            store: store.clone(),
            inbox: inbox.clone(),
            chunks,
            options,
            counted: Mutex::default(),
        }
    }

    /// What is stored and what waits, if the store can be read; who asks meanwhile waits for the same count.
    async fn counted(&self) -> Option<Counted> {
        let mut kept = self.counted.lock().await;
        if let Some(counted) = *kept
            && counted.at.elapsed() < counted.took * COUNTING
        {
            return Some(counted);
        }
        let began = Instant::now();
        let store = self.store.clone();
        let counted = tokio::task::spawn_blocking(move || {
            let damaged = store.damaged().ok()?.len() as u64;
            Some((store.usage().ok()?, damaged))
        });
        let (usage, damaged) = counted.await.ok().flatten()?;
        let counted = Counted {
            stored: Stored {
                bytes: usage.bytes,
                chunks: usage.chunks,
                manifests: usage.manifests,
            },
            waiting: waiting(&self.store, &self.door).await.ok()?,
            damaged,
            at: Instant::now(),
            took: began.elapsed(),
        };
        *kept = Some(counted);
        *kept
    }

    async fn look(&self) -> Condition {
        let circle = self.door.circle().now();
        let (options, mode) = {
            let now = self.options.borrow();
            (now.store, now.inbox.policy.default.mode)
        };
        let room = LocalStore::room(&self.chunks, options).ok();
        let counted = self.counted().await;
        Condition {
            list_since: circle.crl_this_update(),
            disk_free: room.map(|room| room.free),
            quota: options.quota,
            store: counted.map(|counted| counted.stored),
            waiting: counted.map(|counted| counted.waiting),
            damaged: counted.map(|counted| counted.damaged),
            inbox: Some(self.inbox.counts()),
            inbox_mode: Some(mode.word().to_owned()),
        }
    }
}

impl HealthDesk for ConditionDesk {
    fn condition(&self) -> BoxFuture<'_, Condition> {
        Box::pin(self.look())
    }
}

/// How many transfers for us, from others, are not opened. What a peer has sent that is blocked by now waits for nobody.
async fn waiting(store: &LocalStore, door: &Door) -> Result<u64, StoreError> {
    let us = door.identity().peer_id();
    let (mut waiting, mut after) = (0, None);
    loop {
        let limit = DEFAULT_PAGE;
        let page = store
            .list_with_states(PageRequest { after, limit }, Some(us))
            .await?;
        after = page.items.last().map(|info| info.id);
        let waits = |info: &&ManifestInfo| {
            let is_undecided = info.state.is_some_and(|at| at.state.is_undecided());
            is_undecided && info.sender != us && door.role_of(info.sender) != Role::None
        };
        waiting += page.items.iter().filter(waits).count() as u64;
        if !page.more {
            return Ok(waiting);
        }
    }
}
