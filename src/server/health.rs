//! `/v1/health` and `/v1/metrics`: how this peer is, for people and for what watches machines.
//!
//! Every member may ask whether we are well. What more there is to know is for the owner's own certificates and for peers
//! with the role `monitor`.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use prometheus::{IntGauge, Opts, Registry, TextEncoder, proto::MetricFamily};

use super::{
    ServerState,
    accept::Connection,
    openapi::problems,
    problem::{Answer, Failure},
    text::{self, Form},
};
use crate::{
    manifest::Timestamp,
    store::StoreError,
    tls::{Endings, days_left},
    trust::Role,
    wire::{
        Code, Condition, Health, HealthDetails, HealthStatus, InboxCounts, Stored, media, route,
    },
};

problems!(HealthProblems);

/// Says whether this peer is well.
///
/// `details` are for the owner's own certificates and for peers with the role `monitor`.
#[utoipa::path(
    get,
    path = route::HEALTH,
    operation_id = "health",
    tag = "Peer",
    responses((status = 200, description = "How it is.", content((Health), (String = "text/plain"))), HealthProblems)
)]
pub(super) async fn health(
    State(state): State<ServerState>,
    connection: Connection,
    form: Form,
) -> Response {
    let details = match may_watch(&state, &connection) {
        true => Some(details(&state).await),
        false => None,
    };
    let (endings, now) = (state.services().circle.endings(), Timestamp::now());
    let days = |end: Option<Timestamp>| end.map(|end| days_left(end, now));
    let health = Health {
        status: status(&state).await,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        free: free(&state).await,
        certificate_days: days(endings.certificate),
        scripts_certificate_days: days(endings.scripts_certificate),
        circle_days: days(endings.circle),
        revocation_list_days: days(endings.revocation_list),
        not_yet_valid: not_yet_valid(&endings, now).map(str::to_owned).collect(),
        details,
    };
    form.answer(health, text::health)
}

fn not_yet_valid(endings: &Endings, now: Timestamp) -> impl Iterator<Item = &'static str> {
    let begins = endings.begins;
    let all = [
        ("certificate", begins.certificate),
        ("scripts_certificate", begins.scripts_certificate),
        ("circle", begins.circle),
        ("revocation_list", begins.revocation_list),
    ];
    let early = all.into_iter();
    let early = early.filter(move |(_, begin)| begin.is_some_and(|begin| begin > now));
    early.map(|(what, _)| what)
}

problems!(MetricsProblems: &[Code::NotAllowed]);

/// Counts and measures, for Prometheus.
///
/// For the owner's own certificates and for peers with the role `monitor`.
#[utoipa::path(
    get,
    path = route::METRICS,
    operation_id = "metrics",
    tag = "Peer",
    responses(
        (status = 200, description = "The text format of Prometheus, version 0.0.4.", content((String = "text/plain"))),
        MetricsProblems
    )
)]
pub(super) async fn metrics(
    State(state): State<ServerState>,
    connection: Connection,
) -> Answer<Response> {
    if !may_watch(&state, &connection) {
        let detail = "metrics are for the owner of this peer; ask for the role monitor: colis peers role NAME monitor";
        return Err(Failure::new(Code::NotAllowed, detail));
    }
    let families = measure(&state).await.map_err(|e| Failure::internal(&e))?;
    let text = TextEncoder::new()
        .encode_to_string(&families)
        .map_err(|e| Failure::internal(&e))?;
    Ok(([(header::CONTENT_TYPE, media::METRICS)], text).into_response())
}

/// Whether the caller may know more than whether we are well.
fn may_watch(state: &ServerState, connection: &Connection) -> bool {
    let looker = state.looker(connection);
    match looker.role {
        Role::Monitor => true,
        Role::Member => looker.peer == state.services().peer_id,
        Role::Sender | Role::Reader | Role::None => false,
    }
}

/// Asked anew each time: a store whose folder was moved away writes again when it is back.
async fn status(state: &ServerState) -> HealthStatus {
    match state.services().store.check_new_chunk(0, None, None).await {
        Err(StoreError::ReadOnly { .. }) => HealthStatus::ReadOnly,
        _ if !state.services().gate.is_in_place() => HealthStatus::ReadOnly,
        _ => HealthStatus::Ok,
    }
}

/// A disk that cannot be asked has nothing to tell; that it fails shows when something is written.
async fn free(state: &ServerState) -> Option<u64> {
    let free = state.services().store.free_space().await;
    free.unwrap_or_default()
}

async fn details(state: &ServerState) -> HealthDetails {
    let meter = &state.0.meter;
    let ((refused, last_refused), (errors, last_error)) = (meter.refused(), meter.errors());
    HealthDetails {
        uptime_seconds: meter.uptime_seconds(),
        connections: state.open_connections(),
        refused,
        last_refused,
        errors,
        last_error,
        condition: state.services().health.condition().await,
    }
}

/// What is true now, and what was counted since the start.
async fn measure(state: &ServerState) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let gauges = Gauges::default();
    let details = details(state).await;
    let build = Opts::new("colis_build_info", "Version of colis; always 1.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    gauges.set_as(build, 1)?;
    let writes = u64::from(status(state).await == HealthStatus::Ok);
    for (name, help, value) in [
        (
            "colis_up",
            "1 if the store can write, 0 if it is read-only.",
            Some(writes),
        ),
        (
            "colis_uptime_seconds",
            "Seconds since the start.",
            Some(details.uptime_seconds),
        ),
        (
            "colis_connections",
            "Open connections.",
            Some(details.connections as u64),
        ),
        (
            "colis_store_usable_bytes",
            "Bytes that may still be stored.",
            free(state).await,
        ),
    ] {
        gauges.set(name, help, value)?;
    }
    measure_endings(&gauges, &state.services().circle.endings())?;
    measure_condition(&gauges, &details.condition)?;
    state.0.meter.fill(&gauges.0)?;
    Ok(gauges.0.gather())
}

fn measure_condition(gauges: &Gauges, condition: &Condition) -> Result<(), prometheus::Error> {
    measure_store(gauges, condition)?;
    match &condition.inbox {
        Some(inbox) => measure_inbox(gauges, inbox),
        None => Ok(()),
    }
}

fn measure_endings(gauges: &Gauges, endings: &Endings) -> Result<(), prometheus::Error> {
    let ends = [
        (
            "colis_certificate_left_seconds",
            "Until the peer's certificate ends; negative when it is over.",
            endings.certificate,
        ),
        (
            "colis_script_certificate_left_seconds",
            "Until the certificate for scripts ends.",
            endings.scripts_certificate,
        ),
        (
            "colis_circle_left_seconds",
            "Until the circle ends.",
            endings.circle,
        ),
        (
            "colis_revocation_list_left_seconds",
            "Until the revocation list should be signed again.",
            endings.revocation_list,
        ),
    ];
    let mut ends = ends.into_iter();
    ends.try_for_each(|(name, help, until)| gauges.set_left(name, help, until))?;
    let help = "How many of these four begin later than now: a clock is wrong.";
    let early = not_yet_valid(endings, Timestamp::now()).count() as u64;
    gauges.set("colis_not_yet_valid", help, Some(early))
}

fn measure_store(gauges: &Gauges, condition: &Condition) -> Result<(), prometheus::Error> {
    let help = "Bytes that are free on the disk of the store.";
    gauges.set("colis_disk_free_bytes", help, condition.disk_free)?;
    let help = "The most bytes to store; not there without a quota.";
    gauges.set("colis_store_quota_bytes", help, condition.quota)?;
    let help = "Transfers for this peer that are not opened.";
    gauges.set("colis_transfers_waiting", help, condition.waiting)?;
    let help = "Transfers in the store that are not whole, because a chunk was damaged on disk.";
    gauges.set("colis_transfers_damaged", help, condition.damaged)?;
    let Some(Stored {
        bytes,
        chunks,
        manifests,
    }) = condition.store
    else {
        return Ok(());
    };
    gauges.set("colis_store_bytes", "Bytes in the store.", Some(bytes))?;
    gauges.set("colis_store_chunks", "Chunks in the store.", Some(chunks))?;
    let help = "Manifests in the store.";
    gauges.set("colis_store_manifests", help, Some(manifests))
}

fn measure_inbox(gauges: &Gauges, inbox: &InboxCounts) -> Result<(), prometheus::Error> {
    let failed_at = inbox.last_error.as_ref().map(|error| error.at);
    let help = "When the inbox last failed, in seconds since 1970, if it has opened nothing since.";
    let failed_at = failed_at.map(Timestamp::unix_seconds);
    gauges.set("colis_inbox_last_error_seconds", help, failed_at)?;
    let help = "Transfers that the inbox opened.";
    gauges.count("colis_transfers_opened_total", help, inbox.opened)?;
    let help = "Transfers that cannot be opened, or that the owner refused.";
    gauges.count("colis_transfers_refused_total", help, inbox.refused)?;
    let help = "Tries of the inbox that failed.";
    gauges.count("colis_inbox_errors_total", help, inbox.failed)
}

/// The metrics of one answer.
#[derive(Default)]
struct Gauges(Registry);

impl Gauges {
    fn set(&self, name: &str, help: &str, value: Option<u64>) -> Result<(), prometheus::Error> {
        match value.map(i64::try_from) {
            Some(value) => self.set_as(Opts::new(name, help), value.unwrap_or(i64::MAX)),
            None => Ok(()),
        }
    }

    fn set_left(
        &self,
        name: &str,
        help: &str,
        until: Option<Timestamp>,
    ) -> Result<(), prometheus::Error> {
        let Some(until) = until else { return Ok(()) };
        let seconds = |time: Timestamp| i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
        let left = seconds(until).saturating_sub(seconds(Timestamp::now()));
        self.set_as(Opts::new(name, help), left)
    }

    fn set_as(&self, opts: Opts, value: i64) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::with_opts(opts)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    /// A count that is kept elsewhere.
    fn count(&self, name: &str, help: &str, value: u64) -> Result<(), prometheus::Error> {
        let counter = prometheus::IntCounter::with_opts(Opts::new(name, help))?;
        counter.inc_by(value);
        self.0.register(Box::new(counter))
    }
}
