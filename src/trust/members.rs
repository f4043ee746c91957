//! What the directory of the circle changes in the address book, and what it does not: the book is the person's.

use std::collections::BTreeMap;

use super::{AddressBook, Book, KnownPeer, TrustError};
use crate::id::PeerId;

/// A name that another key has from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedName {
    /// The name.
    pub name: String,
    /// Whose it was. The circle has revoked that key.
    pub from: PeerId,
    /// Whose it is.
    pub to: PeerId,
}

impl AddressBook {
    /// Those that the person has forgotten, with their names.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn forgotten(&self) -> Result<BTreeMap<PeerId, String>, TrustError> {
        Ok(self.read()?.forgotten)
    }

    /// Takes the peer called `name` out, as one whose certificates were taken back. It may come again.
    ///
    /// # Errors
    /// [`TrustError::Unknown`], [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn remove(&self, name: &str) -> Result<(), TrustError> {
        self.change(|book| {
            let key = book.known_key(name)?;
            book.peers.remove(&key);
            Ok(())
        })
    }

    /// A peer that was forgotten may come back.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn bring_back(&self, peer: PeerId) -> Result<(), TrustError> {
        self.change(|book| {
            book.forgotten.remove(&peer);
            Ok(())
        })
    }

    /// What was said by the name of this peer is for it, though another had that name before.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn confirm(&self, peer: PeerId) -> Result<(), TrustError> {
        self.change(|book| {
            let mut peers = book.peers.values_mut();
            if let Some(peer) = peers.find(|known| known.peer_id == peer) {
                peer.moved = None;
            }
            Ok(())
        })
    }

    /// Takes what `members` of the circle, whose bundles are verified, say anew of peers that are in the book. A name of the book
    /// goes to another key only if the former `is_revoked`: without alias, role or right. Returns the names that did.
    ///
    /// # Errors
    /// [`TrustError::Damaged`], [`TrustError::Io`].
    pub fn take_in(
        &self,
        members: &[KnownPeer],
        is_revoked: impl Fn(&PeerId) -> bool,
    ) -> Result<Vec<MovedName>, TrustError> {
        if members.is_empty() {
            return Ok(Vec::new());
        }
        self.change(|book| {
            let taken = members.iter().map(|m| book.take_in(m, &is_revoked));
            Ok(taken.flatten().collect())
        })
    }
}

impl Book {
    fn take_in(
        &mut self,
        member: &KnownPeer,
        is_revoked: impl Fn(&PeerId) -> bool,
    ) -> Option<MovedName> {
        let is_out = is_revoked(&member.peer_id) || self.forgotten.contains_key(&member.peer_id);
        let is_free = self.check_no_alias(&member.name).is_ok();
        let known = self.peers.get_mut(&member.name);
        let known = known.filter(|_| !is_out && is_free)?;
        if known.peer_id == member.peer_id {
            if known.sequence < member.sequence {
                known.seal_key = member.seal_key.clone();
                known.sequence = member.sequence;
                known.certificate = member.certificate.clone();
                known.bundle = member.bundle.clone();
            }
            return None;
        }
        if !is_revoked(&known.peer_id) {
            return None;
        }
        let moved = MovedName {
            name: member.name.clone(),
            from: known.peer_id,
            to: member.peer_id,
        };
        *known = KnownPeer {
            alias: None,
            moved: Some(moved.from),
            ..member.clone()
        };
        Some(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::SealPublicKey, manifest::Timestamp, trust::Role};

    fn peer(name: &str, key: &[u8], sequence: u64) -> KnownPeer {
        KnownPeer {
            name: name.into(),
            alias: None,
            peer_id: PeerId::of(key),
            seal_key: SealPublicKey::from_bytes(&[7; SealPublicKey::LENGTH]).unwrap(),
            sequence,
            addresses: vec!["10.0.0.1:8443".into()],
            seen: Timestamp::now(),
            certificate: vec![1],
            bundle: Some(format!("{sequence}")),
            moved: None,
        }
    }

    fn book_with(peers: &[KnownPeer]) -> (tempfile::TempDir, AddressBook) {
        let folder = tempfile::tempdir().unwrap();
        let book = AddressBook::new(folder.path().join("peers.json"));
        let entered = book.change(|book| {
            let peers = peers.iter().map(|p| (p.name.clone(), p.clone()));
            book.peers.extend(peers);
            Ok(())
        });
        entered.unwrap();
        (folder, book)
    }

    fn nobody(_: &PeerId) -> bool {
        false
    }

    #[test]
    fn a_directory_adds_nobody_and_renews_who_is_there() {
        let (_folder, book) = book_with(&[peer("b", b"b", 5)]);
        let mut known = book.by_name("b").unwrap().unwrap();
        for (sequence, counts) in [(4, 5), (5, 5), (6, 6)] {
            let said = [peer("b", b"b", sequence), peer("c", b"c", 1)];
            assert_eq!(book.take_in(&said, nobody).unwrap(), []);
            let peers = book.peers().unwrap();
            assert_eq!((peers.len(), peers[0].sequence), (1, counts));
        }
        known.sequence = 6;
        known.bundle = Some("6".into());
        assert_eq!(book.by_name("b").unwrap(), Some(known), "and nothing else");
    }

    #[test]
    fn a_name_moves_only_from_a_revoked_key_and_takes_nothing_along() {
        let (_folder, book) = book_with(&[peer("c", b"old", 5)]);
        book.rename("c", "carl").unwrap();
        book.set_role("c", super::super::Bearer::Peer, Role::Reader)
            .unwrap();
        let new = [peer("c", b"new", 1)];
        assert_eq!(book.take_in(&new, nobody).unwrap(), []);
        assert_eq!(
            book.by_name("c").unwrap().unwrap().peer_id,
            PeerId::of(b"old")
        );
        let is_revoked = |id: &PeerId| *id == PeerId::of(b"old");
        let moved = MovedName {
            name: "c".into(),
            from: PeerId::of(b"old"),
            to: PeerId::of(b"new"),
        };
        assert_eq!(book.take_in(&new, is_revoked).unwrap(), [moved]);
        assert_eq!(book.take_in(&new, is_revoked).unwrap(), []);
        let known = book.by_name("c").unwrap().unwrap();
        assert_eq!(
            (known.peer_id, known.alias, known.moved),
            (PeerId::of(b"new"), None, Some(PeerId::of(b"old")))
        );
        assert!(book.by_name("carl").unwrap().is_none());
        assert!(!book.roles().unwrap().contains_key(&PeerId::of(b"new")));
        book.confirm(PeerId::of(b"new")).unwrap();
        assert_eq!(book.by_name("c").unwrap().unwrap().moved, None);
    }

    #[test]
    fn neither_a_revoked_key_nor_one_of_an_alias_nor_a_forgotten_one_takes_a_name() {
        let (_folder, book) = book_with(&[peer("c", b"old", 5), peer("d", b"d", 1)]);
        assert_eq!(book.take_in(&[peer("c", b"new", 1)], |_| true).unwrap(), []);
        let is_revoked = |id: &PeerId| *id == PeerId::of(b"old");
        book.change(|book| {
            book.forgotten.insert(PeerId::of(b"new"), "c".into());
            Ok(())
        })
        .unwrap();
        assert_eq!(
            book.take_in(&[peer("c", b"new", 1)], is_revoked).unwrap(),
            []
        );
        book.bring_back(PeerId::of(b"new")).unwrap();
        assert_eq!(
            book.take_in(&[peer("c", b"new", 1)], is_revoked)
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn forgetting_is_remembered_until_the_peer_is_met_again() {
        let (_folder, book) = book_with(&[peer("b", b"b", 5), peer("c", b"c", 5)]);
        book.forget("b").unwrap();
        book.remove("c").unwrap();
        let forgotten = BTreeMap::from([(PeerId::of(b"b"), "b".to_owned())]);
        assert_eq!(book.forgotten().unwrap(), forgotten);
    }
}
