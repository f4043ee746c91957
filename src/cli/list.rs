//! `list`: transfers or chunks, ours or a peer's.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Context,
    args::List,
    connect::Us,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    id::ManifestId,
    manifest::SignedManifest,
    name::Escaped,
    store::{ManifestInfo, PageRequest, Store, StoreError, TransferState},
    transfer::OpenedTransfer,
    wire::DEFAULT_PAGE,
};

#[derive(Serialize)]
struct TransferObject<'a> {
    #[serde(flatten)]
    info: &'a ManifestInfo,
    sender_name: &'a str,
    state: TransferState,
    /// What is in it, if we can open it.
    names: Option<Vec<String>>,
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
    let infos = all_manifests(store, None).await?;
    if infos.is_empty() {
        context.output.talk("no transfers");
    }
    for info in &infos {
        let state = match store.manifest_state(info.id).await {
            Ok(state) => state.state,
            // Let go since it was listed.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let sender_name = us.name_of(info.sender);
        let names = names(us, store, info.id).await;
        let what = match &names {
            Some(names) => names
                .iter()
                .map(|name| Escaped::new(name).to_string())
                .collect::<Vec<_>>()
                .join(", "),
            None if info.password => "(locked by a password)".to_owned(),
            None => "(sealed for others)".to_owned(),
        };
        let state_name = format!("{state:?}").to_lowercase();
        let created = info.created;
        let from = Escaped::new(&sender_name);
        context.output.line(format!(
            "{}  {created}  {:>9}  {state_name:<7}  from {from}  {what}",
            info.id,
            Size(info.size).to_string()
        ));
        context.output.object(
            "transfer",
            &TransferObject {
                info,
                sender_name: &sender_name,
                state,
                names,
            },
        );
    }
    Ok(())
}

/// The names at the top of a transfer, if it is for us.
async fn names(us: &Us, store: &dyn Store, id: ManifestId) -> Option<Vec<String>> {
    let manifest = SignedManifest::parse(store.get_manifest(id).await.ok()?).ok()?;
    let transfer = OpenedTransfer::open(store, manifest, &us.reader())
        .await
        .ok()?;
    Some(transfer.listing.top_names().map(str::to_owned).collect())
}

async fn chunks(context: &Context, store: &dyn Store) -> Result<(), Failure> {
    let mut after = None;
    loop {
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
}

/// Every manifest of a store, page after page.
pub(super) async fn all_manifests(
    store: &dyn Store,
    reader: Option<crate::id::PeerId>,
) -> Result<Vec<ManifestInfo>, StoreError> {
    let mut infos: Vec<ManifestInfo> = Vec::new();
    loop {
        let after = infos.last().map(|info| info.id);
        let page = store
            .list_manifests(
                PageRequest {
                    after,
                    limit: DEFAULT_PAGE,
                },
                reader,
            )
            .await?;
        // A peer that repeats itself must not keep us here.
        let advances = page.items.last().map(|info| info.id) > after;
        infos.extend(page.items);
        if !page.more || !advances {
            return Ok(infos);
        }
    }
}
