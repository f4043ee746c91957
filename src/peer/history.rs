//! What was sent and received from this home, for the person: one JSON object a line, newest last, readable by us only.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    id::{ManifestId, TransferId},
    manifest::Timestamp,
    private,
};

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
    /// Its manifest. None was published of what was cut, or not taken.
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
}

impl HistoryEntry {
    /// Of a transfer without names, as of now.
    pub fn new(direction: Direction, transfer: TransferId) -> Self {
        Self {
            at: Timestamp::now(),
            direction,
            transfer,
            manifest: None,
            peers: Vec::new(),
            verified: true,
            bytes: 0,
            of: None,
            reason: None,
            seconds: None,
            names: Vec::new(),
            named: None,
        }
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

/// The file with what was.
#[derive(Debug, Clone)]
pub struct History {
    path: PathBuf,
}

impl History {
    /// The history of the store in the folder `chunks`.
    pub fn new(chunks: &Path) -> Self {
        Self {
            path: chunks.join("state/history.jsonl"),
        }
    }

    /// Adds `entry`. Several processes may.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn append(&self, entry: &HistoryEntry) -> io::Result<()> {
        let mut entry = entry.clone();
        entry.names.truncate(MAX_NAMES);
        if let Some(named) = &mut entry.named {
            named.truncate(MAX_NAMES);
        }
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            private::make_folder(folder)?;
        }
        let mut file = private::append_lines(&self.path)?;
        // In one piece: whoever else appends does so before or after.
        file.write_all(&line)
    }

    /// Every entry, the oldest first. A line that cannot be read is left out.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn entries(&self) -> io::Result<Vec<HistoryEntry>> {
        self.entries_from(u64::MAX)
    }

    /// Those in the last so many bytes.
    fn entries_from(&self, longest: u64) -> io::Result<Vec<HistoryEntry>> {
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(longest)))?;
        let mut entries = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            entries.extend(serde_json::from_slice::<HistoryEntry>(&line?).ok());
        }
        Ok(entries)
    }

    /// What did not come although somebody brought it: the transfers that were cut or not taken in the last seven days and have
    /// not come since, the newest entry of each, the oldest first. Only the end of a long history is read.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn missed(&self, now: Timestamp) -> io::Result<Vec<HistoryEntry>> {
        let since = now.unix_seconds().saturating_sub(LATELY.as_secs());
        let mut missed: Vec<HistoryEntry> = Vec::new();
        for entry in self.entries_from(MAX_LATELY)? {
            missed.retain(|other| other.transfer != entry.transfer);
            if entry.is_missed() && entry.at.unix_seconds() >= since {
                missed.push(entry);
            }
        }
        Ok(missed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_is_kept_in_order_and_a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        assert!(history.entries().unwrap().is_empty());
        let entry = |n: u8| HistoryEntry {
            at: Timestamp::from_unix_seconds(u64::from(n)),
            manifest: Some(ManifestId::of(&[n])),
            peers: vec!["ben".into()],
            bytes: 1,
            names: vec!["a".into(); 40],
            ..HistoryEntry::new(Direction::Sent, TransferId::from_bytes([n; 16]))
        };
        history.append(&entry(1)).unwrap();
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(history.path())
            .unwrap();
        file.write_all(b"{\"at\":\n").unwrap();
        history.append(&entry(2)).unwrap();
        file.write_all(b"{\"at\":").unwrap();
        history.append(&entry(3)).unwrap();
        let read = history.entries().unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!(read[2].transfer, TransferId::from_bytes([3; 16]));
        assert_eq!(read[1].transfer, TransferId::from_bytes([2; 16]));
        assert_eq!(read[0].names.len(), MAX_NAMES);
    }

    #[test]
    fn what_was_cut_or_not_taken_is_missed_until_it_comes_or_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        let now = Timestamp::from_unix_seconds(LATELY.as_secs() * 3);
        let add = |direction, n: u8, age: u64| {
            let entry = HistoryEntry {
                at: Timestamp::from_unix_seconds(now.unix_seconds() - age),
                ..HistoryEntry::new(direction, TransferId::from_bytes([n; 16]))
            };
            history.append(&entry).unwrap();
        };
        add(Direction::Cut, 1, LATELY.as_secs() + 1);
        for n in [2, 3, 3, 4] {
            add(Direction::Cut, n, 60);
        }
        add(Direction::Refused, 3, 50);
        add(Direction::Received, 2, 40);
        let missed = history.missed(now).unwrap();
        let missed = missed.iter().map(|entry| (entry.transfer, entry.direction));
        let transfer = |n| TransferId::from_bytes([n; 16]);
        let expected = [
            (transfer(4), Direction::Cut),
            (transfer(3), Direction::Refused),
        ];
        assert_eq!(missed.collect::<Vec<_>>(), expected);
    }
}
