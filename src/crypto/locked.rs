//! A file of private keys under a passphrase: Argon2id (RFC 9106), then HKDF, then AES-256-GCM.
//!
//! What is sealed is the file as it is without a passphrase, byte by byte. All files of a home share one salt, so that the
//! passphrase is derived once; each has a nonce of its own. From what Argon2id gives come two keys, one for the key of the
//! circle and one for the keys of the peer, and a public check value, which tells a wrong passphrase from damaged bytes.

use std::{fmt, panic::resume_unwind, thread};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    CryptoError,
    aead::{Cipher, NONCE, TAG},
    hkdf,
    password::Password,
};

/// What a new passphrase costs: the least that a reader accepts (RFC 9106, section 4, for little memory, in one lane).
const COST: Cost = Cost {
    memory: 64 << 10,
    passes: 3,
    lanes: 1,
};
/// The most that a reader accepts: a hostile file must not buy gigabytes or minutes.
const MOST: Cost = Cost {
    memory: 256 << 10,
    passes: 10,
    lanes: 1,
};

const VERSION: u8 = 1;
const LABEL: &[u8; 16] = b"colis/v1/locked\0";
const SALT: usize = 32;
const CHECK: usize = 32;
/// Bytes before the nonce, which are authenticated too.
const HEAD: usize = 2 + 3 * 4 + SALT + CHECK;
/// The longest file that is sealed so. Those of keys have a few hundred bytes.
const MAX_PLAIN: usize = 64 << 10;

/// Whose keys a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// The circle's: it makes members.
    Circle = 1,
    /// The peer's own: it signs, proves who it is, and opens.
    Peer = 2,
}

impl Scope {
    fn key_info(self) -> &'static [u8] {
        match self {
            Self::Circle => b"passphrase/circle",
            Self::Peer => b"passphrase/peer",
        }
    }
}

/// What deriving a passphrase takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// Refuses what must not be computed.
    fn check(self) -> Result<(), CryptoError> {
        let is_within = (COST.memory..=MOST.memory).contains(&self.memory)
            && (COST.passes..=MOST.passes).contains(&self.passes)
            && self.lanes == COST.lanes;
        match is_within {
            true => Ok(()),
            false => Err(CryptoError::PassphraseCost {
                memory: self.memory,
                passes: self.passes,
                lanes: self.lanes,
            }),
        }
    }
}

/// What names a passphrase in the files under it: one salt is one passphrase, set once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; SALT]);

/// The begin of a locked file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    scope: Scope,
    cost: Cost,
    salt: Salt,
    check: [u8; CHECK],
}

impl Head {
    fn to_bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..2].copy_from_slice(&[VERSION, self.scope as u8]);
        bytes[2..6].copy_from_slice(&self.cost.memory.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.cost.passes.to_be_bytes());
        bytes[10..14].copy_from_slice(&self.cost.lanes.to_be_bytes());
        bytes[14..46].copy_from_slice(&self.salt.0);
        bytes[46..].copy_from_slice(&self.check);
        bytes
    }

    fn parse(bytes: &[u8; HEAD]) -> Option<Self> {
        let scope = match bytes[..2] {
            [VERSION, 1] => Scope::Circle,
            [VERSION, 2] => Scope::Peer,
            _ => return None,
        };
        let number = |at: usize| Some(u32::from_be_bytes(*bytes[at..].first_chunk()?));
        let cost = Cost {
            memory: number(2)?,
            passes: number(6)?,
            lanes: number(10)?,
        };
        Some(Self {
            scope,
            cost,
            salt: Salt(*bytes[14..].first_chunk()?),
            check: *bytes[46..].first_chunk()?,
        })
    }

    fn aad(&self) -> [u8; LABEL.len() + HEAD] {
        let mut aad = [0; LABEL.len() + HEAD];
        aad[..LABEL.len()].copy_from_slice(LABEL);
        aad[LABEL.len()..].copy_from_slice(&self.to_bytes());
        aad
    }
}

/// A file under a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    head: Head,
    nonce: [u8; NONCE],
    sealed: Vec<u8>,
}

impl Locked {
    /// Reads the bytes of a locked file. Nothing is derived yet.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CryptoError> {
        let malformed = CryptoError::Malformed { what: "locked key" };
        let parts = bytes.split_first_chunk::<HEAD>().and_then(|(head, rest)| {
            let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
            Some((Head::parse(head)?, *nonce, sealed.to_vec()))
        });
        let (head, nonce, sealed) = parts.ok_or(malformed.clone())?;
        match (TAG..=TAG + MAX_PLAIN).contains(&sealed.len()) {
            true => Ok(Self {
                head,
                nonce,
                sealed,
            }),
            false => Err(malformed),
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.head.to_bytes()[..], &self.nonce, &self.sealed].concat()
    }

    /// Under which passphrase it is.
    pub fn salt(&self) -> Salt {
        self.head.salt
    }

    /// Opens it. `None` if `keys` are those of another passphrase, or not all of one.
    ///
    /// # Errors
    /// [`CryptoError::Forged`] if it was changed.
    pub fn open(&self, keys: &PassphraseKeys) -> Option<Result<Zeroizing<Vec<u8>>, CryptoError>> {
        let key = keys.of(self.head.scope)?;
        if keys.salt != self.head.salt {
            return None;
        }
        let mut plain = Zeroizing::new(self.sealed.clone());
        let opened = Cipher::small(key).open(self.nonce, &self.head.aad(), &mut plain);
        Some(match opened.map(|plain| plain.len()) {
            Ok(length) => {
                plain.truncate(length);
                Ok(plain)
            }
            Err(_) => Err(CryptoError::Forged { what: "locked key" }),
        })
    }
}

/// What a passphrase opens with, derived from it. Zeroized on drop, never printed.
#[derive(Clone)]
pub struct PassphraseKeys {
    salt: Salt,
    /// None where they were handed over, for the keys of the peer alone.
    circle: Option<Zeroizing<[u8; 32]>>,
    peer: Zeroizing<[u8; 32]>,
}

impl PassphraseKeys {
    /// The length of what is handed over.
    pub const HANDED: usize = SALT + 32;

    /// What `passphrase` gives for `locked`. Takes about a quarter of a second and 64 MiB, on purpose.
    ///
    /// # Errors
    /// [`CryptoError::PassphraseCost`] before anything is computed, [`CryptoError::WrongPassword`].
    pub fn derive(passphrase: &Password, locked: &Locked) -> Result<Self, CryptoError> {
        let head = &locked.head;
        head.cost.check()?;
        let (keys, check) = derived(passphrase, head.cost, head.salt);
        match bool::from(check.ct_eq(&head.check)) {
            true => Ok(keys),
            false => Err(CryptoError::WrongPassword),
        }
    }

    fn of(&self, scope: Scope) -> Option<&[u8; 32]> {
        match scope {
            Scope::Circle => self.circle.as_deref(),
            Scope::Peer => Some(&self.peer),
        }
    }

    /// Whether they open what has this salt and scope.
    pub fn open_what(&self, salt: Salt, scope: Scope) -> bool {
        self.salt == salt && self.of(scope).is_some()
    }

    /// What opens the keys of the peer, and not that of the circle, for another process of its owner.
    pub fn to_hand(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::HANDED));
        bytes.extend_from_slice(&self.salt.0);
        bytes.extend_from_slice(self.peer.as_ref());
        bytes
    }

    /// What was handed over. Only that it opens something shows that it is right.
    pub fn handed(bytes: &[u8; Self::HANDED]) -> Option<Self> {
        let (salt, peer) = bytes.split_first_chunk::<SALT>()?;
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(peer);
        Some(Self {
            salt: Salt(*salt),
            circle: None,
            peer: key,
        })
    }
}

impl fmt::Debug for PassphraseKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphraseKeys(..)")
    }
}

/// A passphrase that is set now: it seals files.
pub struct NewPassphrase {
    keys: PassphraseKeys,
    check: [u8; CHECK],
}

impl NewPassphrase {
    /// Derives it with a fresh salt.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`].
    pub fn new(passphrase: &Password) -> Result<Self, CryptoError> {
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt)?;
        let (keys, check) = derived(passphrase, COST, Salt(salt));
        Ok(Self { keys, check })
    }

    /// Seals a file.
    ///
    /// # Errors
    /// [`CryptoError::NoRandom`]; [`CryptoError::Malformed`] if it is too long.
    pub fn seal(&self, scope: Scope, plain: &[u8]) -> Result<Locked, CryptoError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        self.seal_with(scope, plain, nonce)
    }

    fn seal_with(
        &self,
        scope: Scope,
        plain: &[u8],
        nonce: [u8; NONCE],
    ) -> Result<Locked, CryptoError> {
        let malformed = CryptoError::Malformed {
            what: "file of keys",
        };
        let key = self.keys.of(scope).filter(|_| plain.len() <= MAX_PLAIN);
        let key = key.ok_or(malformed)?;
        let head = Head {
            scope,
            cost: COST,
            salt: self.keys.salt,
            check: self.check,
        };
        let mut sealed = Vec::with_capacity(plain.len() + TAG);
        sealed.extend_from_slice(plain);
        let tag = Cipher::small(key).seal(nonce, &head.aad(), &mut sealed);
        sealed.extend_from_slice(&tag);
        Ok(Locked {
            head,
            nonce,
            sealed,
        })
    }

    /// What opens what it has sealed.
    pub fn into_keys(self) -> PassphraseKeys {
        self.keys
    }
}

/// Derives with a cost that was checked.
fn derived(passphrase: &Password, cost: Cost, salt: Salt) -> (PassphraseKeys, [u8; CHECK]) {
    let root = argon2id(passphrase, cost, salt);
    let key = |scope: Scope| hkdf(root.as_ref(), scope.key_info());
    let keys = PassphraseKeys {
        salt,
        circle: Some(key(Scope::Circle)),
        peer: key(Scope::Peer),
    };
    (keys, *hkdf(root.as_ref(), b"passphrase/check"))
}

/// On a thread of its own: what the hash leaves of the passphrase on its stack goes with it.
fn argon2id(passphrase: &Password, cost: Cost, salt: Salt) -> Zeroizing<[u8; 32]> {
    let compute = || {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32));
        let params = params.expect("the cost is within what was checked");
        let mut blocks = vec![Block::default(); params.block_count()];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut root = Zeroizing::new([0; 32]);
        let done = argon.hash_password_into_with_memory(
            passphrase.as_bytes(),
            &salt.0,
            root.as_mut(),
            &mut blocks,
        );
        blocks.iter_mut().for_each(|block| block.zeroize());
        done.expect("a password is shorter than 4 GiB, and a salt has 32 bytes");
        root
    };
    thread::scope(|scope| scope.spawn(compute).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> (Password, NewPassphrase) {
        let typed = Password::new(text);
        let new = NewPassphrase::new(&typed).unwrap();
        (typed, new)
    }

    #[test]
    fn what_is_locked_opens_with_its_passphrase_alone() {
        let (typed, new) = passphrase("correct horse battery");
        for scope in [Scope::Circle, Scope::Peer] {
            let locked = new.seal(scope, b"a file of keys").unwrap();
            let read = Locked::parse(&locked.to_bytes()).unwrap();
            assert_eq!(read, locked);
            let keys = PassphraseKeys::derive(&typed, &read).unwrap();
            assert_eq!(**read.open(&keys).unwrap().unwrap(), *b"a file of keys");
            let wrong = PassphraseKeys::derive(&Password::new("wrong horse"), &read);
            assert_eq!(wrong.unwrap_err(), CryptoError::WrongPassword);
        }
        let (_, other) = passphrase("correct horse battery");
        let locked = other.seal(Scope::Peer, b"x").unwrap();
        assert!(locked.open(&new.into_keys()).is_none(), "another salt");
    }

    #[test]
    fn what_is_handed_over_opens_the_keys_of_the_peer_and_not_the_circles() {
        let (_, new) = passphrase("correct horse battery");
        let [circle, peer] = [Scope::Circle, Scope::Peer].map(|s| new.seal(s, b"x").unwrap());
        let handed = new.into_keys().to_hand();
        let handed = PassphraseKeys::handed(handed[..].try_into().unwrap()).unwrap();
        assert!(circle.open(&handed).is_none() && !handed.open_what(circle.salt(), Scope::Circle));
        assert!(peer.open(&handed).unwrap().is_ok());
        assert_eq!(format!("{handed:?}"), "PassphraseKeys(..)");
    }

    #[test]
    fn no_nonce_is_used_twice_and_what_is_too_long_is_refused() {
        let (_, new) = passphrase("correct horse battery");
        let sealed = |plain: &[u8]| new.seal(Scope::Peer, plain);
        let (one, other) = (sealed(b"x").unwrap(), sealed(b"x").unwrap());
        assert!(one.nonce != other.nonce && one.sealed != other.sealed);
        assert!(sealed(&vec![0; MAX_PLAIN]).is_ok() && sealed(&vec![0; MAX_PLAIN + 1]).is_err());
        let mut long = one.to_bytes();
        long.resize(HEAD + NONCE + TAG + MAX_PLAIN + 1, 0);
        assert!(Locked::parse(&long).is_err());
    }

    /// RFC 9106, section 5.3, by the library alone: our own salts, costs and labels are held to `tests/vectors/locked.json`.
    #[test]
    fn argon2id_is_that_of_the_rfc() {
        let params = argon2::ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(argon2::AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let argon =
            Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        let expected = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
    }
}
