//! Names made of bytes: digests, the ids built on them, and public seal keys.
//!
//! An id is a digest used as a name. Text becomes an id here or nowhere: lower-case hex of exact length, every other
//! spelling is refused, so that two texts never name one thing and no path or route is ever built from foreign text.

mod lanes;
mod tree;

use std::{fmt, str::FromStr};

use aws_lc_rs::digest::{self, Context, SHA256};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use lanes::Lanes;
pub use tree::{Join, Piece};

/// The text is not the id that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind}: expected {hex_length} lower-case hex digits")]
pub struct ParseIdError {
    /// What was expected, in words.
    pub kind: &'static str,
    /// How many hex digits it has.
    pub hex_length: usize,
}

/// A SHA-256 digest (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        of_context(&digest::digest(&SHA256, bytes))
    }

    /// The digests of `messages`, in their order.
    ///
    /// An x86-64 processor without SHA instructions spends most of a transfer on SHA-256. With AVX2 it hashes eight
    /// messages side by side in less than half of the time that they take one after the other; fewer than four gain
    /// nothing. On other processors this is [`Digest::of`] for each.
    pub fn of_each(messages: &[&[u8]]) -> Vec<Self> {
        match Lanes::fastest() {
            // In a build without optimization the lanes are 70 times slower than one message after the other.
            Some(lanes) if !cfg!(debug_assertions) => lanes.digests(messages),
            _ => messages.iter().map(|bytes| Self::of(bytes)).collect(),
        }
    }

    /// How many large messages to collect for [`Digest::of_each`]: 1 where collecting gains nothing.
    pub fn side_by_side() -> usize {
        Lanes::fastest().map_or(1, |_| lanes::LANES)
    }
}

/// Computes a [`Digest`] over bytes that come in pieces.
#[derive(Clone)]
pub struct Hasher(Context);

impl Default for Hasher {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Hasher {
    /// Adds `bytes` to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        of_context(&self.0.finish())
    }
}

/// The BLAKE3 digest of a plain file: what `b3sum` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest([u8; 32]);

impl FileDigest {
    /// The digest of a file of these `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }
}

impl From<blake3::Hash> for FileDigest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

/// Computes a [`FileDigest`] over bytes that come in pieces, in their order.
#[derive(Clone, Default)]
pub struct FileHasher(blake3::Hasher);

impl FileHasher {
    /// Adds `bytes` to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(&self) -> FileDigest {
        self.0.finalize().into()
    }
}

fn of_context(digest: &digest::Digest) -> Digest {
    Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

macro_rules! hex_text {
    ($name:ident, $len:literal, $kind:literal) => {
        impl $name {
            /// The same id from its bytes.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&HEXLOWER.encode(self.as_bytes()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                let error = || ParseIdError {
                    kind: $kind,
                    hex_length: 2 * $len,
                };
                if text.len() != 2 * $len {
                    return Err(error());
                }
                HEXLOWER
                    .decode_mut(text.as_bytes(), &mut bytes)
                    .map_err(|_| error())?;
                Ok(Self::from_bytes(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The id of what has these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(Digest::of(bytes).0)
            }

            /// The ids of what has these bytes, in their order; see [`Digest::of_each`].
            pub fn of_each(messages: &[&[u8]]) -> Vec<Self> {
                let digests = Digest::of_each(messages);
                digests.into_iter().map(Self::from).collect()
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                Self(digest.0)
            }
        }

        hex_text!($name, 32, $kind);
    };
}

hex_text!(Digest, 32, "SHA-256 digest");
hex_text!(FileDigest, 32, "BLAKE3 digest");

digest_id! {
    /// Names a sealed chunk: the SHA-256 of its stored bytes.
    ChunkId, "chunk id"
}
digest_id! {
    /// Names a manifest: the SHA-256 of its stored envelope. Only an address; trust comes from the signature.
    ManifestId, "manifest id"
}
digest_id! {
    /// Names a peer: the SHA-256 of its SubjectPublicKeyInfo (RFC 5280 section 4.1), so it outlives certificates.
    PeerId, "peer id"
}
digest_id! {
    /// Names a public seal key: the SHA-256 of its bytes.
    SealKeyId, "seal key id"
}

/// Names one transfer of one sender: 16 random bytes. Anyone can copy it, so it means something only beside its sender.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId([u8; 16]);

hex_text!(TransferId, 16, "transfer id");

impl TransferId {
    /// A fresh id from the operating system's random numbers.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// The first eight digits, for people; never for looking anything up.
pub trait Short {
    /// The short spelling.
    fn short(&self) -> String;
}

impl<T: fmt::Display> Short for T {
    fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

/// A peer's public seal key: X-Wing (draft-connolly-cfrg-xwing-kem), ML-KEM-768 beside X25519.
#[derive(Clone, PartialEq, Eq)]
pub struct SealPublicKey(Box<[u8; Self::LENGTH]>);

impl SealPublicKey {
    /// Its length in bytes.
    pub const LENGTH: usize = 1216;

    /// The key from its bytes; `None` if the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; Self::LENGTH] = bytes.try_into().ok()?;
        Some(Self(Box::new(bytes)))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    /// The name by which wraps refer to it.
    pub fn id(&self) -> SealKeyId {
        SealKeyId::of(self.as_bytes())
    }
}

impl fmt::Debug for SealPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealPublicKey({})", self.id())
    }
}

/// Serde adapter: bytes as RFC 4648 section 4 base64 with padding, one spelling only.
pub mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes `bytes` as base64 text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        bytes: impl AsRef<[u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes.as_ref()))
    }

    /// Reads base64 text; the type decides which lengths it takes.
    ///
    /// # Errors
    /// The text is no canonical base64, or has the wrong length.
    pub fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|e| de::Error::custom(format!("base64: {e}")))?;
        let length = bytes.len();
        T::try_from(bytes)
            .map_err(|_| de::Error::custom(format!("{length} bytes is the wrong length")))
    }
}

impl Serialize for SealPublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        base64::serialize(self.as_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for SealPublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base64::deserialize(deserializer)
    }
}

impl TryFrom<Vec<u8>> for SealPublicKey {
    type Error = ();

    fn try_from(bytes: Vec<u8>) -> Result<Self, ()> {
        Self::from_bytes(&bytes).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ChunkId::of(b"colis");
        assert_eq!(id.to_string().parse::<ChunkId>(), Ok(id));
        let text = id.to_string();
        for wrong in [
            &text[1..],
            &format!("{text}0"),
            &text.to_uppercase(),
            &format!(" {}", &text[1..]),
            "",
        ] {
            assert!(
                wrong.parse::<ChunkId>().is_err(),
                "{wrong:?} was taken for an id"
            );
        }
    }

    #[test]
    fn digests_of_several_are_those_of_each() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
        for count in 0..40 {
            let messages: Vec<_> = (0..count).map(|n| &bytes[n..100 * (n + 1)]).collect();
            let each: Vec<_> = messages.iter().map(|bytes| ChunkId::of(bytes)).collect();
            assert_eq!(ChunkId::of_each(&messages), each, "{count}");
        }
        let expected = Lanes::fastest().map_or(1, |_| 8);
        assert_eq!(Digest::side_by_side(), expected);
    }

    #[test]
    fn the_digest_is_sha_256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
        for length in (0..200).chain([4095, 4096, 5000]) {
            let expected = sha2::Sha256::digest(&bytes[..length]);
            assert_eq!(Digest::of(&bytes[..length]).0, *expected, "{length}");
            let (mut pieces, (head, tail)) =
                (Hasher::default(), bytes[..length].split_at(length / 3));
            pieces.update(head);
            pieces.update(tail);
            assert_eq!(pieces.finish().0, *expected, "{length}");
        }
    }

    #[test]
    fn ids_show_themselves_whole_or_short_and_are_never_the_same_by_chance() {
        let id = PeerId::of(b"abc");
        assert_eq!(id, PeerId::from(Digest::of(b"abc")));
        assert_eq!(id.short(), "ba7816bf");
        assert_eq!(format!("{id:?}"), format!("PeerId({id})"));
        assert_eq!(format!("{id:>70}"), format!("      {id}"));
        let transfer = TransferId::generate().unwrap();
        assert_ne!(transfer, TransferId::generate().unwrap());
        assert_eq!(TransferId::from_bytes(*transfer.as_bytes()), transfer);
        let text = serde_json::to_string(&transfer).unwrap();
        assert_eq!(text, format!("\"{transfer}\""));
        assert_eq!(serde_json::from_str::<TransferId>(&text).unwrap(), transfer);
        let refused = "0".parse::<TransferId>().unwrap_err();
        let said = "not a transfer id: expected 32 lower-case hex digits";
        assert_eq!(refused.to_string(), said);
    }

    #[test]
    fn a_public_seal_key_has_one_length_and_one_spelling() {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(SealPublicKey::LENGTH).collect();
        let key = SealPublicKey::from_bytes(&bytes).unwrap();
        assert_eq!(
            (key.as_bytes(), key.id()),
            (&bytes[..], SealKeyId::of(&bytes))
        );
        assert_eq!(format!("{key:?}"), format!("SealPublicKey({})", key.id()));
        assert_eq!(SealPublicKey::from_bytes(&bytes[1..]), None);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<SealPublicKey>(&text).unwrap(), key);
        let padding = text.replace('=', "");
        for wrong in [&text.replace('/', "_"), &padding, "\"AAAA\"", "1"] {
            assert!(serde_json::from_str::<SealPublicKey>(wrong).is_err());
        }
    }
}
