//! What was sent and received from this home, for the person: one JSON object a line, newest last, readable by us only. It has two
//! files, and forgets the oldest.

mod files;
mod lines;

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use files::{FULL, Part};
use lines::Lines;

use super::{
    arrivals::ArrivalSeq,
    inbox::{Arrival, Kept, Outcome},
};
use crate::{
    id::{FileDigest, ManifestId, PeerId, TransferId},
    manifest::Timestamp,
    private,
    transfer::MAX_MESSAGE,
};

/// The bytes at the end of the history that are read at once: all that it has.
const MAX_READ: u64 = 3 * FULL;
/// Names that are remembered of one transfer.
const MAX_NAMES: usize = 16;
/// For how long it is told of a transfer that it did not come.
const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes at the end of the history in which those are looked for.
const MAX_LATELY: u64 = 1 << 20;

/// Which way a transfer went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Direction {
    /// From here.
    Sent,
    /// To here.
    Received,
    /// Refused here: by the owner's word, because it cannot be opened, or because it was not taken.
    Refused,
    /// To here; it was not opened unasked.
    Waiting,
    /// To here; no more of it came.
    Cut,
}

/// A transfer that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// The transfer.
    pub transfer: TransferId,
    /// Who signed it; who brought it, if it was cut or not taken and nothing else is known. `None` in lines of earlier versions.
    #[serde(default)]
    pub sender: Option<PeerId>,
    /// Its manifest. None was published of what was cut, or not taken.
    // Lines that were written before version 0.1.0 call it `manifest`.
    #[serde(rename = "id", alias = "manifest")]
    pub manifest: Option<ManifestId>,
    /// Whom it went to, or who sent it, as far as they have names. Foreign text.
    pub peers: Vec<String>,
    /// Whether the circle vouches for the name of who sent it; of what was sent, always.
    pub verified: bool,
    /// Bytes of content; of what was cut or not taken, the sealed bytes that came.
    pub bytes: u64,
    /// Of what was cut or not taken: the bytes of its content, if they were announced.
    pub of: Option<u64>,
    /// Why it waits or was refused, if not by the owner's word. It may have foreign text in it.
    pub reason: Option<String>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// What it has at its top, the first few. Foreign text if it was received.
    pub names: Vec<String>,
    /// What these are called here, if it is something else.
    pub named: Option<Vec<String>>,
    /// Those of them that are files, and the BLAKE3 digest of each, as `b3sum` prints it.
    #[serde(default)]
    pub blake3: Vec<(String, FileDigest)>,
    /// How many entries of transfers of the same peer, or of peers that nobody vouches for, were left out since the one before,
    /// because they were too many: they waited, could not be opened, were cut, or were not taken.
    #[serde(default)]
    pub left_out: u64,
}

impl HistoryEntry {
    /// Of a transfer without names, as of now.
    pub fn new(direction: Direction, transfer: TransferId) -> Self {
        Self {
            at: Timestamp::now(),
            direction,
            transfer,
            sender: None,
            manifest: None,
            peers: Vec::new(),
            verified: true,
            bytes: 0,
            of: None,
            reason: None,
            seconds: None,
            names: Vec::new(),
            named: None,
            blake3: Vec::new(),
            left_out: 0,
        }
    }

    /// Whether it is about the same transfer, as far as is known whose it is: anybody can copy an id.
    fn is_of(&self, other: &Self) -> bool {
        let senders = self.sender.zip(other.sender);
        self.transfer == other.transfer && senders.is_none_or(|(one, another)| one == another)
    }

    /// Whether it was brought, and is not here.
    fn is_missed(&self) -> bool {
        let not_taken = self.direction == Direction::Refused && self.manifest.is_none();
        not_taken || self.direction == Direction::Cut
    }

    /// What its `names` are called at these `paths`.
    pub fn set_paths(&mut self, paths: &[PathBuf]) {
        let named = paths.iter().filter_map(|path| path.file_name());
        let named: Vec<_> = named
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        self.named = (named != self.names).then_some(named);
    }
}

/// The end of a history, as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadHistory {
    /// The entries, the oldest first.
    pub entries: Vec<HistoryEntry>,
    /// Lines that are none: they are damaged, or a newer version has written them.
    pub unread: usize,
}

/// The files with what was: the one that is written, of at most about 16 MiB, and the one before it.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
    full: u64,
}

impl History {
    /// The history of the store in the folder `chunks`.
    pub fn new(chunks: &Path) -> Self {
        Self {
            path: chunks.join("state/history.jsonl"),
            full: FULL,
        }
    }

    /// Adds `entry`. Several processes may.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn append(&self, entry: &HistoryEntry) -> io::Result<()> {
        self.append_line(entry, None).map(drop)
    }

    /// Adds `entry`, which is an arrival. Gives its place.
    pub(crate) fn append_arrival(
        &self,
        entry: &HistoryEntry,
        arrival: &Kept,
    ) -> io::Result<ArrivalSeq> {
        self.append_line(entry, Some(arrival))
    }

    fn append_line(&self, entry: &HistoryEntry, arrival: Option<&Kept>) -> io::Result<ArrivalSeq> {
        let mut entry = entry.clone();
        entry.names.truncate(MAX_NAMES);
        entry.blake3.truncate(MAX_NAMES);
        if let Some(named) = &mut entry.named {
            named.truncate(MAX_NAMES);
        }
        let mut line = serde_json::to_vec(&Line { entry, arrival })?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            private::make_folder(folder)?;
        }
        let (mut file, base) = files::to_append(&self.path, self.full)?;
        // In one piece: who reads meanwhile sees all of it or none.
        file.write_all(&line)?;
        let end = file.seek(SeekFrom::End(0))?;
        Ok(ArrivalSeq(base + end))
    }

    /// The entries, the oldest first. A line that cannot be read is left out.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn entries(&self) -> io::Result<Vec<HistoryEntry>> {
        Ok(self.read()?.entries)
    }

    /// The same, with how many lines cannot be read.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read(&self) -> io::Result<ReadHistory> {
        self.read_from(MAX_READ)
    }

    /// What is in the last so many bytes.
    fn read_from(&self, longest: u64) -> io::Result<ReadHistory> {
        let mut read = ReadHistory::default();
        let parts = files::open_all(&self.path)?;
        let lengths = parts.iter().map(|part| part.length);
        let mut before = lengths.sum::<u64>().saturating_sub(longest);
        for part in parts {
            let passed = before.min(part.length);
            before -= passed;
            read.add(part, passed)?;
        }
        Ok(read)
    }

    /// What did not come although somebody brought it: the transfers that were cut or not taken in the last seven days and have
    /// no later entry, the newest entry of each, the oldest first. Only the end of a long history is read. What was stored for
    /// others has no entry: the store knows whether it came.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn missed(&self, now: Timestamp) -> io::Result<Vec<HistoryEntry>> {
        let since = now.unix_seconds().saturating_sub(LATELY.as_secs());
        let mut missed: Vec<HistoryEntry> = Vec::new();
        for entry in self.read_from(MAX_LATELY)?.entries {
            missed.retain(|other| !other.is_of(&entry));
            if entry.is_missed() && entry.at.unix_seconds() >= since {
                missed.push(entry);
            }
        }
        Ok(missed)
    }

    /// The place after all that it has now.
    pub(super) fn end(&self) -> ArrivalSeq {
        let parts = files::open_all(&self.path).unwrap_or_default();
        ArrivalSeq(parts.last().map_or(0, Part::end))
    }

    /// The arrivals after `after`, the first `most` of them, and the place after the last that was looked at. What a version without
    /// arrivals has written is passed over.
    pub(super) fn arrivals_after(
        &self,
        after: ArrivalSeq,
        most: usize,
    ) -> io::Result<(Vec<Arrival>, ArrivalSeq)> {
        let (mut arrivals, mut next) = (Vec::new(), after);
        let parts = files::open_all(&self.path)?;
        let Some(end) = parts.last().map(Part::end) else {
            return Ok((arrivals, next));
        };
        // What is told twice is better than what is missed.
        if next.0 > end {
            next = ArrivalSeq::START;
        }
        let last = parts.len() - 1;
        for (number, part) in parts.into_iter().enumerate() {
            let end = part.end();
            // What does not end in a file that was put aside never will.
            if number < last && next.0 >= end {
                continue;
            }
            if !told_of(part, &mut next, most, &mut arrivals)? {
                break;
            }
            if number < last {
                next.0 = end;
            }
        }
        Ok((arrivals, next))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A line as it is written.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    entry: HistoryEntry,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival: Option<&'a Kept>,
}

/// What of a line is an arrival.
#[derive(Deserialize)]
struct ToldArrival {
    at: Timestamp,
    transfer: TransferId,
    #[serde(rename = "id", alias = "manifest")]
    manifest: Option<ManifestId>,
    bytes: u64,
    arrival: Kept,
}

impl ToldArrival {
    fn at(self, seq: ArrivalSeq) -> Option<Arrival> {
        let mut outcome = self.arrival.outcome;
        if let (Outcome::Opened(files), true) = (&mut outcome, self.arrival.is_message) {
            files.message = files.paths.first().and_then(|path| text_of(path));
        }
        Some(Arrival {
            seq,
            at: self.at,
            id: self.manifest?,
            transfer: self.transfer,
            sender: self.arrival.sender,
            sender_name: self.arrival.sender_name,
            size: self.bytes,
            decided: self.arrival.decided,
            outcome,
        })
    }
}

/// The text of a message, as long as it is where it was put.
fn text_of(path: &Path) -> Option<String> {
    let (mut text, mut file) = (String::new(), private::open(path).ok()?.take(MAX_MESSAGE));
    file.read_to_string(&mut text).ok()?;
    Some(text)
}

impl ReadHistory {
    /// Adds what is in `part` after the first `passed` bytes.
    fn add(&mut self, mut part: Part, passed: u64) -> io::Result<()> {
        part.file.seek(SeekFrom::Start(passed))?;
        // What is appended meanwhile is for the next time.
        let mut lines = Lines::new(part.file.take(part.length - passed));
        let mut is_cut = passed > 0;
        loop {
            let bytes = lines.next()?;
            if bytes == 0 {
                return Ok(());
            }
            match serde_json::from_slice(&lines.line) {
                Ok(entry) => self.entries.push(entry),
                Err(_) if files::is_begin(&lines.line) => {}
                // One that does not end is just being written.
                Err(_) if lines.is_ended && bytes > 1 && !is_cut => self.unread += 1,
                Err(_) => {}
            }
            is_cut = false;
        }
    }
}

/// Adds to `arrivals` those of `part` that begin at `next` or later, until there are `most`, and moves `next` on. Gives whether that
/// were all of them.
fn told_of(
    part: Part,
    next: &mut ArrivalSeq,
    most: usize,
    arrivals: &mut Vec<Arrival>,
) -> io::Result<bool> {
    let mut lines = beginning(part, next)?;
    while arrivals.len() < most {
        let read = lines.next()?;
        // What does not end yet is being written.
        if !lines.is_ended {
            return Ok(true);
        }
        next.0 += read;
        if let Ok(told) = serde_json::from_slice::<ToldArrival>(&lines.line) {
            arrivals.extend(told.at(*next));
        }
    }
    Ok(false)
}

/// Goes to the first line of `part` that begins at `next` or later, which becomes the place of that line.
fn beginning(part: Part, next: &mut ArrivalSeq) -> io::Result<Lines<File>> {
    let Part { mut file, base, .. } = part;
    if next.0 <= base {
        next.0 = base;
        file.seek(SeekFrom::Start(0))?;
        return Ok(Lines::new(file));
    }
    // From the byte before it, which may be the end of a line.
    next.0 -= 1;
    file.seek(SeekFrom::Start(next.0 - base))?;
    let mut lines = Lines::new(file);
    next.0 += lines.next()?;
    Ok(lines)
}

#[cfg(test)]
mod tests;
