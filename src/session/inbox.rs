//! What waits in the own store for a yes: it is shown before a byte of it is written, and opened or refused.

use std::{mem, ops::ControlFlow, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Error, Event, OwnStore, ReceiveOutcome, ReceiveRequest, Session, SignedBy, TransferRow,
    TransferSelector,
    list::states_here,
    manifest_of, meant, row,
    store::look,
    which::{if_long_enough, newest},
};
use crate::{
    manifest::{SignedManifest, table::Entry},
    peer::{DecidedBy, Direction, HistoryEntry, Kept, Outcome, Reasons},
    store::{ManifestInfo, Missing, Store, StoreError, TransferState},
    transfer::{self, GLANCE, OpenedTransfer, Seen, TransferError, top_names},
    wire::Decision,
};

/// Entries that are shown of a transfer that was not named.
const FEW: usize = 20;

/// The transfers for this peer that are not opened yet.
pub struct Inbox<'a> {
    us: &'a Session,
    own: OwnStore,
    store: Arc<dyn Store>,
}

/// How much of a transfer is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// 20 entries at most: its sender chooses how long the table is.
    Few,
    /// Every entry.
    Every,
}

/// A transfer that waits, as far as it can be opened. Its names are foreign: escape them before showing them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitingTransfer {
    /// What the store says of it.
    #[serde(flatten)]
    pub info: ManifestInfo,
    /// Who signed it.
    #[serde(flatten)]
    pub from: SignedBy,
    /// Whether only a password opens it.
    pub locked: bool,
    /// Why it cannot be listed, if so.
    pub reason: Option<String>,
    /// Why it was not opened when a peer of ours tried, if so.
    pub not_opened: Option<String>,
    /// What is in it.
    pub entries: Vec<Entry>,
    /// Whether it has others.
    pub more_entries: bool,
}

/// A transfer that was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedTransfer {
    /// What the store says of it.
    #[serde(flatten)]
    pub info: ManifestInfo,
    /// Who signed it.
    #[serde(flatten)]
    pub from: SignedBy,
}

impl Session {
    /// Opens the inbox of this home, also while a peer serves it. Blocks as [`Self::own_store`] does.
    ///
    /// # Errors
    /// Fails if the own store cannot be read.
    pub fn inbox(&self) -> Result<Inbox<'_>, Error> {
        let own = self.own_store()?;
        let store = own.to_read(self);
        let us = self;
        Ok(Inbox { us, own, store })
    }
}

impl Inbox<'_> {
    /// The store that it looked into.
    pub(super) fn into_store(self) -> OwnStore {
        self.own
    }

    /// Everything that waits.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn waiting(&self) -> Result<Vec<ManifestInfo>, Error> {
        self.undecided(&[]).await
    }

    /// What waits, as lists show it.
    ///
    /// # Errors
    /// Fails if the store cannot be read.
    pub async fn rows(&self) -> Result<Vec<TransferRow>, Error> {
        let (mut rows, marks) = (Vec::new(), self.us.marks().ok());
        for info in self.waiting().await? {
            rows.extend(row(self.us, &*self.store, marks.as_ref(), info).await?);
        }
        Ok(rows)
    }

    /// Those that are meant by each of `which`: an id, the beginning of one, or a name in them. What was refused can be
    /// named too; a name is that of what waits, if that has it.
    ///
    /// # Errors
    /// Fails if nothing that waits is meant, or several.
    pub async fn named(&self, which: &[String]) -> Result<Vec<ManifestInfo>, Error> {
        let all = self.undecided(&[TransferState::Refused]).await?;
        let waits = |info: &ManifestInfo| info.state.is_some_and(|at| at.state.is_undecided());
        let (waiting, refused): (Vec<_>, Vec<_>) = all.iter().partition(|info| waits(info));
        let mut named = Vec::new();
        for text in which {
            let by_id = newest(TransferSelector::new(text).matching(&all));
            let mut info = self.us.only(&*self.store, &by_id, text).await?;
            for infos in [&waiting, &refused] {
                if info.is_none() {
                    info = self.us.one_meant(&*self.store, infos, text).await?;
                }
            }
            let nothing = || Error::NothingWaits { text: text.clone() };
            named.push(info.ok_or_else(|| if_long_enough(text, nothing))?.clone());
        }
        Ok(named)
    }

    /// Looks into a transfer. That it cannot be opened is part of what is found.
    ///
    /// # Errors
    /// Fails if it is not there any more.
    pub async fn look(
        &self,
        mut info: ManifestInfo,
        extent: Extent,
    ) -> Result<WaitingTransfer, Error> {
        info.state = None;
        let manifest = SignedManifest::parse(self.store.get_manifest(info.id).await?)?;
        let from = SignedBy::of(self.us, &manifest);
        let reader = self.us.reader_of(manifest.payload());
        let (entries, seen) = match extent {
            Extent::Few => self.few_entries(&manifest).await,
            Extent::Every => match OpenedTransfer::open(&*self.store, manifest, &reader).await {
                Ok(opened) => (opened.listing.entries, Ok(Seen::All)),
                Err(error) => (Vec::new(), Err(error)),
            },
        };
        let locked = matches!(seen, Err(TransferError::PasswordNeeded));
        let failed = seen.as_ref().err().filter(|_| !locked);
        Ok(WaitingTransfer {
            from,
            locked,
            reason: failed.map(ToString::to_string),
            not_opened: Reasons::new(&self.us.home.chunks()).of(info.id),
            entries,
            more_entries: matches!(seen, Ok(Seen::Part)),
            info,
        })
    }

    /// Opens what `request.which` names as in [`Self::named`]; with `request.all` everything that waits and needs no
    /// password. From whom is not asked: it is here.
    ///
    /// # Errors
    /// Those of [`Self::named`] and of [`Session::receive`].
    pub async fn accept(&self, mut request: ReceiveRequest) -> Result<ReceiveOutcome, Error> {
        let infos = match mem::take(&mut request.all) {
            true => {
                let mut waiting = self.waiting().await?;
                waiting.retain(|info| info.recipients.iter().any(|id| self.us.is_us(*id)));
                waiting
            }
            false => self.named(&request.which).await?,
        };
        if infos.is_empty() {
            return Ok(ReceiveOutcome::nothing());
        }
        request.which = infos.iter().map(|info| info.id.to_string()).collect();
        let store = self.store.clone();
        let received = self.us.receive_out_of(store, Some(&self.own), request);
        match received.await {
            Err(error) => Err(self.of_damage(error).await),
            received => received,
        }
    }

    /// The same failure, with the reason if a chunk is not there because it is damaged in this store.
    async fn of_damage(&self, error: Error) -> Error {
        let (Error::Store(StoreError::NotFound(Missing::Chunk(id) | Missing::Damaged(id)))
        | Error::Transfer(TransferError::Store(StoreError::NotFound(
            Missing::Chunk(id) | Missing::Damaged(id),
        )))) = &error
        else {
            return error;
        };
        // Who only looks sets nothing aside: whoever has the store finds it so, and says it from now on.
        let _ = self.own.as_store().get_chunk(*id).await;
        match look(&self.us.home) {
            Ok(store) if store.is_damaged(*id) => {
                StoreError::NotFound(Missing::Damaged(*id)).into()
            }
            _ => error,
        }
    }

    /// Remembers a no; whoever waits for the state of the transfer is told. Each is told as [`Event::Refused`].
    ///
    /// # Errors
    /// Those of [`Self::named`]; fails if it cannot be written.
    pub async fn refuse(&self, ids: &[String]) -> Result<Vec<RefusedTransfer>, Error> {
        self.refuse_these(self.named(ids).await?).await
    }

    /// The same of everything that waits, or of what is `from` one peer, which is meant as in [`Session::set_role`].
    ///
    /// # Errors
    /// Fails if no peer or several are meant, or if it cannot be written.
    pub async fn refuse_all(&self, from: Option<&str>) -> Result<Vec<RefusedTransfer>, Error> {
        let mut waiting = self.waiting().await?;
        if let Some(from) = from {
            let sender = meant::id_of(self.us, from).await?;
            waiting.retain(|info| info.sender == sender);
        }
        self.refuse_these(waiting).await
    }

    async fn refuse_these(&self, infos: Vec<ManifestInfo>) -> Result<Vec<RefusedTransfer>, Error> {
        let mut refused = Vec::new();
        for mut info in infos {
            info.state = None;
            let no = Decision::Refused;
            self.us.record(&self.own, info.id, no).await?;
            // The peer that serves does so itself.
            if matches!(self.own, OwnStore::Direct(_)) {
                self.us.drop_staged(info.sender, info.transfer_id);
            }
            let (from, names) = match manifest_of(&*self.store, info.id).await {
                Some(manifest) => {
                    let names = top_names(
                        &*self.store,
                        &self.us.reader_of(manifest.payload()),
                        &manifest,
                    )
                    .await;
                    (SignedBy::of(self.us, &manifest), names)
                }
                None => (SignedBy::unknown(info.sender), None),
            };
            let names = names.map_or_else(Vec::new, |top| top.names);
            let transfer = RefusedTransfer { info, from };
            self.us.tell(Event::Refused(Box::new(transfer.clone())));
            let (entry, arrival) = (transfer.entry(names), transfer.arrival());
            self.us.remember_arrival(&entry, &arrival);
            refused.push(transfer);
        }
        Ok(refused)
    }

    /// What others have sent to us and is neither opened nor refused, or is in one of the states `or`.
    async fn undecided(&self, or: &[TransferState]) -> Result<Vec<ManifestInfo>, Error> {
        // What has come since the last time is in it.
        let store = self.own.to_read(self.us);
        let mut waiting = states_here(self.us, &*store).await?;
        waiting.retain(|info| {
            let is_wanted = |state: TransferState| state.is_undecided() || or.contains(&state);
            !self.us.is_us(info.sender) && info.state.is_some_and(|at| is_wanted(at.state))
        });
        Ok(waiting)
    }

    /// The first entries of a transfer.
    async fn few_entries(
        &self,
        manifest: &SignedManifest,
    ) -> (Vec<Entry>, Result<Seen, TransferError>) {
        let mut few = Vec::new();
        let keep = |entry| {
            if few.len() == FEW {
                return ControlFlow::Break(());
            }
            few.push(entry);
            ControlFlow::Continue(())
        };
        let reader = self.us.reader_of(manifest.payload());
        match transfer::browse(&*self.store, manifest, &reader, GLANCE, keep).await {
            Ok(seen) => (few, Ok(seen)),
            Err(error) => (Vec::new(), Err(error)),
        }
    }
}

impl RefusedTransfer {
    fn arrival(&self) -> Kept {
        let name = (self.from.verified || self.from.blocked).then_some(self.from.name.as_str());
        let reason = "refused by the owner".to_owned();
        let outcome = Outcome::Refused { reason };
        Kept::of(self.info.sender, name, DecidedBy::Owner, &outcome)
    }

    fn entry(&self, names: Vec<String>) -> HistoryEntry {
        HistoryEntry {
            sender: Some(self.info.sender),
            manifest: Some(self.info.id),
            verified: self.from.verified || self.from.blocked,
            peers: vec![self.from.name.clone()],
            bytes: self.info.size,
            names,
            ..HistoryEntry::new(Direction::Refused, self.info.transfer_id)
        }
    }
}
