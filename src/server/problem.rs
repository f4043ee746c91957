//! Failures, as RFC 9457 problem documents. The peer gets a code and a sentence; the log gets the cause, once.

use std::any::Any;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::told::{self, Refused};
use crate::{
    manifest::ManifestError,
    name::Escaped,
    store::{Exhausted, Missing, Promised, Refusal, StoreError},
    wire::{Code, Problem, media},
};

/// What a handler gives.
pub(super) type Answer<T = Response> = Result<T, Failure>;

/// A problem on its way out. Boxed: it is large and rare.
#[derive(Debug)]
pub(super) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    status: StatusCode,
    problem: Problem,
    headers: HeaderMap,
    about: Option<Refused>,
    /// What of it is for the log: what failed here.
    cause: Option<told::Cause>,
}

/// The most characters of text that is not ours in a detail.
const MAX_QUOTE: usize = 200;
/// Seconds after which a busy server may be asked again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Failure {
    /// `detail` says in one line what is wrong and what to do. It goes to the peer.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let (spelling, status) = code.parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: kind(spelling),
            code: spelling.to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            missing: None,
            missing_count: None,
            needed: None,
            free: None,
            promised: None,
            promised_seconds: None,
            quota: None,
            actual: None,
        };
        Self(Box::new(Parts {
            code,
            status,
            problem,
            headers: HeaderMap::new(),
            about: None,
            cause: None,
        }))
    }

    /// As a store refuses it. What counts requests knows the codes of colis alone.
    fn refused(code: &Refusal, detail: impl Into<String>) -> Self {
        match code {
            Refusal::Known(code @ (Code::Busy | Code::TooManyRequests)) => {
                Self::new(*code, detail).header(header::RETRY_AFTER, RETRY_AFTER)
            }
            Refusal::Known(code) => Self::new(*code, detail),
            Refusal::Own(_) => Self::new(Code::NotAllowed, detail).with(|p| {
                p.kind = kind(code.as_str());
                p.code = code.as_str().to_owned();
            }),
        }
    }

    /// Try again in a second.
    pub(super) fn busy(code: Code, detail: &str) -> Self {
        Self::new(code, detail).header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// Our fault: `cause` stays here.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        let failure = Self::new(Code::Internal, "something failed here; its log says what");
        failure.because(cause.to_string())
    }

    /// It failed here, for this reason, which is logged with who asked.
    fn because(mut self, cause: String) -> Self {
        self.0.cause = Some(told::Cause(cause));
        self
    }

    /// With one more header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// It is about this transfer. For the owner, not for the peer.
    pub(super) fn about(mut self, refused: Refused) -> Self {
        self.0.about = Some(refused);
        self
    }

    fn with(mut self, fill: impl FnOnce(&mut Problem)) -> Self {
        fill(&mut self.0.problem);
        self
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Parts {
            code,
            status,
            problem,
            headers,
            about,
            cause,
        } = *self.0;
        let media = [(header::CONTENT_TYPE, media::PROBLEM)];
        let refusal = told::Refusal::of(code, &problem, about);
        let mut response = (status, headers, media, Json(problem)).into_response();
        // The code is for the meter.
        response.extensions_mut().insert(code);
        response.extensions_mut().insert(refusal);
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let Some(code) = error.code() else {
            return Self::internal(&error);
        };
        let detail = error.to_string();
        match error {
            // The same sentence whatever the id is: what is hidden answers as what was never there.
            StoreError::NotFound(Missing::Manifest(_)) => {
                Self::refused(&code, "this manifest is not here")
            }
            StoreError::HashMismatch { actual, .. } => {
                Self::refused(&code, detail).with(|p| p.actual = Some(actual))
            }
            StoreError::MissingChunks { count, first } => {
                let detail = format!("{detail}: put them, then publish again");
                Self::refused(&code, detail).with(|p| {
                    p.missing_count = Some(count);
                    p.missing = Some(first);
                })
            }
            StoreError::EndsTooSoon { .. } => {
                let detail = format!("{detail}; sign it with a later `expires`");
                Self::refused(&code, detail)
            }
            StoreError::NoSpace {
                needed,
                free,
                quota,
                promised,
                ..
            } => no_space(needed, free, quota, promised),
            StoreError::TooMuchUnnamed {
                needed,
                free,
                limit,
            } => too_much_unnamed(needed, free, limit),
            StoreError::NoRoom(Exhausted::AtPeer { detail, .. }) => {
                Self::refused(&code, quote(&detail))
            }
            StoreError::NoRoom(_) => {
                let detail = format!("{detail}, or ask its owner");
                Self::refused(&code, detail)
            }
            StoreError::ReadOnly(_) => {
                let said = "the store here cannot write any more; reading goes on";
                Self::refused(&code, said).because(detail)
            }
            StoreError::Manifest(error) => error.into(),
            StoreError::Refused { detail, .. } => Self::refused(&code, quote(&detail)),
            StoreError::Busy { .. } | StoreError::TooSlow { .. } => {
                Self::refused(&code, "the store is busy; try again")
            }
            _ => Self::refused(&code, detail),
        }
    }
}

fn kind(code: &str) -> String {
    format!("urn:colis:problem:{code}")
}

fn no_space(needed: u64, free: u64, quota: Option<u64>, promised: Promised) -> Failure {
    let (code, what) = match quota {
        Some(_) => (Code::QuotaExceeded, "left of the quota"),
        None => (Code::NoSpace, "free"),
    };
    let Promised { bytes, seconds } = promised;
    let beside = match bytes {
        0 => String::new(),
        _ => format!(", {bytes} more promised to transfers under way for {seconds} s at most"),
    };
    let detail = format!(
        "{needed} bytes needed, {free} bytes {what}{beside}; delete something there or ask its owner"
    );
    let promised = |value| (bytes > 0).then_some(value);
    Failure::new(code, detail).with(|p| {
        p.needed = Some(needed);
        p.free = Some(free);
        p.promised = promised(bytes);
        p.promised_seconds = promised(seconds);
        p.quota = quota;
    })
}

fn too_much_unnamed(needed: u64, free: u64, limit: u64) -> Failure {
    let detail = format!(
        "{needed} bytes needed, {free} bytes left of what one peer may have here that no manifest names; publish what is \
         complete, or announce a transfer before its content"
    );
    Failure::new(Code::QuotaExceeded, detail).with(|p| {
        p.needed = Some(needed);
        p.free = Some(free);
        p.quota = Some(limit);
    })
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        let code = Code::of_manifest(&error);
        // Here is somewhere else for the one who reads it.
        let detail = match error {
            ManifestError::Expired { expires, now } => {
                format!("expired on {expires}; the clock of the refusing peer says {now}")
            }
            ManifestError::FromTheFuture { created, now } => {
                format!("made on {created}, but the clock of the refusing peer says {now}")
            }
            error => quote(&error.to_string()),
        };
        Self::new(code, detail)
    }
}

/// Text that may contain foreign text: on one line, harmless to a terminal, and no longer than a person reads. Quotes in it
/// stay as they are: JSON escapes them, and its reader takes that back.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(MAX_QUOTE).collect();
    if text.chars().nth(MAX_QUOTE).is_some() {
        quoted.push('…');
    }
    Escaped::new(&quoted).to_string()
}

/// The answer where no route is.
pub(super) async fn no_such_route() -> Failure {
    Failure::new(
        Code::NoSuchRoute,
        "nothing is at this address; routes begin with /v1",
    )
}

/// The same where the program has routes of its own.
pub(super) async fn no_such_own_route() -> Failure {
    Failure::new(Code::NoSuchRoute, "nothing is at this address")
}

/// The answer to a method that a route does not take. axum adds `Allow`.
pub(super) async fn method_not_allowed(method: Method) -> Failure {
    let method: String = method.as_str().chars().take(16).collect();
    Failure::new(
        Code::MethodNotAllowed,
        format!("this address does not take {method}"),
    )
}

/// The answer when a handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "tower-http calls it so")]
pub(super) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let cause = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    Failure::internal(&cause).into_response()
}
