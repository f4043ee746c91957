//! A numbered list to choose one line from, by its digit or with the arrows.
//!
//! dialoguer's own list knows no digits, and nothing can be shown above it. Where a list does not fit the terminal or has
//! more than ten lines, it is dialoguer's that is shown. The tenth line has the digit 0, as on a keyboard.

use std::io;

use console::{Key, Term, style};
use dialoguer::Select;

use super::{
    ask::{self, Stop},
    plain,
};
use crate::cli::terminal::{self, CTRL_D};

/// The digits of the lines, in their order.
const DIGITS: &str = "1234567890";

/// One of `items`, by its place. Esc goes back.
pub(super) async fn one(prompt: &str, items: Vec<String>) -> Result<usize, Stop> {
    let prompt = prompt.to_owned();
    ask::interact(move |screen| {
        let Some(term) = screen else {
            return Ok(plain::one(&prompt, &items)?);
        };
        let items: Vec<_> = items.iter().map(|item| ask::cut(item)).collect();
        if items.len() <= DIGITS.len() && items.len() + 2 < usize::from(term.size().0) {
            let list = List {
                prompt: prompt.clone(),
                items,
            };
            return Ok(list.choose(term)?);
        }
        let theme = ask::theme();
        // This list knows no digits.
        let prompt = format!("{prompt} (arrow keys, then Enter)");
        let select = Select::with_theme(&*theme).with_prompt(&prompt);
        select.items(items).default(0).interact_on_opt(term)
    })
    .await
}

struct List {
    prompt: String,
    items: Vec<String>,
}

impl List {
    fn choose(&self, term: &Term) -> io::Result<Option<usize>> {
        let mut at = 0;
        let last = self.items.len().saturating_sub(1);
        term.hide_cursor()?;
        terminal::show_list(&self.lines(at), false);
        let chosen = loop {
            match term.read_key_raw()? {
                Key::ArrowDown | Key::Tab | Key::Char('j') => {
                    at = if at == last { 0 } else { at + 1 }
                }
                Key::ArrowUp | Key::BackTab | Key::Char('k') => {
                    at = at.checked_sub(1).unwrap_or(last)
                }
                Key::Home => at = 0,
                Key::End => at = last,
                Key::Enter | Key::Char(' ') => break Some(at),
                Key::Char(digit @ '0'..='9') => {
                    if let Some(place) = DIGITS.find(digit).filter(|place| *place <= last) {
                        break Some(place);
                    }
                }
                Key::Escape | Key::Char('q') => break None,
                Key::Char(CTRL_D) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Key::CtrlC => return Err(io::ErrorKind::Interrupted.into()),
                _ => {}
            }
            terminal::show_list(&self.lines(at), true);
        };
        terminal::clear_list(self.items.len() + 1);
        term.show_cursor()?;
        if let Some(chosen) = chosen {
            terminal::say(&format!("{} {}", self.prompt, self.items[chosen]));
        }
        Ok(chosen)
    }

    fn lines(&self, at: usize) -> Vec<String> {
        let item = |(place, (item, digit)): (usize, (&String, char))| {
            let text = format!("{digit}  {item}");
            if place == at {
                format!("> {}", style(text).for_stderr().cyan())
            } else {
                format!("  {text}")
            }
        };
        let items = self.items.iter().zip(DIGITS.chars()).enumerate().map(item);
        std::iter::once(self.prompt.clone()).chain(items).collect()
    }
}
