//! Exact bytes with a signature, and the two traits that make and believe it.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Distrust, MAX_CLOCK_SKEW_SECONDS, MAX_ENVELOPE, ManifestError, Timestamp, dsse, from_json,
    to_json,
};
use crate::id::{ManifestId, PeerId};

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    #[error("the signer's certificate is not trusted: {fault}")]
    UntrustedSigner {
        /// Why.
        fault: SignerFault,
    },
    /// The signer's certificate has been revoked.
    #[error("the signer's certificate is revoked")]
    Revoked,
    /// The owner of this store lets the signer do nothing here.
    #[error("the sender {sender} is blocked here")]
    Blocked {
        /// The signer.
        sender: PeerId,
    },
}

/// Why a signer is not trusted that is neither revoked nor blocked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignerFault {
    /// Its certificate does not count.
    #[error(transparent)]
    Certificate(#[from] Distrust),
    /// Its certificate is not for this use.
    #[error("the certificate is not for this use")]
    WrongUsage,
    /// Its certificate did not count at the time that the signature names.
    #[error("the certificate was not valid when it was signed")]
    NotValidThen,
    /// Its role here is one that delivers nothing, as a reader's.
    #[error("its sender's role here delivers nothing")]
    DeliversNothing,
    /// This verifier knows its circle alone.
    #[error("it is not known here")]
    Unknown,
    /// Our own key does not sign.
    #[error(transparent)]
    CannotSign(#[from] SignError),
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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

    /// Checks a claim whose certificate [`Verifier::verify`] does not trust, as far as that goes without trust: the sender is the
    /// key in the certificate, which is a peer's, was valid then and is not revoked; and that key has signed.
    ///
    /// # Errors
    /// A [`VerifyError`] naming the first check that fails. A verifier that does not implement it believes nobody.
    fn verify_unknown(&self, claim: &Claim<'_>) -> Result<(), VerifyError> {
        let _ = claim;
        Err(VerifyError::UntrustedSigner {
            fault: SignerFault::Unknown,
        })
    }
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
            fault: SignerFault::CannotSign(e),
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
        let dsse::Opened {
            payload: signed,
            keyid,
            signature,
        } = dsse::read(&envelope, T::TYPE)?;
        let message = dsse::pae(T::TYPE, &signed);
        let head = message.len() - signed.len();
        // The message has these megabytes too.
        drop(signed);
        let payload: T = from_json(&message[head..], T::NAME)?;
        payload.check()?;
        if keyid != payload.sender() {
            return Err(VerifyError::SenderMismatch {
                sender: payload.sender(),
            }
            .into());
        }
        Ok(Self {
            payload,
            envelope,
            message,
            signature,
        })
    }

    /// Checks dates and signer as of `now`. Gives the signer's name.
    ///
    /// # Errors
    /// [`ManifestError::Expired`], [`ManifestError::FromTheFuture`], [`ManifestError::Untrusted`].
    pub fn verify(&self, verifier: &dyn Verifier, now: Timestamp) -> Result<String, ManifestError> {
        let name = verifier.verify(&self.claim())?;
        self.check_dates(now)?;
        Ok(name)
    }

    /// Checks dates, and that the key has signed whose digest the sender's id is. It says nothing about who that is.
    ///
    /// # Errors
    /// [`ManifestError::Expired`], [`ManifestError::FromTheFuture`], [`ManifestError::Untrusted`].
    pub fn verify_unknown(
        &self,
        verifier: &dyn Verifier,
        now: Timestamp,
    ) -> Result<(), ManifestError> {
        verifier.verify_unknown(&self.claim())?;
        self.check_dates(now)
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            certificate: self.payload.certificate(),
            sender: self.payload.sender(),
            signed_at: self.payload.created(),
            message: &self.message,
            signature: &self.signature,
        }
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
            Some(expires) if expires <= now => Err(ManifestError::Expired { expires, now }),
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
