//! Manifests of a local store: published, read, listed, deleted.

use std::{collections::BTreeMap, sync::PoisonError, time::SystemTime};

use bytes::Bytes;

use super::super::{
    ManifestInfo, Page, PageRequest, PutManifest, StateAt, StoreError, TransferState,
    memory::take_page, missing_chunks_error, not_found,
};
use super::disk::Created;
use super::{Inner, io};
use crate::{
    id::{ManifestId, PeerId},
    manifest::{MAX_ENVELOPE, SignedManifest, Timestamp},
};

impl Inner {
    pub(super) fn put_manifest(
        &self,
        manifest: &SignedManifest,
    ) -> Result<PutManifest, StoreError> {
        self.writable()?;
        let (id, payload) = (manifest.id(), manifest.payload());
        let (name, length) = (id.to_string(), manifest.envelope().len() as u64);
        let failed = |error| self.write_failed(length, self.manifests.path(), error);
        let _present = self.rely_on_presence();
        if self
            .manifests
            .length(&name)
            .map_err(|e| failed(e.into()))?
            .is_some()
        {
            self.manifests.sync().map_err(failed)?;
            return Ok(PutManifest::AlreadyThere);
        }
        if self.receipts.opened(payload.sender, payload.transfer_id)? {
            return Ok(PutManifest::AlreadyReceived);
        }
        let missing = self.missing_of(payload.all_chunks())?;
        if !missing.is_empty() {
            return Err(missing_chunks_error(missing));
        }
        let created = self
            .manifests
            .create(&name, manifest.envelope())
            .map_err(failed)?;
        self.space.settle(payload.transfer_id);
        if let Some(index) = &mut *self.lock_index() {
            index.insert(id, ManifestInfo::new(id, payload));
        }
        Ok(if created == Created::New {
            PutManifest::Stored
        } else {
            PutManifest::AlreadyThere
        })
    }

    pub(super) fn get_manifest(&self, id: ManifestId) -> Result<Bytes, StoreError> {
        let name = id.to_string();
        let read = self
            .manifests
            .read(&name, MAX_ENVELOPE)
            .map_err(|e| io(&self.manifests.path().join(&name), e))?;
        match read {
            Some(bytes) if ManifestId::of(&bytes) == id => Ok(bytes.into()),
            None => Err(not_found("manifest", &id)),
            Some(_) => {
                tracing::error!(manifest = name, "damaged on disk, set aside");
                self.set_aside(&self.manifests, &name)?;
                self.forget(id);
                Err(not_found("manifest", &id))
            }
        }
    }

    pub(super) fn manifest_state(&self, id: ManifestId) -> Result<StateAt, StoreError> {
        if let Some(state) = self.receipts.state_of(id)? {
            return Ok(state);
        }
        let file = self
            .manifests
            .file(&id.to_string())
            .map_err(|e| io(self.manifests.path(), e))?;
        let since = file.and_then(|file| file.metadata().ok()?.modified().ok());
        let since = since.ok_or_else(|| not_found("manifest", &id))?;
        let seconds = since
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        Ok(StateAt {
            state: TransferState::Stored,
            since: Timestamp::from_unix_seconds(seconds),
        })
    }

    pub(super) fn list_manifests(
        &self,
        page: PageRequest<ManifestId>,
        reader: Option<PeerId>,
    ) -> Result<Page<ManifestInfo>, StoreError> {
        self.with_index(|index| {
            let infos = index
                .values()
                .filter(|info| page.after.is_none_or(|after| info.id > after));
            let wanted = infos.filter(|info| reader.is_none_or(|reader| info.is_for(reader)));
            take_page(wanted.cloned(), page.limit)
        })
    }

    pub(super) fn delete_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        self.writable()?;
        let name = id.to_string();
        if self
            .manifests
            .length(&name)
            .map_err(|e| io(self.manifests.path(), e))?
            .is_none()
        {
            return Err(not_found("manifest", &id));
        }
        self.remove_manifest(id)
    }

    pub(super) fn remove_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        let failed = |error| self.write_failed(0, self.manifests.path(), error);
        self.manifests
            .remove(&id.to_string())
            .map_err(|e| failed(e.into()))?;
        self.manifests.sync().map_err(failed)?;
        self.forget(id);
        Ok(())
    }

    pub(super) fn forget(&self, id: ManifestId) {
        if let Some(index) = &mut *self.lock_index() {
            index.remove(&id);
        }
    }

    pub(super) fn lock_index(
        &self,
    ) -> std::sync::MutexGuard<'_, Option<BTreeMap<ManifestId, ManifestInfo>>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `use_it` the list of manifests, read from disk the first time.
    pub(super) fn with_index<T>(
        &self,
        use_it: impl FnOnce(&BTreeMap<ManifestId, ManifestInfo>) -> T,
    ) -> Result<T, StoreError> {
        let mut cached = self.lock_index();
        if cached.is_none() {
            let names = self
                .manifests
                .names()
                .map_err(|e| io(self.manifests.path(), e))?;
            let ids = names
                .iter()
                .filter_map(|name| name.parse::<ManifestId>().ok());
            let infos = ids.filter_map(|id| {
                let bytes = self.manifests.read(&id.to_string(), MAX_ENVELOPE).ok()??;
                let manifest = SignedManifest::parse(bytes)
                    .ok()
                    .filter(|manifest| manifest.id() == id)?;
                Some((id, ManifestInfo::new(id, manifest.payload())))
            });
            *cached = Some(infos.collect());
        }
        Ok(use_it(cached.get_or_insert_default()))
    }
}
