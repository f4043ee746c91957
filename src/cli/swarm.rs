//! From whom `receive` takes: one peer, several at once, or whoever is known and there.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;

use super::{
    Context,
    connect::{Reached, Us},
    output::count,
    report::{ExitCode, Failure},
};
use crate::{
    config::units::Size,
    name::Escaped,
    transfer::{Share, Source, Swarm},
};

/// Peers that are read from at once. More would not be faster, and each costs connections.
const MAX_SOURCES: usize = 16;
/// Within this a known peer answers, or it is done without.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The peers that were named, as one store. Those that cannot be reached are said, and done without if another can.
pub(super) async fn of_named(
    context: &Context,
    us: &Us,
    peers: &[String],
    jobs: usize,
) -> Result<Arc<Swarm>, Failure> {
    if peers.len() > MAX_SOURCES {
        let what = format!(
            "{} sources, at most {MAX_SOURCES} are read at once",
            peers.len()
        );
        return Err(Failure::usage(what).hint("name those that are nearest"));
    }
    let reached = join_all(peers.iter().map(|peer| us.reach(context, peer))).await;
    let (mut sources, mut failed): (Vec<Source>, _) = (Vec::new(), None);
    for (peer, reached) in peers.iter().zip(reached) {
        match reached {
            Ok(reached) => sources.push(source(reached)),
            Err(failure) => {
                let (peer, what) = (Escaped::new(peer), Escaped::new(failure.what()));
                context.output.warn(format!("without {peer}: {what}"));
                failed = Some(failure);
            }
        }
    }
    match failed {
        Some(failure) if sources.is_empty() => Err(failure),
        _ => Ok(swarm(sources, jobs)),
    }
}

/// The known peers that answer soon, and `also`; `None` if no peer does.
pub(super) async fn of_known(
    context: &Context,
    us: &Us,
    also: Source,
    jobs: usize,
) -> Result<Option<Arc<Swarm>>, Failure> {
    let mut known = us.book.peers()?;
    known.retain(|peer| !peer.addresses.is_empty());
    known.truncate(MAX_SOURCES - 1);
    let reach = |peer| async move {
        let reached = tokio::time::timeout(ANSWERS_WITHIN, us.reach_known(context, peer)).await;
        match reached {
            Ok(Ok(reached)) => Some(source(reached)),
            Ok(Err(failure)) => {
                let why = failure.into_parts().1;
                tracing::info!(peer = %Escaped::new(&peer.name), why = %Escaped::new(&why), "not asked");
                None
            }
            Err(_) => {
                tracing::info!(peer = %Escaped::new(&peer.name), "does not answer, not asked");
                None
            }
        }
    };
    let reached = join_all(known.iter().map(reach)).await;
    let mut sources: Vec<_> = reached.into_iter().flatten().collect();
    if sources.is_empty() {
        return Ok(None);
    }
    sources.push(also);
    Ok(Some(swarm(sources, jobs)))
}

fn source(reached: Reached) -> Source {
    Source {
        name: reached.peer.shown(),
        // What fails here may work elsewhere: it is tried there, not again.
        store: Arc::new(reached.client.with_retries(0)),
    }
}

/// Half of the chunks in flight that one source alone would have: there are several.
fn swarm(mut sources: Vec<Source>, jobs: usize) -> Arc<Swarm> {
    let mut names = HashSet::new();
    sources.retain(|source| names.insert(source.name.clone()));
    Arc::new(Swarm::new(sources, jobs.div_ceil(2)))
}

/// Says who gave how much, and who was given up.
pub(super) fn report(context: &Context, shares: &[Share]) {
    let output = context.output;
    for share in shares {
        output.object("source", share);
        let name = Escaped::new(&share.name);
        if let Some(why) = &share.dropped {
            output.warn(format!("{name} was given up: {}", Escaped::new(why)));
        }
        if share.chunks > 0 {
            let chunks = count(share.chunks, "chunk", "chunks");
            output.talk(format!("{chunks} ({}) from {name}", Size(share.bytes)));
        }
    }
}

/// Whether `failure` says that something is not there.
pub(super) fn is_absent(failure: &Failure) -> bool {
    failure.code == ExitCode::NotFound
}
