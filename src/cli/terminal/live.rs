//! The last lines of a screen: what runs in the background, and the question below it. Lines that are said meanwhile go
//! above them, and they are drawn anew where the size of the screen has changed.

use std::{collections::VecDeque, sync::Arc};

use console::{Term, measure_text_width, truncate_str};

/// Lines that are said again on a screen whose size has changed.
const MAX_KEPT: usize = 200;

/// What is drawn: lines, and the place of the cursor as line and column. Without one it is hidden.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::cli) struct Frame {
    pub(in crate::cli) lines: Vec<String>,
    pub(in crate::cli) cursor: Option<(usize, usize)>,
}

/// Rows and columns.
pub(in crate::cli) type Size = (usize, usize);

/// The size of the screen now.
pub(in crate::cli) fn size() -> Size {
    let (rows, columns) = Term::stderr().size();
    (rows.into(), columns.into())
}

/// What runs in the background, in at most so many lines.
pub(super) type Status = Arc<dyn Fn(usize) -> Vec<String> + Send + Sync>;

/// A frame on the screen.
#[derive(Debug)]
pub(super) struct Live {
    frame: Frame,
    size: Size,
}

impl Live {
    /// Puts the status above the question. No line is wider than the screen, so that each is a row.
    pub(super) fn of(question: Frame, status: Vec<String>, size: Size) -> Self {
        let above = status.len();
        let lines = status.into_iter().chain(question.lines);
        let width = size.1.saturating_sub(1).max(1);
        let lines = lines.map(|line| truncate_str(&line, width, "...").into_owned());
        let cursor = question.cursor.map(|(line, column)| (line + above, column));
        let frame = Frame {
            lines: lines.collect(),
            cursor,
        };
        Self { frame, size }
    }

    fn row(&self) -> usize {
        let last = self.frame.lines.len().saturating_sub(1);
        self.frame.cursor.map_or(last, |(row, _)| row.min(last))
    }

    fn column(&self) -> usize {
        let last = self.frame.lines.last();
        let end = || last.map_or(0, |line| measure_text_width(line));
        self.frame.cursor.map_or_else(end, |(_, column)| column)
    }

    /// Draws it below what was said.
    pub(super) fn draw(&self) -> String {
        let last = self.frame.lines.len().saturating_sub(1);
        let lines = self.frame.lines.join("\n");
        format!("\r{lines}{}", self.place_cursor(last))
    }

    /// Takes it away; the cursor is where its first line began.
    pub(super) fn erase(&self) -> String {
        format!("{}\r\x1b[J", up(self.row()))
    }

    /// Draws it in the place of `before`, and only what is different.
    pub(super) fn replace(&self, before: &Self) -> String {
        if self.frame == before.frame {
            return String::new();
        }
        if self.frame.lines.len() != before.frame.lines.len() {
            return format!("{}{}", before.erase(), self.draw());
        }
        let (mut text, mut at) = (String::new(), before.row());
        let both = self.frame.lines.iter().zip(&before.frame.lines);
        for (row, (new, _)) in both.enumerate().filter(|(_, (new, old))| new != old) {
            text.push_str(&format!("{}\r\x1b[2K{new}", move_to(at, row)));
            at = row;
        }
        format!("{text}{}", self.place_cursor(at))
    }

    /// Moves the cursor from row `at` to its place.
    fn place_cursor(&self, at: usize) -> String {
        let column = self.column();
        let right = match column {
            0 => String::new(),
            _ => format!("\x1b[{column}C"),
        };
        let shown = if self.frame.cursor.is_some() {
            'h'
        } else {
            'l'
        };
        format!("{}\r{right}\x1b[?25{shown}", move_to(at, self.row()))
    }

    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The whole screen: as much as fits of what was said, and this below it.
    pub(super) fn draw_anew(&self, said: &Said) -> String {
        let (rows, columns) = self.size;
        let mut room = rows.saturating_sub(self.frame.lines.len());
        let fitting = said.kept.iter().rev().take_while(|line| {
            let taken = rows_of(line, columns);
            let fits = taken <= room;
            room = room.saturating_sub(taken);
            fits
        });
        let mut lines: Vec<_> = fitting.map(String::as_str).collect();
        lines.reverse();
        let said: String = lines.iter().map(|line| format!("{line}\n")).collect();
        format!("\x1b[H\x1b[2J{said}{}", self.draw())
    }
}

fn up(rows: usize) -> String {
    match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    }
}

fn move_to(from: usize, to: usize) -> String {
    match to.checked_sub(from) {
        Some(0) => String::new(),
        Some(down) => format!("\x1b[{down}B"),
        None => up(from - to),
    }
}

/// How many rows a line takes.
fn rows_of(line: &str, columns: usize) -> usize {
    measure_text_width(line).div_ceil(columns.max(1)).max(1)
}

/// What was said on the screen.
#[derive(Debug, Default)]
pub(super) struct Said {
    kept: VecDeque<String>,
    /// Rows since the last question.
    rows: usize,
}

impl Said {
    pub(super) const fn nothing() -> Self {
        Self {
            kept: VecDeque::new(),
            rows: 0,
        }
    }

    pub(super) fn note(&mut self, text: &str, columns: usize) {
        for line in text.split('\n') {
            self.rows += rows_of(line, columns);
            self.kept.push_back(line.to_owned());
        }
        let over = self.kept.len().saturating_sub(MAX_KEPT);
        self.kept.drain(..over);
    }

    /// A question was answered: what was said before it has been read.
    pub(super) fn is_read(&mut self) {
        self.rows = 0;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

/// `text` in lines of so many columns, broken at spaces.
pub(in crate::cli) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().map(|line| measure_text_width(line));
        let width = last.unwrap_or(0);
        match lines.last_mut() {
            Some(line) if width == 0 => line.push_str(word),
            Some(line) if width + 1 + measure_text_width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(lines: &[&str], cursor: Option<(usize, usize)>) -> Live {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Live::of(Frame { lines, cursor }, Vec::new(), (10, 20))
    }

    #[test]
    fn only_what_is_different_is_drawn() {
        let before = live(&["one", "two", "three"], Some((1, 3)));
        let after = live(&["uno", "two", "three"], Some((2, 0)));
        assert_eq!(before.replace(&before), "");
        assert_eq!(
            after.replace(&before),
            "\x1b[1A\r\x1b[2Kuno\x1b[2B\r\x1b[?25h"
        );
        let shorter = live(&["one"], None);
        let text = shorter.replace(&before);
        assert!(text.starts_with("\x1b[1A\r\x1b[J\rone"), "{text:?}");
    }

    #[test]
    fn a_line_is_one_row_and_text_is_broken_at_spaces() {
        let wide = live(&["a line of more than twenty columns"], None);
        assert_eq!(wide.frame.lines, ["a line of more t..."]);
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("", 8), [""]);
        assert_eq!(wrapped("averylongword x", 8), ["averylongword", "x"]);
    }

    #[test]
    fn a_screen_of_another_size_has_what_was_said_last() {
        let mut said = Said::default();
        (0..20).for_each(|number| said.note(&format!("line {number}"), 20));
        let text = live(&["question"], None).draw_anew(&said);
        assert!(text.starts_with("\x1b[H\x1b[2Jline 11\n"), "{text:?}");
        assert!(text.contains("line 19\n\rquestion"), "{text:?}");
    }
}
