//! Reading a certificate: who it names, and for how long.

use std::net::IpAddr;

use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use super::circle::Usage;
use crate::{
    id::PeerId,
    manifest::{BadCertificate, Distrust, Timestamp},
    name::LibraryError,
};

/// In a script's certificate: the peer that it acts for.
pub(super) const ACTS_FOR: &str = "urn:colis:peer:";

/// Who a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The peer; for a script's certificate the peer that it acts for.
    pub peer_id: PeerId,
    /// The key in the certificate.
    pub key_id: PeerId,
    /// The name in it: the common name, if there are no alternative names or it is one of them; else the first DNS name of those.
    pub name: String,
    /// The DNS names in it, in lower case; the common name, if there are no alternative names.
    pub dns_names: Vec<String>,
    /// Who has signed it: the distinguished name, DER.
    pub issuer: Vec<u8>,
    /// Its serial number, as in the certificate.
    pub serial: Vec<u8>,
    /// Whether it is a script's.
    pub script: bool,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
}

impl Caller {
    /// Reads a certificate, trusting nobody.
    ///
    /// # Errors
    /// [`Distrust::Malformed`].
    pub fn from_certificate(der: &[u8]) -> Result<Self, Distrust> {
        let (rest, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|e| BadCertificate::Unreadable(LibraryError::new(e)))?;
        if !rest.is_empty() {
            return Err(BadCertificate::Trailing.into());
        }
        let key_id = PeerId::of(certificate.public_key().raw);
        let acts_for = acts_for(&certificate).map_err(|()| BadCertificate::ActsForNoPeer)?;
        let (name, dns_names) = names_of(&certificate, acts_for.is_some())?;
        let validity = certificate.validity();
        let time = |time: i64| Timestamp::from_unix_seconds(u64::try_from(time).unwrap_or(0));
        Ok(Self {
            peer_id: acts_for.unwrap_or(key_id),
            key_id,
            name,
            dns_names,
            issuer: certificate.issuer().as_raw().to_vec(),
            serial: certificate.raw_serial().to_vec(),
            script: acts_for.is_some(),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        })
    }
}

/// What the certificate calls its peer, and all its DNS names. That of a script has the name of the peer that it acts for as its
/// common name.
fn names_of(
    certificate: &X509Certificate<'_>,
    is_script: bool,
) -> Result<(String, Vec<String>), BadCertificate> {
    let common = certificate.subject().iter_common_name().next();
    let common = common.and_then(|name| name.as_str().ok());
    let Some(alternative) = alternative_names(certificate) else {
        let name = common.ok_or(BadCertificate::Nameless)?;
        return Ok((name.to_owned(), vec![name.to_ascii_lowercase()]));
    };
    let is_confirmed =
        |common: &&str| is_script || alternative.iter().any(|(name, _)| name == common);
    let dns = alternative
        .iter()
        .filter(|(_, kind)| *kind == NameKind::Dns);
    let dns: Vec<_> = dns.map(|(name, _)| name.to_ascii_lowercase()).collect();
    let name = common.filter(is_confirmed).map(str::to_owned);
    let name = name.or_else(|| dns.first().cloned());
    Ok((name.ok_or(BadCertificate::Nameless)?, dns))
}

/// What an alternative name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    Dns,
    Address,
}

/// The host names and addresses in a certificate, as text; `None` if it has no alternative names of any kind.
pub(super) fn alternative_names(
    certificate: &X509Certificate<'_>,
) -> Option<Vec<(String, NameKind)>> {
    let names = match certificate.subject_alternative_name() {
        Ok(names) => names?,
        // What cannot be read names nobody, and brings no common name back.
        Err(_) => return Some(Vec::new()),
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(((*name).to_owned(), NameKind::Dns)),
        GeneralName::IPAddress(bytes) => Some((address(bytes)?.to_string(), NameKind::Address)),
        _ => None,
    };
    Some(names.value.general_names.iter().filter_map(name).collect())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Whether a certificate names this use among what it is for.
pub(super) fn is_for(der: &[u8], usage: Usage) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else {
        return false;
    };
    let named = certificate.extended_key_usage().ok().flatten();
    named.is_some_and(|named| match usage {
        Usage::Server => named.value.server_auth,
        Usage::Client => named.value.client_auth,
    })
}

fn acts_for(certificate: &X509Certificate<'_>) -> Result<Option<PeerId>, ()> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Ok(None);
    };
    let mut uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => uri.strip_prefix(ACTS_FOR),
            _ => None,
        });
    uris.next().map(|id| id.parse().map_err(|_| ())).transpose()
}
