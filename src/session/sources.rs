//! From whom `receive` takes: one peer, several at once, or whoever is known and there.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::future::join_all;

use super::{ConnectedPeer, Error, Event, Mistake, Session};
use crate::{
    name::Escaped,
    transfer::{Source, Swarm},
};

/// Peers that are read from at once. More would not be faster, and each costs connections.
pub const MAX_SOURCES: usize = 16;
/// Within this a known peer answers, or it is done without.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The peers that were named, as one store. Those that cannot be reached are said, and done without if another can.
pub(crate) async fn of_named(
    us: &Session,
    peers: &[String],
    jobs: usize,
) -> Result<Arc<Swarm>, Error> {
    if peers.len() > MAX_SOURCES {
        let (count, most) = (peers.len(), MAX_SOURCES);
        return Err(Mistake::TooManySources { count, most }.into());
    }
    let reached = join_all(peers.iter().map(|peer| us.connect(peer))).await;
    let (mut sources, mut failed): (Vec<Source>, _) = (Vec::new(), None);
    for (peer, reached) in peers.iter().zip(reached) {
        match reached {
            Ok(reached) => sources.push(source(reached)),
            Err(error) => {
                us.tell(Event::Without {
                    peer: peer.clone(),
                    reason: error.to_string(),
                });
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if sources.is_empty() => Err(error),
        _ => Ok(swarm(sources, jobs)),
    }
}

/// The known peers that answer soon, and `also`; `None` if no peer does.
pub(crate) async fn of_known(
    us: &Session,
    also: Source,
    jobs: usize,
) -> Result<Option<Arc<Swarm>>, Error> {
    let mut known = us.book.peers()?;
    known.extend(us.other_members()?);
    known.retain(|peer| !peer.addresses.is_empty());
    known.truncate(MAX_SOURCES - 1);
    let reach = |peer| async move {
        let reached = tokio::time::timeout(ANSWERS_WITHIN, us.connect_known(peer)).await;
        match reached {
            Ok(Ok(reached)) => Some(source(reached)),
            Ok(Err(error)) => {
                let why = error.to_string();
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

fn source(reached: ConnectedPeer) -> Source {
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
