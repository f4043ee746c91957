//! Results on standard output, talk on standard error.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process,
    sync::OnceLock,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    args::{Command, Global},
    report::ExitCode,
};
use crate::name::escape_json;

/// Why standard output takes nothing more, since it does not. Set once: what a command does goes on without its lines.
static LOST: OnceLock<io::Error> = OnceLock::new();

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
    /// Lines are all that the command is for: without a reader it ends.
    only_shows: bool,
}

impl Output {
    pub(super) fn new(global: &Global, command: Option<&Command>) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            beside_content: command.is_some_and(Command::gives_content),
            only_shows: command.is_some_and(Command::only_shows),
        }
    }

    /// Objects, of a command that could not be understood.
    pub(super) fn of_objects() -> Self {
        Self {
            json: true,
            quiet: false,
            beside_content: false,
            only_shows: true,
        }
    }

    /// A line of the result.
    pub(super) fn line(self, text: impl Display) {
        if !self.json {
            self.write_line(&text.to_string());
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
            (true, false) => self.write_line(&object(event, value)),
            (true, true) => say(&object(event, value)),
        }
    }

    fn write_line(self, text: &str) {
        if LOST.get().is_some() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
            LOST.get_or_init(|| error);
            if self.only_shows {
                process::exit(code_with_output(ExitCode::Ok) as i32);
            }
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

/// How a command that ended with `code` ends if its lines were lost: a reader that went away wanted no more, but a disk that
/// is full has not what the caller believes.
pub(super) fn code_with_output(code: ExitCode) -> ExitCode {
    match LOST.get() {
        Some(error) if code == ExitCode::Ok && error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!(
                "colis: standard output: {error}\nhint: the work is done, its lines are lost: give them room and run it again"
            ));
            ExitCode::Storage
        }
        _ => code,
    }
}
