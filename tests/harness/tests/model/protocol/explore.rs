//! Tries every step in every world that can be reached.

use std::collections::HashSet;

use super::{Actor, Protocol, SENDERS, Sender, Step, WHOLE, World};

/// The steps that somebody can try in `world`.
fn steps(world: &World) -> Vec<Step> {
    let mut steps = Vec::new();
    for n in 0..SENDERS {
        let choices = match world.senders[n] {
            Sender::Put | Sender::Found => 2,
            _ => 1,
        };
        let actor = Actor::Sender(n);
        steps.extend((0..choices).map(|choice| Step { actor, choice }));
    }
    let others = [Actor::Collector, Actor::Clock];
    steps.extend(others.map(|actor| Step { actor, choice: 0 }));
    steps
}

/// What was found by trying every step in every world that can be reached, nearest first.
#[derive(Default)]
struct Explored {
    worlds: usize,
    depth: usize,
    thrown_away: bool,
    both_published: bool,
    /// How deep a chunk is gone that must be there.
    lost_at: Option<usize>,
}

impl Protocol {
    fn next(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        match step.actor {
            Actor::Sender(n) => self.send(&mut world, n, step.choice)?,
            Actor::Collector => self.collect(&mut world)?,
            Actor::Clock => self.day_passes(&mut world)?,
        }
        Some(world)
    }

    fn explore(&self) -> Explored {
        let (mut found, mut layer) = (Explored::default(), vec![World::new()]);
        let mut seen: HashSet<World> = layer.iter().cloned().collect();
        while !layer.is_empty() {
            for world in &layer {
                found.thrown_away |= world.trash.is_some();
                found.both_published |= world.visible == [true; SENDERS];
                if world.has_lost() {
                    found.lost_at = Some(found.depth);
                    return found;
                }
            }
            let reached = layer.iter().flat_map(|world| {
                let next = move |step| self.next(world, step);
                steps(world).into_iter().filter_map(next)
            });
            layer = reached.filter(|next| seen.insert(next.clone())).collect();
            found.depth += usize::from(!layer.is_empty());
        }
        found.worlds = seen.len();
        found
    }
}

#[test]
fn no_order_of_steps_loses_a_published_or_acknowledged_chunk() {
    let found = WHOLE.explore();
    eprintln!("{} worlds, up to {} steps deep", found.worlds, found.depth);
    assert_eq!(found.lost_at, None);
    assert!(found.thrown_away && found.both_published);
    assert!(found.depth >= 12 && found.worlds > 1000);
}

fn finds_a_loss(protocol: &Protocol) -> bool {
    let found = protocol.explore();
    eprintln!("lost after {:?} steps", found.lost_at);
    found.lost_at.is_some()
}

#[test]
fn collecting_without_looking_again_loses_one() {
    let looks_again = false;
    assert!(finds_a_loss(&Protocol {
        looks_again,
        ..WHOLE
    }));
}

#[test]
fn collecting_without_the_lock_loses_one() {
    let takes_the_lock = false;
    assert!(finds_a_loss(&Protocol {
        takes_the_lock,
        ..WHOLE
    }));
}

#[test]
fn publishing_without_renewing_leases_loses_one() {
    let publishing_renews = false;
    assert!(finds_a_loss(&Protocol {
        publishing_renews,
        ..WHOLE
    }));
}

#[test]
fn a_manifest_that_takes_its_chunks_along_loses_one() {
    let leaves_chunks = false;
    assert!(finds_a_loss(&Protocol {
        leaves_chunks,
        ..WHOLE
    }));
}

#[test]
fn publishing_in_slices_that_outlast_a_lease_loses_one() {
    let leases_outlast_slices = false;
    assert!(finds_a_loss(&Protocol {
        leases_outlast_slices,
        ..WHOLE
    }));
}
