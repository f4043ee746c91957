//! The open connections and who is behind each, so that a revocation can end them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{
    id::PeerId,
    name::Escaped,
    tls::{Caller, Standing},
};

/// All connections that have passed the handshake.
#[derive(Clone, Default)]
pub(super) struct Registry(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    last: u64,
    by_number: HashMap<u64, (Arc<Caller>, Standing, CancellationToken)>,
}

/// A connection's entry, which goes when it is dropped.
pub(super) struct Registered {
    registry: Registry,
    number: u64,
    caller: Arc<Caller>,
}

impl Registry {
    /// Enters a connection from `address` that `cut` closes, of `caller`, who was let in as `standing`.
    pub(super) fn enter(
        &self,
        caller: Arc<Caller>,
        standing: Standing,
        address: IpAddr,
        cut: CancellationToken,
    ) -> Registered {
        let mut open = self.lock();
        open.last += 1;
        let number = open.last;
        open.by_number
            .insert(number, (caller.clone(), standing, cut));
        let connections = open.by_number.len();
        drop(open);
        let peer = Escaped::new(&caller.name);
        tracing::debug!(%peer, %address, connections, "connection opened");
        Registered {
            registry: self.clone(),
            number,
            caller,
        }
    }

    /// Closes the connections of those for whom `unwanted` is true, and counts them.
    pub(super) fn cut_if(&self, unwanted: impl Fn(&Caller, Standing) -> bool) -> usize {
        let open: Vec<_> = self.lock().by_number.values().cloned().collect();
        open.iter()
            .filter(|(caller, standing, cut)| !cut.is_cancelled() && unwanted(caller, *standing))
            .map(|(.., cut)| cut.cancel())
            .count()
    }

    /// Whether this peer has one that is open.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        let open = self.lock();
        let mut callers = open.by_number.values();
        callers.any(|(caller, ..)| caller.peer_id == *peer)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.lock().by_number.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.registry.lock();
        open.by_number.remove(&self.number);
        let connections = open.by_number.len();
        drop(open);
        let peer = Escaped::new(&self.caller.name);
        tracing::debug!(%peer, connections, "connection closed");
    }
}
