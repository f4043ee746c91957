//! What is on its way here, for the log, the history and the owner: since when, and how much came.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    problem::{Answer, Failure},
    text::per_second,
};
use crate::{
    id::{ChunkId, PeerId, TransferId},
    wire::{Arriving, Code},
};

/// Transfers that are remembered; for a new one the one that moved least recently is forgotten, of those that were not cancelled if
/// there is one.
const MAX_ARRIVALS: usize = 1_024;
/// Likewise of one peer, so that whoever announces thousands pushes out its own.
const MAX_OF_PEER: usize = 128;
/// Chunks that are remembered to let them go if the owner stops their transfer. Those beyond it go as others that no transfer
/// names.
const MAX_CHUNKS: usize = 1 << 18;
/// A rate is of what came since then.
const OF_LATE: Duration = Duration::from_secs(10);
/// How often it is noted what has come.
const MARK: Duration = Duration::from_millis(500);
/// After so long without a chunk there is no rate.
const STILL: Duration = Duration::from_secs(5);

/// The transfers that members are bringing. Each is known by who brings it: nobody else can count for it.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<HashMap<Key, Arrival>>);

type Key = (PeerId, TransferId);

/// What an offer says of a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announced {
    pub(super) sender: PeerId,
    pub(super) transfer: TransferId,
    pub(super) size: Option<u64>,
    pub(super) chunk_size: u32,
}

/// A chunk that came.
#[derive(Debug, Clone, Copy)]
pub(super) struct CameIn {
    /// Its place in the content, if it is of that and was told.
    pub(super) index: Option<u64>,
    /// Its bytes, if they were not here.
    pub(super) new: Option<u64>,
}

/// What came of a transfer since it was offered, or since its first chunk.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Who brings it.
    name: String,
    began: Instant,
    moved: Instant,
    /// What was said of it.
    announced: Option<Announced>,
    /// Content chunks up to the last one that came: they come in order, and those that are here do not come again.
    reached: u64,
    /// How many bytes had come by when, of late.
    marks: VecDeque<(Instant, u64)>,
    /// The chunks that came or are coming, as far as they are remembered.
    ids: Vec<ChunkId>,
    /// Chunks that were new.
    pub(super) chunks: u64,
    /// Their bytes.
    bytes: u64,
    /// Whether the owner wants no more of it.
    cancelled: bool,
}

/// A transfer of which no more came.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Who brought it.
    pub peer: PeerId,
    /// The name in its certificate.
    pub name: String,
    /// Who has signed it, as far as that was announced, else who brought it.
    pub sender: PeerId,
    /// The transfer.
    pub transfer: TransferId,
    /// The bytes that came, sealed.
    pub bytes: u64,
    /// The bytes of its content, if they were announced.
    pub of: Option<u64>,
    /// Whether the owner wanted no more of it.
    pub by_owner: bool,
    /// With that, the chunks that came, as far as they are remembered.
    pub chunks: Vec<ChunkId>,
    /// Entries about its bringer that the history does not have, since the last one.
    pub left_out: u64,
}

/// Transfers of several senders have the id.
#[derive(Debug)]
pub(super) struct SeveralSenders;

impl Arrivals {
    /// It was announced. A second time means that it is being resumed, and counts from now on.
    pub(super) fn offered(&self, by: PeerId, name: &str, announced: Announced) {
        self.touch((by, announced.transfer), name, |arrival, now, _| {
            if arrival.announced.is_some() && !arrival.cancelled {
                let ids = std::mem::take(&mut arrival.ids);
                *arrival = Arrival::new(name, now);
                arrival.ids = ids;
            }
            arrival.announced = Some(announced);
        });
    }

    /// A chunk of it came.
    pub(super) fn came(&self, by: PeerId, name: &str, transfer: TransferId, chunk: CameIn) {
        self.touch((by, transfer), name, |arrival, now, _| {
            if let Some(index) = chunk.index {
                arrival.reached = arrival.reached.max(index.saturating_add(1));
            }
            let Some(length) = chunk.new else { return };
            arrival.chunks += 1;
            arrival.bytes = arrival.bytes.saturating_add(length);
            arrival.mark(now);
        });
    }

    /// A chunk of it is about to be stored. Whoever brings it may be gone before that is done.
    pub(super) fn comes(&self, by: PeerId, name: &str, transfer: TransferId, id: ChunkId) {
        self.touch((by, transfer), name, |arrival, _, remembered| {
            if remembered < MAX_CHUNKS {
                arrival.ids.push(id);
            }
        });
    }

    /// Those that move, the latest to move first.
    pub(super) fn all(&self) -> Vec<Arriving> {
        let arrivals = self.lock();
        let all = arrivals.iter().filter(|(_, arrival)| !arrival.cancelled);
        let mut all: Vec<_> = all
            .map(|((by, transfer), arrival)| arrival.shown(*by, *transfer))
            .collect();
        drop(arrivals);
        all.sort_by(|a, b| a.idle_seconds.total_cmp(&b.idle_seconds));
        all
    }

    /// No more is wanted of the transfer that `sender` has signed. Returns what came of it, from each who brings it. Without a
    /// sender the id must be that of one alone: anybody can copy an id.
    pub(super) fn cancel(
        &self,
        transfer: TransferId,
        sender: Option<PeerId>,
    ) -> Result<Vec<Cut>, SeveralSenders> {
        let mut arrivals = self.lock();
        let of_it = arrivals.iter_mut().filter(|((_, of), _)| *of == transfer);
        let wanted = of_it.filter(|((by, _), arrival)| {
            let is_it = sender.is_none_or(|sender| sender == arrival.sender(*by));
            !arrival.cancelled && is_it
        });
        let wanted: Vec<_> = wanted.collect();
        let mut senders = wanted.iter().map(|((by, _), arrival)| arrival.sender(*by));
        if let Some(first) = senders.next()
            && senders.any(|other| other != first)
        {
            return Err(SeveralSenders);
        }
        let cancelled = wanted.into_iter().map(|((by, _), arrival)| {
            arrival.cancelled = true;
            let chunks = std::mem::take(&mut arrival.ids);
            Cut {
                chunks,
                ..arrival.cut(*by, transfer)
            }
        });
        Ok(cancelled.collect())
    }

    /// Refuses more of a transfer that the owner has cancelled since this peer was started.
    pub(super) fn check_wanted(&self, by: PeerId, transfer: TransferId) -> Answer<()> {
        let arrivals = self.lock();
        match arrivals.get(&(by, transfer)) {
            Some(arrival) if arrival.cancelled => Err(unwanted()),
            _ => Ok(()),
        }
    }

    /// The same of what `sender` has signed, whoever brings it: a copy of an offer is the same transfer. Another sender's is not,
    /// though it may have the same id.
    pub(super) fn check_wanted_of(
        &self,
        by: PeerId,
        sender: PeerId,
        transfer: TransferId,
    ) -> Answer<()> {
        self.check_wanted(by, transfer)?;
        let arrivals = self.lock();
        let mut cancelled = arrivals.iter().filter(|(_, arrival)| arrival.cancelled);
        let is_it = |((by, of), arrival): (&Key, &Arrival)| {
            (arrival.sender(*by), *of) == (sender, transfer)
        };
        match cancelled.any(is_it) {
            true => Err(unwanted()),
            false => Ok(()),
        }
    }

    /// It is complete: what came, if that was counted.
    pub(super) fn complete(&self, by: PeerId, transfer: TransferId) -> Option<Arrival> {
        self.lock().remove(&(by, transfer))
    }

    /// It is not taken: what came of it, if anything did. What was cancelled stays so.
    pub(super) fn forget(&self, by: PeerId, transfer: TransferId) -> Option<Cut> {
        let mut arrivals = self.lock();
        match arrivals.entry((by, transfer)) {
            Entry::Occupied(entry) => {
                let came = entry.get().cut(by, transfer);
                if !entry.get().cancelled {
                    entry.remove();
                }
                Some(came)
            }
            Entry::Vacant(_) => None,
        }
    }

    /// Those that `is_over` says of their peer and how long nothing came. They are forgotten.
    pub(super) fn take_cut(&self, is_over: impl Fn(&PeerId, Duration) -> bool) -> Vec<Cut> {
        let mut arrivals = self.lock();
        let cut = arrivals.extract_if(|(by, _), arrival| {
            !arrival.cancelled && is_over(by, arrival.moved.elapsed())
        });
        let cut = cut.map(|((peer, transfer), arrival)| arrival.cut(peer, transfer));
        cut.collect()
    }

    /// `note` is told how many chunks are remembered of all.
    fn touch(&self, key: Key, name: &str, note: impl FnOnce(&mut Arrival, Instant, usize)) {
        let now = Instant::now();
        let mut arrivals = self.lock();
        if !arrivals.contains_key(&key) {
            make_room(&mut arrivals, key.0);
        }
        let remembered = arrivals.values().map(|arrival| arrival.ids.len()).sum();
        let arrival = match arrivals.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Arrival::new(name, now)),
        };
        arrival.moved = now;
        note(arrival, now, remembered);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arrival>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the transfer of `peer`, or of all, that moved least recently, if there are too many. Whoever brings many others must not
/// make us forget what the owner has cancelled.
fn make_room(arrivals: &mut HashMap<Key, Arrival>, peer: PeerId) {
    let of_peer = arrivals.keys().filter(|(by, _)| *by == peer).count() >= MAX_OF_PEER;
    if !of_peer && arrivals.len() < MAX_ARRIVALS {
        return;
    }
    let candidates = arrivals
        .iter()
        .filter(|((by, _), _)| !of_peer || *by == peer);
    let oldest = candidates.min_by_key(|(_, arrival)| (arrival.cancelled, arrival.moved));
    if let Some(oldest) = oldest.map(|(key, _)| *key) {
        arrivals.remove(&oldest);
    }
}

fn unwanted() -> Failure {
    Failure::new(
        Code::Cancelled,
        "the owner of this peer wants no more of this transfer; ask the owner",
    )
}

impl Arrival {
    fn new(name: &str, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            announced: None,
            began: now,
            moved: now,
            reached: 0,
            marks: VecDeque::from([(now, 0)]),
            ids: Vec::new(),
            chunks: 0,
            bytes: 0,
            cancelled: false,
        }
    }

    /// Who has signed it. What was not announced is taken to be of who brings it.
    fn sender(&self, by: PeerId) -> PeerId {
        self.announced.map_or(by, |announced| announced.sender)
    }

    /// The bytes that it is to have, as far as that was said.
    fn of(&self) -> Option<u64> {
        self.announced.and_then(|announced| announced.size)
    }

    /// Notes how much has come by now.
    fn mark(&mut self, now: Instant) {
        let is_new = |(at, _): &(Instant, u64)| now.duration_since(*at) >= MARK;
        if self.marks.back().is_none_or(is_new) {
            self.marks.push_back((now, self.bytes));
        }
        while (self.marks.get(1)).is_some_and(|(at, _)| now.duration_since(*at) >= OF_LATE) {
            self.marks.pop_front();
        }
    }

    /// How fast it comes now.
    fn per_second(&self, now: Instant) -> Option<u64> {
        let (since, before) = *self.marks.front()?;
        let time = now.duration_since(since).as_millis().max(1);
        let came = u128::from(self.bytes.saturating_sub(before));
        let rate = u64::try_from(came * 1000 / time).unwrap_or(u64::MAX);
        (rate > 0 && now.duration_since(self.moved) < STILL).then_some(rate)
    }

    /// As the owner is shown it. What a sender says of its length may be a lie: of more than that nothing is done, or left.
    fn shown(&self, peer_id: PeerId, transfer: TransferId) -> Arriving {
        let now = Instant::now();
        let chunk_size = self.announced.map_or(0, |it| u64::from(it.chunk_size));
        let of_chunks = self.of().and_then(|size| {
            let size = size.checked_next_multiple_of(chunk_size.max(1))?;
            size.checked_div(chunk_size)
        });
        let chunks = self.reached.min(of_chunks.unwrap_or(u64::MAX));
        let content = chunks.saturating_mul(chunk_size);
        let done = content.min(self.of().unwrap_or(u64::MAX));
        let per_second = self.per_second(now);
        let left = self.of().map(|of| of.saturating_sub(done));
        Arriving {
            peer_id,
            name: self.name.clone(),
            sender: self.announced.map(|announced| announced.sender),
            transfer,
            names: None,
            more_names: false,
            bytes: self.bytes,
            of: self.of(),
            done,
            chunks,
            of_chunks,
            per_second,
            seconds_left: per_second.and_then(|rate| left.map(|left| left.div_ceil(rate))),
            seconds: self.seconds(),
            idle_seconds: now.duration_since(self.moved).as_millis() as f64 / 1e3,
        }
    }

    fn cut(&self, peer: PeerId, transfer: TransferId) -> Cut {
        Cut {
            peer,
            name: self.name.clone(),
            sender: self.sender(peer),
            transfer,
            bytes: self.bytes,
            of: self.of(),
            chunks: Vec::new(),
            by_owner: self.cancelled,
            left_out: 0,
        }
    }

    /// How long it took until now, to the millisecond.
    pub(super) fn seconds(&self) -> f64 {
        self.elapsed().as_millis() as f64 / 1e3
    }

    /// How fast its new bytes came; `None` if none had to.
    pub(super) fn rate(&self) -> Option<String> {
        (self.bytes > 0).then(|| per_second(self.bytes, self.elapsed()))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

#[cfg(test)]
mod tests;
