//! Which transfers are received, and on which of them a password is tried.
//!
//! What a store says that it has may be hostile: each try of a password costs work, and whoever serves sees by the chunks that are
//! asked for whether it was right.

use std::collections::BTreeSet;

use super::Job;
use crate::{
    id::ManifestId,
    session::{Error, TransferSelector, all_manifests, named},
    store::ManifestInfo,
};

/// Transfers on which a password is tried that were not named by their ids. Each costs a part of a second of work, and is whatever
/// the store says that it has.
pub(super) const MAX_TRIES: usize = 4;

/// What is received.
pub(super) struct Chosen {
    pub(super) ids: Vec<ManifestId>,
    /// Those that stay locked.
    pub(super) locked: Vec<ManifestInfo>,
}

/// What a name or an id stands for.
struct Found {
    ids: Vec<ManifestId>,
    /// On which the password may be tried.
    may_try: BTreeSet<ManifestId>,
}

impl Found {
    fn by_id(id: ManifestId) -> Self {
        Self {
            ids: vec![id],
            may_try: BTreeSet::from([id]),
        }
    }
}

impl Job<'_> {
    /// The transfers that were named, and with `--all` those that stay locked.
    pub(super) async fn choose(&mut self) -> Result<Chosen, Error> {
        let infos = all_manifests(self.us, &*self.store, Some(self.reader.me)).await?;
        if self.request.all {
            self.tried = self.to_try(&infos);
            let opens = |info: &ManifestInfo| self.is_by_key(info) || self.tried.contains(&info.id);
            let (chosen, locked): (Vec<_>, Vec<_>) = infos.into_iter().partition(opens);
            let ids = chosen.into_iter().map(|info| info.id).collect();
            return Ok(Chosen { ids, locked });
        }
        let mut ids = Vec::new();
        for text in &self.request.which {
            let found = self.find(&TransferSelector::new(text), &infos).await?;
            self.tried.extend(&found.may_try);
            ids.extend(found.ids);
        }
        ids.sort();
        ids.dedup();
        let is_locked = |id: &ManifestId| {
            infos
                .iter()
                .any(|info| info.id == *id && !info.recipients.contains(&self.reader.me))
        };
        if self.reader.password.is_none()
            && ids.iter().any(is_locked)
            && let Some(source) = &self.request.ask
        {
            let password = source.ask().await.map_err(Error::NoPassword)?;
            self.reader.password = Some(password);
        }
        let locked = Vec::new();
        Ok(Chosen { ids, locked })
    }

    async fn find(&self, which: &TransferSelector, infos: &[ManifestInfo]) -> Result<Found, Error> {
        let text = match which {
            TransferSelector::Id(id) => {
                // What is not here may be elsewhere; of another store nothing is asked twice.
                if self.own.is_some() {
                    self.store.get_manifest(*id).await?;
                }
                return Ok(Found::by_id(*id));
            }
            TransferSelector::Text(text) => text,
        };
        if let Some(info) = which.one_of(infos)? {
            return Ok(Found::by_id(info.id));
        }
        let by_key = self.reader.without_password();
        let of_key = infos.iter().filter(|info| self.is_by_key(info)).collect();
        let mut ids = named(&*self.store, &by_key, of_key, text).await;
        // Another peer would see by the chunks that are asked for which password is right.
        let may_try = match self.own {
            Some(_) => self.to_try(infos),
            None => BTreeSet::new(),
        };
        let locked = infos.iter().filter(|info| may_try.contains(&info.id));
        let locked = locked.collect();
        ids.extend(named(&*self.store, &self.reader, locked, text).await);
        if ids.is_empty() {
            return Err(Error::NothingNamed {
                text: text.clone(),
                has_password: self.reader.password.is_some(),
            });
        }
        Ok(Found { ids, may_try })
    }

    /// Whether the store says that our key opens it.
    fn is_by_key(&self, info: &ManifestInfo) -> bool {
        info.recipients.contains(&self.reader.me)
    }

    /// The few locked ones on which the password is tried although they were not named.
    fn to_try(&self, infos: &[ManifestInfo]) -> BTreeSet<ManifestId> {
        let most = if self.reader.password.is_some() {
            MAX_TRIES
        } else {
            0
        };
        let locked = infos.iter().filter(|info| !self.is_by_key(info));
        locked.take(most).map(|info| info.id).collect()
    }
}
