//! What members trust, and until when: the circle's own certificate, or the certificates of an outside authority.

use std::{fmt::Display, sync::Arc};

use pem::{EncodeConfig, LineEnding, Pem};
use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _};
use webpki::anchor_from_trusted_cert;
use x509_parser::{prelude::X509Certificate, time::ASN1Time};

use super::{
    BadAuthority, BadFile, CertsDir, Circle, CircleHandle, TlsError, ca::CIRCLE_OF, hold_list,
    io_error, pem_fault::pem_fault, signature::is_self_signed,
};
use crate::{id::PeerId, manifest::Timestamp, name::LibraryError, trust::write_durably};

/// Bytes of a circle's certificate, as PEM.
pub const MAX_CIRCLE: usize = 16 << 10;
/// Seconds before its end from which members ask each other for a later certificate of the circle: its owner renews it within
/// the last year.
const ASK_BEFORE: u64 = 2 * 365 * 24 * 3600;

/// Certificates of an outside authority: roots and what is between them and its peers.
const MAX_CERTIFICATES: usize = 64;

/// The circle's certificate, as it was read; or those of an outside authority.
pub(super) struct Anchor {
    /// The circle's own; the first root of an outside authority.
    certificate: CertificateDer<'static>,
    /// It, and the further roots of an outside authority.
    roots: Vec<CertificateDer<'static>>,
    trusted: Vec<TrustAnchor<'static>>,
    /// What an outside authority has between its roots and its peers.
    intermediates: Vec<CertificateDer<'static>>,
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
        Ok(Self {
            trusted: vec![trusted.to_owned()],
            intermediates: Vec::new(),
            common_name: common_name(&parsed),
            not_before: time(parsed.validity().not_before),
            not_after: time(parsed.validity().not_after),
            id: PeerId::of(parsed.public_key().raw),
            roots: vec![certificate.clone()],
            certificate,
        })
    }

    /// Reads the roots and intermediates of an outside authority in PEM, in any order, trusting the roots. From when until when
    /// they count is that of those by which the certificate `own` has come.
    pub(super) fn parse_outside(pem: &[u8], own: &[u8]) -> Result<Self, BadAuthority> {
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate.map_err(|e| BadAuthority::Unreadable(pem_fault(&e)))?);
        }
        if certificates.len() > MAX_CERTIFICATES {
            return Err(BadAuthority::TooMany);
        }
        let (mut roots, mut intermediates) = (Vec::new(), Vec::new());
        for der in &certificates {
            let parsed = parsed(der)?;
            if !parsed.is_ca() {
                let name = parsed.subject().to_string();
                return Err(BadAuthority::NoAuthority { name });
            }
            match parsed.subject().as_raw() == parsed.issuer().as_raw() {
                true => roots.push(der.clone()),
                false => intermediates.push(der.clone()),
            }
        }
        let first = roots.first().ok_or(match certificates.is_empty() {
            true => BadAuthority::None,
            false => BadAuthority::NoRoot,
        })?;
        let trusted = roots.iter().map(|root| {
            let trusted = anchor_from_trusted_cert(root);
            Ok(trusted.map_err(no_authority)?.to_owned())
        });
        let (above, root) = (chain_above(own, &certificates)?, parsed(first)?);
        let dates = above.iter().map(|certificate| certificate.validity());
        let begins = dates.clone().map(|dates| time(dates.not_before));
        let ends = dates.map(|dates| time(dates.not_after));
        Ok(Self {
            trusted: trusted.collect::<Result<_, BadAuthority>>()?,
            common_name: root.subject().to_string(),
            not_before: begins.max().unwrap_or(time(root.validity().not_before)),
            not_after: ends.min().unwrap_or(time(root.validity().not_after)),
            id: PeerId::of(root.public_key().raw),
            certificate: first.clone(),
            intermediates,
            roots,
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

    /// All of them: roots and what is between.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.roots.iter().chain(&self.intermediates)
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
    pub(super) fn trusted(&self) -> &[TrustAnchor<'static>] {
        &self.trusted
    }

    /// What may be between those and a certificate.
    pub(super) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
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

fn no_authority(error: impl Display) -> BadAuthority {
    BadAuthority::Unreadable(LibraryError::new(error))
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, BadAuthority> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).map_err(no_authority)?;
    Ok(parsed)
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next();
    let name = name.and_then(|name| name.as_str().ok()).unwrap_or_default();
    name.to_owned()
}

fn time(at: ASN1Time) -> Timestamp {
    Timestamp::from_unix_seconds(u64::try_from(at.timestamp()).unwrap_or(0))
}

/// The certificates above `own`, the one that has signed it first, by their names.
fn chain_above<'a>(
    own: &[u8],
    certificates: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, BadAuthority> {
    let mut above = Vec::new();
    let mut issuer = parsed(own)?.issuer().as_raw().to_vec();
    let authorities: Vec<_> = certificates
        .iter()
        .map(|der| parsed(der))
        .collect::<Result<_, _>>()?;
    for _ in 0..certificates.len() {
        let Some(next) = authorities
            .iter()
            .find(|authority| authority.subject().as_raw() == issuer)
        else {
            break;
        };
        above.push(next.clone());
        if next.issuer().as_raw() == issuer {
            break;
        }
        issuer = next.issuer().as_raw().to_vec();
    }
    Ok(above)
}

impl Circle {
    /// The circle's own certificate, as PEM; none of an outside authority, whose every home has all.
    pub fn certificate_pem(&self) -> Option<String> {
        (!self.is_outside()).then(|| self.anchor().pem())
    }

    /// Whether it is time to ask others for a later certificate of the circle. No member has those of an outside authority to give.
    pub fn is_near_its_end(&self, now: Timestamp) -> bool {
        !self.is_outside() && self.not_after() < now.plus_seconds(ASK_BEFORE)
    }
}

impl CircleHandle {
    /// Takes over a certificate of the circle from another member, if it counts longer than the one here. Returns whether it
    /// does.
    ///
    /// # Errors
    /// [`TlsError::Malformed`] if it is not the circle's; [`TlsError::Io`].
    pub fn install_circle(&self, dir: &CertsDir, pem: &str) -> Result<bool, TlsError> {
        if self.now().is_outside() {
            return Ok(false);
        }
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
