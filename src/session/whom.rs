//! Whom a person means by `PEER`: a name of the address book, or an address.

use super::{Error, Kind};
use crate::{
    address::PeerAddress,
    trust::{AddressBook, KnownPeer, TrustError},
};

/// A name that differs in more letters is not suggested.
const MAX_TYPOS: usize = 2;

/// A peer as it was typed.
#[derive(Debug)]
pub(crate) enum Whom {
    /// A peer of the address book: its id says who it is, wherever it answers.
    Known(Box<KnownPeer>),
    /// The peer that serves at this address.
    At(PeerAddress),
}

impl Whom {
    /// Parses a name of `book`, or an address with a dot, a port or a colon.
    ///
    /// A bare name is never looked up as a host: any machine of the network could answer to it, and what is for one member
    /// would be sealed to another. Only `localhost` names no other machine.
    pub(crate) fn parse(text: &str, book: &AddressBook) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(known) = known(text, book)? {
            return Ok(Self::Known(Box::new(known)));
        }
        let address = text.parse::<PeerAddress>()?;
        if text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::At(address));
        }
        Err(unknown(text, book)?)
    }
}

/// The peer of `book` that is called `text`. No name has a blank at an end or a capital, so both are only how it was typed.
pub(crate) fn known(text: &str, book: &AddressBook) -> Result<Option<KnownPeer>, TrustError> {
    book.by_name(&text.trim().to_lowercase())
}

/// The same `error` of reaching the host `text`, with the peer of `book` that `text` would name without its port.
pub(super) fn with_a_port(text: &str, book: &AddressBook, error: Error) -> Error {
    let name = text.trim().split_once(':').map(|(name, _)| name);
    let is_known = |name: &&str| known(name, book).is_ok_and(|known| known.is_some());
    match name.filter(is_known) {
        Some(name) if error.kind() == Kind::Network => Error::NamedWithPort {
            peer: name.to_owned(),
            source: Box::new(error),
        },
        _ => error,
    }
}

/// That no peer of `book` is called `name`.
pub(crate) fn unknown(name: &str, book: &AddressBook) -> Result<Error, TrustError> {
    let nearest = nearest(name, book.peers()?);
    let name = name.to_owned();
    Ok(Error::UnknownPeer { name, nearest })
}

/// The name or alias that `name` may be a misspelling of.
pub(crate) fn nearest(name: &str, known: Vec<KnownPeer>) -> Option<String> {
    let names = known
        .into_iter()
        .flat_map(|peer| [Some(peer.name), peer.alias]);
    let typos = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), known);
    names
        .flatten()
        .map(|known| (typos(&known), known))
        .filter(|(typos, known)| *typos <= MAX_TYPOS && *typos < known.len())
        .min()
        .map(|(_, known)| known)
}
