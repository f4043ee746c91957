//! Which transfer is meant: by an id, the beginning of one, or a name.

use std::{cmp::Reverse, fmt::Display, ops::ControlFlow};

use unicode_normalization::UnicodeNormalization as _;

use super::{Candidate, Error, Mistake, Session, SignedBy};
use crate::{
    id::{ManifestId, PeerId, Short as _},
    manifest::{Manifest, SignedManifest, table::Entry},
    store::{ManifestInfo, Store, StoreError},
    transfer::{self, Reader, TransferError},
};

/// Digits from which on the beginning of an id counts as one.
const MIN_DIGITS: usize = 4;

/// Whether `text` is `id`, or the beginning of it that counts.
pub(super) fn begins(id: impl Display, text: &str) -> bool {
    text.len() >= MIN_DIGITS && id.to_string().starts_with(text)
}

/// Whether `text` may be the beginning of an id, and is too short to count as one.
pub(crate) fn is_short_id(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.len() < MIN_DIGITS && !text.is_empty() && text.chars().all(is_digit)
}

/// What is wrong with `text`, which can only be meant as an id and is none: it is too short, else what `otherwise` gives.
pub(super) fn if_long_enough(text: &str, otherwise: impl FnOnce() -> Error) -> Error {
    if !is_short_id(text) {
        return otherwise();
    }
    let (text, least) = (text.to_owned(), MIN_DIGITS);
    Mistake::ShortId { text, least }.into()
}

/// A transfer as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferSelector {
    /// The whole id of a manifest.
    Id(ManifestId),
    /// The beginning of an id, a transfer's id, or a file's name.
    Text(String),
}

impl TransferSelector {
    /// Reads `text` as a whole id, else as the beginning of one or a name.
    pub fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Text(text.to_owned()), Self::Id)
    }

    fn matches(&self, info: &ManifestInfo) -> bool {
        match self {
            Self::Id(id) => *id == info.id,
            Self::Text(text) => begins(info.id, text) || begins(info.transfer_id, text),
        }
    }

    /// Those of `infos` whose id it is or begins.
    pub(crate) fn matching<'a>(
        &self,
        infos: impl IntoIterator<Item = &'a ManifestInfo>,
    ) -> Vec<&'a ManifestInfo> {
        let infos = infos.into_iter();
        infos.filter(|info| self.matches(info)).collect()
    }
}

impl Session {
    /// The one of `infos` that is meant by `text`: an id, the beginning of one, or a name in a transfer that can be opened
    /// here. None if there is no such transfer.
    ///
    /// # Errors
    /// Several are meant.
    pub(super) async fn one_meant<'a>(
        &self,
        store: &dyn Store,
        infos: &[&'a ManifestInfo],
        text: &str,
    ) -> Result<Option<&'a ManifestInfo>, Error> {
        let found = newest(self.meant(store, infos, text).await?);
        self.only(store, &found, text).await
    }

    /// Those of `infos` that are meant by `text`, also where they are one transfer that was granted to others later. Fails if the
    /// store does not answer.
    pub(super) async fn meant<'a>(
        &self,
        store: &dyn Store,
        infos: &[&'a ManifestInfo],
        text: &str,
    ) -> Result<Vec<&'a ManifestInfo>, StoreError> {
        let mut found = TransferSelector::new(text).matching(infos.iter().copied());
        if found.is_empty() {
            let reader_of = |manifest: &Manifest| self.reader_of(manifest);
            let ids = named(store, &reader_of, infos.to_vec(), text).await?;
            found = infos.to_vec();
            found.retain(|info| ids.contains(&info.id));
        }
        Ok(found)
    }

    /// The only one of `found`, all of which are meant by `text`, if there is one.
    ///
    /// # Errors
    /// There are several: they are listed.
    pub(super) async fn only<'a>(
        &self,
        store: &dyn Store,
        found: &[&'a ManifestInfo],
        text: &str,
    ) -> Result<Option<&'a ManifestInfo>, Error> {
        if let ([] | [_], first) = (found, found.first()) {
            return Ok(first.copied());
        }
        let mut candidates = Vec::new();
        for info in found {
            candidates.push(self.candidate(store, info).await);
        }
        Err(Mistake::ambiguous(text, candidates).into())
    }

    /// What tells a transfer from others.
    async fn candidate(&self, store: &dyn Store, info: &ManifestInfo) -> Candidate {
        let (mut names, mut from) = (Vec::new(), SignedBy::unknown(info.sender));
        if let Some(manifest) = manifest_of(store, info.id).await {
            from = SignedBy::of(self, &manifest);
            let reader = self.reader_of(manifest.payload());
            let top = transfer::top_names(store, &reader, &manifest).await;
            names = top.map(|top| top.names).unwrap_or_default();
        }
        let to = self.recipients_of(info);
        Candidate {
            id: info.id.to_string(),
            at: info.created,
            bytes: Some(info.size),
            who: match self.is_us(info.sender) && !to.is_empty() {
                true => format!("to {}", to.join(", ")),
                false => format!("from {from}"),
            },
            names,
        }
    }

    /// What the peers are called here that a transfer is for, beside its sender. Those who are not known are the beginnings of ids.
    pub(super) fn recipients_of(&self, info: &ManifestInfo) -> Vec<String> {
        let others = info.recipients.iter().filter(|id| **id != info.sender);
        let name = |id: &PeerId| self.known_name(*id).unwrap_or_else(|| id.short());
        others.map(name).collect()
    }
}

/// Of each transfer of `infos` the newest manifest: the one under which most can open it.
pub(super) fn newest(mut infos: Vec<&ManifestInfo>) -> Vec<&ManifestInfo> {
    let transfer = |info: &ManifestInfo| (info.sender, info.transfer_id);
    infos.sort_by_key(|info| (transfer(info), Reverse((info.created, info.id))));
    infos.dedup_by_key(|info| transfer(info));
    infos
}

/// Those of `infos` at whose top there is `name`; if there is none, those with a name that looks the same: a Mac writes `é`
/// as two characters, a keyboard as one. What cannot be opened has no names for us. Fails if the store does not answer.
pub(crate) async fn named(
    store: &dyn Store,
    reader_of: &(dyn Fn(&Manifest) -> Reader + Send + Sync),
    infos: Vec<&ManifestInfo>,
    name: &str,
) -> Result<Vec<ManifestId>, StoreError> {
    let (mut equal, mut alike) = (Vec::new(), Vec::new());
    for info in infos {
        let Some(manifest) = manifest_at(store, info.id).await? else {
            continue;
        };
        let (mut found, mut looks_alike) = (ControlFlow::Continue(()), false);
        let compare = |entry: Entry| {
            if entry.path() == name {
                found = ControlFlow::Break(());
            }
            looks_alike |= entry.path().nfc().eq(name.nfc());
            found
        };
        let reader = reader_of(manifest.payload());
        let seen = transfer::browse(store, &manifest, &reader, u64::MAX, compare).await;
        // What was found before an error was found.
        readable(seen)?;
        if found.is_break() {
            equal.push(info.id);
        } else if looks_alike {
            alike.push(info.id);
        }
    }
    Ok(match equal.is_empty() {
        true => alike,
        false => equal,
    })
}

/// The manifest of a transfer, if it is there and one.
pub(crate) async fn manifest_of(store: &dyn Store, id: ManifestId) -> Option<SignedManifest> {
    manifest_at(store, id).await.ok().flatten()
}

/// The same. Fails if the store does not answer: it is not to be asked for the next one then.
pub(super) async fn manifest_at(
    store: &dyn Store,
    id: ManifestId,
) -> Result<Option<SignedManifest>, StoreError> {
    let envelope = match store.get_manifest(id).await {
        Err(error) if error.is_retryable() => return Err(error),
        envelope => envelope.ok(),
    };
    let manifest = envelope.and_then(|envelope| SignedManifest::parse(envelope).ok());
    Ok(manifest.filter(|manifest| manifest.id() == id))
}

/// What was read of a transfer, if it could be read. Fails if the store does not answer.
pub(super) fn readable<T>(read: Result<T, TransferError>) -> Result<Option<T>, StoreError> {
    match read {
        Err(TransferError::Store(error)) if error.is_retryable() => Err(error),
        read => Ok(read.ok()),
    }
}
