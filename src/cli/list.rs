//! `list`: transfers or chunks, ours or a peer's.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Context,
    args::List,
    connect::Us,
    output::Output,
    report::{ExitCode, Failure},
    signed_by::SignedBy,
    which::{manifest_of, top_names},
};
use crate::{
    config::units::Size,
    id::{ManifestId, PeerId},
    name::Escaped,
    store::{ManifestInfo, PageRequest, Store, StoreError, TransferState},
    wire::DEFAULT_PAGE,
};

/// Memory of the transfers of one list, and pages of it: more than any honest store has, and what a peer whose list does not
/// end can cost.
const MAX_HELD: usize = 32 << 20;
const MAX_PAGES: usize = 10_000;

/// A transfer as lists show it.
#[derive(Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) info: ManifestInfo,
    #[serde(flatten)]
    pub(super) from: SignedBy,
    state: TransferState,
    /// What is in it, if we can open it.
    pub(super) names: Option<Vec<String>>,
    /// Whether there may be names besides these.
    more_names: bool,
    #[serde(skip)]
    is_for_us: bool,
}

impl Row {
    /// What is in it, fit for a terminal.
    pub(super) fn what(&self) -> String {
        match &self.names {
            Some(names) => {
                let names = names.iter().map(|name| Escaped::new(name).to_string());
                let more = self.more_names.then(|| "…".to_owned());
                names.chain(more).collect::<Vec<_>>().join(", ")
            }
            None if self.from.blocked => "(its sender is blocked here)".to_owned(),
            None if self.info.password => "(locked by a password)".to_owned(),
            None if self.is_for_us => "(cannot be opened)".to_owned(),
            None => "(sealed for others)".to_owned(),
        }
    }
}

pub(super) async fn run(context: &Context, args: &List) -> Result<ExitCode, Failure> {
    let us = Us::load(context)?;
    let store: Arc<dyn Store> = match &args.peer {
        Some(peer) => Arc::new(us.reach(context, peer).await?.client),
        None => us.own_store(context)?.as_store(),
    };
    if args.chunks {
        chunks(context, &*store).await?
    } else {
        transfers(context, &us, &*store).await?
    }
    Ok(ExitCode::Ok)
}

async fn transfers(context: &Context, us: &Us, store: &dyn Store) -> Result<(), Failure> {
    let infos = all_manifests(context.output, store, None).await?;
    if infos.is_empty() {
        context.output.talk("no transfers");
    }
    for info in infos {
        let Some(row) = row(us, store, info).await? else {
            continue;
        };
        let state = format!("{:?}", row.state).to_lowercase();
        let (id, created, size) = (row.info.id, row.info.created, Size(row.info.size));
        let from = &row.from;
        context.output.line(format!(
            "{id}  {created}  {:>9}  {state:<7}  from {from}  {}",
            size.to_string(),
            row.what()
        ));
        context.output.object("transfer", &row);
    }
    Ok(())
}

/// Every transfer of the peer called `peer`.
pub(super) async fn catalogue(context: &Context, peer: &str) -> Result<Vec<Row>, Failure> {
    let us = Us::load(context)?;
    let store = us.reach(context, peer).await?.client;
    let mut rows = Vec::new();
    for info in all_manifests(context.output, &store, None).await? {
        rows.extend(row(&us, &store, info).await?);
    }
    Ok(rows)
}

pub(super) async fn row(
    us: &Us,
    store: &dyn Store,
    info: ManifestInfo,
) -> Result<Option<Row>, Failure> {
    let Some(state) = state_of(store, info.id).await? else {
        return Ok(None);
    };
    let (from, top) = match manifest_of(store, info.id).await {
        Some(manifest) => (
            SignedBy::of(us, &manifest),
            top_names(store, &us.reader(), &manifest).await,
        ),
        None => (SignedBy::unknown(info.sender), None),
    };
    let more_names = top.as_ref().is_some_and(|top| top.more_names);
    let is_for_us = info.recipients.contains(&us.reader().me);
    Ok(Some(Row {
        is_for_us,
        info,
        from,
        state,
        names: top.map(|top| top.names),
        more_names,
    }))
}

/// How far a transfer has come, unless it was let go since it was listed.
pub(super) async fn state_of(
    store: &dyn Store,
    id: ManifestId,
) -> Result<Option<TransferState>, StoreError> {
    match store.manifest_state(id).await {
        Ok(state) => Ok(Some(state.state)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Shows page after page as it comes, and keeps none.
async fn chunks(context: &Context, store: &dyn Store) -> Result<(), Failure> {
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = store
            .list_chunks(PageRequest {
                after,
                limit: DEFAULT_PAGE,
            })
            .await?;
        for chunk in &page.items {
            context
                .output
                .line(format!("{}  {}", chunk.id, chunk.length));
            context.output.object("chunk", chunk);
        }
        after = page.items.last().map(|chunk| chunk.id);
        if !page.more {
            return Ok(());
        }
    }
    context.output.warn(format!(
        "the list goes on after {MAX_PAGES} pages: the chunks that follow are not shown"
    ));
    Ok(())
}

/// Every manifest of a store, page after page, as far as a list may go; says so if it goes on.
pub(super) async fn all_manifests(
    output: Output,
    store: &dyn Store,
    reader: Option<PeerId>,
) -> Result<Vec<ManifestInfo>, StoreError> {
    let mut infos: Vec<ManifestInfo> = Vec::new();
    let mut held = 0;
    for _ in 0..MAX_PAGES {
        let after = infos.last().map(|info| info.id);
        let page = PageRequest {
            after,
            limit: DEFAULT_PAGE,
        };
        let page = store.list_manifests(page, reader).await?;
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
    let count = infos.len();
    output.warn(format!(
        "the list goes on after {count} transfers: those that follow are left out; name one by its whole id"
    ));
    Ok(infos)
}

/// The memory that a transfer of a list takes.
fn held_by(info: &ManifestInfo) -> usize {
    size_of_val(info) + size_of_val(info.recipients.as_slice())
}
