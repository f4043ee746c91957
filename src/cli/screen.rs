//! What a session tells, on a screen: a bar for a transfer, a line for everything else.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::{
    output::Output,
    show,
    terminal::{self, Shows},
};
use crate::{
    config::units::Size,
    name::Escaped,
    session::{Event, Progress, Reporter, Work},
};

/// Without a bar, the seconds between two lines about a peer that does not answer.
const LINE_EACH: u64 = 10;
/// What was moved longer ago than this does not count for the rate.
const OF_LATE: Duration = Duration::from_secs(10);

/// Where a command tells what happens.
pub(super) struct Screen {
    output: Output,
    /// In the background of a menu: who shows how far it is.
    gauge: Option<Arc<Gauge>>,
    /// The bar of the transfer that goes on, and how many bytes it shows.
    bar: Mutex<Option<Bar>>,
}

struct Bar {
    shown: ProgressBar,
    label: &'static str,
    speed: Arc<Speed>,
}

impl Bar {
    /// While a peer is silent there is no rate, and nobody knows how long it will take.
    fn silence(&self, silent: Option<(&str, u64)>) {
        self.speed.lock().is_silent = silent.is_some();
        self.shown.set_message(match silent {
            Some((peer, seconds)) => format!(
                "{}: no answer from {} for {seconds} s",
                self.label,
                Escaped::new(peer)
            ),
            None => self.label.to_owned(),
        });
    }
}

/// How fast a transfer goes on now: by what this run has moved of late, not by what was there already.
struct Speed(Mutex<Moved>);

/// What was moved by when, of late. The first mark is the beginning, or as old as counts.
struct Moved {
    marks: VecDeque<(Instant, u64)>,
    is_silent: bool,
}

impl Speed {
    fn new() -> Self {
        let marks = VecDeque::from([(Instant::now(), 0)]);
        let is_silent = false;
        Self(Mutex::new(Moved { marks, is_silent }))
    }

    fn lock(&self) -> MutexGuard<'_, Moved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, moved: u64, now: Instant) {
        let marks = &mut self.lock().marks;
        // The clock begins when the first byte is about to be moved.
        if moved == 0 {
            marks.clear();
        }
        marks.push_back((now, moved));
        while marks
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= OF_LATE)
        {
            marks.pop_front();
        }
    }

    /// How many bytes were moved of late in which time; none while nothing was.
    fn at(&self, now: Instant) -> Option<(u64, Duration)> {
        let moved = self.lock();
        let ((since, before), (_, all)) = (*moved.marks.front()?, *moved.marks.back()?);
        let is_moving = all > before && !moved.is_silent;
        is_moving.then(|| (all - before, now.duration_since(since)))
    }

    fn write_rate(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.at(Instant::now()) {
            Some((moved, time)) => {
                write!(out, "{}/s", Size::per_second(moved, time.as_secs_f64()))
            }
            None => out.write_str("0 B/s"),
        }
    }

    fn write_left(&self, left: u64, out: &mut dyn fmt::Write) -> fmt::Result {
        let Some((moved, time)) = self.at(Instant::now()) else {
            return out.write_str("? left");
        };
        let left = time.as_millis() * u128::from(left) / u128::from(moved);
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
        write!(out, "{:#} left", HumanDuration(left))
    }
}

/// How far a transfer in the background is.
pub(super) struct Gauge {
    progress: Mutex<Option<Progress>>,
    speed: Speed,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self {
            progress: Mutex::default(),
            speed: Speed::new(),
        }
    }

    fn note(&self, progress: &Progress) {
        self.speed.note(progress.moved_bytes, Instant::now());
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(*progress);
    }

    /// As a bar says it, in words.
    pub(super) fn said(&self) -> String {
        let last = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(progress) = last else {
            return "begins".to_owned();
        };
        if progress.finished {
            return "all of it is there".to_owned();
        }
        let (mut text, done) = (Size(progress.bytes).to_string(), progress.bytes);
        let mut drawn = Ok(());
        if let Some(total) = progress.total_bytes {
            let percent = (u128::from(done) * 100)
                .checked_div(total.into())
                .unwrap_or(100);
            text = format!("{percent}% of {}", Size(total));
        }
        text.push_str("  ");
        drawn = drawn.and(self.speed.write_rate(&mut text));
        if let Some(left) = progress.total_bytes.map(|total| total.saturating_sub(done)) {
            text.push_str("  ");
            drawn = drawn.and(self.speed.write_left(left, &mut text));
        }
        drawn.map_or_else(|_| "goes on".to_owned(), |()| text)
    }
}

impl Screen {
    pub(super) fn new(output: Output, gauge: Option<Arc<Gauge>>) -> Self {
        let bar = Mutex::default();
        Self { output, gauge, bar }
    }

    fn bar(&self) -> MutexGuard<'_, Option<Bar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self, progress: &Progress) {
        if self.output.json {
            return self.output.event(&Event::Progress(*progress));
        }
        if self.output.quiet {
            return;
        }
        if progress.is_new()
            && let Some(text) = resumed(progress)
        {
            self.output.talk(text);
        }
        if let Some(gauge) = &self.gauge {
            return gauge.note(progress);
        }
        let mut bar = self.bar();
        if terminal::shows() == Shows::Lines {
            return;
        }
        let shown = bar.get_or_insert_with(|| new_bar(progress));
        shown.speed.note(progress.moved_bytes, Instant::now());
        shown.shown.set_position(progress.bytes);
        if progress.finished {
            shown.shown.finish_and_clear();
            *bar = None;
        }
    }
}

impl Reporter for Screen {
    fn tell(&self, event: &Event) {
        if let Event::Progress(progress) = event {
            return self.progress(progress);
        }
        let bar = self.bar();
        match (event, &*bar) {
            (Event::NoAnswer { peer, seconds, .. }, Some(bar)) => {
                return bar.silence(Some((peer, *seconds)));
            }
            (Event::AnswersAgain { .. }, Some(bar)) => bar.silence(None),
            // Without a bar a line now and then is enough.
            (Event::NoAnswer { seconds, .. }, None)
                if seconds % LINE_EACH != 0 && !self.output.json =>
            {
                return;
            }
            _ => {}
        }
        match &*bar {
            Some(bar) => bar.shown.suspend(|| show::tell(self.output, event)),
            None => show::tell(self.output, event),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = self.bar().take() {
            bar.shown.finish_and_clear();
        }
    }
}

/// A bar with bytes, rate and time left.
fn new_bar(progress: &Progress) -> Bar {
    let label = match progress.work {
        Work::Sending => "sending",
        Work::Receiving => "receiving",
        Work::Sealing => "sealing",
    };
    let template = match progress.total_bytes {
        Some(_) => "{msg} [{bar:28}] {binary_bytes}/{binary_total_bytes} {rate} {left}",
        None => "{msg} {spinner} {binary_bytes} {rate}",
    };
    let speed = Arc::new(Speed::new());
    let (of_rate, of_left) = (speed.clone(), speed.clone());
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    let style = style
        .with_key(
            "rate",
            move |_: &ProgressState, out: &mut dyn fmt::Write| {
                let _ = of_rate.write_rate(out);
            },
        )
        .with_key(
            "left",
            move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let left = state.len().unwrap_or(0).saturating_sub(state.pos());
                let _ = of_left.write_left(left, out);
            },
        );
    let shown = ProgressBar::new(progress.total_bytes.unwrap_or(0))
        .with_message(label)
        .with_style(style);
    shown.enable_steady_tick(Duration::from_millis(100));
    Bar {
        shown,
        label,
        speed,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_already_is_no_speed() {
        let (speed, start) = (Speed::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        // Three seconds for what is there, then 2 MiB in two more.
        speed.note(0, at(1));
        speed.note(0, at(3));
        assert_eq!(speed.at(at(3)), None);
        speed.note(1 << 20, at(4));
        speed.note(2 << 20, at(5));
        assert_eq!(speed.at(at(5)), Some((2 << 20, Duration::from_secs(2))));
    }

    #[test]
    fn a_rate_is_of_what_moves_now() {
        let (speed, start) = (Speed::new(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        speed.note(0, at(0));
        speed.note(100 << 20, at(1));
        for second in 2..=30 {
            speed.note((100 << 20) + second, at(second));
        }
        assert_eq!(speed.at(at(30)), Some((10, Duration::from_secs(10))));
        let silent = |is| speed.lock().is_silent = is;
        silent(true);
        assert_eq!(
            speed.at(at(30)),
            None,
            "nothing moves, and nobody knows when"
        );
    }
}
