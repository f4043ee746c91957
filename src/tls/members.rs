//! The members that the directory names, beside the address book, which wins.

use super::{CertsDir, CircleHandle, TlsError, load_directory};
use crate::{
    id::PeerId,
    trust::{AddressBook, KnownPeer, MovedName},
};

/// The members of the directory in `dir` that the address book there does not have, `most` of them: neither revoked nor
/// forgotten, nor under a name that means another peer here. One that is not a member by its own word is left out.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Trust`], [`TlsError::Io`].
pub fn other_members(
    dir: &CertsDir,
    circle: &CircleHandle,
    most: usize,
) -> Result<Vec<KnownPeer>, TlsError> {
    let Some(directory) = load_directory(dir, &circle.now())? else {
        return Ok(Vec::new());
    };
    let book = AddressBook::new(dir.peers());
    let (known, forgotten, now) = (book.peers()?, book.forgotten()?, circle.now());
    let is_other = |id: PeerId, name: &str| {
        let is_known = |known: &KnownPeer| {
            known.peer_id == id || known.name == name || known.alias.as_deref() == Some(name)
        };
        !forgotten.contains_key(&id) && !now.is_key_revoked(&id) && !known.iter().any(is_known)
    };
    let members = directory.payload().members.iter();
    let others = members.filter(|member| is_other(member.peer_id(), member.name()));
    // Checked last: it costs two signatures.
    let others = others.filter_map(|member| circle.member(member).ok());
    Ok(others.take(most).collect())
}

/// The member of this name, or with this id, whatever the address book says: one that was forgotten too, but none that was revoked.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Io`].
pub fn member_called(
    dir: &CertsDir,
    circle: &CircleHandle,
    called: &str,
) -> Result<Option<KnownPeer>, TlsError> {
    let directory = load_directory(dir, &circle.now())?;
    let members = directory.iter().flat_map(|d| &d.payload().members);
    let id = called.parse::<PeerId>().ok();
    let mut found = members.filter(|m| m.name() == called || Some(m.peer_id()) == id);
    Ok(found.find_map(|member| circle.member(member).ok()))
}

/// Where the directory says that `peer` is. Hints: whoever answers there must show its key.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Io`].
pub fn hints_of(
    dir: &CertsDir,
    circle: &CircleHandle,
    peer: PeerId,
) -> Result<Vec<String>, TlsError> {
    let directory = load_directory(dir, &circle.now())?;
    let mut members = directory.iter().flat_map(|d| &d.payload().members);
    let found = members.find(|member| member.peer_id() == peer);
    Ok(found.map_or_else(Vec::new, |member| member.addresses.clone()))
}

/// Takes over what the directory says anew of the peers of the address book. A name of the book goes to another key only if the
/// former is revoked. Returns the names that did.
///
/// # Errors
/// [`TlsError::Malformed`], [`TlsError::Trust`], [`TlsError::Io`].
pub fn take_in_directory(
    dir: &CertsDir,
    circle: &CircleHandle,
) -> Result<Vec<MovedName>, TlsError> {
    let Some(directory) = load_directory(dir, &circle.now())? else {
        return Ok(Vec::new());
    };
    let book = AddressBook::new(dir.peers());
    let known = book.peers()?;
    let is_news = |id: PeerId, name: &str, sequence: u64| {
        let known = known.iter().find(|known| known.name == name);
        known.is_some_and(|known| known.peer_id != id || known.sequence < sequence)
    };
    let members = directory.payload().members.iter();
    let news = members.filter(|member| {
        is_news(
            member.peer_id(),
            member.name(),
            member.bundle.payload().sequence,
        )
    });
    let news: Vec<_> = news
        .filter_map(|member| circle.member(member).ok())
        .collect();
    let now = circle.now();
    Ok(book.take_in(&news, |id| now.is_key_revoked(id))?)
}
