//! The stores that a transfer goes to. One that fails is left behind, and the others go on; the same send reaches it later.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::{BoxFuture, join_all};

use super::TransferError;
use crate::{
    id::ChunkId,
    manifest::SignedOffer,
    store::{OfferAnswer, Store},
};

/// One store.
pub(super) struct Target {
    pub(super) store: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answer: Option<OfferAnswer>,
    present: HashSet<ChunkId>,
    failed: Option<TransferError>,
    /// Whether it has failed, also if the reason was told already.
    is_left_behind: bool,
}

impl State {
    fn is_open(&self) -> bool {
        !self.is_left_behind && self.answer != Some(OfferAnswer::AlreadyReceived)
    }
}

impl Target {
    fn new(store: Arc<dyn Store>) -> Self {
        let state = Mutex::default();
        Self { store, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to do for it.
    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    pub(super) fn lacks(&self, id: ChunkId) -> bool {
        let state = self.lock();
        state.is_open() && !state.present.contains(&id)
    }

    pub(super) fn note_present(&self, ids: HashSet<ChunkId>) {
        self.lock().present = ids;
    }
}

/// All of them.
pub(super) struct Targets(Vec<Target>);

impl Targets {
    /// Announces the transfer to every store.
    ///
    /// # Errors
    /// Why not, if none takes it.
    pub(super) async fn announce(
        stores: &[Arc<dyn Store>],
        offer: &SignedOffer,
    ) -> Result<Self, TransferError> {
        let targets = Self(stores.iter().cloned().map(Target::new).collect());
        let announced = targets.each(Target::is_open, |target| {
            Box::pin(async move {
                let answer = target.store.put_offer(offer).await?;
                target.lock().answer = Some(answer);
                match answer {
                    OfferAnswer::Refused => Err(TransferError::NotAccepted { answer }),
                    _ => Ok(()),
                }
            })
        });
        announced.await?;
        Ok(targets)
    }

    /// Does something with each that is chosen, at once. Those that fail are left behind.
    ///
    /// # Errors
    /// Why not, if none is left.
    pub(super) async fn each<'a>(
        &'a self,
        is_chosen: impl Fn(&Target) -> bool,
        ask: impl Fn(&'a Target) -> BoxFuture<'a, Result<(), TransferError>>,
    ) -> Result<(), TransferError> {
        let chosen = self.0.iter().filter(|target| is_chosen(target));
        let asked = chosen.map(async |target| (target, ask(target).await));
        for (target, result) in join_all(asked).await {
            if let Err(error) = result {
                self.leave_behind(target, error)?;
            }
        }
        Ok(())
    }

    fn leave_behind(&self, failed: &Target, error: TransferError) -> Result<(), TransferError> {
        {
            let mut state = failed.lock();
            state.is_left_behind = true;
            state.failed.get_or_insert(error);
        }
        if self.0.iter().any(|target| !target.lock().is_left_behind) {
            return Ok(());
        }
        let mut failures = self.take_failures();
        match (failures.pop(), failures.is_empty()) {
            (Some((_, only)), true) => Err(only),
            (Some(last), false) => {
                failures.push(last);
                Err(TransferError::EveryStore { failures })
            }
            // Others have told it meanwhile.
            (None, _) => Err(TransferError::Stopped),
        }
    }

    pub(super) fn any(&self, is_so: impl Fn(&Target) -> bool) -> bool {
        self.0.iter().any(is_so)
    }

    /// What each answered to the offer, if it did.
    pub(super) fn answers(&self) -> Vec<Option<OfferAnswer>> {
        self.0.iter().map(|target| target.lock().answer).collect()
    }

    /// Those that were left behind, by their number, and why.
    pub(super) fn take_failures(&self) -> Vec<(usize, TransferError)> {
        let failures = self.0.iter().enumerate();
        failures
            .filter_map(|(number, target)| Some((number, target.lock().failed.take()?)))
            .collect()
    }
}
