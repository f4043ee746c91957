//! Revocation lists: the keys and certificates that the circle has taken back.
//!
//! A list is an X.509 CRL. An entry of it is the serial number of a certificate, or stands for a key: then it is
//! [`key_entry`]. The serial numbers are for other programs, and leave the list when their certificates expire. A key stays
//! for ever: with it every certificate is revoked that was or will be signed for it, and every signature by it.
//!
//! Usually there is one list. Two can exist that each have a key which the other lacks: the circle's machine was restored
//! from a backup and has signed again. Then both are in force and both are passed on, whatever their numbers are, until the
//! circle's machine meets them and signs one list with the keys of both.

use std::{collections::BTreeSet, sync::Arc};

use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject as _};
use x509_parser::{prelude::FromDer as _, revocation_list::CertificateRevocationList};

use super::{BadList, Caller, pem_fault::pem_fault};
use crate::{id::PeerId, manifest::Timestamp, name::LibraryError};

/// Keys that a circle signs at most. It refuses further ones, so that it can revoke each that it has signed.
pub(super) const MAX_KEYS: usize = 50_000;
/// Bytes of one list, as PEM: [`MAX_KEYS`] entries, and room for serial numbers.
pub(super) const MAX_LIST: usize = 4 << 20;
/// Bytes of the lists that members give each other, as PEM. After a backup was restored there may be two.
pub const MAX_LISTS: usize = 2 * MAX_LIST;
/// Lists in one PEM text. Each costs the check of a signature.
const MAX_COUNT: usize = 8;
/// Bytes of an entry for a key: as many as a serial number may have (RFC 5280, section 4.1.2.2). The circle's own serial
/// numbers are shorter.
const KEY_ENTRY: usize = 20;
const PEM_LABEL: &str = "X509 CRL";

/// The entry that stands for a key: the first 20 bytes of its id, with the two highest bits 0 and 1, as in every positive
/// integer of that length.
pub(super) fn key_entry(key: &PeerId) -> Vec<u8> {
    let mut entry = key.as_bytes()[..KEY_ENTRY].to_vec();
    entry[0] = (entry[0] & 0x3f) | 0x40;
    entry
}

/// The lists in force.
#[derive(Clone, Default)]
pub(super) struct Revoked {
    /// The newest first. None has all the keys of another.
    lists: Vec<Arc<List>>,
    pem: String,
}

/// One list, whose signature was checked.
struct List {
    number: u64,
    der: Vec<u8>,
    entries: BTreeSet<Vec<u8>>,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
}

impl Revoked {
    /// Reads the lists in a PEM text, each of which must pass `check`.
    pub(super) fn parse(
        pem: &[u8],
        check: impl Fn(&CertificateRevocationListDer<'_>) -> Result<(), BadList>,
    ) -> Result<Self, BadList> {
        let mut lists = Vec::new();
        for der in CertificateRevocationListDer::pem_slice_iter(pem) {
            let der = der.map_err(|e| BadList::Unreadable(pem_fault(&e)))?;
            if lists.len() == MAX_COUNT {
                return Err(BadList::TooMany);
            }
            check(&der)?;
            lists.push(Arc::new(List::parse(der.as_ref())?));
        }
        if lists.is_empty() {
            return Err(BadList::None);
        }
        Ok(Self::of(lists))
    }

    /// The lists of both.
    pub(super) fn union(&self, other: &Self) -> Self {
        Self::of(self.lists.iter().chain(&other.lists).cloned().collect())
    }

    fn of(mut all: Vec<Arc<List>>) -> Self {
        all.sort_by(|a, b| (b.number, &b.der).cmp(&(a.number, &a.der)));
        all.dedup_by(|a, b| a.der == b.der);
        let is_needed = |list: &&Arc<List>| !all.iter().any(|other| other.replaces(list));
        let lists: Vec<_> = all.iter().filter(is_needed).cloned().collect();
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let encode =
            |list: &Arc<List>| pem::encode_config(&Pem::new(PEM_LABEL, list.der.clone()), config);
        let pem = lists.iter().map(encode).collect();
        Self { lists, pem }
    }

    /// All lists as PEM; the same lists give the same text. `None` if there is none.
    pub(super) fn pem(&self) -> Option<&str> {
        (!self.lists.is_empty()).then_some(self.pem.as_str())
    }

    /// Whether there is more than one.
    pub(super) fn is_split(&self) -> bool {
        self.lists.len() > 1
    }

    /// Whether there are more, or longer ones, than are read again.
    pub(super) fn is_too_long(&self) -> bool {
        self.lists.len() > MAX_COUNT || self.pem.len() > MAX_LISTS
    }

    /// Their numbers, the highest first.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.lists.iter().map(|list| list.number).collect()
    }

    /// The highest number, 0 without a list.
    pub(super) fn number(&self) -> u64 {
        self.lists.first().map_or(0, |list| list.number)
    }

    /// Whether both have lists of the same numbers with the same entries. Their bytes may differ: of one ECDSA signature anybody
    /// can make another that counts too.
    pub(super) fn revokes_as(&self, other: &Self) -> bool {
        fn lists(revoked: &Revoked) -> impl Iterator<Item = (u64, &BTreeSet<Vec<u8>>)> {
            revoked
                .lists
                .iter()
                .map(|list| (list.number, &list.entries))
        }
        lists(self).eq(lists(other))
    }

    /// When the newest list was signed.
    pub(super) fn this_update(&self) -> Option<Timestamp> {
        self.lists.first().map(|list| list.this_update)
    }

    /// When the newest list should have been signed again.
    pub(super) fn next_update(&self) -> Option<Timestamp> {
        self.lists.first().and_then(|list| list.next_update)
    }

    /// Whether a certificate is revoked: by its serial number, by its key, or by the key of the peer that it acts for.
    pub(super) fn has(&self, caller: &Caller) -> bool {
        self.has_entry(&caller.serial)
            || self.has_key(&caller.key_id)
            || self.has_key(&caller.peer_id)
    }

    pub(super) fn has_key(&self, key: &PeerId) -> bool {
        self.has_entry(&key_entry(key))
    }

    pub(super) fn has_entry(&self, entry: &[u8]) -> bool {
        self.lists.iter().any(|list| list.entries.contains(entry))
    }

    /// The entries of all lists.
    pub(super) fn entries(&self) -> BTreeSet<Vec<u8>> {
        let lists = self.lists.iter();
        lists
            .flat_map(|list| list.entries.iter().cloned())
            .collect()
    }
}

impl List {
    fn parse(der: &[u8]) -> Result<Self, BadList> {
        let (_, parsed) = CertificateRevocationList::from_der(der)
            .map_err(|e| BadList::Unreadable(LibraryError::new(e)))?;
        let number = parsed.crl_number().and_then(|n| u64::try_from(n).ok());
        let this_update = u64::try_from(parsed.last_update().timestamp()).unwrap_or(0);
        let next_update = parsed.next_update();
        let next_update = next_update.and_then(|t| u64::try_from(t.timestamp()).ok());
        let revoked = parsed.iter_revoked_certificates();
        Ok(Self {
            number: number.ok_or(BadList::NoNumber)?,
            der: der.to_vec(),
            entries: revoked.map(|entry| entry.raw_serial().to_vec()).collect(),
            this_update: Timestamp::from_unix_seconds(this_update),
            next_update: next_update.map(Timestamp::from_unix_seconds),
        })
    }

    /// Whether `other` is not needed beside this one: this has its keys and more, or the same ones and is newer.
    fn replaces(&self, other: &Self) -> bool {
        let has_all = other.keys().all(|key| self.entries.contains(key));
        let has_more = self.keys().count() > other.keys().count();
        has_all && (has_more || (self.number, &self.der) > (other.number, &other.der))
    }

    fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.entries.iter().filter(|entry| entry.len() == KEY_ENTRY)
    }
}
