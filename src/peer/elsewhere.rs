//! The note that others know more of this peer than itself: its home was restored from an older copy, its clock was set back, or
//! another machine serves a copy of its home.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{disk::write_durably, manifest::Timestamp, private, tls::CertsDir};

/// For how long it is told after it was noticed.
const TOLD_SECONDS: u64 = 24 * 3600;

/// What another peer knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// When it said so.
    pub at: Timestamp,
    /// What it is called.
    pub by: String,
    /// The sequence of the bundle of this peer that it knew.
    pub sequence: u64,
}

impl Elsewhere {
    /// The note of `dir`, if there is one that can be read.
    pub fn load(dir: &CertsDir) -> Option<Self> {
        serde_json::from_slice(&private::read(&path(dir)).ok()?).ok()
    }

    /// The note of `dir`, if it was made within the last day.
    pub fn of_late(dir: &CertsDir, now: Timestamp) -> Option<Self> {
        Self::load(dir).filter(|note| now < note.at.plus_seconds(TOLD_SECONDS))
    }

    /// What it means, in words.
    pub fn meaning(&self) -> String {
        let (at, by) = (self.at, &self.by);
        format!(
            "{by} knew later news of this peer than it has told itself ({at}): another machine serves a copy of this home, or its \
             clock was set back"
        )
    }

    pub(super) fn save(&self, dir: &CertsDir) -> io::Result<()> {
        write_durably(&path(dir), &serde_json::to_vec(self)?, 0o600)
    }
}

fn path(dir: &CertsDir) -> PathBuf {
    dir.path().join("elsewhere.json")
}
