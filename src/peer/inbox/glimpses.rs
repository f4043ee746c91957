//! What transfers are called that are on their way to us: their names come with their tables, before their content.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    id::{PeerId, TransferId},
    manifest::SignedOffer,
    server::ArrivingNames,
    store::Store,
    transfer::{Glimpse, Reader},
};

/// Transfers of one peer, and of all, that are looked into; the others have no names until they are here.
const MAX_OF_PEER: usize = 64;
const MAX: usize = 512;

/// The transfers that were announced of late, by who brings them.
#[derive(Default)]
pub(super) struct Glimpses(Mutex<HashMap<(PeerId, TransferId), Noted>>);

struct Noted {
    /// Who has signed the offer.
    sender: PeerId,
    since: Instant,
    glimpse: Arc<Glimpse>,
    /// Once they were read.
    names: Option<ArrivingNames>,
}

impl Glimpses {
    /// Notes what `by` announces, if `reader` can open it without a password.
    pub(super) fn note(&self, by: PeerId, offer: &SignedOffer, reader: &Reader) {
        let (key, sender) = ((by, offer.payload().transfer_id), offer.payload().sender);
        // What another has signed with the same id is called otherwise.
        if (self.lock().get(&key)).is_some_and(|noted| noted.sender == sender) {
            return;
        }
        let Some(glimpse) = Glimpse::of(offer, reader).map(Arc::new) else {
            return;
        };
        let mut noted = self.lock();
        let is_full = noted.keys().filter(|(peer, _)| *peer == by).count() >= MAX_OF_PEER;
        if is_full || noted.len() >= MAX {
            let others = noted
                .iter()
                .filter(|((peer, _), _)| !is_full || *peer == by);
            let oldest = others.min_by_key(|(_, one)| one.since).map(|(key, _)| *key);
            oldest.map(|oldest| noted.remove(&oldest));
        }
        let (since, names) = (Instant::now(), None);
        let one = Noted {
            sender,
            since,
            glimpse,
            names,
        };
        noted.insert(key, one);
    }

    /// What it is called, if its table is here.
    pub(super) async fn names(
        &self,
        store: &dyn Store,
        by: PeerId,
        transfer: TransferId,
    ) -> Option<ArrivingNames> {
        let glimpse = {
            let noted = self.lock();
            let one = noted.get(&(by, transfer))?;
            if one.names.is_some() {
                return one.names.clone();
            }
            one.glimpse.clone()
        };
        let top = glimpse.names(store).await?;
        let names = ArrivingNames {
            names: top.names,
            more: top.more_names,
        };
        if let Some(one) = self.lock().get_mut(&(by, transfer)) {
            one.names = Some(names.clone());
        }
        Some(names)
    }

    /// It does not come any more.
    pub(super) fn forget(&self, by: PeerId, transfer: TransferId) {
        self.lock().remove(&(by, transfer));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PeerId, TransferId), Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
