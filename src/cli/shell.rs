//! `completions`, and how what a shell or a reader of manuals needs is written.

use std::{io, path::Path};

use super::{
    args::Completions,
    complete,
    report::{ExitCode, Failure},
    standard,
};

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&b);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

pub(super) fn completions(args: &Completions) -> Result<ExitCode, Failure> {
    print(&complete::script(args.shell))
}

/// Writes a whole text to standard output. A reader that goes away has read enough.
pub(super) fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    use io::Write as _;
    let stdout = standard::output("send it to a file or a program")?;
    match stdout.lock().write_all(text) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io(Path::new("standard output"), &e))
        }
        _ => Ok(ExitCode::Ok),
    }
}
