//! The beginning of a send: continuing what an earlier run left, or beginning anew.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{
    SendOptions, Sender, TransferError,
    content::PlainChunk,
    journal::{Journal, Records, Sealed},
    sums::ChunkSums,
    walk::Sources,
};
use crate::{
    crypto::{ChunkPosition, ChunkSealer, FileKey, PlainBuffer, Stream},
    id::{ChunkId, Digest, TransferId},
    manifest::{Offer, SignedOffer, Timestamp, Wrap, WrapScope},
    sabotage,
};

/// A sealed chunk with its id.
pub(super) type SealedChunk = (ChunkId, Bytes);

/// An announced, unfinished transfer.
pub(super) struct Draft {
    pub(super) offer: SignedOffer,
    pub(super) table: Vec<SealedChunk>,
    pub(super) sealing: Sealing,
}

impl Draft {
    /// Continues the transfer that an earlier run with the same sources and options left; otherwise begins a new one.
    pub(super) fn open(
        sender: &Sender,
        sources: &Sources,
        options: &SendOptions,
        chunk_size: u32,
    ) -> Result<Self, TransferError> {
        let (journal, left) =
            Journal::open(&sender.journals, &journal_key(sources, options, chunk_size))?;
        if let Some(note) = &options.note {
            journal.keep_note(note);
        }
        let table = sources.table()?;
        let left = left.filter(|_| !sabotage::without("send-journal"));
        let continued = left.and_then(|(offer, records)| {
            let key = key_of(&offer, sender, options)?;
            (offer.payload().size == sources.size()).then_some((offer, records, key))
        });
        let Some((offer, records, key)) = continued else {
            return Self::begin(sender, sources, options, chunk_size, journal, &table);
        };
        let sealing = Sealing {
            key,
            chunk_size,
            records,
            journal: Mutex::new(journal),
        };
        let chunks = sealing.seal_stream(Stream::Table, &table)?;
        if chunks.iter().map(|(id, _)| id).eq(&offer.payload().table) {
            return Ok(Self {
                offer,
                table: chunks,
                sealing,
            });
        }
        Self::begin(
            sender,
            sources,
            options,
            chunk_size,
            sealing.into_journal(),
            &table,
        )
    }

    fn begin(
        sender: &Sender,
        sources: &Sources,
        options: &SendOptions,
        chunk_size: u32,
        mut journal: Journal,
        table: &[u8],
    ) -> Result<Self, TransferError> {
        let key = FileKey::generate()?;
        let chunks = seal_fresh(&key, Stream::Table, chunk_size, table)?;
        let ids = chunks.iter().map(|(id, _)| *id).collect();
        let offer = sign_offer(sender, options, &key, chunk_size, sources.size(), ids)?;
        journal.begin(&offer);
        for (index, (id, sealed)) in (0..).zip(&chunks) {
            let sealed = Sealed::of(*id, sealed);
            journal.record(Stream::Table, index, &sealed, &ChunkSums::default());
        }
        let sealing = Sealing {
            key,
            chunk_size,
            records: Records::new(),
            journal: Mutex::new(journal),
        };
        Ok(Self {
            offer,
            table: chunks,
            sealing,
        })
    }
}

/// Seals chunks of one transfer and remembers them.
pub(super) struct Sealing {
    key: FileKey,
    chunk_size: u32,
    records: Records,
    journal: Mutex<Journal>,
}

impl Sealing {
    /// Seals `chunks`, each as an earlier run did if it is unchanged, else under a fresh nonce. Gives with each what `sum` makes of
    /// its plain bytes.
    pub(super) fn seal(
        &self,
        stream: Stream,
        chunks: Vec<PlainChunk>,
        sum: impl Fn(ChunkPosition, &[u8]) -> ChunkSums,
    ) -> Result<Vec<(SealedChunk, ChunkSums)>, TransferError> {
        let sealer = ChunkSealer::new(&self.key, stream, self.chunk_size);
        let sealed = chunks.into_iter().map(|PlainChunk { position, plain }| {
            let sum = |plain: &[u8]| sum(position, plain);
            let again = self.seal_one(&sealer, stream, position, plain, sum)?;
            Ok::<_, TransferError>((position, again))
        });
        let sealed: Vec<_> = sealed.collect::<Result<_, _>>()?;
        let new = sealed.iter().filter(|(_, again)| again.known.is_none());
        let new: Vec<_> = new.map(|(_, again)| again.sealed.as_slice()).collect();
        let mut ids = ChunkId::of_each(&new).into_iter();
        let named = sealed.into_iter().map(|(position, again)| {
            let id = again.known.or_else(|| ids.next());
            let id = id.expect("each new one was named");
            if again.known.is_none() {
                self.note(stream, position, id, &again);
            }
            ((id, again.sealed.into()), again.sums)
        });
        Ok(named.collect())
    }

    fn seal_one(
        &self,
        sealer: &ChunkSealer,
        stream: Stream,
        position: ChunkPosition,
        plain: PlainBuffer,
        sum: impl Fn(&[u8]) -> ChunkSums,
    ) -> Result<Again, TransferError> {
        let Some((earlier, kept)) = self.records.get(&(stream, position.index)) else {
            return Ok(Again {
                sums: sum(plain.bytes()),
                sealed: sealer.seal_buffer(position, plain)?,
                known: None,
            });
        };
        let computed = kept.is_none().then(|| sum(plain.bytes()));
        let sealed = sealer.seal_again_with(earlier.nonce, position, plain);
        // The tag tells whether it is the same, and nothing needs to be hashed.
        if Sealed::of(earlier.id, &sealed) == *earlier {
            return Ok(Again {
                sealed,
                sums: kept.clone().or(computed).unwrap_or_default(),
                known: Some(earlier.id),
            });
        }
        let plain = sealer.unseal(position, sealed)?;
        let sums = computed.unwrap_or_else(|| sum(plain.bytes()));
        Ok(Again {
            sealed: sealer.seal_buffer(position, plain)?,
            sums,
            known: None,
        })
    }

    fn note(&self, stream: Stream, position: ChunkPosition, id: ChunkId, again: &Again) {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = Sealed::of(id, &again.sealed);
        journal.record(stream, position.index, &sealed, &again.sums);
    }

    /// Seals a whole stream that is in memory.
    pub(super) fn seal_stream(
        &self,
        stream: Stream,
        plain: &[u8],
    ) -> Result<Vec<SealedChunk>, TransferError> {
        let chunks = positions(plain, self.chunk_size).map(|(position, bytes)| {
            let mut plain = PlainBuffer::with_capacity(bytes.len());
            plain.extend_by(|buffer| buffer.extend_from_slice(bytes));
            PlainChunk { position, plain }
        });
        let sealed = self.seal(stream, chunks.collect(), |_, _| ChunkSums::default())?;
        Ok(sealed.into_iter().map(|(chunk, _)| chunk).collect())
    }

    /// The ids that earlier runs sealed.
    pub(super) fn earlier(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.records.values().map(|(sealed, _)| sealed.id)
    }

    /// The content among them.
    pub(super) fn earlier_content(&self) -> impl Iterator<Item = ChunkId> + '_ {
        let content = self
            .records
            .iter()
            .filter(|((stream, _), _)| *stream == Stream::Content);
        content.map(|(_, (sealed, _))| sealed.id)
    }

    /// The whole content, if earlier runs sealed all of its `size` bytes.
    pub(super) fn whole_content(&self, size: Option<u64>) -> Option<Vec<ChunkId>> {
        let chunks = size?.div_ceil(u64::from(self.chunk_size));
        let content: Vec<_> = self.earlier_content().collect();
        (content.len() as u64 == chunks && chunks > 0).then_some(content)
    }

    pub(super) fn into_journal(self) -> Journal {
        self.journal
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chunk that was sealed, perhaps not for the first time.
struct Again {
    sealed: Vec<u8>,
    sums: ChunkSums,
    /// Its id, if an earlier run sealed the same.
    known: Option<ChunkId>,
}

fn seal_fresh(
    key: &FileKey,
    stream: Stream,
    chunk_size: u32,
    plain: &[u8],
) -> Result<Vec<SealedChunk>, TransferError> {
    let sealer = ChunkSealer::new(key, stream, chunk_size);
    let sealed = positions(plain, chunk_size).map(|(position, plain)| {
        let sealed = sealer.seal(position, plain)?;
        Ok((ChunkId::of(&sealed), sealed.into()))
    });
    sealed.collect()
}

fn positions(plain: &[u8], chunk_size: u32) -> impl Iterator<Item = (ChunkPosition, &[u8])> {
    let chunks = plain.chunks(chunk_size as usize);
    let count = chunks.len() as u64;
    (0..).zip(chunks).map(move |(index, chunk)| {
        (
            ChunkPosition {
                index,
                last: index + 1 == count,
            },
            chunk,
        )
    })
}

/// Names the journal of these sources and options: doing the same again finds it.
fn journal_key(sources: &Sources, options: &SendOptions, chunk_size: u32) -> Digest {
    let mut recipients: Vec<_> = options
        .recipients
        .iter()
        .map(|r| (r.peer, r.seal_key.id()))
        .collect();
    recipients.sort();
    let origin = match sources {
        Sources::Tree(tree) => format!("{:?}", tree.origins),
        Sources::Stream { name, .. } => format!("stream {name:?}"),
    };
    let password = options.password.is_some();
    Digest::of(
        format!(
            "{origin} {recipients:?} {password} {chunk_size} {:?}",
            options.lifetime
        )
        .as_bytes(),
    )
}

/// The file key of an earlier offer, if it is ours, still valid, and opens with today's password.
fn key_of(offer: &SignedOffer, sender: &Sender, options: &SendOptions) -> Option<FileKey> {
    let payload = offer.payload();
    let me = sender.signer.peer_id();
    if payload.sender != me || payload.certificate != sender.signer.certificate() {
        return None;
    }
    offer
        .check_dates(Timestamp::now().plus_seconds(3600))
        .ok()?;
    let scope = WrapScope {
        key_id: payload.key_id,
        transfer_id: payload.transfer_id,
        sender: me,
    };
    if let Some(password) = &options.password {
        payload
            .wraps
            .iter()
            .find_map(|w| w.open_with_password(scope, password))?
            .ok()?;
    }
    let keys = sender.seal_keys.iter();
    keys.flat_map(|key| {
        payload
            .wraps
            .iter()
            .filter_map(move |w| w.open_with_key(scope, me, key))
    })
    .find_map(Result::ok)
}

fn sign_offer(
    sender: &Sender,
    options: &SendOptions,
    key: &FileKey,
    chunk_size: u32,
    size: Option<u64>,
    table: Vec<ChunkId>,
) -> Result<SignedOffer, TransferError> {
    let created = Timestamp::now();
    let transfer_id = TransferId::generate().map_err(crate::crypto::CryptoError::from)?;
    let me = sender.signer.peer_id();
    let scope = WrapScope {
        key_id: key.commitment(),
        transfer_id,
        sender: me,
    };
    let offer = Offer {
        v: 1,
        transfer_id,
        created,
        expires: options
            .lifetime
            .map(|lifetime| created.plus_seconds(lifetime.as_secs())),
        sender: me,
        certificate: sender.signer.certificate(),
        key_id: key.commitment(),
        chunk_size,
        size,
        table,
        wraps: wraps(sender, options, key, scope)?,
    };
    Ok(SignedOffer::sign(offer, &*sender.signer)?)
}

fn wraps(
    sender: &Sender,
    options: &SendOptions,
    key: &FileKey,
    scope: WrapScope,
) -> Result<Vec<Wrap>, TransferError> {
    let mut wraps = Vec::new();
    if let Some(own) = sender.seal_keys.first() {
        wraps.push(Wrap::to_recipient(key, scope, scope.sender, own.public())?);
    }
    let named = &options.recipients;
    for recipient in named.iter().filter(|r| r.peer != scope.sender) {
        wraps.push(Wrap::to_recipient(
            key,
            scope,
            recipient.peer,
            &recipient.seal_key,
        )?);
    }
    // A sender who named itself too is told from one who did not by the place of its wrap: `ManifestInfo::is_to_its_sender`.
    if named.iter().any(|r| r.peer == scope.sender) && !wraps.is_empty() {
        wraps.rotate_left(1);
    }
    if let Some(password) = &options.password {
        wraps.push(Wrap::to_password(key, scope, password)?);
    }
    Ok(wraps)
}
