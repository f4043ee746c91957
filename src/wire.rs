//! The HTTP contract, in one place for both ends: routes, headers, limits, JSON bodies, problem codes.
//!
//! HTTP/1.1 over mutual TLS, prefix `/v1`. Chunks and manifests travel as raw bytes, everything else as JSON; errors
//! are RFC 9457 problem documents with a stable `code`. `docs/protocol.md` describes each route; the constants here are
//! what both ends really use.

mod custody;
mod health;
mod owner;
mod problem;
mod schema;

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use custody::{
    CustodyAnswer, CustodyNonce, CustodyQuestion, MAX_CUSTODY_BODY, MAX_CUSTODY_BYTES,
    MAX_CUSTODY_IDS, custody_proof,
};
pub use health::{Condition, Health, HealthDetails, HealthStatus, InboxCounts, Incident, Stored};
pub use owner::{
    Arriving, ArrivingList, DecidedQuestion, Decision, DeleteQuestion, GcBody, GcQuestion,
    ReloadBody,
};
pub use problem::Problem;
pub(crate) use schema::{Envelope, Pem, Sealed};

pub use crate::{address::DEFAULT_PORT, store::Code};

use crate::{
    crypto::chunk::OVERHEAD,
    id::{ChunkId, ManifestId, PeerId},
    manifest::{MAX_CHUNK_SIZE, MAX_ENVELOPE},
    store::{ChunkInfo, ManifestInfo, OfferAnswer, StateAt},
};

/// Route templates, in axum's spelling. `{id}` is hex.
pub mod route {
    /// Announce a transfer.
    pub const OFFER: &str = "/v1/offers/{transfer_id}";
    /// One sealed chunk.
    pub const CHUNK: &str = "/v1/chunks/{id}";
    /// Ids and sizes of all chunks, by pages.
    pub const CHUNKS: &str = "/v1/chunks";
    /// Which of these chunks are not there?
    pub const MISSING: &str = "/v1/chunks/missing";
    /// Are all bytes of these chunks there?
    pub const CUSTODY: &str = "/v1/chunks/custody";
    /// One manifest.
    pub const MANIFEST: &str = "/v1/manifests/{id}";
    /// How far a transfer has come.
    pub const STATE: &str = "/v1/manifests/{id}/state";
    /// The catalogue, by pages.
    pub const MANIFESTS: &str = "/v1/manifests";
    /// The newest revocation list.
    pub const CRL: &str = "/v1/crl";
    /// The circle's own certificate.
    pub const CIRCLE: &str = "/v1/circle";
    /// The members of the circle.
    pub const DIRECTORY: &str = "/v1/directory";
    /// Renewal of a certificate by the circle's machine.
    pub const RENEW: &str = "/v1/certs/renew";
    /// A member leaves the circle: its machine revokes it.
    pub const LEAVE: &str = "/v1/certs/leave";
    /// Who this peer is.
    pub const PEER: &str = "/v1/peer";
    /// Whether it is well.
    pub const HEALTH: &str = "/v1/health";
    /// Counts and measures, for what watches machines.
    pub const METRICS: &str = "/v1/metrics";
    /// What is arriving, for the owner.
    pub const ARRIVING: &str = "/v1/arriving";
    /// One transfer of it, to be refused.
    pub const ARRIVING_TRANSFER: &str = "/v1/arriving/{transfer_id}";
    /// Collection of what is not needed any more.
    pub const GC: &str = "/v1/owner/gc";
    /// What the owner has decided about a transfer for this peer.
    pub const DECIDED: &str = "/v1/owner/decided";
    /// Deletion of a transfer by the owner.
    pub const OWNER_DELETE: &str = "/v1/owner/delete";
    /// The settings, to be read again.
    pub const RELOAD: &str = "/v1/owner/reload";
    /// The end of this peer.
    pub const STOP: &str = "/v1/owner/stop";
    /// Arrivals, as server-sent events.
    pub const EVENTS: &str = "/v1/events";
    /// The contract, as an OpenAPI document.
    pub const OPENAPI: &str = "/v1/openapi.json";

    /// Those that are answered whatever the caller's role is, none included: who this peer is, and what certificates need.
    pub const FOR_ALL_ROLES: &[&str] = &[PEER, HEALTH, OPENAPI, CRL, CIRCLE, RENEW, LEAVE];

    /// All of them, for the tests.
    pub const ALL: &[&str] = &[
        OFFER,
        CHUNK,
        CHUNKS,
        MISSING,
        CUSTODY,
        MANIFEST,
        STATE,
        MANIFESTS,
        CRL,
        CIRCLE,
        DIRECTORY,
        RENEW,
        LEAVE,
        PEER,
        HEALTH,
        METRICS,
        EVENTS,
        OPENAPI,
        ARRIVING,
        ARRIVING_TRANSFER,
        GC,
        DECIDED,
        OWNER_DELETE,
        RELOAD,
        STOP,
    ];
}

/// Tells which announced transfer a chunk belongs to: `TRANSFER_ID` or `TRANSFER_ID;index=N`.
pub const OFFER_HEADER: &str = "colis-offer";

/// Media types of the contract.
pub mod media {
    /// Sealed chunks.
    pub const CHUNK: &str = "application/octet-stream";
    /// Offers, manifests and peer bundles: a DSSE envelope.
    pub const ENVELOPE: &str = "application/vnd.dsse+json";
    /// Everything else.
    pub const JSON: &str = "application/json";
    /// Errors.
    pub const PROBLEM: &str = "application/problem+json";
    /// Certificates, signing requests, revocation lists.
    pub const PEM: &str = "application/x-pem-file";
    /// The same as JSON, aligned for a terminal.
    pub const TEXT: &str = "text/plain";
    /// The same, as it is sent.
    pub const PLAIN: &str = "text/plain; charset=utf-8";
    /// Metrics, in the text format of Prometheus.
    pub const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
    /// A stream of events.
    pub const EVENTS: &str = "text/event-stream";
}

/// A TLS handshake ends within this, counted from accept.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections in handshake, in all and from one address: strangers must not keep members out.
pub const MAX_HANDSHAKES: usize = 256;
/// See [`MAX_HANDSHAKES`].
pub const MAX_HANDSHAKES_PER_ADDRESS: usize = 16;
/// Connections in all.
pub const MAX_CONNECTIONS: usize = 10_240;
/// Connections of one peer.
pub const MAX_CONNECTIONS_PER_PEER: usize = 64;
/// A request head arrives within this; it also bounds the idle time of a kept connection.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request head.
pub const MAX_HEAD: usize = 16 << 10;
/// Fields of a request head.
pub const MAX_HEADERS: usize = 64;
/// Bytes of a path.
pub const MAX_PATH: usize = 256;
/// Bytes of a query.
pub const MAX_QUERY: usize = 2 << 10;
/// Bytes of a sealed chunk.
pub const MAX_CHUNK_BODY: usize = MAX_CHUNK_SIZE as usize + OVERHEAD;
/// Bytes of an offer or a manifest.
pub const MAX_MANIFEST_BODY: usize = MAX_ENVELOPE;
/// Ids of one `missing` question.
pub const MAX_MISSING_IDS: usize = 10_000;
/// Bytes of such a question.
pub const MAX_MISSING_BODY: usize = MAX_MISSING_IDS * ID_IN_JSON + 256;
/// Bytes of an id in a JSON list: 64 digits, two quotes, a comma, and what writers put between entries, from nothing or a
/// blank up to a line of its own with an indentation.
pub const ID_IN_JSON: usize = 80;
/// Bytes of a signing request.
pub const MAX_RENEW_BODY: usize = 16 << 10;
/// A body that brings nothing for so long is given up.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// After this, a body must have brought [`MIN_BODY_RATE`] on average.
pub const BODY_GRACE: Duration = Duration::from_secs(5);
/// Bytes a second: slower is an attack or a dead link. It counts for each body of a request, and for all responses of a peer
/// together, because they may share one slow line.
pub const MIN_BODY_RATE: u64 = 16 << 10;
/// A response of which the peer takes nothing for so long is given up; and so are all responses that wait for a peer when
/// what it took is, by [`MIN_BODY_RATE`], so much behind.
pub const RESPONSE_STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A body that exceeds the share of its peer, of which there is one at a time, has so long before it makes way for another.
pub const LARGE_BODY_TIME: Duration = Duration::from_secs(60);
/// A response waits so long for memory before the answer is 503: less than a client waits for an answer to begin. The
/// chunks that a client asks for side by side may be more than fit at once.
pub const MEMORY_PATIENCE: Duration = Duration::from_secs(10);
/// Bodies in memory, in all and of one peer; one body always fits. A quarter is what one peer's requests in work are at the
/// usual size of a chunk.
pub const MAX_BODY_MEMORY: usize = 128 << 20;
/// See [`MAX_BODY_MEMORY`].
pub const MAX_BODY_MEMORY_PER_PEER: usize = MAX_BODY_MEMORY / 4;
/// Requests in work, in all and of one peer.
pub const MAX_REQUESTS: usize = 256;
/// See [`MAX_REQUESTS`].
pub const MAX_REQUESTS_PER_PEER: usize = 32;
/// Chunks a second of one peer: a gigabyte of the usual size. What comes sooner waits, so that one who asks
/// as fast as it can leaves the processor to the others.
pub const REQUESTS_PER_SECOND: u32 = 1_000;
/// What any other request than one for a chunk counts as.
pub const OTHER_REQUEST_COST: NonZeroU32 = NonZeroU32::new(4).unwrap();
/// Requests that need not wait after a rest: many small ones are nothing unusual.
pub const REQUEST_BURST: u32 = 2_000;
/// ServerEvent streams of one peer.
pub const MAX_EVENT_STREAMS_PER_PEER: usize = 2;
/// Entries of a page when nothing is said, and at most.
pub const DEFAULT_PAGE: usize = 1_000;
/// See [`DEFAULT_PAGE`].
pub const MAX_PAGE: usize = 10_000;
/// A page ends soon after so many bytes, whatever number of entries was asked for: a transfer with many recipients has a long
/// entry.
pub const MAX_PAGE_BYTES: usize = 1 << 20;
/// A client gives up connecting after this.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A client closes an idle connection before the server does.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Revocation closes open connections within this.
pub const REVOCATION_DEADLINE: Duration = Duration::from_secs(1);

/// Answer to `PUT /v1/offers/{transfer_id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OfferBody {
    /// What to do now.
    pub answer: OfferAnswer,
}

/// Answer to `PUT /v1/chunks/{id}` and `PUT /v1/manifests/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PutBody {
    /// `stored`, `already-there` or `already-received`.
    pub result: PutResult,
}

/// What became of what was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PutResult {
    /// New, and durable.
    Stored,
    /// It was there, durable.
    AlreadyThere,
    /// The transfer was received before.
    AlreadyReceived,
}

/// Question of `POST /v1/chunks/missing`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingQuestion {
    /// At most 10,000.
    #[schema(max_items = 10_000)]
    pub ids: Vec<ChunkId>,
}

/// Answer of `POST /v1/chunks/missing`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MissingAnswer {
    /// Those that are not there, in the order asked.
    pub missing: Vec<ChunkId>,
}

/// Answer of `GET /v1/chunks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChunkList {
    /// One page.
    pub chunks: Vec<ChunkInfo>,
    /// The `after` of the next page, if there is one.
    #[schema(required)]
    pub next: Option<ChunkId>,
}

/// Answer of `GET /v1/manifests`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ManifestList {
    /// One page.
    pub manifests: Vec<ManifestInfo>,
    /// The `after` of the next page, if there is one.
    #[schema(required)]
    pub next: Option<ManifestId>,
}

/// Answer of `GET /v1/manifests/{id}/state`.
pub type StateBody = StateAt;

/// Answer of `GET /v1/peer`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PeerBody {
    /// The peer's bundle: a DSSE envelope of its own type, as JSON text.
    pub bundle: String,
    /// Its id, for people; programs take it from the bundle.
    pub peer_id: PeerId,
    /// Its limits.
    pub limits: Limits,
    /// The newest bundle of the caller that was seen here, in its envelope. A caller whose own has a lower sequence was restored
    /// from an older copy, or is not the only one that serves its home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub your_bundle: Option<String>,
    /// The certificate of the peer that is called as the query `name` asks, DER in base64, if a member may know it and
    /// there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<CertificateText>,
    /// The number of the circle's directory here, if a member asks and there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<u64>,
}

/// A certificate: DER in base64. It proves what the circle has signed, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct CertificateText(#[serde(with = "crate::id::base64")] pub Vec<u8>);

/// What a peer takes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Limits {
    /// Bytes of a sealed chunk.
    pub chunk_bytes: usize,
    /// Bytes of an offer or manifest.
    pub manifest_bytes: usize,
    /// Ids of one `missing` question.
    pub missing_ids: usize,
    /// Requests of one peer in work.
    pub requests: usize,
}

/// One event of `GET /v1/events`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServerEvent {
    /// A transfer was published here.
    Published {
        /// Its manifest.
        id: ManifestId,
        /// Who sent it.
        sender: PeerId,
        /// Bytes of content.
        size: u64,
    },
    /// A transfer changed its state.
    State {
        /// Its manifest.
        id: ManifestId,
        /// The state, and since when.
        #[serde(flatten)]
        state: StateAt,
    },
    /// Something here needs its owner: a certificate that ends, for instance. Repeated once a day.
    Notice {
        /// The stable code, for programs.
        code: String,
        /// What it is and what to do, for people.
        text: String,
    },
}
