//! A line of text on a screen, edited by keys.

use console::{Key, measure_text_width};
use dialoguer::Completion;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    keys::{Question, Step, theme},
    live::{Frame, Size, wrapped},
};

/// Characters of a line that are taken.
const MAX: usize = 4096;
const CTRL_K: char = '\u{b}';
const CTRL_U: char = '\u{15}';
const CTRL_W: char = '\u{17}';
const TAB: char = '\t';

/// Checks what was typed, and says what is wrong with it.
pub(in crate::cli) type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// A question that a line of text answers. An empty line is its default, or goes back.
pub(in crate::cli) struct Line<'a> {
    prompt: String,
    default: Option<&'a str>,
    check: Check<'a>,
    /// What can be typed instead of what is wrong.
    instead: &'a dyn Fn(&str) -> Option<String>,
    completion: Option<&'a dyn Completion>,
    is_hidden: bool,
    /// Whether an empty line is an answer.
    may_be_empty: bool,
    typed: Vec<char>,
    at: usize,
    wrong: Option<String>,
}

impl<'a> Line<'a> {
    pub(in crate::cli) fn new(prompt: &str, check: Check<'a>) -> Self {
        Self {
            prompt: prompt.to_owned(),
            default: None,
            check,
            instead: &|_| None,
            completion: None,
            is_hidden: false,
            may_be_empty: false,
            // A secret must not be left behind in memory by a vector that grows.
            typed: Vec::with_capacity(MAX),
            at: 0,
            wrong: None,
        }
    }

    pub(in crate::cli) fn default(mut self, default: Option<&'a str>) -> Self {
        self.default = default;
        self
    }

    pub(in crate::cli) fn instead(mut self, instead: &'a dyn Fn(&str) -> Option<String>) -> Self {
        self.instead = instead;
        self
    }

    pub(in crate::cli) fn completion(mut self, completion: &'a dyn Completion) -> Self {
        self.completion = Some(completion);
        self
    }

    /// An empty line is an answer too.
    pub(in crate::cli) fn or_nothing(mut self) -> Self {
        self.may_be_empty = true;
        self
    }

    /// What is typed is not shown.
    pub(in crate::cli) fn hidden(mut self) -> Self {
        (self.is_hidden, self.may_be_empty) = (true, true);
        self
    }

    fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(4 * self.typed.len()));
        text.extend(&self.typed);
        text
    }

    fn set(&mut self, text: &str) {
        self.typed.zeroize();
        self.typed.extend(text.chars().take(MAX));
        self.at = self.typed.len();
    }

    fn insert(&mut self, c: char) {
        if self.typed.len() < MAX {
            self.typed.insert(self.at, c);
            self.at += 1;
        }
    }

    /// Takes away from `from` to the cursor.
    fn cut_from(&mut self, from: usize) {
        self.typed.drain(from..self.at);
        self.at = from;
    }

    /// Where the word before the cursor begins.
    fn word(&self) -> usize {
        let before = &self.typed[..self.at];
        let end = before.iter().rposition(|c| !c.is_whitespace());
        let Some(end) = end else { return 0 };
        let gap = before[..end].iter().rposition(|c| c.is_whitespace());
        gap.map_or(0, |gap| gap + 1)
    }

    fn complete(&mut self) {
        let text = self.text();
        if let Some(completed) = self.completion.and_then(|completion| completion.get(&text)) {
            self.set(&completed);
        }
    }

    fn enter(&mut self) -> Step<Zeroizing<String>> {
        let mut text = self.text();
        if text.trim().is_empty() && !self.may_be_empty {
            match self.default {
                Some(default) => text = Zeroizing::new(default.to_owned()),
                None => return Step::Back,
            }
        }
        let Err(wrong) = (self.check)(&text) else {
            return Step::Answer(text);
        };
        self.wrong = Some(wrong);
        let instead = (self.instead)(&text);
        self.set(instead.as_deref().unwrap_or_default());
        Step::Stay
    }

    fn prompt(&self) -> String {
        let mut prompt = String::new();
        let drawn = match self.is_hidden {
            true => theme().format_prompt(&mut prompt, &self.prompt),
            false => theme().format_input_prompt(&mut prompt, &self.prompt, self.default),
        };
        match drawn {
            Ok(()) if self.is_hidden => format!("{} ", prompt.trim_end()),
            Ok(()) => prompt,
            Err(_) => format!("{}: ", self.prompt),
        }
    }

    /// The part of what is typed that fits into `width`, and the column of the cursor in it.
    fn visible(&self, width: usize) -> (String, usize) {
        if self.is_hidden {
            return (String::new(), 0);
        }
        let shown = |c: &char| if c.is_control() { ' ' } else { *c };
        let width_of = |c: &char| measure_text_width(shown(c).encode_utf8(&mut [0; 4]));
        let mut from = self.at;
        let mut before = 0;
        while from > 0 && before + width_of(&self.typed[from - 1]) < width {
            from -= 1;
            before += width_of(&self.typed[from]);
        }
        let (mut text, mut taken) = (String::new(), 0);
        for c in &self.typed[from..] {
            taken += width_of(c);
            if taken > width {
                break;
            }
            text.push(shown(c));
        }
        (text, before)
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.typed.zeroize();
    }
}

impl Question for Line<'_> {
    type Answer = Zeroizing<String>;

    fn frame(&self, (_, columns): Size, _: usize) -> Frame {
        let width = columns.saturating_sub(1).max(1);
        let mut lines = Vec::new();
        if let Some(wrong) = &self.wrong {
            lines.extend(wrapped(&format!("x {wrong}"), width));
        }
        let mut prompt = self.prompt();
        // A long question leaves no room for its answer on its line.
        if measure_text_width(&prompt) > width / 2 && measure_text_width(&prompt) + 24 > width {
            lines.extend(wrapped(prompt.trim_end(), width));
            prompt = "> ".to_owned();
        }
        let begin = measure_text_width(&prompt);
        let (text, column) = self.visible(width.saturating_sub(begin).max(1));
        lines.push(format!("{prompt}{text}"));
        let row = lines.len() - 1;
        Frame {
            lines,
            cursor: Some((row, begin + column)),
        }
    }

    fn key(&mut self, key: Key) -> Step<Zeroizing<String>> {
        if !matches!(key, Key::Enter) {
            self.wrong = None;
        }
        match key {
            Key::Enter => return self.enter(),
            Key::Tab | Key::Char(TAB) => self.complete(),
            Key::Backspace if self.at > 0 => self.cut_from(self.at - 1),
            Key::Del if self.at < self.typed.len() => {
                self.typed.remove(self.at);
            }
            Key::ArrowLeft => self.at = self.at.saturating_sub(1),
            Key::ArrowRight => self.at = (self.at + 1).min(self.typed.len()),
            Key::Home => self.at = 0,
            Key::End => self.at = self.typed.len(),
            Key::Char(CTRL_U) => self.set(""),
            Key::Char(CTRL_K) => self.typed.truncate(self.at),
            Key::Char(CTRL_W) => self.cut_from(self.word()),
            Key::Char(c) if !c.is_control() => self.insert(c),
            _ => {}
        }
        Step::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line<'_>, keys: impl IntoIterator<Item = Key>) {
        keys.into_iter().for_each(|key| drop(line.key(key)));
    }

    fn chars(text: &str) -> Vec<Key> {
        text.chars().map(Key::Char).collect()
    }

    #[test]
    fn a_line_is_edited_by_the_keys_that_shells_have() {
        let mut line = Line::new("Name", &|_| Ok(()));
        press(&mut line, chars("one two"));
        press(&mut line, [Key::Char(CTRL_W)]);
        assert_eq!(*line.text(), "one ");
        press(
            &mut line,
            [Key::Home, Key::Del, Key::ArrowRight, Key::Backspace],
        );
        assert_eq!(*line.text(), "e ");
        press(
            &mut line,
            [Key::End, Key::Char('\u{e9}'), Key::Char(CTRL_U)],
        );
        assert_eq!(*line.text(), "");
        press(&mut line, chars("abc"));
        press(
            &mut line,
            [Key::ArrowLeft, Key::Char(CTRL_K), Key::Char('\u{7}')],
        );
        assert_eq!(*line.text(), "ab");
    }

    #[test]
    fn what_is_wrong_is_said_once_and_replaced_by_what_is_right() {
        let check = |text: &str| match text {
            "ben" => Ok(()),
            _ => Err(format!("{text} is no name")),
        };
        let instead = |_: &str| Some("ben".to_owned());
        let mut line = Line::new("Name", &check).instead(&instead);
        press(&mut line, chars("Ben!"));
        assert!(matches!(line.key(Key::Enter), Step::Stay));
        let shown = line.frame((24, 80), 0).lines;
        assert_eq!(shown[0], "x Ben! is no name");
        assert!(shown[1].ends_with("ben"), "{shown:?}");
        let Step::Answer(answer) = line.key(Key::Enter) else {
            panic!("no answer");
        };
        assert_eq!(*answer, "ben");
    }

    #[test]
    fn the_part_around_the_cursor_is_what_is_seen() {
        let mut line = Line::new("N", &|_| Ok(()));
        press(&mut line, chars("abcdefghij"));
        assert_eq!(line.visible(5), ("ghij".to_owned(), 4));
        press(&mut line, [Key::Home]);
        assert_eq!(line.visible(5), ("abcde".to_owned(), 0));
        press(&mut line, chars("\u{65e5}"));
        assert_eq!(line.visible(5), ("\u{65e5}abc".to_owned(), 2));
    }
}
