//! Who else is in the circle, as far as its machine knows.

use std::collections::BTreeMap;

use super::{issued, last_renewal};
use crate::{
    id::PeerId,
    manifest::Timestamp,
    tls::{CertsDir, Circle, Inspected, TlsError},
    trust::AddressBook,
};

/// The names of the other members: who has a certificate that is not revoked and counts, or may still be renewed, and who is in
/// the address book and on no record.
///
/// # Errors
/// Those of reading the record of what was issued: without it nobody knows who is a member.
pub fn others(dir: &CertsDir) -> Result<Vec<String>, TlsError> {
    let (own, now) = (Inspected::peer(dir)?.caller.key_id, Timestamp::now());
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let is_live = |issued: &&issued::Issued| {
        !issued.is_revoked(&circle) && last_renewal(issued.not_after) >= now
    };
    let recorded = issued.iter().filter(is_live);
    let mut others: BTreeMap<PeerId, String> =
        recorded.map(|i| (i.peer_id, i.name.clone())).collect();
    for known in AddressBook::new(dir.peers()).peers()? {
        let is_recorded = issued.iter().any(|i| i.peer_id == known.peer_id);
        if !is_recorded && !circle.is_key_revoked(&known.peer_id) {
            others.insert(known.peer_id, known.name);
        }
    }
    others.remove(&own);
    let mut names: Vec<_> = others.into_values().collect();
    names.sort();
    Ok(names)
}

/// The peer called `name` that is on record in `dir`, or in the address book, and not revoked. It is not this machine.
///
/// # Errors
/// Those of reading the record of what was issued.
pub fn holder_on_record(dir: &CertsDir, name: &str) -> Result<Option<PeerId>, TlsError> {
    let own = Inspected::peer(dir)?.caller.key_id;
    let (circle, issued) = (Circle::load(dir)?, issued::read(dir)?);
    let known = AddressBook::new(dir.peers()).by_certificate_name(name)?;
    let recorded = issued.iter().filter(|issued| issued.name == name);
    let mut holders = recorded
        .map(|issued| issued.peer_id)
        .chain(known.map(|known| known.peer_id));
    Ok(holders.find(|id| *id != own && !circle.is_key_revoked(id)))
}

/// The name of the peer of `dir`.
pub(in crate::tls) fn own_name(dir: &CertsDir) -> Result<String, TlsError> {
    Ok(Inspected::peer(dir)?.caller.name)
}
