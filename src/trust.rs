//! The address book and its rules: who is who, and where.
//!
//! A peer is known by its id, the digest of its public key. Names are what people type and certificates carry; addresses
//! are where a peer was seen last and may change. Two rules hold: a known name must show its known id, and of two bundles
//! of one peer the one with the higher sequence counts.
//!
//! A person may call a peer otherwise. Such an alias stays on this machine, beside the name of the certificate, and means
//! one peer only: it is no other's name or alias, and nobody can come later and be called so.
//!
//! Roles and rights are kept beside the peers, by id: forgetting a peer does not let it in again.

mod allowed;
mod bundle;
mod directory;
mod error;
mod file;
mod known;
mod members;
mod naming;
mod right;
mod role;

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    path::{Path, PathBuf},
};

pub use allowed::{ALLOWED_RULE, Allowed, Members, NotMember, ParseAllowedError};
pub use bundle::{PeerBundle, SignedBundle};
pub use directory::{
    Directory, MAX_DIRECTORY, MAX_HINTS, MAX_MEMBER_BUNDLE, MAX_MEMBERS, Member, SignedDirectory,
    is_hint,
};
pub use error::{TrustError, Unknown};
pub use known::KnownPeer;
pub use members::MovedName;
pub use naming::{name_of, names_like};
pub use right::{ParseRightError, RIGHT_RULE, Right};
pub use role::{Assigned, Bearer, Role, Roles};

pub use crate::disk::write_durably;

use serde::{Deserialize, Serialize};

use crate::{id::PeerId, lock::Locked, manifest::Timestamp, private};

/// Addresses that are remembered of one peer, the latest first.
const MAX_ADDRESSES: usize = 8;
/// Seconds for which a peer that was seen is not noted again.
const JUST_SEEN: u64 = 60;

/// What a peer may be called, in words.
pub const NAME_RULE: &str = "a name has 1 to 63 of a-z, 0-9, `-`, `_` and `.`, and begins with a letter or a digit; what is an address, as `10.0.0.1`, is none";

/// Whether a new peer may be called `name`: nothing that is an address of IPv4.
pub fn is_new_peer_name(name: &str) -> bool {
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let is_address = name.contains('.') && name.split('.').all(is_number);
    is_peer_name(name) && !is_address
}

/// Whether a peer may be called `name`: something that is safe in a certificate, a file name and a command.
pub fn is_peer_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let begins = name
        .as_bytes()
        .first()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    begins && name.len() <= 63 && name.bytes().all(allowed)
}

/// The peers that are known, in `peers.json`. Reads what is there now at every call: other processes write it too.
#[derive(Debug, Clone)]
pub struct AddressBook {
    path: PathBuf,
}

#[derive(Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    v: u64,
    peers: BTreeMap<String, KnownPeer>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<PeerId, Assigned>,
    /// Those that the person has forgotten, with their names: no directory brings them back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    forgotten: BTreeMap<PeerId, String>,
    /// Names that an outside authority has certified, and the keys that showed them first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pinned: BTreeMap<String, PeerId>,
    /// Keys that have shown a name which was pinned to another.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    second: BTreeMap<String, PeerId>,
}

impl AddressBook {
    /// The book in the file `path`, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every peer, by name.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn peers(&self) -> Result<Vec<KnownPeer>, TrustError> {
        Ok(self.read()?.peers.into_values().collect())
    }

    /// The peer that the person calls `name`: an alias, or the name of its certificate.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn by_name(&self, name: &str) -> Result<Option<KnownPeer>, TrustError> {
        let mut book = self.read()?;
        Ok(book.key_of(name).and_then(|key| book.peers.remove(&key)))
    }

    /// The peer whose certificate says `name`.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn by_certificate_name(&self, name: &str) -> Result<Option<KnownPeer>, TrustError> {
        Ok(self.read()?.peers.remove(name))
    }

    /// The ids of all names in certificates.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn names(&self) -> Result<HashMap<String, PeerId>, TrustError> {
        Ok(self
            .read()?
            .peers
            .into_iter()
            .map(|(name, peer)| (name, peer.peer_id))
            .collect())
    }

    /// Remembers a peer by its verified bundle, and where it was seen.
    ///
    /// # Errors
    /// [`TrustError::NameTaken`], [`TrustError::OldBundle`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn remember(
        &self,
        bundle: &PeerBundle,
        address: Option<&str>,
    ) -> Result<KnownPeer, TrustError> {
        self.change(|book| book.remember(bundle, address))
    }

    /// The same for a peer that is only called: what cannot be written, as on a full disk or one to read only, is learned
    /// again the next time. Returns why it is not remembered, if so.
    ///
    /// # Errors
    /// Those of [`remember`](Self::remember), but for those of writing.
    pub fn learn(
        &self,
        bundle: &SignedBundle,
        address: &str,
    ) -> Result<(KnownPeer, Option<TrustError>), TrustError> {
        match self.change(|book| book.learn(bundle, Some(address))) {
            Err(error @ TrustError::Io { .. }) => {
                let known = self.read()?.learn(bundle, Some(address))?;
                Ok((known, Some(error)))
            }
            remembered => Ok((remembered?, None)),
        }
    }

    /// The same with the envelope of the bundle, and without an address if it was not seen at one.
    ///
    /// # Errors
    /// As [`remember`](Self::remember).
    pub fn remember_signed(
        &self,
        bundle: &SignedBundle,
        address: Option<&str>,
    ) -> Result<KnownPeer, TrustError> {
        self.change(|book| book.learn(bundle, address))
    }

    /// Forgets the peer called `name`, and its alias with it. A directory does not bring it back, and no name is pinned to its key
    /// any more.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn forget(&self, name: &str) -> Result<(), TrustError> {
        self.change(|book| {
            let key = book.known_key(name)?;
            if let Some(peer) = book.peers.remove(&key) {
                book.unpin(|_, id| id == peer.peer_id);
                book.forgotten.insert(peer.peer_id, peer.name);
            }
            Ok(())
        })
    }

    /// Calls the peer `name` by `alias` on this machine. The name of its certificate takes an alias away again.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::BadName`], [`TrustError::InUse`], [`TrustError::Damaged`],
    /// [`TrustError::Io`].
    pub fn rename(&self, name: &str, alias: &str) -> Result<KnownPeer, TrustError> {
        self.change(|book| book.rename(name, alias))
    }

    /// Whether a new peer could be called `name`.
    ///
    /// # Errors
    /// [`TrustError::AliasTaken`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn check_no_alias(&self, name: &str) -> Result<(), TrustError> {
        self.read()?.check_no_alias(name)
    }

    /// What was said of single peers about their roles and rights, by id.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn roles(&self) -> Result<BTreeMap<PeerId, Assigned>, TrustError> {
        Ok(self.read()?.roles)
    }

    /// Gives `role` to the peer that is called `who` or has this id, or to its scripts. Returns its id. The role `none` shuts
    /// the peer out: it takes every right away as well, so that a right must be given anew afterwards.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn set_role(&self, who: &str, bearer: Bearer, role: Role) -> Result<PeerId, TrustError> {
        self.change(|book| {
            let id = book.id_of(who)?;
            let assigned = book.roles.entry(id).or_default();
            match bearer {
                Bearer::Peer => {
                    assigned.role = Some(role);
                    if role == Role::None {
                        assigned.rights.clear();
                    }
                }
                Bearer::Script => assigned.scripts = Some(role),
            }
            Ok(id)
        })
    }

    /// Gives `right` to the peer that is called `who` or has this id, and with it to its scripts. Returns its id.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn allow(&self, who: &str, right: &Right) -> Result<PeerId, TrustError> {
        self.change(|book| {
            let id = book.id_of(who)?;
            let assigned = book.roles.entry(id).or_default();
            assigned.rights.insert(right.clone());
            Ok(id)
        })
    }

    /// Takes `right` away from the peer that is called `who` or has this id. Returns its id, also if the peer never had it.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn deny(&self, who: &str, right: &Right) -> Result<PeerId, TrustError> {
        self.change(|book| {
            let id = book.id_of(who)?;
            if let Some(assigned) = book.roles.get_mut(&id) {
                assigned.rights.remove(right);
            }
            Ok(id)
        })
    }

    fn read(&self) -> Result<Book, TrustError> {
        let bytes = match private::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
            Err(e) => return Err(self.io(e)),
        };
        file::parse(&self.path, &bytes)
    }

    /// Reads, changes and writes the book, while no other process does.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Book) -> Result<T, TrustError>,
    ) -> Result<T, TrustError> {
        let path = self.path.with_extension("lock");
        let lock = private_file(&path).and_then(Locked::wait);
        let _alone = lock.map_err(|source| TrustError::Io { path, source })?;
        let before = self.read()?;
        let mut book = before.clone();
        let result = change(&mut book)?;
        if book == before {
            return Ok(result);
        }
        book.v = file::VERSION;
        let mut bytes = serde_json::to_vec_pretty(&book).map_err(|e| self.io(e.into()))?;
        bytes.push(b'\n');
        write_durably(&self.path, &bytes, 0o600).map_err(|e| self.io(e))?;
        Ok(result)
    }

    fn io(&self, source: io::Error) -> TrustError {
        TrustError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl Book {
    /// The key of the peer that is called `name`; each name means one at most.
    fn key_of(&self, name: &str) -> Option<String> {
        let is_meant = |peer: &&KnownPeer| peer.alias.as_deref() == Some(name) || peer.name == name;
        self.peers
            .values()
            .find(is_meant)
            .map(|peer| peer.name.clone())
    }

    fn known_key(&self, name: &str) -> Result<String, TrustError> {
        self.key_of(name).ok_or_else(|| TrustError::Unknown {
            name: name.to_owned(),
        })
    }

    /// A name wins over an id; none looks like one.
    fn id_of(&self, who: &str) -> Result<PeerId, TrustError> {
        let named = self.key_of(who).and_then(|key| self.peers.get(&key));
        let unknown = |_| TrustError::Unknown {
            name: who.to_owned(),
        };
        named.map_or_else(|| who.parse().map_err(unknown), |peer| Ok(peer.peer_id))
    }

    fn check_no_alias(&self, name: &str) -> Result<(), TrustError> {
        let has = |peer: &&KnownPeer| peer.alias.as_deref() == Some(name) && peer.name != name;
        match self.peers.values().find(has) {
            Some(peer) => Err(TrustError::AliasTaken {
                alias: name.to_owned(),
                name: peer.name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn rename(&mut self, name: &str, alias: &str) -> Result<KnownPeer, TrustError> {
        let key = self.known_key(name)?;
        let owned = || alias.to_owned();
        if !is_new_peer_name(alias) {
            return Err(TrustError::BadName { name: owned() });
        }
        if self.key_of(alias).is_some_and(|other| other != key) {
            return Err(TrustError::InUse { name: owned() });
        }
        let peer = self
            .peers
            .get_mut(&key)
            .ok_or(TrustError::Unknown { name: key })?;
        peer.alias = (peer.name != alias).then(owned);
        Ok(peer.clone())
    }

    fn learn(
        &mut self,
        signed: &SignedBundle,
        address: Option<&str>,
    ) -> Result<KnownPeer, TrustError> {
        let mut peer = self.remember(signed.payload(), address)?;
        peer.bundle = Some(String::from_utf8_lossy(signed.envelope()).into_owned());
        self.peers.insert(peer.name.clone(), peer.clone());
        Ok(peer)
    }

    fn remember(
        &mut self,
        bundle: &PeerBundle,
        address: Option<&str>,
    ) -> Result<KnownPeer, TrustError> {
        let (name, shown) = (bundle.name.clone(), bundle.peer_id);
        self.check_no_alias(&name)?;
        let known = self.peers.get(&name);
        if let Some(known) = known {
            if known.peer_id != shown {
                return Err(TrustError::NameTaken {
                    name,
                    known: known.peer_id,
                    shown,
                });
            }
            if known.sequence > bundle.sequence {
                return Err(TrustError::OldBundle {
                    name,
                    known: known.sequence,
                    shown: bundle.sequence,
                });
            }
        }
        let alias = known.and_then(|known| known.alias.clone());
        let said = known.filter(|known| known.sequence == bundle.sequence);
        let said = said.and_then(|known| known.bundle.clone());
        let moved = known.and_then(|known| known.moved);
        let now = Timestamp::now();
        let seen = known
            .map(|known| known.seen)
            .filter(|seen| (*seen..seen.plus_seconds(JUST_SEEN)).contains(&now));
        let mut addresses = known
            .map(|known| known.addresses.clone())
            .unwrap_or_default();
        if let Some(address) = address {
            // Where somebody else answers now, the peer that was there is no more.
            self.peers
                .values_mut()
                .for_each(|peer| peer.addresses.retain(|known| known != address));
            addresses.retain(|known| known != address);
            addresses.insert(0, address.to_owned());
            addresses.truncate(MAX_ADDRESSES);
        }
        let peer = KnownPeer {
            name: name.clone(),
            alias,
            peer_id: shown,
            seal_key: bundle.seal_key.clone(),
            sequence: bundle.sequence,
            addresses,
            seen: seen.unwrap_or(now),
            certificate: bundle.certificate.clone(),
            bundle: said,
            moved,
        };
        self.forgotten.remove(&shown);
        self.peers.insert(name, peer.clone());
        Ok(peer)
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    private::open_with(
        private::file().write(true).create(true).truncate(false),
        path,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::id::SealPublicKey;

    fn bundle(name: &str, id: &[u8], sequence: u64) -> PeerBundle {
        PeerBundle {
            v: 1,
            created: Timestamp::now(),
            peer_id: PeerId::of(id),
            name: name.into(),
            certificate: vec![1],
            seal_key: SealPublicKey::from_bytes(&[7; SealPublicKey::LENGTH]).unwrap(),
            sequence,
        }
    }

    fn book() -> (tempfile::TempDir, AddressBook) {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::new(folder.path().join("peers.json"));
        (folder, book)
    }

    #[test]
    fn a_known_name_must_show_its_known_id() {
        let (_folder, book) = book();
        book.remember(&bundle("b", b"b", 1), Some("h:1")).unwrap();
        let taken = book.remember(&bundle("b", b"mallory", 9), Some("h:1"));
        assert!(matches!(taken, Err(TrustError::NameTaken { .. })));
        assert_eq!(
            book.by_name("b").unwrap().unwrap().peer_id,
            PeerId::of(b"b")
        );
    }

    #[test]
    fn the_higher_sequence_counts_and_addresses_follow_the_peer() {
        let (_folder, book) = book();
        book.remember(&bundle("b", b"b", 2), Some("h:1")).unwrap();
        assert!(matches!(
            book.remember(&bundle("b", b"b", 1), None),
            Err(TrustError::OldBundle { .. })
        ));
        book.remember(&bundle("b", b"b", 2), Some("h:2")).unwrap();
        assert_eq!(
            book.by_name("b").unwrap().unwrap().addresses,
            ["h:2", "h:1"]
        );
        book.remember(&bundle("c", b"c", 1), Some("h:2")).unwrap();
        assert_eq!(book.by_name("b").unwrap().unwrap().addresses, ["h:1"]);
        book.forget("b").unwrap();
        assert!(matches!(book.forget("b"), Err(TrustError::Unknown { .. })));
    }

    #[test]
    fn an_alias_is_kept_beside_the_name_and_means_one_peer() {
        let (_folder, book) = book();
        book.remember(&bundle("b", b"b", 1), Some("h:1")).unwrap();
        book.remember(&bundle("c", b"c", 1), None).unwrap();
        assert_eq!(book.rename("b", "ben").unwrap().shown(), "ben (b)");
        for name in ["b", "ben"] {
            let found = book.by_name(name).unwrap().unwrap();
            assert_eq!(found.peer_id, PeerId::of(b"b"), "{name}");
        }
        // The certificate's name stays what is checked, and the alias outlives a newer bundle.
        assert_eq!(book.names().unwrap()["b"], PeerId::of(b"b"));
        book.remember(&bundle("b", b"b", 2), None).unwrap();
        assert_eq!(book.by_name("b").unwrap().unwrap().called(), "ben");
        for (taken, expected) in [("c", "c is the name"), ("Ben", "bad name")] {
            let refused = book.rename("b", taken).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
        assert!(matches!(
            book.rename("c", "ben"),
            Err(TrustError::InUse { .. })
        ));
        assert_eq!(book.rename("ben", "b").unwrap().alias, None);
        assert!(book.by_name("ben").unwrap().is_none());
    }

    #[test]
    fn nobody_can_come_and_be_called_by_an_alias() {
        let (_folder, book) = book();
        book.remember(&bundle("b", b"b", 1), None).unwrap();
        book.rename("b", "ben").unwrap();
        let refused = book.remember(&bundle("ben", b"mallory", 1), None);
        assert!(matches!(refused, Err(TrustError::AliasTaken { .. })));
        assert_eq!(
            book.by_name("ben").unwrap().unwrap().peer_id,
            PeerId::of(b"b")
        );
        assert!(book.by_certificate_name("ben").unwrap().is_none());
        book.forget("ben").unwrap();
        assert!(book.peers().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_book_is_not_overwritten() {
        let (_folder, book) = book();
        fs::write(&book.path, "{").unwrap();
        assert!(matches!(
            book.remember(&bundle("b", b"b", 1), None),
            Err(TrustError::Damaged { .. })
        ));
        assert_eq!(fs::read_to_string(&book.path).unwrap(), "{");
    }

    #[test]
    fn a_name_is_safe_everywhere() {
        for good in ["a", "box-1.lan", "0", "a_b"] {
            assert!(is_peer_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "-a",
            ".a",
            "A",
            "a b",
            "a/b",
            "\u{e9}",
            "a\n",
            long.as_str(),
        ] {
            assert!(!is_peer_name(bad), "{bad:?}");
        }
    }
}
