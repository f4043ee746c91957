//! Which transfer is meant: by an id, the beginning of one, or a name.

use super::report::Failure;
use crate::{
    id::ManifestId,
    manifest::SignedManifest,
    store::{ManifestInfo, Store},
    transfer::{OpenedTransfer, Reader},
};

/// Digits from which on the beginning of an id counts as one.
const MIN_DIGITS: usize = 4;

/// A transfer as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Which {
    /// The whole id of a manifest.
    Id(ManifestId),
    /// The beginning of an id, a transfer's id, or a file's name.
    Text(String),
}

impl Which {
    pub(super) fn new(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Text(text.to_owned()), Self::Id)
    }

    fn matches(&self, info: &ManifestInfo) -> bool {
        match self {
            Self::Id(id) => *id == info.id,
            Self::Text(text) => {
                let begins = |id: String| text.len() >= MIN_DIGITS && id.starts_with(text);
                begins(info.id.to_string()) || begins(info.transfer_id.to_string())
            }
        }
    }

    /// The one of `infos` whose id it is or begins, if one is.
    pub(super) fn one_of<'a>(
        &self,
        infos: impl IntoIterator<Item = &'a ManifestInfo>,
    ) -> Result<Option<&'a ManifestInfo>, Failure> {
        let mut matching = infos.into_iter().filter(|info| self.matches(info));
        let one = matching.next();
        match (self, matching.count()) {
            (Self::Id(_), _) | (_, 0) => Ok(one),
            (Self::Text(text), others) => {
                let failure = Failure::usage(format!("{} ids begin with {text}", others + 1));
                Err(failure.hint("give more digits"))
            }
        }
    }
}

/// Those of `infos` at whose top there is `name`. What cannot be opened has no names for us.
pub(super) async fn named<'a>(
    store: &dyn Store,
    reader: &Reader,
    infos: impl IntoIterator<Item = &'a ManifestInfo>,
    name: &str,
) -> Vec<ManifestId> {
    let mut named = Vec::new();
    for info in infos {
        let names = top_names(store, reader, info.id).await.unwrap_or_default();
        if names.iter().any(|top| top == name) {
            named.push(info.id);
        }
    }
    named
}

/// The names at the top of a transfer, if `reader` can open it.
pub(super) async fn top_names(
    store: &dyn Store,
    reader: &Reader,
    id: ManifestId,
) -> Option<Vec<String>> {
    let manifest = SignedManifest::parse(store.get_manifest(id).await.ok()?).ok()?;
    let transfer = OpenedTransfer::open(store, manifest, reader).await.ok()?;
    Some(transfer.listing.top_names().map(str::to_owned).collect())
}
