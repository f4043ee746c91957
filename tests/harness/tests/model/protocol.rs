//! The protocol of collecting, with every order of its steps explored: no chunk is ever gone that a published manifest
//! names, or that a sender was told is there less than a lease ago.
//!
//! One chunk, named by the manifests of two senders. The first puts it and publishes; the second names the chunk of the
//! first: it asks what is missing and relies on the answer. A collector marks, takes the lock, looks again and throws
//! away; leases run out, manifests expire, are deleted or let go. Each step names the function of the code that it stands
//! for. What holds the code together is left out once each, and then the loss must be found (`explore`): otherwise the
//! model would prove nothing.
//!
//! Assumed, and true of days against seconds: no lease runs out while a lock is held, between marking and throwing away, or
//! between the slices in which a publication looks at its chunks. The last is left out once too.

mod explore;

const SENDERS: usize = 2;
/// How often leases run out, and how often each sender begins.
const DAYS: u8 = 3;
const BEGINNINGS: u8 = 2;

/// What the protocol consists of.
struct Protocol {
    /// `Inner::collect` looks at the age again when it has the lock.
    looks_again: bool,
    /// It takes `presence` for writing at all.
    takes_the_lock: bool,
    /// `Inner::missing_of`, which publishing asks, renews leases.
    publishing_renews: bool,
    /// `Inner::unpublish` leaves the chunks to the collector, whatever other manifests name.
    leaves_chunks: bool,
    /// A lease is longer than what lies between the slices of `Inner::missing_and_lock`.
    leases_outlast_slices: bool,
}

const WHOLE: Protocol = Protocol {
    looks_again: true,
    takes_the_lock: true,
    publishing_renews: true,
    leaves_chunks: true,
    leases_outlast_slices: true,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lease {
    Runs,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sender {
    /// Between transfers.
    Idle,
    /// `try_put_chunk` has the lock; then it is done.
    Putting,
    Put,
    /// `missing_chunks` has the lock.
    Asking,
    /// It was told that the chunk is there.
    Told,
    /// `try_put_manifest` has the lock; then it has found every chunk.
    Publishing,
    Found,
    /// The chunk was in an early slice: the lock is let go until the next one is looked at. Then it is held again.
    BetweenSlices,
    LastSlice,
    /// The manifest is visible; the lock is still held.
    Visible,
    Published,
    /// `unpublish` has the lock: the manifest is deleted, let go or has expired. Then it has removed the manifest.
    Unpublishing,
    Unpublished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Collector {
    Idle,
    /// `empty_trash` has the lock.
    Emptying,
    Emptied,
    /// `named_chunks` has listed the names of manifests, and read some of them.
    Marking {
        listed: [bool; SENDERS],
        read: usize,
        named: bool,
    },
    Marked {
        named: bool,
    },
    /// `collect` has the lock; it has found the lease over.
    Looking,
    Throwing,
}

/// Who holds `presence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Actor {
    Sender(usize),
    Collector,
    Clock,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    /// The lease of the chunk in its shard.
    shard: Option<Lease>,
    /// The same in the trash, since when it is there.
    trash: Option<Lease>,
    visible: [bool; SENDERS],
    senders: [Sender; SENDERS],
    /// Whether the sender was told, since leases ran out last, that the chunk is there.
    told: [bool; SENDERS],
    beginnings: [u8; SENDERS],
    collector: Collector,
    readers: [bool; SENDERS],
    writer: Option<Actor>,
    days: u8,
}

/// One step of somebody; `choice` where there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    actor: Actor,
    choice: u8,
}

impl World {
    fn new() -> Self {
        Self {
            shard: None,
            trash: None,
            visible: [false; SENDERS],
            senders: [Sender::Idle; SENDERS],
            told: [false; SENDERS],
            beginnings: [BEGINNINGS; SENDERS],
            collector: Collector::Idle,
            readers: [false; SENDERS],
            writer: None,
            days: DAYS,
        }
    }

    fn is_locked(&self) -> bool {
        self.writer.is_some() || self.readers.contains(&true)
    }

    /// `rely_on_presence`.
    fn read(&mut self, sender: usize) -> Option<()> {
        self.writer.is_none().then(|| self.readers[sender] = true)
    }

    /// `take_presence_away`.
    fn write(&mut self, actor: Actor) -> Option<()> {
        (!self.is_locked()).then(|| self.writer = Some(actor))
    }

    fn release(&mut self, actor: Actor) {
        match actor {
            Actor::Sender(n) if self.readers[n] => self.readers[n] = false,
            _ if self.writer == Some(actor) => self.writer = None,
            _ => {}
        }
    }

    /// `length_of_present`: brings it back from the trash, with a new lease.
    fn find(&mut self) -> bool {
        if self.shard.is_none() && self.trash.take().is_some() {
            self.shard = Some(Lease::Runs);
        }
        self.shard.is_some()
    }

    /// Whether a chunk is gone that must be there.
    fn has_lost(&self) -> bool {
        let published = self.visible.contains(&true) && self.shard.is_none();
        let told = self.told.contains(&true) && self.shard.is_none() && self.trash.is_none();
        published || told
    }

    /// `missing_of`.
    fn find_and_renew(&mut self, renews: bool) -> bool {
        let there = self.find();
        if there && renews {
            self.shard = Some(Lease::Runs);
        }
        there
    }
}

impl Protocol {
    fn send(&self, world: &mut World, n: usize, choice: u8) -> Option<()> {
        world.senders[n] = match world.senders[n] {
            Sender::Idle | Sender::Putting | Sender::Asking => Self::bring(world, n)?,
            // A sender that gives up here abandons what it put, and relies on nothing.
            Sender::Put if choice == 1 => {
                world.told[n] = false;
                Sender::Idle
            }
            Sender::Put | Sender::Told => {
                world.read(n)?;
                Sender::Publishing
            }
            Sender::Found if choice == 1 => {
                world.release(Actor::Sender(n));
                Sender::BetweenSlices
            }
            Sender::BetweenSlices => {
                world.read(n)?;
                Sender::LastSlice
            }
            Sender::Publishing | Sender::Found | Sender::LastSlice | Sender::Visible => {
                self.publish(world, n)
            }
            _ => self.unpublish(world, n)?,
        };
        Some(())
    }

    fn bring(world: &mut World, n: usize) -> Option<Sender> {
        let me = Actor::Sender(n);
        Some(match world.senders[n] {
            Sender::Idle => {
                world.beginnings[n] = world.beginnings[n].checked_sub(1)?;
                world.read(n)?;
                // The second asks first.
                if n == 0 {
                    Sender::Putting
                } else {
                    Sender::Asking
                }
            }
            Sender::Asking => {
                let there = world.find_and_renew(true);
                world.release(me);
                if there {
                    world.told[n] = true;
                    Sender::Told
                } else {
                    world.read(n)?;
                    Sender::Putting
                }
            }
            // `try_put_chunk`: there, it is touched; else it is written.
            _ => {
                world.find();
                world.shard = Some(Lease::Runs);
                world.told[n] = true;
                world.release(me);
                Sender::Put
            }
        })
    }

    fn publish(&self, world: &mut World, n: usize) -> Sender {
        match world.senders[n] {
            Sender::Publishing => {
                if world.find_and_renew(self.publishing_renews) {
                    Sender::Found
                } else {
                    // `MissingChunks`: it is put again; the lock is held for reading already.
                    Sender::Putting
                }
            }
            Sender::Found | Sender::LastSlice => {
                world.visible[n] = true;
                Sender::Visible
            }
            _ => {
                world.release(Actor::Sender(n));
                Sender::Published
            }
        }
    }

    /// The sender itself relies on nothing any more.
    fn unpublish(&self, world: &mut World, n: usize) -> Option<Sender> {
        let me = Actor::Sender(n);
        Some(match world.senders[n] {
            Sender::Published => {
                world.write(me)?;
                world.told[n] = false;
                Sender::Unpublishing
            }
            Sender::Unpublishing => {
                world.visible[n] = false;
                Sender::Unpublished
            }
            _ => {
                if !self.leaves_chunks && !world.visible.contains(&true) {
                    world.shard = None;
                }
                world.release(me);
                Sender::Idle
            }
        })
    }

    fn collect(&self, world: &mut World) -> Option<()> {
        let me = Actor::Collector;
        world.collector = match world.collector {
            Collector::Idle => {
                world.write(me)?;
                Collector::Emptying
            }
            Collector::Emptying => {
                if world.trash == Some(Lease::Over) {
                    world.trash = None;
                }
                world.release(me);
                Collector::Emptied
            }
            Collector::Emptied => Collector::Marking {
                listed: world.visible,
                read: 0,
                named: false,
            },
            Collector::Marking { named, read, .. } if read == SENDERS => {
                Collector::Marked { named }
            }
            Collector::Marking {
                listed,
                read,
                named,
            } => Collector::Marking {
                listed,
                read: read + 1,
                // Listed, it may have been let go before it is read.
                named: named || (listed[read] && world.visible[read]),
            },
            Collector::Marked { named: true } => Collector::Idle,
            Collector::Marked { named: false } => {
                if self.takes_the_lock {
                    world.write(me)?;
                }
                Collector::Looking
            }
            Collector::Looking if self.looks_again && world.shard != Some(Lease::Over) => {
                world.release(me);
                Collector::Idle
            }
            Collector::Looking => Collector::Throwing,
            Collector::Throwing => {
                // `throw_away`: touched, moved.
                if world.shard.take().is_some() {
                    world.trash = Some(Lease::Runs);
                }
                world.release(me);
                Collector::Idle
            }
        };
        Some(())
    }

    fn day_passes(&self, world: &mut World) -> Option<()> {
        let is_slicing = world.senders.contains(&Sender::BetweenSlices);
        let may = world.collector == Collector::Idle
            && !world.is_locked()
            && !(is_slicing && self.leases_outlast_slices);
        world.days = world.days.checked_sub(1).filter(|_| may)?;
        world.shard = world.shard.map(|_| Lease::Over);
        world.trash = world.trash.map(|_| Lease::Over);
        world.told = [false; SENDERS];
        Some(())
    }
}
