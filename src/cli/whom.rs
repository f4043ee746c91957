//! Whom a person means by `PEER`: a name of the address book, or an address.

use std::collections::HashSet;

use super::report::{ExitCode, Failure};
use crate::{
    client::PeerAddress,
    id::PeerId,
    trust::{AddressBook, KnownPeer, TrustError},
    wire::DEFAULT_PORT,
};

/// A name that differs in more letters is not suggested.
const MAX_TYPOS: usize = 2;

/// A peer as it was typed.
#[derive(Debug)]
pub(super) enum Whom {
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
    pub(super) fn parse(text: &str, book: &AddressBook) -> Result<Self, Failure> {
        let text = text.trim();
        if let Some(known) = known(text, book)? {
            return Ok(Self::Known(Box::new(known)));
        }
        let address = text.parse::<PeerAddress>();
        let address =
            address.map_err(|error| Failure::from(error).hint("see who is known: colis peers"))?;
        if text.contains(['.', ':']) || text.eq_ignore_ascii_case("localhost") {
            return Ok(Self::At(address));
        }
        Err(unknown(text, book)?)
    }
}

/// The peer of `book` that is called `text`. No name has a blank at an end or a capital, so both are only how it was typed.
pub(super) fn known(text: &str, book: &AddressBook) -> Result<Option<KnownPeer>, TrustError> {
    book.by_name(&text.trim().to_lowercase())
}

/// The peers of `book` that `text` would name without its port, for a `failure` to reach it as a host.
pub(super) fn with_a_port(text: &str, book: &AddressBook, failure: Failure) -> Failure {
    let name = text.trim().split_once(':').map(|(name, _)| name);
    let is_known = |name: &&str| known(name, book).is_ok_and(|known| known.is_some());
    match name.filter(is_known) {
        Some(name) if failure.code == ExitCode::Network => failure.hint(format!(
            "{name} is a known peer: leave out the port, and its addresses are tried; with a port it is a host"
        )),
        _ => failure,
    }
}

/// Each peer once, however often and by whatever names it was meant: nobody needs a key twice.
pub(super) fn each_once<T>(peers: Vec<T>, id: impl Fn(&T) -> PeerId) -> Vec<T> {
    let mut ids = HashSet::new();
    let is_first = |peer: &T| ids.insert(id(peer));
    let mut peers = peers;
    peers.retain(is_first);
    peers
}

/// No peer is called `name`: says what to type instead.
pub(super) fn unknown(name: &str, book: &AddressBook) -> Result<Failure, TrustError> {
    let nearest = nearest(name, book.peers()?);
    let nearest = nearest.map_or(String::new(), |near| format!("did you mean {near}? "));
    let failure = Failure::new(ExitCode::NotFound, format!("no peer is called {name}"));
    Ok(failure.hint(format!(
        "{nearest}who is known: colis peers; who was never met: colis peers add HOST; a host is typed with its port, \
         {name}:{DEFAULT_PORT}"
    )))
}

/// The name or alias that `name` may be a misspelling of.
pub(super) fn nearest(name: &str, known: Vec<KnownPeer>) -> Option<String> {
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
