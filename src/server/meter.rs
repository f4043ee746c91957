//! What a server counts of itself, in a few numbers: no text of a peer becomes a label, so what is kept has a bound.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use axum::{
    extract::MatchedPath,
    http::{Method, request::Parts},
    response::Response,
};
use prometheus::{Error, IntCounterVec, Opts, Registry};

use crate::{
    manifest::Timestamp,
    wire::{Code, Incident, route},
};

/// The counters of one server.
pub(super) struct Meter {
    began: Instant,
    requests: Counts<3>,
    problems: Counts<1>,
    refused: Counts<1>,
    strangers: Counts<1>,
    traffic: Traffic,
    last: Mutex<Last>,
}

/// Counts by labels of our own.
struct Counts<const N: usize>(Mutex<BTreeMap<[&'static str; N], u64>>);

/// Bytes of all connections, that came and that went.
#[derive(Clone, Default)]
pub(super) struct Traffic {
    came: Arc<AtomicU64>,
    went: Arc<AtomicU64>,
}

#[derive(Default)]
struct Last {
    refused: (u64, Option<Incident>),
    error: (u64, Option<Incident>),
}

impl<const N: usize> Counts<N> {
    fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn add(&self, labels: [&'static str; N]) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(labels).or_default() += 1;
    }

    fn all(&self) -> BTreeMap<[&'static str; N], u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

impl Traffic {
    pub(super) fn came(&self, bytes: usize) {
        self.came.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn went(&self, bytes: usize) {
        self.went.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// What a request is counted as.
pub(super) struct Asked {
    route: &'static str,
    method: &'static str,
}

impl Asked {
    pub(super) fn of(parts: &Parts) -> Self {
        let matched = parts.extensions.get::<MatchedPath>();
        let matched = matched.map(MatchedPath::as_str).unwrap_or_default();
        let known = route::ALL.iter().find(|route| **route == matched);
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::POST,
            Method::DELETE,
        ];
        let names = ["GET", "HEAD", "PUT", "POST", "DELETE"];
        let method = methods.iter().position(|method| *method == parts.method);
        Self {
            route: known.copied().unwrap_or("other"),
            method: method.map_or("other", |at| names[at]),
        }
    }

    /// Whether it was to leave something here.
    pub(super) fn brings(&self) -> bool {
        self.method == "PUT" && [route::OFFER, route::CHUNK, route::MANIFEST].contains(&self.route)
    }
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            requests: Counts::new(),
            problems: Counts::new(),
            refused: Counts::new(),
            strangers: Counts::new(),
            traffic: Traffic::default(),
            last: Mutex::default(),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, asked: &Asked, response: &Response) {
        let class = match response.status().as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.add([asked.route, asked.method, class]);
        let Some(code) = response.extensions().get::<Code>() else {
            return;
        };
        let spelling = code.parts().0;
        self.problems.add([spelling]);
        let incident = || {
            Some(Incident {
                what: spelling.to_owned(),
                at: Timestamp::now(),
            })
        };
        let mut last = self.last();
        if asked.brings() && refuses(*code) {
            self.refused.add([spelling]);
            last.refused = (last.refused.0 + 1, incident());
        }
        if fails(*code) {
            last.error = (last.error.0 + 1, incident());
        }
    }

    /// Counts a connection that was not let in, because of `reason`.
    pub(super) fn turned_away(&self, reason: &'static str) {
        self.strangers.add([reason]);
    }

    /// To be told of all bytes.
    pub(super) fn traffic(&self) -> Traffic {
        self.traffic.clone()
    }

    pub(super) fn uptime_seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    /// How many offers, chunks and manifests were refused, and the last of them.
    pub(super) fn refused(&self) -> (u64, Option<Incident>) {
        self.last().refused.clone()
    }

    /// How many requests failed here, and the last of them.
    pub(super) fn errors(&self) -> (u64, Option<Incident>) {
        self.last().error.clone()
    }

    /// Enters all counts.
    pub(super) fn fill(&self, registry: &Registry) -> Result<(), Error> {
        let help = "Answered requests.";
        let labels = ["route", "method", "status"];
        enter(
            registry,
            "colis_requests_total",
            help,
            labels,
            self.requests.all(),
        )?;
        let help = "Answers that were a problem, by its code.";
        enter(
            registry,
            "colis_problems_total",
            help,
            ["code"],
            self.problems.all(),
        )?;
        let help = "Offers, chunks and manifests that were refused, by the code of the problem.";
        enter(
            registry,
            "colis_refused_total",
            help,
            ["code"],
            self.refused.all(),
        )?;
        let help = "Connections that were not let in.";
        let strangers = self.strangers.all();
        enter(
            registry,
            "colis_connections_refused_total",
            help,
            ["reason"],
            strangers,
        )?;
        let help = "Requests that failed here.";
        let errors = [([], self.errors().0)].into();
        enter(registry, "colis_errors_total", help, [], errors)?;
        let (came, went) = (&self.traffic.came, &self.traffic.went);
        let traffic = [("in", came), ("out", went)];
        let traffic = traffic.map(|(way, bytes)| ([way], bytes.load(Ordering::Relaxed)));
        let help = "Bytes of TLS on all connections.";
        enter(
            registry,
            "colis_bytes_total",
            help,
            ["direction"],
            traffic.into(),
        )
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enter<const N: usize>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: [&str; N],
    counts: BTreeMap<[&'static str; N], u64>,
) -> Result<(), Error> {
    let family = IntCounterVec::new(Opts::new(name, help), &labels)?;
    for (labels, count) in counts {
        family.get_metric_with_label_values(&labels)?.inc_by(count);
    }
    registry.register(Box::new(family))
}

/// Whether the same request, made again, would be answered so again. What is only to be repeated is not refused.
pub(super) fn refuses(code: Code) -> bool {
    !matches!(
        code,
        Code::Busy
            | Code::TooManyRequests
            | Code::MissingChunks
            | Code::SlowBody
            | Code::ShortBody
            | Code::Internal
    )
}

/// Whether it is our fault.
fn fails(code: Code) -> bool {
    matches!(
        code,
        Code::Internal | Code::StorageFailed | Code::ChunkCorrupt
    )
}
