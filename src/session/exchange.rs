//! What members give each other at contact, beside the work: revocation lists and the directory. A peer that is slow about it
//! costs a bounded time, and the work goes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{timeout, timeout_at};

use super::Session;
use crate::{
    client::PeerClient,
    id::PeerId,
    name::Escaped,
    peer::{Bring, ExchangeError, exchange_directory, exchange_lists},
    trust::{Bearer, KnownPeer, Role},
};

/// How long the whole exchange with a peer may take.
const ALL: Duration = Duration::from_secs(3);
/// How long the work waits for the revocation lists: by them it is decided for whom something is sealed.
const LISTS: Duration = Duration::from_secs(2);
/// How long the work waits for the directory, which goes on beside it then.
const DIRECTORY: Duration = Duration::from_millis(500);
/// For so long a peer that was too slow is not asked again.
const PAUSE: Duration = Duration::from_secs(60);

/// The peers that were too slow, and when.
#[derive(Clone, Default)]
pub(super) struct TooSlow(Arc<Mutex<HashMap<PeerId, Instant>>>);

impl TooSlow {
    fn note(&self, peer: PeerId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, at| at.elapsed() < PAUSE);
        all.insert(peer, Instant::now());
    }

    fn has(&self, peer: PeerId) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&peer).is_some_and(|at| at.elapsed() < PAUSE)
    }
}

impl Session {
    /// Exchanges with a peer that was just met. Each side takes only what is newer and signed by the circle. Nothing is tried
    /// again: the next contact does.
    pub(super) async fn exchange(
        &self,
        client: &PeerClient,
        peer: &KnownPeer,
        directory: Option<u64>,
    ) {
        if self.too_slow.has(peer.peer_id) {
            return;
        }
        let (client, ends) = (
            client.clone().with_retries(0),
            tokio::time::Instant::now() + ALL,
        );
        let lists = exchange_lists(&client, self.circle(), &self.dir);
        match timeout(LISTS, lists).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => warn(&client, &error, "revocation lists are not exchanged"),
            Err(_) => return self.leave_out(&client, peer.peer_id),
        }
        let role = self.fresh.roles().load().of(peer.peer_id, Bearer::Peer);
        let bring = match role {
            Role::None => return,
            Role::Member => Bring::Yes,
            _ => Bring::No,
        };
        let (circle, dir) = (self.circle().clone(), self.dir.clone());
        let (too_slow, id) = (self.too_slow.clone(), peer.peer_id);
        // A task, so that it goes on when it is not waited for any more.
        let exchange = tokio::spawn(async move {
            let exchange = exchange_directory(&client, &circle, &dir, (directory, bring));
            match timeout_at(ends, exchange).await {
                Ok(Ok(moved)) => moved,
                Ok(Err(error)) => {
                    warn(&client, &error, "directories are not exchanged");
                    Vec::new()
                }
                Err(_) => {
                    say_slow(&client);
                    too_slow.note(id);
                    Vec::new()
                }
            }
        });
        match timeout(DIRECTORY, exchange).await {
            Ok(moved) => self.tell_moved(moved.unwrap_or_default()),
            Err(_) => self.too_slow.note(peer.peer_id),
        }
    }

    fn leave_out(&self, client: &PeerClient, peer: PeerId) {
        say_slow(client);
        self.too_slow.note(peer);
    }
}

fn warn(client: &PeerClient, error: &ExchangeError, what: &str) {
    let error = error.to_string();
    let cause = Escaped::new(&error);
    tracing::warn!(peer = %client.address(), %cause, "{what}");
}

fn say_slow(client: &PeerClient) {
    tracing::warn!(
        peer = %client.address(),
        "it is too slow about revocations or the directory: they are exchanged at another time"
    );
}
