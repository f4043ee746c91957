//! Which version of a file is there.

use std::{fs, os::unix::fs::MetadataExt as _, path::PathBuf, time::SystemTime};

/// What tells one version of a file from the next: two may have one length, and be written within one tick of the clock.
pub(super) type Stamp = Option<(SystemTime, u64, u64)>;

/// Those of these files; `None` for one that cannot be read.
pub(super) fn stamps_of(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    paths.iter().map(stamp).collect()
}
