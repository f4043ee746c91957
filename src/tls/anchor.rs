//! The circle's own certificate: what members trust, and until when.

use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _};
use webpki::anchor_from_trusted_cert;

use super::ca::CIRCLE_OF;
use crate::manifest::Timestamp;

/// The circle's certificate, as it was read.
pub(super) struct Anchor {
    trusted: TrustAnchor<'static>,
    common_name: String,
    not_after: Timestamp,
}

impl Anchor {
    /// Reads a certificate in PEM, trusting it.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|e| e.to_string())?;
        let trusted = anchor_from_trusted_cert(&certificate).map_err(|e| e.to_string())?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|e| e.to_string())?;
        let name = parsed.subject().iter_common_name().next();
        let name = name.and_then(|name| name.as_str().ok()).unwrap_or_default();
        let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        Ok(Self {
            trusted: trusted.to_owned(),
            common_name: name.to_owned(),
            not_after: Timestamp::from_unix_seconds(end),
        })
    }

    /// To check certificates with. It has no dates: no certificate that the circle has signed counts longer than the circle's
    /// own, so their dates are enough. One that counts longer than the end known here tells that the circle's was renewed.
    pub(super) fn trusted(&self) -> TrustAnchor<'static> {
        self.trusted.clone()
    }

    /// Until when it counts.
    pub(super) fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// What the peer was called that made the circle.
    pub(super) fn maker(&self) -> Option<&str> {
        self.common_name.strip_prefix(CIRCLE_OF)
    }
}
