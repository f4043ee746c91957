//! `issued.jsonl`: what the circle has issued, one certificate a line, and which machines have said that they have theirs.
//!
//! A line is on disk before its certificate leaves. So a last line without a line feed is of a certificate that nobody has, or
//! of a machine that was not told that it has joined: it is no line, and makes way for the next one.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::Path,
};

use pem::{EncodeConfig, LineEnding, Pem};
use serde::{Deserialize, Serialize};

use crate::{
    id::PeerId,
    lock::Locked,
    manifest::Timestamp,
    name::LibraryError,
    private,
    tls::{BadFile, Caller, CertsDir, Circle, TlsError, io_error, writers::check_writers},
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
    /// Whether the machine has yet to say that it has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

/// The machine has its certificates: they are pending no more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    settled: PeerId,
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
            pending: false,
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

type Object = serde_json::Map<String, serde_json::Value>;

/// Reads what was issued.
///
/// Fails if the record is missing, or has no whole line: a circle has one from its first certificate on, and without it names
/// and keys could be given twice.
pub(super) fn read(dir: &CertsDir) -> Result<Vec<Issued>, TlsError> {
    check_writers(dir)?;
    let path = dir.issued();
    let bytes = private::read(&path).map_err(|e| no_record(io_error(&path, e)))?;
    let malformed = |fault| TlsError::Malformed {
        path: path.clone(),
        fault,
    };
    let whole = whole_lines(&bytes).ok_or_else(|| malformed(BadFile::NoLine))?;
    let (mut issued, mut settled) = (Vec::new(), BTreeSet::new());
    for (number, line) in (1..).zip(whole.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice::<Settled>(line) {
            Ok(line) => drop(settled.insert(line.settled)),
            Err(_) => match serde_json::from_slice::<Issued>(line) {
                Ok(line) => issued.push(line),
                // Damage leaves no object: this is a line of a kind that only a newer version knows, and may revoke.
                Err(error) if serde_json::from_slice::<Object>(line).is_ok() => {
                    return Err(TlsError::Newer {
                        path: path.clone(),
                        number,
                        cause: LibraryError::new(error),
                    });
                }
                Err(error) => {
                    let cause = LibraryError::new(error);
                    return Err(malformed(BadFile::Line { number, cause }));
                }
            },
        }
    }
    for issued in &mut issued {
        issued.pending &= !settled.contains(&issued.peer_id);
    }
    Ok(issued)
}

/// Those of the bytes that are whole lines.
fn whole_lines(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    Some(&bytes[..=end])
}

fn no_record(error: TlsError) -> TlsError {
    match error {
        TlsError::Missing { path } => TlsError::NoRecord { path },
        error => error,
    }
}

/// Records a certificate. It must not leave before.
pub(super) fn append(dir: &CertsDir, issued: &Issued) -> Result<(), TlsError> {
    append_line(&dir.issued(), issued)
}

/// Records that the machine `peer_id` has its certificates.
pub(super) fn settle(dir: &CertsDir, peer_id: PeerId) -> Result<(), TlsError> {
    append_line(&dir.issued(), &Settled { settled: peer_id })
}

fn append_line(path: &Path, line: &impl Serialize) -> Result<(), TlsError> {
    let append = || {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        let mut options = private::file();
        options.read(true).append(true).create(true);
        let mut file = Locked::wait(private::open_with(&mut options, path)?)?;
        let before = private::read_whole(&mut file)?;
        if !before.is_empty() {
            let whole = whole_lines(&before)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, BadFile::NoLine))?;
            let whole = whole.len();
            if whole < before.len() {
                file.set_len(whole as u64)?;
            }
        }
        file.write_all(&line)?;
        file.sync_all()
    };
    append().map_err(|e: io::Error| io_error(path, e))
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
