//! The person's terminal: what it can show, keys and lines that are taken from it, and lines that appear without breaking
//! a prompt.
//!
//! A process has one terminal, so what is on it is one value here. While a prompt is shown the terminal is in a mode of
//! ours from before its first character to after its last: a key pressed in between is neither echoed nor lost, and
//! Ctrl-C is a key like others, which the prompt answers.

mod edit;
mod keys;
mod line;
mod live;

use std::{
    collections::VecDeque,
    env,
    ffi::OsStr,
    io::{self, IsTerminal as _, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use console::Term;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

pub(super) use edit::Line;
pub(super) use keys::{Left, Question, Step, ask, theme};
pub(super) use line::{ask_no, ask_yes, asked, read_line, read_secret, until_right};
pub(super) use live::{Frame, Size, wrapped};

use super::spool::Spool;
use live::{Live, Said, Status};

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
    live: None,
    status: None,
    is_held: false,
    pages: None,
    said: Said::nothing(),
    waiting: VecDeque::new(),
    left_out: 0,
});

/// What is on the terminal.
struct Screen {
    /// How it was before a prompt took it.
    before: Option<Termios>,
    /// What is drawn at its end: a question, below what runs.
    live: Option<Live>,
    /// What runs.
    status: Option<Status>,
    /// Whether a menu has the terminal: then every line of this process is said here.
    is_held: bool,
    /// Lines that did not fit the screen and are shown page by page, if that is wanted.
    pages: Option<VecDeque<String>>,
    said: Said,
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

impl Drop for Paged {
    fn drop(&mut self) {
        screen().pages = None;
    }
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

/// A line for the person, above the question if there is one.
pub(super) fn say(text: &str) {
    screen().say(text);
}

/// From now on a menu has the terminal. `status` tells what runs, in at most so many lines.
pub(super) fn hold(status: impl Fn(usize) -> Vec<String> + Send + Sync + 'static) {
    let mut screen = screen();
    screen.is_held = true;
    screen.status = Some(std::sync::Arc::new(status));
}

/// Whether a menu has the terminal.
pub(super) fn is_held() -> bool {
    screen().is_held
}

/// While this lives, what does not fit the screen waits for the person to turn the page.
pub(super) struct Paged(());

impl Paged {
    pub(super) fn new() -> Self {
        screen().pages = Some(VecDeque::new());
        Self(())
    }

    /// The rest, page by page, until the person has seen enough.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn finish(self) -> io::Result<()> {
        loop {
            let left = {
                let mut screen = screen();
                let Some(pages) = &mut screen.pages else {
                    return Ok(());
                };
                let left = pages.len();
                if left == 0 {
                    screen.pages = None;
                    return Ok(());
                }
                left
            };
            if shows() == Shows::Screen && keys::ask(&mut keys::More { left })?.is_err() {
                screen().pages = None;
                say(&format!("... and {left} more lines"));
                return Ok(());
            }
            screen().turn_page();
        }
    }
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
    screen.hide();
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
    match &screen.live {
        Some(_) => screen.say(text),
        None if screen.waiting.len() < MAX_WAITING => screen.waiting.push_back(text.to_owned()),
        None => screen.left_out += 1,
    }
}

impl Screen {
    fn say(&mut self, text: &str) {
        let (rows, columns) = live::size();
        let is_full = self.said.rows() + 2 > rows;
        if let Some(pages) = &mut self.pages
            && (is_full || !pages.is_empty())
        {
            return pages.extend(text.split('\n').map(str::to_owned));
        }
        match &self.live {
            Some(live) => write(&format!("{}{text}\n{}", live.erase(), live.draw())),
            None => write(&format!("{text}\n")),
        }
        self.said.note(text, columns);
    }

    /// Says the next page of what waits for that.
    fn turn_page(&mut self) {
        let (rows, _) = live::size();
        let Some(mut pages) = self.pages.take() else {
            return;
        };
        self.said.is_read();
        while self.said.rows() + 2 <= rows.max(4) {
            let Some(line) = pages.pop_front() else { break };
            self.say(&line);
        }
        self.pages = Some(pages);
    }

    fn said_rows(&self) -> usize {
        self.said.rows()
    }

    fn say_waiting(&mut self) {
        for text in std::mem::take(&mut self.waiting) {
            self.say(&text);
        }
        if self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            self.say(&format!("... and {left_out} more"));
        }
    }

    /// Shows a question, below what runs, in the place of what was shown.
    fn show(&mut self, question: impl FnOnce(Size, usize) -> Frame) {
        if self.before.is_none() {
            // The end has come meanwhile.
            return;
        }
        let size = live::size();
        let status = self.status.as_ref().map(|status| status(size.0 / 4));
        let status = status.unwrap_or_default();
        let room = (size.0.saturating_sub(status.len()), size.1);
        let new = Live::of(question(room, self.said.rows()), status, size);
        write(&match &self.live {
            None => new.draw(),
            Some(old) if old.size() == size => new.replace(old),
            Some(_) => new.draw_anew(&self.said),
        });
        self.live = Some(new);
    }

    /// Takes the question away.
    fn hide(&mut self) {
        if let Some(live) = self.live.take() {
            write(&format!("{}\x1b[?25h", live.erase()));
            self.said.is_read();
        }
    }
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
