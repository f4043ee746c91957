//! Why transfers for us could not be opened, for the person who asks another process than the one that tried.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{id::ManifestId, private};

/// The longest reason that is kept.
const MAX_REASON: usize = 4096;

/// The reasons of one store, a file each.
#[derive(Debug, Clone)]
pub struct Reasons {
    folder: PathBuf,
}

impl Reasons {
    /// Those of the store in the folder `chunks`.
    pub fn new(chunks: &Path) -> Self {
        let folder = chunks.join("state/not-opened");
        Self { folder }
    }

    /// Keeps why `id` could not be opened. A disk that cannot take it may be the reason itself: then it is only in the log.
    pub fn note(&self, id: ManifestId, reason: &str) {
        let kept = &reason[..reason.floor_char_boundary(MAX_REASON)];
        let noted = private::make_folder(&self.folder).and_then(|()| {
            use std::io::Write as _;
            let mut options = private::file();
            options.write(true).create(true).truncate(true);
            let mut file = private::open_with(&mut options, &self.path(id))?;
            file.write_all(kept.as_bytes())
        });
        if let Err(error) = noted {
            tracing::debug!(%error, "why a transfer waits is not kept");
        }
    }

    /// It does not wait for that any more.
    pub fn forget(&self, id: ManifestId) {
        let _ = fs::remove_file(self.path(id));
    }

    /// Why `id` could not be opened when that was tried last, if so. It may have foreign names in it.
    pub fn of(&self, id: ManifestId) -> Option<String> {
        private::read_text(&self.path(id)).ok()
    }

    /// Forgets them all: what still cannot be opened is noted when it is tried.
    pub(super) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn path(&self, id: ManifestId) -> PathBuf {
        self.folder.join(id.to_string())
    }
}
