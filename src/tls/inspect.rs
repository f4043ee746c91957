//! Looking at a certificate without using it: what it says, and what is wrong with it.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use super::{
    Caller, CertsDir, Circle, Renewed, TlsError,
    circle::Usage,
    identity::{read_certificate, read_key_of},
};
use crate::manifest::Timestamp;

/// A certificate of our own, as it is on disk.
#[derive(Debug)]
pub struct Inspected {
    /// What it says.
    pub caller: Caller,
    /// The host names and addresses in it.
    pub names: Vec<String>,
    certificate: CertificateDer<'static>,
    usage: Usage,
}

impl Inspected {
    /// This peer's certificate.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::Malformed`], [`TlsError::Distrusted`].
    pub fn peer(dir: &CertsDir) -> Result<Self, TlsError> {
        Self::new(read_certificate(&dir.server_cert())?, Usage::Server)
    }

    /// The certificate for curl and scripts, with its key looked at too.
    ///
    /// # Errors
    /// [`TlsError::Missing`], [`TlsError::TooOpen`], [`TlsError::Malformed`], [`TlsError::Distrusted`].
    pub fn script(dir: &CertsDir) -> Result<Self, TlsError> {
        let certificate = read_certificate(&dir.client_cert())?;
        read_key_of(&dir.client_key(), &certificate)?;
        Self::new(certificate, Usage::Client)
    }

    /// One of both.
    ///
    /// # Errors
    /// Those of [`peer`](Self::peer) and [`script`](Self::script).
    pub fn of(dir: &CertsDir, which: Renewed) -> Result<Self, TlsError> {
        match which {
            Renewed::Peer => Self::peer(dir),
            Renewed::Script => Self::script(dir),
        }
    }

    fn new(certificate: CertificateDer<'static>, usage: Usage) -> Result<Self, TlsError> {
        Ok(Self {
            caller: Caller::from_certificate(&certificate)?,
            names: names(&certificate),
            certificate,
            usage,
        })
    }

    /// Whether the circle of `dir` would let it in at `at`, revocation left aside.
    ///
    /// # Errors
    /// [`TlsError::Distrusted`]; [`TlsError::Missing`] and [`TlsError::Malformed`] of the circle's own certificate.
    pub fn judge(&self, dir: &CertsDir, at: Timestamp) -> Result<(), TlsError> {
        Circle::without_revocations(dir)?.judge(&self.certificate, self.usage, at)?;
        Ok(())
    }
}

/// The host names and addresses in a certificate.
pub(super) fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
