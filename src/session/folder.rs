//! A transfer as a plain folder, carried by whatever carries files: sealed into it, and opened from it.

mod error;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Kind, LeftOut, Mistake, ReceiveOutcome, ReceiveRequest, Sealing, Session, Told, Work,
    all_manifests, tell_sources,
};
use crate::{
    crypto::CryptoError,
    id::{ManifestId, TransferId},
    manifest::{Manifest, SignedManifest},
    store::{FolderStore, ManifestInfo, Store, StoreError},
    transfer::{self, OpenedTransfer, SendOptions, Sources, TransferError},
};

pub use error::FolderError;

/// What is sealed into a folder, and for whom.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SealRequest {
    /// The folder: a new one, an empty one, or one to continue.
    pub folder: PathBuf,
    /// The peers that can open it: names of the address book or of the circle's directory. Nobody is asked over the network. Who
    /// is revoked or not known is left out if there are others, and told as [`Event::Missed`](super::Event::Missed).
    pub to: Vec<String>,
    /// How it is sealed.
    pub sealing: Sealing,
}

impl SealRequest {
    /// Into `folder`, for the peers that are called so, with the defaults.
    pub fn into<T: Into<String>>(
        folder: impl Into<PathBuf>,
        to: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            folder: folder.into(),
            to: to.into_iter().map(Into::into).collect(),
            sealing: Sealing::default(),
        }
    }
}

/// A transfer that was sealed into a folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// The transfer.
    pub transfer: TransferId,
    /// Its manifest.
    #[serde(rename = "id")]
    pub manifest: Option<ManifestId>,
    /// Bytes of content.
    pub bytes: u64,
    /// Chunks of content.
    pub chunks: u64,
    /// Those of them that were there already.
    pub already_chunks: u64,
    /// The folder.
    pub folder: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether all that was named is in it.
    pub complete: bool,
}

/// A folder that is sealed into.
struct Sealer<'a> {
    us: &'a Session,
    store: Arc<dyn Store>,
    path: &'a Path,
    options: SendOptions,
}

impl Session {
    /// Seals `sources` into a folder. Where an earlier run was cut short it is continued, and one that ended is found to be done.
    ///
    /// # Errors
    /// Fails if nobody else could open it, no recipient is in the address book, something else is in the folder, or a source
    /// cannot be read.
    pub async fn seal(&self, sources: Sources, request: &SealRequest) -> Result<Sealed, Error> {
        if request.to.is_empty() && request.sealing.password.is_none() {
            return Err(Mistake::NobodyCouldOpen.into());
        }
        let mut options = request.sealing.options(self, &sources)?;
        let recipients = self.known_recipients(&request.to)?;
        let recipients = recipients.check_any(request.sealing.password.is_some())?;
        options.recipients = recipients.keys();
        let excluded = recipients.excluded();
        let folder = FolderStore::create(&request.folder).map_err(|error| match error {
            StoreError::Format { .. } => FolderError::NotForSealing(error).into(),
            error => Error::from(error),
        })?;
        tell_sources(self, &sources, &options);
        let complete = LeftOut::is_all_sent(sources.left_out()) && excluded.is_empty();
        let (start, path) = (Instant::now(), &request.folder);
        let sealer = Sealer {
            us: self,
            store: Arc::new(folder),
            path,
            options,
        };
        let sent = match sealer.finished(&sources).await? {
            Some(sent) => sent,
            None => sealer.seal(sources).await?,
        };
        self.tell_missed(&excluded);
        Ok(Sealed {
            transfer: sent.transfer_id,
            manifest: sent.manifest,
            bytes: sent.size,
            chunks: sent.chunks,
            already_chunks: sent.already_chunks,
            folder: path.to_string_lossy().into_owned(),
            seconds: start.elapsed().as_secs_f64(),
            complete: LeftOut::tell(self, &sent.left_out) && complete,
        })
    }

    /// Opens every transfer that is in a folder. What the request names, and from whom, does not count.
    ///
    /// # Errors
    /// Fails if no sealed transfer is there, a chunk of it is missing or damaged, or for what [`Self::receive`] fails for.
    pub async fn open_folder(
        &self,
        folder: &Path,
        mut request: ReceiveRequest,
    ) -> Result<ReceiveOutcome, Error> {
        let store = FolderStore::open(folder).map_err(|error| match error {
            StoreError::Format { .. } => FolderError::NotSealed(error).into(),
            error => Error::from(error),
        })?;
        let store: Arc<dyn Store> = Arc::new(store);
        let infos = all_manifests(self, &*store, None).await;
        let infos = infos.map_err(|source| FolderError::BadManifest {
            folder: folder.to_owned(),
            source,
        })?;
        if infos.is_empty() {
            return Err(FolderError::NoManifest(folder.to_owned()).into());
        }
        let ids: Vec<_> = infos.iter().map(|info| info.id).collect();
        request.which = ids.iter().map(ManifestId::to_string).collect();
        request.all = false;
        match self.receive_out_of_folder(store.clone(), request).await {
            Err(error) if matches!(error.kind(), Kind::Integrity | Kind::NotFound) => {
                let bad = bad_chunks(&*store, &ids, folder).await;
                Err(bad.map_or(error, Error::from))
            }
            opened => opened,
        }
    }
}

impl Sealer<'_> {
    async fn seal(&self, sources: Sources) -> Result<transfer::Sent, Error> {
        let told = Told::to(self.us.reporter.clone(), Work::Sealing);
        let (sender, stores) = (self.us.sender(), [self.store.clone()]);
        let sent = transfer::send(&sender, sources, &self.options, &stores, &told).await;
        sent.map_err(|error| match error {
            TransferError::NotAccepted { .. } => self.taken(),
            error => error.into(),
        })
    }

    /// What an earlier run has finished in this folder. It must be the very same transfer: nothing is overwritten.
    async fn finished(&self, sources: &Sources) -> Result<Option<transfer::Sent>, Error> {
        let infos = all_manifests(self.us, &*self.store, None).await?;
        let Some(ManifestInfo { id, .. }) = infos.first() else {
            return Ok(None);
        };
        let manifest = SignedManifest::parse(self.store.get_manifest(*id).await?)?;
        let payload = manifest.payload();
        if infos.len() > 1 || !self.is_for_the_same(payload) {
            return Err(self.taken());
        }
        let ids: Vec<_> = payload.all_chunks().collect();
        let missing = self.store.missing_chunks(&ids).await?.len();
        if missing > 0 {
            let folder = self.path.to_owned();
            return Err(FolderError::Lacks { folder, missing }.into());
        }
        match self.has_entries(manifest.clone(), sources).await {
            Ok(true) => {}
            Ok(false) => return Err(self.taken()),
            Err(error) => {
                let bad = bad_chunks(&*self.store, &[*id], self.path).await;
                let error = bad.map_or(error.into(), Error::from);
                return Err(FolderError::NotContinued(Box::new(error)).into());
            }
        }
        let chunks = payload.chunks.len() as u64;
        Ok(Some(transfer::Sent {
            transfer_id: payload.transfer_id,
            manifest: Some(*id),
            size: payload.size,
            chunks,
            already_chunks: chunks,
            stores: Vec::new(),
            // Of the files that were read when it was sealed, nothing is said here.
            blake3: Vec::new(),
            left_out: Vec::new(),
        }))
    }

    /// Whether we sealed it, for the same readers.
    fn is_for_the_same(&self, manifest: &Manifest) -> bool {
        let me = self.us.peer_id();
        let wanted = self.options.recipients.iter();
        let wanted = wanted.map(|recipient| recipient.peer).chain([me]);
        manifest.sender == me
            && manifest.recipients().collect::<BTreeSet<_>>() == wanted.collect()
            && manifest.has_password() == self.options.password.is_some()
    }

    /// Whether it has the files that are there now: the same names, sizes and times. A stream cannot be told.
    async fn has_entries(
        &self,
        manifest: SignedManifest,
        sources: &Sources,
    ) -> Result<bool, TransferError> {
        let Sources::Tree(tree) = sources else {
            return Ok(false);
        };
        let mut reader = self.us.reader();
        if let Some(password) = &self.options.password {
            reader.seal_keys = Arc::new([]);
            reader.password = Some(password.clone());
        }
        match OpenedTransfer::open(&*self.store, manifest, &reader).await {
            Ok(opened) => Ok(opened.listing.entries == tree.entries),
            Err(TransferError::Crypto(CryptoError::WrongPassword)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn taken(&self) -> Error {
        FolderError::Taken(self.path.to_owned()).into()
    }
}

/// Which chunks are not what they should be, if that is why a folder does not open.
async fn bad_chunks(
    store: &dyn Store,
    manifests: &[ManifestId],
    folder: &Path,
) -> Option<FolderError> {
    let (mut damaged, mut missing) = (Vec::new(), Vec::new());
    for id in manifests {
        let manifest = SignedManifest::parse(store.get_manifest(*id).await.ok()?).ok()?;
        for id in manifest.payload().all_chunks() {
            match store.get_chunk(id).await {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => missing.push(id),
                Err(_) => damaged.push(id),
            }
        }
    }
    let path = |id: &crate::id::ChunkId| folder.join("chunks").join(id.to_string());
    match (damaged.split_first(), missing.split_first()) {
        (Some((first, others)), _) => Some(FolderError::Damaged {
            first: path(first),
            more: others.len(),
        }),
        (None, Some((first, others))) => Some(FolderError::Missing {
            first: path(first),
            more: others.len(),
        }),
        (None, None) => None,
    }
}
