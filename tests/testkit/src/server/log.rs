//! What the server logs, read in the process of the test: each test has a log of its own, for its server runs in its thread.

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use tokio::time::timeout;
use tracing::{Level, Metadata};
use tracing_subscriber::{Layer as _, filter::dynamic_filter_fn, fmt, layer::SubscriberExt as _};

use super::PATIENCE;

thread_local! {
    static OF_THIS_THREAD: RefCell<Option<(Level, Log)>> = const { RefCell::new(None) };
}

/// Everything that is logged in one thread.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

/// The thread logs nowhere once this is dropped.
#[must_use]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        OF_THIS_THREAD.set(None);
    }
}

impl Log {
    pub fn of_this_thread(level: Level) -> (Self, LogGuard) {
        install();
        let log = Self::default();
        OF_THIS_THREAD.set(Some((level, log.clone())));
        (log, LogGuard(()))
    }

    #[must_use]
    pub fn lines(&self, containing: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .filter(|line| line.contains(containing))
            .map(|line| line.trim().to_owned())
            .collect()
    }

    /// Waits for a line: a server hears later than its client that a connection is gone.
    ///
    /// # Panics
    /// If no such line is logged.
    pub async fn line(&self, containing: &str) -> String {
        let found = async {
            loop {
                if let Some(line) = self.lines(containing).pop() {
                    return line;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("never logged: {containing}; but: {:?}", self.lines("")))
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Installs one subscriber for the whole process, before any server of a test has logged.
///
/// A subscriber for each thread would be simpler, but while there is only one, `tracing` asks the thread that first meets a
/// place that logs whether anybody listens. A thread without a subscriber says no, and the place is silent for all.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let lines = fmt::layer()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(|| -> Box<dyn Write> {
                match OF_THIS_THREAD.with_borrow(|log| log.as_ref().map(|(_, log)| log.clone())) {
                    Some(log) => Box::new(log),
                    None => Box::new(io::sink()),
                }
            })
            .with_filter(dynamic_filter_fn(|event, _| is_read(event)));
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
            .expect("the tests set no other");
    });
}

fn is_read(event: &Metadata<'_>) -> bool {
    OF_THIS_THREAD.with_borrow(|log| {
        log.as_ref()
            .is_some_and(|(level, _)| event.level() <= level)
    })
}
