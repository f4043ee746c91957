//! How an id, a time and a name are shown to a person: short, local, and as wide as there is room. The one place for it.

use std::{
    fmt::Display,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use console::measure_text_width;
use jiff::{Zoned, civil::Date, tz::TimeZone};

use crate::manifest::Timestamp;

/// Digits of an id that are shown at least. Every command takes them.
const LEAST: usize = 8;

/// Whether the command line asks for everything as programs have it.
static FULL: OnceLock<bool> = OnceLock::new();

/// The ids of the list that is shown, sorted.
static LISTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn listed() -> MutexGuard<'static, Vec<String>> {
    LISTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The command line was read.
pub(in crate::cli) fn show_all(full: bool) {
    let _ = FULL.set(full);
}

/// Whether nothing is shortened.
pub(super) fn is_full() -> bool {
    FULL.get().copied().unwrap_or_default()
}

/// A new list begins: ids are told apart from those that it notes.
pub(super) fn begin() {
    listed().clear();
}

/// These ids are in the list that is shown, so that as much is shown of each as tells it from the others.
pub(in crate::cli) fn note<T: Display>(ids: impl IntoIterator<Item = T>) {
    let mut listed = listed();
    listed.extend(ids.into_iter().map(|id| id.to_string()));
    listed.sort_unstable();
    listed.dedup();
}

/// An id for a person: its beginning, or all of it with `--full`.
pub(in crate::cli) fn id(id: impl Display) -> String {
    let mut id = id.to_string();
    if !is_full() {
        id.truncate(digits(&id, &listed()));
    }
    id
}

/// A time for a person: on the clock of this machine, or as programs have it with `--full`.
pub(in crate::cli) fn time(at: Timestamp) -> String {
    let short = (!is_full()).then(|| on_clock(at, &Zoned::now()));
    short.flatten().unwrap_or_else(|| at.to_string())
}

/// `text` of ours with each time in it on the clock of this machine, or as it is with `--full`. A time is one as programs have it that
/// stands for itself between blanks and marks: a path in which one stands stays as it is.
pub(in crate::cli) fn on_clock_here(text: &str) -> String {
    if is_full() {
        return text.to_owned();
    }
    let is_around = |c: char| " (),;.".contains(c);
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(|c| !is_around(c)) {
        let (before, from) = rest.split_at(at);
        let (word, after) = from.split_at(from.find(is_around).unwrap_or(from.len()));
        shown.push_str(before);
        match word.parse::<Timestamp>() {
            Ok(time_of) if word.ends_with('Z') => shown.push_str(&time(time_of)),
            _ => shown.push_str(word),
        }
        rest = after;
    }
    shown + rest
}

/// How many digits tell `id` from the others of `listed`, which is sorted.
fn digits(id: &str, listed: &[String]) -> usize {
    let at = listed.partition_point(|other| other.as_str() < id);
    let after = listed[at..].iter().find(|other| *other != id);
    let before = listed[..at].last();
    let common = |other: &String| {
        let same = id.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
        same.count() + 1
    };
    let needed = before.into_iter().chain(after).map(common).max();
    needed.unwrap_or(LEAST).max(LEAST)
}

/// `today 14:05`, `28 Nov 05:35`, or with its year if that is another.
fn on_clock(at: Timestamp, now: &Zoned) -> Option<String> {
    let seconds = i64::try_from(at.unix_seconds()).ok()?;
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    let at = at.to_zoned(TimeZone::clone(now.time_zone()));
    let (day, today): (Date, Date) = (at.date(), now.date());
    let form = match (day == today, day.year() == today.year()) {
        (true, _) => "today %H:%M",
        (_, true) => "%-d %b %H:%M",
        (_, false) => "%-d %b %Y %H:%M",
    };
    Some(at.strftime(form).to_string())
}

/// `text` in at most `width` columns: what is too much is left out of its middle, for names differ at their ends.
pub(super) fn shorten(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let Some(keep) = width.checked_sub(1) else {
        return String::new();
    };
    let head = take(text.chars(), keep - keep / 3);
    let mut tail = take(text.chars().rev(), keep - columns(&head));
    tail.reverse();
    // A mark that combines with what is left out would combine with the ellipsis.
    let is_mark = |c: &&char| columns(&[**c]) == 0;
    let marks = tail.iter().take_while(is_mark).count();
    head.into_iter()
        .chain(['…'])
        .chain(tail.drain(marks..))
        .collect()
}

/// The first characters that fit into `width` columns.
fn take(text: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut used = 0;
    let fits = |c: &char| {
        used += columns(&[*c]);
        used <= width
    };
    text.take_while(fits).collect()
}

fn columns(text: &[char]) -> usize {
    let width = |c: &char| measure_text_width(c.encode_utf8(&mut [0; 4]));
    text.iter().map(width).sum()
}

/// `text` in lines of at most `width` columns, broken between words. Lines after the first are indented.
pub(super) fn wrap(text: &str, width: usize) -> String {
    const INDENT: &str = "  ";
    let (mut lines, mut used) = (String::new(), 0);
    for (number, word) in text.split(' ').enumerate() {
        let room = measure_text_width(word);
        if number > 0 && used + 1 + room <= width {
            lines.push(' ');
            used += 1;
        } else if number > 0 {
            lines.push('\n');
            lines.push_str(INDENT);
            used = INDENT.len();
        }
        lines.push_str(word);
        used += room;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_as_many_digits_as_tell_it_from_the_others() {
        let ids = ["0000000011", "0000000012", "0000000099", "ffffffff00"];
        let listed = ids.map(str::to_owned);
        let shown = ids.map(|id| &id[..digits(id, &listed)]);
        assert_eq!(shown, ["0000000011", "0000000012", "000000009", "ffffffff"]);
        assert_eq!(digits("abc", &[]), 8);
    }

    #[test]
    fn a_time_is_that_of_the_clock_on_the_wall() {
        let now: Zoned = "2026-11-30T01:30:00+09:00[+09:00]".parse().unwrap();
        let shown = |at: &str| on_clock(at.parse().unwrap(), &now).unwrap();
        assert_eq!(shown("2026-11-29T15:05:59Z"), "today 00:05");
        assert_eq!(shown("2026-11-29T14:59:59Z"), "29 Nov 23:59");
        assert_eq!(shown("2026-03-01T20:35:00Z"), "2 Mar 05:35");
        assert_eq!(shown("2025-12-31T14:59:00Z"), "31 Dec 2025 23:59");
        assert_eq!(shown("9999-12-30T22:00:00Z"), "31 Dec 9999 07:00");
    }

    #[test]
    fn a_name_is_shortened_in_its_middle_and_never_too_wide() {
        assert_eq!(shorten("my film.mov", 11), "my film.mov");
        assert_eq!(shorten("my holiday film.mov", 12), "my holid…mov");
        let wide = "映画映画映画映画.mov";
        for text in [
            wide,
            "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}",
            "plain text",
        ] {
            for width in 0..24 {
                let short = shorten(text, width);
                assert!(measure_text_width(&short) <= width, "{short} in {width}");
            }
        }
        assert_eq!(shorten(wide, 12), "映画映画…mov");
    }

    #[test]
    fn words_are_not_broken() {
        let text = "store: 12 transfers, 191 chunks, 190 MiB";
        assert_eq!(wrap(text, 80), text);
        assert_eq!(
            wrap(text, 22),
            "store: 12 transfers,\n  191 chunks, 190 MiB"
        );
        assert_eq!(wrap("  a averylongword", 6), "  a\n  averylongword");
    }
}
