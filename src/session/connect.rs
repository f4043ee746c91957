//! From what a person types for a peer to a connection with the one that is meant.

use futures::FutureExt as _;

use super::{
    Error, Event, Kind, Mistake, Session,
    whom::{self, Whom},
};
use crate::{
    address::{PeerAddress, first_answer},
    client::{ClientOptions, PeerClient},
    id::PeerId,
    manifest::Timestamp,
    pair::Code,
    peer::{heed, record_found},
    store::StoreError,
    tls::{self, Expect, Seen},
    trust::{KnownPeer, SignedBundle},
};

/// A peer that answers.
pub struct ConnectedPeer {
    /// Its client, which takes no other peer for it.
    pub client: PeerClient,
    /// What is known of it.
    pub peer: KnownPeer,
}

impl Session {
    /// Who `text` means, as a recipient: known names need not be online.
    pub(crate) async fn recipient(&self, text: &str) -> Result<KnownPeer, Error> {
        let known = match self.whom(text).await? {
            Whom::Known(known) => *known,
            Whom::At(address) => self.connect_host(text, &address).await?.peer,
        };
        self.check_not_revoked(text, &known)?;
        Ok(known)
    }

    /// Connects to a peer: to the one that `text` names in the address book, or to the one at an address with a dot, a colon or a
    /// port. The peer must show a certificate of the circle, and a known one its key.
    ///
    /// # Errors
    /// Fails if no peer is called so, none of its addresses answers, or another machine answers there.
    pub async fn connect(&self, text: &str) -> Result<ConnectedPeer, Error> {
        match self.whom(text).await? {
            Whom::Known(known) => self.connect_called(text, &known).await,
            Whom::At(address) => self.connect_host(text, &address).await,
        }
    }

    /// Connects to a peer that is called `text`. If another machine answers in its place, its name may be that one's by now: its
    /// former key may have been revoked meanwhile.
    async fn connect_called(&self, text: &str, known: &KnownPeer) -> Result<ConnectedPeer, Error> {
        self.check_key_not_revoked(text, known)?;
        let error = match self.connect_known(known).await {
            Err(error) if error.kind() == Kind::Trust => error,
            Err(error @ Error::NoAddress { is_self: false, .. }) => {
                // It may be revoked, and only others know.
                self.ask_for_directory(|| false).await;
                self.check_key_not_revoked(text, known)?;
                return Err(error);
            }
            connected => return connected,
        };
        let is_other = |peer: &KnownPeer| peer.peer_id != known.peer_id;
        self.ask_for_directory(|| false).await;
        match self.known_here(text)?.filter(is_other) {
            Some(other) => self.connect_known(&other).await,
            None => Err(error),
        }
    }

    async fn connect_host(
        &self,
        text: &str,
        address: &PeerAddress,
    ) -> Result<ConnectedPeer, Error> {
        let reached = self.connect_at(address, None).await;
        reached.map_err(|error| whom::with_a_port(text, &self.book, error))
    }

    /// Connects to a peer that may not be known yet: what is no name is a host, also without a dot.
    pub(crate) async fn connect_new(&self, text: &str) -> Result<ConnectedPeer, Error> {
        self.adopt(text)?;
        match whom::known(text, &self.book)? {
            Some(known) => {
                self.book.confirm(known.peer_id)?;
                self.connect_known(&known).await
            }
            None if Code::is_meant_by(text) => Err(Mistake::CodeForHost.into()),
            None => self.connect_at(&text.trim().parse()?, None).await,
        }
    }

    /// Connects to a known peer, wherever it answers first.
    pub(crate) async fn connect_known(&self, known: &KnownPeer) -> Result<ConnectedPeer, Error> {
        let addresses = self.addresses_of(known);
        let failed = match self.connect_at_one_of(&addresses, known.peer_id).await {
            Ok(connected) => return Ok(connected),
            Err(failed) => failed,
        };
        // Also if the connection was refused: another machine may have got that address.
        match self.find_again(known).await {
            Some(connected) => Ok(connected),
            None => Err(self.unreachable(known, failed)),
        }
    }

    /// Connects to the peer `id` at whichever of `addresses` it answers first.
    pub(super) async fn connect_at_one_of(
        &self,
        addresses: &[String],
        id: PeerId,
    ) -> Result<ConnectedPeer, Vec<Error>> {
        // Boxed one by one: of a closure that makes futures the compiler cannot tell that they may go to another thread.
        let mut tries = Vec::new();
        for address in addresses {
            tries.push(self.try_known_at(address, Some(id)).boxed());
        }
        first_answer(tries).await
    }

    async fn try_known_at(
        &self,
        address: &str,
        expected: Option<PeerId>,
    ) -> Result<ConnectedPeer, Error> {
        let address = address.parse::<PeerAddress>()?;
        self.connect_at(&address, expected).await
    }

    /// Why a known peer is not reached. That another machine has got an old address is said rather than that nothing answers at
    /// the others.
    fn unreachable(&self, known: &KnownPeer, mut tries: Vec<Error>) -> Error {
        let of_trust = tries.iter().position(|error| error.kind() == Kind::Trust);
        if let Some(number) = of_trust {
            return tries.swap_remove(number);
        }
        match tries.len() {
            0 => Error::NoAddress {
                peer: known.name.clone(),
                is_self: known.peer_id == self.peer_id(),
            },
            1 => tries.swap_remove(0),
            _ => Error::Unreachable {
                peer: known.name.clone(),
                tries,
            },
        }
    }

    /// Connects to the peer at `address`, checks that it is the `expected` one, if one is, and remembers it.
    pub(crate) async fn connect_at(
        &self,
        address: &PeerAddress,
        expected: Option<PeerId>,
    ) -> Result<ConnectedPeer, Error> {
        let seen = Seen::default();
        // Whoever is not there at all is said to be so soon; what has begun is tried for longer.
        let retries = self.client_options.retries;
        let first = ClientOptions {
            retries: retries.min(1),
            ..self.client_options
        };
        let client = self.client(address, expected, &seen, first)?;
        let answer = client.peer().await;
        self.heed(address, &seen, answer.as_ref().err());
        let body = answer?;
        let signed = SignedBundle::parse(body.bundle)?;
        let certified = signed.verify(self.circle(), Timestamp::now())?;
        let bundle = signed.payload();
        // The circle gives names: a member must not take another's in our address book.
        if certified != bundle.name {
            return Err(Error::NameDiffers {
                address: address.clone(),
                claimed: bundle.name.clone(),
                certified,
            });
        }
        if seen
            .caller()
            .is_none_or(|caller| caller.key_id != bundle.peer_id)
        {
            return Err(Error::OtherBundle {
                address: address.clone(),
                peer: bundle.peer_id,
            });
        }
        // From here on only this peer will do: the client takes no other than the first that it saw.
        let client = client.with_retries(retries);
        self.make_way(&signed)?;
        let is_new = self.book.by_certificate_name(&bundle.name)?.is_none();
        let (peer, unwritten) = self.book.learn(&signed, &address.to_string())?;
        let at = address.to_string();
        match unwritten {
            Some(error) => self.tell(Event::NotRemembered {
                address: at,
                reason: error.to_string(),
            }),
            None if is_new => self.tell(Event::Remembered {
                name: peer.name.clone(),
                peer_id: peer.peer_id,
                address: at,
            }),
            None => {}
        }
        if let Some(name) = record_found(&self.dir, &bundle.certificate) {
            self.tell(Event::Recorded { name });
        }
        self.exchange(&client, &peer, body.directory).await;
        Ok(ConnectedPeer { client, peer })
    }

    /// Notes if the peer at `address` refuses this one as revoked, for nobody else may say it.
    fn heed(&self, address: &PeerAddress, seen: &Seen, error: Option<&StoreError>) {
        let by = seen.caller().map(|caller| caller.name);
        let by = by.unwrap_or_else(|| address.to_string());
        // That it failed so is told by whoever wanted to connect.
        let _ = heed(&self.dir, self.peer_id(), &by, error);
    }

    /// How a client of the program's own calls `peer`, for example for routes that it serves beside those of colis: with this
    /// peer's certificate, and taking no other for it. New connections are judged by the revocations that this session has looked at
    /// last, which each of its operations and [`circle`](Self::circle) do.
    ///
    /// # Errors
    /// Fails if the keys of this home are not what they should be.
    pub fn tls_config(&self, peer: PeerId) -> Result<rustls::ClientConfig, Error> {
        let expect = Expect {
            peer: Some(peer),
            ..Expect::default()
        };
        let config = tls::client_config(&self.identity(), self.circle(), expect, &Seen::default());
        Ok(config?)
    }

    /// A client of the peer at `address`, which must be the expected one.
    pub(crate) fn client(
        &self,
        address: &PeerAddress,
        expected: Option<PeerId>,
        seen: &Seen,
        options: ClientOptions,
    ) -> Result<PeerClient, Error> {
        let (mut known, circle) = (self.book.names()?, self.circle().now());
        // Whose key is revoked has no name any more.
        known.retain(|_, id| !circle.is_key_revoked(id));
        let expect = Expect {
            peer: expected,
            known,
        };
        let config = tls::client_config(&self.identity(), self.circle(), expect, seen)?;
        let client = PeerClient::new(address.clone(), config, options)?;
        let client = client.with_peer(expected, seen);
        Ok(client.with_line(self.line.clone()))
    }
}
