//! Room in a store whose quota is full: what was opened goes, and what no transfer names, in an order in which nobody loses what
//! others have still to collect to somebody who only puts chunks.
//!
//! 1. Opened transfers that nobody else can collect, the oldest first.
//! 2. Only for a transfer, announced or published: chunks that no transfer names or has announced, of the peer that has the most of
//!    them.
//! 3. Opened transfers of the peer that brings something.
//! 4. Only for a transfer: the other opened ones, the oldest first.
//!
//! An announcement alone lets nothing go: it is taken if there would be room, and each chunk that comes makes room for itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{GcReport, Inner, PartOf, PeerId, StoreError, TransferState, settled::Way};
use crate::{
    id::{ChunkId, ManifestId},
    manifest::Timestamp,
};

/// Times of states are whole seconds.
const A_SECOND: Duration = Duration::from_secs(1);
/// Chunks that are taken away under one lock.
const BATCH: usize = 100;
/// As much as this of what no transfer names goes at once, for finding it costs a look at all manifests.
const AT_ONCE: u64 = 16 << 20;
/// How often something is tried again because others have made room meanwhile.
const RETRIES: usize = 3;
/// Looking for what was opened takes at most this part of the time.
const SELDOM: u32 = 20;

/// What room is made for.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// A transfer that this peer brings, and that is announced or published; or something that the owner stores (`None`).
    Transfer(Option<PeerId>),
    /// Chunks that this peer puts and that no transfer has announced.
    Unnamed(PeerId),
}

/// An opened transfer that is stored here.
struct Kept {
    id: ManifestId,
    sender: PeerId,
    since: Timestamp,
    /// Whether others than its sender and the owner can collect it.
    for_others: bool,
    /// Its bytes.
    stored: u64,
}

/// The opened transfers, as they were found.
#[derive(Default)]
pub(super) struct Opened(Mutex<Option<Found>>);

struct Found {
    kept: Arc<Vec<Kept>>,
    at: Instant,
    took: Duration,
}

impl Opened {
    /// Another one was opened, or one went.
    pub(super) fn changed(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl For {
    /// How soon an opened transfer goes for this; `None` if it does not.
    fn turn_of(self, kept: &Kept) -> Option<u8> {
        let (by, may_take_all) = match self {
            Self::Transfer(by) => (by, true),
            Self::Unnamed(by) => (Some(by), false),
        };
        match kept.for_others {
            false => Some(0),
            true if by == Some(kept.sender) => Some(1),
            true => may_take_all.then_some(2),
        }
    }
}

impl Inner {
    /// What room is made for when `by` puts a chunk.
    pub(super) fn room_for(&self, by: Option<PeerId>, part_of: Option<PartOf>) -> For {
        let owner = self.relay().map(|relay| relay.owner);
        match by {
            Some(by) if Some(by) != owner && !self.is_announced(by, part_of) => For::Unnamed(by),
            by => For::Transfer(by),
        }
    }

    /// Whether a chunk that `by` puts is of a transfer that it has announced.
    pub(super) fn is_announced(&self, by: PeerId, part_of: Option<PartOf>) -> bool {
        part_of.is_some_and(|part| self.announced.has((part.transfer_id, by)))
    }

    /// Does `work` again as long as the quota refuses it and something can be let go for it.
    pub(super) fn with_room<T>(
        &self,
        what: For,
        work: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut made_by_others = 0;
        loop {
            let done = work();
            let Err(StoreError::NoSpace {
                needed,
                quota: Some(quota),
                ..
            }) = &done
            else {
                return done;
            };
            if self.space.quota() != Some(*quota) {
                return done;
            }
            // What another lets go at this moment is neither there nor free.
            let _turn = self.turn_to_make_room();
            match self.space.lacking(*needed) {
                0 if made_by_others < RETRIES => made_by_others += 1,
                0 => return done,
                bytes if self.make_room(bytes, what)? => {}
                _ => return done,
            }
        }
    }

    /// Held by whoever makes room. The caller must not rely on presence.
    pub(super) fn turn_to_make_room(&self) -> MutexGuard<'_, ()> {
        let turn = self.room_turn.lock();
        turn.unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes could be let go for something.
    pub(super) fn releasable(&self, what: For) -> Result<u64, StoreError> {
        let Some(owner) = self.relay().map(|relay| relay.owner) else {
            return Ok(0);
        };
        let kept = self.kept(owner)?;
        let kept = kept.iter().filter(|kept| what.turn_of(kept).is_some());
        let opened = kept.map(|kept| kept.stored).fold(0, u64::saturating_add);
        let unnamed = match what {
            For::Transfer(_) => self.charges.unannounced_bytes(owner),
            For::Unnamed(_) => 0,
        };
        Ok(opened.saturating_add(unnamed))
    }

    /// Lets go of as much as makes `bytes` free. Returns whether anything went: nothing does for what does not fit in any case.
    fn make_room(&self, bytes: u64, what: For) -> Result<bool, StoreError> {
        let Some(owner) = self.relay().map(|relay| relay.owner) else {
            return Ok(false);
        };
        if matches!(what, For::Transfer(_)) {
            // After a restart it is not known yet who put what.
            self.count_charges_anew()?;
        }
        if self.releasable(what)? < bytes {
            return Ok(false);
        }
        let kept = self.kept(owner)?;
        let of_turn = |turn| {
            let of_it = kept.iter().filter(|kept| what.turn_of(kept) == Some(turn));
            of_it.collect::<Vec<_>>()
        };
        let mut gone = 0;
        for turn in 0..=2 {
            if turn == 1 && gone < bytes && matches!(what, For::Transfer(_)) {
                gone += self.let_unannounced_go(bytes - gone, owner)?;
            }
            if gone < bytes {
                gone += self.let_kept_go(bytes - gone, &of_turn(turn))?;
            }
        }
        Ok(gone > 0)
    }

    /// The opened transfers of others that are stored here, the oldest first. What the owner shares is there for others, also after
    /// he has looked at it.
    fn kept(&self, owner: PeerId) -> Result<Arc<Vec<Kept>>, StoreError> {
        let mut found = self.opened.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = &*found
            && found.at.elapsed() <= found.took * SELDOM
        {
            return Ok(found.kept.clone());
        }
        let began = Instant::now();
        let infos = self.with_index(|known| {
            let infos = known.values().map(|known| &known.info);
            let others = infos.filter(|info| info.sender != owner);
            let known = others.map(|info| (info.id, info.sender, !info.is_only_for(owner)));
            known.collect::<Vec<_>>()
        })?;
        let mut kept = Vec::new();
        for (id, sender, for_others) in infos {
            // A receipt that cannot be read must not keep the others from being used.
            let Ok(Some(at)) = self.receipts.state_of(id) else {
                continue;
            };
            if at.state == TransferState::Opened {
                kept.push(Kept {
                    id,
                    sender,
                    since: at.since,
                    for_others,
                    stored: self.stored_of(id)?,
                });
            }
        }
        kept.sort_by_key(|kept| (kept.since, kept.id));
        let kept = Arc::new(kept);
        *found = Some(Found {
            kept: kept.clone(),
            at: Instant::now(),
            took: began.elapsed(),
        });
        Ok(kept)
    }

    /// Lets go of opened transfers, in their order, until `bytes` are free. Gives how many bytes went, and one at least if a transfer
    /// did.
    fn let_kept_go(&self, bytes: u64, kept: &[&Kept]) -> Result<u64, StoreError> {
        let (mut gone, mut chunks, mut until) = (0, Vec::new(), SystemTime::UNIX_EPOCH);
        for one in kept {
            if gone >= bytes {
                break;
            }
            let Some((its, _)) = self.chunks_of_manifest(one.id)? else {
                continue;
            };
            if self.unpublish_if_there(one.id)? {
                let lengths = its.iter().filter_map(|id| self.length_on_disk(*id));
                gone += lengths.sum::<u64>().max(1);
                until = until.max(time_of(one.since) + A_SECOND);
                chunks.extend(its);
            }
        }
        self.opened.changed();
        if gone > 0 {
            let named = self.named_chunks()?;
            chunks.retain(|id| !named.contains(id));
            let freed = self.free(&chunks, until, Way::Trash)?;
            tracing::info!(
                bytes = freed.bytes,
                "the quota is full: opened transfers were let go"
            );
        }
        Ok(gone)
    }

    /// Moves chunks to the trash that members have put and that no transfer names or has announced, until `bytes` are free. Gives how
    /// many bytes went.
    fn let_unannounced_go(&self, bytes: u64, owner: PeerId) -> Result<u64, StoreError> {
        let chunks: Vec<ChunkId> = self.charges.unannounced(bytes.max(AT_ONCE), owner);
        if chunks.is_empty() {
            return Ok(0);
        }
        let (named, mut report) = (self.named_chunks()?, GcReport::default());
        for batch in chunks.chunks(BATCH) {
            let _alone = self.take_presence_away();
            // A manifest that was published meanwhile has taken them from who is charged for them.
            let unnamed = |id: &&ChunkId| !named.contains(id) && self.charges.is_unannounced(**id);
            for id in batch.iter().filter(unnamed) {
                self.throw_away(self.shard(*id), *id, &mut report)?;
            }
        }
        for one in &report.by {
            let (peer, bytes) = (one.peer_id.map(tracing::field::display), one.bytes);
            tracing::info!(
                peer,
                bytes,
                "the quota is full: chunks that no transfer names were let go"
            );
        }
        Ok(report.bytes)
    }
}

fn time_of(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(at.unix_seconds())
}
