//! The wraps of a transfer: how each reader gets the file key.

use serde::{Deserialize, Serialize};

use super::{MAX_WRAPS, ManifestError, WrapFault};
use crate::{
    crypto::{
        CryptoError, FileKey, KeyCommitment, SealKey,
        key::WrapContext,
        password::{self, Password},
        recipient,
    },
    id::{PeerId, SealKeyId, SealPublicKey, TransferId},
};

/// A file key, wrapped for one reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", try_from = "Fields")]
pub enum Wrap {
    /// For the holder of a seal key, by HPKE.
    Recipient {
        /// Whose key it is.
        peer: PeerId,
        /// Which of its keys.
        kid: SealKeyId,
        /// The encapsulated key, 1120 bytes.
        #[serde(with = "crate::id::base64")]
        enc: Vec<u8>,
        /// The wrapped file key, 48 bytes.
        #[serde(with = "crate::id::base64")]
        ct: Vec<u8>,
    },
    /// For whoever knows the password.
    Password {
        /// 32 random bytes.
        #[serde(with = "crate::id::base64")]
        salt: [u8; password::SALT_LENGTH],
        /// PBKDF2 iterations, 600,000 to 2,000,000.
        iterations: u32,
        /// Tells a wrong password from damage.
        #[serde(with = "crate::id::base64")]
        check: [u8; 32],
        /// The wrapped file key, 48 bytes.
        #[serde(with = "crate::id::base64")]
        ct: [u8; password::WRAPPED_LENGTH],
    },
}

/// The fields of either kind. With its `tag`, serde would collect a wrap of any shape before it looks at a field, at 32 bytes for
/// each `0,` that somebody sends; like this, each field is judged as it comes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    r#type: Kind,
    peer: Option<PeerId>,
    kid: Option<SealKeyId>,
    enc: Option<Base64>,
    salt: Option<Base64>,
    iterations: Option<u32>,
    check: Option<Base64>,
    ct: Option<Base64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Recipient,
    Password,
}

#[derive(Deserialize)]
struct Base64(#[serde(deserialize_with = "crate::id::base64::deserialize")] Vec<u8>);

impl TryFrom<Fields> for Wrap {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        match fields.r#type {
            Kind::Recipient => fields.for_recipient(),
            Kind::Password => fields.for_password(),
        }
    }
}

impl Fields {
    // That a field is there which belongs to the other kind shows when the spelling is checked.
    fn for_recipient(self) -> Result<Wrap, String> {
        Ok(Wrap::Recipient {
            peer: there(self.peer, "peer")?,
            kid: there(self.kid, "kid")?,
            enc: there(self.enc, "enc")?.0,
            ct: there(self.ct, "ct")?.0,
        })
    }

    fn for_password(self) -> Result<Wrap, String> {
        Ok(Wrap::Password {
            salt: of_length(self.salt, "salt")?,
            iterations: there(self.iterations, "iterations")?,
            check: of_length(self.check, "check")?,
            ct: of_length(self.ct, "ct")?,
        })
    }
}

fn there<T>(field: Option<T>, name: &str) -> Result<T, String> {
    field.ok_or_else(|| format!("missing field `{name}`"))
}

fn of_length<const N: usize>(field: Option<Base64>, name: &str) -> Result<[u8; N], String> {
    let bytes = there(field, name)?.0;
    let length = bytes.len();
    let right = bytes.try_into();
    right.map_err(|_| format!("`{name}`: {length} bytes is the wrong length"))
}

/// The transfer that wraps belong to.
#[derive(Debug, Clone, Copy)]
pub struct WrapScope {
    /// Commits to the file key.
    pub key_id: KeyCommitment,
    /// The transfer.
    pub transfer_id: TransferId,
    /// Its sender.
    pub sender: PeerId,
}

impl WrapScope {
    fn context(self, recipient: Option<(PeerId, SealKeyId)>) -> WrapContext {
        WrapContext {
            key_id: self.key_id,
            transfer_id: self.transfer_id,
            sender: self.sender,
            recipient,
        }
    }
}

impl Wrap {
    /// Wraps `key` for `peer`.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if `public` is no key.
    pub fn to_recipient(
        key: &FileKey,
        scope: WrapScope,
        peer: PeerId,
        public: &SealPublicKey,
    ) -> Result<Self, CryptoError> {
        let kid = public.id();
        let wrapped = recipient::wrap(key, public, &scope.context(Some((peer, kid))))?;
        Ok(Self::Recipient {
            peer,
            kid,
            enc: wrapped.enc,
            ct: wrapped.ct,
        })
    }

    /// Wraps `key` under a password.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn to_password(
        key: &FileKey,
        scope: WrapScope,
        password: &Password,
    ) -> Result<Self, CryptoError> {
        let w = password::wrap(key, password, &scope.context(None))?;
        Ok(Self::Password {
            salt: w.salt,
            iterations: w.iterations,
            check: w.check,
            ct: w.ct,
        })
    }

    /// The peer that it is for; `None` for a password.
    pub fn recipient(&self) -> Option<PeerId> {
        match self {
            Self::Recipient { peer, .. } => Some(*peer),
            Self::Password { .. } => None,
        }
    }

    /// Opens a recipient wrap with one of the reader's seal keys, and checks the commitment.
    /// `None` if it is for another peer or another key.
    pub fn open_with_key(
        &self,
        scope: WrapScope,
        me: PeerId,
        key: &SealKey,
    ) -> Option<Result<FileKey, CryptoError>> {
        match self {
            Self::Recipient { peer, kid, enc, ct } if *peer == me && *kid == key.public().id() => {
                let wrapped = recipient::Wrapped {
                    enc: enc.clone(),
                    ct: ct.clone(),
                };
                let opened = key.unwrap(&wrapped, &scope.context(Some((me, *kid))));
                Some(opened.and_then(|k| k.check(&scope.key_id).map(|()| k)))
            }
            _ => None,
        }
    }

    /// Opens a password wrap, and checks the commitment. `None` if it is no password wrap.
    pub fn open_with_password(
        &self,
        scope: WrapScope,
        password: &Password,
    ) -> Option<Result<FileKey, CryptoError>> {
        match self {
            Self::Password {
                salt,
                iterations,
                check,
                ct,
            } => {
                let wrapped = password::Wrapped {
                    salt: *salt,
                    iterations: *iterations,
                    check: *check,
                    ct: *ct,
                };
                let opened = password::unwrap(&wrapped, password, &scope.context(None));
                Some(opened.and_then(|k| k.check(&scope.key_id).map(|()| k)))
            }
            Self::Recipient { .. } => None,
        }
    }

    fn check(&self) -> Result<(), ManifestError> {
        match self {
            Self::Recipient { enc, ct, .. } => {
                check_length("enc", enc.len(), recipient::ENCAPSULATED_LENGTH)?;
                check_length("ct", ct.len(), recipient::WRAPPED_LENGTH)
            }
            Self::Password { iterations, .. } => {
                password::check_iterations(*iterations).map_err(ManifestError::KdfParameters)
            }
        }
    }
}

fn check_length(field: &'static str, length: usize, expected: usize) -> Result<(), ManifestError> {
    if length == expected {
        return Ok(());
    }
    Err(ManifestError::BadWrap(WrapFault::Length {
        field,
        length,
        expected,
    }))
}

/// The rules over all wraps of a transfer: 1 to 64, one of them the sender's, at most one password, no reader twice.
pub(super) fn check_all(wraps: &[Wrap], sender: PeerId) -> Result<(), ManifestError> {
    if wraps.is_empty() || wraps.len() > MAX_WRAPS {
        return Err(ManifestError::BadWrap(WrapFault::Count {
            wraps: wraps.len(),
            most: MAX_WRAPS,
        }));
    }
    let mut readers = std::collections::HashSet::new();
    for wrap in wraps {
        wrap.check()?;
        if !readers.insert(wrap.recipient()) {
            let twice = wrap.recipient().map(WrapFault::Twice);
            return Err(twice.unwrap_or(WrapFault::TwoPasswords).into());
        }
    }
    if readers.contains(&Some(sender)) {
        Ok(())
    } else {
        Err(WrapFault::NoneForSender.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_opens_for_its_reader_and_key_only() {
        let (key, bob, eve) = (
            FileKey::generate().unwrap(),
            SealKey::generate().unwrap(),
            SealKey::generate().unwrap(),
        );
        let scope = WrapScope {
            key_id: key.commitment(),
            transfer_id: TransferId::from_bytes([1; 16]),
            sender: PeerId::of(b"sender"),
        };
        let me = PeerId::of(b"bob");
        let wrap = Wrap::to_recipient(&key, scope, me, bob.public()).unwrap();
        assert_eq!(wrap.recipient(), Some(me));
        let opened = wrap.open_with_key(scope, me, &bob).unwrap().unwrap();
        assert_eq!(opened.commitment(), key.commitment());
        assert!(wrap.open_with_key(scope, me, &eve).is_none(), "another key");
        let other = PeerId::of(b"eve");
        assert!(wrap.open_with_key(scope, other, &bob).is_none(), "not hers");
        let password = Password::new("correct horse");
        assert!(wrap.open_with_password(scope, &password).is_none());
        let committed = FileKey::generate().unwrap().commitment();
        let elsewhere = WrapScope {
            key_id: committed,
            ..scope
        };
        let forged = wrap.open_with_key(elsewhere, me, &bob).unwrap();
        assert_eq!(
            forged.unwrap_err(),
            CryptoError::Forged { what: "wrap" },
            "the context names the committed key"
        );
        let lying = Wrap::to_recipient(&key, elsewhere, me, bob.public()).unwrap();
        let lying = lying.open_with_key(elsewhere, me, &bob).unwrap();
        assert_eq!(lying.unwrap_err(), CryptoError::CommitmentMismatch);
    }

    #[test]
    fn a_password_wrap_opens_with_its_password_and_key_only() {
        let (key, password) = (FileKey::generate().unwrap(), Password::new("horse"));
        let scope = WrapScope {
            key_id: key.commitment(),
            transfer_id: TransferId::from_bytes([1; 16]),
            sender: PeerId::of(b"sender"),
        };
        let wrap = Wrap::to_password(&key, scope, &password).unwrap();
        assert_eq!(wrap.recipient(), None);
        let opened = wrap.open_with_password(scope, &password).unwrap().unwrap();
        assert_eq!(opened.commitment(), key.commitment());
        let seal_key = SealKey::generate().unwrap();
        assert!(wrap.open_with_key(scope, scope.sender, &seal_key).is_none());
        let elsewhere = WrapScope {
            key_id: FileKey::generate().unwrap().commitment(),
            ..scope
        };
        let lying = Wrap::to_password(&key, elsewhere, &password).unwrap();
        let lying = lying.open_with_password(elsewhere, &password).unwrap();
        assert_eq!(lying.unwrap_err(), CryptoError::CommitmentMismatch);
    }
}
