//! The schedule, on simulated swarms: sources of every speed and kind, on simulated time.

use std::{cmp::Reverse, collections::BinaryHeap};

use proptest::prelude::*;

use super::*;

/// Of the simulated client, which gives up a fetch that hangs.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Honest,
    /// Sends a wrong byte, always.
    Liar,
    /// Hangs from its n-th chunk on.
    Stalls(usize),
    /// Fails from its n-th chunk on.
    Dies(usize),
    /// Fails each third time.
    Flaky,
}

/// A source that gives its chunks one after the other.
#[derive(Debug, Clone)]
struct Simulated {
    kind: Kind,
    /// For a chunk.
    millis: u64,
    /// When it gets each chunk; `None` for never.
    has: Vec<Option<u64>>,
}

impl Simulated {
    fn steady(millis: u64, chunks: usize) -> Self {
        Self {
            kind: Kind::Honest,
            millis,
            has: vec![Some(0); chunks],
        }
    }

    /// Whether it gives the chunk sooner or later, whatever happens.
    fn can_be_counted_on(&self, chunk: usize) -> bool {
        self.has[chunk].is_some() && matches!(self.kind, Kind::Honest | Kind::Flaky)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TransferEvent {
    Answer(Source, usize),
    TimedOut(Source, usize),
    Poll,
}

/// Runs a whole transfer on simulated time.
struct Run {
    schedule: Schedule,
    sources: Vec<Simulated>,
    ids: Vec<ChunkId>,
    bound: usize,
    now: Duration,
    events: BinaryHeap<Reverse<(Duration, TransferEvent)>>,
    /// Who is asked for what, until an answer comes or nobody wants it.
    flying: HashSet<(Source, usize)>,
    free_at: Vec<Duration>,
    asked: Vec<usize>,
    done: Vec<bool>,
}

impl Run {
    fn new(sources: Vec<Simulated>, bound: usize) -> Self {
        let chunks = sources[0].has.len();
        let count = sources.len();
        Self {
            schedule: Schedule::new(count, bound),
            sources,
            ids: (0..chunks as u64)
                .map(|n| ChunkId::of(&n.to_be_bytes()))
                .collect(),
            bound,
            now: Duration::ZERO,
            events: BinaryHeap::from([Reverse((Duration::ZERO, TransferEvent::Poll))]),
            flying: HashSet::new(),
            free_at: vec![Duration::ZERO; count],
            asked: vec![0; count],
            done: vec![false; chunks],
        }
    }

    /// Until everything that anybody has is there. Gives how long that took.
    fn finish(&mut self, window: usize) -> Duration {
        let mut wanted = 0;
        for _ in 0..200_000 {
            let first = self.done.iter().position(|done| !done);
            let Some(first) = first else {
                return self.now;
            };
            while wanted < self.ids.len() && wanted < first + window {
                self.schedule.want(self.ids[wanted]);
                wanted += 1;
            }
            while let Some(fetch) = self.schedule.next(self.now) {
                self.begin(fetch);
            }
            if self.is_over() {
                return self.now;
            }
            self.step();
        }
        panic!("it never ends");
    }

    /// Nobody has, or will have, what is wanted.
    fn is_over(&self) -> bool {
        let nowhere = self.schedule.nowhere();
        let may_come = |id: &ChunkId| {
            let chunk = self.ids.iter().position(|other| other == id).unwrap();
            let sources = self.sources.iter().enumerate();
            sources
                .filter(|(source, _)| !self.schedule.is_dropped(*source))
                .any(|(_, simulated)| simulated.has[chunk].is_some())
        };
        nowhere.len() == self.schedule.wanted.len() && !nowhere.iter().any(may_come)
    }

    fn begin(&mut self, Fetch { source, id }: Fetch) {
        let chunk = self.ids.iter().position(|other| *other == id).unwrap();
        assert!(!self.done[chunk], "it is there already");
        assert!(!self.schedule.is_dropped(source));
        assert!(self.flying.insert((source, chunk)), "asked twice at once");
        let flying = self.flying.iter().filter(|(s, _)| *s == source).count();
        assert!(flying <= self.bound, "{flying} in flight");
        self.asked[source] += 1;
        let begins = self.free_at[source].max(self.now);
        let ends = begins + Duration::from_millis(self.sources[source].millis);
        let event = match self.sources[source].kind {
            Kind::Stalls(at) if self.asked[source] > at => (
                self.now + CLIENT_TIMEOUT,
                TransferEvent::TimedOut(source, chunk),
            ),
            _ => {
                self.free_at[source] = ends;
                (ends, TransferEvent::Answer(source, chunk))
            }
        };
        self.events.push(Reverse(event));
    }

    /// Goes on to whatever comes first.
    fn step(&mut self) {
        let wake = self.schedule.wake(self.now);
        let next = self.events.peek().map(|Reverse((at, _))| *at);
        if let Some(wake) = wake.filter(|wake| next.is_none_or(|next| *wake < next)) {
            self.now = wake;
            return;
        }
        let Some(Reverse((at, event))) = self.events.pop() else {
            panic!("nothing will ever happen, and it is not over");
        };
        self.now = at;
        match event {
            TransferEvent::Poll => {
                for source in 0..self.sources.len() {
                    self.learn(source);
                }
                self.events.push(Reverse((at + POLL, TransferEvent::Poll)));
            }
            TransferEvent::Answer(source, chunk) if self.flying.remove(&(source, chunk)) => {
                self.answer(source, chunk);
            }
            TransferEvent::TimedOut(source, chunk) if self.flying.remove(&(source, chunk)) => {
                self.fail(source, chunk, Fault::Passing);
            }
            TransferEvent::Answer(..) | TransferEvent::TimedOut(..) => {}
        }
    }

    fn has(&self, source: Source, chunk: usize) -> bool {
        let since = self.sources[source].has[chunk].map(Duration::from_millis);
        since.is_some_and(|since| since <= self.now)
    }

    fn learn(&mut self, source: Source) {
        let lacks = (0..self.ids.len()).filter(|chunk| !self.has(source, *chunk));
        let lacks: Vec<_> = lacks.map(|chunk| self.ids[chunk]).collect();
        self.schedule.learn(source, &self.ids, &lacks);
    }

    fn answer(&mut self, source: Source, chunk: usize) {
        let asked = self.asked[source];
        match self.sources[source].kind {
            _ if !self.has(source, chunk) => self.fail(source, chunk, Fault::Lacks),
            Kind::Liar => self.fail(source, chunk, Fault::Final),
            Kind::Dies(at) if asked > at => self.fail(source, chunk, Fault::Passing),
            Kind::Flaky if asked.is_multiple_of(3) => self.fail(source, chunk, Fault::Passing),
            _ => {
                assert!(!self.done[chunk], "it came twice");
                self.done[chunk] = true;
                let others = self.schedule.done(self.now, source, self.ids[chunk], true);
                for other in others {
                    assert!(self.flying.remove(&(other, chunk)));
                }
            }
        }
    }

    fn fail(&mut self, source: Source, chunk: usize, fault: Fault) {
        self.schedule
            .failed(self.now, source, self.ids[chunk], fault);
        if self.schedule.is_dropped(source) {
            self.flying.retain(|(flying, _)| *flying != source);
        }
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Honest),
        1 => Just(Kind::Liar),
        1 => (0..8_usize).prop_map(Kind::Stalls),
        1 => (0..8_usize).prop_map(Kind::Dies),
        1 => Just(Kind::Flaky),
    ]
}

/// Sources of very different speeds, some of which get their chunks one by one.
fn source(chunks: usize) -> impl Strategy<Value = Simulated> {
    let has = prop_oneof![
        2 => Just(vec![Some(0); chunks]),
        1 => proptest::collection::vec(
            prop_oneof![3 => Just(Some(0)), 1 => (0..20_000_u64).prop_map(Some), 1 => Just(None)],
            chunks,
        ),
    ];
    let millis = prop_oneof![1..20_u64, 20..400_u64, 400..5_000_u64];
    (kind(), millis, has).prop_map(|(kind, millis, has)| Simulated { kind, millis, has })
}

fn swarms() -> impl Strategy<Value = (Vec<Simulated>, usize, usize)> {
    (1..40_usize).prop_flat_map(|chunks| {
        let sources = proptest::collection::vec(source(chunks), 1..7);
        (sources, 1..5_usize, 1..24_usize)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// With the assertions of [`Run`]: none above its bound, none asked twice, nothing that came asked for again.
    #[test]
    fn all_comes_that_somebody_honest_has_and_it_always_ends(
        (sources, bound, window) in swarms()
    ) {
        let mut run = Run::new(sources, bound);
        run.finish(window);
        for (source, simulated) in run.sources.iter().enumerate() {
            let works = matches!(simulated.kind, Kind::Honest | Kind::Flaky);
            prop_assert!(!works || !run.schedule.is_dropped(source), "{source} was given up");
        }
        // The window does not go beyond a chunk that nobody has.
        let first = run.done.iter().position(|done| !done).unwrap_or(run.done.len());
        let within = run.done.len().min(first + window);
        for chunk in 0..within {
            let honest = run.sources.iter().any(|s| s.can_be_counted_on(chunk));
            prop_assert!(!honest || run.done[chunk], "chunk {chunk} did not come");
        }
    }
}

#[test]
fn equal_sources_share_the_work_equally() {
    let chunks = 24;
    let alone = Run::new(vec![Simulated::steady(250, chunks)], 2).finish(4);
    for count in 2..=4 {
        let sources = vec![Simulated::steady(250, chunks); count];
        let took = Run::new(sources, 2).finish(4 * count);
        let ratio = took.as_secs_f64() / alone.as_secs_f64() * count as f64;
        assert!(ratio <= 1.01, "{count}: {ratio}");
    }
}

#[test]
fn work_is_given_by_speed() {
    // Ten chunks a second from these three together.
    let sources = [140, 350, 2000].map(|millis| Simulated::steady(millis, 200));
    let ideal = 200.0 / (1000.0 / 140.0 + 1000.0 / 350.0 + 0.5);
    let mut run = Run::new(sources.to_vec(), 2);
    let took = run.finish(24).as_secs_f64();
    assert!(
        took < ideal * 1.15,
        "{took} instead of {ideal}: {:?}",
        run.asked
    );
    assert!(run.asked[0] > 2 * run.asked[1], "{:?}", run.asked);
    assert!(run.asked[2] > 0, "who is slow helps too: {:?}", run.asked);
}

#[test]
fn a_stalled_chunk_is_moved_and_only_a_stalled_one() {
    let mut sources = vec![Simulated::steady(100, 60); 3];
    let mut run = Run::new(sources.clone(), 2);
    run.finish(12);
    assert_eq!(
        run.asked.iter().sum::<usize>(),
        60,
        "each is asked for once"
    );
    sources[1].kind = Kind::Stalls(5);
    let mut run = Run::new(sources, 2);
    let took = run.finish(12);
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(run.asked.iter().sum::<usize>() < 75, "{:?}", run.asked);
}

#[test]
fn a_chunk_that_only_a_slow_source_has_is_asked_for_in_its_turn() {
    let mut sources = vec![Simulated::steady(10, 50), Simulated::steady(900, 50)];
    sources[0].has[10] = None;
    let took = Run::new(sources, 2).finish(16);
    assert!(took < Duration::from_millis(4000), "{took:?}");
}
