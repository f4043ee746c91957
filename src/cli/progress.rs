//! Showing how a transfer goes: a bar on a screen, objects for programs, or nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    output::Output,
    terminal::{self, Shows},
};
use crate::{
    config::units::Size,
    transfer::{Event, Progress, Silent},
};

/// How often programs are told.
const PERIOD: Duration = Duration::from_millis(250);

/// What shows a transfer called `label`.
pub(super) fn progress(output: Output, label: &str) -> Box<dyn Progress> {
    if output.json {
        return Box::new(Objects {
            output,
            state: Mutex::new(State::default()),
        });
    }
    match (output.quiet, terminal::shows()) {
        (true, _) => return Box::new(Silent),
        (false, Shows::Lines) => return Box::new(Lines { output }),
        (false, Shows::Screen) => {}
    }
    let bar = ProgressBar::new_spinner().with_message(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    Box::new(Bar { bar, output })
}

/// A bar with bytes, rate and time left.
struct Bar {
    bar: ProgressBar,
    output: Output,
}

impl Progress for Bar {
    fn event(&self, event: Event) {
        match event {
            Event::Started {
                total_bytes,
                total_chunks,
                already_chunks,
                already_bytes,
            } => {
                let template = if total_bytes.is_some() {
                    "{msg} [{bar:28}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} left"
                } else {
                    "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}"
                };
                self.bar.set_style(
                    ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()),
                );
                self.bar.set_length(total_bytes.unwrap_or(0));
                self.bar.set_position(0);
                if let Some(text) =
                    resumed(total_bytes, total_chunks, already_chunks, already_bytes)
                {
                    self.bar.suspend(|| self.output.talk(text));
                }
            }
            Event::Advanced { bytes, .. } => self.bar.inc(bytes),
            Event::Finished => self.bar.finish_and_clear(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Without a screen only a resume is told.
struct Lines {
    output: Output,
}

impl Progress for Lines {
    fn event(&self, event: Event) {
        if let Event::Started {
            total_bytes,
            total_chunks,
            already_chunks,
            already_bytes,
        } = event
            && let Some(text) = resumed(total_bytes, total_chunks, already_chunks, already_bytes)
        {
            self.output.talk(text);
        }
    }
}

/// "412 of 1024 chunks already there, 612 MiB to go".
fn resumed(
    bytes: Option<u64>,
    chunks: Option<u64>,
    already: u64,
    already_bytes: u64,
) -> Option<String> {
    let of = chunks.map_or(String::new(), |chunks| format!(" of {chunks}"));
    let left = bytes.map_or(String::new(), |bytes| {
        format!(", {} to go", Size(bytes.saturating_sub(already_bytes)))
    });
    (already > 0).then(|| format!("{already}{of} chunks already there{left}"))
}

/// One object a quarter of a second.
struct Objects {
    output: Output,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    told: Option<Instant>,
    now: Told,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Told {
    bytes: u64,
    total_bytes: Option<u64>,
    total_chunks: Option<u64>,
    already_chunks: u64,
    finished: bool,
}

impl Progress for Objects {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started {
                total_bytes,
                total_chunks,
                already_chunks,
                ..
            } => {
                state.now = Told {
                    total_bytes,
                    total_chunks,
                    already_chunks,
                    ..Told::default()
                };
                state.told = None;
            }
            Event::Advanced { bytes, .. } => state.now.bytes += bytes,
            Event::Finished => state.now.finished = true,
        }
        if state.now.finished || state.told.is_none_or(|told| told.elapsed() >= PERIOD) {
            state.told = Some(Instant::now());
            self.output.object("progress", &state.now);
        }
    }
}
