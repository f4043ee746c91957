//! Chunks and signed transfers for tests of stores, which are blind: they cannot tell these from real ones.

use bytes::Bytes;
use colis::{
    crypto::FileKey,
    id::{ChunkId, PeerId, SealKeyId, TransferId},
    manifest::{
        MIN_CHUNK_SIZE, Manifest, Offer, SignError, Signed, SignedManifest, SignedOffer, Signer,
        Timestamp, Wrap,
    },
};
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::EncodePublicKey as _,
};

/// Signs as a peer that no circle knows: a store never asks who is trusted.
pub struct TestSigner {
    key: SigningKey,
    id: PeerId,
}

impl TestSigner {
    /// The same `seed`, from 1, gives the same peer.
    pub fn new(seed: u8) -> Self {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let public = key.verifying_key().to_public_key_der().unwrap();
        Self {
            id: PeerId::of(public.as_bytes()),
            key,
        }
    }
}

impl Signer for TestSigner {
    fn peer_id(&self) -> PeerId {
        self.id
    }

    fn certificate(&self) -> Vec<u8> {
        b"certificate".to_vec()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.normalize_s().to_bytes().into())
    }
}

/// Bytes that look sealed, and their id. Another `seed` gives other bytes.
pub fn chunk(seed: u64, length: usize) -> (ChunkId, Bytes) {
    let mut bytes = vec![0x5e; length];
    let seed = seed.to_be_bytes();
    let shown = seed.len().min(length);
    bytes[..shown].copy_from_slice(&seed[seed.len() - shown..]);
    (ChunkId::of(&bytes), bytes.into())
}

/// A transfer in the making.
pub struct Draft {
    pub offer: Offer,
    pub chunks: Vec<ChunkId>,
    pub sums: Vec<ChunkId>,
}

impl Draft {
    /// A transfer of `signer` whose chunks are `ids`: the table, the content, the sums.
    pub fn new(signer: &dyn Signer, ids: &[ChunkId]) -> Self {
        let (table, rest) = ids.split_first().unwrap();
        let (sums, content) = rest.split_last().unwrap();
        let now = Timestamp::now();
        let offer = Offer {
            v: 1,
            transfer_id: TransferId::generate().unwrap(),
            created: now,
            expires: Some(now.plus_seconds(3600)),
            sender: signer.peer_id(),
            certificate: signer.certificate(),
            key_id: FileKey::generate().unwrap().commitment(),
            chunk_size: MIN_CHUNK_SIZE,
            size: Some(content.len() as u64 * u64::from(MIN_CHUNK_SIZE)),
            table: vec![*table],
            wraps: vec![wrap_for(signer.peer_id())],
        };
        Self {
            offer,
            chunks: content.to_vec(),
            sums: vec![*sums],
        }
    }

    pub fn manifest(&self) -> Manifest {
        let size = self.chunks.len() as u64 * u64::from(MIN_CHUNK_SIZE);
        self.offer
            .clone()
            .complete(size, self.chunks.clone(), self.sums.clone())
    }

    pub fn sign(&self, signer: &dyn Signer) -> SignedManifest {
        Signed::sign(self.manifest(), signer).unwrap()
    }

    pub fn sign_offer(&self, signer: &dyn Signer) -> SignedOffer {
        Signed::sign(self.offer.clone(), signer).unwrap()
    }
}

/// A wrap of the right form that nobody can open.
pub fn wrap_for(peer: PeerId) -> Wrap {
    Wrap::Recipient {
        peer,
        kid: SealKeyId::of(b"key"),
        enc: vec![0; 1120],
        ct: vec![0; 48],
    }
}

/// A password wrap of the right form that nobody can open.
pub fn password_wrap() -> Wrap {
    Wrap::Password {
        salt: [0; 32],
        iterations: 600_000,
        check: [0; 32],
        ct: [0; 48],
    }
}
