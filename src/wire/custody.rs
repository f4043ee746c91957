//! Custody: proving, without sending it, that every byte of a chunk is still there.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{ChunkId, Digest, Hasher};

/// Ids of one question: below [`MAX_CUSTODY_BYTES`] also where chunks are small, so that an answer comes soon.
pub const MAX_CUSTODY_IDS: usize = 1_024;
/// Bytes of such a question.
pub const MAX_CUSTODY_BODY: usize = MAX_CUSTODY_IDS * super::ID_IN_JSON + 256;
/// Bytes of chunks that one question may let a peer read: a slow disk has read them before the client gives up. One
/// chunk always fits.
pub const MAX_CUSTODY_BYTES: u64 = 128 << 20;

/// What makes every answer another one, so that none can be kept instead of the chunk.
pub type CustodyNonce = [u8; 32];

/// Question of `POST /v1/chunks/custody`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CustodyQuestion {
    /// 32 random bytes, in base64; others for each question.
    #[serde(with = "crate::id::base64")]
    #[schema(value_type = String, format = Byte, min_length = 44, max_length = 44)]
    pub nonce: CustodyNonce,
    /// At most 1,024.
    #[schema(max_items = 1_024)]
    pub ids: Vec<ChunkId>,
}

/// Answer of `POST /v1/chunks/custody`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CustodyAnswer {
    /// In the order asked: SHA-256 of `colis/v1/custody`, a zero byte, the nonce and the chunk; null where it is missing.
    pub proofs: Vec<Option<Digest>>,
}

/// The proof that somebody has the chunk with the bytes `sealed`: who has only its id cannot make it.
pub fn custody_proof(nonce: &CustodyNonce, sealed: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(b"colis/v1/custody\0");
    hasher.update(nonce);
    hasher.update(sealed);
    hasher.finish()
}
