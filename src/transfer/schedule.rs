//! Which source is asked for which chunk, and when: decisions only, without a clock, a thread or a network.
//!
//! Chunks are wanted in an order, and a few at a time. A source that has room gets the first of them that nobody fetches;
//! a slow one gets a later one, which the others will not have reached when it is done with it, so that it helps and
//! nobody waits for it. A chunk that takes far longer than its source usually does is asked for elsewhere too, and
//! whoever comes first counts. A source that fails or stalls rests, longer each time, and is then tried with what is
//! needed last. One that only fails is given up in the end; one that sent a wrong byte, at once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use crate::id::ChunkId;

/// Failures in a row after which a source is given up.
pub(super) const MAX_STRIKES: u32 = 6;
/// The rest after the first failure; twice as long after each further one.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(8);
/// A chunk has stalled when it takes so many times what is usual.
const STALLED: f64 = 4.0;
/// But nothing has that is younger.
const YOUNGEST_STALL: Duration = Duration::from_secs(1);
/// How much the newest measurement counts.
const NEWEST: f64 = 0.3;

/// A source, by its place in the list of all.
pub(super) type Source = usize;

/// A chunk that is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetch {
    /// Whom to ask.
    pub(super) source: Source,
    /// For what.
    pub(super) id: ChunkId,
}

/// How a fetch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not have the chunk (yet).
    Lacks,
    /// It may work later.
    Passing,
    /// Nothing of this source is wanted any more.
    Final,
}

/// What is known of all sources and of the chunks that are wanted now. Times count from any one beginning.
#[derive(Debug)]
pub(super) struct Schedule {
    sources: Vec<State>,
    /// By the order in which they were wanted.
    wanted: BTreeMap<u64, Wanted>,
    places: HashMap<ChunkId, u64>,
    next_place: u64,
    /// Chunks that one source is asked for at once.
    at_once: usize,
}

#[derive(Debug, Default)]
struct State {
    lacks: HashSet<ChunkId>,
    flying: usize,
    /// Between two chunks that come from it.
    seconds: Option<f64>,
    last: Duration,
    strikes: u32,
    rests_until: Duration,
    dropped: bool,
}

#[derive(Debug)]
struct Wanted {
    id: ChunkId,
    flights: Vec<Flight>,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    source: Source,
    since: Duration,
}

impl Schedule {
    /// Of so many sources, each asked for at most `at_once` chunks at a time.
    pub(super) fn new(sources: usize, at_once: usize) -> Self {
        Self {
            sources: std::iter::repeat_with(State::default)
                .take(sources)
                .collect(),
            wanted: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
            at_once: at_once.max(1),
        }
    }

    /// The chunk `id` is wanted, after all that are wanted already.
    pub(super) fn want(&mut self, id: ChunkId) {
        if !self.places.contains_key(&id) {
            self.places.insert(id, self.next_place);
            let flights = Vec::new();
            self.wanted.insert(self.next_place, Wanted { id, flights });
            self.next_place += 1;
        }
    }

    /// Nobody wants the chunk any more. Gives who was being asked for it.
    pub(super) fn forget(&mut self, id: ChunkId) -> Vec<Source> {
        let place = self.places.remove(&id);
        let Some(wanted) = place.and_then(|place| self.wanted.remove(&place)) else {
            return Vec::new();
        };
        for flight in &wanted.flights {
            self.sources[flight.source].flying -= 1;
        }
        wanted.flights.iter().map(|flight| flight.source).collect()
    }

    /// Of the chunks `asked`, `source` has all but `lacking`.
    pub(super) fn learn(&mut self, source: Source, asked: &[ChunkId], lacking: &[ChunkId]) {
        let lacks = &mut self.sources[source].lacks;
        for id in asked {
            lacks.remove(id);
        }
        lacks.extend(lacking);
    }

    /// Whether `source` is known not to have the chunk.
    pub(super) fn lacks(&self, source: Source, id: ChunkId) -> bool {
        self.sources[source].lacks.contains(&id)
    }

    /// Other chunks than before: what was measured does not tell how long they take.
    pub(super) fn forget_speeds(&mut self) {
        for source in &mut self.sources {
            source.seconds = None;
        }
    }

    /// The next chunk to ask for, if there is one now.
    pub(super) fn next(&mut self, now: Duration) -> Option<Fetch> {
        let mut able: Vec<_> = (0..self.sources.len())
            .filter(|source| self.has_room(*source, now))
            .collect();
        able.sort_by(|a, b| self.pace(*a).total_cmp(&self.pace(*b)));
        let chosen = able.iter().find_map(|source| {
            let place = self.choose(*source, now)?;
            Some((*source, place))
        });
        let (source, place) = chosen?;
        let wanted = self.wanted.get_mut(&place)?;
        wanted.flights.push(Flight { source, since: now });
        let id = wanted.id;
        self.sources[source].flying += 1;
        Some(Fetch { source, id })
    }

    /// The chunk came from `source`; `measured` if it tells its speed. Gives who else is still being asked for it.
    pub(super) fn done(
        &mut self,
        now: Duration,
        source: Source,
        id: ChunkId,
        measured: bool,
    ) -> Vec<Source> {
        let stalled = self.stalled(now);
        let flight = self.land(source, id);
        let state = &mut self.sources[source];
        if let Some(flight) = flight.filter(|_| measured) {
            let took = now
                .saturating_sub(flight.since.max(state.last))
                .as_secs_f64();
            state.seconds = Some(match state.seconds {
                Some(seconds) => seconds + NEWEST * (took - seconds),
                None => took,
            });
        }
        state.last = now;
        state.strikes = 0;
        let others = self.forget(id);
        for (other, since) in stalled.into_iter().filter(|(s, _)| others.contains(s)) {
            self.strike(other, now);
            // It is at least as slow as that. Slow is no reason to give it up: it may be the only one that has a chunk.
            let state = &mut self.sources[other];
            let took = now.saturating_sub(since).as_secs_f64();
            state.seconds = Some(state.seconds.unwrap_or(0.0).max(took));
        }
        others
    }

    /// `source` did not give the chunk.
    pub(super) fn failed(&mut self, now: Duration, source: Source, id: ChunkId, fault: Fault) {
        self.land(source, id);
        match fault {
            Fault::Lacks => {
                self.sources[source].lacks.insert(id);
            }
            Fault::Passing => {
                self.strike(source, now);
                if self.sources[source].strikes >= MAX_STRIKES {
                    self.drop_source(source);
                }
            }
            Fault::Final => self.drop_source(source),
        }
    }

    /// Nothing more is asked of `source`, and what it was asked for is asked of others.
    pub(super) fn drop_source(&mut self, source: Source) {
        for wanted in self.wanted.values_mut() {
            wanted.flights.retain(|flight| flight.source != source);
        }
        let state = &mut self.sources[source];
        (state.dropped, state.flying) = (true, 0);
    }

    /// Whether `source` was given up.
    pub(super) fn is_dropped(&self, source: Source) -> bool {
        self.sources[source].dropped
    }

    /// The wanted chunks that no source is known to have.
    pub(super) fn nowhere(&self) -> Vec<ChunkId> {
        let without = |wanted: &&Wanted| {
            wanted.flights.is_empty() && !self.sources.iter().any(|state| state.may_have(wanted.id))
        };
        let ids = self.wanted.values().filter(without);
        ids.map(|wanted| wanted.id).collect()
    }

    /// When there may be something to decide although nothing came: a rest ends, or a chunk has stalled.
    pub(super) fn wake(&self, now: Duration) -> Option<Duration> {
        let live = self.sources.iter().filter(|state| !state.dropped);
        let rests = live.map(|state| state.rests_until);
        let flights = self.wanted.values().flat_map(|wanted| &wanted.flights);
        let stalls = flights.filter_map(|flight| self.stalls_at(flight));
        rests.chain(stalls).filter(|at| *at > now).min()
    }

    fn has_room(&self, source: Source, now: Duration) -> bool {
        let state = &self.sources[source];
        // Of one that has just failed, one chunk tells whether it works again.
        let most = if state.strikes == 0 { self.at_once } else { 1 };
        !state.dropped && state.rests_until <= now && state.flying < most
    }

    /// Which of the wanted chunks `source` is to be asked for, by its place.
    fn choose(&self, source: Source, now: Duration) -> Option<u64> {
        let state = &self.sources[source];
        let stalled = self.stalled(now);
        let helpers = |wanted: &Wanted| -> Vec<Source> {
            let counts = |other: &Source| {
                let state = &self.sources[*other];
                *other != source
                    && state.may_have(wanted.id)
                    && state.strikes == 0
                    && !stalled.contains_key(other)
            };
            (0..self.sources.len()).filter(counts).collect()
        };
        let has = |wanted: &Wanted| !state.lacks.contains(&wanted.id);
        let free = || {
            let free = self.wanted.iter();
            free.filter(|(_, wanted)| wanted.flights.is_empty() && has(wanted))
        };
        let mut places = free().enumerate();
        let first = places.find(|(at, (_, wanted))| {
            let helpers = helpers(wanted);
            let waits = state.strikes > 0 && !helpers.is_empty();
            !waits && *at >= self.ahead(source, &helpers)
        });
        // What is tried on one that failed before is what is needed last.
        let on_trial = || free().next_back().filter(|_| state.strikes > 0);
        if let Some((place, _)) = first.map(|(_, free)| free).or_else(on_trial) {
            return Some(*place);
        }
        let hangs = |flight: &Flight| flight.source != source && self.is_stalled(flight, now);
        let mut hanging = self.wanted.iter().filter(|(_, wanted)| {
            let flights = &wanted.flights;
            has(wanted) && !flights.is_empty() && flights.iter().all(hangs)
        });
        hanging.next().map(|(place, _)| *place)
    }

    /// The sources of which a fetch has stalled, and since when they gave nothing.
    fn stalled(&self, now: Duration) -> HashMap<Source, Duration> {
        let flights = self.wanted.values().flat_map(|wanted| &wanted.flights);
        let stalled = flights.filter(|flight| self.is_stalled(flight, now));
        let since = |flight: &Flight| flight.since.max(self.sources[flight.source].last);
        stalled
            .map(|flight| (flight.source, since(flight)))
            .collect()
    }

    fn is_stalled(&self, flight: &Flight, now: Duration) -> bool {
        self.stalls_at(flight).is_some_and(|at| at <= now)
    }

    /// How many chunks the others will have begun, beyond those that they have, when `source` is done with one more.
    fn ahead(&self, source: Source, others: &[Source]) -> usize {
        let state = &self.sources[source];
        let Some(seconds) = state.seconds else {
            return 0;
        };
        let until = seconds * (state.flying + 1) as f64;
        let reach = |other: &Source| {
            let other = &self.sources[*other];
            let seconds = other.seconds?.max(f64::MIN_POSITIVE);
            Some((until / seconds - other.flying as f64).max(0.0))
        };
        let reached: f64 = others.iter().filter_map(reach).sum();
        // What is a whole chunk more or less is chance between sources of one speed.
        (reached - others.len() as f64).max(0.0) as usize
    }

    /// Those that are fast come first, and those of whom nothing is known before them.
    fn pace(&self, source: Source) -> f64 {
        let state = &self.sources[source];
        state.seconds.unwrap_or(0.0) * (state.flying + 1) as f64 + f64::from(state.strikes)
    }

    /// When a fetch is to be called stalled; `None` while nobody knows how long it may take.
    fn stalls_at(&self, flight: &Flight) -> Option<Duration> {
        let own = self.sources[flight.source].seconds;
        let known = self.sources.iter().filter_map(|state| state.seconds);
        let usual = own.or_else(|| known.max_by(f64::total_cmp))?;
        let begun = flight.since.max(self.sources[flight.source].last);
        let patience = Duration::try_from_secs_f64(usual * STALLED).unwrap_or(Duration::MAX);
        Some(begun.saturating_add(patience.max(YOUNGEST_STALL)))
    }

    fn land(&mut self, source: Source, id: ChunkId) -> Option<Flight> {
        let place = self.places.get(&id)?;
        let flights = &mut self.wanted.get_mut(place)?.flights;
        let at = flights.iter().position(|flight| flight.source == source)?;
        self.sources[source].flying -= 1;
        Some(flights.swap_remove(at))
    }

    fn strike(&mut self, source: Source, now: Duration) {
        let state = &mut self.sources[source];
        // All that was on its way when it failed fails with it, once.
        if state.dropped || now < state.rests_until {
            return;
        }
        let rest = FIRST_REST * 2_u32.saturating_pow(state.strikes.min(MAX_STRIKES));
        state.strikes = (state.strikes + 1).min(MAX_STRIKES);
        state.rests_until = now + rest.min(LONGEST_REST);
    }
}

impl State {
    fn may_have(&self, id: ChunkId) -> bool {
        !self.dropped && !self.lacks.contains(&id)
    }
}

#[cfg(test)]
mod tests;
