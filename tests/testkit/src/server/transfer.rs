//! Sealed-looking chunks and signed manifests: a blind server cannot tell them from real ones.

use bytes::Bytes;
use colis::{
    crypto::FileKey,
    id::{ChunkId, SealKeyId, TransferId},
    manifest::{
        MIN_CHUNK_SIZE, Manifest, Offer, Signed, SignedManifest, SignedOffer, Timestamp, Wrap,
    },
};

use super::pki::Identity;

/// A chunk that nobody can open.
pub fn chunk(seed: u8, length: usize) -> (ChunkId, Bytes) {
    let bytes = Bytes::from(vec![seed; length]);
    (ChunkId::of(&bytes), bytes)
}

/// An offer of a transfer of `sender` with one table chunk.
pub fn offer(sender: &Identity, table: ChunkId) -> Offer {
    let now = Timestamp::now();
    Offer {
        v: 1,
        transfer_id: TransferId::generate().unwrap(),
        created: now,
        expires: Some(now.plus_seconds(3600)),
        sender: sender.id,
        certificate: sender.certificate.to_vec(),
        key_id: FileKey::generate().unwrap().commitment(),
        chunk_size: MIN_CHUNK_SIZE,
        size: Some(1),
        table: vec![table],
        wraps: vec![wrap_for(sender)],
    }
}

/// A wrap that nobody can open.
pub fn wrap_for(peer: &Identity) -> Wrap {
    Wrap::Recipient {
        peer: peer.id,
        kid: SealKeyId::of(b"key"),
        enc: vec![0; 1120],
        ct: vec![0; 48],
    }
}

/// The manifest of a transfer of one byte whose chunks are `ids`: table, content, sums.
pub fn manifest(sender: &Identity, ids: [ChunkId; 3]) -> Manifest {
    let [table, content, sums] = ids;
    offer(sender, table).complete(1, vec![content], vec![sums])
}

pub fn sign(manifest: Manifest, sender: &Identity) -> SignedManifest {
    Signed::sign(manifest, sender).unwrap()
}

pub fn sign_offer(offer: Offer, sender: &Identity) -> SignedOffer {
    Signed::sign(offer, sender).unwrap()
}
