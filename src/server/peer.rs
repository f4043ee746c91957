//! `/v1/peer` and `/v1/health`: who we are, and how.

use std::sync::atomic::Ordering;

use axum::{Json, extract::State};

use super::ServerState;
use crate::wire::{self, Health, HealthStatus, Limits, PeerBody};

/// Who we are and what we take.
pub(super) async fn describe(State(state): State<ServerState>) -> Json<PeerBody> {
    let services = state.services();
    Json(PeerBody {
        bundle: (services.bundle)(),
        peer_id: services.peer_id,
        limits: Limits {
            chunk_bytes: wire::MAX_CHUNK_BODY,
            manifest_bytes: wire::MAX_MANIFEST_BODY,
            missing_ids: wire::MAX_MISSING_IDS,
            requests: services.limits.requests_per_peer,
        },
    })
}

/// Whether we are well.
pub(super) async fn health(State(state): State<ServerState>) -> Json<Health> {
    let status = if state.0.read_only.load(Ordering::Relaxed) {
        HealthStatus::ReadOnly
    } else {
        HealthStatus::Ok
    };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    // A disk that cannot be asked has nothing to tell; that it fails shows when something is written.
    let free = state.store().free_space().await.unwrap_or_default();
    Json(Health {
        status,
        version,
        free,
    })
}
