//! Whom this peer knows: by its address book, and by what callers have shown since it started.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    id::PeerId,
    tls::Caller,
    trust::{AddressBook, TrustError},
};

/// Certificates of callers that are remembered.
const MAX_MET: usize = 10_000;

/// A peer and the certificate that gives it its name.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) peer_id: PeerId,
    pub(super) certificate: Arc<[u8]>,
}

/// Whom the address book knows, for who asks.
#[derive(Default)]
pub(super) struct Acquainted {
    pub(super) names: HashMap<String, Named>,
    /// The newest bundle of each that was seen.
    pub(super) bundles: HashMap<PeerId, String>,
}

impl Acquainted {
    pub(super) fn of(book: &AddressBook) -> Result<Self, TrustError> {
        let mut all = Self::default();
        for peer in book.peers()? {
            let peer_id = peer.peer_id;
            all.bundles
                .extend(peer.bundle.map(|bundle| (peer_id, bundle)));
            let certificate = peer.certificate.into();
            all.names.insert(
                peer.name,
                Named {
                    peer_id,
                    certificate,
                },
            );
        }
        Ok(all)
    }
}

/// Who has called since this peer started, by the serial numbers of their certificates.
#[derive(Default)]
pub(super) struct Met(Mutex<HashMap<Vec<u8>, (String, Named)>>);

impl Met {
    /// Whether this certificate was not shown before.
    pub(super) fn add(&self, caller: &Caller, certificate: &[u8]) -> bool {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.contains_key(&caller.serial) {
            return false;
        }
        if met.len() >= MAX_MET {
            met.clear();
        }
        let named = Named {
            peer_id: caller.peer_id,
            certificate: certificate.into(),
        };
        met.insert(caller.serial.clone(), (caller.name.clone(), named));
        true
    }

    /// The peers that are called so.
    pub(super) fn named(&self, name: &str) -> Vec<Named> {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = met.values().filter(|(met, _)| met == name);
        named.map(|(_, named)| named.clone()).collect()
    }
}
