//! What the inbox answers to offers.

use futures::future::BoxFuture;

use super::{Inbox, early::Opening};
use crate::{
    disk::Room,
    id::{ManifestId, PeerId, TransferId},
    manifest::{SignedOffer, Timestamp, Wrap},
    received::ReceivedError,
    server::{ArrivingNames, Brought, Cut, NotTaken, OfferDesk},
    store::{OfferAnswer, Store as _, StoreError, StoreFuture, WaitReason},
    tls::Caller,
    transfer::ReceiveOptions,
};

/// Where sealed chunks are, as seen from the received files.
enum Chunks {
    /// On the same disk.
    Beside,
    /// On another, which the store asks.
    Elsewhere,
}

impl OfferDesk for Inbox {
    /// Space is reserved last, when nothing can refuse the offer any more, and only for a sender that brings its own
    /// offer: anybody who has seen an offer can bring a copy of it.
    fn decide<'a>(
        &'a self,
        offer: &'a SignedOffer,
        caller: &'a Caller,
    ) -> StoreFuture<'a, OfferAnswer> {
        Box::pin(async move {
            let taken = self.store.check_offer(offer, caller.peer_id).await?;
            if taken != OfferAnswer::Accepted {
                return Ok(taken);
            }
            let for_us = self.answer_for_us(offer);
            if for_us == Some(OfferAnswer::Accepted) {
                self.check_plain_files(offer.payload().size).await?;
            }
            if caller.peer_id == offer.payload().sender {
                self.store.put_offer(offer).await?;
            }
            if for_us.is_some() {
                self.glimpses.note(caller.peer_id, offer, &self.reader);
            }
            if for_us == Some(OfferAnswer::Accepted) {
                self.early.begin(caller.peer_id, self.opening(offer));
            }
            Ok(for_us.unwrap_or(taken))
        })
    }

    fn stored(&self, caller: &Caller, transfer: TransferId, index: u64, chunk: Brought) {
        self.early.stored(caller.peer_id, transfer, index, chunk);
    }

    fn names(&self, by: PeerId, transfer: TransferId) -> BoxFuture<'_, Option<ArrivingNames>> {
        Box::pin(self.glimpses.names(&*self.store, by, transfer))
    }

    fn cut(&self, cut: &Cut) {
        self.remember_cut(cut);
    }

    fn not_taken(&self, not_taken: &NotTaken) {
        self.cancel(not_taken.peer, not_taken.transfer);
        self.remember_not_taken(not_taken);
    }

    fn why_waits(&self, id: ManifestId, asker: PeerId) -> Option<WaitReason> {
        let (sender, why) = self.why.of(id)?;
        (asker == sender || asker == self.reader.me).then_some(why)
    }
}

impl Inbox {
    pub(super) fn receiving(&self) -> ReceiveOptions {
        self.options.borrow().inbox.receive
    }

    /// Whether it would be opened unasked; `None` if it is not for us, or is ours.
    fn answer_for_us(&self, offer: &SignedOffer) -> Option<OfferAnswer> {
        let payload = offer.payload();
        let mut recipients = payload.wraps.iter().filter_map(Wrap::recipient);
        let is_for_us = recipients.any(|peer| peer == self.reader.me);
        let was_opened = self.store.was_opened_as(offer);
        // What was opened before is here for others, and not opened again.
        if !is_for_us || was_opened || payload.sender == self.reader.me {
            return None;
        }
        let verified = offer.verify(&*self.reader.verifier, Timestamp::now());
        let certified = verified.as_deref().ok();
        let waits = self
            .waits(payload.sender, certified, payload.size)
            .is_some();
        Some(if waits {
            OfferAnswer::Waiting
        } else {
            OfferAnswer::Accepted
        })
    }

    /// Besides the sealed chunks, which are on the same disk or on another, the plain files must fit too: that is said before the
    /// first content byte.
    async fn check_plain_files(&self, size: Option<u64>) -> Result<(), StoreError> {
        let size = size.unwrap_or(0);
        match self.room().await {
            Ok((room, Chunks::Elsewhere)) => Ok(room.check(size, 1)?),
            Ok((room, Chunks::Beside)) => Ok(room.check(size.saturating_mul(2), 1)?),
            // Sealed it can be kept: it waits until the folder is mended.
            Err(error) => {
                tracing::warn!(error = error.kind(), "the folder of received files");
                Ok(())
            }
        }
    }

    fn opening(&self, offer: &SignedOffer) -> Opening {
        Opening {
            offer: offer.clone(),
            store: self.store.clone(),
            received: self.received.now(),
            reader: self.reader.clone(),
            options: self.receiving(),
        }
    }

    async fn room(&self) -> Result<(Room, Chunks), ReceivedError> {
        let (received, store) = (self.received.now(), self.store.clone());
        let path = received.path().to_owned();
        let room = tokio::task::spawn_blocking(move || {
            let chunks = match store.shares_its_disk(received.path()) {
                true => Chunks::Beside,
                false => Chunks::Elsewhere,
            };
            received.room().map(|room| (room, chunks))
        });
        room.await.unwrap_or_else(|e| {
            let source = e.into();
            Err(ReceivedError::Io { path, source })
        })
    }
}
