//! What is wrong with a file that should have something in PEM, in words.

use rustls_pki_types::pem::Error;

use crate::name::LibraryError;

/// What `error` says, without the bytes that the library shows.
pub(super) fn pem_fault(error: &Error) -> LibraryError {
    match error {
        Error::MissingSectionEnd { .. } => {
            LibraryError::new("it is cut off: its last line, -----END, is missing")
        }
        Error::IllegalSectionStart { .. } => {
            LibraryError::new("its first line, -----BEGIN, is damaged")
        }
        Error::Base64Decode(_) => LibraryError::new("the text in it is damaged"),
        Error::NoItemsFound => LibraryError::new("no PEM text in it"),
        other => LibraryError::new(other),
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_bytes() {
        let files = [
            "",
            "-----BEGIN CERTIFICATE-----\nAAAA\n",
            "-----BEGIN CERTIFICATE\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        ];
        for file in files {
            let error = CertificateDer::from_pem_slice(file.as_bytes()).unwrap_err();
            let said = pem_fault(&error).to_string();
            assert!(!said.contains('['), "{said}");
        }
    }
}
