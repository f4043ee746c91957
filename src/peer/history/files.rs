//! The two files of a history: the one that is written, and the one before it. Older ones are gone.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{lock::Locked, private};

/// A file that has reached so many bytes is put aside.
pub(super) const FULL: u64 = 16 << 20;
/// More than the first line has that says how much was before.
const MAX_BEGIN: u64 = 64;

/// The first line of a file before which there was another.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// How many bytes all files before it had.
    after: u64,
}

/// Whether this line begins a file, and is nothing that happened.
pub(super) fn is_begin(line: &[u8]) -> bool {
    serde_json::from_slice::<Begin>(line).is_ok()
}

/// An open file of a history, with how much was before it.
pub(super) struct Part {
    pub(super) file: File,
    pub(super) base: u64,
    pub(super) length: u64,
}

impl Part {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        match private::open(path) {
            Ok(file) => Self::of(file).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn of(mut file: File) -> io::Result<Self> {
        let (mut first, length) = (Vec::new(), file.metadata()?.len());
        file.seek(SeekFrom::Start(0))?;
        BufReader::new((&file).take(MAX_BEGIN)).read_until(b'\n', &mut first)?;
        let base = serde_json::from_slice(&first).map_or(0, |begin: Begin| begin.after);
        Ok(Self { file, base, length })
    }

    pub(super) fn end(&self) -> u64 {
        self.base.saturating_add(self.length)
    }
}

/// The files that are there, the older first.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<Part>> {
    // One that is put aside meanwhile is found at one of its places.
    let current = Part::open(path)?;
    let older = Part::open(&aside(path))?;
    let both = [older, current].into_iter().flatten();
    let mut parts: Vec<_> = both.collect();
    if let [older, current] = &parts[..]
        && is_same(&older.file, &current.file)?
    {
        parts.pop();
    }
    Ok(parts)
}

/// Opens the file at `path` for one more line, alone, and gives how much was before it. One that has `full` bytes is put aside, in the
/// place of the one before it.
pub(super) fn to_append(path: &Path, full: u64) -> io::Result<(Locked, u64)> {
    loop {
        let mut options = private::file();
        options.read(true).append(true).create(true);
        let mut file = Locked::wait(private::open_with(&mut options, path)?)?;
        if !is_at(&file, path)? {
            continue;
        }
        let length = file.metadata()?.len();
        // If it cannot be put aside, it grows.
        if length >= full && fs::rename(path, aside(path)).is_ok() {
            continue;
        }
        let before = Part::open(&aside(path)).ok().flatten();
        if let (0, Some(before)) = (length, before) {
            let after = before.end();
            let mut line = serde_json::to_vec(&Begin { after })?;
            line.push(b'\n');
            file.write_all(&line)?;
            return Ok((file, after));
        }
        private::end_line(&mut file)?;
        let base = Part::of(file.try_clone()?)?.base;
        return Ok((file, base));
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("1.jsonl")
}

/// Whether `file` is what is at `path` now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(there) => {
            let ours = file.metadata()?;
            Ok((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
