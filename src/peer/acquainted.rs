//! Whom this peer knows: by its address book, and by what callers have shown since it started.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    id::PeerId,
    tls::Caller,
    trust::{AddressBook, TrustError},
};

/// Certificates of callers that are remembered.
const MAX_MET: usize = 10_000;

/// Whom the address book knows, for who asks.
#[derive(Default)]
pub(super) struct Acquainted {
    pub(super) names: HashMap<String, PeerId>,
    pub(super) sequences: HashMap<PeerId, u64>,
}

impl Acquainted {
    pub(super) fn of(book: &AddressBook) -> Result<Self, TrustError> {
        let peers = book.peers()?;
        let sequences = peers.iter().map(|peer| (peer.peer_id, peer.sequence));
        Ok(Self {
            sequences: sequences.collect(),
            names: peers
                .into_iter()
                .map(|peer| (peer.name, peer.peer_id))
                .collect(),
        })
    }
}

/// Who has called since this peer started, by the serial numbers of their certificates.
#[derive(Default)]
pub(super) struct Met(Mutex<HashMap<Vec<u8>, (String, PeerId)>>);

impl Met {
    /// Whether this certificate was not shown before.
    pub(super) fn add(&self, caller: &Caller) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= MAX_MET {
            met.clear();
        }
        let who = (caller.name.clone(), caller.peer_id);
        met.insert(caller.serial.clone(), who).is_none()
    }

    /// The peers that are called so.
    pub(super) fn named(&self, name: &str) -> Vec<PeerId> {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = met.values().filter(|(met, _)| met == name);
        named.map(|(_, id)| *id).collect()
    }
}
