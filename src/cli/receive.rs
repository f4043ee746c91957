//! `receive`.

mod choose;

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde::Serialize;
use serde_json::json;

use super::{
    Context,
    args::Receive,
    history,
    password::Purpose,
    report::{ExitCode, Failure},
    show,
    speed::{jobs, pace},
};
use crate::{
    config::units::Size,
    id::{ManifestId, Short as _},
    manifest::SignedManifest,
    name::{Escaped, PathText},
    peer::{Direction, HistoryEntry},
    received::Received,
    session::{Event, OwnStore, Session, Told, Work, paced, sources, store_options},
    store::{Pace, Store, TransferState},
    transfer::{
        self, OpenedTransfer, Origin, Reader, ReceiveOptions, ReceivedFiles, Source, Swarm,
        TransferError,
    },
};
use choose::{Chosen, MAX_TRIES};

#[derive(Serialize)]
struct ReceivedObject<'a> {
    manifest: ManifestId,
    sender: &'a str,
    verified: bool,
    bytes: u64,
    paths: Vec<PathText<'a>>,
    already_there: bool,
    already_chunks: u64,
    skipped_links: &'a [String],
    /// Links that the file system there cannot have.
    unmade_links: &'a [String],
    /// Names in the transfer, and what they have become, where another entry has the name.
    numbered: &'a [(String, String)],
    /// The same for those whose name cannot be written everywhere or is harmful.
    renamed: &'a [(String, String)],
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct LockedObject {
    manifest: ManifestId,
    bytes: u64,
}

/// A receive as it was asked for.
struct Job<'a> {
    context: &'a Context,
    us: &'a Session,
    store: Arc<dyn Store>,
    own: Option<&'a OwnStore>,
    /// The store, if it is several sources.
    swarm: Option<Arc<Swarm>>,
    reader: Reader,
    /// On which the password is tried: those that were named by their ids, and a few more.
    tried: BTreeSet<ManifestId>,
    options: ReceiveOptions,
}

pub(super) async fn run(context: &Context, args: Receive) -> Result<ExitCode, Failure> {
    if !args.all && args.which.is_empty() {
        let failure = Failure::usage("nothing to receive was named");
        return Err(failure
            .hint("name ids or files, or take everything: --all; see what is there: colis list"));
    }
    let pace = pace(context, args.limit.as_deref())?;
    let us = context.session()?;
    let jobs = jobs(context, args.jobs);
    match args.from.as_slice() {
        [] => {}
        [peer] => {
            let store = Arc::new(us.connect(peer).await?.client);
            return from_store(context, &us, paced(store, pace.as_ref()), None, &args).await;
        }
        several => {
            let swarm = sources::of_named(&us, several, jobs).await?;
            return from_swarm(context, &us, swarm, pace.as_ref(), &args).await;
        }
    }
    let own = us.own_store()?;
    let store = paced(own.as_store(), pace.as_ref());
    let mut job = Job::new(context, &us, store, Some(&own), &args).await?;
    match job.choose(&args).await {
        Err(failure) if failure.code == ExitCode::NotFound => {
            let also = Source {
                name: us.identity.name().to_owned(),
                store: own.as_store(),
            };
            let swarm = sources::of_known(&us, also, jobs).await?;
            let swarm = swarm.ok_or(failure)?;
            from_swarm(context, &us, swarm, pace.as_ref(), &args).await
        }
        chosen => job.finish(chosen?, &args).await,
    }
}

/// Receives from several sources at once what `args` name.
async fn from_swarm(
    context: &Context,
    us: &Session,
    swarm: Arc<Swarm>,
    pace: Option<&Pace>,
    args: &Receive,
) -> Result<ExitCode, Failure> {
    let store = paced(swarm.clone(), pace);
    let mut job = Job::new(context, us, store, None, args).await?;
    job.swarm = Some(swarm.clone());
    let chosen = job.choose(args).await?;
    let done = job.finish(chosen, args).await;
    for share in swarm.shares() {
        us.tell(Event::Source(share));
    }
    done
}

/// Receives from `store` what `args` name; `own` is that store, if it is ours.
pub(super) async fn from_store(
    context: &Context,
    us: &Session,
    store: Arc<dyn Store>,
    own: Option<&OwnStore>,
    args: &Receive,
) -> Result<ExitCode, Failure> {
    let mut job = Job::new(context, us, store, own, args).await?;
    let chosen = job.choose(args).await?;
    job.finish(chosen, args).await
}

impl<'a> Job<'a> {
    async fn new(
        context: &'a Context,
        us: &'a Session,
        store: Arc<dyn Store>,
        own: Option<&'a OwnStore>,
        args: &Receive,
    ) -> Result<Self, Failure> {
        let mut reader = us.reader();
        if args.secret.is_given() {
            reader.password = Some(args.secret.read(Purpose::Open).await?);
        }
        let options = ReceiveOptions {
            jobs: jobs(context, args.jobs),
            keep_exec: args.keep_exec,
        };
        Ok(Self {
            context,
            us,
            store,
            own,
            swarm: None,
            reader,
            tried: BTreeSet::new(),
            options,
        })
    }

    /// Receives what was chosen, and says what stays locked.
    async fn finish(&self, chosen: Chosen, args: &Receive) -> Result<ExitCode, Failure> {
        let (chosen, locked) = chosen;
        let has_password = self.reader.password.is_some();
        let output = self.context.output;
        for info in &locked {
            output.object(
                "locked",
                &LockedObject {
                    manifest: info.id,
                    bytes: info.size,
                },
            );
            output.line(format!(
                "{}  {}  locked by a password{}",
                info.id,
                Size(info.size),
                if has_password { ", not tried" } else { "" }
            ));
        }
        if has_password && !locked.is_empty() {
            output.warn(format!(
                "a password is tried on {MAX_TRIES} transfers that were not named; name others: colis receive ID"
            ));
        }
        match self.receive_all(chosen, args.out.as_deref()).await? {
            ExitCode::Ok if !locked.is_empty() => Ok(ExitCode::Partial),
            code => Ok(code),
        }
    }

    async fn open(&self, id: ManifestId) -> Result<OpenedTransfer, Failure> {
        let manifest = SignedManifest::parse(self.store.get_manifest(id).await?)?;
        let reader = match self.tried.contains(&id) {
            true => self.reader.clone(),
            false => self.reader.without_password(),
        };
        Ok(OpenedTransfer::open(&*self.store, manifest, &reader).await?)
    }

    /// How to receive `transfer`: as many chunks at once as its sources need.
    fn options_for(&self, transfer: &OpenedTransfer) -> ReceiveOptions {
        let chunk_size = transfer.manifest.payload().chunk_size;
        let window = self.swarm.as_ref().map(|swarm| swarm.window(chunk_size));
        ReceiveOptions {
            jobs: window.unwrap_or(self.options.jobs),
            ..self.options
        }
    }

    async fn receive_all(
        &self,
        chosen: Vec<ManifestId>,
        out: Option<&Path>,
    ) -> Result<ExitCode, Failure> {
        if out.is_some_and(|out| out.as_os_str() == "-") {
            let [id] = chosen.as_slice() else {
                let what = format!("{} transfers cannot go to one stream", chosen.len());
                return Err(Failure::usage(what).hint("name one id: colis list [PEER]"));
            };
            return self.stream(*id).await.map(|()| ExitCode::Ok);
        }
        if chosen.is_empty() {
            self.context.output.talk("nothing there that we can open");
        }
        let root = match out {
            Some(out) => Received::open(out)?,
            None => Received::open_private(&self.context.home.received())?,
        };
        let reserve = store_options(&self.context.config).reserve;
        let root = Arc::new(root.with_reserve(reserve));
        let received = self.receive_into(&root, chosen).await;
        root.remove_unused();
        received
    }

    async fn receive_into(
        &self,
        root: &Arc<Received>,
        chosen: Vec<ManifestId>,
    ) -> Result<ExitCode, Failure> {
        let (mut done, mut missed, several) = (0, None, chosen.len() > 1);
        for id in chosen {
            match self.receive_one(id, root).await {
                Ok(()) => done += 1,
                Err(failure) if several && is_its_own(&failure) => {
                    self.note_missed(id, &failure);
                    missed = Some(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        match missed {
            None => Ok(ExitCode::Ok),
            Some(failure) if done == 0 => Err(failure),
            Some(_) => Ok(ExitCode::Partial),
        }
    }

    async fn receive_one(&self, id: ManifestId, root: &Arc<Received>) -> Result<(), Failure> {
        let transfer = Arc::new(self.open(id).await?);
        let start = Instant::now();
        let bar = Told::to(self.us.reporter.clone(), Work::Receiving);
        let options = self.options_for(&transfer);
        let received = transfer::receive(&*self.store, &transfer, root, options, &bar).await;
        drop(bar);
        let received = received?;
        let seconds = start.elapsed().as_secs_f64();
        let message = transfer::message(&transfer, &received).await;
        if let Some(own) = self.own {
            self.record(own, id).await;
        }
        self.remember(id, &transfer, &received.paths, seconds);
        self.report(id, &transfer, &received, message.as_deref());
        Ok(())
    }

    /// The files are there: that this cannot be recorded, for example on a full disk, makes nothing of it undone.
    async fn record(&self, own: &OwnStore, id: ManifestId) {
        let recorded = self
            .us
            .record(own, id, TransferState::Opened)
            .await
            .map_err(Failure::from);
        if let Err(failure) = recorded {
            let (_, why, hint) = failure.into_parts();
            let (id, why) = (id.short(), Escaped::new(&why));
            let hint = hint.map_or(String::new(), |hint| {
                format!("\nhint: {}", Escaped::new(&hint))
            });
            let warning = format!("colis: that {id} was received is not recorded: {why}{hint}");
            self.context.output.warn(warning);
        }
    }

    /// Says which of several is not there, and why.
    fn note_missed(&self, id: ManifestId, failure: &Failure) {
        let (output, reason) = (self.context.output, Escaped::new(failure.what()));
        output.warn(format!("colis: not received: {}: {reason}", id.short()));
        let (exit, reason) = (failure.code as u8, reason.to_string());
        output.object(
            "missed",
            &json!({"manifest": id, "exit": exit, "reason": reason}),
        );
    }

    async fn stream(&self, id: ManifestId) -> Result<(), Failure> {
        let transfer = Arc::new(self.open(id).await?);
        let bar = Told::to(self.us.reporter.clone(), Work::Receiving);
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let jobs = self.options_for(&transfer).jobs;
        let streamed = transfer::stream_content(&*self.store, &transfer, jobs, &mut out, &bar);
        let done = match streamed.await {
            Ok(_) => out.flush(),
            Err(TransferError::Output(error)) => Err(error),
            Err(error) => return Err(error.into()),
        };
        match done {
            // A reader that goes away has what it wanted, as `head` has.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::io(Path::new("standard output"), &error))
            }
            _ => Ok(()),
        }
    }

    fn remember(&self, id: ManifestId, transfer: &OpenedTransfer, paths: &[PathBuf], seconds: f64) {
        let payload = transfer.manifest.payload();
        let (sender, verified) = self.sender_of(transfer);
        let mut entry = HistoryEntry {
            manifest: Some(id),
            peers: vec![sender],
            verified,
            bytes: payload.size,
            seconds: Some(seconds),
            names: transfer.listing.top_names().map(str::to_owned).collect(),
            ..HistoryEntry::new(Direction::Received, payload.transfer_id)
        };
        entry.set_paths(paths);
        history::note(self.context, &entry);
    }

    /// The sender's name, and whether it is verified; else the beginning of its id.
    fn sender_of(&self, transfer: &OpenedTransfer) -> (String, bool) {
        match &transfer.origin {
            Origin::Verified { name } => (name.clone(), true),
            Origin::Unverified => (transfer.manifest.payload().sender.short(), false),
        }
    }

    fn report(
        &self,
        id: ManifestId,
        transfer: &OpenedTransfer,
        received: &ReceivedFiles,
        message: Option<&str>,
    ) {
        let output = self.context.output;
        let (sender, verified) = self.sender_of(transfer);
        let paths = received.paths.iter().map(|path| PathText(path));
        output.object(
            "received",
            &ReceivedObject {
                manifest: id,
                sender: &sender,
                verified,
                bytes: received.size,
                paths: paths.collect(),
                already_there: received.already_there,
                already_chunks: received.already_chunks,
                skipped_links: &received.skipped_links,
                unmade_links: &received.unmade_links,
                numbered: &received.numbered.first,
                renamed: &received.renamed.first,
                message,
            },
        );
        for path in &received.paths {
            let path = path.to_string_lossy();
            let there = if received.already_there {
                "  (already there, identical)"
            } else {
                ""
            };
            output.line(format!("{}{there}", Escaped::new(&path)));
        }
        if let Some(text) = message {
            output.line(format!("message: {}", Escaped::new(text.trim_end())));
        }
        for link in &received.skipped_links {
            output.warn(format!(
                "skipped the link {}: it leads out of its folder",
                Escaped::new(link)
            ));
        }
        show::receive::say_losses(output, received);
        let numbered = "another entry has its name on this disk";
        show::receive::say_new_names(output, &received.numbered, numbered);
        let renamed = "its name cannot be written here or elsewhere, or is harmful";
        show::receive::say_new_names(output, &received.renamed, renamed);
        let unverified = if verified {
            ""
        } else {
            " (sender not verified)"
        };
        let from = Escaped::new(&sender);
        output.talk(format!(
            "{} from {from}{unverified}, transfer {}",
            Size(received.size),
            id.short()
        ));
    }
}

/// Whether a transfer failed for what it is, so that others may not; also one for a password, whatever the list said of it.
fn is_its_own(failure: &Failure) -> bool {
    use ExitCode::{Integrity, Locked, NotFound, Partial, Trust};
    matches!(
        failure.code,
        Integrity | Locked | NotFound | Partial | Trust
    )
}
