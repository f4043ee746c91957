//! The revocation lists of an outside authority: one of each of its certificates that signs, as its programs write them.
//!
//! Members do not give them to each other. Each home has its own file, from wherever the authority publishes it.

use std::fmt::Display;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, pem::PemObject as _};
use webpki::{CertRevocationList, EndEntityCert, OwnedCertRevocationList};
use x509_parser::{
    prelude::{FromDer as _, X509Certificate},
    revocation_list::CertificateRevocationList,
};

use super::{BadList, anchor::Anchor, pem_fault::pem_fault, provider};
use crate::{manifest::Timestamp, name::LibraryError};

/// Bytes of a list.
const MAX_LIST: usize = 16 << 20;

/// The lists, whose signatures were checked.
#[derive(Default)]
pub(super) struct Lists {
    lists: Vec<CertRevocationList<'static>>,
    /// What each says of itself.
    heads: Vec<Head>,
    /// Those whose own certificates are all revoked.
    revoked_issuers: Vec<Vec<u8>>,
    this_update: Option<Timestamp>,
    next_update: Option<Timestamp>,
}

/// What a list says beside its entries.
struct Head {
    /// Who has signed it: the distinguished name, DER.
    issuer: Vec<u8>,
    called: String,
    this_update: Timestamp,
    next_update: Option<Timestamp>,
}

impl Lists {
    /// Reads lists in PEM, or one in DER. The authority whose certificates are in `anchor` must have signed each, and there must be
    /// one of each that has signed what is above the certificate `own`.
    pub(super) fn parse(text: &[u8], anchor: &Anchor, own: &[u8]) -> Result<Self, BadList> {
        let mut lists = Self::default();
        for der in ders(text)? {
            lists.add(&der, anchor)?;
        }
        if lists.lists.is_empty() {
            return Err(BadList::None);
        }
        if let Some(issuer) = anchor.signers_of(own, |issuer| lists.has_of(issuer)) {
            return Err(BadList::Missing { issuer });
        }
        lists.revoked_issuers =
            anchor.subjects_whose(|issuer, serial| lists.has_entry(issuer, serial));
        Ok(lists)
    }

    fn add(&mut self, der: &[u8], anchor: &Anchor) -> Result<(), BadList> {
        if der.len() > MAX_LIST {
            return Err(BadList::TooLarge);
        }
        let head = head(der, anchor)?;
        if self.has_of(&head.issuer) {
            let issuer = head.called;
            return Err(BadList::Twice { issuer });
        }
        let list = OwnedCertRevocationList::from_der(der).map_err(unreadable)?;
        self.lists.push(list.into());
        // The latest to begin, and the first to end.
        self.this_update = self.this_update.max(Some(head.this_update));
        let ends = [self.next_update, head.next_update];
        self.next_update = ends.into_iter().flatten().min();
        self.heads.push(head);
        Ok(())
    }

    /// For the check of a chain; empty without a list.
    pub(super) fn all(&self) -> Vec<&CertRevocationList<'static>> {
        self.lists.iter().collect()
    }

    /// Whether the certificate is revoked that `issuer` has signed with this serial number, or that of its issuer is.
    pub(super) fn has(&self, issuer: &[u8], serial: &[u8]) -> bool {
        let is_issuer = |revoked: &Vec<u8>| revoked.as_slice() == issuer;
        self.revoked_issuers.iter().any(is_issuer) || self.has_entry(issuer, serial)
    }

    fn has_entry(&self, issuer: &[u8], serial: &[u8]) -> bool {
        let of = self.heads.iter().position(|head| head.issuer == issuer);
        let list = of.and_then(|place| self.lists.get(place));
        // What cannot be read in a list is no reason to let somebody in.
        list.is_some_and(|list| !matches!(list.find_serial(serial), Ok(None)))
    }

    fn has_of(&self, issuer: &[u8]) -> bool {
        self.heads.iter().any(|head| head.issuer == issuer)
    }

    /// The first issuer of `before`, of those that `anchor` has, of which these have no list, or an older one.
    pub(super) fn behind(&self, before: &Self, anchor: &Anchor) -> Option<String> {
        let is_behind = |old: &&Head| {
            let new = self.heads.iter().find(|new| new.issuer == old.issuer);
            new.is_none_or(|new| new.this_update < old.this_update)
                && anchor.called(&old.issuer).next().is_some()
        };
        let old = before.heads.iter().find(is_behind)?;
        Some(old.called.clone())
    }

    /// When the latest was signed.
    pub(super) fn this_update(&self) -> Option<Timestamp> {
        self.this_update
    }

    /// When the first of them should have been signed again.
    pub(super) fn next_update(&self) -> Option<Timestamp> {
        self.next_update
    }
}

/// The lists in `text`.
fn ders(text: &[u8]) -> Result<Vec<Vec<u8>>, BadList> {
    const SEQUENCE: u8 = 0x30;
    if text.first() == Some(&SEQUENCE) {
        return Ok(vec![text.to_vec()]);
    }
    let ders = CertificateRevocationListDer::pem_slice_iter(text);
    let ders = ders.map(|der| {
        Ok(der
            .map_err(|e| BadList::Unreadable(pem_fault(&e)))?
            .to_vec())
    });
    ders.collect()
}

/// Reads what a list says of itself, and checks its signature.
fn head(der: &[u8], anchor: &Anchor) -> Result<Head, BadList> {
    let (rest, parsed) = CertificateRevocationList::from_der(der).map_err(unreadable)?;
    if !rest.is_empty() {
        return Err(unreadable("bytes after the list"));
    }
    let (issuer, called) = (parsed.issuer().as_raw(), parsed.issuer().to_string());
    let mut signers = anchor.called(issuer).peekable();
    if signers.peek().is_none() {
        return Err(BadList::OtherIssuer { issuer: called });
    }
    let (signed, signature) = (parsed.tbs_cert_list.as_ref(), &parsed.signature_value.data);
    if !signers.any(|signer| has_signed(signer, signed, signature)) {
        return Err(BadList::BadSignature { issuer: called });
    }
    let time = |seconds: i64| Timestamp::from_unix_seconds(u64::try_from(seconds).unwrap_or(0));
    Ok(Head {
        issuer: issuer.to_vec(),
        this_update: time(parsed.last_update().timestamp()),
        next_update: parsed.next_update().map(|next| time(next.timestamp())),
        called,
    })
}

/// Whether the key of the certificate `signer` has signed this, by an algorithm that is trusted.
fn has_signed(signer: &CertificateDer<'_>, signed: &[u8], signature: &[u8]) -> bool {
    let Ok(signer) = EndEntityCert::try_from(signer) else {
        return false;
    };
    let mut algorithms = provider().signature_verification_algorithms.all.iter();
    algorithms.any(|algorithm| {
        signer
            .verify_signature(*algorithm, signed, signature)
            .is_ok()
    })
}

fn unreadable(error: impl Display) -> BadList {
    BadList::Unreadable(LibraryError::new(error))
}

impl Anchor {
    /// Its certificates that are called so.
    fn called<'a>(
        &'a self,
        subject: &'a [u8],
    ) -> impl Iterator<Item = &'a CertificateDer<'static>> {
        self.certificates().filter(move |der| {
            let parsed = X509Certificate::from_der(der);
            parsed.is_ok_and(|(_, parsed)| parsed.subject().as_raw() == subject)
        })
    }

    /// The first of those that have signed `own`, and what is above it, of which nothing `is_there`.
    fn signers_of(&self, own: &[u8], is_there: impl Fn(&[u8]) -> bool) -> Option<String> {
        let named = |der: &[u8]| {
            let (_, parsed) = X509Certificate::from_der(der).ok()?;
            Some((
                parsed.issuer().as_raw().to_vec(),
                parsed.issuer().to_string(),
            ))
        };
        let mut issuer = named(own)?;
        for _ in self.certificates() {
            if !is_there(&issuer.0) {
                return Some(issuer.1);
            }
            let above = named(self.called(&issuer.0).next()?)?;
            if above == issuer {
                return None;
            }
            issuer = above;
        }
        None
    }

    /// The subjects all of whose certificates `are_revoked`, by issuer and serial number.
    fn subjects_whose(&self, are_revoked: impl Fn(&[u8], &[u8]) -> bool) -> Vec<Vec<u8>> {
        let parsed = self.intermediates().iter();
        let parsed: Vec<_> = parsed
            .filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1))
            .collect();
        let mut out: Vec<Vec<u8>> = Vec::new();
        loop {
            let is_out = |certificate: &X509Certificate<'_>| {
                let issuer = certificate.issuer().as_raw();
                out.iter().any(|revoked| revoked == issuer)
                    || are_revoked(issuer, certificate.raw_serial())
            };
            let subject =
                |certificate: &X509Certificate<'_>| certificate.subject().as_raw().to_vec();
            let live: Vec<_> = parsed.iter().filter(|c| !is_out(c)).map(subject).collect();
            let all = parsed.iter().map(subject);
            let mut now: Vec<_> = all.filter(|subject| !live.contains(subject)).collect();
            now.sort();
            now.dedup();
            if now.len() == out.len() {
                return now;
            }
            out = now;
        }
    }
}
