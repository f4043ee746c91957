//! An answer: its status checked, its body read up to what was announced and no further.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{error, line::Reading, question::Question, time_for};
use crate::{
    manifest::Timestamp,
    name::LibraryError,
    store::{
        Alert, Exhausted, Missing, Promised, ProtocolFault, ReadOnly, Refusal, Rejection, Remote,
        StoreError,
    },
    wire::{Code, Problem, media, route},
};

/// The most bytes of a problem document: one may name 1,000 missing chunks.
const MAX_PROBLEM: usize = 256 << 10;

/// A successful answer whose body is not read yet.
#[derive(Debug)]
pub(super) struct Reply {
    remote: Remote,
    response: Response,
    idle_timeout: Duration,
    reading: Reading,
    question: Question,
}

impl Reply {
    /// The answer, if its status is a success; else what its problem document means.
    pub(super) async fn check(
        remote: Remote,
        response: Response,
        idle_timeout: Duration,
        (reading, question): (Reading, &Question),
    ) -> Result<Self, StoreError> {
        let reply = Self {
            remote,
            response,
            idle_timeout,
            reading,
            question: question.clone(),
        };
        if reply.response.status().is_success() {
            Ok(reply)
        } else {
            Err(reply.failed().await)
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// What the peer's clock says.
    pub(super) fn date(&self) -> Option<Timestamp> {
        let text = self.response.headers().get(header::DATE)?.to_str().ok()?;
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(Timestamp::from_unix_seconds(
            u64::try_from(date.as_second()).ok()?,
        ))
    }

    /// What Content-Length says.
    pub(super) fn declared_length(&self) -> Result<u64, StoreError> {
        let text = self
            .response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| self.protocol(ProtocolFault::NoLength))
    }

    /// The body, which must be of `media_type` and have the length that was declared, at most `max`.
    pub(super) async fn body(
        self,
        media_type: &'static str,
        max: usize,
    ) -> Result<Bytes, StoreError> {
        if !self.has_type(media_type) {
            return Err(self.protocol(ProtocolFault::MediaType(media_type)));
        }
        let length = self.declared_length()?;
        let length = usize::try_from(length).ok().filter(|length| *length <= max);
        let length = length.ok_or_else(|| self.protocol(ProtocolFault::TooLong))?;
        self.read(length).await
    }

    /// The body as it comes, which must be of `media_type`. Others of the same line do not wait for its end.
    pub(super) fn stream(self, media_type: &'static str) -> Result<Response, StoreError> {
        match self.has_type(media_type) {
            true => Ok(self.response),
            false => Err(self.protocol(ProtocolFault::MediaType(media_type))),
        }
    }

    async fn read(mut self, length: usize) -> Result<Bytes, StoreError> {
        let mut body = BytesMut::with_capacity(length);
        // A trickle never stalls, and is given up all the same: what has come gives it time, and not what was announced. While others
        // come in over the same line, time is shared.
        let mut left = self.idle_timeout;
        loop {
            let (since, together) = (Instant::now(), self.reading.count());
            let Some(part) = self.next_part().await? else {
                break;
            };
            let share = since.elapsed().div_f64(together as f64);
            left = (left + time_for(part.len()))
                .checked_sub(share)
                .ok_or_else(|| error::stalled(self.remote.clone()))?;
            self.question.came(part.len(), together);
            if body.len() + part.len() > length {
                return Err(self.protocol(ProtocolFault::LongerThanDeclared));
            }
            body.extend_from_slice(&part);
        }
        if body.len() == length {
            Ok(body.freeze())
        } else {
            Err(self.protocol(ProtocolFault::ShorterThanDeclared))
        }
    }

    async fn next_part(&mut self) -> Result<Option<Bytes>, StoreError> {
        tokio::select! {
            part = timeout(self.idle_timeout, self.response.chunk()) => part
                .map_err(|_| error::stalled(self.remote.clone()))?
                .map_err(|e| error::classify(self.remote.clone(), &e)),
            () = self.question.over() => Err(self.question.unanswered(self.remote.clone())),
        }
    }

    /// The body as JSON.
    pub(super) async fn json<T: DeserializeOwned>(self, max: usize) -> Result<T, StoreError> {
        let remote = self.remote.clone();
        let body = self.body(media::JSON, max).await?;
        serde_json::from_slice(&body).map_err(|e| StoreError::Protocol {
            remote,
            fault: ProtocolFault::Json(LibraryError::new(e)),
        })
    }

    async fn failed(self) -> StoreError {
        let (status, remote) = (self.status(), self.remote.clone());
        let retry_after = self.retry_after();
        let path = self.response.url().path().to_owned();
        // A HEAD has no document: its status is all there is.
        let problem = self.problem().await;
        let code = problem
            .as_ref()
            .and_then(|problem| problem.code.parse().ok());
        match (problem, code) {
            (Some(problem), Some(Refusal::Known(code))) => {
                refused(code, problem, &path, retry_after, remote)
            }
            (Some(problem), Some(code)) => StoreError::Refused {
                code,
                detail: problem.detail,
                by: Some(remote),
            },
            _ if status == StatusCode::NOT_FOUND => StoreError::NotFound(missing(&path)),
            _ => StoreError::Protocol {
                remote,
                fault: ProtocolFault::NoProblem(status.as_u16()),
            },
        }
    }

    async fn problem(self) -> Option<Problem> {
        let body = self.body(media::PROBLEM, MAX_PROBLEM).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    fn retry_after(&self) -> Option<Duration> {
        let text = self
            .response
            .headers()
            .get(header::RETRY_AFTER)?
            .to_str()
            .ok()?;
        // A peer must not put us to sleep.
        Some(Duration::from_secs(text.parse::<u64>().ok()?.min(60)))
    }

    fn has_type(&self, wanted: &str) -> bool {
        let value = self
            .response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        value.is_some_and(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim() == wanted)
        })
    }

    fn protocol(&self, fault: ProtocolFault) -> StoreError {
        let remote = self.remote.clone();
        StoreError::Protocol { remote, fault }
    }
}

/// What a problem with one of our codes means, for what was asked at `path`.
fn refused(
    code: Code,
    problem: Problem,
    path: &str,
    retry_after: Option<Duration>,
    remote: Remote,
) -> StoreError {
    match code {
        Code::MissingChunks => StoreError::MissingChunks {
            count: problem.missing_count.unwrap_or(0),
            first: problem.missing.unwrap_or_default(),
        },
        Code::NoSpace if problem.needed.is_none() => StoreError::NoRoom(Exhausted::AtPeer {
            remote,
            detail: problem.detail,
        }),
        Code::NoSpace | Code::QuotaExceeded => StoreError::NoSpace {
            needed: problem.needed.unwrap_or(0),
            free: problem.free.unwrap_or(0),
            quota: problem.quota,
            promised: Promised {
                bytes: problem.promised.unwrap_or(0),
                seconds: problem.promised_seconds.unwrap_or(0),
            },
            remote: Some(remote),
        },
        Code::StorageFailed => StoreError::ReadOnly(ReadOnly::AtPeer(remote)),
        Code::SlowBody => StoreError::TooSlow { remote },
        Code::Busy | Code::TooManyRequests => StoreError::Busy {
            seconds: retry_after.map_or(1, |time| time.as_secs()),
            remote: Some(remote),
        },
        // As the alert of the peers that do not renew certificates.
        Code::CertificateExpired => StoreError::Untrusted {
            remote,
            cause: Rejection::TheyRefusedUs(Alert::Expired),
        },
        Code::NoSuchChunk | Code::NoSuchManifest => StoreError::NotFound(missing(path)),
        Code::NotTheCircle => StoreError::NotFound(Missing::Circle),
        code => StoreError::Refused {
            code: code.into(),
            detail: problem.detail,
            by: Some(remote),
        },
    }
}

/// What is not there that `path` names.
fn missing(path: &str) -> Missing {
    let named = |route: &str| {
        let rest = path.strip_prefix(route)?.strip_prefix('/')?;
        rest.split('/').next()
    };
    let chunk = named(route::CHUNKS).and_then(|id| id.parse().ok());
    let manifest = named(route::MANIFESTS).and_then(|id| id.parse().ok());
    match (chunk, manifest) {
        (Some(id), _) => Missing::Chunk(id),
        (_, Some(id)) => Missing::Manifest(id),
        _ => Missing::Path(path.to_owned()),
    }
}
