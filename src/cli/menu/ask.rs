//! Questions, one at a time, on a thread that may wait for keys.

use std::io;

use console::Term;
use dialoguer::{
    Completion, Confirm, Input, MultiSelect,
    theme::{ColorfulTheme, SimpleTheme, Theme},
};

use super::{plain, words::Words};
use crate::cli::{
    panics,
    report::Failure,
    terminal::{self, Shows, Take, Taken},
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
    /// The peer that serves here is to end, and this command is to run then: it may make another peer of this home.
    Anew(Words),
    /// What was to be done failed.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
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
    line(prompt.to_owned(), default, check, NoCompletion).await
}

/// A line of text that Tab completes.
pub(super) async fn completed(
    prompt: &str,
    check: Check,
    completion: impl Completion + Send + 'static,
) -> Result<String, Stop> {
    line(prompt.to_owned(), None, check, completion).await
}

async fn line(
    prompt: String,
    default: Option<String>,
    check: Check,
    completion: impl Completion + Send + 'static,
) -> Result<String, Stop> {
    interact(move |screen| {
        let Some(term) = screen else {
            return Ok(plain::text(&prompt, default.as_deref(), &check)?);
        };
        let theme = theme();
        let mut input = Input::<String>::with_theme(&*theme)
            .with_prompt(&prompt)
            .completion_with(&completion)
            .validate_with(|text: &String| {
                if text.trim().is_empty() {
                    Ok(())
                } else {
                    check(text)
                }
            });
        input = match &default {
            Some(default) => input.default(default.clone()),
            None => input.allow_empty(true),
        };
        let text = input.interact_text_on(term)?;
        Ok((!text.trim().is_empty()).then_some(text))
    })
    .await
}

/// Yes or no.
pub(super) async fn yes(prompt: &str) -> Result<bool, Stop> {
    let prompt = prompt.to_owned();
    interact(move |screen| match screen {
        None => Ok(plain::yes(&prompt)?),
        Some(term) => Confirm::with_theme(&*theme())
            .with_prompt(&prompt)
            .default(true)
            .interact_on_opt(term),
    })
    .await
}

/// Some of `items`, by their places; `does` says what becomes of them then.
pub(super) async fn several(
    prompt: &str,
    does: &str,
    items: Vec<String>,
) -> Result<Vec<usize>, Stop> {
    let (prompt, does) = (prompt.to_owned(), does.to_owned());
    let chosen = interact(move |screen| match screen {
        None => Ok(plain::several(&prompt, &items)?),
        Some(term) => MultiSelect::with_theme(&*theme())
            .with_prompt(format!("{prompt} Space marks, Enter {does}"))
            .items(&items)
            .report(false)
            .interact_on_opt(term),
    })
    .await?;
    if chosen.is_empty() {
        terminal::say("nothing was chosen: Space marks a line, Enter takes what is marked");
        return Err(Stop::Back);
    }
    Ok(chosen)
}

/// Asks by a prompt that takes keys where there is a screen, else in lines; none as an answer goes back. dialoguer panics if
/// the screen is made too small while it draws: then it is asked in lines.
pub(super) async fn interact<T: Send + 'static>(
    prompt: impl Fn(Option<&Term>) -> dialoguer::Result<Option<T>> + Send + 'static,
) -> Result<T, Stop> {
    let too_small = || terminal::shows() == Shows::Lines;
    let ask = move || {
        if !too_small() {
            let _taken = Taken::new(Take::Keys)?;
            let term = Term::stderr();
            if let Some(answered) = panics::caught(|| prompt(Some(&term)), too_small) {
                return answered;
            }
        }
        prompt(None)
    };
    let answered = tokio::task::spawn_blocking(ask).await;
    let error = match answered {
        Ok(Ok(Some(answer))) => return Ok(answer),
        Ok(Ok(None)) => return Err(Stop::Back),
        Ok(Err(dialoguer::Error::IO(error))) => error,
        Err(_) => return Err(Stop::Closed),
    };
    match error.kind() {
        io::ErrorKind::Interrupted => {
            // A line that was begun is ended already.
            if terminal::shows() == Shows::Screen {
                terminal::say("");
            }
            Err(Stop::Interrupted)
        }
        io::ErrorKind::UnexpectedEof => Err(Stop::Ended),
        _ => Err(Stop::Closed),
    }
}

/// Colours only where they are wanted.
pub(super) fn theme() -> Box<dyn Theme> {
    if console::colors_enabled_stderr() {
        Box::new(ColorfulTheme::default())
    } else {
        Box::new(SimpleTheme)
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

struct NoCompletion;

impl Completion for NoCompletion {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}
