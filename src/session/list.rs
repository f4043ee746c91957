//! What a store has: transfers and chunks, ours or a peer's.

use std::{collections::HashSet, sync::Arc};

use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use super::{
    Error, Event, Mark, Session, SignedBy,
    mark::Marks,
    which::{manifest_at, readable},
};
use crate::{
    id::{ManifestId, PeerId},
    manifest::Timestamp,
    store::{ManifestInfo, Page, PageRequest, Store, StoreError, StoreFuture, TransferState},
    transfer::read_top_names,
    wire::DEFAULT_PAGE,
};

/// Memory of the transfers of one list, and pages of it: more than any honest store has, and what a peer whose list does not
/// end can cost.
const MAX_HELD: usize = 32 << 20;
const MAX_PAGES: usize = 10_000;
/// Transfers of a list that are read at a time. A manifest may take 8 MiB, and a peer gives few of that size at once.
const ROWS_AT_ONCE: usize = 4;

/// A transfer as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferRow {
    /// What its store says of it.
    #[serde(flatten)]
    pub info: ManifestInfo,
    /// Who signed it.
    #[serde(flatten)]
    pub from: SignedBy,
    /// How far it has come there.
    pub state: TransferState,
    /// What it is to this home; `None` if it is sealed for others.
    pub mark: Option<Mark>,
    /// Of what this peer sent: what the others are called here that it is for.
    #[serde(default)]
    pub to: Vec<String>,
    /// The names at its top, if it can be opened here.
    pub names: Option<Vec<String>>,
    /// Whether there may be other names.
    pub more_names: bool,
    /// Whether it says that it is sealed for this peer.
    #[serde(skip)]
    pub is_for_us: bool,
}

/// How much a list of chunks had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListedChunks {
    /// As many.
    pub chunks: u64,
    /// Their sealed bytes.
    pub bytes: u64,
}

impl Session {
    /// The store of `peer`, or our own.
    ///
    /// # Errors
    /// Fails if the peer cannot be reached, or our own store cannot be read.
    pub async fn store_of(&self, peer: Option<&str>) -> Result<Arc<dyn Store>, Error> {
        Ok(match peer {
            Some(peer) => Arc::new(self.connect(peer).await?.client.for_looking()),
            None => self.own().await?.as_store(),
        })
    }

    /// The same, to read only: what this home has is read from the disk also while a peer serves it.
    ///
    /// # Errors
    /// As [`Self::store_of`].
    pub async fn store_to_read(&self, peer: Option<&str>) -> Result<Arc<dyn Store>, Error> {
        match peer {
            Some(_) => self.store_of(peer).await,
            None => Ok(self.own_store()?.to_read(self)),
        }
    }

    /// Lists the transfers of `store`, as far as this peer can read them.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn list(&self, store: &dyn Store) -> Result<Vec<TransferRow>, Error> {
        let mut rows = Vec::new();
        self.list_each(store, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// Gives each transfer of `store` to `show` as soon as it is read, the oldest first: each costs some requests of its own.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn list_each(
        &self,
        store: &dyn Store,
        mut show: impl FnMut(TransferRow),
    ) -> Result<(), Error> {
        let mut infos = all_with_states(self, store, None).await?;
        infos.sort_by_key(in_time);
        // A list is shown also where the own store is not there.
        let marks = self.marks().ok();
        let rows = stream::iter(infos).map(|info| row(self, store, marks.as_ref(), info));
        let mut rows = rows.buffered(ROWS_AT_ONCE);
        while let Some(row) = rows.next().await {
            row?.into_iter().for_each(&mut show);
        }
        Ok(())
    }

    /// Lists the transfers of `peer`, or of our own store, as far as this peer can read them.
    ///
    /// # Errors
    /// Those of [`Self::store_of`] and [`Self::list`].
    pub async fn list_of(&self, peer: Option<&str>) -> Result<Vec<TransferRow>, Error> {
        let store = self.store_to_read(peer).await?;
        self.list(&*store).await
    }

    /// Tells each chunk of `store`, page after page, and keeps none. Gives how much was told.
    ///
    /// # Errors
    /// Fails if the store does not answer.
    pub async fn list_chunks(&self, store: &dyn Store) -> Result<ListedChunks, Error> {
        let (mut after, mut listed) = (None, ListedChunks::default());
        for _ in 0..MAX_PAGES {
            let limit = DEFAULT_PAGE;
            let page = store.list_chunks(PageRequest { after, limit }).await?;
            after = page.items.last().map(|chunk| chunk.id);
            for chunk in page.items {
                listed.chunks += 1;
                listed.bytes = listed.bytes.saturating_add(chunk.length);
                self.tell(Event::Chunk(chunk));
            }
            if !page.more {
                return Ok(listed);
            }
        }
        self.tell(Event::ChunksCut { pages: MAX_PAGES });
        Ok(listed)
    }
}

/// The order of time.
pub(super) fn in_time(info: &ManifestInfo) -> (Timestamp, ManifestId) {
    (info.created, info.id)
}

/// The row of a transfer that was listed with its state; `None` if it was let go since. Fails if the store does not answer.
pub(super) async fn row(
    us: &Session,
    store: &dyn Store,
    marks: Option<&Marks<'_>>,
    mut info: ManifestInfo,
) -> Result<Option<TransferRow>, StoreError> {
    let Some(at) = info.state.take() else {
        return Ok(None);
    };
    let (from, top) = match manifest_at(store, info.id).await? {
        Some(manifest) => {
            let (reader, now) = (us.reader_of(manifest.payload()), Timestamp::now());
            let top = read_top_names(now, store, &reader, &manifest).await;
            (SignedBy::of(us, &manifest), readable(top)?)
        }
        None => (SignedBy::unknown(info.sender), None),
    };
    let more_names = top.as_ref().is_some_and(|top| top.more_names);
    let is_for_us = info.recipients.iter().any(|id| us.is_us(*id));
    let to = match us.is_us(info.sender) {
        true => us.recipients_of(&info),
        false => Vec::new(),
    };
    let mark = match marks {
        Some(marks) => marks.of(store, &info).await,
        None => None,
    };
    Ok(Some(TransferRow {
        is_for_us,
        mark,
        to,
        info,
        from,
        state: at.state,
        names: top.map(|top| top.names),
        more_names,
    }))
}

/// Every manifest of a store of this machine that this peer opens, now or by an identity of a circle that was left.
pub(super) async fn manifests_here(
    us: &Session,
    store: &dyn Store,
) -> Result<Vec<ManifestInfo>, StoreError> {
    let mut infos = states_here(us, store).await?;
    infos.iter_mut().for_each(|info| info.state = None);
    Ok(infos)
}

/// The same, each with its state.
pub(super) async fn states_here(
    us: &Session,
    store: &dyn Store,
) -> Result<Vec<ManifestInfo>, StoreError> {
    let mut infos = all_with_states(us, store, Some(us.peer_id())).await?;
    for id in us.former_ids() {
        infos.extend(all_with_states(us, store, Some(id)).await?);
    }
    let mut seen = HashSet::new();
    infos.retain(|info| seen.insert(info.id));
    Ok(infos)
}

/// Every manifest of a store, page after page, as far as a list may go; says so if it goes on.
pub(crate) async fn all_manifests(
    session: &Session,
    store: &dyn Store,
    reader: Option<PeerId>,
) -> Result<Vec<ManifestInfo>, StoreError> {
    all_pages(session, |page| store.list_manifests(page, reader)).await
}

/// The same, each with its state.
pub(crate) async fn all_with_states(
    session: &Session,
    store: &dyn Store,
    reader: Option<PeerId>,
) -> Result<Vec<ManifestInfo>, StoreError> {
    all_pages(session, |page| store.list_with_states(page, reader)).await
}

async fn all_pages<'a>(
    session: &Session,
    ask: impl Fn(PageRequest<ManifestId>) -> StoreFuture<'a, Page<ManifestInfo>>,
) -> Result<Vec<ManifestInfo>, StoreError> {
    let mut infos: Vec<ManifestInfo> = Vec::new();
    let mut held = 0;
    for _ in 0..MAX_PAGES {
        let after = infos.last().map(|info| info.id);
        let page = PageRequest {
            after,
            limit: DEFAULT_PAGE,
        };
        let page = ask(page).await?;
        // A peer that repeats itself must not keep us here.
        let advances = page.items.last().map(|info| info.id) > after;
        held += page.items.iter().map(held_by).sum::<usize>();
        infos.extend(page.items);
        if !page.more || !advances {
            return Ok(infos);
        }
        if held > MAX_HELD {
            break;
        }
    }
    session.tell(Event::ListCut { count: infos.len() });
    Ok(infos)
}

/// The memory that a transfer of a list takes.
fn held_by(info: &ManifestInfo) -> usize {
    size_of_val(info) + size_of_val(info.recipients.as_slice())
}
