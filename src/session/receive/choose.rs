//! Which transfers are received, and on which of them a password is tried.
//!
//! What a store says that it has may be hostile: each try of a password costs work, and whoever serves sees by the chunks that are
//! asked for whether it was right.

use std::collections::BTreeSet;

use super::{Job, PassedOver};
use crate::{
    id::{ManifestId, PeerId},
    manifest::Manifest,
    session::{
        Error, Mark, TransferSelector, all_manifests,
        list::{in_time, manifests_here},
        named,
        which::newest,
    },
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
    /// Those that are not new.
    pub(super) passed_over: PassedOver,
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
        // What was sealed for us in a circle that was left was decided on before, and is had again by its name.
        let infos = match self.is_here && !self.request.all {
            true => manifests_here(self.us, &*self.store).await?,
            false => all_manifests(self.us, &*self.store, Some(self.reader.me)).await?,
        };
        if self.request.all {
            return self.choose_new(infos).await;
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
                .any(|info| info.id == *id && !self.is_by_key(info))
        };
        if self.reader.password.is_none()
            && ids.iter().any(is_locked)
            && let Some(source) = &self.request.ask
        {
            let password = source.ask().await.map_err(Error::NoPassword)?;
            self.reader.password = Some(password);
        }
        Ok(Chosen {
            ids,
            locked: Vec::new(),
            passed_over: PassedOver::default(),
        })
    }

    /// Of `infos` those that are new for us, in the order of time.
    async fn choose_new(&mut self, listed: Vec<ManifestInfo>) -> Result<Chosen, Error> {
        let (mut infos, mut passed_over) = (Vec::new(), PassedOver::default());
        let (again, mine) = (self.request.again, self.request.mine);
        let marks = self.us.marks()?;
        for info in listed {
            let (is_wanted, count) = match marks.of(&*self.store, &info).await {
                Some(Mark::New) => {
                    infos.push(info);
                    continue;
                }
                Some(Mark::Opened | Mark::Refused) => (again, &mut passed_over.before),
                Some(Mark::Mine) => (mine, &mut passed_over.mine),
                None => continue,
            };
            *count += usize::from(!is_wanted);
            if is_wanted {
                infos.push(info);
            }
        }
        infos.sort_by_key(in_time);
        self.tried = self.to_try(&infos);
        let opens = |info: &ManifestInfo| self.is_by_key(info) || self.tried.contains(&info.id);
        let (chosen, locked): (Vec<_>, Vec<_>) = infos.into_iter().partition(opens);
        let ids = chosen.into_iter().map(|info| info.id).collect();
        Ok(Chosen {
            ids,
            locked,
            passed_over,
        })
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
        let by_id = newest(which.matching(infos));
        if let Some(info) = self.us.only(&*self.store, &by_id, text).await? {
            return Ok(Found::by_id(info.id));
        }
        let by_key = |manifest: &Manifest| self.us.reader_of(manifest);
        let of_key = infos.iter().filter(|info| self.is_by_key(info)).collect();
        let mut ids = named(&*self.store, &by_key, of_key, text).await?;
        // Another peer would see by the chunks that are asked for which password is right.
        let may_try = match self.own {
            Some(_) => self.to_try(infos),
            None => BTreeSet::new(),
        };
        let locked = infos.iter().filter(|info| may_try.contains(&info.id));
        let by_password = |_: &Manifest| self.reader.clone();
        ids.extend(named(&*self.store, &by_password, locked.collect(), text).await?);
        let found = infos.iter().filter(|info| ids.contains(&info.id));
        let found = newest(found.collect());
        match self.us.only(&*self.store, &found, text).await? {
            Some(info) => Ok(Found {
                ids: vec![info.id],
                may_try,
            }),
            None => Err(Error::NothingNamed {
                text: text.clone(),
                has_password: self.reader.password.is_some(),
            }),
        }
    }

    /// Whether the store says that our key opens it.
    fn is_by_key(&self, info: &ManifestInfo) -> bool {
        let ours = |id: &PeerId| match self.is_here {
            true => self.us.is_us(*id),
            false => *id == self.reader.me,
        };
        info.recipients.iter().any(ours)
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
