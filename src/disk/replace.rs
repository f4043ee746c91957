//! Small files that are replaced as a whole.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use super::sync_folder;

/// Writes `bytes` to `path` so that it has the old content or the new, whatever happens, and the new once this returns.
///
/// # Errors
/// Those of the file system.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        .prefix(".staged-")
        .tempfile_in(folder)?;
    staged.write_all(bytes)?;
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|e| e.error)?;
    Ok(sync_folder(File::open(folder)?)?)
}
