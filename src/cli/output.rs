//! Results on standard output, talk on standard error.

use std::{
    fmt::Display,
    fs::File,
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd,
    process,
    sync::OnceLock,
    time::Duration,
};

use rustix::fs;
use serde_json::{Map, Value};

use super::{
    args::{Command, Global},
    panics,
    report::ExitCode,
    show::table,
    spool::Spool,
    terminal,
};
use crate::{config::units::count, name::escape_json, session::Event};

/// Why standard output takes nothing more, since it does not. Set once: what a command does goes on without its lines.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// How long the end of the process waits for a reader to take what is left, for each stream.
const PATIENCE: Duration = Duration::from_secs(1);

/// Standard output and standard error, once lines must not wait for their readers.
static SPOOLED: OnceLock<Spooled> = OnceLock::new();

struct Spooled {
    out: Spool,
    err: Spool,
}

/// From now on threads of their own write the lines of both streams: for commands that serve, which a reader that stops
/// reading must not stop. Without such threads the lines are written as before.
pub(super) fn spool(json: bool) -> io::Result<()> {
    let gap_of_lines = |number| {
        let dropped = count(number, "line was", "lines were");
        format!("colis: {dropped} dropped here: not read\n")
    };
    let gap_of_objects = |count| {
        let dropped = Event::Dropped { count };
        format!("{}\n", line_of(&dropped))
    };
    let gap = if json { gap_of_objects } else { gap_of_lines };
    let lost = |error| drop(LOST.set(error));
    let out = Spool::to(unbuffered(&io::stdout())?, gap, lost)?;
    let err = match is_one() {
        true => out.clone(),
        false => Spool::to(unbuffered(&io::stderr())?, gap_of_lines, |_| {})?,
    };
    let _ = SPOOLED.set(Spooled { out, err });
    Ok(())
}

/// Whether both streams go to one terminal, pipe or file. There the lines of both must stay in their order.
fn is_one() -> bool {
    let place = |stat: fs::Stat| (stat.st_dev, stat.st_ino);
    let (out, err) = (fs::fstat(io::stdout()), fs::fstat(io::stderr()));
    out.map(place).ok() == err.map(place).ok()
}

/// A descriptor of its own: no lock of the process is held while a reader is waited for.
fn unbuffered(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Gives the readers a moment to take what is left.
pub(super) fn finish() {
    if let Some(spooled) = SPOOLED.get() {
        spooled.out.drain(PATIENCE);
        spooled.err.drain(PATIENCE);
    }
}

/// Standard error for log lines, each of which is written in one piece.
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        write_talk(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Talk that nobody hears changes nothing.
fn write_talk(bytes: &[u8]) {
    match SPOOLED.get() {
        Some(spooled) => spooled.err.push(bytes.to_owned()),
        None if terminal::is_held() => {
            terminal::say(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        }
        None => {
            let _ = io::stderr().lock().write_all(bytes);
        }
    }
}

/// Writes a line of the result, or leaves it to the thread that does.
fn write_result(line: &str) -> io::Result<()> {
    if let Some(spooled) = SPOOLED.get() {
        spooled.out.push(format!("{line}\n").into_bytes());
        return Ok(());
    }
    if terminal::is_held() && io::stdout().is_terminal() {
        terminal::say(line);
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) quiet: bool,
    /// What is longer than the terminal is shown by a pager.
    pub(super) pages: bool,
    /// Standard output has the content of a file: objects go to standard error.
    pub(super) beside_content: bool,
    /// Lines are all that the command is for: without a reader it ends.
    pub(super) only_shows: bool,
    /// It runs beside the questions of a menu, which its lines must not wait for.
    pub(super) beside: bool,
}

impl Output {
    pub(super) fn new(global: &Global, command: Option<&Command>) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            pages: !global.no_pager,
            beside_content: command.is_some_and(Command::gives_content),
            only_shows: command.is_some_and(Command::only_shows),
            beside: false,
        }
    }

    /// Of a command line that could not be understood.
    pub(super) fn of_mistake(json: bool) -> Self {
        Self {
            json,
            quiet: false,
            pages: false,
            beside_content: false,
            only_shows: true,
            beside: false,
        }
    }

    /// A line of the result.
    pub(super) fn line(self, text: impl Display) {
        if !self.json
            && let Some(text) = table::add_line(self, text.to_string(), false)
        {
            self.write_line(&text);
        }
    }

    /// A line of the result, of no list that is open.
    pub(super) fn line_now(self, text: &str) {
        if !self.json {
            self.write_line(text);
        }
    }

    /// A line for the person, of no list that is open.
    pub(super) fn talk_now(self, text: &str) {
        if !self.json && !self.quiet {
            self.say(text);
        }
    }

    /// A line for the person, which is no result.
    pub(super) fn talk(self, text: impl Display) {
        if !self.json
            && !self.quiet
            && let Some(text) = table::add_line(self, text.to_string(), true)
        {
            self.say(&text);
        }
    }

    /// A line for the person that must be seen.
    pub(super) fn warn(self, text: impl Display) {
        if !self.json {
            self.say(&text.to_string());
        }
    }

    /// An event of the session, for programs.
    pub(super) fn event(self, event: &Event) {
        match (self.json, self.beside_content) {
            (false, _) => {}
            (true, false) => self.write_line(&line_of(event)),
            (true, true) => say(&line_of(event)),
        }
    }

    fn say(self, text: &str) {
        match self.beside {
            true => terminal::announce(text),
            false => say(text),
        }
    }

    fn write_line(self, text: &str) {
        if self.beside {
            return terminal::announce(text);
        }
        if LOST.get().is_some() {
            return;
        }
        if let Err(error) = write_result(text) {
            LOST.get_or_init(|| error);
            if self.only_shows {
                process::exit(panics::exit_code(code_with_output(ExitCode::Ok, true)).into());
            }
        }
    }

    /// The last event, of a failure: nobody reading it changes nothing.
    pub(super) fn last_event(self, event: &Event) {
        let text = line_of(event);
        if self.beside_content {
            return say(&text);
        }
        let _ = write_result(&text);
    }
}

/// An event as programs read it.
fn line_of(event: &Event) -> String {
    let mut object = Map::from_iter([("v".to_owned(), 1.into())]);
    if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
        object.extend(fields);
    }
    escape_json(&Value::Object(object).to_string())
}

/// A line for the person.
pub(super) fn say(text: &str) {
    write_talk(format!("{text}\n").as_bytes());
}

/// How a command that ended with `code` ends if its lines were lost: a reader that went away wanted no more, but a disk that
/// is full has not what the caller believes.
pub(super) fn code_with_output(code: ExitCode, only_shows: bool) -> ExitCode {
    match LOST.get() {
        Some(error) if code == ExitCode::Ok && error.kind() != io::ErrorKind::BrokenPipe => {
            let hint = match only_shows {
                true => "its lines are lost: give them room and run it again",
                // Again it may be done a second time.
                false => "the work is done, and need not be done again: only its lines are lost",
            };
            say(&format!("colis: standard output: {error}\nhint: {hint}"));
            ExitCode::Storage
        }
        _ => code,
    }
}
