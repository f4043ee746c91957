//! What runs in the background: sends and fetches, each with a line above the question, until it is done or cancelled.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Menu,
    ask::{self, Stop},
    choose, unfinished,
    words::Words,
};
use crate::{
    cli::{Context, args::Command, report::ExitCode, screen::Gauge, terminal, transfer},
    crypto::password::Password,
    id::TransferId,
    session::UnfinishedSend,
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
    pub(super) of: Of,
}

/// Which unfinished send it leaves, if it ends too early.
pub(super) enum Of {
    /// That of these files, to these peers.
    Files(Vec<PathBuf>, Vec<String>),
    /// This one, with which it went on.
    Unfinished(TransferId),
    /// None that could be told from others.
    Unknown,
}

impl Of {
    fn leaves(&self, one: &UnfinishedSend) -> bool {
        match self {
            Self::Files(paths, to) => *paths == one.paths && *to == one.to,
            Self::Unfinished(transfer) => *transfer == one.transfer,
            Self::Unknown => false,
        }
    }
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

    /// Whether one of them is `one`: then it goes on by doing that again.
    pub(super) fn has(&self, one: &UnfinishedSend) -> bool {
        self.all().iter().any(|job| job.what.of.leaves(one))
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
            failure.print(context.output);
            State::Failed
        }
    }
}

/// The list of them, and what can be done with one.
pub(super) async fn run(menu: &Menu) -> Result<(), Stop> {
    let all = menu.jobs.all().clone();
    let unfinished = unfinished::list(menu).await?;
    let jobs = all.iter().map(Job::label);
    let labels = jobs.chain(unfinished.iter().map(unfinished::label));
    let labels = labels.map(|label| ask::cut(&label)).collect();
    let chosen = choose::one("Which transfer?", labels).await?;
    match all.get(chosen) {
        Some(job) => deal_with(menu, job).await,
        None => {
            let one = unfinished.get(chosen - all.len()).ok_or(Stop::Back)?;
            unfinished::run(menu, one).await
        }
    }
}

/// Cancels it if it runs, and else does it again.
async fn deal_with(menu: &Menu, job: &Job) -> Result<(), Stop> {
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
