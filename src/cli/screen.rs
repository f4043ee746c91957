//! What a session tells, on a screen: a bar for a transfer, a line for everything else.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    output::Output,
    show,
    terminal::{self, Shows},
};
use crate::{
    config::units::Size,
    session::{Event, Progress, Reporter, Work},
};

/// Where a command tells what happens.
pub(super) struct Screen {
    output: Output,
    /// The bar of the transfer that goes on, and how many bytes it shows.
    bar: Mutex<Option<ProgressBar>>,
}

impl Screen {
    pub(super) fn new(output: Output) -> Self {
        let bar = Mutex::default();
        Self { output, bar }
    }

    fn bar(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, progress: &Progress) {
        if self.output.json {
            return self.output.event(&Event::Progress(*progress));
        }
        if self.output.quiet {
            return;
        }
        let mut bar = self.bar();
        if progress.is_new()
            && let Some(text) = resumed(progress)
        {
            self.output.talk(text);
        }
        if terminal::shows() == Shows::Lines {
            return;
        }
        let shown = bar.get_or_insert_with(|| new_bar(progress));
        shown.set_position(progress.bytes);
        if progress.finished {
            shown.finish_and_clear();
            *bar = None;
        }
    }
}

impl Reporter for Screen {
    fn tell(&self, event: &Event) {
        if let Event::Progress(progress) = event {
            return self.progress(progress);
        }
        match &*self.bar() {
            Some(bar) => bar.suspend(|| show::tell(self.output, event)),
            None => show::tell(self.output, event),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = self.bar().take() {
            bar.finish_and_clear();
        }
    }
}

/// A bar with bytes, rate and time left.
fn new_bar(progress: &Progress) -> ProgressBar {
    let label = match progress.work {
        Work::Sending => "sending",
        Work::Receiving => "receiving",
        Work::Sealing => "sealing",
    };
    let template = match progress.total_bytes {
        Some(_) => {
            "{msg} [{bar:28}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left"
        }
        None => "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    let bar = ProgressBar::new(progress.total_bytes.unwrap_or(0))
        .with_message(label)
        .with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// "412 of 1024 chunks already there, 612 MiB to go".
fn resumed(progress: &Progress) -> Option<String> {
    let of = progress.total_chunks;
    let of = of.map_or(String::new(), |chunks| format!(" of {chunks}"));
    let left = progress.total_bytes.map_or(String::new(), |bytes| {
        let left = bytes.saturating_sub(progress.already_bytes);
        format!(", {} to go", Size(left))
    });
    let already = progress.already_chunks;
    (already > 0).then(|| format!("{already}{of} chunks already there{left}"))
}
