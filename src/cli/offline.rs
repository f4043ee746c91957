//! `seal` and `open`: a transfer as a plain folder, carried by whatever carries files.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Instant};

use serde::Serialize;

use super::{
    Context,
    args::{OpenFolder, SealFolder},
    output::count,
    receive,
    report::{ExitCode, Failure},
    send::code,
};
use crate::{
    config::units::Size,
    crypto::CryptoError,
    id::{ChunkId, ManifestId, Short as _, TransferId},
    manifest::{Manifest, SignedManifest, Signer as _},
    name::{Escaped, PathText},
    session::{
        LeftOut, Session, Told, Work, all_manifests, each_once, known, tell_sources, unknown,
    },
    store::{FolderStore, Store, StoreError},
    transfer::{self, OpenedTransfer, Recipient, SendOptions, Sent, Sources, TransferError},
};

const AGAIN: &str = "remove it, then download or copy it again; the other files are kept";
const ANEW: &str = "remove the folder and seal again, or choose another: --out DIR";

/// What `--json` tells of a folder that was sealed.
#[derive(Serialize)]
struct SealedObject<'a> {
    transfer: TransferId,
    manifest: Option<ManifestId>,
    bytes: u64,
    chunks: u64,
    already_chunks: u64,
    folder: PathText<'a>,
    seconds: f64,
}

pub(super) async fn seal(context: &Context, args: SealFolder) -> Result<ExitCode, Failure> {
    if args.to.is_empty() && !args.seal.wants_password() {
        return Err(Failure::usage("nobody but us could open it")
            .hint("say who: --to PEER, or use --password; see `colis peers`"));
    }
    let sources = args.seal.sources(&context.home)?;
    let sealing = args.seal.sealing(None).await?;
    let us = context.session()?;
    let mut options = sealing.options(&us, &sources)?;
    let recipients = args.to.iter().map(|name| recipient(&us, name));
    let recipients = recipients.collect::<Result<Vec<_>, _>>()?;
    options.recipients = each_once(recipients, |recipient| recipient.peer);
    let folder = FolderStore::create(&args.out).map_err(|error| match error {
        StoreError::Format { .. } => Failure::from(error).hint("choose another folder: --out DIR"),
        error => error.into(),
    })?;
    let folder: Arc<dyn Store> = Arc::new(folder);
    tell_sources(&us, &sources, &options);
    let complete = LeftOut::is_all_sent(sources.left_out());
    let start = Instant::now();
    let sent = match finished(&us, &*folder, &sources, &options, &args.out).await? {
        Some(sent) => sent,
        None => {
            let bar = Told::to(us.reporter.clone(), Work::Sealing);
            let stores = [folder.clone()];
            let sent = transfer::send(&us.sender(), sources, &options, &stores, &bar).await;
            drop(bar);
            sent.map_err(|error| match error {
                TransferError::NotAccepted { .. } => taken(&args.out),
                error => error.into(),
            })?
        }
    };
    let complete = complete & LeftOut::tell(&us, &sent.left_out);
    report(context, &sent, &args.out, start.elapsed().as_secs_f64());
    Ok(code(complete))
}

/// Nobody is asked over the network: the address book has the key, or sealing has to wait.
fn recipient(us: &Session, name: &str) -> Result<Recipient, Failure> {
    let Some(known) = known(name, &us.book)? else {
        return Err(unknown(name.trim(), &us.book)?.into());
    };
    Ok(Recipient {
        peer: known.peer_id,
        seal_key: known.seal_key,
    })
}

/// What an earlier run has finished in this folder. It must be the very same transfer: nothing is overwritten.
async fn finished(
    us: &Session,
    folder: &dyn Store,
    sources: &Sources,
    options: &SendOptions,
    path: &Path,
) -> Result<Option<Sent>, Failure> {
    let infos = all_manifests(us, folder, None).await?;
    let Some(id) = infos.first().map(|info| info.id) else {
        return Ok(None);
    };
    let manifest = SignedManifest::parse(folder.get_manifest(id).await?)?;
    let payload = manifest.payload();
    if infos.len() > 1 || !is_for(payload, us, options) {
        return Err(taken(path));
    }
    let ids: Vec<_> = payload.all_chunks().collect();
    let missing = folder.missing_chunks(&ids).await?.len() as u64;
    if missing > 0 {
        let missing = count(missing, "chunk", "chunks");
        let lacks = format!("{} lacks {missing} of its manifest", path.display());
        return Err(Failure::new(ExitCode::Integrity, lacks).hint(ANEW));
    }
    match has_entries(folder, manifest.clone(), us, options, sources).await {
        Ok(true) => {}
        Ok(false) => return Err(taken(path)),
        Err(error) => {
            let damaged = bad_chunks(folder, &[id], path).await;
            return Err(damaged.unwrap_or_else(|| error.into()).hint(ANEW));
        }
    }
    let chunks = payload.chunks.len() as u64;
    Ok(Some(Sent {
        transfer_id: payload.transfer_id,
        manifest: Some(id),
        size: payload.size,
        chunks,
        already_chunks: chunks,
        answers: Vec::new(),
        failures: Vec::new(),
        left_out: Vec::new(),
    }))
}

/// Whether we sealed it, for the same readers.
fn is_for(manifest: &Manifest, us: &Session, options: &SendOptions) -> bool {
    let me = us.identity.peer_id();
    let wanted = options.recipients.iter().map(|recipient| recipient.peer);
    let wanted: BTreeSet<_> = wanted.chain([me]).collect();
    manifest.sender == me
        && manifest.recipients().collect::<BTreeSet<_>>() == wanted
        && manifest.has_password() == options.password.is_some()
}

/// Whether it has the files that are there now: the same names, sizes and times. A stream cannot be told.
async fn has_entries(
    folder: &dyn Store,
    manifest: SignedManifest,
    us: &Session,
    options: &SendOptions,
    sources: &Sources,
) -> Result<bool, TransferError> {
    let Sources::Tree(tree) = sources else {
        return Ok(false);
    };
    let mut reader = us.reader();
    if let Some(password) = &options.password {
        reader.seal_keys = Arc::new([]);
        reader.password = Some(password.clone());
    }
    match OpenedTransfer::open(folder, manifest, &reader).await {
        Ok(opened) => Ok(opened.listing.entries == tree.entries),
        Err(TransferError::Crypto(CryptoError::WrongPassword)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn taken(path: &Path) -> Failure {
    let what = format!("{} has another sealed transfer in it", path.display());
    Failure::usage(what).hint("choose another folder: --out DIR")
}

fn report(context: &Context, sent: &Sent, folder: &Path, seconds: f64) {
    let (output, size) = (context.output, Size(sent.size));
    output.object(
        "sealed",
        &SealedObject {
            transfer: sent.transfer_id,
            manifest: sent.manifest,
            bytes: sent.size,
            chunks: sent.chunks,
            already_chunks: sent.already_chunks,
            folder: PathText(folder),
            seconds,
        },
    );
    if let Some(manifest) = sent.manifest {
        let folder = folder.to_string_lossy();
        let (chunks, folder) = (count(sent.chunks, "chunk", "chunks"), Escaped::new(&folder));
        output.line(format!("{manifest}  {size} in {chunks} in {folder}"));
    }
    let resumed = match sent.already_chunks {
        0 => String::new(),
        already => format!(", {already} of {} chunks were there", sent.chunks),
    };
    output.talk(format!(
        "sealed in {seconds:.2} s, {}/s{resumed} (transfer {})",
        Size::per_second(sent.size, seconds),
        sent.transfer_id.short()
    ));
}

pub(super) async fn open(context: &Context, args: OpenFolder) -> Result<ExitCode, Failure> {
    let us = context.session()?;
    let folder = FolderStore::open(&args.folder).map_err(|error| match error {
        StoreError::Format { .. } => {
            Failure::from(error).hint("name the folder that has chunks/ and manifests/ in it")
        }
        error => error.into(),
    })?;
    let folder: Arc<dyn Store> = Arc::new(folder);
    let infos = match all_manifests(&us, &*folder, None).await {
        Ok(infos) => infos,
        Err(error) => {
            let what = format!("a manifest in {}: {error}", args.folder.display());
            return Err(Failure::new(Failure::from(error).code, what).hint(AGAIN));
        }
    };
    if infos.is_empty() {
        let what = format!("there is no manifest in {}", args.folder.display());
        return Err(Failure::new(ExitCode::NotFound, what)
            .hint("if sealing was cut short, run the same `colis seal` again"));
    }
    let which = infos.iter().map(|info| info.id.to_string()).collect();
    let mut request = receive::request(which, args.out, args.secret).await?;
    (request.keep_exec, request.jobs) = (args.keep_exec, args.jobs.map(usize::from));
    let received = us.receive_from(folder.clone(), None, request).await;
    match receive::end(context, received, "nothing there that we can open") {
        Err(failure) if matches!(failure.code, ExitCode::Integrity | ExitCode::NotFound) => {
            let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
            let bad = bad_chunks(&*folder, &ids, &args.folder).await;
            Err(bad.unwrap_or(failure))
        }
        done => done,
    }
}

/// Says which chunks are not what they should be, if that is why a folder does not open.
async fn bad_chunks(folder: &dyn Store, manifests: &[ManifestId], path: &Path) -> Option<Failure> {
    let (mut damaged, mut missing) = (Vec::new(), Vec::new());
    for id in manifests {
        let manifest = SignedManifest::parse(folder.get_manifest(*id).await.ok()?).ok()?;
        for id in manifest.payload().all_chunks() {
            match folder.get_chunk(id).await {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => missing.push(id),
                Err(_) => damaged.push(id),
            }
        }
    }
    let named = |ids: &[ChunkId], what: &str| {
        let more = match ids.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let first = path.join("chunks").join(ids[0].to_string());
        format!("{} is {what}{more}", first.display())
    };
    if !damaged.is_empty() {
        let failure = Failure::new(ExitCode::Integrity, named(&damaged, "damaged"));
        return Some(failure.hint(AGAIN));
    }
    if !missing.is_empty() {
        let failure = Failure::new(ExitCode::NotFound, named(&missing, "missing"));
        return Some(failure.hint("download or copy it too; the other files are kept"));
    }
    None
}
