//! Wrapping a file key to a recipient: HPKE (RFC 9180) base mode with X-Wing (0x647a), HKDF-SHA256 and AES-256-GCM.
//!
//! X-Wing joins ML-KEM-768 and X25519, so chunks recorded today stay secret from a later quantum computer. It is the
//! only recipient type: offering a weaker one beside it would be a downgrade.

use std::fmt;

use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::AesGcm256,
    kdf::HkdfSha256, kem::XWing,
};
use zeroize::Zeroizing;

use super::{
    CryptoError,
    key::{FileKey, WrapContext},
};
use crate::id::SealPublicKey;

/// Length of the encapsulated key (ML-KEM-768 ciphertext and X25519 share).
pub const ENCAPSULATED_LENGTH: usize = 1120;
/// Length of a wrapped file key: 32 bytes and the tag.
pub const WRAPPED_LENGTH: usize = 48;

/// A file key wrapped to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The encapsulated key, [`ENCAPSULATED_LENGTH`] bytes.
    pub enc: Vec<u8>,
    /// The wrapped file key, [`WRAPPED_LENGTH`] bytes.
    pub ct: Vec<u8>,
}

/// A peer's private seal key. Zeroized on drop, never printed.
pub struct SealKey {
    secret: Zeroizing<[u8; 32]>,
    public: SealPublicKey,
}

impl SealKey {
    /// A fresh key from the operating system.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut())?;
        Self::from_bytes(secret)
    }

    /// The key with this 32-byte X-Wing seed.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`].
    pub fn from_bytes(secret: Zeroizing<[u8; 32]>) -> Result<Self, CryptoError> {
        let malformed = |_| CryptoError::Malformed { what: "seal key" };
        let private =
            <XWing as hpke::Kem>::PrivateKey::from_bytes(secret.as_ref()).map_err(malformed)?;
        let public = XWing::sk_to_pk(&private).to_bytes();
        let public = SealPublicKey::from_bytes(&public)
            .ok_or(CryptoError::Malformed { what: "seal key" })?;
        Ok(Self { secret, public })
    }

    /// The seed, for the file that keeps it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The public half.
    pub fn public(&self) -> &SealPublicKey {
        &self.public
    }

    /// Unwraps a file key. The caller must [check](FileKey::check) it against its commitment.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] for wrong lengths, [`CryptoError::Forged`] for a wrap made for another context.
    pub fn unwrap(&self, wrapped: &Wrapped, context: &WrapContext) -> Result<FileKey, CryptoError> {
        let malformed = |_| CryptoError::Malformed { what: "wrap" };
        let private = <XWing as hpke::Kem>::PrivateKey::from_bytes(self.secret.as_ref())
            .map_err(malformed)?;
        let enc = <XWing as hpke::Kem>::EncappedKey::from_bytes(&wrapped.enc).map_err(malformed)?;
        let info = context.to_bytes();
        let key = hpke::single_shot_open::<AesGcm256, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &enc,
            &info,
            &wrapped.ct,
            b"",
        );
        let key = Zeroizing::new(key.map_err(|_| CryptoError::Forged { what: "wrap" })?);
        let mut bytes = Zeroizing::new([0; 32]);
        if key.len() != bytes.len() {
            return Err(CryptoError::Malformed { what: "wrap" });
        }
        bytes.copy_from_slice(&key);
        Ok(FileKey::from_bytes(bytes))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey(.., {:?})", self.public)
    }
}

/// Wraps `key` to the holder of `public`, bound to `context`.
///
/// # Errors
/// [`CryptoError::Malformed`] if `public` is no X-Wing key.
pub fn wrap(
    key: &FileKey,
    public: &SealPublicKey,
    context: &WrapContext,
) -> Result<Wrapped, CryptoError> {
    let malformed = |_| CryptoError::Malformed {
        what: "public seal key",
    };
    let public =
        <XWing as hpke::Kem>::PublicKey::from_bytes(public.as_bytes()).map_err(malformed)?;
    let (enc, ct) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        &context.to_bytes(),
        key.expose(),
        b"",
    )
    .map_err(malformed)?;
    Ok(Wrapped {
        enc: enc.to_bytes().to_vec(),
        ct,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PeerId, TransferId};

    fn context(key: &FileKey, to: &SealKey) -> WrapContext {
        WrapContext {
            key_id: key.commitment(),
            transfer_id: TransferId::from_bytes([7; 16]),
            sender: PeerId::of(b"sender"),
            recipient: Some((PeerId::of(b"recipient"), to.public().id())),
        }
    }

    #[test]
    fn a_wrap_opens_only_for_its_recipient_in_its_transfer() {
        let key = FileKey::generate().unwrap();
        let (bob, eve) = (SealKey::generate().unwrap(), SealKey::generate().unwrap());
        let ctx = context(&key, &bob);
        let wrapped = wrap(&key, bob.public(), &ctx).unwrap();
        assert_eq!(
            (wrapped.enc.len(), wrapped.ct.len()),
            (ENCAPSULATED_LENGTH, WRAPPED_LENGTH)
        );
        bob.unwrap(&wrapped, &ctx)
            .unwrap()
            .check(&key.commitment())
            .unwrap();
        assert!(eve.unwrap(&wrapped, &ctx).is_err(), "another recipient");
        let other = WrapContext {
            transfer_id: TransferId::from_bytes([8; 16]),
            ..ctx
        };
        assert!(bob.unwrap(&wrapped, &other).is_err(), "another transfer");
        let other = WrapContext {
            sender: PeerId::of(b"mallory"),
            ..ctx
        };
        assert!(bob.unwrap(&wrapped, &other).is_err(), "another sender");
    }

    #[test]
    fn another_key_than_committed_is_refused() {
        let (key, other) = (FileKey::generate().unwrap(), FileKey::generate().unwrap());
        assert_eq!(
            other.check(&key.commitment()),
            Err(CryptoError::CommitmentMismatch)
        );
        assert_eq!(format!("{key:?}"), "FileKey(..)");
    }

    #[test]
    fn a_seal_key_is_kept_by_its_seed_and_never_printed() {
        let key = SealKey::generate().unwrap();
        let again = SealKey::from_bytes(Zeroizing::new(*key.expose())).unwrap();
        assert_eq!(again.public(), key.public());
        let other = SealKey::generate().unwrap();
        assert_ne!(other.expose(), key.expose());
        assert_ne!(other.public(), key.public());
        let shown = format!("SealKey(.., {:?})", key.public());
        assert_eq!(format!("{key:?}"), shown);
    }

    #[test]
    fn a_wrap_of_the_wrong_lengths_does_not_open() {
        let (key, bob) = (FileKey::generate().unwrap(), SealKey::generate().unwrap());
        let ctx = context(&key, &bob);
        let good = wrap(&key, bob.public(), &ctx).unwrap();
        let (mut short, mut long, mut cut) = (good.clone(), good.clone(), good);
        short.enc.pop();
        long.enc.push(0);
        cut.ct.pop();
        let malformed = CryptoError::Malformed { what: "wrap" };
        assert_eq!(bob.unwrap(&short, &ctx).unwrap_err(), malformed);
        assert_eq!(bob.unwrap(&long, &ctx).unwrap_err(), malformed);
        let forged = CryptoError::Forged { what: "wrap" };
        assert_eq!(bob.unwrap(&cut, &ctx).unwrap_err(), forged);
    }

    #[test]
    fn a_wrapped_key_of_the_wrong_length_is_malformed() {
        let bob = SealKey::generate().unwrap();
        let ctx = context(&FileKey::generate().unwrap(), &bob);
        let public = <XWing as hpke::Kem>::PublicKey::from_bytes(bob.public().as_bytes());
        for length in [0, 31, 33] {
            let (enc, ct) = hpke::single_shot_seal::<AesGcm256, HkdfSha256, XWing>(
                &OpModeS::Base,
                public.as_ref().unwrap(),
                &ctx.to_bytes(),
                &vec![1; length],
                b"",
            )
            .unwrap();
            let enc = enc.to_bytes().to_vec();
            let opened = bob.unwrap(&Wrapped { enc, ct }, &ctx).unwrap_err();
            assert_eq!(opened, CryptoError::Malformed { what: "wrap" });
        }
    }
}
