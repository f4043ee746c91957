//! An outside authority in the place of a circle's own: where its files are, and how a key gets a certificate of it.

use std::path::{Path, PathBuf};

use crate::{name::shell_word, trust::Allowed};

/// The copy of its certificates in `certs/`: a home that has it is of an outside authority, whatever the settings say.
pub(super) const AUTHORITY: &str = "authority.pem";

/// What the settings say of an outside authority. Files that are not named are those of `certs/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutsideOptions {
    /// Its root and intermediate certificates, in PEM.
    pub ca: Option<PathBuf>,
    /// This peer's certificate.
    pub cert: Option<PathBuf>,
    /// The key for it.
    pub key: Option<PathBuf>,
    /// The revocation lists, one of each authority that signs.
    pub crl: Option<PathBuf>,
    /// Who of those that it has signed for is a member.
    pub allowed: Vec<Allowed>,
    /// The file that says so, which nobody else may write.
    pub settings: Option<PathBuf>,
}

/// What to type for a new key in the file `key` and a signing request for it under the name `name`, line by line.
pub fn how_to_make(name: &str, key: &Path) -> Vec<String> {
    let request = how_to_request(name, key);
    let key = shell_word(key);
    let make = format!(
        "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {key} && chmod 600 {key}"
    );
    [vec![make], request].concat()
}

/// What to type for a signing request for the key in the file `key`, and what the authority types to sign it as a peer needs it.
pub fn how_to_request(name: &str, key: &Path) -> Vec<String> {
    let request = format!(
        "openssl req -new -key {} -subj /CN={name} -addext subjectAltName=DNS:{name} -addext \
         extendedKeyUsage=serverAuth,clientAuth -out request.pem",
        shell_word(key)
    );
    let sign = "the authority: openssl x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -copy_extensions copyall \
                -days 365 -out cert.pem";
    vec![request, sign.to_owned()]
}
