//! `grant`: others may open a transfer that was sent before.

use std::sync::Arc;

use serde_json::json;

use super::{
    Context,
    args::Grant,
    output::count,
    report::{ExitCode, Failure},
};
use crate::{
    id::ManifestId,
    manifest::Signer as _,
    session::{Session, TransferSelector, all_manifests, each_once, named, recipient},
    store::Store,
    transfer::{self, TransferError},
};

pub(super) async fn run(context: &Context, args: Grant) -> Result<ExitCode, Failure> {
    let us = context.session()?;
    let mut known = Vec::new();
    for text in &args.to {
        known.push(us.recipient(text).await?);
    }
    let known = each_once(known, |peer| peer.peer_id);
    let store: Arc<dyn Store> = match &args.at {
        Some(peer) => Arc::new(us.connect(peer).await?.client),
        None => us.own_store()?.as_store(),
    };
    // Whoever stores it may have known of a revocation that we did not know of.
    for peer in &known {
        us.check_not_revoked(peer)?;
    }
    let recipients: Vec<_> = known.into_iter().map(recipient).collect();
    let id = choose(&us, &*store, &args).await?;
    let granted = transfer::grant(&us.reader(), &*us.identity, &*store, id, &recipients).await?;
    let (manifest, added) = (granted.manifest, granted.added);
    context.output.object(
        "granted",
        &json!({"manifest": manifest, "replaces": id, "added": added}),
    );
    let to = args.to.join(", ");
    context.output.line(match added {
        0 => format!("{manifest}  {to} can open it already"),
        _ => format!(
            "{manifest}  {} more can open it: {to}",
            count(added as u64, "peer", "peers")
        ),
    });
    Ok(ExitCode::Ok)
}

/// The one transfer of ours that is meant.
async fn choose(us: &Session, store: &dyn Store, args: &Grant) -> Result<ManifestId, Failure> {
    let me = us.identity.peer_id();
    let infos = all_manifests(us, store, Some(me)).await?;
    let ours = || infos.iter().filter(|info| info.sender == me);
    let which = TransferSelector::new(&args.which);
    if let Some(info) = which.one_of(ours())? {
        return Ok(info.id);
    }
    if which.one_of(&infos)?.is_some() {
        return Err(TransferError::NotOurs { sender: me }.into());
    }
    let named = named(store, &us.reader(), ours(), &args.which).await;
    match named.as_slice() {
        [id] => Ok(*id),
        [] => {
            let at = args.at.as_deref().unwrap_or("the local store");
            let what = format!("no transfer of ours in {at} is or has {}", args.which);
            Err(Failure::new(ExitCode::NotFound, what)
                .hint("see what is there: colis list [PEER]; say who stores it: --at PEER"))
        }
        several => {
            let what = format!("{} transfers have {}", several.len(), args.which);
            Err(Failure::usage(what).hint("name one by its id, see `colis list`"))
        }
    }
}
