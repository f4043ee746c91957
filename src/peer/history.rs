//! What was sent and received from this home, for the person: one JSON object a line, newest last, readable by us only.

mod unread;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    arrivals::ArrivalSeq,
    inbox::{Arrival, Kept, Outcome},
};
use crate::{
    id::{ManifestId, TransferId},
    manifest::Timestamp,
    private,
    transfer::MAX_MESSAGE,
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
            manifest: None,
            peers: Vec::new(),
            verified: true,
            bytes: 0,
            of: None,
            reason: None,
            seconds: None,
            names: Vec::new(),
            named: None,
            left_out: 0,
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
        if let Some(named) = &mut entry.named {
            named.truncate(MAX_NAMES);
        }
        let mut line = serde_json::to_vec(&Line { entry, arrival })?;
        line.push(b'\n');
        if let Some(folder) = self.path.parent() {
            private::make_folder(folder)?;
        }
        let mut file = private::append_lines(&self.path)?;
        // In one piece: whoever else appends does so before or after.
        file.write_all(&line)?;
        file.stream_position().map(ArrivalSeq)
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
        let mut file = match private::open(&self.path) {
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
    /// no later entry, the newest entry of each, the oldest first. Only the end of a long history is read. What was stored for
    /// others has no entry: the store knows whether it came.
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

    /// The place after all that it has now.
    pub(super) fn end(&self) -> ArrivalSeq {
        ArrivalSeq(fs::metadata(&self.path).map_or(0, |metadata| metadata.len()))
    }

    /// The arrivals after `after`, the first `most` of them, and the place after the last that was looked at. What a version without
    /// arrivals has written is passed over.
    pub(super) fn arrivals_after(
        &self,
        after: ArrivalSeq,
        most: usize,
    ) -> io::Result<(Vec<Arrival>, ArrivalSeq)> {
        let mut file = match private::open(&self.path) {
            Ok(file) => BufReader::new(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), after)),
            Err(e) => return Err(e),
        };
        let (mut arrivals, mut line) = (Vec::new(), Vec::new());
        let mut next = beginning(&mut file, after)?;
        while arrivals.len() < most {
            line.clear();
            let read = file.read_until(b'\n', &mut line)?;
            // What does not end yet is being written.
            if line.last() != Some(&b'\n') {
                break;
            }
            next.0 += read as u64;
            if let Ok(told) = serde_json::from_slice::<ToldArrival>(&line) {
                arrivals.extend(told.at(next));
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

/// Goes to the first line that begins at `after` or later; to the very first in a history that is shorter than that: it is another
/// one than `after` was of, and what is told twice is better than what is missed.
fn beginning(file: &mut BufReader<fs::File>, after: ArrivalSeq) -> io::Result<ArrivalSeq> {
    let length = file.get_ref().metadata()?.len();
    if after.0 == 0 || after.0 > length {
        return Ok(ArrivalSeq::START);
    }
    file.seek(SeekFrom::Start(after.0 - 1))?;
    let mut rest = Vec::new();
    let read = file.read_until(b'\n', &mut rest)? as u64;
    Ok(ArrivalSeq(after.0 - 1 + read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::PeerId,
        peer::{DecidedBy, OpenedFiles, Waiting},
        received::NewNames,
    };

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

    /// Adds an arrival. Gives its place.
    fn arrive(history: &History, n: u8, outcome: &Outcome) -> ArrivalSeq {
        let entry = HistoryEntry {
            manifest: Some(ManifestId::of(&[n])),
            ..HistoryEntry::new(Direction::Received, TransferId::from_bytes([n; 16]))
        };
        let (sender, by) = (PeerId::of(&[n]), DecidedBy::Inbox);
        let kept = Kept::of(sender, Some("ben"), by, outcome);
        history.append_arrival(&entry, &kept).unwrap()
    }

    fn transfers(arrivals: &[Arrival]) -> Vec<u8> {
        let transfers = arrivals
            .iter()
            .map(|arrival| arrival.transfer.as_bytes()[0]);
        transfers.collect()
    }

    #[test]
    fn arrivals_are_read_on_from_any_place_also_one_of_another_history() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        let begin = ArrivalSeq::START;
        assert_eq!(history.arrivals_after(begin, 9).unwrap(), (vec![], begin));
        let waits = || Outcome::Waiting(Waiting::Larger { than: 7 });
        let first = arrive(&history, 1, &waits());
        // A person is told of these, and no program.
        let sent = HistoryEntry::new(Direction::Sent, TransferId::from_bytes([9; 16]));
        history.append(&sent).unwrap();
        let third = arrive(&history, 3, &waits());
        let file = fs::OpenOptions::new().append(true).open(history.path());
        file.unwrap().write_all(b"{\"at\":").unwrap();
        let torn = history.end();
        let read = |after, most| history.arrivals_after(after, most).unwrap();
        let (arrivals, next) = read(begin, 9);
        assert_eq!((transfers(&arrivals), next), (vec![1, 3], third));
        assert_eq!(arrivals[0].outcome, waits());
        assert_eq!((arrivals[0].seq, arrivals[1].seq), (first, third));
        assert_eq!(
            read(next, 9),
            (vec![], third),
            "what is not ended is not read"
        );
        let fourth = arrive(&history, 4, &waits());
        for (after, expected) in [
            (begin, vec![1, 3, 4]),
            (first, vec![3, 4]),
            (ArrivalSeq(first.0 - 1), vec![3, 4]),
            (ArrivalSeq(first.0 + 1), vec![3, 4]),
            (third, vec![4]),
            (torn, vec![4]),
            (fourth, vec![]),
            (ArrivalSeq(fourth.0 + 1), vec![1, 3, 4]),
        ] {
            assert_eq!(transfers(&read(after, 9).0), expected, "{after:?}");
        }
        let (one, next) = read(begin, 1);
        assert_eq!((transfers(&one), next), (vec![1], first));
    }

    #[test]
    fn a_message_is_read_from_its_file_and_many_paths_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let history = History::new(folder.path());
        let path = folder.path().join("message.txt");
        fs::write(&path, "hello").unwrap();
        let mut files = OpenedFiles {
            paths: vec![path.clone()],
            more_paths: 0,
            message: Some("hello".into()),
            skipped_links: Vec::new(),
            renamed: NewNames::default(),
        };
        arrive(&history, 1, &Outcome::Opened(files.clone()));
        let log = fs::read_to_string(history.path()).unwrap();
        assert!(!log.contains("hello"), "{log}");
        let opened = |number: usize| {
            let arrivals = history.arrivals_after(ArrivalSeq::START, 9).unwrap().0;
            match arrivals[number].outcome.clone() {
                Outcome::Opened(files) => files,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(opened(0), files);
        fs::remove_file(&path).unwrap();
        assert_eq!(opened(0).message, None);
        (files.message, files.paths) = (None, vec![path; 1_003]);
        arrive(&history, 2, &Outcome::Opened(files));
        assert_eq!((opened(1).paths.len(), opened(1).more_paths), (1_000, 3));
    }
}
