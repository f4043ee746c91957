//! The entry table and the sums: what is in a transfer, hidden from whoever stores it.
//!
//! Both are JSON Lines, padded with line feeds to a multiple of 256 bytes so that their length tells little. They are
//! parsed as streams, line by line, under limits: a hostile sender must not buy memory with a small envelope.

use serde::{Deserialize, Serialize};

use super::{ManifestError, SyntaxFault, check_spelling, to_json};
use crate::id::FileDigest;

/// The most entries of a table.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The longest table, in plain bytes.
pub const MAX_LENGTH: u64 = 512 << 20;
/// Bytes of one line of the sums: 64 digits, two quotes, a line feed.
pub const SUM_LINE: usize = 67;
/// The longest line: a path and a link target of 4,096 bytes, each byte escaped as six.
pub const MAX_LINE: usize = 64 << 10;
/// Table and sums have a multiple of this length.
pub const PADDING: usize = 256;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Entry {
    /// A regular file; its bytes are the next `size` bytes of the content.
    File {
        /// Relative path, components joined by `/`.
        path: String,
        /// Bytes; `null` only for the last file of a stream whose end was not known: it has the rest of the content.
        size: Option<u64>,
        /// When it was modified, in whole seconds since 1970.
        mtime: i64,
        /// The nanoseconds of that second.
        mtime_ns: u32,
        /// Whether its owner could execute it.
        executable: bool,
    },
    /// A folder. Its line comes before the lines of what it contains.
    Directory {
        /// Relative path, components joined by `/`.
        path: String,
        /// When it was modified, in whole seconds since 1970.
        mtime: i64,
        /// The nanoseconds of that second.
        mtime_ns: u32,
    },
    /// A symbolic link, kept and never followed.
    Symlink {
        /// Relative path, components joined by `/`.
        path: String,
        /// What it points to, as it was.
        target: String,
    },
}

impl Entry {
    /// Its relative path, as foreign text.
    pub fn path(&self) -> &str {
        match self {
            Self::File { path, .. } | Self::Directory { path, .. } | Self::Symlink { path, .. } => {
                path
            }
        }
    }

    /// Parses one line.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`].
    pub fn parse(line: &[u8]) -> Result<Self, ManifestError> {
        let entry: Self = parse_line(line, "table entry")?;
        match entry {
            Self::File { mtime_ns, .. } | Self::Directory { mtime_ns, .. }
                if mtime_ns > 999_999_999 =>
            {
                Err(ManifestError::Syntax {
                    what: "table entry",
                    fault: SyntaxFault::Nanoseconds(mtime_ns),
                })
            }
            _ => Ok(entry),
        }
    }
}

/// Parses one line of the sums.
///
/// # Errors
/// [`ManifestError::Syntax`].
pub fn parse_sum(line: &[u8]) -> Result<FileDigest, ManifestError> {
    parse_line(line, "line of the sums")
}

fn parse_line<T: Serialize + for<'de> Deserialize<'de>>(
    line: &[u8],
    what: &'static str,
) -> Result<T, ManifestError> {
    let value = serde_json::from_slice(line).map_err(|e| ManifestError::syntax(what, &e))?;
    check_spelling(&value, line, what)?;
    Ok(value)
}

/// Appends `value` and a line feed to `out`.
pub fn write_line<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.extend_from_slice(&to_json(value));
    out.push(b'\n');
}

/// Pads `out`, which holds a whole stream of lines.
pub fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(PADDING), b'\n');
}

/// Cuts a stream of plain bytes into lines.
pub struct Lines {
    what: &'static str,
    partial: Vec<u8>,
    length: u64,
    count: usize,
    in_padding: bool,
}

impl Lines {
    /// For the stream called `what` in errors.
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            partial: Vec::new(),
            length: 0,
            count: 0,
            in_padding: false,
        }
    }

    /// Takes the next bytes of the stream and gives each line that they complete to `each`.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] beyond a limit or for a line after the padding began; what `each` gives.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        self.length += bytes.len() as u64;
        if self.length > MAX_LENGTH {
            return Err(self.syntax(SyntaxFault::TooLong { most: MAX_LENGTH }));
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            self.take_line(line, &mut each)?;
            rest = after;
        }
        self.extend_partial(rest)
    }

    /// Ends the stream. Gives the number of lines.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] if it is not whole or not padded.
    pub fn finish(self) -> Result<usize, ManifestError> {
        if !self.partial.is_empty() {
            return Err(self.syntax(SyntaxFault::CutLine));
        }
        if !self.length.is_multiple_of(PADDING as u64) {
            return Err(self.syntax(SyntaxFault::NotPadded(PADDING)));
        }
        Ok(self.count)
    }

    fn take_line(
        &mut self,
        line: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), ManifestError>,
    ) -> Result<(), ManifestError> {
        if line.is_empty() && self.partial.is_empty() {
            self.in_padding = true;
            return Ok(());
        }
        if self.in_padding {
            return Err(self.syntax(SyntaxFault::AfterPadding));
        }
        self.count += 1;
        if self.count > MAX_ENTRIES {
            return Err(self.syntax(SyntaxFault::TooManyLines { most: MAX_ENTRIES }));
        }
        self.check_line(line)?;
        if self.partial.is_empty() {
            return each(line);
        }
        self.partial.extend_from_slice(line);
        each(&std::mem::take(&mut self.partial))
    }

    fn extend_partial(&mut self, bytes: &[u8]) -> Result<(), ManifestError> {
        if self.in_padding && !bytes.is_empty() {
            return Err(self.syntax(SyntaxFault::AfterPadding));
        }
        self.check_line(bytes)?;
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// A line is judged alike whether it comes whole or in pieces.
    fn check_line(&self, more: &[u8]) -> Result<(), ManifestError> {
        if self.partial.len() + more.len() > MAX_LINE {
            return Err(self.syntax(SyntaxFault::LongLine { most: MAX_LINE }));
        }
        Ok(())
    }

    fn syntax(&self, fault: SyntaxFault) -> ManifestError {
        ManifestError::Syntax {
            what: self.what,
            fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Entry {
        Entry::File {
            path: path.into(),
            size: Some(3),
            mtime: -1,
            mtime_ns: 5,
            executable: false,
        }
    }

    fn parse_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<Entry>, ManifestError> {
        let (mut lines, mut entries) = (Lines::new("table"), Vec::new());
        for piece in bytes.chunks(piece) {
            lines.push(piece, |line| Entry::parse(line).map(|e| entries.push(e)))?;
        }
        lines.finish()?;
        Ok(entries)
    }

    #[test]
    fn a_table_reads_back_however_it_is_cut() {
        let symlink = Entry::Symlink {
            path: "d/l".into(),
            target: "é\n".into(),
        };
        let directory = Entry::Directory {
            path: "d".into(),
            mtime: 0,
            mtime_ns: 0,
        };
        let entries = vec![directory, file("d/a \u{1f4e6}"), symlink];
        let mut bytes = Vec::new();
        entries.iter().for_each(|e| write_line(e, &mut bytes));
        pad(&mut bytes);
        assert_eq!(bytes.len() % PADDING, 0);
        for piece in [1, 2, 7, 255, 256, 10_000] {
            assert_eq!(
                parse_in_pieces(&bytes, piece).unwrap(),
                entries,
                "pieces of {piece}"
            );
        }
    }

    #[test]
    fn a_line_is_bounded_however_it_is_cut() {
        for (length, good) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
            let mut bytes = vec![b'x'; length];
            bytes.push(b'\n');
            for piece in [1000, MAX_LINE, MAX_LINE + 1, bytes.len()] {
                let (mut lines, mut taken) = (Lines::new("table"), 0);
                let pushed = bytes.chunks(piece).try_for_each(|piece| {
                    lines.push(piece, |line| {
                        taken += line.len();
                        Ok(())
                    })
                });
                assert_eq!(pushed.is_ok(), good, "{length} bytes by {piece}");
                assert_eq!(taken, if good { length } else { 0 });
            }
        }
    }

    #[test]
    fn a_stream_of_lines_is_bounded_in_bytes_and_in_lines() {
        let full = |length, count| Lines {
            what: "table",
            partial: Vec::new(),
            length,
            count,
            in_padding: false,
        };
        let push = |lines: &mut Lines, bytes: &[u8]| lines.push(bytes, |_| Ok(()));
        let mut last = full(MAX_LENGTH - 2, 0);
        push(&mut last, b"x\n").unwrap();
        assert_eq!(last.length, MAX_LENGTH);
        assert!(push(&mut last, b"\n").is_err(), "a byte too many");
        let mut last = full(0, MAX_ENTRIES - 1);
        push(&mut last, b"x\n").unwrap();
        assert!(push(&mut last, b"y\n").is_err(), "a line too many");
    }

    #[test]
    fn padding_ends_a_stream_of_lines() {
        let ends = |bytes: &[u8], piece| {
            let (mut lines, mut count) = (Lines::new("table"), 0);
            for piece in bytes.chunks(piece) {
                lines.push(piece, |_| {
                    count += 1;
                    Ok(())
                })?;
            }
            assert_eq!(lines.finish()?, count);
            Ok::<_, ManifestError>(count)
        };
        let mut padded = b"x\ny\n".to_vec();
        pad(&mut padded);
        let late = [&padded[..], b"z"].concat();
        let cut = [&vec![b'x'; 256][..]].concat();
        for piece in [1, 3, 256, 1000] {
            assert_eq!(ends(&padded, piece), Ok(2));
            assert!(ends(&late, piece).is_err(), "a line begins in the padding");
            assert!(ends(&cut, piece).is_err(), "the last line has no end");
            assert!(ends(&padded[..255], piece).is_err(), "a byte is missing");
        }
        assert_eq!(ends(b"", 1), Ok(0));
        pad(&mut padded);
        assert_eq!(padded.len(), PADDING, "what is padded stays");
    }

    #[test]
    fn an_entry_gives_its_path_and_has_less_than_a_second_of_nanoseconds() {
        let entries = [(999_999_999, true), (1_000_000_000, false)];
        for (mtime_ns, good) in entries {
            let (path, mtime) = (String::from("p"), 0);
            let directory = Entry::Directory {
                path,
                mtime,
                mtime_ns,
            };
            let parsed = Entry::parse(&to_json(&directory));
            assert_eq!(parsed.is_ok(), good, "{mtime_ns}");
            assert_eq!(directory.path(), "p");
        }
        let (path, target) = (String::from("l"), String::from("t"));
        assert_eq!(Entry::Symlink { path, target }.path(), "l");
        assert_eq!(file("f").path(), "f");
    }

    #[test]
    fn what_is_not_a_table_is_refused() {
        let mut good = Vec::new();
        write_line(&file("a"), &mut good);
        let padded = |mut bytes: Vec<u8>| {
            pad(&mut bytes);
            bytes
        };
        let text = String::from_utf8(good.clone()).unwrap();
        let mut late = padded(good.clone());
        late.extend_from_slice(&padded(good.clone()));
        let spaced = text.replace(':', ": ").into_bytes();
        let twice = text.replace("{", "{\"path\":\"b\",").into_bytes();
        let nanoseconds = text
            .replace("\"mtime_ns\":5", "\"mtime_ns\":1000000000")
            .into_bytes();
        let long = padded(vec![b' '; MAX_LINE + 1]);
        for (wrong, why) in [
            (good, "no padding"),
            (late, "a line after the padding"),
            (padded(spaced), "another spelling"),
            (padded(twice), "a field twice"),
            (padded(nanoseconds), "too many nanoseconds"),
            (long, "a long line"),
        ] {
            assert!(
                matches!(
                    parse_in_pieces(&wrong, 100),
                    Err(ManifestError::Syntax { .. })
                ),
                "{why}"
            );
        }
    }
}
