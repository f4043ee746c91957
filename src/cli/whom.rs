//! Whom a person means by `PEER`: a name of the address book, or an address.

use super::report::{ExitCode, Failure};
use crate::{
    client::PeerAddress,
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
        if let Some(known) = book.by_name(text)? {
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
