//! What runs in the background: sends and fetches, each with a line above the question, until it is done or cancelled.

use std::{
    collections::BTreeSet,
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
    cli::{Context, args::Command, report::ExitCode, screen::Gauge, show, terminal, transfer},
    config::units::count,
    crypto::password::Password,
    id::TransferId,
    session::UnfinishedSend,
    wire::Arriving,
};

/// What brought nothing for so many seconds is not waited for.
const STILL_COMES: f64 = 30.0;
/// Those that ended and are still listed.
const MAX_ENDED: usize = 20;

/// What runs, and what did of late.
#[derive(Default)]
pub(super) struct Jobs {
    all: Mutex<Vec<Job>>,
    coming: Mutex<Coming>,
    /// What the first list offers may be different now.
    changed: AtomicBool,
}

/// What others bring, as it was looked at last.
#[derive(Default)]
struct Coming {
    all: Vec<Arriving>,
    by: Option<Server>,
}

/// Who serves this home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// This menu.
    Menu,
    /// Another process, which goes on when the menu ends.
    Other,
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
        let coming = self.coming();
        let count = running.len() + coming.all.len();
        let shown = match count > most {
            true => most.saturating_sub(1),
            false => count,
        };
        let runs = running.iter().map(Job::line);
        let comes = coming.all.iter();
        let comes = comes.map(|one| format!("  {}", show::serve::coming(one)));
        let mut lines: Vec<_> = runs.chain(comes).take(shown).collect();
        if count > shown && most > 0 {
            let more = count - shown;
            lines.push(format!("  {more} more: 4 Arrivals, 5 Transfers"));
        }
        lines
    }

    fn coming(&self) -> MutexGuard<'_, Coming> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is arriving now, at the peer that serves this home.
    pub(super) fn set_coming(&self, mut all: Vec<Arriving>, by: Server) {
        // In the order in which they began, so that no line jumps.
        all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let ids = |all: &[Arriving]| {
            let ids = all.iter().map(|one| (one.peer_id, one.transfer));
            ids.collect::<BTreeSet<_>>()
        };
        let mut coming = self.coming();
        let is_other = ids(&coming.all) != ids(&all);
        *coming = Coming { all, by: Some(by) };
        drop(coming);
        if is_other {
            self.note_change();
        }
    }

    /// It has come, and is not arriving any more.
    pub(super) fn has_come(&self, transfer: TransferId) {
        self.coming().all.retain(|one| one.transfer != transfer);
        self.note_change();
    }

    /// How much of what is arriving would end with the menu.
    fn cut_by_the_end(&self) -> usize {
        let coming = self.coming();
        let is_whole = |one: &Arriving| one.of.is_some_and(|of| one.done >= of);
        let moves = coming.all.iter();
        let moves = moves.filter(|one| one.idle_seconds < STILL_COMES && !is_whole(one));
        match coming.by {
            Some(Server::Menu) => moves.count(),
            _ => 0,
        }
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
    let (running, coming) = (menu.jobs.running(), menu.jobs.cut_by_the_end());
    let mut said = Vec::new();
    if running > 0 {
        let what = count(running as u64, "transfer runs", "transfers run");
        said.push(format!(
            "{what}, and goes on in this menu when it is opened again (5 Transfers), or by `colis send --resume all`."
        ));
    }
    if coming > 0 {
        let what = count(coming as u64, "transfer arrives", "transfers arrive");
        said.push(format!(
            "{what} here. Its sender tries again for a while, and it goes on once this home is served: by this menu, or `colis serve`."
        ));
    }
    if said.is_empty() {
        return Ok(true);
    }
    terminal::say(&said.join("\n"));
    let question = format!("{does} all the same? What was transferred is kept");
    ask::sure(&question).await
}
