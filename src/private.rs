//! Folders and files of the program itself: for their owner alone, whatever the umask and the folder around them say.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// A folder with this bit lets nobody replace what is another's in it.
const STICKY: u32 = 0o1000;

/// Makes the folder at `path`, and those above it that are not there. One that is there stays as it is.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// How a file is opened that may be made.
pub(crate) fn file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// The mode of what is at `path`, if it lets those whom `bits` mean write it. What is not there, nobody can write.
pub(crate) fn mode_if_written_by(bits: u32, path: &Path) -> io::Result<Option<u32>> {
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let mode = metadata.mode();
    let is_guarded = metadata.is_dir() && mode & STICKY != 0;
    Ok((mode & bits != 0 && !is_guarded).then_some(mode & 0o7777))
}

/// Opens the file of lines at `path` to append to it, or makes it. A last line that was cut short, by a full disk or a loss
/// of power, is ended: the next one is a line of its own.
pub(crate) fn append_lines(path: &Path) -> io::Result<File> {
    let mut options = file();
    let mut file = options.read(true).append(true).create(true).open(path)?;
    let mut last = [b'\n'];
    // There is no last byte in an empty one.
    if file.seek(io::SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}
