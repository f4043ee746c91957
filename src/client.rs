//! A peer as a store: [`PeerClient`] speaks the contract of [`crate::wire`] and is one more
//! [`Store`](crate::store::Store).
//!
//! An evil server is expected: lengths are checked before anything is read, at most what was announced is read, chunks are
//! verified, redirects, proxies and compression are off. Everything that is sent is idempotent, so what may help is tried
//! again, with full jitter.

mod ask;
mod circle;
mod error;
mod events;
mod handshake;
mod line;
mod owner;
mod question;
mod reply;
mod resolve;
mod store;
mod watch;

use std::{sync::Arc, time::Duration};

use reqwest::{Client, Method, RequestBuilder, Url};

pub use events::PeerEvent;
pub use handshake::{Handshake, HandshakeError};
pub use line::Line;
pub use watch::{Silence, Watch};

pub use crate::address::{AddressError, PeerAddress};

use crate::{
    id::{ChunkId, Digest, PeerId},
    manifest::Timestamp,
    name::LibraryError,
    store::{NetworkCause, ProtocolFault, Remote, StoreError},
    tls::Seen,
    wire::{
        CLIENT_IDLE_TIMEOUT, CONNECT_TIMEOUT, CustodyAnswer, CustodyNonce, CustodyQuestion, Health,
        MAX_PAGE_BYTES, MIN_BODY_RATE, PeerBody, route,
    },
};
use question::Waited;
use resolve::SystemResolver;

/// The most bytes of a JSON answer: a page of a list, which may end a few entries after its limit.
const MAX_JSON: usize = 2 * MAX_PAGE_BYTES;

/// How patient a client is.
#[derive(Debug, Clone, Copy)]
pub struct ClientOptions {
    /// To connect, with the handshake.
    pub connect_timeout: Duration,
    /// For an answer to begin once the question is sent, or its body to go on.
    pub idle_timeout: Duration,
    /// For the answer to an offer or a manifest, which the peer checks as a whole, or to a question of custody, for which
    /// it reads chunks.
    pub publish_timeout: Duration,
    /// For an answer in all, with what is tried again and the pauses that the peer asks for. What its bytes need on a slow line comes
    /// on top; chunks are bound by their tries alone.
    pub question_timeout: Duration,
    /// How often something is tried again.
    pub retries: usize,
    /// The shortest and the longest pause before a retry, before jitter.
    pub pause: (Duration, Duration),
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: Duration::from_secs(30),
            publish_timeout: Duration::from_secs(120),
            question_timeout: Duration::from_secs(60),
            retries: 6,
            pause: (Duration::from_millis(200), Duration::from_secs(30)),
        }
    }
}

/// A remote peer.
#[derive(Debug, Clone)]
pub struct PeerClient {
    /// Where the peer is, and who should answer.
    remote: Remote,
    base: String,
    http: Client,
    options: ClientOptions,
    line: Line,
    seen: Seen,
    watch: Option<Watch>,
    /// How long its answers were waited for; of the peer of our own home nobody counts it.
    waited: Waited,
    is_own: bool,
    /// Whether chunks are only looked into.
    looks: bool,
}

impl PeerClient {
    /// A client of the peer at `address`. Connects when it is first used. `tls` says who we are and whom we trust.
    ///
    /// # Errors
    /// [`StoreError::Network`] if the address is none of the network, or the system cannot make a client.
    pub fn new(
        address: PeerAddress,
        tls: rustls::ClientConfig,
        options: ClientOptions,
    ) -> Result<Self, StoreError> {
        let network = |error: &dyn std::fmt::Display| StoreError::Network {
            remote: Remote::new(address.clone(), None),
            cause: NetworkCause::BadAddress(LibraryError::new(error)),
        };
        let base = address.base_url();
        // A name that no URL can hold would look like a failure of the network, and be tried again.
        Url::parse(&base).map_err(|e| network(&e))?;
        let interface = address.interface().map_err(|e| network(&e))?;
        let mut http = Client::builder();
        if let Some(interface) = interface {
            // The kernel takes it for the zone, which no URL may have.
            http = http.interface(interface);
        }
        let http = http
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(CLIENT_IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(SystemResolver))
            .build()
            .map_err(|e| network(&e))?;
        Ok(Self {
            remote: Remote::new(address, None),
            base,
            http,
            options,
            line: Line::default(),
            seen: Seen::default(),
            watch: None,
            waited: Waited::default(),
            is_own: false,
            looks: false,
        })
    }

    /// The same client, whose errors name the peer: `seen` is the one of its TLS configuration, `expected` who should answer.
    pub fn with_peer(mut self, expected: Option<PeerId>, seen: &Seen) -> Self {
        self.remote = Remote::new(self.address().clone(), expected);
        self.seen = seen.clone();
        self
    }

    /// The same client, which shares its line with the other clients of `line`.
    pub fn with_line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// The same client, which tries again so many times.
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.options.retries = retries;
        self
    }

    /// The same client, which waits while its peer is silent, as `watch` says.
    pub fn with_watch(mut self, watch: Watch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// The same client, of the peer that serves our own home: nobody else waits for it.
    pub(crate) fn of_own_home(mut self) -> Self {
        self.is_own = true;
        self
    }

    /// The same client, to look into what the peer has: a chunk is waited for no longer than any other answer.
    pub(crate) fn for_looking(mut self) -> Self {
        self.looks = true;
        self
    }

    /// Where the peer is.
    pub fn address(&self) -> &PeerAddress {
        self.remote.address()
    }

    /// The peer, for an error.
    pub fn remote(&self) -> Remote {
        let proven = self.seen.caller().map(|caller| caller.key_id);
        match proven {
            Some(peer) if self.remote.peer() != Some(peer) => {
                Remote::new(self.address().clone(), Some(peer))
            }
            _ => self.remote.clone(),
        }
    }

    /// Who the peer says it is, and what it takes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn peer(&self) -> Result<PeerBody, StoreError> {
        self.get_json(route::PEER.to_owned()).await
    }

    /// The certificate, as DER, of the peer that has this name, as far as the peer knows. It must be a name as peers have them,
    /// and what the peer says is to be checked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn named(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let body: PeerBody = self
            .get_json(format!("{}?name={name}", route::PEER))
            .await?;
        Ok(body.named.map(|certificate| certificate.0))
    }

    /// Whether the peer is well.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn health(&self) -> Result<Health, StoreError> {
        self.get_json(route::HEALTH.to_owned()).await
    }

    /// Whether the peer is well, and what its clock says. Asks once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn health_and_time(&self) -> Result<(Health, Option<Timestamp>), StoreError> {
        let reply = self
            .send_once(self.request(Method::GET, route::HEALTH))
            .await?;
        let time = reply.date();
        Ok((reply.json(MAX_JSON).await?, time))
    }

    /// Lets the peer prove that it has every byte of the chunks `ids`, without sending them: a
    /// [`custody_proof`](crate::wire::custody_proof) for each, in their order; `None` for what it does not have. `nonce` is
    /// to be a new one each time. See [`MAX_CUSTODY_IDS`](crate::wire::MAX_CUSTODY_IDS) and
    /// [`MAX_CUSTODY_BYTES`](crate::wire::MAX_CUSTODY_BYTES) for how much can be asked at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn custody(
        &self,
        nonce: &CustodyNonce,
        ids: &[ChunkId],
    ) -> Result<Vec<Option<Digest>>, StoreError> {
        let question = CustodyQuestion {
            nonce: *nonce,
            ids: ids.to_vec(),
        };
        let patience = self.options.publish_timeout;
        let answer: CustodyAnswer = self.post_json(route::CUSTODY, &question, patience).await?;
        if answer.proofs.len() == ids.len() {
            return Ok(answer.proofs);
        }
        Err(self.protocol(ProtocolFault::OtherCount))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// How long to wait for an answer to a question of `length` bytes: reqwest's own timeout would count the time that
    /// they need on the way.
    fn patience(&self, length: usize) -> Duration {
        self.options.idle_timeout + time_for(length)
    }

    fn protocol(&self, fault: ProtocolFault) -> StoreError {
        let remote = self.remote();
        StoreError::Protocol { remote, fault }
    }
}

/// What `length` bytes may take at the slowest rate.
fn time_for(length: usize) -> Duration {
    Duration::from_millis(length as u64 * 1000 / MIN_BODY_RATE)
}
