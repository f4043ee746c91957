//! A log file a day, for its owner alone whatever the umask says, of which the last are kept.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{disk::Held, manifest::Timestamp, private};

const PREFIX: &str = "colis.";
const SUFFIX: &str = ".jsonl";
/// The length of a date such as 2026-11-21.
const DATE: usize = 10;

/// The files of a folder, of which today's is written.
pub(super) struct Daily {
    folder: Held,
    days: Arc<AtomicUsize>,
    /// As many were kept when it was looked last.
    kept: usize,
    name: String,
    file: File,
}

impl Daily {
    /// Opens the file of the day of `now` in `folder`, which is there, and removes all but the last `days` files.
    pub(super) fn open(folder: Held, days: Arc<AtomicUsize>, now: Timestamp) -> io::Result<Self> {
        let name = name_of(now);
        let file = private::append_lines(&folder.path().join(&name))?;
        let daily = Self {
            folder,
            kept: days.load(Ordering::Relaxed),
            days,
            name,
            file,
        };
        // What cannot be removed keeps nothing from being logged.
        let _ = daily.remove_old();
        Ok(daily)
    }

    /// Goes on in the file of the day of `now`, in a folder made again if it was moved or removed. If that cannot be
    /// opened, the one before it is written on.
    fn turn_to(&mut self, now: Timestamp) {
        if name_of(now) != self.name || self.was_taken_away() {
            let next = self.folder.again();
            let next = next.and_then(|folder| Self::open(folder, self.days.clone(), now));
            if let Ok(next) = next {
                *self = next;
            }
        }
        let days = self.days.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.kept, days) > days {
            let _ = self.remove_old();
        }
    }

    fn was_taken_away(&self) -> bool {
        let there = fs::metadata(self.folder.path().join(&self.name));
        let (Ok(there), Ok(ours)) = (there, self.file.metadata()) else {
            return true;
        };
        (there.dev(), there.ino()) != (ours.dev(), ours.ino())
    }

    fn remove_old(&self) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            names.extend(
                entry?
                    .file_name()
                    .into_string()
                    .ok()
                    .filter(|name| is_log(name)),
            );
        }
        names.sort_unstable();
        let old = names
            .len()
            .saturating_sub(self.days.load(Ordering::Relaxed));
        let mut old = names.iter().take(old).filter(|name| **name != self.name);
        old.try_for_each(|name| fs::remove_file(self.folder.path().join(name)))
    }
}

impl Write for Daily {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.turn_to(Timestamp::now());
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn name_of(now: Timestamp) -> String {
    let time = now.to_string();
    let date = time.get(..DATE).unwrap_or(&time);
    format!("{PREFIX}{date}{SUFFIX}")
}

fn is_log(name: &str) -> bool {
    let date = name.strip_prefix(PREFIX);
    let date = date.and_then(|rest| rest.strip_suffix(SUFFIX));
    date.is_some_and(|date| date.len() == DATE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::disk::Link;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn each_day_has_a_private_file_and_the_last_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().to_owned();
        fs::write(folder.join("notes"), "not ours").unwrap();
        let day = |n: u64| Timestamp::from_unix_seconds(1_795_219_187 + n * DAY);
        let held = || Held::open(&folder, Link::Followed).unwrap();
        let mut daily = Daily::open(held(), Arc::new(2.into()), day(0)).unwrap();
        for n in 0..4 {
            daily.turn_to(day(n));
            daily.file.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        // The disk was full.
        daily.file.write_all(b"cut sh").unwrap();
        drop(daily);
        let mut again = Daily::open(held(), Arc::new(2.into()), day(3)).unwrap();
        again.file.write_all(b"again\n").unwrap();
        let text = |n| fs::read_to_string(folder.join(name_of(day(n))));
        assert!(text(0).is_err() && text(1).is_err());
        assert_eq!(text(2).unwrap(), "2\n");
        assert_eq!(text(3).unwrap(), "3\ncut sh\nagain\n");
        assert!(folder.join("notes").exists());
        let metadata = fs::metadata(folder.join(name_of(day(3)))).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_log_that_was_moved_or_removed_is_begun_again() {
        let root = tempfile::tempdir().unwrap();
        let (folder, now) = (root.path().join("logs"), Timestamp::now());
        fs::create_dir(&folder).unwrap();
        let held = Held::open(&folder, Link::Followed).unwrap();
        let mut daily = Daily::open(held, Arc::new(2.into()), now).unwrap();
        let path = folder.join(&daily.name);
        let moved = root.path().join("moved");
        daily.turn_to(now);
        daily.file.write_all(b"1\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        daily.turn_to(now);
        daily.file.write_all(b"2\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
        fs::remove_dir_all(&folder).unwrap();
        daily.turn_to(now);
        daily.file.write_all(b"3\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    }
}
