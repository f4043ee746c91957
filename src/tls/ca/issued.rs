//! `issued.jsonl`: what the circle has issued, one certificate a line.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
};

use pem::{EncodeConfig, LineEnding, Pem};
use serde::{Deserialize, Serialize};

use crate::{
    id::PeerId,
    manifest::Timestamp,
    tls::{Caller, CertsDir, Circle, TlsError, io_error},
};

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A peer's identity: it serves and calls.
    Peer,
    /// A script of a peer: it calls.
    Script,
}

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The name in it.
    pub name: String,
    /// The peer; for a script the one that it acts for.
    pub peer_id: PeerId,
    /// The key in it.
    pub key_id: PeerId,
    /// Its serial number, in hex.
    #[serde(with = "hex")]
    pub serial: Vec<u8>,
    /// What it is for.
    pub purpose: Purpose,
    /// Its host names and addresses; for this machine itself those that were asked for beside its own.
    pub sans: Vec<String>,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued: Timestamp,
    /// The certificate itself, DER in base64.
    #[serde(with = "crate::id::base64")]
    pub certificate: Vec<u8>,
}

impl Issued {
    /// The record of a certificate that was signed just now, with the host names `sans`.
    pub(super) fn new(
        certificate: &[u8],
        purpose: Purpose,
        sans: Vec<String>,
    ) -> Result<Self, TlsError> {
        let caller = Caller::from_certificate(certificate)?;
        Ok(Self {
            name: caller.name,
            peer_id: caller.peer_id,
            key_id: caller.key_id,
            serial: caller.serial,
            purpose,
            sans,
            not_after: caller.not_after,
            issued: Timestamp::now(),
            certificate: certificate.to_vec(),
        })
    }

    /// Whether `circle` has revoked it.
    pub(super) fn is_revoked(&self, circle: &Circle) -> bool {
        let revoked = circle.revoked();
        revoked.has_entry(&self.serial) || revoked.has_key(&self.peer_id)
    }

    /// The certificate as PEM.
    pub(super) fn pem(&self) -> String {
        let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
        let certificate = Pem::new("CERTIFICATE", self.certificate.clone());
        pem::encode_config(&certificate, config)
    }
}

/// Reads what was issued.
///
/// Fails if the record is missing: a circle has one from its first certificate on, and without it names and keys could be
/// given twice.
pub(super) fn read(dir: &CertsDir) -> Result<Vec<Issued>, TlsError> {
    let path = dir.issued();
    let text = fs::read_to_string(&path).map_err(|e| io_error(&path, e))?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| TlsError::Malformed {
            path: path.clone(),
            reason: format!("line {}: {e}", number + 1),
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(parse)
        .collect()
}

pub(super) fn append(dir: &CertsDir, issued: &Issued) -> Result<(), TlsError> {
    let path = dir.issued();
    let mut line = serde_json::to_vec(issued).map_err(|e| io_error(&path, e.into()))?;
    line.push(b'\n');
    let opened = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path);
    let written = opened.and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_all()));
    written.map_err(|e| io_error(&path, e))
}

mod hex {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        HEXLOWER.decode(text.as_bytes()).map_err(de::Error::custom)
    }
}
