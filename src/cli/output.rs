//! Results on standard output, talk on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::args::{Command, Global};
use crate::name::escape_json;

/// `1 chunk`, `2 chunks`.
pub(super) fn count(number: u64, what: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { what } else { many })
}

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// Standard output has the content of a file: objects go to standard error.
    pub(super) beside_content: bool,
}

impl Output {
    pub(super) fn new(global: &Global, command: Option<&Command>) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            beside_content: command.is_some_and(Command::gives_content),
        }
    }

    /// A line of the result.
    pub(super) fn line(self, text: impl Display) {
        if !self.json {
            write_line(&mut io::stdout().lock(), &text.to_string());
        }
    }

    /// A line for the person, which is no result.
    pub(super) fn talk(self, text: impl Display) {
        if !self.json && !self.quiet {
            say(&text.to_string());
        }
    }

    /// A line for the person that must be seen.
    pub(super) fn warn(self, text: impl Display) {
        if !self.json {
            say(&text.to_string());
        }
    }

    /// The result for programs: one object a line, with the version of what it has.
    pub(super) fn object(self, event: &str, value: &impl Serialize) {
        match (self.json, self.beside_content) {
            (false, _) => {}
            (true, false) => write_line(&mut io::stdout().lock(), &object(event, value)),
            (true, true) => say(&object(event, value)),
        }
    }

    /// Something that happened while we do something else: a line or an object, and if nobody reads it, nothing.
    pub(super) fn happened(self, text: impl Display, event: &str, value: &impl Serialize) {
        let line = if self.json {
            object(event, value)
        } else {
            text.to_string()
        };
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// The last object, of a failure: nobody reading it changes nothing.
    pub(super) fn last_object(self, value: &Value) {
        let text = escape_json(&value.to_string());
        if self.beside_content {
            return say(&text);
        }
        let _ = writeln!(io::stdout().lock(), "{text}");
    }
}

fn object(event: &str, value: &impl Serialize) -> String {
    let mut object = Map::new();
    object.insert("v".into(), 1.into());
    object.insert("event".into(), event.into());
    if let Ok(Value::Object(fields)) = serde_json::to_value(value) {
        object.extend(fields);
    }
    escape_json(&Value::Object(object).to_string())
}

/// Talk that nobody hears changes nothing.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whoever does not read on wants no more: that is no failure.
fn write_line(out: &mut impl io::Write, text: &str) {
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
