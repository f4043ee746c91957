//! Lines of a file, whatever their length: of one that is too long nothing but its end is kept in mind.

use std::io::{self, BufRead as _, BufReader, Read};

/// The longest line that is kept. An arrival has at most 1,000 paths.
const MAX_LINE: usize = 8 << 20;

/// Reads line by line.
pub(super) struct Lines<R> {
    file: BufReader<R>,
    /// The last line, without its end; empty if it was too long.
    pub(super) line: Vec<u8>,
    /// Whether that line had an end.
    pub(super) is_ended: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(file: R) -> Self {
        Self {
            file: BufReader::new(file),
            line: Vec::new(),
            is_ended: false,
        }
    }

    /// Reads the next line. Returns its bytes with its end; 0 if there is none.
    pub(super) fn next(&mut self) -> io::Result<u64> {
        self.line.clear();
        self.is_ended = false;
        let (mut read, mut is_kept) = (0, true);
        while !self.is_ended {
            let there = self.file.fill_buf()?;
            if there.is_empty() {
                break;
            }
            let end = there.iter().position(|byte| *byte == b'\n');
            let part = &there[..end.unwrap_or(there.len())];
            is_kept &= self.line.len() + part.len() <= MAX_LINE;
            match is_kept {
                true => self.line.extend_from_slice(part),
                false => self.line = Vec::new(),
            }
            let used = part.len() + usize::from(end.is_some());
            self.is_ended = end.is_some();
            read += used as u64;
            self.file.consume(used);
        }
        Ok(read)
    }
}
