//! The circle's directory on disk and as it is offered: signed by the circle's key, and never older than the one before.

use std::io;

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};

use super::{
    BadDirectory, CertsDir, Circle, CircleHandle, Taken, TlsError, hold_list,
    identity::read_key_of,
    io_error,
    signature::{is_signed, public_key},
};
use crate::{
    id::PeerId,
    manifest::{
        Claim, ManifestError, Payload as _, SignError, Signer, SignerFault, Timestamp, Verifier,
        VerifyError,
    },
    private,
    trust::{KnownPeer, Member, SignedDirectory, write_durably},
};

/// Believes the circle's key alone.
struct ByCircle<'a>(&'a Circle);

impl Verifier for ByCircle<'_> {
    fn verify(&self, claim: &Claim<'_>) -> Result<String, VerifyError> {
        let sender = claim.sender;
        let certificate = self.0.anchor().certificate();
        if self.0.key_id() != sender {
            return Err(VerifyError::SenderMismatch { sender });
        }
        let key = public_key(certificate).ok_or(VerifyError::UntrustedSigner {
            fault: SignerFault::Unknown,
        })?;
        match is_signed(&key, claim.message, claim.signature) {
            true => Ok(self.0.anchor().common_name().to_owned()),
            false => Err(VerifyError::BadSignature),
        }
    }
}

/// The circle's key, as it signs a directory.
pub(super) struct CircleSigner {
    id: PeerId,
    key: SigningKey,
}

impl CircleSigner {
    /// The key in `dir`, which must be that of `circle`.
    pub(super) fn load(dir: &CertsDir, circle: &Circle) -> Result<Self, TlsError> {
        let (_, key) = read_key_of(&dir.ca_key(), circle.anchor().certificate())?;
        let id = circle.key_id();
        Ok(Self { id, key })
    }
}

impl Signer for CircleSigner {
    fn peer_id(&self) -> PeerId {
        self.id
    }

    fn certificate(&self) -> Vec<u8> {
        Vec::new()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let signature: Result<Signature, _> = self.key.try_sign(message);
        let signature = signature.map_err(|e| SignError(e.to_string()))?;
        Ok(signature.normalize_s().to_bytes().into())
    }
}

impl Circle {
    /// The digest of the circle's public key.
    pub fn key_id(&self) -> PeerId {
        self.anchor().id()
    }

    /// Checks that the circle's key has signed `directory`, whatever its date: it may have been signed by a clock that was wrong.
    fn check_signed(&self, directory: &SignedDirectory) -> Result<(), BadDirectory> {
        if self.is_outside() {
            return Err(BadDirectory::OfOutside);
        }
        let at = directory.payload().created();
        let signed = directory.verify(&ByCircle(self), at);
        signed.map(drop).map_err(document)
    }
}

impl CircleHandle {
    /// Who `member` is: by a bundle that its own key has signed, under the name that the circle has given it.
    ///
    /// # Errors
    /// [`BadDirectory::Member`]; also if the circle has revoked its key since.
    pub fn member(&self, member: &Member) -> Result<KnownPeer, BadDirectory> {
        let bundle = member.bundle.payload();
        let bad = |fault| BadDirectory::Member {
            peer: bundle.peer_id,
            fault: Box::new(fault),
        };
        let verified = member.bundle.verify(self, bundle.created);
        if verified.map_err(bad)? != bundle.name {
            return Err(BadDirectory::MemberName {
                peer: bundle.peer_id,
            });
        }
        Ok(KnownPeer::of(&member.bundle, member.addresses.clone()))
    }

    /// A directory that somebody offers, if the circle's key has signed it.
    pub(super) fn parse_directory(&self, offered: &[u8]) -> Result<SignedDirectory, TlsError> {
        let parsed = SignedDirectory::parse(offered.to_vec()).map_err(document);
        let checked = parsed.and_then(|parsed| {
            self.now().check_signed(&parsed)?;
            Ok(parsed)
        });
        checked.map_err(TlsError::BadDirectory)
    }

    /// Checks all that a directory says. A member that was revoked since it was signed does not count, and keeps nobody from
    /// counting.
    fn check_directory(&self, directory: &SignedDirectory) -> Result<(), BadDirectory> {
        self.now().check_signed(directory)?;
        for member in &directory.payload().members {
            match self.member(member) {
                Ok(_) => {}
                Err(BadDirectory::Member { fault, .. })
                    if *fault == ManifestError::Untrusted(VerifyError::Revoked) => {}
                Err(bad) => return Err(bad),
            }
        }
        Ok(())
    }
}

/// The directory in `dir`, if there is one that the circle's key has signed. Its members are checked when they are
/// [asked for](CircleHandle::member).
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Io`].
pub fn load_directory(
    dir: &CertsDir,
    circle: &Circle,
) -> Result<Option<SignedDirectory>, TlsError> {
    let path = dir.directory();
    let bytes = match private::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error(&path, e)),
    };
    let malformed = |fault: BadDirectory| TlsError::Malformed {
        path: path.clone(),
        fault: fault.into(),
    };
    let parsed = SignedDirectory::parse(bytes);
    let directory = parsed.map_err(|e| malformed(document(e)))?;
    circle.check_signed(&directory).map_err(malformed)?;
    Ok(Some(directory))
}

fn document(error: ManifestError) -> BadDirectory {
    BadDirectory::Document(Box::new(error))
}

/// Takes over a directory that another member has, if the circle's key has signed it, and its number is higher than that of
/// the one here.
///
/// # Errors
/// [`TlsError::BadDirectory`] if it is not the circle's, one of its members is none, or another one has its number;
/// [`TlsError::Io`].
pub fn install_directory(
    dir: &CertsDir,
    circle: &CircleHandle,
    offered: &[u8],
) -> Result<Taken, TlsError> {
    let bad = TlsError::BadDirectory;
    let offered = circle.parse_directory(offered)?;
    let number = offered.payload().number;
    // What costs more is done for what is new alone.
    let here = here(dir, circle);
    match compare(here.as_ref(), &offered) {
        Taken::Newer => circle.check_directory(&offered).map_err(bad)?,
        Taken::Older if here.is_some_and(|here| here.payload().number == number) => {
            return Err(bad(BadDirectory::Conflict { number }));
        }
        taken => return Ok(taken),
    }
    let _alone = hold_list(dir)?;
    // Another process may have written one by now.
    let taken = compare(self::here(dir, circle).as_ref(), &offered);
    if taken == Taken::Newer {
        write_directory(dir, &offered)?;
    }
    Ok(taken)
}

/// The one on disk. One that cannot be read there is replaced.
fn here(dir: &CertsDir, circle: &CircleHandle) -> Option<SignedDirectory> {
    load_directory(dir, &circle.now()).unwrap_or_default()
}

/// How `offered` is to the one that is `here`.
fn compare(here: Option<&SignedDirectory>, offered: &SignedDirectory) -> Taken {
    match here {
        Some(here) if here.envelope() == offered.envelope() => Taken::Same,
        Some(here) if here.payload().number >= offered.payload().number => Taken::Older,
        _ => Taken::Newer,
    }
}

pub(super) fn write_directory(dir: &CertsDir, directory: &SignedDirectory) -> Result<(), TlsError> {
    let path = dir.directory();
    write_durably(&path, directory.envelope(), 0o600).map_err(|e| io_error(&path, e))
}

/// Whether a certificate has ended, as of `now`.
pub(super) fn has_ended(certificate: &[u8], now: Timestamp) -> bool {
    let caller = super::Caller::from_certificate(certificate);
    caller.is_ok_and(|caller| caller.not_after < now)
}
