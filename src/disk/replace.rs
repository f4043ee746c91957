//! Small files that are replaced as a whole.

use std::{
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::sync_folder;
use crate::private;

/// Others of the group, and all others.
const OTHERS: u32 = 0o077;

/// Writes `bytes` to `path` so that it has the old content or the new, whatever happens, and the new once this returns.
///
/// # Errors
/// Those of the file system; that it has no modes, if nobody else may read the file: then nothing is written.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .prefix(".staged-")
        .tempfile_in(folder)?;
    if mode & OTHERS == 0 && staged.as_file().metadata()?.mode() & OTHERS != 0 {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this file system keeps no modes, so nothing is private there: use another, or mount it with umask=077",
        ));
    }
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|e| e.error)?;
    Ok(sync_folder(private::open_folder(folder)?)?)
}
