//! `completions`, and how what a shell or a reader of manuals needs is printed.

use std::{io, path::Path};

use super::{
    args::Completions,
    complete,
    report::{ExitCode, Failure},
    standard,
};

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
