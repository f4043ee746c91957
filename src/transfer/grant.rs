//! Letting others open a transfer that was sent before: another manifest with their wraps, and not a byte of data.

use super::{
    Reader, Recipient, TransferError,
    open::{check_origin, unwrap},
};
use crate::{
    id::ManifestId,
    manifest::{SignedManifest, Signer, Timestamp, Wrap, WrapScope},
    store::{PutManifest, Store, StoreError},
};

/// What a grant did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The manifest that counts now.
    pub manifest: ManifestId,
    /// How many can open it who could not before.
    pub added: usize,
}

/// Publishes our transfer `id` in `store` once more, so that `recipients` can open it too; it is kept for as long as it was to
/// be kept, from now on. The manifest that it replaces is removed.
///
/// # Errors
/// [`TransferError::NotOurs`]; [`TransferError::LetGo`] if that store has opened it and keeps it for nobody;
/// [`TransferError::Manifest`], also if it would have too many recipients; those of the store.
pub async fn grant(
    reader: &Reader,
    signer: &dyn Signer,
    store: &dyn Store,
    id: ManifestId,
    recipients: &[Recipient],
) -> Result<Granted, TransferError> {
    let old = SignedManifest::parse(store.get_manifest(id).await?)?;
    // A store could show us what we never signed, so that we sign it now.
    check_origin(&old, reader, Timestamp::now())?;
    let mut manifest = old.payload().clone();
    if manifest.sender != signer.peer_id() {
        let sender = manifest.sender;
        return Err(TransferError::NotOurs { sender });
    }
    let key = unwrap(&manifest, reader).await?;
    let scope = WrapScope {
        key_id: manifest.key_id,
        transfer_id: manifest.transfer_id,
        sender: manifest.sender,
    };
    let before = manifest.wraps.len();
    for recipient in recipients {
        let (to, key_id) = (recipient.peer, recipient.seal_key.id());
        // A peer whose seal key is another now needs another wrap.
        let is_its = |wrap: &Wrap| matches!(wrap, Wrap::Recipient { peer, kid, .. } if (*peer, *kid) == (to, key_id));
        if !manifest.wraps.iter().any(is_its) {
            let wrap = Wrap::to_recipient(&key, scope, to, &recipient.seal_key)?;
            manifest.wraps.push(wrap);
        }
    }
    let added = manifest.wraps.len() - before;
    if added == 0 {
        return Ok(Granted {
            manifest: id,
            added,
        });
    }
    let now = Timestamp::now();
    let lifetime = manifest
        .expires
        .map(|expires| expires.unix_seconds() - manifest.created.unix_seconds());
    manifest.expires = lifetime.map(|lifetime| now.plus_seconds(lifetime));
    (manifest.created, manifest.certificate) = (now, signer.certificate());
    let manifest = SignedManifest::sign(manifest, signer)?;
    if store.put_manifest(&manifest).await? == PutManifest::AlreadyReceived {
        return Err(TransferError::LetGo);
    }
    match store.delete_manifest(id).await {
        Ok(()) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Granted {
        manifest: manifest.id(),
        added,
    })
}
