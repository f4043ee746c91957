//! Whom a person means by `PEER`: a name of the address book, or an address.

use super::{Error, Kind, Session};
use crate::{
    address::PeerAddress,
    trust::{AddressBook, KnownPeer, TrustError},
};

/// A name that differs in more letters is not suggested.
const MAX_TYPOS: usize = 2;

/// A peer as it was typed.
#[derive(Debug)]
pub(crate) enum Whom {
    /// A peer of the address book or the directory: its id says who it is, wherever it answers.
    Known(Box<KnownPeer>),
    /// The peer that serves at this address.
    At(PeerAddress),
}

impl Whom {
    /// Parses a name of `book`, or an address with a dot, a port or a colon. For a home that cannot act; [`Session::whom`] knows more.
    pub(crate) fn parse(text: &str, book: &AddressBook) -> Result<Self, Error> {
        let text = text.trim();
        if let Some(known) = known(text, book)? {
            return Ok(Self::Known(Box::new(known)));
        }
        let address = text.parse::<PeerAddress>()?;
        if is_address(text) {
            return Ok(Self::At(address));
        }
        let nearest = nearest(text, book.peers()?);
        let name = text.to_owned();
        Err(Error::UnknownPeer { name, nearest })
    }
}

/// A bare name is never looked up as a host: any machine of the network could answer to it, and what is for one member would be
/// sealed to another. Only `localhost` names no other machine.
fn is_address(text: &str) -> bool {
    text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost")
}

impl Session {
    /// Parses a name of the address book or of the directory, or an address with a dot, a port or a colon. Members are asked for a
    /// newer directory before a name is said to be unknown.
    pub(crate) async fn whom(&self, text: &str) -> Result<Whom, Error> {
        let text = text.trim();
        let known = match is_address(text) {
            true => self.known_here(text)?,
            false => self.known_to_members(text).await?,
        };
        if let Some(known) = known {
            self.tell_if_moved(&known);
            return Ok(Whom::Known(Box::new(known)));
        }
        let address = text.parse::<PeerAddress>()?;
        match is_address(text) {
            true => Ok(Whom::At(address)),
            false => Err(self.unknown(text)?),
        }
    }

    /// That no peer of the address book or the directory is called `name`, or that it was forgotten.
    pub(crate) fn unknown(&self, name: &str) -> Result<Error, Error> {
        let folded = name.to_lowercase();
        let is_it = |forgotten: &String| *forgotten == folded;
        if self.book.forgotten()?.values().any(is_it) && self.member_called(&folded)?.is_some() {
            return Ok(Error::Forgotten { name: folded });
        }
        let mut known = self.book.peers()?;
        known.extend(self.other_members()?);
        let (name, nearest) = (name.to_owned(), nearest(name, known));
        Ok(Error::UnknownPeer { name, nearest })
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
