//! What a store must answer, kept as two maps: the reference that real stores are held to.

use std::collections::{BTreeMap, BTreeSet};

use colis::store::{Put, PutManifest};
use proptest::{prelude::*, sample::select};
use proptest_state_machine::ReferenceStateMachine;

/// Chunks in this world.
pub(crate) const CHUNKS: usize = 10;
/// Transfers in this world, of two senders in turn; each names five chunks, some of which the other sender names too.
pub(crate) const TRANSFERS: usize = 5;

/// The chunks of transfer `t`.
pub(crate) fn chunks_of(t: usize) -> impl Iterator<Item = usize> {
    (0..5).map(move |n| (2 * t + n) % CHUNKS)
}

/// What is done to a store.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put(usize),
    /// All chunks of a transfer; the answer names those that were new.
    Bring(usize),
    /// Other bytes than the id names.
    PutWrong(usize),
    Get(usize),
    Head(usize),
    Missing,
    ListChunks,
    Publish(usize),
    GetManifest(usize),
    ListManifests,
    Delete(usize),
    /// Opened, then let go.
    LetGo(usize),
    Collect,
    /// The time of every transfer is over; leases run on.
    Expire,
    /// Every lease runs out; the time in the trash is over.
    AgeChunks,
    AgeTrash,
    /// The process is gone, with half-written files; so is the memory that something went to the trash.
    Crash,
    PowerLoss,
    /// A byte changes on the disk.
    Rot(usize),
    Check,
    /// Opened again on a disk without space, or with.
    Full(bool),
}

/// What a store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Put(Put),
    Published(PutManifest),
    Exact,
    Length(bool),
    Ids(Vec<usize>),
    NotFound,
    Mismatch,
    MissingChunks(usize),
    NoSpace,
    Collected {
        expired: usize,
        chunks: usize,
        removed: usize,
    },
    Problems(usize),
}

/// A chunk that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) in_trash: bool,
    old: bool,
    rotten: bool,
}

/// A store, as it must be. `ON_DISK` ones collect, crash and rot.
#[derive(Debug, Clone)]
pub(crate) struct Model<const ON_DISK: bool> {
    pub(crate) chunks: BTreeMap<usize, Kept>,
    pub(crate) published: BTreeSet<usize>,
    opened: BTreeSet<usize>,
    full: bool,
    /// To the last step.
    pub(crate) answer: Answer,
}

impl<const ON_DISK: bool> Model<ON_DISK> {
    /// Whether the chunk is there, brought back if it was on its way out.
    fn find(&mut self, c: usize) -> bool {
        let Some(kept) = self.chunks.get_mut(&c) else {
            return false;
        };
        if kept.in_trash {
            (kept.in_trash, kept.old) = (false, false);
        }
        true
    }

    fn renew(&mut self, c: usize) -> bool {
        let there = self.find(c);
        if let Some(kept) = self.chunks.get_mut(&c) {
            kept.old = false;
        }
        there
    }

    fn put(&mut self, c: usize) -> Answer {
        // What cannot be read as it was put is set aside, and heals.
        if self.find(c) && self.chunks[&c].rotten {
            self.chunks.remove(&c);
        }
        if self.renew(c) {
            return Answer::Put(Put::AlreadyThere);
        }
        if self.full {
            return Answer::NoSpace;
        }
        let fresh = Kept {
            in_trash: false,
            old: false,
            rotten: false,
        };
        self.chunks.insert(c, fresh);
        Answer::Put(Put::Stored)
    }

    fn get(&mut self, c: usize) -> Answer {
        if !self.find(c) {
            return Answer::NotFound;
        }
        if self.chunks[&c].rotten {
            self.chunks.remove(&c);
            return Answer::NotFound;
        }
        Answer::Exact
    }

    fn missing(&mut self, chunks: impl Iterator<Item = usize>) -> Vec<usize> {
        chunks.filter(|c| !self.renew(*c)).collect()
    }

    fn publish(&mut self, t: usize) -> Answer {
        let there = self.published.contains(&t);
        if !there && self.opened.contains(&t) {
            return Answer::Published(PutManifest::AlreadyReceived);
        }
        match self.missing(chunks_of(t)).len() {
            0 if there => Answer::Published(PutManifest::AlreadyThere),
            0 => {
                self.published.insert(t);
                Answer::Published(PutManifest::Stored)
            }
            count => Answer::MissingChunks(count),
        }
    }

    fn named(&self) -> BTreeSet<usize> {
        self.published.iter().copied().flat_map(chunks_of).collect()
    }

    fn if_published(&mut self, t: usize, act: impl FnOnce(&mut Self)) -> Answer {
        if !self.published.contains(&t) {
            return Answer::NotFound;
        }
        act(self);
        Answer::Done
    }

    fn collect(&mut self) -> Answer {
        let (named, before) = (self.named(), self.chunks.len());
        self.chunks.retain(|_, kept| !(kept.in_trash && kept.old));
        let mut chunks = 0;
        for (c, kept) in &mut self.chunks {
            if !kept.in_trash && kept.old && !named.contains(c) {
                (kept.in_trash, kept.old) = (true, false);
                chunks += 1;
            }
        }
        Answer::Collected {
            expired: 0,
            chunks,
            removed: before - self.chunks.len(),
        }
    }

    /// A manifest that ends only stops naming its chunks.
    fn expire(&mut self) -> Answer {
        let over = std::mem::take(&mut self.published);
        Answer::Collected {
            expired: over.len(),
            chunks: 0,
            removed: 0,
        }
    }

    fn age(&mut self, in_trash: bool) -> Answer {
        let all = self.chunks.values_mut();
        all.filter(|kept| kept.in_trash == in_trash)
            .for_each(|kept| kept.old = true);
        Answer::Done
    }

    fn check(&mut self) -> Answer {
        let before = self.chunks.len();
        self.chunks.retain(|_, kept| kept.in_trash || !kept.rotten);
        let rotten = before - self.chunks.len();
        let published = self.published.clone().into_iter();
        let broken = published.filter(|t| !self.missing(chunks_of(*t)).is_empty());
        Answer::Problems(rotten + broken.count())
    }

    fn power_loss(&mut self) -> Answer {
        self.chunks
            .values_mut()
            .for_each(|kept| kept.in_trash = false);
        Answer::Done
    }

    fn rot(&mut self, c: usize) -> Answer {
        if let Some(kept) = self.chunks.get_mut(&c).filter(|kept| !kept.in_trash) {
            kept.rotten = !kept.rotten;
        }
        Answer::Done
    }

    fn present(&self) -> Vec<usize> {
        let present = self.chunks.iter().filter(|(_, kept)| !kept.in_trash);
        present.map(|(c, _)| *c).collect()
    }

    fn answer_to(&mut self, step: &Step) -> Answer {
        match *step {
            Step::Put(c) => self.put(c),
            Step::Bring(t) => {
                let stored = Answer::Put(Put::Stored);
                Answer::Ids(chunks_of(t).filter(|c| self.put(*c) == stored).collect())
            }
            Step::PutWrong(_) => Answer::Mismatch,
            Step::Get(c) => self.get(c),
            Step::Head(c) => Answer::Length(self.find(c)),
            Step::Missing => Answer::Ids(self.missing(0..CHUNKS)),
            Step::ListChunks => Answer::Ids(self.present()),
            Step::Publish(t) => self.publish(t),
            Step::GetManifest(t) if self.published.contains(&t) => Answer::Exact,
            Step::GetManifest(_) => Answer::NotFound,
            Step::ListManifests => Answer::Ids(self.published.iter().copied().collect()),
            Step::Delete(t) => self.if_published(t, |model| {
                model.published.remove(&t);
            }),
            Step::LetGo(t) => self.if_published(t, |model| {
                model.opened.insert(t);
                model.published.remove(&t);
            }),
            Step::Collect => self.collect(),
            Step::Expire => self.expire(),
            Step::AgeChunks => self.age(false),
            Step::AgeTrash => self.age(true),
            Step::Crash => Answer::Done,
            Step::PowerLoss => self.power_loss(),
            Step::Rot(c) => self.rot(c),
            Step::Check => self.check(),
            Step::Full(full) => {
                self.full = full;
                Answer::Done
            }
        }
    }
}

impl<const ON_DISK: bool> ReferenceStateMachine for Model<ON_DISK> {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self {
            chunks: BTreeMap::new(),
            published: BTreeSet::new(),
            opened: BTreeSet::new(),
            full: false,
            answer: Answer::Done,
        })
        .boxed()
    }

    fn transitions(_: &Self) -> BoxedStrategy<Step> {
        let c = || 0..CHUNKS;
        let t = || 0..TRANSFERS;
        let everywhere = prop_oneof![
            6 => c().prop_map(Step::Put),
            6 => t().prop_map(Step::Bring),
            1 => c().prop_map(Step::PutWrong),
            3 => c().prop_map(Step::Get),
            2 => c().prop_map(Step::Head),
            2 => Just(Step::Missing),
            1 => Just(Step::ListChunks),
            8 => t().prop_map(Step::Publish),
            2 => t().prop_map(Step::GetManifest),
            1 => Just(Step::ListManifests),
            2 => t().prop_map(Step::Delete),
            3 => t().prop_map(Step::LetGo),
        ];
        let on_disk = prop_oneof![
            4 => Just(Step::Collect),
            5 => select(vec![Step::AgeChunks, Step::AgeTrash]),
            2 => select(vec![Step::Crash, Step::PowerLoss]),
            2 => c().prop_map(Step::Rot),
            1 => select(vec![Step::Check, Step::Expire]),
            1 => any::<bool>().prop_map(Step::Full),
        ];
        if ON_DISK {
            prop_oneof![3 => everywhere, 1 => on_disk].boxed()
        } else {
            everywhere.boxed()
        }
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.answer = state.answer_to(step);
        state
    }
}
