//! The person's terminal: keys taken one by one, and lines that appear without breaking a prompt.
//!
//! A process has one terminal, so what is on it is one value here. While a prompt is shown the terminal is in a mode of
//! ours from before its first character to after its last: a key pressed in between is neither echoed nor lost, and
//! Ctrl-C is a key like others, which the prompt answers.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use console::{Key, Term, truncate_str};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

/// Lines that wait for the end of a prompt; more of them are only counted.
const MAX_WAITING: usize = 100;
/// Bytes of a secret that are taken.
const MAX_SECRET: usize = 4096;

static SCREEN: Mutex<Screen> = Mutex::new(Screen {
    before: None,
    list: None,
    waiting: VecDeque::new(),
    left_out: 0,
});

/// What is on the terminal.
struct Screen {
    /// How it was before a prompt took it.
    before: Option<Termios>,
    /// Lines of the list above the cursor, if that is what is shown.
    list: Option<usize>,
    waiting: VecDeque<String>,
    left_out: usize,
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is written here is for the person; a terminal that is gone is noticed by who reads from it.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Says what waits, when no prompt comes any more.
pub(super) fn say_waiting() {
    screen().say_waiting();
}

/// A line for the person, between prompts.
pub(super) fn say(text: &str) {
    write(&format!("{text}\n"));
}

/// Every key comes to us while this lives.
pub(super) struct Keys(());

impl Keys {
    /// Takes the terminal, after everything that waits was said.
    pub(super) fn take() -> io::Result<Self> {
        let mut screen = screen();
        screen.say_waiting();
        let before = tcgetattr(io::stdin())?;
        let mut keys = before.clone();
        keys.local_modes -=
            LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN;
        keys.special_codes[SpecialCodeIndex::VMIN] = 1;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &keys)?;
        screen.before.get_or_insert(before);
        Ok(Self(()))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the terminal as it was before the first prompt, with its cursor.
pub(super) fn restore() {
    let mut screen = screen();
    screen.list = None;
    if let Some(before) = screen.before.take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
        let _ = Term::stderr().show_cursor();
    }
}

/// Shows `text` at once above a list, or before the next prompt.
pub(super) fn announce(text: &str) {
    let mut screen = screen();
    match screen.list {
        Some(height) => write(&above(height, text, Term::stderr().size().1)),
        None if screen.waiting.len() < MAX_WAITING => screen.waiting.push_back(text.to_owned()),
        None => screen.left_out += 1,
    }
}

/// A line above `height` lines that end with the cursor at the beginning of the next one: makes room below, goes to the
/// first, pushes all down by one, and comes back.
fn above(height: usize, text: &str, width: u16) -> String {
    let text = truncate_str(text, usize::from(width.saturating_sub(1)), "...");
    let up = height + 1;
    format!("\n\x1b[{up}A\x1b[L{text}\r\x1b[{up}B")
}

impl Screen {
    fn say_waiting(&mut self) {
        for text in std::mem::take(&mut self.waiting) {
            write(&format!("{text}\n"));
        }
        if self.left_out > 0 {
            write(&format!("... and {} more\n", self.left_out));
            self.left_out = 0;
        }
    }
}

/// Shows `lines`, in the place of those that were there. Announcements go above them if that can be done.
pub(super) fn show_list(lines: &[String], again: bool) {
    let mut text = String::new();
    if again {
        text.push_str(&format!("\x1b[{}A", lines.len()));
    }
    for line in lines {
        text.push_str(&format!("\r\x1b[2K{line}\n"));
    }
    let mut screen = screen();
    write(&text);
    screen.list = (!is_dumb()).then_some(lines.len());
}

/// Takes the list of `height` lines away.
pub(super) fn clear_list(height: usize) {
    let mut screen = screen();
    screen.list = None;
    write(&format!("\x1b[{height}A\r\x1b[J"));
}

/// Whether the terminal knows of no movements.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Asks for something that is not shown. Ctrl-C is [`io::ErrorKind::Interrupted`].
pub(super) fn read_secret(prompt: &str) -> io::Result<Zeroizing<String>> {
    read_typed(prompt, Echo::No)
}

/// Asks for something that is shown while it is typed, and forgotten afterwards.
pub(super) fn read_shown(prompt: &str) -> io::Result<Zeroizing<String>> {
    read_typed(prompt, Echo::Yes)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    Yes,
    No,
}

fn read_typed(prompt: &str, echo: Echo) -> io::Result<Zeroizing<String>> {
    let _keys = Keys::take()?;
    let term = Term::stderr();
    let mut typed = Zeroizing::new(String::with_capacity(MAX_SECRET));
    term.write_str(&format!("{prompt}: "))?;
    loop {
        match term.read_key_raw() {
            Ok(Key::Enter) => break,
            Ok(Key::CtrlC) => {
                term.write_line("")?;
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(Key::Backspace) => {
                if typed.pop().is_some() && echo == Echo::Yes {
                    term.clear_chars(1)?;
                }
            }
            Ok(Key::Char(c)) if !c.is_control() && typed.len() + c.len_utf8() <= MAX_SECRET => {
                typed.push(c);
                if echo == Echo::Yes {
                    term.write_str(c.encode_utf8(&mut [0; 4]))?;
                }
            }
            Ok(_) => {}
            Err(error) => return Err(error),
        }
    }
    term.write_line("")?;
    Ok(typed)
}

/// Where log lines go while the menu has the terminal.
#[derive(Debug, Default)]
pub(super) struct LogWriter(());

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        announce(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_above_a_list_is_cut_to_the_width_and_leaves_the_cursor() {
        assert_eq!(
            above(3, "ben sent a", 80),
            "\n\x1b[4A\x1b[Lben sent a\r\x1b[4B"
        );
        assert!(above(3, &"x".repeat(200), 20).contains(&format!("{}...\r", "x".repeat(16))));
        assert!(above(1, "text", 0).ends_with("\r\x1b[2B"));
    }
}
