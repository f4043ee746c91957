//! TransferSelector transfers are received, and on which of them a password is tried.
//!
//! What a store says that it has may be hostile: each try of a password costs work, and whoever serves sees by the chunks that are
//! asked for whether it was right.

use std::collections::BTreeSet;

use super::Job;
use crate::{
    cli::{
        args::Receive,
        password::Purpose,
        report::{ExitCode, Failure},
    },
    id::ManifestId,
    session::{TransferSelector, all_manifests, named},
    store::ManifestInfo,
};

/// Transfers on which a password is tried that were not named by their ids. Each costs a part of a second of work, and is whatever
/// the store says that it has.
pub(super) const MAX_TRIES: usize = 4;

/// The transfers that were named, and those that stay locked.
pub(super) type Chosen = (Vec<ManifestId>, Vec<ManifestInfo>);

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
    pub(super) async fn choose(&mut self, args: &Receive) -> Result<Chosen, Failure> {
        let infos = all_manifests(self.us, &*self.store, Some(self.reader.me)).await?;
        if args.all {
            self.tried = self.to_try(&infos);
            let opens = |info: &ManifestInfo| self.is_by_key(info) || self.tried.contains(&info.id);
            let (chosen, locked): (Vec<_>, Vec<_>) = infos.into_iter().partition(opens);
            return Ok((chosen.into_iter().map(|info| info.id).collect(), locked));
        }
        let mut chosen = Vec::new();
        for text in &args.which {
            let found = self.find(&TransferSelector::new(text), &infos).await?;
            self.tried.extend(&found.may_try);
            chosen.extend(found.ids);
        }
        chosen.sort();
        chosen.dedup();
        let is_locked = |id: &ManifestId| {
            infos
                .iter()
                .any(|info| info.id == *id && !info.recipients.contains(&self.reader.me))
        };
        if self.reader.password.is_none() && chosen.iter().any(is_locked) {
            self.reader.password = Some(args.secret.read(Purpose::Open).await?);
        }
        Ok((chosen, Vec::new()))
    }

    async fn find(
        &self,
        which: &TransferSelector,
        infos: &[ManifestInfo],
    ) -> Result<Found, Failure> {
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
        let of_key = infos.iter().filter(|info| self.is_by_key(info));
        let mut ids = named(&*self.store, &by_key, of_key, text).await;
        // Another peer would see by the chunks that are asked for which password is right.
        let may_try = match self.own {
            Some(_) => self.to_try(infos),
            None => BTreeSet::new(),
        };
        let locked = infos.iter().filter(|info| may_try.contains(&info.id));
        ids.extend(named(&*self.store, &self.reader, locked, text).await);
        if ids.is_empty() {
            let failure = Failure::new(
                ExitCode::NotFound,
                format!("no transfer for us is or has {text}"),
            );
            let has_password = self.reader.password.is_some();
            return Err(failure.hint(match has_password {
                true => "what only a password opens is named by its id: colis list [PEER]",
                false => "see what is there: colis list [PEER]",
            }));
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
