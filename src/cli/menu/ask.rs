//! Questions, one at a time, on a thread that may wait for keys.

use std::io;

use console::Term;
use dialoguer::{
    Completion, Confirm, Input, MultiSelect,
    theme::{ColorfulTheme, SimpleTheme, Theme},
};

use super::plain;
use crate::cli::{
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
    match terminal::shows() {
        Shows::Lines => answer(move || Ok(plain::text(&prompt, default.as_deref(), &check)?)).await,
        Shows::Screen => typed(prompt, default, check, completion).await,
    }
}

async fn typed(
    prompt: String,
    default: Option<String>,
    check: Check,
    completion: impl Completion + Send + 'static,
) -> Result<String, Stop> {
    interact(move |term| {
        let theme = theme();
        let mut input = Input::<String>::with_theme(&*theme)
            .with_prompt(prompt)
            .completion_with(&completion)
            .validate_with(|text: &String| {
                if text.trim().is_empty() {
                    Ok(())
                } else {
                    check(text)
                }
            });
        input = match default {
            Some(default) => input.default(default),
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
    if terminal::shows() == Shows::Lines {
        return answer(move || Ok(plain::yes(&prompt)?)).await;
    }
    interact(move |term| {
        Confirm::with_theme(&*theme())
            .with_prompt(prompt)
            .default(true)
            .interact_on_opt(term)
    })
    .await
}

/// Some of `items`, by their places; `does` says what becomes of them then.
pub(super) async fn several(
    prompt: &str,
    does: &str,
    items: Vec<String>,
) -> Result<Vec<usize>, Stop> {
    if terminal::shows() == Shows::Lines {
        let prompt = prompt.to_owned();
        return answer(move || Ok(plain::several(&prompt, &items)?)).await;
    }
    let prompt = format!("{prompt} Space marks, Enter {does}");
    let chosen = interact(move |term| {
        MultiSelect::with_theme(&*theme())
            .with_prompt(prompt)
            .items(items)
            .report(false)
            .interact_on_opt(term)
    })
    .await?;
    if chosen.is_empty() {
        terminal::say("nothing was chosen: Space marks a line, Enter takes what is marked");
        return Err(Stop::Back);
    }
    Ok(chosen)
}

/// Runs a prompt that takes keys; none as an answer goes back.
pub(super) async fn interact<T: Send + 'static>(
    prompt: impl FnOnce(&Term) -> dialoguer::Result<Option<T>> + Send + 'static,
) -> Result<T, Stop> {
    answer(move || {
        let _taken = Taken::new(Take::Keys)?;
        prompt(&Term::stderr())
    })
    .await
}

/// Waits for the person; none as an answer goes back.
pub(super) async fn answer<T: Send + 'static>(
    ask: impl FnOnce() -> dialoguer::Result<Option<T>> + Send + 'static,
) -> Result<T, Stop> {
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
