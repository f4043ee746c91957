//! Reading a certificate: who it names, and for how long.

use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

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
    /// The name in it.
    pub name: String,
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
        let name = certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok());
        let name = name.ok_or(BadCertificate::Nameless)?.to_owned();
        let key_id = PeerId::of(certificate.public_key().raw);
        let acts_for = acts_for(&certificate).map_err(|()| BadCertificate::ActsForNoPeer)?;
        let validity = certificate.validity();
        let time = |time: i64| Timestamp::from_unix_seconds(u64::try_from(time).unwrap_or(0));
        Ok(Self {
            peer_id: acts_for.unwrap_or(key_id),
            key_id,
            name,
            serial: certificate.raw_serial().to_vec(),
            script: acts_for.is_some(),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        })
    }
}

/// Whether a certificate names servers among what it is for.
pub(super) fn is_for_servers(der: &[u8]) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(der) else {
        return false;
    };
    let usage = certificate.extended_key_usage();
    usage.is_ok_and(|usage| usage.is_some_and(|usage| usage.value.server_auth))
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
