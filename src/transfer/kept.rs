//! What a sender keeps of a transfer that it has sent, so that the same chunks can be sealed again from the same files.
//!
//! One file a transfer: the manifest; of each content chunk its nonce and tag; the sealed table and sums; where the files are. It
//! holds no key, for the manifest has a wrap for its sender, and no content. With them 28 bytes a chunk, and 90 for its id in the
//! manifest: about 120 bytes a MiB, and about 250 for each file of the table. Losing one costs only what it is for.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    io::{self, Write as _},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::{draft::SealedChunk, walk::Tree};
use crate::{
    crypto::{
        Nonce,
        chunk::{NONCE_LENGTH, TAG_LENGTH, Tag},
    },
    id::{ChunkId, Digest, TransferId},
    manifest::{MAX_ENVELOPE, SignedManifest, Timestamp, table::Entry},
    private,
};

const MAGIC: &[u8; 13] = b"colis sent 1\n";
const SEAL: usize = NONCE_LENGTH + TAG_LENGTH;
/// The length of a digest.
const SUM: usize = 32;
/// The longest file: of a table of about 200,000 files.
const MAX: usize = 64 << 20;
/// What stands for the end of a transfer that has none.
const NEVER: &str = "never";
/// What a file is called that is not whole yet.
const STAGED: &str = ".staged-";

/// What is kept of one transfer.
#[derive(Debug, Clone)]
pub struct KeptSend {
    pub(super) manifest: SignedManifest,
    /// Of each content chunk, in their order.
    pub(super) seals: Vec<(Nonce, Tag)>,
    /// The sealed chunks of the table and of the sums.
    pub(super) sealed: Vec<SealedChunk>,
    /// Where the entries of the table are: of those at its top, and of those that have another name there. Empty if they were read
    /// from what cannot be read again.
    pub(super) places: HashMap<String, PathBuf>,
}

/// Where the files of `tree` are.
pub(super) fn places_of(tree: &Tree) -> HashMap<String, PathBuf> {
    let mut places = HashMap::new();
    // A later command may stand in another folder.
    let Ok(here) = std::env::current_dir() else {
        return places;
    };
    let files = tree
        .entries
        .iter()
        .filter(|e| matches!(e, Entry::File { .. }));
    for (entry, file) in files.zip(&tree.files) {
        let path = entry.path();
        let place: PathBuf = here.join(&file.path).components().collect();
        if place_of(&places, path).as_deref() == Some(&*place) {
            continue;
        }
        let (top, rest) = path.split_once('/').unwrap_or((path, ""));
        let depth = rest.split('/').filter(|part| !part.is_empty()).count();
        let root = place.ancestors().nth(depth).map(Path::to_owned);
        match root.filter(|root| below(root, rest) == place && !places.contains_key(top)) {
            Some(root) => places.insert(top.to_owned(), root),
            None => places.insert(path.to_owned(), place),
        };
    }
    places
}

/// Where the entry at `path` is.
pub(super) fn place_of(places: &HashMap<String, PathBuf>, path: &str) -> Option<PathBuf> {
    if let Some(place) = places.get(path) {
        return Some(place.clone());
    }
    let (top, rest) = path.split_once('/')?;
    Some(below(places.get(top)?, rest))
}

fn below(root: &Path, rest: &str) -> PathBuf {
    match rest {
        "" => root.to_owned(),
        rest => root.join(rest),
    }
}

impl KeptSend {
    /// Its manifest.
    pub fn manifest(&self) -> &SignedManifest {
        &self.manifest
    }

    /// The same with another manifest of the same chunks.
    #[must_use]
    pub fn with(&self, manifest: SignedManifest) -> Self {
        Self {
            manifest,
            ..self.clone()
        }
    }

    /// Writes it into `folder`, in the place of what was kept of this transfer before.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let bytes = self.to_bytes();
        if bytes.len() > MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        private::make_folder(folder)?;
        let (name, payload) = (self.name(), self.manifest.payload());
        let staged = folder.join(format!("{STAGED}{}", payload.transfer_id));
        let mut options = private::file();
        options.write(true).create(true).truncate(true);
        let mut file = private::open_with(&mut options, &staged)?;
        let written = file.write_all(&bytes);
        let done = written.and_then(|()| fs::rename(&staged, folder.join(&name)));
        if done.is_err() {
            let _ = fs::remove_file(&staged);
        }
        done?;
        // Another manifest of it ends later.
        let beginning = format!("{}.", payload.transfer_id);
        for other in names(folder).filter(|other| *other != name && other.starts_with(&beginning)) {
            let _ = fs::remove_file(folder.join(other));
        }
        Ok(())
    }

    /// The transfer and its end: what is over is found by the name.
    fn name(&self) -> String {
        let payload = self.manifest.payload();
        let ends = payload.expires.map(|ends| ends.unix_seconds().to_string());
        format!(
            "{}.{}",
            payload.transfer_id,
            ends.as_deref().unwrap_or(NEVER)
        )
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put(&mut bytes, self.manifest.envelope());
        let seals = self
            .seals
            .iter()
            .flat_map(|(nonce, tag)| nonce.iter().chain(tag));
        put(&mut bytes, &seals.copied().collect::<Vec<_>>());
        for (_, sealed) in &self.sealed {
            put(&mut bytes, sealed);
        }
        let mut places: Vec<_> = self.places.iter().collect();
        places.sort();
        for (name, path) in places {
            put(&mut bytes, name.as_bytes());
            put(&mut bytes, path.as_os_str().as_bytes());
        }
        let sum = Digest::of(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    /// `None` for what is damaged, or of another version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
        if Digest::of(content).as_bytes() != sum {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?;
        let envelope = take(&mut rest)?;
        let manifest = (envelope.len() <= MAX_ENVELOPE)
            .then(|| SignedManifest::parse(Bytes::copy_from_slice(envelope)).ok())??;
        let payload = manifest.payload();
        let seals = take(&mut rest)?.chunks_exact(SEAL);
        let seals = seals.map(|seal| Some((*seal.first_chunk()?, *seal.last_chunk()?)));
        let seals: Vec<_> = seals.collect::<Option<_>>()?;
        if seals.len() != payload.chunks.len() {
            return None;
        }
        let mut sealed = Vec::new();
        for id in payload.table.iter().chain(&payload.sums) {
            let chunk = take(&mut rest)?;
            (ChunkId::of(chunk) == *id).then_some(())?;
            sealed.push((*id, Bytes::copy_from_slice(chunk)));
        }
        let mut places = HashMap::new();
        while !rest.is_empty() {
            let name = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
            let path = OsString::from_vec(take(&mut rest)?.to_vec()).into();
            places.insert(name, path);
        }
        Some(Self {
            manifest,
            seals,
            sealed,
            places,
        })
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

/// What is kept of all transfers that were sent.
#[derive(Debug, Default)]
pub struct KeptSends {
    /// Those that are not over.
    pub sends: Vec<KeptSend>,
    /// The files that are damaged, cannot be read, or were written by another version.
    pub damaged: Vec<PathBuf>,
    /// Bytes of all files.
    pub bytes: u64,
}

impl KeptSends {
    /// Reads `folder`, which need not be there.
    pub fn read(folder: &Path) -> Self {
        let (mut all, now) = (Self::default(), Timestamp::now());
        for name in names(folder).filter(|name| !name.starts_with(STAGED)) {
            let path = folder.join(&name);
            let bytes = match private::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(_) => {
                    all.damaged.push(path);
                    continue;
                }
            };
            all.bytes += bytes.len() as u64;
            match KeptSend::parse(&bytes) {
                Some(kept) if kept.name() == name => {
                    let ends = kept.manifest.payload().expires;
                    if ends.is_none_or(|ends| ends > now) {
                        all.sends.push(kept);
                    }
                }
                _ => all.damaged.push(path),
            }
        }
        all
    }

    /// What is kept of this transfer of ours.
    pub fn of(&self, transfer: TransferId) -> Option<&KeptSend> {
        let is_it = |kept: &&KeptSend| kept.manifest.payload().transfer_id == transfer;
        self.sends.iter().find(is_it)
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
