//! Where a peer of this home serves, noted beside its certificates: its store, which tells it too, may be on a disk that is away.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
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
    /// Where received files appear there, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<String>,
}

impl Whereabouts {
    /// The note in `dir`, if there is one.
    pub fn load(dir: &CertsDir) -> Option<Self> {
        serde_json::from_slice(&private::read(&path(dir)).ok()?).ok()
    }

    /// Notes that this process serves at `address`, until what is returned is dropped. Without the note it is found by its store.
    pub(super) fn note(dir: &CertsDir, address: String) -> Noted {
        let process = std::process::id();
        let noted = Self {
            address,
            process,
            received: None,
        };
        noted.keep(dir);
        Noted {
            noted: Mutex::new(noted),
            dir: dir.clone(),
        }
    }

    fn keep(&self, dir: &CertsDir) {
        if let Err(error) = self.write(&path(dir)) {
            tracing::debug!(%error, "where we listen is not noted");
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
    noted: Mutex<Whereabouts>,
    dir: CertsDir,
}

impl Noted {
    /// Received files appear there from now on.
    pub(super) fn set_received(&self, folder: &Path) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.received = Some(folder.to_string_lossy().into_owned());
        noted.keep(&self.dir);
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        let noted = self.noted.get_mut().unwrap_or_else(PoisonError::into_inner);
        if Whereabouts::load(&self.dir).as_ref() == Some(&*noted) {
            let _ = std::fs::remove_file(path(&self.dir));
        }
    }
}

fn path(dir: &CertsDir) -> PathBuf {
    dir.path().join("serving.json")
}
