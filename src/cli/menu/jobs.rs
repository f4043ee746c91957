//! What runs in the background: sends and fetches, each with a line above the question, until it is done or cancelled.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Menu,
    ask::{self, Stop},
    choose,
    words::Words,
};
use crate::{
    cli::{Context, args::Command, report::ExitCode, screen::Gauge, terminal, transfer},
    crypto::password::Password,
};

/// Those that ended and are still listed.
const MAX_ENDED: usize = 20;

/// What runs, and what did of late.
#[derive(Default)]
pub(super) struct Jobs {
    all: Mutex<Vec<Job>>,
    /// What the first list offers may be different now.
    changed: AtomicBool,
}

/// One of them.
#[derive(Clone)]
struct Job {
    what: Arc<Request>,
    state: State,
    gauge: Arc<Gauge>,
    stop: CancellationToken,
}

/// What is to be done, as often as the person wants.
pub(super) struct Request {
    /// What it is called: `my film.mov to ben`.
    pub(super) what: String,
    pub(super) words: Words,
    pub(super) password: Option<Password>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    Done,
    /// Done for some, or in part.
    Partly,
    Failed,
    Cancelled,
}

impl State {
    fn said(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Done => "done",
            Self::Partly => "done in part",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Jobs {
    fn all(&self) -> MutexGuard<'_, Vec<Job>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many run.
    pub(super) fn running(&self) -> usize {
        let all = self.all();
        all.iter().filter(|job| job.state == State::Runs).count()
    }

    /// How many are listed.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// What runs, in at most so many lines.
    pub(super) fn lines(&self, most: usize) -> Vec<String> {
        let running: Vec<_> = self
            .all()
            .iter()
            .filter(|job| job.state == State::Runs)
            .cloned()
            .collect();
        let shown = match running.len() > most {
            true => most.saturating_sub(1),
            false => running.len(),
        };
        let mut lines: Vec<_> = running.iter().take(shown).map(Job::line).collect();
        if running.len() > shown && most > 0 {
            lines.push(format!("  {} more run: 5 Transfers", running.len() - shown));
        }
        lines
    }

    /// Something may be different in what can be done.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Relaxed);
    }

    /// Whether something was since the last time.
    pub(super) fn take_change(&self) -> bool {
        self.changed.swap(false, Ordering::Relaxed)
    }

    fn set(&self, gauge: &Arc<Gauge>, state: State) {
        let mut all = self.all();
        for job in all.iter_mut().filter(|job| Arc::ptr_eq(&job.gauge, gauge)) {
            job.state = state;
        }
        let ended = all.iter().filter(|job| job.state != State::Runs).count();
        let mut over = ended.saturating_sub(MAX_ENDED);
        all.retain(|job| {
            let goes = over > 0 && job.state != State::Runs;
            over -= usize::from(goes);
            !goes
        });
        drop(all);
        self.note_change();
    }

    /// Cancels everything, and waits for it.
    pub(super) async fn end(&self) {
        let all = self.all().clone();
        all.iter().for_each(|job| job.stop.cancel());
        while self.running() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

impl Job {
    fn line(&self) -> String {
        format!("  {}  {}", self.what.what, self.gauge.said())
    }

    fn label(&self) -> String {
        match self.state {
            State::Runs => format!("{}  {}", self.what.what, self.gauge.said()),
            ended => format!("{}  {}", self.what.what, ended.said()),
        }
    }
}

/// Starts it in the background.
pub(super) fn start(menu: &Menu, what: Arc<Request>) -> Result<(), Stop> {
    let command = what.words.clone().command()?;
    let mut context = menu.context()?;
    let gauge = Arc::new(Gauge::new());
    context.output.beside = true;
    context.gauge = Some(gauge.clone());
    let stop = CancellationToken::new();
    menu.jobs.all().push(Job {
        what: what.clone(),
        state: State::Runs,
        gauge: gauge.clone(),
        stop: stop.clone(),
    });
    let jobs = menu.jobs.clone();
    let working = work(context, command, what.password.clone());
    tokio::spawn(async move {
        let state = tokio::select! {
            biased;
            () = stop.cancelled() => State::Cancelled,
            state = joined(working) => state,
        };
        jobs.set(&gauge, state);
        terminal::announce(&format!("* {}: {}", what.what, end(state)));
    });
    Ok(())
}

fn end(state: State) -> &'static str {
    match state {
        State::Cancelled => {
            "cancelled; what was transferred is kept, and the same again continues it"
        }
        other => other.said(),
    }
}

/// Ends the task when this is dropped.
struct Ending(JoinHandle<State>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A task of its own, so that a panic in it is a failure here.
async fn joined(work: impl Future<Output = State> + Send + 'static) -> State {
    let mut task = Ending(tokio::spawn(work));
    (&mut task.0).await.unwrap_or(State::Failed)
}

async fn work(context: Context, command: Command, password: Option<Password>) -> State {
    match transfer(&context, command, password).await {
        Ok(ExitCode::Ok) => State::Done,
        Ok(_) => State::Partly,
        Err(failure) => {
            failure.in_menu().print(context.output);
            State::Failed
        }
    }
}

/// The list of them, and what can be done with one.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let all = menu.jobs.all().clone();
    let labels = all.iter().map(|job| ask::cut(&job.label())).collect();
    let chosen = choose::one("Which transfer?", labels).await?;
    let Some(job) = all.get(chosen) else {
        return Err(Stop::Back);
    };
    let now = menu
        .jobs
        .all()
        .iter()
        .find(|one| Arc::ptr_eq(&one.gauge, &job.gauge))
        .map(|one| one.state);
    if now == Some(State::Runs) {
        if ask::sure(&format!("Cancel {}?", job.what.what)).await? {
            job.stop.cancel();
        }
        return Ok(());
    }
    let ways = [
        "Do it again: what is there already is not moved again",
        "Take it off this list",
    ];
    match choose::one("What of it?", ways.map(str::to_owned).to_vec()).await? {
        0 => {
            menu.jobs
                .all()
                .retain(|one| !Arc::ptr_eq(&one.gauge, &job.gauge));
            start(menu, job.what.clone())
        }
        _ => {
            menu.jobs
                .all()
                .retain(|one| !Arc::ptr_eq(&one.gauge, &job.gauge));
            Ok(())
        }
    }
}

/// Whether the menu may end: what runs is ended then.
pub(super) async fn may_end(menu: &Menu, does: &str) -> Result<bool, Stop> {
    let running = match menu.jobs.running() {
        0 => return Ok(true),
        1 => "A transfer runs".to_owned(),
        count => format!("{count} transfers run"),
    };
    let question = format!(
        "{running}. {does} all the same? What was transferred is kept, and the same again continues it"
    );
    ask::sure(&question).await
}
