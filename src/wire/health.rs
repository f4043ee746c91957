//! How a peer is: what `GET /v1/health` says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::manifest::Timestamp;

/// Answer of `GET /v1/health`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `read-only`.
    pub status: HealthStatus,
    /// Version of colis.
    pub version: String,
    /// Bytes that may still be stored, if the peer knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Whole days until its certificate ends: negative when that is over. So in the next fields, each if the peer knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_days: Option<i64>,
    /// Until the certificate of its scripts ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts_certificate_days: Option<i64>,
    /// Until the circle's own certificate ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circle_days: Option<i64>,
    /// Until its revocation list should have been signed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_list_days: Option<i64>,
    /// What of these begins later than now, by the clock of the peer: `certificate`, `scripts_certificate`, `circle`,
    /// `revocation_list`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_yet_valid: Vec<String>,
    /// For the owner's own certificates and the role `monitor` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<HealthDetails>,
}

/// Whether a peer is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// It is.
    Ok,
    /// It reads but cannot write.
    ReadOnly,
}

/// What an alert needs. Counts begin when the peer is started.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HealthDetails {
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Open connections.
    pub connections: usize,
    /// Offers, chunks and manifests that were refused.
    pub refused: u64,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refused: Option<Incident>,
    /// Requests that failed here.
    pub errors: u64,
    /// The last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Incident>,
    /// What the server itself does not know.
    #[serde(flatten)]
    pub condition: Condition,
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// What: a problem code, or a fixed sentence. Never a text of a peer.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// The revocation list, the store and the inbox of a peer; without what is not there.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Condition {
    /// When the newest revocation list was signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_since: Option<Timestamp>,
    /// Bytes that are free on the disk of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// The most bytes to store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Bytes, chunks and manifests in the store. They are counted anew only so often that counting takes little time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<Stored>,
    /// Transfers for us that are not opened, counted with the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Transfers in the store that are not whole, because a chunk was damaged on disk, counted with the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged: Option<u64>,
    /// What the inbox did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox: Option<InboxCounts>,
    /// What is done with what arrives: `auto`, `ask` or `off`. Single senders may have rules of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox_mode: Option<String>,
}

/// What a store has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stored {
    /// Bytes of chunks and manifests.
    pub bytes: u64,
    /// How many chunks.
    pub chunks: u64,
    /// How many manifests.
    pub manifests: u64,
}

/// What an inbox did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxCounts {
    /// Transfers that it opened.
    pub opened: u64,
    /// Transfers that it left for the person.
    pub left_waiting: u64,
    /// Transfers that cannot be opened, now or ever, and those that the owner refused while it ran.
    pub refused: u64,
    /// Tries that failed and are repeated.
    pub failed: u64,
    /// Why the last one failed, if none was opened since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<Incident>,
}
