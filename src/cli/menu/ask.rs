//! Questions, one at a time, on a thread that may wait for keys.

use std::io;

use console::{Key, Term};
use dialoguer::Completion;

use super::{plain, words::Words};
use crate::cli::{
    report::Failure,
    terminal::{self, Frame, Left, Line, Question, Shows, Size, Step, wrapped},
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The person goes back: Esc, or nothing was typed.
    Back,
    /// The end of the input, Ctrl-D: goes back too, and leaves where there is nothing to go back to.
    Ended,
    /// Ctrl-C.
    Interrupted,
    /// The terminal is gone.
    Closed,
    /// What was asked is not so any more, and has to be asked anew.
    Stale,
    /// The peer that serves here is to end, and this command is to run then: it may make another peer of this home.
    Anew(Words),
    /// What was to be done failed.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure.is_left() {
            true => Self::Back,
            false => Self::Failed(failure),
        }
    }
}

/// Checks what was typed; what is wrong is said and asked again.
pub(super) type Check = Box<dyn Fn(&str) -> Result<(), String> + Send>;

/// A line of text. Nothing goes back, unless there is a default.
pub(super) async fn text(
    prompt: &str,
    default: Option<String>,
    check: Check,
) -> Result<String, Stop> {
    line(prompt.to_owned(), default, check, Help::None).await
}

/// A line of text that must be one: `check` says what is wrong with an empty line, which goes nowhere.
pub(super) async fn needed(
    prompt: &str,
    default: Option<String>,
    check: Check,
) -> Result<String, Stop> {
    line(prompt.to_owned(), default, check, Help::Needed).await
}

/// A line of text that Tab completes.
pub(super) async fn completed(
    prompt: &str,
    check: Check,
    completion: impl Completion + Send + 'static,
) -> Result<String, Stop> {
    let help = Help::Completed(Box::new(completion));
    line(prompt.to_owned(), None, check, help).await
}

/// A line of text, for which `instead` proposes what can be typed in the place of what is wrong.
pub(super) async fn proposed(
    prompt: &str,
    check: Check,
    instead: fn(&str) -> Option<String>,
) -> Result<String, Stop> {
    line(prompt.to_owned(), None, check, Help::Instead(instead)).await
}

/// What helps to type a line.
enum Help {
    None,
    /// No line goes back.
    Needed,
    Completed(Box<dyn Completion + Send>),
    Instead(fn(&str) -> Option<String>),
}

async fn line(
    prompt: String,
    default: Option<String>,
    check: Check,
    help: Help,
) -> Result<String, Stop> {
    interact(move || {
        let mut line = Line::new(&prompt, &*check).default(default.as_deref());
        line = match &help {
            Help::None => line,
            Help::Needed if default.is_none() => line.or_nothing(),
            Help::Needed => line,
            Help::Completed(completion) => line.completion(&**completion),
            Help::Instead(instead) => line.instead(instead),
        };
        let typed = match on_screen(&mut line)? {
            Some(typed) => typed.map(|typed| typed.to_string()),
            None if matches!(help, Help::Needed) => {
                return or_back(plain::needed(&prompt, default.as_deref(), &check).map(Some));
            }
            None => return or_back(plain::text(&prompt, default.as_deref(), &check)),
        };
        if let Ok(typed) = &typed {
            terminal::say(&format!("{prompt}: {typed}"));
        }
        Ok(typed)
    })
    .await
}

/// Yes or no; Enter says yes.
pub(super) async fn yes(prompt: &str) -> Result<bool, Stop> {
    confirm(prompt, true).await
}

/// Yes or no before something that cannot be undone, or not easily; Enter says no.
pub(super) async fn sure(prompt: &str) -> Result<bool, Stop> {
    confirm(prompt, false).await
}

async fn confirm(prompt: &str, default: bool) -> Result<bool, Stop> {
    let prompt = prompt.to_owned();
    interact(move || {
        let mut question = Confirm {
            prompt: prompt.clone(),
            default,
        };
        let Some(answer) = on_screen(&mut question)? else {
            return or_back(plain::yes(&prompt, default).map(Some));
        };
        if let Ok(yes) = answer {
            terminal::say(&format!("{prompt} {}", if yes { "yes" } else { "no" }));
        }
        Ok(answer)
    })
    .await
}

struct Confirm {
    prompt: String,
    default: bool,
}

impl Question for Confirm {
    type Answer = bool;

    fn frame(&self, (_, columns): Size, _: usize) -> Frame {
        let mut prompt = String::new();
        let theme = terminal::theme();
        if theme
            .format_confirm_prompt(&mut prompt, &self.prompt, Some(self.default))
            .is_err()
        {
            prompt.clone_from(&self.prompt);
        }
        let lines = wrapped(prompt.trim_end(), columns.saturating_sub(2));
        let last = lines.last().map(|line| console::measure_text_width(line));
        let cursor = (lines.len().saturating_sub(1), last.unwrap_or(0) + 1);
        Frame {
            lines,
            cursor: Some(cursor),
        }
    }

    fn key(&mut self, key: Key) -> Step<bool> {
        match key {
            Key::Char('y' | 'Y') => Step::Answer(true),
            Key::Char('n' | 'N') => Step::Answer(false),
            Key::Enter => Step::Answer(self.default),
            Key::Char('q') => Step::Back,
            _ => Step::Stay,
        }
    }
}

/// Asks where there is a screen; none where there is none.
pub(super) fn on_screen<Q: Question>(
    question: &mut Q,
) -> io::Result<Option<Result<Q::Answer, Left>>> {
    if terminal::shows() == Shows::Lines {
        return Ok(None);
    }
    match terminal::ask(question) {
        Ok(Err(Left::TooSmall)) => Ok(None),
        Ok(answered) => Ok(Some(answered)),
        // Its end is no key.
        Err(_) => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// An answer in lines, of which none goes back.
pub(super) fn or_back<T>(answered: io::Result<Option<T>>) -> io::Result<Result<T, Left>> {
    match answered {
        Ok(answer) => Ok(answer.ok_or(Left::Back)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Err(Left::Interrupted)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(Left::Ended)),
        Err(error) => Err(error),
    }
}

/// Asks on a thread that may wait.
pub(super) async fn interact<T: Send + 'static>(
    ask: impl FnOnce() -> io::Result<Result<T, Left>> + Send + 'static,
) -> Result<T, Stop> {
    let answered = tokio::task::spawn_blocking(ask).await;
    match answered {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(left))) => Err(match left {
            Left::Back => Stop::Back,
            Left::Interrupted => Stop::Interrupted,
            Left::Stale => Stop::Stale,
            Left::Ended | Left::TooSmall => Stop::Ended,
        }),
        Ok(Err(_)) | Err(_) => Err(Stop::Closed),
    }
}

/// `text` on one line of the screen beside the marks of a list. It must be fit for a terminal already.
pub(super) fn cut(text: &str) -> String {
    if terminal::shows() == Shows::Lines {
        return text.to_owned();
    }
    let width = usize::from(Term::stderr().size().1).saturating_sub(8);
    console::truncate_str(text, width.max(16), "...").into_owned()
}
