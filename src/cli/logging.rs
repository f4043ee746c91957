//! Where the log goes: lines for people on standard error, and while serving JSON lines in the home folder.

mod daily;
mod sentence;

use std::{
    env,
    io::{self, IsTerminal as _, Write},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use daily::Daily;
use sentence::Sentence;
use serde_json::json;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::LevelFilter,
    fmt::{
        self,
        writer::{MakeWriter, OptionalWriter},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    disk::{Held, Link},
    manifest::Timestamp,
    private,
};

use super::{
    args::Global,
    output::{LogLines, say},
    report::{ExitCode, Failure},
    spool::Spool,
    terminal,
};

/// How long the end of a peer waits for its disk to take what is left.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is logged, unless `COLIS_LOG` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// For a command: warnings.
    Command,
    /// For a peer that serves: what happens to transfers.
    Serving,
}

/// Lines on standard error. A person at a terminal knows what time it is.
fn lines(global: &Global, level: Level) -> impl Layer<Registry> {
    let lines = fmt::layer().with_writer(|| LogLines);
    let lines = lines.with_target(false).with_ansi(false);
    let lines = match io::stderr().is_terminal() && global.verbose == 0 {
        true => lines.without_time().boxed(),
        false => lines.boxed(),
    };
    lines.with_filter(filter(global, level))
}

/// Objects in `file`, once that is opened.
fn objects<S>(global: &Global, file: LateFile) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let objects = fmt::layer().json().flatten_event(true).with_writer(file);
    objects.with_filter(filter(global, Level::Serving))
}

/// Logs to standard error.
pub(super) fn start(global: &Global, level: Level) {
    // A program that embeds us may have its own.
    let _ = Registry::default().with(lines(global, level)).try_init();
}

/// Logs to `file` once that is opened, and what has failed to where no prompt is broken by a line, as a sentence. Only who asks for
/// more has lines of the log on the screen.
pub(super) fn start_beside_prompts(global: &Global, file: LateFile) {
    let lines = fmt::layer().with_writer(terminal::LogWriter::default);
    let lines = match global.verbose > 0 || env::var_os("COLIS_LOG").is_some() {
        true => {
            let lines = lines.with_target(false).with_ansi(false);
            lines.with_filter(filter(global, Level::Command)).boxed()
        }
        false => {
            let lines = lines.event_format(Sentence);
            lines.with_filter(LevelFilter::ERROR).boxed()
        }
    };
    let both = Registry::default().with(lines);
    let _ = both.with(objects(global, file)).try_init();
}

/// Logs as a command does to standard error, and as a peer that serves to `file` once that is opened: the command goes on to
/// serve, or a person at a terminal is told what happens by lines of its own.
pub(super) fn start_before_serving(global: &Global, file: LateFile) {
    start_both(global, Level::Command, file);
}

/// Logs to standard error, and to `file` while that is open. A disk that is full or stalls costs lines of the log, never a
/// transfer. On a terminal the log is in its file alone, unless more is to be said; only warnings are there too.
pub(super) fn start_serving(global: &Global, file: LateFile) {
    let is_for_a_person = !global.json && io::stderr().is_terminal();
    let level = match is_for_a_person && global.verbose == 0 {
        true => Level::Command,
        false => Level::Serving,
    };
    start_both(global, level, file);
}

fn start_both(global: &Global, level: Level, file: LateFile) {
    let both = Registry::default().with(lines(global, level));
    let _ = both.with(objects(global, file)).try_init();
}

/// The log file of a peer.
#[derive(Clone)]
pub(super) struct LogFile {
    lines: Spool,
    /// How many are kept.
    days: Arc<AtomicUsize>,
}

impl LogFile {
    fn open(folder: &Path, days: usize) -> Result<Self, Failure> {
        private::make_folder(folder).map_err(|e| Failure::io(folder, &e))?;
        let failed = |e: &io::Error| {
            let failure = Failure::new(ExitCode::Storage, format!("{}: {e}", folder.display()));
            failure.hint("or serve without a log: colis config set log_days 0")
        };
        let (held, days) = (Held::open(folder, Link::Followed), Arc::new(days.into()));
        let file = held.and_then(|held| Daily::open(held, Arc::clone(&days), Timestamp::now()));
        let file = file.map_err(|e| failed(&e))?;
        let lines = Spool::to(file, gap, cannot_be_written(folder)).map_err(|e| failed(&e))?;
        Ok(Self { lines, days })
    }

    fn finish(&self) {
        self.lines.drain(PATIENCE);
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.push(line.to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Stands in the file for lines that the disk did not take in time.
fn gap(count: u64) -> String {
    let (timestamp, message) = (Timestamp::now(), "lines of this log were dropped");
    let line = json!({"timestamp": timestamp, "level": "WARN", "message": message, "count": count});
    format!("{line}\n")
}

/// Said where it can be read: the log itself takes nothing.
fn cannot_be_written(folder: &Path) -> impl FnMut(io::Error) + Send + 'static {
    let folder = folder.display().to_string();
    move |error| {
        say(&format!(
            "colis: the log in {folder} is not written: {error}"
        ))
    }
}

/// The file of a log that begins before its folder is there, and may be opened and closed meanwhile. What is logged while it is
/// closed is not kept.
#[derive(Clone, Default)]
pub(super) struct LateFile(Arc<Late>);

#[derive(Default)]
struct Late {
    file: OnceLock<LogFile>,
    is_open: AtomicBool,
}

impl LateFile {
    /// From now on what is logged goes into a file a day in `folder`, of which the last `days` are kept; with 0 into none.
    pub(super) fn keep(&self, folder: &Path, days: usize) -> Result<(), Failure> {
        if days > 0 {
            let file = match self.0.file.get() {
                Some(file) => file,
                None => {
                    let file = LogFile::open(folder, days)?;
                    self.0.file.get_or_init(|| file)
                }
            };
            file.days.store(days, Ordering::Relaxed);
        }
        self.0.is_open.store(days > 0, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for the disk, a moment.
    pub(super) fn finish(&self) {
        if let Some(file) = self.0.file.get() {
            file.finish();
        }
    }
}

impl<'a> MakeWriter<'a> for LateFile {
    type Writer = OptionalWriter<LogFile>;

    fn make_writer(&'a self) -> Self::Writer {
        let is_open = self.0.is_open.load(Ordering::Relaxed);
        let file = self.0.file.get().filter(|_| is_open).cloned();
        file.map_or_else(OptionalWriter::none, OptionalWriter::some)
    }
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
