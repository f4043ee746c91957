//! Opening a vector from end to end with crypto and manifest, apart from the room that moves files.

use colis::{
    crypto::{ChunkOpener, ChunkPosition, CryptoError, FileKey, Stream, password::Password},
    id::{ChunkId, Digest, FileDigest},
    manifest::{
        Manifest, ManifestError, Offer, Payload, Signed, SignedManifest, VerifyError, Wrap,
        WrapScope,
        table::{self, Entry, Lines},
    },
    name::{self, NameError, RelPath},
    received::{EntryKind, Layout, ReceivedError},
    store::StoreError,
    transfer::TransferError,
    trust::PeerBundle,
};
use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::vector::{Vector, World};

/// Why something was refused, in the words of the vectors.
#[derive(Debug)]
pub(crate) struct Class(pub(crate) String);

/// Opens `vector`. Gives what was found in it.
pub(crate) fn open(world: &World, vector: &Vector) -> Result<Map<String, Value>, Class> {
    match vector.kind.as_str() {
        "manifest" => open_manifest(world, vector),
        "offer" => open_offer(world, vector),
        "bundle" => open_bundle(world, vector),
        other => panic!("{other}"),
    }
}

/// The signed thing in the envelope of `vector`, and what is known of it from its outside.
pub(crate) fn parse_and_verify<T: Payload>(
    world: &World,
    vector: &Vector,
) -> Result<(Signed<T>, Map<String, Value>), Class> {
    let signed = Signed::<T>::parse(vector.envelope.clone())?;
    let signer = signed.verify(&world.circle, vector.now)?;
    let found = object(json!({ "id": signed.id(), "signer": signer }));
    Ok((signed, found))
}

fn open_bundle(world: &World, vector: &Vector) -> Result<Map<String, Value>, Class> {
    let (bundle, mut found) = parse_and_verify::<PeerBundle>(world, vector)?;
    found.insert("seal_key_id".into(), json!(bundle.payload().seal_key.id()));
    Ok(found)
}

fn open_offer(world: &World, vector: &Vector) -> Result<Map<String, Value>, Class> {
    let (offer, mut found) = parse_and_verify::<Offer>(world, vector)?;
    let offer = offer.payload();
    let scope = WrapScope {
        key_id: offer.key_id,
        transfer_id: offer.transfer_id,
        sender: offer.sender,
    };
    let key = unwrap(world, vector, &offer.wraps, scope)?;
    let opened = Opened {
        world,
        vector,
        key,
        chunk_size: offer.chunk_size,
    };
    found.extend(opened.describe(&opened.entries(&offer.table)?));
    Ok(found)
}

fn open_manifest(world: &World, vector: &Vector) -> Result<Map<String, Value>, Class> {
    let (signed, mut found): (SignedManifest, _) = parse_and_verify(world, vector)?;
    let manifest: &Manifest = signed.payload();
    let scope = WrapScope {
        key_id: manifest.key_id,
        transfer_id: manifest.transfer_id,
        sender: manifest.sender,
    };
    let opened = Opened {
        world,
        vector,
        key: unwrap(world, vector, &manifest.wraps, scope)?,
        chunk_size: manifest.chunk_size,
    };
    let entries = opened.entries(&manifest.table)?;
    integrity(manifest.sums.is_empty() || !file_sizes(&entries).is_empty())?;
    let sums = opened.sums(&manifest.sums)?;
    check_sizes(&entries, &sums, manifest.size)?;
    assert_eq!(
        check_paths(&entries)?,
        vector.skipped_links,
        "{}",
        vector.name
    );
    let content = opened.content(manifest)?;
    check_files(&entries, &sums, &content)?;
    found.extend(opened.describe(&entries));
    found.extend(object(
        json!({ "sums": sums, "content_sha256": Digest::of(&content) }),
    ));
    Ok(found)
}

fn unwrap(
    world: &World,
    vector: &Vector,
    wraps: &[Wrap],
    scope: WrapScope,
) -> Result<FileKey, Class> {
    let reader = world.reader(vector);
    let key = &reader.seal_keys[0];
    if let Some(opened) = wraps
        .iter()
        .find_map(|wrap| wrap.open_with_key(scope, reader.me, key))
    {
        return Ok(opened?);
    }
    let locked = wraps.iter().find(|wrap| wrap.recipient().is_none());
    match (locked, &vector.password) {
        (Some(wrap), Some(password)) => {
            let opened = wrap.open_with_password(scope, &Password::new(password));
            Ok(opened.expect("it is a password wrap")?)
        }
        (Some(_), None) => Err(Class("PasswordNeeded".into())),
        (None, _) => Err(Class("NotForUs".into())),
    }
}

struct Opened<'a> {
    world: &'a World,
    vector: &'a Vector,
    key: FileKey,
    chunk_size: u32,
}

impl Opened<'_> {
    /// A file key shows nothing of itself: the one that the vector names is it if it has the same commitment.
    fn describe(&self, entries: &[Entry]) -> Map<String, Value> {
        let mut found = object(json!({ "entries": entries }));
        let named = self.vector.expected.as_ref().ok();
        if let Some(Value::String(hex)) = named.and_then(|expected| expected.get("file_key")) {
            let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
            let named = FileKey::from_bytes(Zeroizing::new(bytes.try_into().unwrap()));
            if named.commitment() == self.key.commitment() {
                found.insert("file_key".into(), json!(hex));
            }
        }
        found
    }

    fn stream(&self, stream: Stream, ids: &[ChunkId]) -> Result<Vec<Vec<u8>>, Class> {
        let opener = ChunkOpener::new(&self.key, stream, self.chunk_size);
        let numbered = ids.iter().enumerate();
        let chunks = numbered.map(|(index, id)| {
            let (index, last) = (index as u64, index + 1 == ids.len());
            let mut sealed = self.world.chunk(self.vector, *id)?.to_vec();
            Ok(opener
                .open(ChunkPosition { index, last }, &mut sealed)?
                .to_vec())
        });
        chunks.collect()
    }

    fn lines(
        &self,
        (stream, what): (Stream, &'static str),
        ids: &[ChunkId],
        mut each: impl FnMut(&[u8]) -> Result<(), ManifestError>,
    ) -> Result<(), Class> {
        let mut lines = Lines::new(what);
        let chunks = self.stream(stream, ids)?;
        for (index, plain) in chunks.iter().enumerate() {
            let last = index + 1 == ids.len();
            integrity(!plain.is_empty() && (last || plain.len() == self.chunk_size as usize))?;
            lines.push(plain, &mut each)?;
        }
        lines.finish()?;
        Ok(())
    }

    fn entries(&self, ids: &[ChunkId]) -> Result<Vec<Entry>, Class> {
        let mut entries = Vec::new();
        self.lines((Stream::Table, "table"), ids, |line| {
            Entry::parse(line).map(|entry| entries.push(entry))
        })?;
        Ok(entries)
    }

    fn sums(&self, ids: &[ChunkId]) -> Result<Vec<FileDigest>, Class> {
        let mut sums = Vec::new();
        self.lines((Stream::Sums, "sums"), ids, |line| {
            table::parse_sum(line).map(|sum| sums.push(sum))
        })?;
        Ok(sums)
    }

    fn content(&self, manifest: &Manifest) -> Result<Vec<u8>, Class> {
        let chunks = self.stream(Stream::Content, &manifest.chunks)?;
        let mut left = manifest.size;
        for plain in &chunks {
            let expected = left.min(u64::from(self.chunk_size));
            integrity(plain.len() as u64 == expected)?;
            left -= expected;
        }
        Ok(chunks.concat())
    }
}

fn file_sizes(entries: &[Entry]) -> Vec<Option<u64>> {
    let sizes = entries.iter().filter_map(|entry| match entry {
        Entry::File { size, .. } => Some(*size),
        Entry::Directory { .. } | Entry::Symlink { .. } => None,
    });
    sizes.collect()
}

fn check_sizes(entries: &[Entry], sums: &[FileDigest], size: u64) -> Result<(), Class> {
    let sizes = file_sizes(entries);
    integrity(!entries.is_empty() && sizes.len() == sums.len())?;
    let open_ended = sizes.iter().position(Option::is_none);
    integrity(open_ended.is_none_or(|at| at + 1 == sizes.len()))?;
    let known: u128 = sizes.iter().flatten().map(|size| u128::from(*size)).sum();
    integrity(known == u128::from(size) || (open_ended.is_some() && known < u128::from(size)))
}

/// Gives the links that lead out.
fn check_paths(entries: &[Entry]) -> Result<Vec<String>, Class> {
    let (mut layout, mut skipped) = (Layout::default(), Vec::new());
    for entry in entries {
        let path = RelPath::parse(entry.path())?;
        let kind = match entry {
            Entry::Directory { .. } => EntryKind::Directory,
            Entry::File { .. } | Entry::Symlink { .. } => EntryKind::Leaf,
        };
        layout.add(&path, kind)?;
        if let Entry::Symlink { target, .. } = entry
            && name::check_link(&path, target).is_err()
        {
            skipped.push(entry.path().to_owned());
        }
    }
    Ok(skipped)
}

fn check_files(entries: &[Entry], sums: &[FileDigest], content: &[u8]) -> Result<(), Class> {
    let mut rest = content;
    for (size, sum) in file_sizes(entries).into_iter().zip(sums) {
        let length = size.map_or(rest.len(), |size| usize::try_from(size).unwrap());
        let (file, after) = rest.split_at(length);
        integrity(FileDigest::of(file) == *sum)?;
        rest = after;
    }
    Ok(())
}

fn integrity(holds: bool) -> Result<(), Class> {
    if holds {
        Ok(())
    } else {
        Err(Class("Integrity".into()))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

impl From<ManifestError> for Class {
    fn from(error: ManifestError) -> Self {
        Self(match error {
            ManifestError::TooLarge { .. } => "TooLarge".into(),
            ManifestError::Syntax { what, .. } => format!("Syntax({what})"),
            ManifestError::UnsupportedVersion { .. } => "UnsupportedVersion".into(),
            ManifestError::UnsupportedType { .. } => "UnsupportedType".into(),
            ManifestError::Invariant { field, .. } => format!("Invariant({field})"),
            ManifestError::BadWrap { .. } => "BadWrap".into(),
            ManifestError::KdfParameters(_) => "KdfParameters".into(),
            ManifestError::Expired { .. } => "Expired".into(),
            ManifestError::FromTheFuture { .. } => "FromTheFuture".into(),
            ManifestError::Untrusted(VerifyError::BadSignature) => "BadSignature".into(),
            ManifestError::Untrusted(VerifyError::SenderMismatch { .. }) => "SenderMismatch".into(),
            ManifestError::Untrusted(VerifyError::UntrustedSigner { .. }) => {
                "UntrustedSigner".into()
            }
            ManifestError::Untrusted(VerifyError::Revoked) => "Revoked".into(),
            ManifestError::Untrusted(VerifyError::Blocked { .. }) => "Blocked".into(),
            other => panic!("a reason that no vector has: {other}"),
        })
    }
}

impl From<CryptoError> for Class {
    fn from(error: CryptoError) -> Self {
        Self(match error {
            CryptoError::Forged { what } => format!("Forged({what})"),
            CryptoError::CommitmentMismatch => "CommitmentMismatch".into(),
            CryptoError::WrongPassword => "WrongPassword".into(),
            CryptoError::KdfParameters { .. } => "KdfParameters".into(),
            CryptoError::Malformed { what } => format!("Malformed({what})"),
            CryptoError::NoRandom => "NoRandom".into(),
            other => panic!("a reason that no vector has: {other}"),
        })
    }
}

impl From<NameError> for Class {
    fn from(error: NameError) -> Self {
        Self(match error {
            NameError::BadPath { .. } => "BadPath".into(),
            NameError::BadTarget { .. } => "BadTarget".into(),
            other => panic!("a reason that no vector has: {other}"),
        })
    }
}

impl From<ReceivedError> for Class {
    fn from(error: ReceivedError) -> Self {
        match error {
            ReceivedError::BadTable { .. } => Self("BadTable".into()),
            other => Self(other.to_string()),
        }
    }
}

impl From<StoreError> for Class {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self("NotFound".into()),
            other => Self(other.to_string()),
        }
    }
}

impl From<TransferError> for Class {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Manifest(error) => error.into(),
            TransferError::Crypto(error) => error.into(),
            TransferError::Name(error) => error.into(),
            TransferError::Received(error) => error.into(),
            TransferError::Store(error) => error.into(),
            TransferError::Integrity { .. } => Self("Integrity".into()),
            TransferError::NotForUs { .. } => Self("NotForUs".into()),
            TransferError::PasswordNeeded => Self("PasswordNeeded".into()),
            other => Self(other.to_string()),
        }
    }
}
