//! The file key of a transfer, its commitment, and the context that binds a wrap to its transfer.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{CryptoError, chunk::Stream, hkdf};
use crate::id::{Digest, PeerId, SealKeyId, TransferId};

/// K: 32 random bytes, fresh for every transfer. Zeroized on drop, never printed.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 32]>);

impl FileKey {
    /// A fresh key from the operating system.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut())?;
        Ok(Self(key))
    }

    /// The key with these bytes, which the caller got from an unwrap. Check it with [`FileKey::check`] first.
    pub fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// `key_id`: commits to this key and tells nothing about it.
    pub fn commitment(&self) -> KeyCommitment {
        KeyCommitment(Digest::from_bytes(*hkdf(self.expose(), b"commit")))
    }

    /// Compares with what the sender committed to, in constant time.
    ///
    /// # Errors
    /// [`CryptoError::CommitmentMismatch`].
    pub fn check(&self, committed: &KeyCommitment) -> Result<(), CryptoError> {
        let equal = self.commitment().0.as_bytes().ct_eq(committed.0.as_bytes());
        if equal.into() {
            Ok(())
        } else {
            Err(CryptoError::CommitmentMismatch)
        }
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn stream_key(&self, stream: Stream) -> Zeroizing<[u8; 32]> {
        hkdf(self.expose(), stream.key_info())
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

/// The public commitment to a [`FileKey`]: `HKDF(K, "commit")`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyCommitment(Digest);

impl KeyCommitment {
    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// What a wrap is bound to, so that it opens in this transfer, from this sender, for this reader only.
#[derive(Debug, Clone, Copy)]
pub struct WrapContext {
    /// The commitment to the wrapped key.
    pub key_id: KeyCommitment,
    /// The transfer.
    pub transfer_id: TransferId,
    /// Its sender.
    pub sender: PeerId,
    /// The reader; `None` for a password, which names nobody.
    pub recipient: Option<(PeerId, SealKeyId)>,
}

impl WrapContext {
    /// `ctx` of the format: 158 bytes, every field of fixed length.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let (recipient, kid) = match &self.recipient {
            Some((peer, kid)) => (*peer.as_bytes(), *kid.as_bytes()),
            None => ([0; 32], [0; 32]),
        };
        let mut bytes = b"colis/v1/wrap\0".to_vec();
        bytes.extend_from_slice(self.key_id.as_bytes());
        bytes.extend_from_slice(self.transfer_id.as_bytes());
        bytes.extend_from_slice(self.sender.as_bytes());
        bytes.extend_from_slice(&recipient);
        bytes.extend_from_slice(&kid);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_that_of_the_format_and_tells_keys_apart() {
        let key: [u8; 32] = std::array::from_fn(|n| n as u8);
        let key = FileKey::from_bytes(Zeroizing::new(key));
        let computed_apart = "925bc07468a223e2aa2783c1483210c1f92098ef67a4b57b40e5deb7b63ba585";
        assert_eq!(key.commitment().0.to_string(), computed_apart);
        assert_eq!(key.check(&key.commitment()), Ok(()));
        let other = FileKey::generate().unwrap();
        assert_ne!(other.expose(), FileKey::generate().unwrap().expose());
        let mismatch = Err(CryptoError::CommitmentMismatch);
        assert_eq!(other.check(&key.commitment()), mismatch);
        assert_eq!(format!("{key:?}"), "FileKey(..)");
    }

    #[test]
    fn a_context_has_every_field_in_its_place() {
        let key_id = FileKey::generate().unwrap().commitment();
        let (peer, kid) = (PeerId::of(b"recipient"), SealKeyId::of(b"key"));
        let mut context = WrapContext {
            key_id,
            transfer_id: TransferId::from_bytes([1; 16]),
            sender: PeerId::of(b"sender"),
            recipient: Some((peer, kid)),
        };
        let bytes = context.to_bytes();
        let head = [
            &b"colis/v1/wrap\0"[..],
            key_id.as_bytes(),
            &[1; 16],
            PeerId::of(b"sender").as_bytes(),
        ]
        .concat();
        let tail = [&peer.as_bytes()[..], kid.as_bytes()].concat();
        assert_eq!(bytes, [&head[..], &tail].concat());
        context.recipient = None;
        assert_eq!(context.to_bytes(), [&head[..], &[0; 64]].concat());
    }
}
