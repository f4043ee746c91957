//! Looking at a certificate without using it: what it says, and what is wrong with it.

use rustls_pki_types::CertificateDer;

use super::{
    Caller, CertsDir, Circle, Renewed, TlsError,
    certificate::alternative_names,
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
    let names = alternative_names(&certificate).unwrap_or_default();
    names.into_iter().map(|(name, _)| name).collect()
}
