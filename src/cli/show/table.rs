//! Rows of a list in columns that fit the terminal.
//!
//! Rows are told one by one, from wherever they are found. While a [`Listing`] is open they wait for each other, for the
//! width of a column and the length of an id depend on all of them; without one a row is shown at once.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use console::{Term, measure_text_width};

use super::brief::{self, shorten};
use crate::{
    cli::{output::Output, pager},
    manifest::Timestamp,
};

/// Rows that wait for each other: those after them are shown in columns of their own, so that no list costs more memory.
const MAX_ROWS: usize = 10_000;
/// Between two columns.
const GAP: usize = 2;
/// Before what of a row goes into a line of its own, where the terminal is narrow.
const INDENT: usize = 2;
/// As far as a column of names is made narrower to keep rows in one line.
const LEAST: usize = 12;

/// The list that is open.
static OPEN: Mutex<Option<Vec<Item>>> = Mutex::new(None);

fn open_list() -> MutexGuard<'static, Option<Vec<Item>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Cell {
    /// An id.
    Id(String),
    /// A time.
    Time(Timestamp),
    /// A number with its unit, which stands to the right.
    Number(String),
    /// A word, which is not shortened.
    Word(String),
    /// Names, or other text without an end, of which the middle may be left out.
    Names(String),
}

/// One thing of a list.
#[derive(Debug)]
pub(in crate::cli) struct Row(pub(in crate::cli) Vec<Cell>);

/// What is shown of a list, in its order.
#[derive(Debug)]
enum Item {
    Row(Row),
    /// A line of the result.
    Line(String),
    /// A line for the person, which is no result.
    Talk(String),
}

impl Cell {
    fn kind(&self) -> mem::Discriminant<Self> {
        mem::discriminant(self)
    }

    fn text(&self) -> String {
        match self {
            Self::Id(id) => brief::id(id),
            Self::Time(at) => brief::time(*at),
            Self::Number(text) | Self::Word(text) | Self::Names(text) => text.clone(),
        }
    }
}

/// A list that is shown when all of it is there. One that is dropped before is shown as far as it is there.
pub(in crate::cli) struct Listing(Output);

impl Listing {
    /// From now on rows and lines belong to this list.
    pub(in crate::cli) fn open(output: Output) -> Self {
        brief::begin();
        *open_list() = Some(Vec::new());
        Self(output)
    }

    /// Shows the list, by a pager if it is longer than the terminal.
    pub(in crate::cli) fn close(self) {
        drop(self);
    }

    /// The same, with a line before it.
    pub(in crate::cli) fn close_under(self, title: String) {
        if let Some(items) = &mut *open_list() {
            items.insert(0, Item::Talk(title));
        }
        self.close();
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let items = open_list().take().unwrap_or_default();
        let shown = lay_out(items);
        if !pager::show(self.0, &shown) {
            print(self.0, shown);
        }
    }
}

impl Output {
    /// A row of a list.
    pub(in crate::cli) fn row(self, row: Row) {
        if !self.json
            && let Some(items) = add(Item::Row(row))
        {
            print(self, lay_out(items));
        }
    }
}

/// Adds to the list that is open. Gives back what is to be shown now: all that waits once that is much, or the item itself
/// if no list is open.
fn add(item: Item) -> Option<Vec<Item>> {
    let mut list = open_list();
    let Some(items) = &mut *list else {
        return Some(vec![item]);
    };
    items.push(item);
    (items.len() >= MAX_ROWS).then(|| mem::take(items))
}

/// Adds a line to the list that is open; gives it back if none is.
pub(in crate::cli) fn add_line(output: Output, text: String, is_talk: bool) -> Option<String> {
    if open_list().is_none() {
        return Some(text);
    }
    let item = match is_talk {
        true => Item::Talk(text),
        false => Item::Line(text),
    };
    if let Some(items) = add(item) {
        print(output, lay_out(items));
    }
    None
}

/// A line, and whether it is talk.
pub(in crate::cli) type Shown = (String, bool);

fn print(output: Output, lines: Vec<Shown>) {
    for (line, is_talk) in lines {
        match is_talk {
            true => output.talk_now(&line),
            false => output.line_now(&line),
        }
    }
}

/// How many columns there are: none where there is no terminal, or nothing is to be shortened.
pub(super) fn width() -> Option<usize> {
    let term = Term::stdout();
    let columns = term.is_term().then(|| term.size_checked()).flatten();
    columns
        .filter(|_| !brief::is_full())
        .map(|(_, columns)| usize::from(columns).max(LEAST))
}

fn lay_out(items: Vec<Item>) -> Vec<Shown> {
    let ids = items.iter().filter_map(|item| match item {
        Item::Row(row) => Some(&row.0),
        _ => None,
    });
    brief::note(ids.flatten().filter_map(|cell| match cell {
        Cell::Id(id) => Some(id),
        _ => None,
    }));
    let mut tables: Vec<Table> = Vec::new();
    let mut places = Vec::new();
    for item in items {
        places.push(match item {
            Item::Row(row) => Err(Table::place(&mut tables, &row)),
            Item::Line(text) => Ok((text, false)),
            Item::Talk(text) => Ok((text, true)),
        });
    }
    let width = width();
    let tables: Vec<_> = tables.into_iter().map(|table| table.lines(width)).collect();
    let lines = places.into_iter().map(|place| match place {
        Ok(line) => line,
        Err((table, row)) => (tables[table][row].clone(), false),
    });
    lines.collect()
}

/// Rows of no list that is open, in columns.
pub(in crate::cli) fn in_columns(rows: Vec<Row>) -> Vec<String> {
    let lines = lay_out(rows.into_iter().map(Item::Row).collect());
    lines.into_iter().map(|(line, _)| line).collect()
}

/// Rows with the same columns.
struct Table {
    kinds: Vec<mem::Discriminant<Cell>>,
    rows: Vec<Vec<String>>,
    may_shrink: Vec<bool>,
    to_the_right: Vec<bool>,
}

/// Where a column stands: in which line of its row, and how wide it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    begins_line: bool,
    width: usize,
}

impl Table {
    /// Puts a row into the table that has its columns. Gives the numbers of both.
    fn place(tables: &mut Vec<Self>, row: &Row) -> (usize, usize) {
        let kinds: Vec<_> = row.0.iter().map(Cell::kind).collect();
        let has_same = |table: &Self| table.kinds == kinds;
        let at = tables.iter().position(has_same).unwrap_or_else(|| {
            let is = |matches: fn(&Cell) -> bool| row.0.iter().map(matches).collect();
            tables.push(Self {
                kinds,
                rows: Vec::new(),
                may_shrink: is(|cell| matches!(cell, Cell::Names(_))),
                to_the_right: is(|cell| matches!(cell, Cell::Number(_))),
            });
            tables.len() - 1
        });
        let rows = &mut tables[at].rows;
        rows.push(row.0.iter().map(Cell::text).collect());
        (at, rows.len() - 1)
    }

    /// Each row as it is shown: of one line, or of several where `width` columns are too few for one.
    fn lines(self, width: Option<usize>) -> Vec<String> {
        let columns = 0..self.kinds.len();
        let widest = |column: usize| {
            let cells = self.rows.iter().map(|row| measure_text_width(&row[column]));
            cells.max().unwrap_or_default()
        };
        let natural: Vec<_> = columns.map(widest).collect();
        let places = places(&natural, &self.may_shrink, width);
        let line = |row: &Vec<String>| self.line(row, &places);
        self.rows.iter().map(line).collect()
    }

    fn line(&self, row: &[String], places: &[Place]) -> String {
        let (mut text, mut gap) = (String::new(), 0);
        for (column, (cell, place)) in row.iter().zip(places).enumerate() {
            if place.width == 0 {
                continue;
            }
            if place.begins_line {
                text.truncate(text.trim_end().len());
                text.push('\n');
                gap = INDENT;
            }
            let cell = shorten(cell, place.width);
            let pad = place.width - measure_text_width(&cell);
            let (before, after) = match self.to_the_right[column] {
                true => (gap + pad, 0),
                false => (gap, pad),
            };
            // What is left of the cell before goes before the gap.
            text.extend(std::iter::repeat_n(' ', before));
            text.push_str(&cell);
            text.extend(std::iter::repeat_n(' ', after));
            gap = GAP;
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// Where columns of these widths stand on a terminal of `width` columns.
fn places(natural: &[usize], may_shrink: &[bool], width: Option<usize>) -> Vec<Place> {
    let whole = |width: &usize| Place {
        begins_line: false,
        width: *width,
    };
    let Some(width) = width else {
        return natural.iter().map(whole).collect();
    };
    if let Some(fitting) = in_one_line(natural, may_shrink, width) {
        return fitting.iter().map(whole).collect();
    }
    let mut used = 0;
    let place = |natural: &usize| {
        let gap = if used == 0 { 0 } else { GAP };
        let begins_line = *natural > 0 && used > 0 && used + gap + natural > width;
        let room = match begins_line || used > 0 {
            true => width - INDENT,
            false => width,
        };
        let shown = (*natural).min(room);
        match (shown, begins_line) {
            (0, _) => {}
            (_, true) => used = INDENT + shown,
            (_, false) => used += gap + shown,
        }
        Place {
            begins_line,
            width: shown,
        }
    };
    natural.iter().map(place).collect()
}

/// The widths with which a row has `width` columns at most, if it can.
fn in_one_line(natural: &[usize], may_shrink: &[bool], width: usize) -> Option<Vec<usize>> {
    let mut widths = natural.to_vec();
    let shown = widths.iter().filter(|width| **width > 0).count();
    let gaps = GAP * shown.saturating_sub(1);
    loop {
        let total = widths.iter().sum::<usize>() + gaps;
        let Some(over) = total.checked_sub(width).filter(|over| *over > 0) else {
            return Some(widths);
        };
        let wide = widths.iter_mut().zip(may_shrink);
        let wide = wide.filter(|(width, may)| **may && **width > LEAST);
        let (widest, _) = wide.max_by_key(|(width, _)| **width)?;
        // A little at a time, so that the next widest gives some too.
        *widest -= over.min((*widest - LEAST).div_ceil(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 3]]) -> Table {
        let cells = |row: &[&str; 3]| row.iter().map(|cell| (*cell).to_owned()).collect();
        let kinds = [
            Cell::Word(String::new()),
            Cell::Number(String::new()),
            Cell::Names(String::new()),
        ];
        Table {
            kinds: kinds.iter().map(Cell::kind).collect(),
            rows: rows.iter().map(cells).collect(),
            may_shrink: vec![false, false, true],
            to_the_right: vec![false, true, false],
        }
    }

    const ROWS: [[&str; 3]; 2] = [
        ["stored", "2.8 MiB", "my very long holiday film.mov"],
        ["opened", "8 B", "映画映画映画映画映画映画.mov"],
    ];

    #[test]
    fn without_a_terminal_nothing_is_shortened() {
        let expected = [
            "stored  2.8 MiB  my very long holiday film.mov",
            "opened      8 B  映画映画映画映画映画映画.mov",
        ];
        assert_eq!(table(&ROWS).lines(None), expected);
        assert_eq!(table(&ROWS).lines(Some(80)), expected);
    }

    #[test]
    fn names_give_room_first_and_then_rows_take_several_lines() {
        let narrow = table(&ROWS).lines(Some(32));
        assert_eq!(narrow[0], "stored  2.8 MiB  my very lo….mov");
        for width in LEAST..60 {
            for row in table(&ROWS).lines(Some(width)) {
                let fits = |line: &str| measure_text_width(line) <= width;
                assert!(row.lines().all(fits), "{row} in {width}");
            }
        }
        let narrower = table(&ROWS).lines(Some(28));
        assert_eq!(narrower[0], "stored  2.8 MiB\n  my very long holi…film.mov");
    }

    #[test]
    fn a_column_in_which_nothing_stands_takes_no_room() {
        let rows = [["a", "", "b"], ["aa", "", "c"]];
        assert_eq!(table(&rows).lines(None), ["a   b", "aa  c"]);
    }
}
