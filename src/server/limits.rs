//! The bounds of a server.

use std::time::Duration;

use crate::wire;

/// How long and how much a server bears. The defaults are those of [`crate::wire`], which gives the reasons; tests use
/// shorter times.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A TLS handshake ends within this, counted from accept.
    pub handshake_timeout: Duration,
    /// Connections in handshake.
    pub handshakes: usize,
    /// Connections in handshake from one address (from one /64 in IPv6).
    pub handshakes_per_address: usize,
    /// Connections that have passed the handshake.
    pub connections: usize,
    /// Connections of one peer.
    pub connections_per_peer: usize,
    /// A request head arrives within this; also the longest idle time of a connection.
    pub head_timeout: Duration,
    /// A body that brings nothing for so long is given up.
    pub body_idle: Duration,
    /// From then on a body must have brought [`Self::min_body_rate`] on average.
    pub body_grace: Duration,
    /// Bytes a second, of a request's body and of all responses of a peer together.
    pub min_body_rate: u64,
    /// A response of which the peer takes nothing for so long is given up. A peer that takes all its responses together at
    /// less than [`Self::min_body_rate`] is borne so much longer as what it takes earns it.
    pub response_stall: Duration,
    /// Bytes of bodies in memory, in both directions.
    pub body_memory: usize,
    /// Bytes of bodies in memory for one peer. A single body always fits, while no other peer has more than this.
    pub body_memory_per_peer: usize,
    /// A body that exceeds the share of its peer for so long makes way for one of another peer.
    pub large_body_time: Duration,
    /// How long a response waits until there is memory for it.
    pub memory_patience: Duration,
    /// Requests in work; so many again of the program's own routes, here and in the next.
    pub requests: usize,
    /// Requests of one peer in work.
    pub requests_per_peer: usize,
    /// Requests a second of one peer; what comes sooner waits.
    pub requests_per_second: u32,
    /// Requests of one peer that need not wait after it has rested.
    pub request_burst: u32,
    /// Event streams of one peer.
    pub event_streams_per_peer: usize,
    /// A quiet event stream shows after so long that it is alive.
    pub event_keep_alive: Duration,
    /// How often open connections are held against the revocations, and against the rate of their responses.
    pub revocation_check: Duration,
    /// After our last word, how long we listen so that the peer can read it.
    pub linger: Duration,
    /// A transfer of which nothing came for so long, from a peer that is not connected, counts as cut.
    pub cut_after: Duration,
    /// How long requests in work may take after a shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: wire::HANDSHAKE_TIMEOUT,
            handshakes: wire::MAX_HANDSHAKES,
            handshakes_per_address: wire::MAX_HANDSHAKES_PER_ADDRESS,
            connections: wire::MAX_CONNECTIONS,
            connections_per_peer: wire::MAX_CONNECTIONS_PER_PEER,
            head_timeout: wire::HEAD_TIMEOUT,
            body_idle: wire::BODY_IDLE_TIMEOUT,
            body_grace: wire::BODY_GRACE,
            min_body_rate: wire::MIN_BODY_RATE,
            response_stall: wire::RESPONSE_STALL_TIMEOUT,
            body_memory: wire::MAX_BODY_MEMORY,
            body_memory_per_peer: wire::MAX_BODY_MEMORY_PER_PEER,
            large_body_time: wire::LARGE_BODY_TIME,
            memory_patience: wire::MEMORY_PATIENCE,
            requests: wire::MAX_REQUESTS,
            requests_per_peer: wire::MAX_REQUESTS_PER_PEER,
            requests_per_second: wire::REQUESTS_PER_SECOND,
            request_burst: wire::REQUEST_BURST,
            event_streams_per_peer: wire::MAX_EVENT_STREAMS_PER_PEER,
            event_keep_alive: Duration::from_secs(15),
            revocation_check: wire::REVOCATION_DEADLINE / 2,
            linger: Duration::from_secs(2),
            cut_after: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}
