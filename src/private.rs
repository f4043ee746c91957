//! Folders and files of the program itself: for their owner alone, whatever the umask and the folder around them say.
//!
//! Every file of a home is opened here. A FIFO in its place would be waited for without an end, and a device may have no end.

use std::{
    fs::{self, DirBuilder, File, FileType, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::fs::OFlags;

/// The most bytes of a file that are read as a whole. No file that colis writes comes near it.
const MAX_FILE: u64 = 64 << 20;

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

/// Something else is where a file of ours should be.
#[derive(Debug, thiserror::Error)]
enum NotOurs {
    #[error(
        "{kind} is in the place of this file: move it away, and put the file back if you have it"
    )]
    Kind { kind: &'static str },
    #[error("this file has {length} bytes, and colis reads at most {MAX_FILE}: move it away")]
    Length { length: u64 },
}

/// Opens the regular file at `path` to read it, through links. Never waits for the other end of a FIFO.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_with(File::options().read(true), path)
}

/// Opens the regular file at `path` as `options` say, through links. They have no flags of their own.
pub(crate) fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Opening alone may do something to a device, and wakes who writes to a FIFO.
    if let Ok(there) = fs::metadata(path) {
        check_kind(there.file_type())?;
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    check_kind(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens the folder at `path`, to sync or to lock it.
pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// The bytes of the regular file at `path`.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_whole(&mut open(path)?)
}

/// The text of the regular file at `path`.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let not_utf8 = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    String::from_utf8(read(path)?).map_err(not_utf8)
}

/// The bytes of an open file, which must be a regular one.
pub(crate) fn read_whole(file: &mut File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    check_kind(metadata.file_type())?;
    let length = metadata.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(MAX_FILE)).unwrap_or(0));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(io::Error::other(NotOurs::Length { length })),
        false => Ok(bytes),
    }
}

fn check_kind(there: FileType) -> io::Result<()> {
    let kind = match () {
        () if there.is_file() => return Ok(()),
        () if there.is_dir() => "a folder",
        () if there.is_fifo() => "a FIFO",
        () if there.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::other(NotOurs::Kind { kind }))
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
#[cfg(feature = "cli")]
pub(crate) fn append_lines(path: &Path) -> io::Result<File> {
    let mut file = open_with(file().read(true).append(true).create(true), path)?;
    end_line(&mut file)?;
    Ok(file)
}

/// Ends the last line of an open file if it was cut short.
pub(crate) fn end_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    // There is no last byte in an empty one.
    if file.seek(io::SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(())
}
