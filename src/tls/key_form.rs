//! What a file has that should have a private key in PKCS#8, by the labels of its PEM.

use std::fmt;

/// A form of a key, or what is in its place, that another program made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// An elliptic curve key without PKCS#8 around it (SEC 1), as `openssl ecparam -genkey` writes it.
    Sec1,
    /// A key under a passphrase.
    Encrypted,
    /// An RSA key.
    Rsa,
    /// A key of SSH.
    Ssh,
    /// A certificate.
    Certificate,
}

impl KeyForm {
    /// What PEM text has by its labels; none if nothing that is known.
    pub(super) fn of(pem: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(pem);
        // A passphrase is told by a header, within the label of another form.
        let marks = [
            ("Proc-Type: 4,ENCRYPTED", Self::Encrypted),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----", Self::Encrypted),
            ("-----BEGIN EC PRIVATE KEY-----", Self::Sec1),
            ("-----BEGIN RSA PRIVATE KEY-----", Self::Rsa),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", Self::Ssh),
            ("-----BEGIN CERTIFICATE-----", Self::Certificate),
        ];
        let mut marks = marks.into_iter();
        marks.find_map(|(mark, form)| text.contains(mark).then_some(form))
    }
}

impl fmt::Display for KeyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sec1 => "a private key in the form of SEC 1, where PKCS#8 is needed",
            Self::Encrypted => "a private key under a passphrase, which is not asked for",
            Self::Rsa => "an RSA key, where an ECDSA P-256 key is needed",
            Self::Ssh => "a private key of SSH, where PKCS#8 is needed",
            Self::Certificate => "a certificate, where its private key is needed",
        })
    }
}
