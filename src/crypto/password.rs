//! Wrapping a file key under a shared password: PBKDF2-HMAC-SHA256 (RFC 8018), then HKDF, then AES-256-GCM.
//!
//! PBKDF2 gives exactly one block of 32 bytes: asking for more would cost the owner more than an attacker. From it come
//! a key-encryption key and a public check value, so that a wrong password is told from damaged bytes. The salt makes
//! every key-encryption key unique, so its one message has the all-zero nonce.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq as _;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::{
    CryptoError, hkdf,
    key::{FileKey, WrapContext},
};

/// Iterations of a new wrap, and the fewest that a reader accepts (OWASP 2023 for PBKDF2-HMAC-SHA256).
pub const MIN_ITERATIONS: u32 = 600_000;
/// The most that a reader accepts: a hostile count must not buy minutes of CPU.
pub const MAX_ITERATIONS: u32 = 2_000_000;
/// Bytes of salt.
pub const SALT_LENGTH: usize = 32;
/// Length of a wrapped file key: 32 bytes and the tag.
pub const WRAPPED_LENGTH: usize = 48;

/// A password, normalized to NFC so that it is the same on every keyboard. Zeroized on drop, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// The password that was typed.
    pub fn new(text: &str) -> Self {
        let mut normal = Zeroizing::new(String::with_capacity(4 * text.len()));
        normal.extend(text.nfc());
        Self(normal)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A file key wrapped under a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// [`SALT_LENGTH`] random bytes.
    pub salt: [u8; SALT_LENGTH],
    /// PBKDF2 iterations.
    pub iterations: u32,
    /// Tells a wrong password from damage: `HKDF(PBKDF2(..), "password/check")`.
    pub check: [u8; 32],
    /// The wrapped file key, [`WRAPPED_LENGTH`] bytes.
    pub ct: [u8; WRAPPED_LENGTH],
}

/// Wraps `key` under `password`, bound to `context`. Takes about a tenth of a second of CPU, on purpose.
///
/// # Errors
/// [`CryptoError::NoRandom`].
pub fn wrap(
    key: &FileKey,
    password: &Password,
    context: &WrapContext,
) -> Result<Wrapped, CryptoError> {
    let mut salt = [0; SALT_LENGTH];
    getrandom::fill(&mut salt)?;
    let derived = Derived::new(password, &salt, MIN_ITERATIONS);
    let mut ct = [0; WRAPPED_LENGTH];
    let (body, tail) = ct.split_at_mut(32);
    let buffers = InOutBuf::new(&key.expose()[..], body).expect("both are 32 bytes");
    let tag =
        derived
            .cipher()
            .encrypt_inout_detached(&[0; 12].into(), &context.to_bytes(), buffers);
    tail.copy_from_slice(&tag.expect("32 bytes is within AES-GCM's limit"));
    Ok(Wrapped {
        salt,
        iterations: MIN_ITERATIONS,
        check: derived.check,
        ct,
    })
}

/// Unwraps a file key. The caller must [check](FileKey::check) it against its commitment.
///
/// # Errors
/// [`CryptoError::KdfParameters`] before anything is computed, [`CryptoError::WrongPassword`],
/// [`CryptoError::Forged`] if the password is right and the wrap is not of this context.
pub fn unwrap(
    wrapped: &Wrapped,
    password: &Password,
    context: &WrapContext,
) -> Result<FileKey, CryptoError> {
    check_iterations(wrapped.iterations)?;
    let derived = Derived::new(password, &wrapped.salt, wrapped.iterations);
    if !bool::from(derived.check.ct_eq(&wrapped.check)) {
        return Err(CryptoError::WrongPassword);
    }
    let mut key = Zeroizing::new([0; 32]);
    let (body, tag) = wrapped.ct.split_at(32);
    let tag: &Tag = tag.try_into().expect("what is left is the tag");
    let buffers = InOutBuf::new(body, &mut key[..]).expect("both are 32 bytes");
    let opened =
        derived
            .cipher()
            .decrypt_inout_detached(&[0; 12].into(), &context.to_bytes(), buffers, tag);
    opened.map_err(|_| CryptoError::Forged { what: "wrap" })?;
    Ok(FileKey::from_bytes(key))
}

/// Refuses iteration counts that a reader must not compute.
///
/// # Errors
/// [`CryptoError::KdfParameters`].
pub fn check_iterations(iterations: u32) -> Result<(), CryptoError> {
    let (min, max) = (MIN_ITERATIONS, MAX_ITERATIONS);
    if (min..=max).contains(&iterations) {
        Ok(())
    } else {
        Err(CryptoError::KdfParameters {
            iterations,
            min,
            max,
        })
    }
}

struct Derived {
    kek: Zeroizing<[u8; 32]>,
    check: [u8; 32],
}

impl Derived {
    fn new(password: &Password, salt: &[u8], iterations: u32) -> Self {
        let mut root = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(password.0.as_bytes(), salt, iterations, root.as_mut());
        Self {
            kek: hkdf(root.as_ref(), b"password/key"),
            check: *hkdf(root.as_ref(), b"password/check"),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.kek).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PeerId, TransferId};

    fn context(key: &FileKey) -> WrapContext {
        let (transfer_id, sender) = (TransferId::from_bytes([1; 16]), PeerId::of(b"sender"));
        WrapContext {
            key_id: key.commitment(),
            transfer_id,
            sender,
            recipient: None,
        }
    }

    #[test]
    fn the_password_opens_it_and_a_wrong_one_is_told_from_damage() {
        let key = FileKey::generate().unwrap();
        let ctx = context(&key);
        let wrapped = wrap(&key, &Password::new("correct horse"), &ctx).unwrap();
        let opened = unwrap(&wrapped, &Password::new("correct horse"), &ctx).unwrap();
        opened.check(&key.commitment()).unwrap();
        let wrong = unwrap(&wrapped, &Password::new("wrong horse"), &ctx);
        assert_eq!(wrong.unwrap_err(), CryptoError::WrongPassword);
        let mut damaged = wrapped;
        damaged.ct[0] ^= 1;
        let forged = unwrap(&damaged, &Password::new("correct horse"), &ctx);
        assert_eq!(forged.unwrap_err(), CryptoError::Forged { what: "wrap" });
    }

    /// Computed apart from the program, in Python.
    #[test]
    fn a_wrap_is_that_of_the_format() {
        let key = FileKey::from_bytes(Zeroizing::new(std::array::from_fn(|n| n as u8)));
        let context = WrapContext {
            sender: PeerId::from_bytes([2; 32]),
            ..context(&key)
        };
        let bytes = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let check = bytes("55a7a26b55ad37eaaaefe932436e85855af3dfbab68c9f1864e7f94a11c30fef");
        let ct = bytes(concat!(
            "255d5ba3f012844c6d697420566ea758a51e99cba631ff6bc4f4130d370f5d64",
            "20af0d578d8a563d607e5c8f5e338284"
        ));
        let wrapped = Wrapped {
            salt: [3; SALT_LENGTH],
            iterations: MIN_ITERATIONS,
            check: check.try_into().unwrap(),
            ct: ct.try_into().unwrap(),
        };
        let opened = unwrap(&wrapped, &Password::new("correct ho\u{308}rse"), &context).unwrap();
        assert_eq!(opened.expose(), key.expose());
    }

    #[test]
    fn a_wrap_has_a_salt_of_its_own_and_the_fewest_iterations() {
        let (key, password) = (FileKey::generate().unwrap(), Password::new("horse"));
        let ctx = context(&key);
        let mut wrapped = wrap(&key, &password, &ctx).unwrap();
        assert_ne!(wrapped.salt, [0; SALT_LENGTH]);
        assert_eq!(wrapped.iterations, MIN_ITERATIONS);
        wrapped.iterations -= 1;
        let refused = unwrap(&wrapped, &password, &ctx).unwrap_err();
        assert!(matches!(refused, CryptoError::KdfParameters { .. }));
        assert_eq!(format!("{password:?}"), "Password(..)");
    }

    #[test]
    fn a_password_is_the_same_composed_or_decomposed() {
        assert_eq!(*Password::new("e\u{301}").0, *Password::new("\u{e9}").0);
    }

    #[test]
    fn hostile_iteration_counts_are_refused() {
        for iterations in [0, 1, MIN_ITERATIONS - 1, MAX_ITERATIONS + 1, u32::MAX] {
            assert!(check_iterations(iterations).is_err(), "{iterations}");
        }
        assert!(
            check_iterations(MIN_ITERATIONS).is_ok() && check_iterations(MAX_ITERATIONS).is_ok()
        );
    }
}
