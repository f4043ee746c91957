//! The note that a member refused the certificate of this peer because it is revoked. Who is revoked gets no newer list from anybody.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{disk::write_durably, id::PeerId, manifest::Timestamp, private, tls::CertsDir};

/// For how long it is told after a member said so last: it could say so without a reason.
const TOLD_SECONDS: u64 = 30 * 24 * 3600;

/// That a member says that this peer is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidRevoked {
    /// When it said so.
    pub at: Timestamp,
    /// What it is called, or where it serves.
    pub by: String,
    /// The key that it said it of.
    pub peer_id: PeerId,
}

impl SaidRevoked {
    /// The note of `dir` about the peer `own`, if it was made of late.
    pub fn of_late(dir: &CertsDir, own: PeerId, now: Timestamp) -> Option<Self> {
        let note: Self = serde_json::from_slice(&private::read(&path(dir)).ok()?).ok()?;
        let is_late = note.peer_id == own && now < note.at.plus_seconds(TOLD_SECONDS);
        is_late.then_some(note)
    }

    /// Notes it. Without the note it is only not told later.
    pub fn save(&self, dir: &CertsDir) {
        let note = serde_json::to_vec(self).map_err(std::io::Error::from);
        let noted = note.and_then(|note| write_durably(&path(dir), &note, 0o600));
        if let Err(error) = noted {
            tracing::debug!(%error, "it is not noted that a member says that we are revoked");
        }
    }
}

fn path(dir: &CertsDir) -> PathBuf {
    dir.path().join("revoked.json")
}
