//! Sending: table, offer, content, sums, manifest, in this order; the manifest is published last.
//!
//! The content is read and hashed by one thread, sealed and put by a few workers. A chunk that an earlier run sealed is
//! sealed again with its nonce: if the tag is equal its plain bytes are unchanged, and if the store has it nothing is
//! sent. Never are two different texts *sent* under one nonce.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    LeftOut, Progress, TransferError, TransferEvent, Tree, WhyLeftOut, blocking, draft::Draft,
    kept::places_of, upload::Upload, walk::Sources,
};
use crate::{
    crypto::{SealKey, password::Password},
    id::{FileDigest, ManifestId, PeerId, SealPublicKey, TransferId},
    manifest::{
        DEFAULT_CHUNK_SIZE, MAX_CHUNK_SIZE, MAX_CHUNKS, SignedManifest, Signer, check_chunk_size,
    },
    store::{OfferAnswer, StateAt, Store, StoreError},
};

/// How often a sender that waits looks whether the recipient has opened it.
const POLL: Duration = Duration::from_millis(250);
/// How often, once that has taken long: a person may decide tomorrow.
const LONGEST_POLL: Duration = Duration::from_secs(3);

/// Who sends, with what.
#[derive(Clone)]
pub struct Sender {
    /// Signs offers and manifests.
    pub signer: Arc<dyn Signer>,
    /// Our seal keys, the newest first: every transfer is wrapped to ourselves too.
    pub seal_keys: Arc<[SealKey]>,
    /// Where journals of unfinished transfers are kept.
    pub journals: PathBuf,
}

/// Who shall be able to open a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The peer.
    pub peer: PeerId,
    /// Its public seal key.
    pub seal_key: SealPublicKey,
}

/// How to send.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// Who can open it, beside ourselves.
    pub recipients: Vec<Recipient>,
    /// Opens it too.
    pub password: Option<Password>,
    /// Plain bytes of a chunk; doubled until content of known size fits.
    pub chunk_size: u32,
    /// For how long stores keep it; `None` for ever.
    pub lifetime: Option<Duration>,
    /// Chunks in flight.
    pub jobs: usize,
    /// The folder in which is kept what is needed to seal the same chunks again, until the transfer ends.
    pub remember: Option<PathBuf>,
    /// How long the others wait for a store that is much slower than they are, before it is left behind.
    pub patience: Duration,
    /// Whether stores that it is for too are not reached now: then the same call with them continues this transfer.
    pub unreached: bool,
    /// What the caller wants to know again if the send does not end: kept beside its journal, see [`unfinished`](fn@super::unfinished).
    pub note: Option<Vec<u8>>,
}

impl Default for SendOptions {
    fn default() -> Self {
        Self {
            recipients: Vec::new(),
            password: None,
            chunk_size: DEFAULT_CHUNK_SIZE,
            lifetime: Some(Duration::from_secs(30 * 24 * 3600)),
            jobs: 4,
            patience: Duration::from_secs(60),
            remember: None,
            unreached: false,
            note: None,
        }
    }
}

/// A transfer that is stored durably.
#[derive(Debug)]
pub struct Sent {
    /// Names it, together with us.
    pub transfer_id: TransferId,
    /// Its manifest; `None` if every store had received it before.
    pub manifest: Option<ManifestId>,
    /// Bytes of content.
    pub size: u64,
    /// Content chunks.
    pub chunks: u64,
    /// Content chunks that every store had already, so that nothing was sent.
    pub already_chunks: u64,
    /// What each store answered to the offer, or why it does not have it, in their order. The same call continues with those
    /// that do not.
    pub stores: Vec<Result<OfferAnswer, TransferError>>,
    /// The files at its top, and the BLAKE3 digest of each.
    pub blake3: Vec<(String, FileDigest)>,
    /// What is not in it, because it changed, vanished or could not be read when its turn came.
    pub left_out: Vec<LeftOut>,
}

impl Sent {
    /// The stores that do not have it, by their number, and why.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &TransferError)> {
        let stores = self.stores.iter().enumerate();
        stores.filter_map(|(number, result)| Some((number, result.as_ref().err()?)))
    }
}

/// Sends `sources` to each of `stores`. When it gives `Ok`, the transfer is durable in all of them but those in
/// [`Sent::failures`]: one that fails does not stop the others.
///
/// A file below a named folder that is gone, has changed or cannot be read when its turn comes is left out: the table with
/// its size is signed by then, so the rest is sent as a new transfer. Each time there is less of it, so this ends.
///
/// # Errors
/// Every [`TransferError`] of reading, and of storing if no store is left: [`TransferError::NoStore`] has that of each. What was stored stays; the same call continues it.
pub async fn send(
    sender: &Sender,
    sources: Sources,
    options: &SendOptions,
    stores: &[Arc<dyn Store>],
    progress: &dyn Progress,
) -> Result<Sent, TransferError> {
    let (mut sources, mut left_out) = (sources, Vec::new());
    loop {
        let again = sources.again();
        match send_all(sender, sources, options, stores, progress).await {
            Ok(sent) => return Ok(Sent { left_out, ..sent }),
            Err(error) => {
                let rest = blocking(move || without_failed(again, error)).await?;
                sources = rest.0;
                left_out.extend(rest.1);
            }
        }
    }
}

/// Returns what is left of `sources` without the file that `error` is about, and what is left out; else the error.
fn without_failed(
    sources: Option<Sources>,
    error: TransferError,
) -> Result<(Sources, Vec<LeftOut>), TransferError> {
    let Some(Sources::Tree(tree)) = sources else {
        return Err(error);
    };
    let rest = match &error {
        TransferError::SourceChanged { path } => tree.without(path, WhyLeftOut::Changed),
        TransferError::UnsupportedSource { path, kind } => {
            tree.without(path, WhyLeftOut::Unsupported(kind))
        }
        TransferError::Source { path, source } => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            tree.without(path, WhyLeftOut::Unreadable(source))
        }
        _ => None,
    };
    let (rest, left_out) = rest.ok_or(error)?;
    Ok((Sources::Tree(Arc::new(rest)), left_out))
}

/// Sends every file of `sources`, or none.
async fn send_all(
    sender: &Sender,
    sources: Sources,
    options: &SendOptions,
    stores: &[Arc<dyn Store>],
    progress: &dyn Progress,
) -> Result<Sent, TransferError> {
    let size = sources.size();
    let chunk_size = fitting_chunk_size(options.chunk_size, size)?;
    let draft = {
        let (sender, options) = (sender.clone(), options.clone());
        blocking(move || {
            Draft::open(&sender, &sources, &options, chunk_size).map(|draft| (draft, sources))
        })
        .await
    };
    let (draft, sources) = draft?;
    let tree = match &sources {
        Sources::Tree(tree) => Some(tree.clone()),
        Sources::Stream { .. } => None,
    };
    let upload = Upload::announce(draft, stores, chunk_size, options).await?;
    let mut sent = Sent {
        transfer_id: upload.offer.payload().transfer_id,
        manifest: None,
        size: size.unwrap_or(0),
        chunks: 0,
        already_chunks: 0,
        stores: Vec::new(),
        blake3: Vec::new(),
        left_out: Vec::new(),
    };
    if !upload.is_received_everywhere() {
        let manifest = upload.run(sources, sender, progress).await?;
        sent.manifest = Some(manifest.id());
        sent.size = manifest.payload().size;
        sent.chunks = manifest.payload().chunks.len() as u64;
        sent.already_chunks = upload.already.load(Ordering::Relaxed);
        sent.blake3 = upload.top_sums();
        if let Some(folder) = &options.remember {
            keep(&upload, &manifest, tree, folder.clone()).await;
        }
    }
    sent.stores = upload.targets.take_results();
    if sent.stores.iter().all(Result::is_ok) && !options.unreached {
        upload.finish();
    }
    progress.event(TransferEvent::Finished);
    Ok(sent)
}

/// Keeps what is needed to seal the same again. Without it only a grant and a check fail later.
async fn keep(
    upload: &Upload,
    manifest: &SignedManifest,
    tree: Option<Arc<Tree>>,
    folder: PathBuf,
) {
    let places = tree.map_or_else(Default::default, |tree| places_of(&tree));
    let kept = upload.keep(manifest, places);
    let written = tokio::task::spawn_blocking(move || kept.write(&folder)).await;
    if let Err(error) = written.unwrap_or_else(|error| Err(error.into())) {
        tracing::warn!(%error, "what was sent cannot be checked or granted later without sending it again");
    }
}

/// Waits until the recipient has opened the transfer, refused it, or let it expire.
///
/// # Errors
/// [`StoreError`] of the store that is asked.
pub async fn wait_until_settled(
    store: &dyn Store,
    manifest: ManifestId,
) -> Result<StateAt, StoreError> {
    let mut pause = POLL;
    loop {
        let state = store.manifest_state(manifest).await?;
        if !state.state.is_undecided() {
            return Ok(state);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(LONGEST_POLL);
    }
}

/// Returns `chunk_size`, doubled until `size` bytes fit a transfer.
///
/// # Errors
/// [`TransferError::TooManyChunks`] if they do not fit in the largest chunks; [`TransferError::Manifest`] for a size that
/// no chunk may have.
pub fn fitting_chunk_size(chunk_size: u32, size: Option<u64>) -> Result<u32, TransferError> {
    check_chunk_size(chunk_size)?;
    let fits = |chunk_size: &u32| {
        size.is_none_or(|size| size.div_ceil(u64::from(*chunk_size)) <= MAX_CHUNKS as u64)
    };
    let sizes = std::iter::successors(Some(chunk_size), |size| {
        size.checked_mul(2).filter(|s| *s <= MAX_CHUNK_SIZE)
    });
    let too_many = TransferError::TooManyChunks {
        chunks: MAX_CHUNKS,
        chunk_size: MAX_CHUNK_SIZE,
    };
    sizes.into_iter().find(fits).ok_or(too_many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chunk_size_is_doubled_until_the_content_fits() {
        let mib = 1 << 20;
        assert_eq!(fitting_chunk_size(mib, Some(0)).unwrap(), mib);
        assert_eq!(fitting_chunk_size(mib, Some(64 << 30)).unwrap(), mib);
        assert_eq!(
            fitting_chunk_size(mib, Some((64 << 30) + 1)).unwrap(),
            2 * mib
        );
        assert_eq!(fitting_chunk_size(mib, None).unwrap(), mib);
        assert!(matches!(
            fitting_chunk_size(mib, Some(u64::MAX)),
            Err(TransferError::TooManyChunks { .. })
        ));
        assert!(fitting_chunk_size(mib + 1, Some(0)).is_err());
    }
}
