//! Certificates and handshakes: the circle, this peer's identity, and the TLS configurations made of both.
//!
//! A circle is a local certificate authority. Its members trust a certificate because the circle signed it, and a peer
//! because of its key: host names are not compared, so addresses may change. TLS 1.3 only, a certificate required on
//! both sides, no tickets and no early data: what the handshake checks cannot be skipped by a resumed session.
//!
//! Verifiers here check chain, usage, dates and revocation, and leave the handshake's signature to rustls: a verifier
//! that only compared a fingerprint would let anyone in who has seen a certificate.

mod anchor;
pub mod ca;
mod certificate;
mod circle;
mod config;
mod directory;
mod ending;
mod fault;
mod identity;
mod import;
mod inspect;
mod join;
mod key_form;
mod left;
mod lists;
mod members;
mod outside;
mod outside_import;
mod outside_members;
mod pairing;
mod passphrase;
mod pem_fault;
mod revoked;
mod signature;
mod staging;
mod writers;

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;

pub use anchor::MAX_CIRCLE;
pub use certificate::Caller;
pub use circle::{Circle, CircleHandle, Taken};
pub use config::{
    Admission, Expect, Seen, Standing, client_config, server_config, server_config_for,
};
pub(crate) use config::{Untrusted, with_reason};
pub use directory::{install_directory, load_directory};
pub use ending::{Begins, Endings, Lifetime, days_left};
pub use fault::{
    BadAuthority, BadDirectory, BadFile, BadList, OtherPeer, OutsideAuthority, WhyRefused,
};
pub use identity::{Identity, Renewed, check_private, install_renewed, renewal_request};
pub use import::import;
pub use inspect::Inspected;
pub use join::{Joining, Membership, Staged};
pub use key_form::KeyForm;
pub use left::{
    is_alone, is_known_revoked, left, left_root, name_alone, nested, note_revoked, set_aside,
    set_aside_alone,
};
pub use members::{hints_of, member_called, other_members, take_in_directory};
pub use outside::{OutsideOptions, how_to_make, how_to_request};
pub use outside_import::{OutsideFiles, import_outside, update_outside};
pub use pairing::{
    EXPORTER_LABEL, PAIRING_OTHER_NAMES, is_of_another_protocol, pairing_client, pairing_server,
};
pub use passphrase::{
    Scope, change_passphrase, finish_change, has_passphrase, needs_passphrase, take_handed,
    to_hand, unlock,
};
pub use revoked::MAX_LISTS;
pub use staging::remove_left_keys;
pub use writers::written_by_others;
/// For its configurations and the dates of certificates, in the versions that are used here.
pub use {rustls, time};

use identity::SEAL_KEY_LABEL;
use passphrase::LOCKED_LABEL;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use crate::manifest::Distrust;

use crate::{lock::Locked, name::LibraryError, private, trust::Allowed};
use outside::AUTHORITY;

/// Why certificates cannot be used or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that must be there is not.
    #[error("{path} is missing")]
    Missing {
        /// Which.
        path: PathBuf,
    },
    /// A file that must not be there is.
    #[error("{path} is there already")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Others can read a private key.
    #[error("{path} can be read by others (mode {mode:o})")]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Others can write what decides who is a member.
    #[error("{path} can be written by others (mode {mode:o}), who could make themselves members")]
    Writable {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The folder of certificates cannot be moved aside.
    #[error(
        "{path} is a mount point, or on another disk than what is beside it: it cannot be moved"
    )]
    Mounted {
        /// Which.
        path: PathBuf,
    },
    /// A private key is in a form that is not read.
    #[error("{path}: {form}")]
    KeyForm {
        /// Which.
        path: PathBuf,
        /// What is in it.
        form: KeyForm,
    },
    /// A private key is under a passphrase that this process was not given.
    #[error("{path} is under a passphrase, which was not given")]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// An identity is used whose keys are under a passphrase that this process was not given.
    #[error("the keys of this home are under a passphrase, which was not given")]
    Closed,
    /// A passphrase does not open the keys.
    #[error("wrong passphrase: it does not open the keys of this home")]
    WrongPassphrase,
    /// A file is not what it must be.
    #[error("{path}: {fault}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        fault: BadFile,
    },
    /// Revocation lists that a member offers cannot be used.
    #[error("the offered revocation list: {0}")]
    BadList(#[source] BadList),
    /// A directory that a member offers cannot be used.
    #[error("the offered directory: {0}")]
    BadDirectory(#[source] BadDirectory),
    /// The record of what was issued is not there.
    #[error("{path} is missing")]
    NoRecord {
        /// Where it should be.
        path: PathBuf,
    },
    /// A newer version has written the record of what was issued, and what it says must not be passed over.
    #[error("{path} was written by a newer colis: line {number}: {cause}")]
    Newer {
        /// The record.
        path: PathBuf,
        /// The line that is not known, from 1.
        number: usize,
        /// What the parser says.
        cause: LibraryError,
    },
    /// A certificate is not trusted.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// A peer cannot be called that.
    #[error("bad name: {}", crate::trust::NAME_RULE)]
    BadName,
    /// A name has a certificate that counts: a second one would be another peer of the same name.
    #[error("a certificate for {name} was issued and is not revoked")]
    AlreadyIssued {
        /// The name.
        name: String,
        /// Until when its newest certificate counts, if that is on record here.
        until: Option<crate::manifest::Timestamp>,
    },
    /// A name never had a certificate of this circle.
    #[error("no certificate was issued to {name}")]
    NeverIssued {
        /// The name.
        name: String,
    },
    /// The circle's machine does not do what was asked.
    #[error(transparent)]
    Refused(#[from] WhyRefused),
    /// The circle's key is on another machine.
    #[error("{path} is missing: the circle's key is on another machine")]
    NotTheCircle {
        /// Where it would be.
        path: PathBuf,
    },
    /// The address book failed.
    #[error(transparent)]
    Trust(#[from] crate::trust::TrustError),
    /// Making a certificate, key or configuration failed.
    #[error("{0}")]
    Crypto(LibraryError),
    /// The file system failed.
    #[error("{path}: {source}")]
    Io {
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(LibraryError::new(error))
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::Crypto(LibraryError::new(error))
    }
}

/// The files of a `certs/` folder, and those that the settings name in their place. Clones share these settings.
#[derive(Debug, Clone)]
pub struct CertsDir(PathBuf, Arc<ArcSwap<OutsideOptions>>);

impl CertsDir {
    /// The folder at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into(), Arc::default())
    }

    /// The same with what the settings say of an outside authority.
    #[must_use]
    pub fn with(self, options: OutsideOptions) -> Self {
        Self(self.0, Arc::new(ArcSwap::from_pointee(options)))
    }

    /// From now on the settings say this. Gives whether that is something else.
    pub fn adjust(&self, options: &OutsideOptions) -> bool {
        let is_other = **self.1.load() != *options;
        if is_other {
            self.1.store(Arc::new(options.clone()));
        }
        is_other
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The certificates of the authority that is in the place of a circle's own, if one is.
    pub fn outside(&self) -> Option<PathBuf> {
        let copied = || Some(self.0.join(AUTHORITY)).filter(|path| path.exists());
        self.1.load().ca.clone().or_else(copied)
    }

    fn allowed(&self) -> Vec<Allowed> {
        self.1.load().allowed.clone()
    }

    /// The file of settings that says who is allowed.
    fn settings(&self) -> Option<PathBuf> {
        self.1.load().settings.clone()
    }

    fn set_elsewhere(
        &self,
        path: impl Fn(&OutsideOptions) -> &Option<PathBuf>,
        name: &str,
    ) -> PathBuf {
        let elsewhere = path(&self.1.load()).clone();
        elsewhere.unwrap_or_else(|| self.0.join(name))
    }

    /// The circle: its own certificate, or those of the outside authority.
    pub fn ca_cert(&self) -> PathBuf {
        self.outside().unwrap_or_else(|| self.0.join("ca-cert.pem"))
    }

    /// The circle's key, on one machine only.
    pub fn ca_key(&self) -> PathBuf {
        self.0.join("ca-key.pem")
    }

    /// This peer's certificate.
    pub fn server_cert(&self) -> PathBuf {
        self.set_elsewhere(|options| &options.cert, "server-cert.pem")
    }

    /// This peer's identity key.
    pub fn server_key(&self) -> PathBuf {
        self.set_elsewhere(|options| &options.key, "server-key.pem")
    }

    /// A certificate for curl and scripts.
    pub fn client_cert(&self) -> PathBuf {
        self.0.join("client-cert.pem")
    }

    /// Its key.
    pub fn client_key(&self) -> PathBuf {
        self.0.join("client-key.pem")
    }

    /// This peer's private seal key.
    pub fn seal_key(&self) -> PathBuf {
        self.0.join("seal-key.pem")
    }

    /// Every private key that is there.
    pub fn private_keys(&self) -> Vec<PathBuf> {
        let mut keys = vec![self.server_key(), self.client_key(), self.ca_key()];
        keys.extend(identity::seal_key_paths(self).unwrap_or_default());
        keys.retain(|path| path.symlink_metadata().is_ok());
        keys
    }

    /// What is revoked.
    pub fn crl(&self) -> PathBuf {
        self.set_elsewhere(|options| &options.crl, "crl.pem")
    }

    /// What was issued, on the circle's machine.
    pub fn issued(&self) -> PathBuf {
        self.0.join("issued.jsonl")
    }

    /// The address book.
    pub fn peers(&self) -> PathBuf {
        self.0.join("peers.json")
    }

    /// The members of the circle.
    pub fn directory(&self) -> PathBuf {
        self.0.join("directory.json")
    }

    /// Where a serving peer hands the keys to commands of its owner, if they are under a passphrase.
    pub fn hand(&self) -> PathBuf {
        self.0.join("keys.sock")
    }

    /// Which store belongs to this home.
    pub fn store(&self) -> PathBuf {
        self.0.join("store-id")
    }

    /// The folder of received files that this peer has.
    pub fn received(&self) -> PathBuf {
        self.0.join("received.json")
    }
}

/// Whether a file called `name` is worth a look for a private key: a copy may have any name around it.
pub fn may_be_key_file(name: &str) -> bool {
    name.to_lowercase().contains("key")
}

/// Whether the file `name` with this `text` is a private key of colis: a seal key or a key under a passphrase, under any name, or another private key
/// under one of the names that colis gives its own.
pub fn has_private_key(name: &str, text: &[u8]) -> bool {
    const NAMES: [&str; 3] = ["ca-key", "server-key", "client-key"];
    let text = String::from_utf8_lossy(text);
    let (name, begin) = (name.to_lowercase(), "-----BEGIN ");
    let is_named = NAMES.iter().any(|known| name.contains(known));
    let is_ours = |label: &str| text.contains(&format!("{begin}{label}-----"));
    is_ours(SEAL_KEY_LABEL)
        || is_ours(LOCKED_LABEL)
        || is_named && text.contains(begin) && text.contains("PRIVATE KEY-----")
}

/// What this program uses of TLS. The hybrid key exchange comes first; the others are for every curl.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
    ];
    Arc::new(provider)
}

/// Held by whoever changes the revocation list, what was issued, or the circle's certificate. The last stands for all: it is in
/// every folder.
fn hold_list(dir: &CertsDir) -> Result<Locked, TlsError> {
    let path = dir.ca_cert();
    let hold = || loop {
        let held = Locked::wait(private::open(&path)?)?;
        // Whoever held it before may have renewed the circle's certificate: then it is another file.
        let (ours, there) = (held.metadata()?, fs::metadata(&path)?);
        if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
            return Ok(held);
        }
    };
    hold().map_err(|e| io_error(&path, e))
}

fn io_error(path: &Path, source: io::Error) -> TlsError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        TlsError::Missing { path }
    } else {
        TlsError::Io { path, source }
    }
}
