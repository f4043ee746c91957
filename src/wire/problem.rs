//! Errors on the wire: RFC 9457 problem documents. Their codes are those of stores.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::ChunkId;

/// An RFC 9457 problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:colis:problem:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The stable code, for programs.
    pub code: String,
    /// The status's standard phrase.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// One line about this case and what to do.
    pub detail: String,
    /// For `missing-chunks`: the first 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<ChunkId>>,
    /// For `missing-chunks`: how many in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_count: Option<usize>,
    /// For `no-space` and `quota-exceeded`: bytes needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// For `no-space` and `quota-exceeded`: bytes free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// For both, if transfers that are under way keep space: how many bytes would be free as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised: Option<u64>,
    /// With `promised`: in how many seconds at most they are free if nothing more comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised_seconds: Option<u64>,
    /// For `quota-exceeded`: the quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// For `hash-mismatch`: the id of the bytes that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<ChunkId>,
}
