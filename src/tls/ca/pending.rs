//! Certificates on their way to a machine that joins.
//!
//! They are recorded as pending before they are sent, and settled when that machine has said that it has them. A pairing that
//! ends in between, however it ends, leaves pending records. Their keys are revoked by the next program that finds no pairing
//! going on: the one that paired, before it ends, and else the next that pairs or serves. The system lets the lock go
//! when a process is killed.

use std::{
    collections::BTreeMap,
    fs::TryLockError,
    thread,
    time::{Duration, Instant},
};

use super::{issued, need_ca_key, revocation::sign_list};
use crate::{
    id::PeerId,
    lock::Locked,
    private,
    tls::{CertsDir, Circle, TlsError, hold_list, io_error},
    trust::AddressBook,
};

const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Held while certificates are on their way: what is pending then is not given up. The circle's key stands for it, which only
/// its machine has.
pub(super) fn hold_pending(dir: &CertsDir) -> Result<Locked, TlsError> {
    let path = dir.ca_key();
    let held = private::open(&path).and_then(Locked::wait_shared);
    held.map_err(|e| io_error(&path, e))
}

/// Revokes what pairings that have ended left pending, and forgets those machines. Returns their names; `None` if a
/// pairing is going on, also after `patience`.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Trust`], [`TlsError::Io`].
pub fn revoke_pending(dir: &CertsDir, patience: Duration) -> Result<Option<Vec<String>>, TlsError> {
    need_ca_key(dir)?;
    let Some(_none_on_its_way) = hold_alone(dir, patience)? else {
        return Ok(None);
    };
    let _list = hold_list(dir)?;
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let left = issued
        .iter()
        .filter(|i| i.pending && !i.is_revoked(&circle));
    let left: BTreeMap<PeerId, String> = left.map(|i| (i.peer_id, i.name.clone())).collect();
    if left.is_empty() {
        return Ok(Some(Vec::new()));
    }
    sign_list(dir, &circle, &issued, &left.keys().copied().collect())?;
    let book = AddressBook::new(dir.peers());
    for (id, name) in &left {
        let known = book.by_certificate_name(name)?;
        if known.is_some_and(|known| known.peer_id == *id) {
            book.remove(name)?;
        }
    }
    Ok(Some(left.into_values().collect()))
}

/// Held while no machine joins; `None` if one does, also after `patience`.
pub(in crate::tls) fn hold_alone(
    dir: &CertsDir,
    patience: Duration,
) -> Result<Option<Locked>, TlsError> {
    let path = dir.ca_key();
    let begin = Instant::now();
    loop {
        let file = private::open(&path).map_err(|e| io_error(&path, e))?;
        match Locked::try_take(file) {
            Ok(locked) => return Ok(Some(locked)),
            Err(TryLockError::Error(error)) => return Err(io_error(&path, error)),
            Err(TryLockError::WouldBlock) if begin.elapsed() >= patience => return Ok(None),
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
        }
    }
}
