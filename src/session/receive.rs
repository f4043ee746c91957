//! Receiving: from one peer, from several at once, or from the own store and whoever is known and answers.

mod choose;
mod outcome;

use std::{
    collections::BTreeSet,
    io::{self, Write},
    mem,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;

use super::{
    Error, Event, Kind, Missed, Mistake, OwnStore, Session, Told, Work, paced, sources,
    store_options,
};
use crate::{
    crypto::password::Password,
    id::ManifestId,
    manifest::SignedManifest,
    peer::{DecidedBy, Direction, HistoryEntry, Kept, OpenedFiles, Outcome},
    received::Received,
    store::{Pace, PacedStore, Store},
    transfer::{
        self, OpenedTransfer, Reader, ReceiveOptions, ReceivedFiles, Source, Swarm, TransferError,
    },
    wire::Decision,
};

use choose::{Chosen, MAX_TRIES};
pub use outcome::{Locked, NothingNew, PassedOver, ReceiveOutcome, ReceivedTransfer};

/// Gives the password of what was sealed with one, once it is known that one is needed.
pub trait PasswordSource: Send + Sync {
    /// Asks for it. A failure is given back as [`Error::NoPassword`].
    fn ask(&self) -> BoxFuture<'_, Result<Password, Box<dyn std::error::Error + Send + Sync>>>;
}

/// What is received, from whom, and where it goes.
#[derive(Default)]
#[non_exhaustive]
pub struct ReceiveRequest {
    /// Ids of manifests, their beginnings, or names at the top of transfers.
    pub which: Vec<String>,
    /// Everything that is new for this peer, instead of what `which` names: neither opened nor refused here before, and not sent by
    /// itself to others. The oldest comes first.
    pub all: bool,
    /// With `all`: also what was opened or refused here before.
    pub again: bool,
    /// With `all`: also what this peer sent to others.
    pub mine: bool,
    /// The peers that are read from, several at once; without one the own store, then the known peers that answer.
    pub from: Vec<String>,
    /// Where the files go.
    pub into: ReceiveInto,
    /// Whether files that were executable for their sender are executable here.
    pub keep_exec: bool,
    /// Chunks in flight; those of the settings if it is not given.
    pub jobs: Option<usize>,
    /// How many bytes a second come from others at most; as the settings say if it is not given. What is in the own store comes at
    /// once.
    pub pace: Option<Pace>,
    /// For how long the one peer that is read from is tried again if it does not answer; [`RETRY_FOR`](super::RETRY_FOR) once it has
    /// answered if it is not given. If it is, the peer is waited for also before.
    pub retry_for: Option<Duration>,
    /// The password, if it is known.
    pub password: Option<Password>,
    /// Who is asked for the password if something that was named is locked by one, and `password` is not given.
    pub ask: Option<Arc<dyn PasswordSource>>,
}

impl ReceiveRequest {
    /// What is named so, with the defaults.
    pub fn named<T: Into<String>>(which: impl IntoIterator<Item = T>) -> Self {
        Self {
            which: which.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    fn check(&self) -> Result<(), Mistake> {
        match !self.all && self.which.is_empty() {
            true => Err(Mistake::NothingToReceive),
            false => Ok(()),
        }
    }
}

/// Where received files go.
#[derive(Default)]
#[non_exhaustive]
pub enum ReceiveInto {
    /// The folder of received files in the home.
    #[default]
    Home,
    /// This folder, which is made if it is not there.
    Folder(PathBuf),
    /// The content of the one file of one transfer, as it comes. After an error, what was written must not be used.
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl ReceiveInto {
    /// To `writer`, as [`Self::Writer`] says.
    pub fn writer(writer: impl Write + Send + 'static) -> Self {
        Self::Writer(Mutex::new(Box::new(writer)))
    }
}

/// A receive as it was asked for.
pub(super) struct Job<'a> {
    us: &'a Session,
    store: Arc<dyn Store>,
    own: Option<&'a OwnStore>,
    /// The store, if it is several sources.
    swarm: Option<Arc<Swarm>>,
    reader: Reader,
    /// Whether the store is of this machine: then it is looked for what was sealed for us in circles that were left, too.
    is_here: bool,
    /// On which the password is tried: those that were named by their ids, and a few more.
    tried: BTreeSet<ManifestId>,
    request: ReceiveRequest,
}

impl Session {
    /// Receives what a request names. Of several, those that fail are told as [`Event::Missed`], and the others come. Each that
    /// has come is told as [`Event::Received`].
    ///
    /// # Errors
    /// Fails if no peer that was named can be reached, nothing there is called so, nothing of what was named comes, or the
    /// folder cannot be written.
    pub async fn receive(&self, mut request: ReceiveRequest) -> Result<ReceiveOutcome, Error> {
        request.check()?;
        request.pace = self.pace(request.pace.as_ref())?;
        match request.from.as_slice() {
            [] => self.receive_from_anywhere(request).await,
            [peer] => {
                let connected = self.connect_within(peer, request.retry_for).await?;
                let client = self.watched(connected.client, peer, request.retry_for);
                let store = paced(Arc::new(client), request.pace.as_ref());
                self.receive_out_of(store, None, request).await
            }
            several => {
                let jobs = self.jobs(request.jobs);
                let swarm = sources::of_named(self, several, jobs).await?;
                let store = paced(swarm.clone(), request.pace.as_ref());
                self.receive_from_swarm(swarm, store, request).await
            }
        }
    }

    /// Receives what a request names from `store`, of whatever kind it is. The peers that it names are not asked.
    ///
    /// # Errors
    /// As [`Self::receive`].
    pub async fn receive_from(
        &self,
        store: Arc<dyn Store>,
        request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        request.check()?;
        let store = paced(store, request.pace.as_ref());
        self.receive_out_of(store, None, request).await
    }

    /// Receives from `store`, which is at the pace that was asked for; `own` is that store, if it is ours: then it has no pace.
    pub(super) async fn receive_out_of(
        &self,
        store: Arc<dyn Store>,
        own: Option<&OwnStore>,
        request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        let mut job = Job::new(self, store, own, request);
        let chosen = job.choose().await?;
        job.finish(chosen).await
    }

    /// Receives from a folder of sealed files.
    pub(super) async fn receive_out_of_folder(
        &self,
        store: Arc<dyn Store>,
        request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        let mut job = Job::new(self, store, None, request);
        job.is_here = true;
        let chosen = job.choose().await?;
        job.finish(chosen).await
    }

    async fn receive_from_anywhere(
        &self,
        request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        let (own, jobs) = (self.own().await?, self.jobs(request.jobs));
        let mut job = Job::new(self, own.as_store(), Some(&own), request);
        match job.choose().await {
            Err(error) if error.is_absent() => {
                let also = Source {
                    name: self.identity().name().to_owned(),
                    store: own.as_store(),
                };
                let swarm = sources::of_known(self, also, jobs).await?;
                let swarm = swarm.ok_or(error)?;
                let store: Arc<dyn Store> = match &job.request.pace {
                    Some(pace) => {
                        let paced = PacedStore::new(swarm.clone(), pace.clone());
                        Arc::new(paced.with_near(own.as_store()))
                    }
                    None => swarm.clone(),
                };
                self.receive_from_swarm(swarm, store, job.request).await
            }
            chosen => job.finish(chosen?).await,
        }
    }

    async fn receive_from_swarm(
        &self,
        swarm: Arc<Swarm>,
        store: Arc<dyn Store>,
        request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        let mut job = Job::new(self, store, None, request);
        job.swarm = Some(swarm.clone());
        let chosen = job.choose().await?;
        let done = job.finish(chosen).await;
        for share in swarm.shares() {
            self.tell(Event::Source(share));
        }
        done
    }
}

impl<'a> Job<'a> {
    fn new(
        us: &'a Session,
        store: Arc<dyn Store>,
        own: Option<&'a OwnStore>,
        request: ReceiveRequest,
    ) -> Self {
        let mut reader = us.reader();
        reader.password = request.password.clone();
        Self {
            us,
            store,
            is_here: own.is_some(),
            own,
            swarm: None,
            reader,
            tried: BTreeSet::new(),
            request,
        }
    }

    /// Receives what was chosen, and tells what stays locked.
    async fn finish(mut self, chosen: Chosen) -> Result<ReceiveOutcome, Error> {
        let not_tried = self.reader.password.is_some();
        let locked: Vec<_> = chosen
            .locked
            .iter()
            .map(|info| Locked::of(info, not_tried))
            .collect();
        for locked in &locked {
            self.us.tell(Event::Locked(*locked));
        }
        if not_tried && !locked.is_empty() {
            self.us.tell(Event::PasswordLimit { most: MAX_TRIES });
        }
        let passed_over = chosen.passed_over;
        let mut outcome = match mem::take(&mut self.request.into) {
            ReceiveInto::Writer(writer) => match chosen.ids.as_slice() {
                [id] => {
                    self.stream(
                        *id,
                        writer.into_inner().unwrap_or_else(PoisonError::into_inner),
                    )
                    .await?
                }
                // A list without anything new is no mistake of who asks again.
                [] => ReceiveOutcome::nothing(),
                ids => return Err(Mistake::NotOneTransfer { count: ids.len() }.into()),
            },
            ReceiveInto::Folder(folder) => {
                // What is told of it is to be found from every folder.
                let folder = std::path::absolute(&folder).map_err(|e| Error::io(&folder, e))?;
                let root = Received::open(&folder)?;
                self.receive_all(chosen.ids, root).await?
            }
            ReceiveInto::Home => {
                let root = self.us.received()?;
                self.receive_all(chosen.ids, root).await?
            }
        };
        outcome.complete &= locked.is_empty();
        outcome.locked = locked;
        outcome.passed_over = passed_over;
        Ok(outcome)
    }

    async fn open(&self, id: ManifestId) -> Result<Arc<OpenedTransfer>, Error> {
        let manifest = SignedManifest::parse(self.store.get_manifest(id).await?)?;
        let mut reader = self.us.reader_of(manifest.payload());
        if self.tried.contains(&id) {
            reader.password = self.reader.password.clone();
        }
        let opened = OpenedTransfer::open(&*self.store, manifest, &reader).await?;
        Ok(Arc::new(opened))
    }

    /// How to receive `transfer`: as many chunks at once as its sources need.
    fn options_for(&self, transfer: &OpenedTransfer) -> ReceiveOptions {
        let chunk_size = transfer.manifest.payload().chunk_size;
        let window = self.swarm.as_ref().map(|swarm| swarm.window(chunk_size));
        ReceiveOptions {
            jobs: window.unwrap_or_else(|| self.us.jobs(self.request.jobs)),
            keep_exec: self.request.keep_exec,
        }
    }

    async fn receive_all(
        &self,
        ids: Vec<ManifestId>,
        root: Received,
    ) -> Result<ReceiveOutcome, Error> {
        let reserve = store_options(&self.us.config).reserve;
        let root = Arc::new(root.with_reserve(reserve));
        let received = self.receive_into(&root, ids).await;
        root.remove_unused();
        received
    }

    async fn receive_into(
        &self,
        root: &Arc<Received>,
        ids: Vec<ManifestId>,
    ) -> Result<ReceiveOutcome, Error> {
        let (mut outcome, mut failed, several) = (ReceiveOutcome::default(), None, ids.len() > 1);
        for id in ids {
            match self.receive_one(id, root).await {
                Ok(received) => outcome.received.push(received),
                Err(error) if several && is_its_own(&error) => {
                    let missed = Missed::transfer(id, &error);
                    self.us.tell(Event::Missed(missed.clone()));
                    outcome.missed.push(missed);
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        outcome.complete = failed.is_none();
        match failed {
            Some(error) if outcome.received.is_empty() => Err(error),
            _ => Ok(outcome),
        }
    }

    async fn receive_one(
        &self,
        id: ManifestId,
        root: &Arc<Received>,
    ) -> Result<ReceivedTransfer, Error> {
        let (transfer, start) = (self.open(id).await?, Instant::now());
        let told = Told::to(self.us.reporter.clone(), Work::Receiving);
        let options = self.options_for(&transfer);
        let files = transfer::receive(&*self.store, &transfer, root, options, &told).await?;
        let seconds = start.elapsed().as_secs_f64();
        let message = transfer::message(&transfer, &files).await;
        self.record(id, &transfer).await;
        self.remember(id, &transfer, &files, message.as_deref(), seconds);
        let received = ReceivedTransfer::of(id, &transfer, files, message);
        self.us.tell(Event::Received(Box::new(received.clone())));
        Ok(received)
    }

    /// The files are there: that this cannot be recorded, for example on a full disk, makes nothing of it undone.
    async fn record(&self, id: ManifestId, transfer: &OpenedTransfer) {
        let recorded = match self.own {
            Some(own) => self.us.record(own, id, Decision::Opened).await,
            None => self.us.record_opened(transfer).await,
        };
        if let Err(error) = recorded {
            self.us
                .tell(Event::NotRecorded(Missed::transfer(id, &error)));
        }
    }

    async fn stream(
        &self,
        id: ManifestId,
        writer: Box<dyn Write + Send>,
    ) -> Result<ReceiveOutcome, Error> {
        let transfer = self.open(id).await?;
        let told = Told::to(self.us.reporter.clone(), Work::Receiving);
        let (jobs, mut out) = (self.options_for(&transfer).jobs, io::BufWriter::new(writer));
        transfer::stream_content(&*self.store, &transfer, jobs, &mut out, &told).await?;
        out.flush().map_err(TransferError::Output)?;
        let files = transfer::ReceivedFiles {
            size: transfer.manifest.payload().size,
            ..Default::default()
        };
        Ok(ReceiveOutcome {
            received: vec![ReceivedTransfer::of(id, &transfer, files, None)],
            ..ReceiveOutcome::nothing()
        })
    }

    fn remember(
        &self,
        id: ManifestId,
        transfer: &OpenedTransfer,
        files: &ReceivedFiles,
        message: Option<&str>,
        seconds: f64,
    ) {
        let payload = transfer.manifest.payload();
        let (sender, verified) = outcome::sender_of(transfer);
        let mut entry = HistoryEntry {
            sender: Some(payload.sender),
            manifest: Some(id),
            peers: vec![sender],
            verified,
            bytes: payload.size,
            seconds: Some(seconds),
            names: transfer.listing.top_names().map(str::to_owned).collect(),
            blake3: transfer.listing.top_sums(),
            ..HistoryEntry::new(Direction::Received, payload.transfer_id)
        };
        entry.set_paths(&files.paths);
        // It was sent to us, and waited here.
        if self.own.is_some() && !self.us.is_us(payload.sender) {
            let files = OpenedFiles::of(files.clone(), message.map(str::to_owned));
            let (name, outcome) = (transfer.origin.name(), Outcome::Opened(files));
            let arrival = Kept::of(payload.sender, name, DecidedBy::Owner, &outcome);
            return self.us.remember_arrival(&entry, &arrival);
        }
        self.us.remember(&entry);
    }
}

/// Whether a transfer failed for what it is, so that others may not; also one for a password, whatever the list said of it.
fn is_its_own(error: &Error) -> bool {
    use Kind::{Integrity, Locked, NotFound, Partial, Trust};
    matches!(
        error.kind(),
        Integrity | Locked | NotFound | Partial | Trust
    )
}
