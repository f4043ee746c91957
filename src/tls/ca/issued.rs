//! `issued.jsonl`: what the circle has issued, one certificate a line.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

use rcgen::SerialNumber;
use serde::{Deserialize, Serialize};

use super::CertificateOptions;
use crate::{
    id::PeerId,
    manifest::Timestamp,
    tls::{CertsDir, Circle, TlsError, io_error},
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
    /// Its serial number, in hex.
    #[serde(with = "hex")]
    pub serial: Vec<u8>,
    /// What it is for.
    pub purpose: Purpose,
    /// Further names that were asked for.
    pub sans: Vec<String>,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued: Timestamp,
}

impl Issued {
    pub(super) fn new(
        name: &str,
        peer_id: PeerId,
        serial: &SerialNumber,
        purpose: Purpose,
        options: &CertificateOptions,
    ) -> Self {
        let not_after = u64::try_from(options.not_after.unix_timestamp()).unwrap_or(0);
        Self {
            name: name.to_owned(),
            peer_id,
            serial: serial.to_bytes(),
            purpose,
            sans: options.sans.clone(),
            not_after: Timestamp::from_unix_seconds(not_after),
            issued: Timestamp::now(),
        }
    }
}

pub(super) fn read(dir: &CertsDir) -> Result<Vec<Issued>, TlsError> {
    let path = dir.issued();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io_error(&path, e)),
    };
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

/// One more than the number of the list in use.
pub(super) fn next_crl_number(circle: &Circle) -> u64 {
    circle.crl_number().saturating_add(1)
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
