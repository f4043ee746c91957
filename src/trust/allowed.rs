//! Who is a member where an outside authority signs: whom the settings allow, and whom the owner has let in.
//!
//! Such an authority signs for many others too, so its signature alone lets nobody in. A peer id is exact. A name is pinned to
//! the first key that shows it: a second key of that name is refused until the owner forgets the first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use super::{AddressBook, Book, Role, TrustError};
use crate::id::PeerId;

/// What can be in a list of those who are allowed, in words.
pub const ALLOWED_RULE: &str =
    "a peer id of 64 digits, or a DNS name as certificates have it, without `*`";

/// The longest DNS name (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// Somebody who is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// The peer with this id.
    Peer(PeerId),
    /// The peer whose certificate has this DNS name, in lower case.
    Name(String),
}

/// A text says nobody who could be allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} says nobody: {ALLOWED_RULE}")]
pub struct ParseAllowedError {
    /// The text.
    pub text: String,
}

impl FromStr for Allowed {
    type Err = ParseAllowedError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Peer(id));
        }
        let name = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            !label.is_empty() && label.bytes().all(allowed)
        };
        match name.len() <= MAX_NAME && name.split('.').all(is_label) {
            true => Ok(Self::Name(name)),
            false => Err(ParseAllowedError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a certificate that the authority has signed makes nobody a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotMember {
    /// Nobody has allowed its peer.
    NotAllowed,
    /// Its name belongs to another key.
    SecondKey {
        /// The name.
        name: String,
        /// The key that it belongs to.
        pinned: PeerId,
    },
}

/// Those whom an outside authority has signed for and who are members here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    own: PeerId,
    allowed: BTreeSet<Allowed>,
    pinned: BTreeMap<String, PeerId>,
    /// Who has a role or a right by the owner's word.
    let_in: BTreeSet<PeerId>,
}

impl Members {
    /// The members at the peer `own`: it, those who are `allowed`, and whom its owner has let in by the address book.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn of(
        own: PeerId,
        allowed: impl IntoIterator<Item = Allowed>,
        book: &AddressBook,
    ) -> Result<Self, TrustError> {
        let roles = book.roles()?.into_iter();
        let let_in = roles.filter(|(_, assigned)| {
            assigned.role.is_some_and(|role| role != Role::None) || !assigned.rights.is_empty()
        });
        Ok(Self {
            own,
            allowed: allowed.into_iter().collect(),
            pinned: book.pinned()?,
            let_in: let_in.map(|(id, _)| id).collect(),
        })
    }

    /// Whether the certificate for `key` with these DNS names makes a member. Gives the names that are to be pinned to it.
    ///
    /// # Errors
    /// [`NotMember`].
    pub fn judge<'a>(&self, key: PeerId, names: &'a [String]) -> Result<Vec<&'a str>, NotMember> {
        let is_known = key == self.own
            || self.let_in.contains(&key)
            || self.allowed.contains(&Allowed::Peer(key));
        if is_known {
            return Ok(Vec::new());
        }
        let is_allowed = |name: &&String| self.allowed.contains(&Allowed::Name((*name).clone()));
        let named: Vec<_> = names.iter().filter(is_allowed).collect();
        if named.is_empty() {
            return Err(NotMember::NotAllowed);
        }
        for name in &named {
            match self.pinned.get(*name) {
                Some(pinned) if *pinned != key => {
                    return Err(NotMember::SecondKey {
                        name: (*name).clone(),
                        pinned: *pinned,
                    });
                }
                _ => {}
            }
        }
        let fresh = named
            .into_iter()
            .filter(|name| !self.pinned.contains_key(*name));
        Ok(fresh.map(String::as_str).collect())
    }

    /// The same with `name` pinned to `key`.
    #[must_use]
    pub fn with_pinned(mut self, name: &str, key: PeerId) -> Self {
        self.pinned.insert(name.to_owned(), key);
        self
    }

    /// The members at the same peer, as settings and address book say now.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn again(
        &self,
        allowed: impl IntoIterator<Item = Allowed>,
        book: &AddressBook,
    ) -> Result<Self, TrustError> {
        Self::of(self.own, allowed, book)
    }
}

impl AddressBook {
    /// The names that an outside authority has certified, and the keys that showed them first.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn pinned(&self) -> Result<BTreeMap<String, PeerId>, TrustError> {
        Ok(self.read()?.pinned)
    }

    /// Pins `name` to `key`, unless it is pinned. Returns the key that it is pinned to now.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn pin(&self, name: &str, key: PeerId) -> Result<PeerId, TrustError> {
        self.change(|book| Ok(*book.pinned.entry(name.to_owned()).or_insert(key)))
    }

    /// Notes that `key` has shown `name`, which is pinned to another. The first one of a name is kept, until the name is pinned to
    /// nothing any more.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn note_second(&self, name: &str, key: PeerId) -> Result<(), TrustError> {
        self.change(|book| {
            if book.pinned.contains_key(name) {
                book.second.entry(name.to_owned()).or_insert(key);
            }
            Ok(())
        })
    }

    /// The names that a second key has shown, with the key that each is pinned to and the second one.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn second_keys(&self) -> Result<Vec<(String, PeerId, PeerId)>, TrustError> {
        let book = self.read()?;
        let second = book.second.iter();
        let both =
            |(name, key): (&String, &PeerId)| Some((name.clone(), *book.pinned.get(name)?, *key));
        Ok(second.filter_map(both).collect())
    }

    /// Pins `name`, or the names of the key `name`, to nothing any more. Returns whether one was.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn unpin(&self, name: &str) -> Result<bool, TrustError> {
        let key = name.parse::<PeerId>().ok();
        self.change(|book| {
            let before = book.pinned.len();
            book.unpin(|pinned, id| pinned == name || Some(id) == key);
            Ok(book.pinned.len() != before)
        })
    }
}

impl Book {
    /// Pins the names that `are_meant` to nothing any more.
    pub(super) fn unpin(&mut self, are_meant: impl Fn(&str, PeerId) -> bool) {
        self.pinned.retain(|name, id| !are_meant(name, *id));
        let pinned = &self.pinned;
        self.second.retain(|name, _| pinned.contains_key(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Bearer, Right};

    fn id(key: &str) -> PeerId {
        PeerId::of(key.as_bytes())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn book() -> (tempfile::TempDir, AddressBook) {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::new(folder.path().join("peers.json"));
        (folder, book)
    }

    #[test]
    fn nobody_is_a_member_whom_nobody_has_allowed() {
        let (_folder, book) = book();
        let of = |allowed: &[&str]| {
            let allowed = allowed.iter().map(|text| text.parse().unwrap());
            Members::of(id("own"), allowed, &book).unwrap()
        };
        let ben = names(&["ben.example.org", "10.0.0.1"]);
        assert_eq!(of(&[]).judge(id("ben"), &ben), Err(NotMember::NotAllowed));
        assert_eq!(of(&[]).judge(id("own"), &ben), Ok(Vec::new()));
        assert_eq!(
            of(&[&id("ben").to_string()]).judge(id("ben"), &ben),
            Ok(Vec::new())
        );
        for other in ["example.org", "en.example.org", "xben.example.org", "ben"] {
            assert_eq!(
                of(&[other]).judge(id("ben"), &ben),
                Err(NotMember::NotAllowed),
                "{other}"
            );
        }
        assert_eq!(
            of(&["BEN.example.org"]).judge(id("ben"), &ben),
            Ok(vec!["ben.example.org"])
        );
        let right: Right = "bank:atm".parse().unwrap();
        book.allow(&id("ben").to_string(), &right).unwrap();
        assert_eq!(of(&[]).judge(id("ben"), &ben), Ok(Vec::new()));
        let eve = id("eve").to_string();
        book.set_role(&eve, Bearer::Peer, Role::None).unwrap();
        assert_eq!(of(&[]).judge(id("eve"), &ben), Err(NotMember::NotAllowed));
        book.set_role(&eve, Bearer::Peer, Role::Reader).unwrap();
        assert_eq!(of(&[]).judge(id("eve"), &ben), Ok(Vec::new()));
    }

    #[test]
    fn a_name_belongs_to_its_first_key_until_that_is_forgotten() {
        let (_folder, book) = book();
        let of = || Members::of(id("own"), ["ben".parse().unwrap()], &book).unwrap();
        let ben = names(&["ben"]);
        assert_eq!(book.pin("ben", id("1")).unwrap(), id("1"));
        assert_eq!(book.pin("ben", id("2")).unwrap(), id("1"));
        assert_eq!(of().judge(id("1"), &ben), Ok(Vec::new()));
        let second = NotMember::SecondKey {
            name: "ben".into(),
            pinned: id("1"),
        };
        assert_eq!(of().judge(id("2"), &ben), Err(second));
        book.note_second("ben", id("2")).unwrap();
        book.note_second("ben", id("3")).unwrap();
        book.note_second("carl", id("3")).unwrap();
        let noted = ("ben".to_owned(), id("1"), id("2"));
        assert_eq!(book.second_keys().unwrap(), [noted]);
        // By the id of its key as well.
        assert!(book.unpin(&id("1").to_string()).unwrap());
        assert!(!book.unpin("ben").unwrap());
        assert_eq!(book.second_keys().unwrap(), []);
        assert_eq!(of().judge(id("2"), &ben), Ok(vec!["ben"]));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        let long = "a".repeat(254);
        for text in [
            "",
            "*.example.org",
            "a b",
            "a..b",
            "ben.",
            "b\u{e9}n",
            &long,
        ] {
            let refused = text.parse::<Allowed>().unwrap_err().to_string();
            assert!(refused.contains(ALLOWED_RULE), "{refused}");
        }
    }
}
