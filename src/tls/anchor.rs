//! The circle's own certificate: what members trust, and until when.

use std::{fmt::Display, sync::Arc};

use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _};
use webpki::anchor_from_trusted_cert;
use x509_parser::time::ASN1Time;

use super::{
    BadFile, CertsDir, Circle, CircleHandle, TlsError, ca::CIRCLE_OF, hold_list, io_error,
    pem_fault::pem_fault, signature::is_self_signed,
};
use crate::{id::PeerId, manifest::Timestamp, name::LibraryError, trust::write_durably};

/// Bytes of a circle's certificate, as PEM.
pub const MAX_CIRCLE: usize = 16 << 10;
/// Seconds before its end from which members ask each other for a later certificate of the circle: its owner renews it within
/// the last year.
const ASK_BEFORE: u64 = 2 * 365 * 24 * 3600;

/// The circle's certificate, as it was read.
pub(super) struct Anchor {
    certificate: CertificateDer<'static>,
    trusted: TrustAnchor<'static>,
    common_name: String,
    not_before: Timestamp,
    not_after: Timestamp,
    id: PeerId,
}

impl Anchor {
    /// Reads a certificate in PEM, trusting it.
    pub(super) fn parse(pem: &[u8]) -> Result<Self, BadFile> {
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|e| BadFile::BadCircle(pem_fault(&e)))?;
        let trusted = anchor_from_trusted_cert(&certificate).map_err(unreadable)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(unreadable)?;
        let name = parsed.subject().iter_common_name().next();
        let name = name.and_then(|name| name.as_str().ok()).unwrap_or_default();
        let time =
            |at: ASN1Time| Timestamp::from_unix_seconds(u64::try_from(at.timestamp()).unwrap_or(0));
        let (begin, end) = (parsed.validity().not_before, parsed.validity().not_after);
        Ok(Self {
            trusted: trusted.to_owned(),
            common_name: name.to_owned(),
            not_before: time(begin),
            not_after: time(end),
            id: PeerId::of(parsed.public_key().raw),
            certificate,
        })
    }

    /// Reads another certificate of the same circle, if it counts longer than this one.
    ///
    /// Fails if it has another name or key, or that key has not signed it: a member that brings one could have changed it.
    fn later(&self, pem: &[u8]) -> Result<Option<Self>, BadFile> {
        let other = Self::parse(pem)?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&other.certificate).map_err(unreadable)?;
        if other.trusted != self.trusted || !parsed.is_ca() {
            return Err(BadFile::OtherCircle);
        }
        if !is_self_signed(&other.certificate) {
            return Err(BadFile::NotSelfSigned);
        }
        Ok((other.not_after > self.not_after).then_some(other))
    }

    /// The certificate, as PEM.
    pub(super) fn pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        pem::encode_config(&Pem::new("CERTIFICATE", self.certificate.to_vec()), config)
    }

    /// The certificate itself.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The name in it.
    pub(super) fn common_name(&self) -> &str {
        &self.common_name
    }

    /// To check certificates with. It has no dates: no certificate that the circle has signed counts longer than the circle's
    /// own, so their dates are enough. One that counts longer than the end known here tells that the circle's was renewed.
    pub(super) fn trusted(&self) -> TrustAnchor<'static> {
        self.trusted.clone()
    }

    /// The digest of its key.
    pub(super) fn id(&self) -> PeerId {
        self.id
    }

    /// From when it counts.
    pub(super) fn not_before(&self) -> Timestamp {
        self.not_before
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

fn unreadable(error: impl Display) -> BadFile {
    BadFile::BadCircle(LibraryError::new(error))
}

impl Circle {
    /// The circle's own certificate, as PEM.
    pub fn certificate_pem(&self) -> String {
        self.anchor().pem()
    }

    /// Whether it is time to ask others for a later certificate of the circle.
    pub fn is_near_its_end(&self, now: Timestamp) -> bool {
        self.not_after() < now.plus_seconds(ASK_BEFORE)
    }
}

impl CircleHandle {
    /// Takes over a certificate of the circle from another member, if it counts longer than the one here. Returns whether it
    /// does.
    ///
    /// # Errors
    /// [`TlsError::Malformed`] if it is not the circle's; [`TlsError::Io`].
    pub fn install_circle(&self, dir: &CertsDir, pem: &str) -> Result<bool, TlsError> {
        let later = self.now().anchor().later(pem.as_bytes());
        let Some(later) = later.map_err(|fault| TlsError::Malformed {
            path: "the offered certificate of the circle".into(),
            fault,
        })?
        else {
            return Ok(false);
        };
        let _alone = hold_list(dir)?;
        // Another process may have taken over one by now.
        let disk = Circle::without_revocations(dir);
        if disk.is_ok_and(|disk| disk.not_after() >= later.not_after()) {
            return Ok(false);
        }
        let path = dir.ca_cert();
        write_durably(&path, later.pem().as_bytes(), 0o644).map_err(|e| io_error(&path, e))?;
        self.set_anchor(&Arc::new(later));
        Ok(true)
    }
}
