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

mod distrust;
pub mod dsse;
mod error;
mod fault;
mod signed;
pub mod table;
mod timestamp;
mod wrap;

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use distrust::{BadCertificate, Distrust};
pub use error::ManifestError;
pub use fault::{Contradiction, SyntaxFault, WrapFault};
pub use signed::{Claim, Payload, SignError, Signed, Signer, SignerFault, Verifier, VerifyError};
pub use timestamp::Timestamp;
pub use wrap::{Wrap, WrapScope};

use crate::{
    crypto::KeyCommitment,
    id::{ChunkId, Digest, Hasher, PeerId, TransferId},
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

/// An offer in its envelope.
pub type SignedOffer = Signed<Offer>;
/// A manifest in its envelope.
pub type SignedManifest = Signed<Manifest>;

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

    /// The [outline](Manifest::outline) of what it announces.
    pub fn outline(&self) -> Digest {
        outlined(self.key_id, self.chunk_size, &self.table).finish()
    }
}

impl Manifest {
    /// The offer that this manifest completes: it announces the whole transfer again.
    pub fn to_offer(&self) -> Offer {
        Offer {
            v: self.v,
            transfer_id: self.transfer_id,
            created: self.created,
            expires: self.expires,
            sender: self.sender,
            certificate: self.certificate.clone(),
            key_id: self.key_id,
            chunk_size: self.chunk_size,
            size: Some(self.size),
            table: self.table.clone(),
            wraps: self.wraps.clone(),
        }
    }

    /// Says what is known of the content before it comes: the file key and the table, whoever can open it.
    pub fn outline(&self) -> Digest {
        outlined(self.key_id, self.chunk_size, &self.table).finish()
    }

    /// Says which content is sealed in it, whoever can open it. A sender that lets others open a transfer makes a manifest of the
    /// same content; nothing but its word says that two of one transfer id have the same.
    pub fn content(&self) -> Digest {
        let mut hasher = outlined(self.key_id, self.chunk_size, &self.table);
        hasher.update(&self.size.to_be_bytes());
        add_ids(&mut hasher, &self.chunks);
        add_ids(&mut hasher, &self.sums);
        hasher.finish()
    }

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

fn outlined(key: KeyCommitment, chunk_size: u32, table: &[ChunkId]) -> Hasher {
    let mut hasher = Hasher::default();
    hasher.update(key.as_bytes());
    hasher.update(&chunk_size.to_be_bytes());
    add_ids(&mut hasher, table);
    hasher
}

fn add_ids(hasher: &mut Hasher, ids: &[ChunkId]) {
    hasher.update(&(ids.len() as u64).to_be_bytes());
    ids.iter().for_each(|id| hasher.update(id.as_bytes()));
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
            let fault = Contradiction::ChunkCount {
                ids: self.chunks.len(),
                size: self.size,
                expected,
            };
            return Err(invariant("chunks", fault));
        }
        check_table(&self.table, self.chunk_size)?;
        let sums_limit = (table::MAX_ENTRIES * table::SUM_LINE).div_ceil(self.chunk_size as usize);
        if self.sums.len() > sums_limit {
            let fault = Contradiction::TooManySums(self.sums.len());
            return Err(invariant("sums", fault));
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
        Some(expires) if expires <= created => Err(invariant("expires", Contradiction::Dates)),
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
    Err(invariant(
        "chunk_size",
        Contradiction::ChunkSize(chunk_size),
    ))
}

fn invariant(field: &'static str, fault: Contradiction) -> ManifestError {
    ManifestError::Invariant { field, fault }
}

fn check_chunk_count(size: u64, chunk_size: u32) -> Result<u64, ManifestError> {
    let count = size.div_ceil(u64::from(chunk_size));
    if count <= MAX_CHUNKS as u64 {
        return Ok(count);
    }
    let fault = Contradiction::TooManyChunks {
        size,
        most: MAX_CHUNKS,
        chunk_size,
    };
    Err(invariant("size", fault))
}

fn check_table(table: &[ChunkId], chunk_size: u32) -> Result<(), ManifestError> {
    let limit = table::MAX_LENGTH.div_ceil(u64::from(chunk_size));
    if !table.is_empty() && table.len() as u64 <= limit {
        return Ok(());
    }
    let fault = Contradiction::TableLength {
        ids: table.len(),
        most: limit,
    };
    Err(invariant("table", fault))
}

fn check_distinct<'a>(
    field: &'static str,
    ids: impl Iterator<Item = &'a ChunkId>,
) -> Result<(), ManifestError> {
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(invariant(field, Contradiction::Twice(*id)));
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
    let syntax = |e| ManifestError::syntax(what, &e);
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
    let mut same = Same { bytes, at: 0 };
    if serde_json::to_writer(&mut same, value).is_ok() && same.at == bytes.len() {
        return Ok(());
    }
    Err(ManifestError::Syntax {
        what,
        fault: SyntaxFault::Spelling { at: same.at },
    })
}

/// Takes what is written as long as it is the same as `bytes`, so that megabytes are not written only to be compared.
struct Same<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl io::Write for Same<'_> {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let expected = &self.bytes[self.at..];
        if expected.starts_with(written) {
            self.at += written.len();
            return Ok(written.len());
        }
        let same = expected.iter().zip(written).take_while(|(a, b)| a == b);
        self.at += same.count();
        Err(io::ErrorKind::InvalidData.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
