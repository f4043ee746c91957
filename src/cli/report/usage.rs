//! A command line that is wrong.

use super::Failure;

/// A command line that cannot be parsed: the sentence, and how it is used.
pub(in crate::cli) fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let (what, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    // The help that stands for an error has no sentence of its own.
    let what = match what.strip_prefix("error: ") {
        Some(what) => words(what),
        None => "a command is missing".to_owned(),
    };
    let usage = rest.lines().find(|line| line.starts_with("Usage: "));
    let mut lines = rest.lines().map(str::trim);
    let tip = lines.find_map(|line| line.strip_prefix("tip: "));
    let hint = match (tip, usage) {
        (Some(tip), Some(usage)) => format!("{tip}. {usage}"),
        (Some(tip), None) => format!("{tip}. See how it is used: colis --help"),
        (None, Some(usage)) => usage.to_owned(),
        (None, None) => "see how it is used: colis --help".to_owned(),
    };
    Failure::usage(what).hint(hint)
}
