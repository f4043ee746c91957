//! Where the log goes: lines for people on standard error, and while serving JSON lines in the home folder.

mod daily;

use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
};

use daily::Daily;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    fmt::{
        self,
        writer::{MakeWriter, OptionalWriter},
    },
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{manifest::Timestamp, private};

use super::{
    args::Global,
    report::{ExitCode, Failure},
    terminal,
};

/// Lines that may wait to be written; more are dropped.
const WAITING_LINES: usize = 8192;

/// What is logged, unless `COLIS_LOG` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// For a command: warnings.
    Command,
    /// For a peer that serves: what happens to transfers.
    Serving,
}

/// Logs to standard error.
pub(super) fn start(global: &Global, level: Level) {
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = lines.with_ansi(false).with_filter(filter(global, level));
    // A program that embeds us may have its own.
    let _ = Registry::default().with(lines).try_init();
}

/// Logs to where no prompt is broken by a line, and to `file` once that is opened.
pub(super) fn start_beside_prompts(global: &Global, file: LateFile) {
    let lines = fmt::layer().with_writer(terminal::LogWriter::default);
    let lines = lines.with_target(false).with_ansi(false);
    let lines = lines.with_filter(filter(global, Level::Command));
    let objects = fmt::layer().json().flatten_event(true).with_writer(file);
    let objects = objects.with_filter(filter(global, Level::Serving));
    let _ = Registry::default().with(lines).with(objects).try_init();
}

/// Logs to standard error, and to a file a day in `folder`, of which the last `days` are kept. Writing ends when the
/// guard is dropped. A disk that is full costs lines of the log, never a transfer.
pub(super) fn start_with_file(
    global: &Global,
    folder: &Path,
    days: usize,
) -> Result<WorkerGuard, Failure> {
    let (file, guard) = open(folder, days)?;
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = lines
        .with_ansi(false)
        .with_filter(filter(global, Level::Serving));
    let objects = fmt::layer().json().flatten_event(true).with_writer(file);
    let objects = objects.with_filter(filter(global, Level::Serving));
    let _ = Registry::default().with(lines).with(objects).try_init();
    Ok(guard)
}

/// The file of a log that begins before its folder is there. What is logged before it is opened is not kept.
#[derive(Debug, Clone, Default)]
pub(super) struct LateFile(Arc<OnceLock<NonBlocking>>);

impl LateFile {
    /// From now on what is logged goes into `folder`, as with [`start_with_file`].
    pub(super) fn open(&self, folder: &Path, days: usize) -> Result<WorkerGuard, Failure> {
        let (file, guard) = open(folder, days)?;
        // A second one would not be written, and costs nothing.
        let _ = self.0.set(file);
        Ok(guard)
    }
}

impl<'a> MakeWriter<'a> for LateFile {
    type Writer = OptionalWriter<NonBlocking>;

    fn make_writer(&'a self) -> Self::Writer {
        let file = self.0.get().cloned();
        file.map_or_else(OptionalWriter::none, OptionalWriter::some)
    }
}

fn open(folder: &Path, days: usize) -> Result<(NonBlocking, WorkerGuard), Failure> {
    private::make_folder(folder).map_err(|e| Failure::io(folder, &e))?;
    let file = Daily::open(folder.to_owned(), days, Timestamp::now());
    let file = file.map_err(|e| {
        let failure = Failure::new(ExitCode::Storage, format!("{}: {e}", folder.display()));
        failure.hint("or serve without a log: colis config set log_days 0")
    })?;
    let log = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    Ok(log.finish(file))
}

fn filter(global: &Global, level: Level) -> EnvFilter {
    let default = match (global.quiet, global.verbose, level) {
        (true, _, _) => "error",
        (_, 0, Level::Serving) => "warn,colis=info",
        (_, 0, Level::Command) => "warn",
        (_, 1, _) => "info,colis=debug",
        _ => "debug,colis=trace",
    };
    EnvFilter::try_from_env("COLIS_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}
