//! What the inbox answers to offers.

use bytes::Bytes;

use super::{Inbox, early::Opening};
use crate::{
    id::{ChunkId, TransferId},
    manifest::{SignedOffer, Timestamp},
    server::OfferDesk,
    store::{OfferAnswer, Store as _, StoreError, StoreFuture},
    tls::Caller,
};

impl OfferDesk for Inbox {
    /// Besides the sealed chunks, the plain files must fit too: that is said before the first content byte.
    fn decide<'a>(
        &'a self,
        offer: &'a SignedOffer,
        caller: &'a Caller,
    ) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            let answer = self.store.put_offer(offer).await?;
            let payload = offer.payload();
            let for_us = payload
                .wraps
                .iter()
                .any(|wrap| wrap.recipient() == Some(self.reader.me));
            if answer != OfferAnswer::Accepted || !for_us || payload.sender == self.reader.me {
                return Ok(answer);
            }
            let verified = offer.verify(&*self.reader.verifier, Timestamp::now());
            let sender = verified.unwrap_or_default();
            if self.options.policy.waits(&sender, payload.size).is_some() {
                return Ok(OfferAnswer::Waiting);
            }
            let (needed, free) = (
                payload.size.unwrap_or(0).saturating_mul(2),
                self.free_space().await?,
            );
            if needed > free {
                return Err(StoreError::NoSpace {
                    needed,
                    free,
                    quota: None,
                });
            }
            let opening = Opening {
                offer: offer.clone(),
                store: self.store.clone(),
                received: self.received.clone(),
                reader: self.reader.clone(),
                options: self.options.receive,
            };
            self.early.begin(caller.peer_id, opening);
            Ok(answer)
        })
    }

    fn stored(&self, caller: &Caller, transfer: TransferId, index: u64, chunk: (ChunkId, Bytes)) {
        self.early.stored(caller.peer_id, transfer, index, chunk);
    }
}

impl Inbox {
    async fn free_space(&self) -> Result<u64, StoreError> {
        let received = self.received.clone();
        let free = tokio::task::spawn_blocking(move || received.free_space()).await;
        let path = || self.received.path().to_owned();
        let free = free.map_err(|e| StoreError::Io {
            path: path(),
            source: e.into(),
        })?;
        free.map_err(|e| StoreError::Io {
            path: path(),
            source: std::io::Error::other(e),
        })
    }
}
