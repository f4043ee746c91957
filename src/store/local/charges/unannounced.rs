//! Chunks that no transfer names or has announced: when a quota is full they go before anything that somebody waits for.

use super::{Account, Charges};
use crate::id::{ChunkId, PeerId};

impl Charges {
    /// Bytes of all peers but `owner` that no transfer names or has announced.
    pub(in crate::store::local) fn unannounced_bytes(&self, owner: PeerId) -> u64 {
        let state = self.lock();
        let others = state.accounts.iter().filter(|(peer, _)| **peer != owner);
        others.map(|(_, account)| account.unannounced()).sum()
    }

    /// Such chunks, of the peer that has the most of them first, until they have `bytes`.
    pub(in crate::store::local) fn unannounced(&self, bytes: u64, owner: PeerId) -> Vec<ChunkId> {
        let state = self.lock();
        let others = state.accounts.iter().filter(|(peer, _)| **peer != owner);
        let mut others: Vec<_> = others.map(|(_, account)| account).collect();
        others.sort_by_cached_key(|account| std::cmp::Reverse(account.unannounced()));
        let chunks = others.into_iter().flat_map(|account| &account.chunks);
        let unannounced = chunks.filter(|(_, (_, why))| why.is_unannounced());
        let mut left = bytes;
        let enough = unannounced.take_while(|(_, (length, _))| {
            let goes = left > 0;
            left = left.saturating_sub(u64::from(*length));
            goes
        });
        enough.map(|(id, _)| *id).collect()
    }

    /// Whether a chunk is charged to somebody, and to nobody for a transfer that it has announced.
    pub(in crate::store::local) fn is_unannounced(&self, id: ChunkId) -> bool {
        let state = self.lock();
        let accounts = state.accounts.values();
        let whys = accounts.filter_map(|account| account.chunks.get(&id));
        let mut whys = whys.map(|(_, why)| why.is_unannounced()).peekable();
        whys.peek().is_some() && whys.all(|is_unannounced| is_unannounced)
    }
}

impl Account {
    /// Bytes that no transfer names or has announced.
    fn unannounced(&self) -> u64 {
        let chunks = self.chunks.values();
        let unannounced = chunks.filter(|(_, why)| why.is_unannounced());
        unannounced.map(|(length, _)| u64::from(*length)).sum()
    }
}
