//! Transfers that waited and are gone before the owner has decided: what is told of them, once.

use super::{
    Inbox,
    said::{charged, who},
    why::Waits,
};
use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::{Manifest, SignedManifest, Timestamp},
    peer::history::{Direction, HistoryEntry},
    store::{Expired, LocalStore},
    transfer::{Reader, top_names_at},
};

/// Who has deleted a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeletedBy {
    Sender,
    /// Its recipient.
    Owner,
}

/// Whether a transfer is one that the owner of `reader` decides about: it is for `me`, or only a password says for whom it is.
fn is_to_decide(payload: &Manifest, me: PeerId) -> bool {
    let is_for_me = payload.recipients().any(|peer| peer == me);
    let is_locked =
        || payload.has_password() && payload.recipients().all(|peer| peer == payload.sender);
    payload.sender != me && (is_for_me || is_locked())
}

/// The name in the certificate of who signed, if the circle vouches for it. What has expired is judged as of before.
pub(super) fn certified(manifest: &SignedManifest, reader: &Reader) -> Option<String> {
    manifest.verify(&*reader.verifier, in_time(manifest)).ok()
}

/// Now, or a time at which the transfer had not expired.
fn in_time(manifest: &SignedManifest) -> Timestamp {
    let (payload, now) = (manifest.payload(), Timestamp::now());
    match payload.expires {
        Some(expires) if expires <= now => payload.created,
        _ => now,
    }
}

/// What the history says of a transfer in `store` that has expired, if the owner of `reader` had still to decide about it. Its
/// chunks stay for a while, so that its names can be read if it was for him.
pub(crate) async fn expired_entry(
    store: &LocalStore,
    reader: &Reader,
    gone: &Expired,
) -> Option<HistoryEntry> {
    let manifest = gone.undecided.as_ref()?;
    let payload = manifest.payload();
    if !is_to_decide(payload, reader.me) {
        return None;
    }
    let name = certified(manifest, reader);
    let names = match &name {
        Some(_) => top_names_at(in_time(manifest), store, reader, manifest).await,
        None => None,
    };
    Some(HistoryEntry {
        sender: Some(payload.sender),
        manifest: Some(gone.id),
        verified: name.is_some(),
        peers: vec![name.unwrap_or_else(|| payload.sender.short())],
        bytes: payload.size,
        reason: Some("expired while it waited".to_owned()),
        names: names.map(|names| names.names).unwrap_or_default(),
        ..HistoryEntry::new(Direction::Refused, payload.transfer_id)
    })
}

impl Inbox {
    /// Tells that a transfer has expired, if it had still to be decided about here or is another peer's.
    pub(in crate::peer) async fn expired(&self, gone: &Expired) {
        // It may just be looked at, and is told when that is over.
        let _turn = self.turns.take(gone.id).await;
        self.why.forget(gone.id);
        self.reasons.forget(gone.id);
        let info = &gone.info;
        self.drop_staged(info.sender, info.transfer_id);
        if let Some(entry) = expired_entry(&self.store, &self.reader, gone).await {
            return self.tell_gone("expired unopened", info.sender, entry);
        }
        if info.sender == self.reader.me || info.recipients.contains(&self.reader.me) {
            return;
        }
        if let Some(silenced) = self.limits.line(&info.sender) {
            tracing::info!(
                transfer = info.transfer_id.short(),
                manifest = info.id.short(),
                sender = %info.sender,
                recipient = info.recipients.iter().find(|peer| **peer != info.sender).map(tracing::field::display),
                bytes = info.size,
                silenced,
                "expired, stored for others"
            );
        }
    }

    /// Tells that a transfer that waited was deleted, unless that was told or this peer has settled it.
    pub(super) fn deleted_unopened(&self, id: ManifestId, by: DeletedBy) {
        let Some(waited) = self.why.forget(id) else {
            return;
        };
        self.reasons.forget(id);
        self.drop_staged(waited.sender, waited.transfer);
        let (message, reason) = match by {
            DeletedBy::Sender => ("deleted unopened", "deleted by its sender while it waited"),
            DeletedBy::Owner => (
                "deleted by the owner",
                "deleted by the owner while it waited",
            ),
        };
        let Waits {
            sender,
            name,
            transfer,
            bytes,
            ..
        } = waited;
        let entry = HistoryEntry {
            sender: Some(sender),
            manifest: Some(id),
            verified: name.is_some(),
            peers: vec![name.unwrap_or_else(|| sender.short())],
            bytes,
            reason: Some(reason.to_owned()),
            ..HistoryEntry::new(Direction::Refused, transfer)
        };
        self.tell_gone(message, sender, entry);
    }

    fn tell_gone(&self, message: &str, sender: PeerId, mut entry: HistoryEntry) {
        let name = entry.peers.first().filter(|_| entry.verified);
        let name = name.map(String::as_str);
        let charged = charged(name, sender);
        if let Some(silenced) = self.limits.line(&charged) {
            tracing::info!(
                transfer = entry.transfer.short(),
                manifest = entry.manifest.map(|id| id.short()),
                sender = %who(name, sender),
                id = %sender,
                silenced,
                "{message}"
            );
        }
        if let Some(left_out) = self.limits.entry(&charged) {
            entry.left_out = left_out;
            self.remember(&entry);
        }
    }
}
