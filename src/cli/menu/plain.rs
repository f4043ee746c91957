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
    let prompt = match default {
        Some(default) => format!("{prompt} [{default}]"),
        None => prompt.to_owned(),
    };
    until_right(&prompt, |typed| match (typed.trim().is_empty(), default) {
        (true, None) => Ok(None),
        (true, Some(default)) => check(default).map(|()| Some(default.to_owned())),
        (false, _) => check(typed).map(|()| Some(typed.to_owned())),
    })
}

/// Yes or no; an empty line is a yes.
pub(super) fn yes(prompt: &str) -> io::Result<Option<bool>> {
    ask_yes(prompt).map(Some)
}

/// One of `items`, by its place; none if nothing was typed.
pub(super) fn one(prompt: &str, items: &[String]) -> io::Result<Option<usize>> {
    show(prompt, items);
    until_right("Number", |typed| match typed.trim() {
        "" => Ok(None),
        number => place(number, items.len()).map(Some),
    })
}

/// Some of `items`, by their places, in the order of the list.
pub(super) fn several(prompt: &str, items: &[String]) -> io::Result<Option<Vec<usize>>> {
    show(prompt, items);
    until_right("Numbers, for example 1 3", |typed| {
        let numbers = typed.split(|c: char| c == ',' || c.is_whitespace());
        let numbers = numbers.filter(|number| !number.is_empty());
        let places = numbers.map(|number| place(number, items.len()));
        let mut places = places.collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable();
        places.dedup();
        Ok((!places.is_empty()).then_some(places))
    })
}

fn show(prompt: &str, items: &[String]) {
    say_waiting();
    say(prompt);
    for (place, item) in items.iter().enumerate() {
        say(&format!("  {}  {item}", number(place, items.len())));
    }
}

/// The number of a line. Where digits are enough the tenth has the digit 0, as everywhere in the menu.
fn number(place: usize, count: usize) -> usize {
    if count == 10 {
        (place + 1) % 10
    } else {
        place + 1
    }
}

/// The place of the line with this number.
fn place(typed: &str, count: usize) -> Result<usize, String> {
    let typed_number = typed.parse().ok();
    let mut places = 0..count;
    let found = places.find(|place| Some(number(*place, count)) == typed_number);
    found.ok_or_else(|| "a number of the list".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_list_has_a_number_of_its_own() {
        for count in [1, 2, 9, 10, 11, 25] {
            for at in 0..count {
                assert_eq!(place(&number(at, count).to_string(), count), Ok(at));
            }
            for wrong in ["", "x", "-1", "26", "1.5"] {
                assert!(place(wrong, count).is_err(), "{wrong} of {count}");
            }
        }
        assert_eq!(place("0", 10), Ok(9));
        assert!(place("10", 10).is_err() && place("0", 11).is_err());
    }
}
