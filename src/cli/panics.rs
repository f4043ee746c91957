//! A panic is a fault of this program. It is said, and the process never ends with success after it.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    process,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    output::{self, Output, say},
    report::ExitCode,
    terminal, threads,
};

/// What a process ends with that Rust itself ends by a panic.
const PANICKED: u8 = 101;

static HAPPENED: AtomicBool = AtomicBool::new(false);

/// From now on each panic is said on standard error, as other lines are: the default would wait there for a reader.
pub(super) fn watch(output: Output) {
    panic::set_hook(Box::new(move |panic| note(panic, output)));
}

fn note(panic: &PanicHookInfo<'_>, output: Output) {
    let text = panic.to_string();
    // Code of others asks for a thread and does not expect a no. To unwind from there may wait for ever.
    if let Some(refused) = threads::refused(&text) {
        terminal::restore();
        refused.print(output);
        output::finish();
        process::exit(refused.code as i32);
    }
    HAPPENED.store(true, Ordering::Relaxed);
    say(&text);
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        say(&trace.to_string());
    }
}

/// The exit code of a process that would end with `code`.
pub(super) fn exit_code(code: ExitCode) -> u8 {
    match HAPPENED.load(Ordering::Relaxed) && code == ExitCode::Ok {
        true => PANICKED,
        false => code as u8,
    }
}

/// Runs `work`, then `after` even if it panics.
pub(super) fn then<T>(work: impl FnOnce() -> T, after: impl FnOnce()) -> T {
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    after();
    done.unwrap_or_else(|panic| panic::resume_unwind(panic))
}
