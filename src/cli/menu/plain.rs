//! The questions of the menu on a terminal that shows lines only: a list is printed once with its numbers, and every
//! answer is a line that ends with Enter.

use std::io;

use super::ask::Check;
use crate::cli::terminal::{ask_yes, say, say_waiting, until_right};

/// A line of text; none if nothing was typed and there is no default.
pub(super) fn text(
    prompt: &str,
    default: Option<&str>,
    check: &Check,
) -> io::Result<Option<String>> {
    until_right(&with_default(prompt, default), |typed| {
        match (typed.trim().is_empty(), default) {
            (true, None) => Ok(None),
            (true, Some(default)) => check(default).map(|()| Some(default.to_owned())),
            (false, _) => check(typed).map(|()| Some(typed.to_owned())),
        }
    })
}

/// A line of text; what is typed is asked for until it is right.
pub(super) fn needed(prompt: &str, default: Option<&str>, check: &Check) -> io::Result<String> {
    until_right(&with_default(prompt, default), |typed| {
        let text = match (typed.trim().is_empty(), default) {
            (true, Some(default)) => default,
            _ => typed,
        };
        check(text).map(|()| text.to_owned())
    })
}

fn with_default(prompt: &str, default: Option<&str>) -> String {
    match default {
        Some(default) => format!("{prompt} [{default}]"),
        None => prompt.to_owned(),
    }
}

/// Yes or no; an empty line is `default`.
pub(super) fn yes(prompt: &str, default: bool) -> io::Result<bool> {
    ask_yes(prompt, default)
}

/// A line of a list: its number, and its text.
type Numbered<'a> = (String, &'a str);

/// One of `items`, by its place, or one of `unlisted`, whose places follow; none if nothing was typed.
pub(super) fn one(
    prompt: &str,
    items: &[Numbered<'_>],
    unlisted: &[String],
) -> io::Result<Option<usize>> {
    show(prompt, items);
    let numbers = items.iter().map(|(number, _)| number).chain(unlisted);
    let numbers: Vec<_> = numbers.collect();
    until_right("Number", |typed| match typed.trim() {
        "" => Ok(None),
        number => place(number, &numbers).map(Some),
    })
}

/// Some of `items`, by their places, in the order of the list.
pub(super) fn several(prompt: &str, items: &[Numbered<'_>]) -> io::Result<Option<Vec<usize>>> {
    show(prompt, items);
    let known: Vec<_> = items.iter().map(|(number, _)| number).collect();
    until_right("Numbers, for example 1 3", |typed| {
        let numbers = typed.split(|c: char| c == ',' || c.is_whitespace());
        let numbers = numbers.filter(|number| !number.is_empty());
        let places = numbers.map(|number| place(number, &known));
        let mut places = places.collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable();
        places.dedup();
        Ok((!places.is_empty()).then_some(places))
    })
}

fn show(prompt: &str, items: &[Numbered<'_>]) {
    say_waiting();
    say(prompt);
    for (number, item) in items {
        say(&format!("  {number}  {item}"));
    }
}

/// The place of the line with this number.
fn place(typed: &str, numbers: &[&String]) -> Result<usize, String> {
    let found = numbers.iter().position(|number| *number == typed);
    found.ok_or_else(|| "a number of the list".to_owned())
}
