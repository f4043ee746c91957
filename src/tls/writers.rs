//! Who may write the files that decide who is a member: their owner alone.

use std::path::PathBuf;

use super::{CertsDir, TlsError, io_error};
use crate::private;

/// The group and everybody else.
const OTHERS: u32 = 0o022;

/// What others can write in `dir`, and `dir` itself, if they can: who writes the circle's certificate makes members.
pub fn written_by_others(dir: &CertsDir) -> Vec<TlsError> {
    let paths = decisive(dir).into_iter();
    paths.filter_map(|path| check(path).err()).collect()
}

/// Fails if others can write what decides who is a member.
///
/// # Errors
/// [`TlsError::Writable`], [`TlsError::Io`].
pub(super) fn check_writers(dir: &CertsDir) -> Result<(), TlsError> {
    decisive(dir).into_iter().try_for_each(check)
}

fn decisive(dir: &CertsDir) -> Vec<PathBuf> {
    let folder = dir.path().to_owned();
    let record = dir.issued();
    let files = [
        folder,
        dir.ca_cert(),
        dir.crl(),
        dir.peers(),
        record,
        dir.server_cert(),
    ];
    // Who is allowed is in the settings.
    let settings = dir.outside().and_then(|_| dir.settings());
    files.into_iter().chain(settings).collect()
}

fn check(path: PathBuf) -> Result<(), TlsError> {
    match private::mode_if_written_by(OTHERS, &path) {
        Ok(None) => Ok(()),
        Ok(Some(mode)) => Err(TlsError::Writable { path, mode }),
        Err(error) => Err(io_error(&path, error)),
    }
}
