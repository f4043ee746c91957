//! Lines of the history that are no entries.

use std::io::{self, BufRead as _, BufReader};

use super::{History, HistoryEntry};
use crate::private;

impl History {
    /// How many lines cannot be read: they are damaged, or a newer version has written them. One that is just being written
    /// has no end yet, and is none of them.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn unread(&self) -> io::Result<usize> {
        let mut bytes = match private::open(&self.path) {
            Ok(file) => BufReader::new(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(e),
        };
        let (mut unread, mut line) = (0, Vec::new());
        while bytes.read_until(b'\n', &mut line)? > 0 {
            let is_entry = serde_json::from_slice::<HistoryEntry>(&line).is_ok();
            let is_whole = line.ends_with(b"\n") && line != b"\n";
            unread += usize::from(is_whole && !is_entry);
            line.clear();
        }
        Ok(unread)
    }
}
