//! Carries out what the [`Schedule`] decides: asks, waits, and hands the chunks to whoever wants them.

use std::{
    collections::{HashMap, HashSet},
    future::pending,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::{
    StreamExt as _,
    future::{AbortHandle, BoxFuture, abortable},
    stream::FuturesUnordered,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    super::schedule::{self, Fault, Fetch, Schedule},
    Ledger, Source, nobody,
};
use crate::{
    id::{ChunkId, Short as _},
    store::{Missing, StoreError},
};

/// How often a source is asked again for what it lacked.
const AGAIN: Duration = Duration::from_secs(1);
/// About how many chunks.
const ASK_AGAIN: usize = 4_096;
/// For how long a chunk that nobody has is waited for, as long as nothing else comes.
const GRACE: Duration = Duration::from_secs(10);

/// What a [`super::Swarm`] asks of its driver.
pub(super) enum Ask {
    /// These chunks will be wanted; a full one has so many bytes.
    Coming { ids: Vec<ChunkId>, full: usize },
    /// This one is wanted.
    Chunk(ChunkId, Answer),
}

type Answer = oneshot::Sender<Result<Bytes, StoreError>>;

/// What a source has answered.
enum Came {
    /// `None` if it was no longer wanted.
    Chunk(Fetch, Option<Result<Bytes, StoreError>>),
    Lacking(
        schedule::Source,
        Vec<ChunkId>,
        Result<Vec<ChunkId>, StoreError>,
    ),
}

pub(super) struct Driver {
    sources: Arc<[Source]>,
    schedule: Schedule,
    ledger: Ledger,
    began: Instant,
    waiting: HashMap<ChunkId, Vec<Answer>>,
    flying: FuturesUnordered<BoxFuture<'static, Came>>,
    aborts: HashMap<(schedule::Source, ChunkId), AbortHandle>,
    /// What will be wanted, in its order, and what of it came.
    coming: Vec<ChunkId>,
    came: HashSet<ChunkId>,
    full: usize,
    /// The sources that are being asked what they lack.
    asked: HashSet<schedule::Source>,
    ask_again_at: Instant,
    last_gain: Instant,
    last_error: Option<StoreError>,
}

impl Driver {
    pub(super) fn new(sources: Arc<[Source]>, at_once: usize, ledger: Ledger) -> Self {
        let now = Instant::now();
        Self {
            schedule: Schedule::new(sources.len(), at_once),
            sources,
            ledger,
            began: now,
            waiting: HashMap::new(),
            flying: FuturesUnordered::new(),
            aborts: HashMap::new(),
            coming: Vec::new(),
            came: HashSet::new(),
            full: 0,
            asked: HashSet::new(),
            ask_again_at: now,
            last_gain: now,
            last_error: None,
        }
    }

    /// Until nobody can ask any more; what is on its way then is let go.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        loop {
            while let Some(fetch) = self.schedule.next(self.now()) {
                self.begin(fetch);
            }
            self.ask_again();
            self.give_up();
            let wake = self.wake();
            tokio::select! {
                ask = asks.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => return,
                },
                Some(came) = self.flying.next() => self.note(came),
                () = wake => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Chunk(id, answer) => {
                if self.waiting.is_empty() {
                    self.last_gain = Instant::now();
                }
                self.waiting.entry(id).or_default().push(answer);
                self.schedule.want(id);
            }
            Ask::Coming { ids, full } => {
                if self.full != full {
                    self.schedule.forget_speeds();
                }
                self.full = full;
                self.came.clear();
                self.coming = ids;
                for source in 0..self.sources.len() {
                    self.ask_what_lacks(source, self.coming.clone());
                }
                self.ask_again_at = Instant::now() + AGAIN;
            }
        }
    }

    fn begin(&mut self, fetch: Fetch) {
        let store = self.sources[fetch.source].store.clone();
        let get = async move { store.get_chunk(fetch.id).await };
        let (get, abort) = abortable(get);
        self.aborts.insert((fetch.source, fetch.id), abort);
        self.flying
            .push(Box::pin(async move { Came::Chunk(fetch, get.await.ok()) }));
    }

    fn ask_what_lacks(&mut self, source: schedule::Source, ids: Vec<ChunkId>) {
        if self.schedule.is_dropped(source) || !self.asked.insert(source) {
            return;
        }
        let store = self.sources[source].store.clone();
        self.flying.push(Box::pin(async move {
            let lacking = store.missing_chunks(&ids).await;
            Came::Lacking(source, ids, lacking)
        }));
    }

    /// Those that lack something may be receiving it.
    fn ask_again(&mut self) {
        if self.waiting.is_empty() || self.ask_again_at > Instant::now() {
            return;
        }
        self.ask_again_at = Instant::now() + AGAIN;
        for source in 0..self.sources.len() {
            let unseen =
                |id: &&ChunkId| !self.came.contains(*id) && self.schedule.lacks(source, **id);
            let lacking = self.waiting.keys().chain(&self.coming).filter(unseen);
            let lacking: Vec<_> = lacking.take(ASK_AGAIN).copied().collect();
            if !lacking.is_empty() {
                self.ask_what_lacks(source, lacking);
            }
        }
    }

    fn note(&mut self, came: Came) {
        match came {
            Came::Lacking(source, ids, lacking) => {
                self.asked.remove(&source);
                match lacking {
                    Ok(lacking) => self.schedule.learn(source, &ids, &lacking),
                    // A fetch will tell the same, and count it.
                    Err(error) => tracing::debug!(%error, "a source does not say what it lacks"),
                }
            }
            Came::Chunk(_, None) => {}
            Came::Chunk(fetch, Some(Ok(sealed))) => self.deliver(fetch, sealed),
            Came::Chunk(fetch, Some(Err(error))) => self.note_failure(fetch, error),
        }
    }

    fn deliver(&mut self, Fetch { source, id }: Fetch, sealed: Bytes) {
        self.aborts.remove(&(source, id));
        let (now, measured) = (self.now(), sealed.len() == self.full);
        for other in self.schedule.done(now, source, id, measured) {
            self.abort(other, id);
        }
        self.last_gain = Instant::now();
        self.came.insert(id);
        let share = &mut self.ledger.lock()[source];
        share.chunks += 1;
        share.bytes += sealed.len() as u64;
        let mut answers = self.waiting.remove(&id).unwrap_or_default();
        // Only bytes that nobody else has can be opened where they are.
        if let Some(last) = answers.pop() {
            for answer in answers {
                let _ = answer.send(Ok(sealed.clone()));
            }
            let _ = last.send(Ok(sealed));
        }
    }

    fn note_failure(&mut self, Fetch { source, id }: Fetch, error: StoreError) {
        self.aborts.remove(&(source, id));
        let fault = match &error {
            StoreError::NotFound { .. } => Fault::Lacks,
            error if error.is_retryable() => Fault::Passing,
            _ => Fault::Final,
        };
        tracing::debug!(source, chunk = %id.short(), %error, "a source does not give a chunk");
        self.schedule.failed(self.now(), source, id, fault);
        self.note_dropped(source, &error);
        self.last_error = Some(error);
    }

    /// Lets go of a source that was given up, if it was.
    fn note_dropped(&mut self, source: schedule::Source, why: &StoreError) {
        if !self.schedule.is_dropped(source) {
            return;
        }
        let flying: Vec<_> = self.aborts.keys().copied().collect();
        for (other, id) in flying {
            if other == source {
                self.abort(source, id);
            }
        }
        let share = &mut self.ledger.lock()[source];
        share.dropped.get_or_insert_with(|| why.to_string());
    }

    fn abort(&mut self, source: schedule::Source, id: ChunkId) {
        if let Some(abort) = self.aborts.remove(&(source, id)) {
            abort.abort();
        }
    }

    /// Tells those who want what nobody has, when there is no hope left.
    fn give_up(&mut self) {
        let all_dropped = (0..self.sources.len()).all(|source| self.schedule.is_dropped(source));
        if !all_dropped && self.last_gain.elapsed() < GRACE {
            return;
        }
        for id in self.schedule.nowhere() {
            self.schedule.forget(id);
            for answer in self.waiting.remove(&id).unwrap_or_default() {
                let error = self.last_error.take().filter(|_| all_dropped);
                let not_found = StoreError::NotFound(Missing::Chunk(id));
                let none = if all_dropped { nobody() } else { not_found };
                let _ = answer.send(Err(error.unwrap_or(none)));
            }
        }
    }

    /// Ready when something is to be decided although nothing came.
    fn wake(&self) -> BoxFuture<'static, ()> {
        if self.waiting.is_empty() {
            return Box::pin(pending());
        }
        let decide = self.schedule.wake(self.now());
        let decide = decide.and_then(|at| self.began.checked_add(at));
        let mut at = decide.map_or(self.ask_again_at, |at| at.min(self.ask_again_at));
        if !self.schedule.nowhere().is_empty() {
            at = at.min(self.last_gain + GRACE);
        }
        Box::pin(tokio::time::sleep_until(at))
    }
}
