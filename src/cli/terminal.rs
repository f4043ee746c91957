//! The person's terminal: what it can show, keys and lines that are taken from it, and lines that appear without breaking
//! a prompt.
//!
//! A process has one terminal, so what is on it is one value here. While a prompt is shown the terminal is in a mode of
//! ours from before its first character to after its last: a key pressed in between is neither echoed nor lost, and
//! Ctrl-C is a key like others, which the prompt answers.

mod line;

use std::{
    collections::VecDeque,
    env,
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use console::{Term, truncate_str};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

pub(super) use line::{ask_no, ask_yes, asked, read_line, read_secret, until_right};

use super::spool::Spool;

/// Lines that wait for the end of a prompt; more of them are only counted.
const MAX_WAITING: usize = 100;
/// Names of terminals of which no escape sequence is known.
const PLAIN: [&str; 5] = ["", "dumb", "unknown", "emacs", "network"];
/// The rows of a question, one line of its list, and the cursor.
const LEAST_ROWS: u16 = 3;
/// Of one column no line can be edited.
const LEAST_COLUMNS: u16 = 2;
/// The byte of Ctrl-C.
const CTRL_C: u8 = 3;
/// The key Ctrl-D: the end of the input.
pub(super) const CTRL_D: char = '\u{4}';

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

/// What standard error can show. Prompts, lists, bars and colours go by this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// A screen whose cursor can be moved, with colours.
    Screen,
    /// Lines, one after the other: no escape sequence may be written.
    Lines,
}

/// Whether a person is there, who reads and types.
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What standard error can show.
pub(super) fn shows() -> Shows {
    match io::stderr().is_terminal() && knows_escapes() && !is_flat() {
        true => Shows::Screen,
        false => Shows::Lines,
    }
}

/// Whether the terminal is too small for a list. One that does not say how large it is is taken for a usual one.
fn is_flat() -> bool {
    let size = Term::stderr().size_checked();
    size.is_some_and(|(rows, columns)| rows < LEAST_ROWS || columns < LEAST_COLUMNS)
}

/// Whether the terminal, by its name, understands escape sequences at all.
pub(super) fn knows_escapes() -> bool {
    let term = env::var_os("TERM");
    term.is_some_and(|term| !PLAIN.iter().any(|plain| term == OsStr::new(plain)))
}

/// What is written here is for the person; a terminal that is gone is noticed by who reads from it.
fn write(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// How long the end of the menu waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Announcements on their way: a terminal that takes nothing, and a prompt that waits for it, must not stop the peer beside it.
static ANNOUNCING: LazyLock<Option<Spool>> = LazyLock::new(|| {
    let gap = |count| format!("... and {count} more\n");
    Spool::to(Announcing, gap, |_| {}).ok()
});

/// Says what waits, when no prompt comes any more.
pub(super) fn say_waiting() {
    if let Some(announcing) = &*ANNOUNCING {
        announcing.drain(PATIENCE);
    }
    screen().say_waiting();
}

/// A line for the person, between prompts.
pub(super) fn say(text: &str) {
    write(&format!("{text}\n"));
}

/// What of the input comes to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Take {
    /// Every key, at once.
    Keys,
    /// Lines, which the terminal itself lets the person correct.
    Lines,
    /// Lines that are not shown.
    HiddenLines,
}

/// The input is ours while this lives.
pub(super) struct Taken(());

impl Taken {
    /// Takes the terminal, after everything that waits was said.
    pub(super) fn new(take: Take) -> io::Result<Self> {
        let mut screen = screen();
        screen.say_waiting();
        let before = tcgetattr(io::stdin())?;
        let mut ours = before.clone();
        ours.local_modes -= LocalModes::ISIG;
        match take {
            Take::Keys => {
                ours.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
                ours.special_codes[SpecialCodeIndex::VMIN] = 1;
                ours.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            Take::Lines | Take::HiddenLines => {
                ours.local_modes |= LocalModes::ICANON;
                // It ends a line, so that it comes without Enter.
                ours.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
            }
        }
        if take == Take::HiddenLines {
            ours.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        }
        tcsetattr(io::stdin(), OptionalActions::Now, &ours)?;
        screen.before.get_or_insert(before);
        Ok(Self(()))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the terminal as it was before the first prompt, with its cursor.
pub(super) fn restore() {
    restored();
}

/// Gives the terminal back while a question is still shown, whose line ends here.
pub(super) fn leave_question() {
    if restored() {
        write("\n");
    }
}

/// Whether there was something to restore.
fn restored() -> bool {
    let mut screen = screen();
    screen.list = None;
    let before = screen.before.take();
    if let Some(before) = &before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        // Also where the terminal was made too small meanwhile.
        if io::stderr().is_terminal() && knows_escapes() {
            let _ = Term::stderr().show_cursor();
        }
    }
    before.is_some()
}

/// Shows `text` soon: above a list, or before the next prompt.
pub(super) fn announce(text: &str) {
    match &*ANNOUNCING {
        Some(announcing) => announcing.push(text.into()),
        None => announce_now(text),
    }
}

fn announce_now(text: &str) {
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

/// Shows `lines` on a screen, in the place of those that were there. Announcements go above them.
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
    screen.list = Some(lines.len());
}

/// Takes the list of `height` lines away.
pub(super) fn clear_list(height: usize) {
    let mut screen = screen();
    screen.list = None;
    write(&format!("\x1b[{height}A\r\x1b[J"));
}

/// Takes an announcement in each piece that is written.
struct Announcing;

impl Write for Announcing {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        announce_now(String::from_utf8_lossy(text).trim_end());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
