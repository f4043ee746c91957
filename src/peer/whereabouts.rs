//! Where a peer of this home serves, noted beside its certificates: its store, which tells it too, may be on a disk that is away.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{private, tls::CertsDir};

/// What a serving peer has noted. It may have ended without taking the note back: only an answer at the address proves that it
/// serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// An address at which this machine reaches it.
    pub address: String,
    /// Its process.
    pub process: u32,
}

impl Whereabouts {
    /// The note in `dir`, if there is one.
    pub fn load(dir: &CertsDir) -> Option<Self> {
        serde_json::from_slice(&private::read(&path(dir)).ok()?).ok()
    }

    /// Notes that this process serves at `address`, until what is returned is dropped. Without the note it is found by its store.
    pub(super) fn note(dir: &CertsDir, address: String) -> Noted {
        let process = std::process::id();
        let (noted, path) = (Self { address, process }, path(dir));
        if let Err(error) = noted.write(&path) {
            tracing::debug!(%error, "where we listen is not noted");
        }
        Noted {
            noted,
            dir: dir.clone(),
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = private::open_with(
            private::file().write(true).create(true).truncate(true),
            path,
        )?;
        file.write_all(&serde_json::to_vec(self)?)
    }
}

/// Takes the note back when it is dropped, unless another peer has made its own since.
pub(super) struct Noted {
    noted: Whereabouts,
    dir: CertsDir,
}

impl Drop for Noted {
    fn drop(&mut self) {
        if Whereabouts::load(&self.dir).as_ref() == Some(&self.noted) {
            let _ = std::fs::remove_file(path(&self.dir));
        }
    }
}

fn path(dir: &CertsDir) -> PathBuf {
    dir.path().join("serving.json")
}
