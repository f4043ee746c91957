//! Which versions of the files of `certs/` were read.

use std::path::PathBuf;

use super::stamps::{Stamp, stamps_of};
use crate::tls::CertsDir;

/// The versions of the files that a door reads.
#[derive(Clone, PartialEq)]
pub(crate) struct Files {
    pub(super) certificates: Vec<Stamp>,
    pub(super) book: Vec<Stamp>,
}

impl Files {
    /// To be asked before they are read: what changes after that is read again.
    pub(crate) fn of(dir: &CertsDir) -> Self {
        let certificates: [PathBuf; 6] = [
            dir.ca_cert(),
            dir.crl(),
            dir.server_cert(),
            dir.server_key(),
            dir.client_cert(),
            dir.seal_key(),
        ];
        Self {
            certificates: stamps_of(&certificates),
            book: stamps_of(&[dir.peers()]),
        }
    }

    /// Whether other files than the address book differ.
    pub(crate) fn has_other_certificates(&self, than: &Self) -> bool {
        self.certificates != than.certificates
    }
}
