//! The threads of this process. The system may refuse them: a limit of processes (`ulimit -u`), or of the tasks of a
//! container or a service.
//!
//! All that a command cannot do without are started at its beginning and stay to its end. Where the system refuses one of
//! them the command says so and does nothing; what it refuses later is only slower.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use super::report::{ExitCode, Failure};

/// Threads for work that blocks: reading, sealing, storing, writing and syncing wait for one another.
const BLOCKING: usize = 4;
/// Threads beside those of the runtime: lines for two slow readers, the log, a bar, a signal, a sync.
const OTHERS: usize = 4;
/// The stack of a thread that only waits: a trial must not take the memory that work needs.
const TRIAL_STACK: usize = 64 << 10;
/// For which an idle thread stays.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long the threads of a trial may take to be gone, and those of the runtime to be there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to do.
const HINT: &str = "raise the limit of processes: `ulimit -u`, TasksMax= of a service, --pids-limit of a container; or give it more memory: `ulimit -v`";

/// The runtime, with its threads.
pub(super) fn runtime() -> Result<Runtime, Failure> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let found = trial(workers + BLOCKING + OTHERS);
    let mut builder = Builder::new_multi_thread();
    if found < workers + BLOCKING + OTHERS {
        let workers = found.checked_sub(BLOCKING + OTHERS);
        let workers = workers.filter(|workers| *workers > 0);
        builder.worker_threads(workers.ok_or_else(|| too_few(found))?);
    }
    let built = builder.enable_all().thread_keep_alive(FOR_EVER).build();
    let runtime =
        built.map_err(|e| Failure::new(ExitCode::Storage, format!("cannot start: {e}")))?;
    start_blocking(&runtime);
    Ok(runtime)
}

/// How many of `wanted` threads there can be at once.
fn trial(wanted: usize) -> usize {
    let before = count();
    let gate = Mutex::new(());
    let wait = || drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
    let started = thread::scope(|scope| {
        let held = gate.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = (0..wanted).map_while(|_| {
            let builder = thread::Builder::new().stack_size(TRIAL_STACK);
            builder.spawn_scoped(scope, wait).ok()
        });
        let started = threads.count();
        drop(held);
        started
    });
    // The system counts a thread for a moment longer than it runs.
    let began = Instant::now();
    while count() > before && began.elapsed() < PATIENCE {
        thread::yield_now();
    }
    started
}

/// Our threads, as the system counts them; 0 where it does not tell.
fn count() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Starts the threads for work that blocks. Each waits until all are there, so that none does the work of two.
fn start_blocking(runtime: &Runtime) {
    let gate = Arc::new(Mutex::new(()));
    let held = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let (tell, started) = mpsc::channel();
    for _ in 0..BLOCKING {
        let (gate, tell) = (gate.clone(), tell.clone());
        runtime.spawn_blocking(move || {
            let _ = tell.send(());
            drop(gate.lock());
        });
    }
    // Without the last of them it works too, only not always.
    for _ in 0..BLOCKING {
        if started.recv_timeout(PATIENCE).is_err() {
            break;
        }
    }
    drop(held);
}

fn too_few(found: usize) -> Failure {
    let needed = 1 + BLOCKING + OTHERS;
    let what =
        format!("cannot start: {needed} threads are needed, and the system allows {found} more");
    Failure::new(ExitCode::Storage, what).hint(HINT)
}

/// What a thread says that could not be started by code that does not expect it.
pub(super) fn refused(panic: &str) -> Option<Failure> {
    let is_refusal = ["OS can't spawn worker thread", "failed to spawn thread"]
        .iter()
        .any(|words| panic.contains(words));
    let failure = || Failure::new(ExitCode::Storage, "the system refuses another thread");
    is_refusal.then(|| failure().hint(HINT))
}
