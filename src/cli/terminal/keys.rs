//! Questions that take keys. Each is drawn by this one loop, and left by the same keys: Esc, Ctrl-D and Ctrl-C.
//!
//! dialoguer's own loops know no Ctrl-D, draw nothing above a question, and do not see that the screen has another size;
//! what they look like is its theme, here too.

use std::io;

use console::{Key, Term};
use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use super::{
    CTRL_D, Shows, Take, Taken,
    live::{self, Frame, Size},
    screen, shows,
};

/// How often what runs in the background and the size of the screen are looked at.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// Rows of a question that is shown together with what was said before it.
const LEAST: usize = 5;

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Left {
    /// By Esc.
    Back,
    /// By Ctrl-D.
    Ended,
    /// By Ctrl-C.
    Interrupted,
    /// The screen became too small for it.
    TooSmall,
    /// What it asks is not so any more.
    Stale,
}

/// What a key did.
#[derive(Debug)]
pub(in crate::cli) enum Step<T> {
    /// The question stays.
    Stay,
    /// It is answered.
    Answer(T),
    /// It is left, as by Esc.
    Back,
}

/// A question on a screen.
pub(in crate::cli) trait Question {
    /// What answers it.
    type Answer;

    /// How it looks on a screen of `size`, of which `said` rows should stay visible.
    fn frame(&self, size: Size, said: usize) -> Frame;

    /// Takes a key.
    fn key(&mut self, key: Key) -> Step<Self::Answer>;

    /// Whether it has to be asked in another way now.
    fn is_stale(&self) -> bool {
        false
    }
}

/// Asks until there is an answer, or the person leaves.
///
/// # Errors
/// The terminal is gone.
pub(in crate::cli) fn ask<Q: Question>(question: &mut Q) -> io::Result<Result<Q::Answer, Left>> {
    let _taken = Taken::new(Take::Keys)?;
    let (rows, _) = live::size();
    // Pages that are turned were read.
    if screen().pages.is_none() && screen().said_rows() + LEAST > rows && rows > LEAST {
        // What was said would be scrolled away unread. Whatever key goes on, nothing was asked yet that it could leave.
        let _ = answered(&mut GoOn)?;
    }
    answered(question)
}

fn answered<Q: Question>(question: &mut Q) -> io::Result<Result<Q::Answer, Left>> {
    let term = Term::stderr();
    let answered = loop {
        if shows() == Shows::Lines {
            break Err(Left::TooSmall);
        }
        if question.is_stale() {
            break Err(Left::Stale);
        }
        screen().show(|size, said| question.frame(size, said));
        if !is_readable()? {
            continue;
        }
        let step = match term.read_key_raw()? {
            Key::Escape => break Err(Left::Back),
            Key::Char(CTRL_D) => break Err(Left::Ended),
            Key::CtrlC => break Err(Left::Interrupted),
            key => question.key(key),
        };
        match step {
            Step::Stay => {}
            Step::Answer(answer) => break Ok(answer),
            Step::Back => break Err(Left::Back),
        }
    };
    screen().hide();
    Ok(answered)
}

/// Whether a key was pressed, within a moment.
fn is_readable() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut input = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut input, Some(&TICK)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Waits until what was said is read.
struct GoOn;

impl Question for GoOn {
    type Answer = ();

    fn frame(&self, _: Size, _: usize) -> Frame {
        Frame {
            lines: vec!["-- Enter goes on --".to_owned()],
            cursor: None,
        }
    }

    fn key(&mut self, key: Key) -> Step<()> {
        match key {
            Key::Enter | Key::Char(' ' | 'q') => Step::Answer(()),
            _ => Step::Stay,
        }
    }
}

/// Waits until a page of what was said is read.
pub(super) struct More {
    pub(super) left: usize,
}

impl Question for More {
    type Answer = ();

    fn frame(&self, _: Size, _: usize) -> Frame {
        let left = self.left;
        Frame {
            lines: vec![format!(
                "-- {left} more lines: Enter shows them, Esc does not --"
            )],
            cursor: None,
        }
    }

    fn key(&mut self, key: Key) -> Step<()> {
        match key {
            Key::Enter | Key::Char(' ') | Key::ArrowDown | Key::PageDown => Step::Answer(()),
            Key::Char('q') => Step::Back,
            _ => Step::Stay,
        }
    }
}

/// How questions look: with colours only where they are wanted.
pub(in crate::cli) fn theme() -> Box<dyn Theme> {
    match console::colors_enabled_stderr() {
        true => Box::new(ColorfulTheme::default()),
        false => Box::new(SimpleTheme),
    }
}
