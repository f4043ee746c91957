//! A list to choose from, by the keys of its lines or with the arrows.
//!
//! dialoguer's own lists know no digits. Where a list does not fit the screen, the part around the marked line is shown.

use console::{Key, measure_text_width};

use super::{
    ask::{self, Stop},
    plain,
};
use crate::cli::terminal::{self, Frame, Question, Size, Step, wrapped};

/// The keys of the lines, in their order. A longer list has them for the first nine.
const DIGITS: &str = "1234567890";
/// Lines of a list that are shown at least, if the screen has them.
const LEAST: usize = 3;
/// The marks and the key before the text of a line.
const MARGIN: usize = 12;

/// Tells whether the list has to be made anew, while the line with this key is marked.
type IsStale = Box<dyn Fn(Option<char>) -> bool + Send>;

/// A list of lines.
pub(super) struct List {
    prompt: String,
    items: Vec<Item>,
    at: usize,
    /// Those that are chosen, if several can be.
    marks: Option<Vec<bool>>,
    /// Keys of lines that are not offered now, and may be pressed.
    unlisted: Vec<char>,
    is_stale: Option<IsStale>,
}

/// A line and its key.
pub(super) struct Item {
    pub(super) key: Option<char>,
    pub(super) text: String,
}

/// One of `items`, by its place. Esc goes back.
pub(super) async fn one(prompt: &str, items: Vec<String>) -> Result<usize, Stop> {
    let list = List::of(prompt, items);
    let places = list.chosen().await?;
    match places.first() {
        Some(Picked::Line(place)) => Ok(*place),
        _ => Err(Stop::Back),
    }
}

/// Some of `items`, by their places; `does` says what becomes of them then. Enter without a mark takes the line where one is.
pub(super) async fn several(
    prompt: &str,
    does: &str,
    items: Vec<String>,
) -> Result<Vec<usize>, Stop> {
    let prompt = match terminal::shows() {
        terminal::Shows::Screen => format!("{prompt} Space marks, Enter {does}"),
        terminal::Shows::Lines => prompt.to_owned(),
    };
    let mut list = List::of(&prompt, items);
    list.marks = Some(vec![false; list.items.len()]);
    let picked = list.chosen().await?.into_iter();
    let places = picked.filter_map(|one| match one {
        Picked::Line(place) => Some(place),
        Picked::Key(_) => None,
    });
    Ok(places.collect())
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picked {
    /// The line at this place.
    Line(usize),
    /// The key of a line that is not offered.
    Key(char),
}

impl List {
    fn of(prompt: &str, items: Vec<String>) -> Self {
        // Ten of a longer list would leave the others without a number.
        let keys = match items.len() <= DIGITS.len() {
            true => DIGITS.len(),
            false => DIGITS.len() - 1,
        };
        let mut digits = DIGITS.chars().take(keys);
        let item = |text| Item {
            key: digits.next(),
            text,
        };
        Self::with_keys(prompt, items.into_iter().map(item).collect())
    }

    pub(super) fn with_keys(prompt: &str, items: Vec<Item>) -> Self {
        Self {
            prompt: prompt.to_owned(),
            items,
            at: 0,
            marks: None,
            unlisted: Vec::new(),
            is_stale: None,
        }
    }

    pub(super) fn unlisted(mut self, keys: Vec<char>) -> Self {
        self.unlisted = keys;
        self
    }

    /// The line that is marked first.
    pub(super) fn at(mut self, key: Option<char>) -> Self {
        let place = self.items.iter().position(|item| item.key == key);
        self.at = place.unwrap_or(0);
        self
    }

    pub(super) fn until(
        mut self,
        is_stale: impl Fn(Option<char>) -> bool + Send + 'static,
    ) -> Self {
        self.is_stale = Some(Box::new(is_stale));
        self
    }

    pub(super) async fn chosen(mut self) -> Result<Vec<Picked>, Stop> {
        ask::interact(move || {
            let Some(answer) = ask::on_screen(&mut self)? else {
                return ask::or_back(self.in_lines());
            };
            let named = answer.as_deref().map(|picked| self.named(picked));
            if let Ok(named) = named.as_deref()
                && !named.is_empty()
            {
                terminal::say(&format!("{} {named}", self.prompt));
            }
            Ok(answer)
        })
        .await
    }

    fn in_lines(&self) -> std::io::Result<Option<Vec<Picked>>> {
        let keys = |at: usize, item: &Item| match item.key {
            Some(key) => key.to_string(),
            None => (at + 1).to_string(),
        };
        let items = self.items.iter().enumerate();
        let lines: Vec<_> = items
            .map(|(at, item)| (keys(at, item), &*item.text))
            .collect();
        if self.marks.is_some() {
            let places = plain::several(&self.prompt, &lines)?;
            return Ok(places.map(|places| places.into_iter().map(Picked::Line).collect()));
        }
        let unlisted: Vec<_> = self.unlisted.iter().map(char::to_string).collect();
        let chosen = plain::one(&self.prompt, &lines, &unlisted)?;
        Ok(chosen.map(|place| {
            let beyond = place.checked_sub(lines.len());
            let key = beyond.and_then(|at| self.unlisted.get(at));
            vec![key.map_or(Picked::Line(place), |key| Picked::Key(*key))]
        }))
    }

    fn named(&self, picked: &[Picked]) -> String {
        let texts = picked.iter().filter_map(|one| match one {
            Picked::Line(place) => self.items.get(*place).map(|item| item.text.trim()),
            Picked::Key(_) => None,
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// The places of the lines that are shown, in a room of so many rows.
    fn window(&self, room: usize) -> std::ops::Range<usize> {
        let shown = room.clamp(LEAST.min(self.items.len()), self.items.len().max(LEAST));
        let shown = shown.min(self.items.len());
        let first = self.at.saturating_sub(shown / 2);
        let first = first.min(self.items.len() - shown);
        first..first + shown
    }

    fn line(&self, place: usize, width: usize) -> String {
        let item = &self.items[place];
        let width = width.saturating_sub(MARGIN).max(8);
        let text = console::truncate_str(&item.text, width, "...");
        let text = match (item.key, self.items[0].key) {
            (Some(key), _) => format!("{key}  {text}"),
            (None, Some(_)) => format!("   {text}"),
            (None, None) => text.into_owned(),
        };
        let (theme, mut line) = (terminal::theme(), String::new());
        let is_here = place == self.at;
        let drawn = match &self.marks {
            Some(marks) => {
                theme.format_multi_select_prompt_item(&mut line, &text, marks[place], is_here)
            }
            None => theme.format_select_prompt_item(&mut line, &text, is_here),
        };
        drawn.map_or(text, |()| line)
    }

    fn choose(&mut self, place: usize) -> Step<Vec<Picked>> {
        self.at = place;
        match &mut self.marks {
            Some(marks) => {
                marks[place] = !marks[place];
                Step::Stay
            }
            None => Step::Answer(vec![Picked::Line(place)]),
        }
    }

    fn enter(&self) -> Step<Vec<Picked>> {
        let marks = self.marks.iter().flatten().enumerate();
        let marked = marks.filter(|(_, is_marked)| **is_marked);
        let mut picked: Vec<_> = marked.map(|(place, _)| Picked::Line(place)).collect();
        if picked.is_empty() {
            picked.push(Picked::Line(self.at));
        }
        Step::Answer(picked)
    }

    fn press(&mut self, key: char) -> Step<Vec<Picked>> {
        let place = self.items.iter().position(|item| item.key == Some(key));
        match place {
            Some(place) => self.choose(place),
            None if self.unlisted.contains(&key) => Step::Answer(vec![Picked::Key(key)]),
            None => Step::Stay,
        }
    }
}

impl Question for List {
    type Answer = Vec<Picked>;

    fn frame(&self, (rows, columns): Size, said: usize) -> Frame {
        let width = columns.saturating_sub(1);
        let mut lines = wrapped(&self.prompt, width);
        lines.truncate(rows.saturating_sub(LEAST).max(1));
        let most = rows.saturating_sub(lines.len());
        let window = self.window(most.saturating_sub(said).max(LEAST).min(most));
        if window.len() < self.items.len()
            && let Some(last) = lines.last_mut()
        {
            let of = self.items.len();
            let more = format!(" ({}-{} of {of})", window.start + 1, window.end);
            if measure_text_width(last) + more.len() <= width {
                last.push_str(&more);
            }
        }
        lines.extend(window.map(|place| self.line(place, columns)));
        Frame {
            lines,
            cursor: None,
        }
    }

    fn key(&mut self, key: Key) -> Step<Vec<Picked>> {
        let last = self.items.len().saturating_sub(1);
        match key {
            Key::ArrowDown | Key::Tab | Key::Char('j') => {
                self.at = if self.at == last { 0 } else { self.at + 1 }
            }
            Key::ArrowUp | Key::BackTab | Key::Char('k') => {
                self.at = self.at.checked_sub(1).unwrap_or(last)
            }
            Key::Home => self.at = 0,
            Key::End => self.at = last,
            Key::PageDown => self.at = (self.at + 10).min(last),
            Key::PageUp => self.at = self.at.saturating_sub(10),
            Key::Char(' ') => return self.choose(self.at),
            Key::Char('a') => {
                if let Some(marks) = &mut self.marks {
                    let all = marks.iter().all(|is_marked| *is_marked);
                    marks.fill(!all);
                }
            }
            Key::Enter => return self.enter(),
            Key::Char('q') => return Step::Back,
            Key::Char(c) => return self.press(c),
            _ => {}
        }
        Step::Stay
    }

    fn is_stale(&self) -> bool {
        let marked = self.items.get(self.at).and_then(|item| item.key);
        let is_stale = self.is_stale.as_ref();
        is_stale.is_some_and(|is_stale| is_stale(marked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize) -> List {
        List::of("Which?", (0..count).map(|n| format!("line {n}")).collect())
    }

    #[test]
    fn what_does_not_fit_is_shown_around_the_marked_line() {
        let mut long = list(10);
        let shown = |list: &List, size, said| list.frame(size, said).lines;
        assert_eq!(shown(&long, (12, 40), 0).len(), 11);
        let lines = shown(&long, (12, 40), 5);
        assert_eq!((lines.len(), &*lines[0]), (7, "Which? (1-6 of 10)"));
        let lines = shown(&long, (12, 40), 50);
        assert_eq!((lines.len(), &*lines[0]), (4, "Which? (1-3 of 10)"));
        assert!(matches!(long.key(Key::ArrowUp), Step::Stay));
        let lines = shown(&long, (6, 40), 0);
        assert_eq!(&*lines[0], "Which? (6-10 of 10)");
        assert!(lines[5].contains("0  line 9"), "{lines:?}");
        // Also those that are not seen have their keys.
        assert!(
            matches!(long.key(Key::Char('2')), Step::Answer(picked) if picked == [Picked::Line(1)])
        );
        assert_eq!(shown(&list(1), (3, 20), 9).len(), 2);
    }

    #[test]
    fn marks_are_taken_and_without_one_the_line_where_one_is() {
        let mut some = list(3);
        some.marks = Some(vec![false; 3]);
        assert!(matches!(some.enter(), Step::Answer(picked) if picked == [Picked::Line(0)]));
        for key in ['3', '1', '3', '2'] {
            assert!(matches!(some.key(Key::Char(key)), Step::Stay));
        }
        let both = [Picked::Line(0), Picked::Line(1)];
        assert!(matches!(some.enter(), Step::Answer(picked) if picked == both));
    }

    #[test]
    fn a_long_list_has_digits_for_the_first_nine() {
        let mut long = list(11);
        assert!(matches!(long.key(Key::Char('0')), Step::Stay));
        assert!(long.frame((24, 80), 0).lines[10].ends_with("line 9"));
        assert!(
            matches!(long.key(Key::Char('9')), Step::Answer(picked) if picked == [Picked::Line(8)])
        );
    }
}
