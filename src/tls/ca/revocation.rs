//! Signing the revocation list. A list is made from the lists in use, to which keys are added: nothing that was revoked is
//! let in again because a record of it was lost, here or by a backup that was restored.

use std::collections::BTreeSet;

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::{
    BACKDATE, Mode,
    issued::{self, Issued},
    issuer, need_ca_key, number_after, write,
};
use crate::{
    id::PeerId,
    manifest::{Signer as _, Timestamp},
    tls::{
        CertsDir, Circle, CircleHandle, Identity, TlsError, WhyRefused, hold_list, load_directory,
        revoked::{MAX_LIST, key_entry},
    },
    trust::AddressBook,
};

/// Digits of an id that are enough to name a peer, as lists and logs show them.
const SHORT_ID: usize = 8;
/// Past it the list still applies, and is warned about.
const CRL_LIFE: Duration = Duration::days(30);

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The peers: several only if all that had the name were revoked before.
    pub peers: BTreeSet<PeerId>,
    /// How many certificates on record are newly revoked.
    pub certificates: usize,
    /// Whether all of the peers were revoked before: nothing was to be done.
    pub before: bool,
}

/// Revokes the peer `who`, by its name, its id or the first eight digits of that: each of its keys, and with them all its certificates and those of its
/// scripts.
///
/// A name is looked up in what was issued and in the address book, and means the one peer of this name that is not revoked: it may
/// have been another's before. An id can be revoked whatever was lost.
///
/// # Errors
/// [`TlsError::NotTheCircle`]; [`TlsError::Refused`] for this machine itself, or if several peers are meant;
/// [`TlsError::NeverIssued`] if nobody is called so.
pub fn revoke(dir: &CertsDir, who: &str) -> Result<Revocation, TlsError> {
    need_ca_key(dir)?;
    let own = Identity::load(dir)?;
    let _alone = hold_list(dir)?;
    let circle = Circle::load(dir)?;
    let id = who.parse::<PeerId>().ok();
    let issued = match issued::read(dir) {
        Ok(issued) => issued,
        // A record that was replaced by something else is as gone as one that is missing.
        Err(TlsError::NoRecord { .. } | TlsError::Io { .. }) => Vec::new(),
        Err(_) if id.is_some() => Vec::new(),
        Err(error) => return Err(error),
    };
    let keys = match id {
        Some(id) => BTreeSet::from([id]),
        None => keys_of(dir, &circle, who, &issued)?,
    };
    if own.name() == who || keys.contains(&own.peer_id()) {
        return Err(WhyRefused::OwnMachine.into());
    }
    let is_fresh = |i: &&Issued| keys.contains(&i.peer_id) && !i.is_revoked(&circle);
    let certificates = issued.iter().filter(is_fresh).count();
    let before = keys.iter().all(|key| circle.is_key_revoked(key));
    sign_list(dir, &circle, &issued, &keys)?;
    Ok(Revocation {
        peers: keys,
        certificates,
        before,
    })
}

/// The one peer called `name` that is not revoked; those that were, if there is none.
fn keys_of(
    dir: &CertsDir,
    circle: &Circle,
    name: &str,
    all: &[Issued],
) -> Result<BTreeSet<PeerId>, TlsError> {
    let known = AddressBook::new(dir.peers()).by_certificate_name(name)?;
    let issued = all.iter().filter(|i| i.name == name);
    let members = members(dir, circle);
    let members = members.iter().filter(|(_, called)| called == name);
    let keys: BTreeSet<_> = issued
        .map(|i| i.peer_id)
        .chain(known.map(|known| known.peer_id))
        .chain(members.map(|(id, _)| *id))
        .collect();
    if keys.is_empty() {
        return key_of_short_id(dir, circle, name, all).map(|key| BTreeSet::from([key]));
    }
    let is_live = |key: &&PeerId| !circle.is_key_revoked(key);
    let live: BTreeSet<_> = keys.iter().filter(is_live).copied().collect();
    match live.len() {
        0 => Ok(keys),
        1 => Ok(live),
        _ => Err(WhyRefused::SameName {
            name: name.to_owned(),
            peers: live.into_iter().collect(),
        }
        .into()),
    }
}

/// Who is a member by the directory, which knows of some that a machine that was restored has no record of. One that cannot be
/// used names nobody.
fn members(dir: &CertsDir, circle: &Circle) -> Vec<(PeerId, String)> {
    let directory = load_directory(dir, circle).ok().flatten();
    let members = directory.iter().flat_map(|d| &d.payload().members);
    members
        .map(|member| (member.peer_id(), member.name().to_owned()))
        .collect()
}

/// The one key whose id begins so, of those that were issued, are in the address book or in the directory.
fn key_of_short_id(
    dir: &CertsDir,
    circle: &Circle,
    short: &str,
    issued: &[Issued],
) -> Result<PeerId, TlsError> {
    let is_short = short.len() >= SHORT_ID && short.bytes().all(|b| b.is_ascii_hexdigit());
    let known = AddressBook::new(dir.peers()).peers()?;
    let known = known.iter().map(|known| known.peer_id);
    let members = members(dir, circle).into_iter().map(|(id, _)| id);
    let known = known.chain(members);
    let mut keys: BTreeSet<_> = issued.iter().map(|i| i.peer_id).chain(known).collect();
    keys.retain(|key| is_short && key.to_string().starts_with(short));
    match (keys.pop_first(), keys.len()) {
        (Some(key), 0) => Ok(key),
        (Some(_), _) => Err(WhyRefused::SeveralPeers.into()),
        (None, _) => Err(TlsError::NeverIssued {
            name: short.to_owned(),
        }),
    }
}

/// Whom [`revoke`] would revoke, and whether all of them are on record.
///
/// # Errors
/// As [`revoke`].
pub fn whom(dir: &CertsDir, who: &str) -> Result<(BTreeSet<PeerId>, bool), TlsError> {
    need_ca_key(dir)?;
    let circle = Circle::load(dir)?;
    let issued = issued::read(dir).unwrap_or_default();
    let keys = match who.parse::<PeerId>() {
        Ok(id) => BTreeSet::from([id]),
        Err(_) => keys_of(dir, &circle, who, &issued)?,
    };
    let is_recorded = |key: &PeerId| issued.iter().any(|i| i.peer_id == *key);
    let recorded = keys.iter().all(is_recorded);
    Ok((keys, recorded))
}

/// Signs the revocation list again before its date is over, if it is dated later than `now`, or if there are two lists:
/// everything that they revoke, under a higher number. Gives whether it was time to.
///
/// # Errors
/// [`TlsError::NotTheCircle`], [`TlsError::Malformed`], [`TlsError::Io`].
pub fn refresh_list(dir: &CertsDir, now: Timestamp) -> Result<bool, TlsError> {
    need_ca_key(dir)?;
    let _alone = hold_list(dir)?;
    let circle = Circle::load(dir)?;
    let half = CRL_LIFE.whole_seconds().unsigned_abs() / 2;
    let is_fresh = |next: Timestamp| next > now.plus_seconds(half);
    // One that was signed by a clock that was ahead would look fresh for as long as that was.
    let is_ahead = circle.crl_this_update().is_some_and(|signed| signed > now);
    let is_fresh = circle.crl_next_update().is_some_and(is_fresh) && !is_ahead;
    if !circle.revoked().is_split() && is_fresh {
        return Ok(false);
    }
    let issued = issued::read(dir).unwrap_or_default();
    sign_list(dir, &circle, &issued, &BTreeSet::new())?;
    Ok(true)
}

/// On the circle's machine: signs one list if there are more, and puts it in force. Elsewhere it does nothing.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Io`].
pub fn merge_lists(dir: &CertsDir, circle: &CircleHandle) -> Result<bool, TlsError> {
    if !dir.ca_key().exists() || circle.now().conflict().is_none() {
        return Ok(false);
    }
    refresh_list(dir, Timestamp::now())?;
    circle.reload(dir)?;
    Ok(true)
}

/// Signs everything that `circle` has revoked, and the keys `added`. Serial numbers of certificates that have expired are
/// left out; their keys stay.
pub(super) fn sign_list(
    dir: &CertsDir,
    circle: &Circle,
    issued: &[Issued],
    added: &BTreeSet<PeerId>,
) -> Result<(), TlsError> {
    let mut entries = circle.revoked().entries();
    entries.extend(added.iter().map(key_entry));
    let keys = entries.clone();
    let now = Timestamp::now();
    for issued in issued {
        if issued.not_after < now {
            entries.remove(&issued.serial);
        } else if keys.contains(&key_entry(&issued.peer_id)) {
            entries.insert(issued.serial.clone());
        }
    }
    let number = number_after(circle.crl_number(), now.unix_seconds());
    let mut pem = list_of(dir, &entries, number)?;
    if pem.len() > MAX_LIST {
        // The keys are what members look at.
        for issued in issued {
            entries.remove(&issued.serial);
        }
        pem = list_of(dir, &entries, number)?;
    }
    write(&dir.crl(), &pem, Mode::Public)
}

/// Writes the first list of a circle, which revokes nothing.
pub(super) fn write_first_list(dir: &CertsDir) -> Result<(), TlsError> {
    let pem = list_of(
        dir,
        &BTreeSet::new(),
        number_after(0, Timestamp::now().unix_seconds()),
    )?;
    write(&dir.crl(), &pem, Mode::Public)
}

fn list_of(dir: &CertsDir, entries: &BTreeSet<Vec<u8>>, number: u64) -> Result<String, TlsError> {
    let now = OffsetDateTime::now_utc();
    let revoked_certs = entries.iter().map(|entry| RevokedCertParams {
        serial_number: SerialNumber::from_slice(entry),
        revocation_time: now,
        reason_code: Some(RevocationReason::CessationOfOperation),
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: now - BACKDATE,
        next_update: now + CRL_LIFE,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        key_identifier_method: KeyIdMethod::Sha256,
        revoked_certs: revoked_certs.collect(),
    };
    Ok(params.signed_by(&issuer(dir)?)?.pem()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{
        ca::{self, CertificateOptions},
        revoked::MAX_KEYS,
    };

    /// As many keys as a circle signs, and serial numbers that there is no room for beside them.
    #[test]
    fn a_list_of_all_keys_of_the_largest_circle_is_as_long_as_a_list_may_be() {
        let root = tempfile::tempdir().unwrap();
        let dir = CertsDir::new(root.path().join("a"));
        ca::init(&dir, "a", &CertificateOptions::default()).unwrap();
        let keys: BTreeSet<_> = (0..MAX_KEYS as u64)
            .map(|n| PeerId::of(&n.to_be_bytes()))
            .collect();
        let own = issued::read(&dir).unwrap().remove(0);
        let issued = |n: u64, peer_id: &PeerId| Issued {
            peer_id: *peer_id,
            serial: [&[0x40; 8][..], &n.to_be_bytes()].concat(),
            ..own.clone()
        };
        let issued: Vec<_> = (0..).zip(&keys).map(|(n, key)| issued(n, key)).collect();
        let circle = Circle::load(&dir).unwrap();
        let first = circle.crl_number();
        sign_list(&dir, &circle, &issued, &keys).unwrap();
        let length = std::fs::metadata(dir.crl()).unwrap().len();
        assert!(length <= MAX_LIST as u64, "{length}");
        let circle = Circle::load(&dir).unwrap();
        assert!(keys.iter().all(|key| circle.is_key_revoked(key)));
        assert!(circle.crl_number() > first);
    }

    #[test]
    fn a_number_is_the_time_and_grows_also_where_the_clock_was_set_back() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert_eq!(number_after(1, now.unix_seconds()), now.unix_seconds());
        for last in [now.unix_seconds(), now.unix_seconds() + 7] {
            assert_eq!(number_after(last, now.unix_seconds()), last + 1);
        }
    }
}
