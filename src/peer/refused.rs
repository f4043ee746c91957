//! The note that another member refuses this peer as revoked. The list that would prove it comes from nobody any more: who is revoked
//! is answered by none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    disk::write_durably,
    id::PeerId,
    manifest::Timestamp,
    private,
    store::{Alert, Rejection, StoreError},
    tls::CertsDir,
};

/// For how long it is told after a member has said so last.
const TOLD_SECONDS: u64 = 30 * 24 * 3600;
/// It is noted anew after so long.
const ANEW_SECONDS: u64 = 3600;

/// Who has said that this peer is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidRevoked {
    /// When it said so last.
    pub at: Timestamp,
    /// What it is called, or where it was asked.
    pub by: String,
    /// Who this peer was then: with another key it is another one.
    pub peer_id: PeerId,
}

impl SaidRevoked {
    /// The note of `dir` about the peer `us`, if a member has said so of late.
    pub fn of_late(dir: &CertsDir, us: PeerId, now: Timestamp) -> Option<Self> {
        let note = Self::load(dir)?;
        (note.peer_id == us && now < note.at.plus_seconds(TOLD_SECONDS)).then_some(note)
    }

    fn load(dir: &CertsDir) -> Option<Self> {
        serde_json::from_slice(&private::read(&path(dir)).ok()?).ok()
    }

    /// What it means, in words.
    pub fn meaning(&self) -> String {
        let (at, by) = (self.at, &self.by);
        format!("{by} refused this peer as revoked ({at})")
    }

    fn save(&self, dir: &CertsDir) {
        let written = serde_json::to_vec(self).map_err(Into::into);
        let written = written.and_then(|text| write_durably(&path(dir), &text, 0o600));
        if let Err(error) = written {
            tracing::debug!(%error, "it is not noted who has refused us");
        }
    }
}

/// Notes in `dir` if the member `by` refuses `us` as revoked, and takes that back when it answers without an error. Gives the note if
/// it is new.
pub(crate) fn heed(
    dir: &CertsDir,
    us: PeerId,
    by: &str,
    error: Option<&StoreError>,
) -> Option<SaidRevoked> {
    let (now, before) = (Timestamp::now(), SaidRevoked::load(dir));
    match error {
        None if before.as_ref().is_some_and(|before| before.by == by) => {
            let _ = std::fs::remove_file(path(dir));
            None
        }
        Some(StoreError::Untrusted {
            cause: Rejection::TheyRefusedUs(Alert::Revoked),
            ..
        }) => {
            let is_known = |before: SaidRevoked| {
                before.peer_id == us && now < before.at.plus_seconds(ANEW_SECONDS)
            };
            if before.is_some_and(is_known) {
                return None;
            }
            let note = SaidRevoked {
                at: now,
                by: by.to_owned(),
                peer_id: us,
            };
            note.save(dir);
            Some(note)
        }
        _ => None,
    }
}

fn path(dir: &CertsDir) -> PathBuf {
    dir.path().join("refused.json")
}
