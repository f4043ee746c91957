//! What a transfer is: the offer that announces it and the manifest that completes it.
//!
//! Both are UTF-8 JSON with one spelling (field order of the structs here, no white space, no unknown or duplicate
//! field), signed as exact bytes inside a DSSE 1.0 envelope by the sender's identity key. So the origin can be checked
//! by anyone, later, from any relay, and nobody can read one thing where another was signed: what was parsed is written
//! again and must give the same bytes.
//!
//! Parsing and believing are two steps. [`Signed::parse`] refuses every malformed input without trusting anybody;
//! [`Signed::verify`] asks a [`Verifier`] whether the signer belongs to the circle. Nothing but the parts that a
//! verifier needs may be used before the second.

pub mod dsse;
pub mod table;
mod timestamp;
mod wrap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use timestamp::Timestamp;
pub use wrap::{Wrap, WrapScope};

use crate::{
    crypto::KeyCommitment,
    id::{ChunkId, ManifestId, PeerId, TransferId},
};

/// The longest envelope of an offer or a manifest, in bytes.
pub const MAX_ENVELOPE: usize = 8 << 20;
/// Chunk sizes are powers of two from here...
pub const MIN_CHUNK_SIZE: u32 = 64 << 10;
/// ...to here.
pub const MAX_CHUNK_SIZE: u32 = 64 << 20;
/// The shortest sealed chunk: one plain byte.
pub const MIN_SEALED_CHUNK: usize = crate::crypto::chunk::OVERHEAD + 1;
/// The longest sealed chunk.
pub const MAX_SEALED_CHUNK: usize = MAX_CHUNK_SIZE as usize + crate::crypto::chunk::OVERHEAD;
/// The chunk size of a small transfer.
pub const DEFAULT_CHUNK_SIZE: u32 = 1 << 20;
/// The most content chunks of one transfer: their ids fit an envelope.
pub const MAX_CHUNKS: usize = 65_536;
/// The most wraps of one transfer.
pub const MAX_WRAPS: usize = 64;
/// How far ahead of our clock a sender's may be.
pub const MAX_CLOCK_SKEW_SECONDS: u64 = 24 * 3600;

/// Why an offer or manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`MAX_ENVELOPE`].
    #[error("the envelope has {length} bytes, at most {MAX_ENVELOPE} are allowed")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// Not the JSON that it must be, or not in its one spelling.
    #[error("not a well-formed {what}: {reason}")]
    Syntax {
        /// Envelope, offer, manifest, table...
        what: &'static str,
        /// Where and why.
        reason: String,
    },
    /// Made by a later version of the format.
    #[error("format version {v} is not supported, this is version 1")]
    UnsupportedVersion {
        /// The version that it claims.
        v: u64,
    },
    /// The envelope carries something else.
    #[error("the envelope does not carry a {expected}")]
    UnsupportedType {
        /// The media type that was expected.
        expected: &'static str,
    },
    /// A field contradicts the format or another field.
    #[error("field `{field}`: {reason}")]
    Invariant {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A wrap that no reader may try.
    #[error("bad wrap: {reason}")]
    BadWrap {
        /// What is wrong with it.
        reason: String,
    },
    /// PBKDF2 iterations outside of the accepted window.
    #[error(transparent)]
    KdfParameters(crate::crypto::CryptoError),
    /// Its time is over.
    #[error("expired on {expires}")]
    Expired {
        /// When it expired.
        expires: Timestamp,
    },
    /// Made in the future: one of the two clocks is wrong.
    #[error("made on {created}, but the clock here says {now}")]
    FromTheFuture {
        /// When it says it was made.
        created: Timestamp,
        /// Now, here.
        now: Timestamp,
    },
    /// The signature or its signer is not trusted.
    #[error(transparent)]
    Untrusted(#[from] VerifyError),
}

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature is wrong, or not in its one form (r || s, low s).
    #[error("bad signature")]
    BadSignature,
    /// The certificate belongs to another peer than the one named as sender.
    #[error("the certificate is not that of the sender {sender}")]
    SenderMismatch {
        /// The sender that is named.
        sender: PeerId,
    },
    /// The certificate does not come from our circle, or was not valid then.
    #[error("the signer's certificate is not trusted: {reason}")]
    UntrustedSigner {
        /// Why.
        reason: String,
    },
    /// The signer's certificate has been revoked.
    #[error("the signer's certificate is revoked")]
    Revoked,
}

/// This peer's power to sign as itself.
pub trait Signer: Send + Sync {
    /// Who signs.
    fn peer_id(&self) -> PeerId;
    /// The certificate of the signing key, as DER.
    fn certificate(&self) -> Vec<u8>;
    /// Signs `message`: ECDSA P-256 with SHA-256, 64 bytes r || s, low s.
    ///
    /// # Errors
    /// The key cannot sign.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// The identity key failed to sign.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the identity key cannot sign: {0}")]
pub struct SignError(pub String);

/// What somebody claims to have signed.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The certificate that came along, as DER.
    pub certificate: &'a [u8],
    /// Who is named as signer.
    pub sender: PeerId,
    /// When it says it was signed: the certificate must have been valid then.
    pub signed_at: Timestamp,
    /// The signed bytes.
    pub message: &'a [u8],
    /// r || s.
    pub signature: &'a [u8; 64],
}

/// Decides whose signatures count.
pub trait Verifier: Send + Sync {
    /// Checks certificate (circle, dates, usage, revocation as of now), sender and signature.
    /// Gives the name in the certificate.
    ///
    /// # Errors
    /// A [`VerifyError`] naming the first check that fails.
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError>;
}

/// Something that is signed inside an envelope.
pub trait Payload: Serialize + DeserializeOwned {
    /// Its DSSE payload type.
    const TYPE: &'static str;
    /// What to call it in an error.
    const NAME: &'static str;
    /// The format's invariants that the types do not hold by themselves.
    ///
    /// # Errors
    /// The first invariant that is violated.
    fn check(&self) -> Result<(), ManifestError>;
    /// Who signed it.
    fn sender(&self) -> PeerId;
    /// The signer's certificate, as DER.
    fn certificate(&self) -> &[u8];
    /// When it was signed.
    fn created(&self) -> Timestamp;
    /// When it ends.
    fn expires(&self) -> Option<Timestamp>;
}

/// A payload with the exact envelope that carries it. Well-formed; believed only after [`Signed::verify`].
#[derive(Debug, Clone)]
pub struct Signed<T> {
    payload: T,
    envelope: Bytes,
    message: Vec<u8>,
    signature: [u8; 64],
}

/// An offer in its envelope.
pub type SignedOffer = Signed<Offer>;
/// A manifest in its envelope.
pub type SignedManifest = Signed<Manifest>;

impl<T: Payload> Signed<T> {
    /// Signs `payload`.
    ///
    /// # Errors
    /// [`SignError`], or the payload violates the format.
    pub fn sign(payload: T, signer: &dyn Signer) -> Result<Self, ManifestError> {
        payload.check()?;
        let body = to_json(&payload);
        let message = dsse::pae(T::TYPE, &body);
        let bad = |e: SignError| VerifyError::UntrustedSigner {
            reason: e.to_string(),
        };
        let signature = signer.sign(&message).map_err(bad)?;
        let envelope = dsse::write(T::TYPE, &body, payload.sender(), &signature);
        check_length(&envelope)?;
        Ok(Self {
            payload,
            envelope: envelope.into(),
            message,
            signature,
        })
    }

    /// Parses an envelope, trusting nobody.
    ///
    /// # Errors
    /// Every [`ManifestError`] but those of dates and trust.
    pub fn parse(envelope: impl Into<Bytes>) -> Result<Self, ManifestError> {
        let envelope = envelope.into();
        check_length(&envelope)?;
        let opened = dsse::read(&envelope, T::TYPE)?;
        let payload: T = from_json(&opened.payload, T::NAME)?;
        payload.check()?;
        if opened.keyid != payload.sender() {
            return Err(VerifyError::SenderMismatch {
                sender: payload.sender(),
            }
            .into());
        }
        let message = dsse::pae(T::TYPE, &opened.payload);
        Ok(Self {
            payload,
            envelope,
            message,
            signature: opened.signature,
        })
    }

    /// Checks dates and signer as of `now`. Gives the signer's name.
    ///
    /// # Errors
    /// [`ManifestError::Expired`], [`ManifestError::FromTheFuture`], [`ManifestError::Untrusted`].
    pub fn verify(&self, verifier: &dyn Verifier, now: Timestamp) -> Result<String, ManifestError> {
        let claim = Claim {
            certificate: self.payload.certificate(),
            sender: self.payload.sender(),
            signed_at: self.payload.created(),
            message: &self.message,
            signature: &self.signature,
        };
        let name = verifier.verify(&claim)?;
        self.check_dates(now)?;
        Ok(name)
    }

    /// Checks only that it is neither expired nor from the future.
    ///
    /// # Errors
    /// [`ManifestError::Expired`], [`ManifestError::FromTheFuture`].
    pub fn check_dates(&self, now: Timestamp) -> Result<(), ManifestError> {
        let created = self.payload.created();
        if created > now.plus_seconds(MAX_CLOCK_SKEW_SECONDS) {
            return Err(ManifestError::FromTheFuture { created, now });
        }
        match self.payload.expires() {
            Some(expires) if expires <= now => Err(ManifestError::Expired { expires }),
            _ => Ok(()),
        }
    }

    /// Its address: the digest of the exact envelope.
    pub fn id(&self) -> ManifestId {
        ManifestId::of(&self.envelope)
    }

    /// What was signed.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// The exact bytes to store and to send.
    pub fn envelope(&self) -> &Bytes {
        &self.envelope
    }
}

fn check_length(envelope: &[u8]) -> Result<(), ManifestError> {
    let length = envelope.len();
    if length > MAX_ENVELOPE {
        Err(ManifestError::TooLarge { length })
    } else {
        Ok(())
    }
}

/// Announces a transfer before its content is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Version of the format: 1.
    pub v: u64,
    /// Names the transfer, together with its sender.
    pub transfer_id: TransferId,
    /// When it was made.
    pub created: Timestamp,
    /// When stores may drop it; never for `share`.
    pub expires: Option<Timestamp>,
    /// Who made and signed it.
    pub sender: PeerId,
    /// The sender's certificate, DER in base64.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
    /// Commits to the file key.
    pub key_id: KeyCommitment,
    /// Plain bytes of a full chunk.
    pub chunk_size: u32,
    /// Bytes of content; unknown for a stream.
    pub size: Option<u64>,
    /// The sealed chunks of the entry table.
    pub table: Vec<ChunkId>,
    /// How readers get the file key.
    pub wraps: Vec<Wrap>,
}

/// The complete description of a transfer. Published last: when it is visible, every chunk is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format: 1.
    pub v: u64,
    /// Names the transfer, together with its sender.
    pub transfer_id: TransferId,
    /// When it was made.
    pub created: Timestamp,
    /// When stores may drop it; never for `share`.
    pub expires: Option<Timestamp>,
    /// Who made and signed it.
    pub sender: PeerId,
    /// The sender's certificate, DER in base64.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
    /// Commits to the file key.
    pub key_id: KeyCommitment,
    /// Plain bytes of a full chunk.
    pub chunk_size: u32,
    /// Bytes of content.
    pub size: u64,
    /// The sealed chunks of the entry table.
    pub table: Vec<ChunkId>,
    /// How readers get the file key.
    pub wraps: Vec<Wrap>,
    /// The sealed chunks of the content, in order.
    pub chunks: Vec<ChunkId>,
    /// The sealed chunks of the sums.
    pub sums: Vec<ChunkId>,
}

impl Offer {
    /// The manifest that completes this offer.
    pub fn complete(self, size: u64, chunks: Vec<ChunkId>, sums: Vec<ChunkId>) -> Manifest {
        Manifest {
            v: self.v,
            transfer_id: self.transfer_id,
            created: self.created,
            expires: self.expires,
            sender: self.sender,
            certificate: self.certificate,
            key_id: self.key_id,
            chunk_size: self.chunk_size,
            size,
            table: self.table,
            wraps: self.wraps,
            chunks,
            sums,
        }
    }
}

impl Manifest {
    /// Every sealed chunk of the transfer: table, content, sums.
    pub fn all_chunks(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.table
            .iter()
            .chain(&self.chunks)
            .chain(&self.sums)
            .copied()
    }

    /// The peers that can open it by their seal key.
    pub fn recipients(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.wraps.iter().filter_map(Wrap::recipient)
    }

    /// Whether a password opens it.
    pub fn has_password(&self) -> bool {
        self.wraps
            .iter()
            .any(|w| matches!(w, Wrap::Password { .. }))
    }
}

impl Payload for Offer {
    const TYPE: &'static str = "application/vnd.colis.offer.v1+json";
    const NAME: &'static str = "offer";

    fn check(&self) -> Result<(), ManifestError> {
        check_dates_order(self.created, self.expires)?;
        check_chunk_size(self.chunk_size)?;
        if let Some(size) = self.size {
            check_chunk_count(size, self.chunk_size)?;
        }
        check_table(&self.table, self.chunk_size)?;
        check_distinct("table", self.table.iter())?;
        wrap::check_all(&self.wraps, self.sender)
    }

    fn sender(&self) -> PeerId {
        self.sender
    }

    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

impl Payload for Manifest {
    const TYPE: &'static str = "application/vnd.colis.manifest.v1+json";
    const NAME: &'static str = "manifest";

    fn check(&self) -> Result<(), ManifestError> {
        check_dates_order(self.created, self.expires)?;
        check_chunk_size(self.chunk_size)?;
        let expected = check_chunk_count(self.size, self.chunk_size)?;
        if self.chunks.len() as u64 != expected {
            let reason = format!(
                "{} ids, but {} bytes make {expected} chunks",
                self.chunks.len(),
                self.size
            );
            return Err(ManifestError::Invariant {
                field: "chunks",
                reason,
            });
        }
        check_table(&self.table, self.chunk_size)?;
        let sums_limit = (table::MAX_ENTRIES * table::SUM_LINE).div_ceil(self.chunk_size as usize);
        if self.sums.len() > sums_limit {
            let reason = format!("{} ids are more than sums can need", self.sums.len());
            return Err(ManifestError::Invariant {
                field: "sums",
                reason,
            });
        }
        check_distinct(
            "chunks",
            self.table.iter().chain(&self.chunks).chain(&self.sums),
        )?;
        wrap::check_all(&self.wraps, self.sender)
    }

    fn sender(&self) -> PeerId {
        self.sender
    }

    fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    fn created(&self) -> Timestamp {
        self.created
    }

    fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

fn check_dates_order(created: Timestamp, expires: Option<Timestamp>) -> Result<(), ManifestError> {
    match expires {
        Some(expires) if expires <= created => Err(ManifestError::Invariant {
            field: "expires",
            reason: "not after `created`".into(),
        }),
        _ => Ok(()),
    }
}

/// Whether `chunk_size` is one of the format.
///
/// # Errors
/// [`ManifestError::Invariant`].
pub fn check_chunk_size(chunk_size: u32) -> Result<(), ManifestError> {
    if chunk_size.is_power_of_two() && (MIN_CHUNK_SIZE..=MAX_CHUNK_SIZE).contains(&chunk_size) {
        return Ok(());
    }
    let reason = format!("{chunk_size} is not a power of two from 64 KiB to 64 MiB");
    Err(ManifestError::Invariant {
        field: "chunk_size",
        reason,
    })
}

fn check_chunk_count(size: u64, chunk_size: u32) -> Result<u64, ManifestError> {
    let count = size.div_ceil(u64::from(chunk_size));
    if count <= MAX_CHUNKS as u64 {
        return Ok(count);
    }
    let reason = format!("{size} bytes make more than {MAX_CHUNKS} chunks of {chunk_size}");
    Err(ManifestError::Invariant {
        field: "size",
        reason,
    })
}

fn check_table(table: &[ChunkId], chunk_size: u32) -> Result<(), ManifestError> {
    let limit = table::MAX_LENGTH.div_ceil(u64::from(chunk_size));
    if !table.is_empty() && table.len() as u64 <= limit {
        return Ok(());
    }
    let reason = format!("{} ids, but a table has 1 to {limit}", table.len());
    Err(ManifestError::Invariant {
        field: "table",
        reason,
    })
}

fn check_distinct<'a>(
    field: &'static str,
    ids: impl Iterator<Item = &'a ChunkId>,
) -> Result<(), ManifestError> {
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(ManifestError::Invariant {
                field,
                reason: format!("{id} stands twice"),
            });
        }
    }
    Ok(())
}

/// The one spelling of `value`.
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have string keys and no failing serializer")
}

/// Parses `bytes`, which must be the one spelling of a version-1 `T`.
///
/// # Errors
/// [`ManifestError::UnsupportedVersion`], [`ManifestError::Syntax`].
pub fn from_json<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, ManifestError> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let syntax = |e: serde_json::Error| ManifestError::Syntax {
        what,
        reason: e.to_string(),
    };
    let Version { v } = serde_json::from_slice(bytes).map_err(syntax)?;
    if v != 1 {
        return Err(ManifestError::UnsupportedVersion { v });
    }
    let value: T = serde_json::from_slice(bytes).map_err(syntax)?;
    check_spelling(&value, bytes, what)?;
    Ok(value)
}

/// Refuses `bytes` unless writing `value` again gives exactly them.
pub(crate) fn check_spelling<T: Serialize>(
    value: &T,
    bytes: &[u8],
    what: &'static str,
) -> Result<(), ManifestError> {
    let again = to_json(value);
    if again == bytes {
        return Ok(());
    }
    let at = again.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(ManifestError::Syntax {
        what,
        reason: format!("not in its one spelling at byte {at}"),
    })
}
