//! How something is asked: its tries, and the pauses between them.

use std::{future::Future, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, header};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    MAX_JSON, PeerClient, error,
    question::{Bound, Question},
    reply::Reply,
    time_for,
};
use crate::{
    sabotage,
    store::StoreError,
    wire::{OFFER_HEADER, media},
};

impl PeerClient {
    /// A question, of which one try may take `patience`.
    pub(super) fn question(&self, patience: Duration) -> Question {
        let bound = self.options.question_timeout.max(patience);
        Question::begin(&self.waited, Bound::InAll(bound))
    }

    /// The same of a chunk: however slow the line is, it comes.
    pub(super) fn question_of_chunk(&self) -> Question {
        match self.looks {
            true => self.question(Duration::ZERO),
            false => Question::begin(&self.waited, Bound::ByTries),
        }
    }

    /// One try of a question.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        patience: Duration,
        question: &Question,
    ) -> Result<Reply, StoreError> {
        let response = tokio::select! {
            answered = tokio::time::timeout(patience, request.send()) => answered
                .map_err(|_| error::stalled(self.remote()))?
                .map_err(|e| error::classify(self.remote(), &e))?,
            () = question.over() => return Err(question.unanswered(self.remote())),
        };
        if let Some(watch) = &self.watch {
            watch.hear();
        }
        let (patience, reading) = (self.options.idle_timeout, self.line.read());
        Reply::check(self.remote(), response, patience, (reading, question)).await
    }

    /// Asks what is not to be asked again, or not worth it.
    pub(super) async fn send_once(&self, request: RequestBuilder) -> Result<Reply, StoreError> {
        let question = self.question(Duration::ZERO);
        self.send(request, self.patience(0), &question).await
    }

    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: String,
    ) -> Result<T, StoreError> {
        let path = path.as_str();
        let question = &self.question(Duration::ZERO);
        self.retrying(question, move || async move {
            let request = self.request(Method::GET, path);
            let reply = self.send(request, self.patience(0), question).await?;
            reply.json(MAX_JSON).await
        })
        .await
    }

    pub(super) async fn get_body(
        &self,
        path: &str,
        media_type: &'static str,
        max: usize,
        question: &Question,
    ) -> Result<Bytes, StoreError> {
        self.retrying(question, move || async move {
            let request = self.request(Method::GET, path);
            let reply = self.send(request, self.patience(0), question).await?;
            reply.body(media_type, max).await
        })
        .await
    }

    pub(super) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        patience: Duration,
    ) -> Result<T, StoreError> {
        let question = &self.question(patience);
        self.retrying(question, move || async move {
            let request = self.request(Method::POST, path).json(body);
            let reply = self.send(request, patience, question).await?;
            reply.json(MAX_JSON).await
        })
        .await
    }

    /// Puts a body, to which the peer answers within `patience` after it has come.
    pub(super) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &Bytes,
        offer: Option<&str>,
        (patience, question): (Duration, &Question),
    ) -> Result<T, StoreError> {
        self.retrying(question, move || async move {
            loop {
                let flight = question.aside(self.line.enter()).await;
                let together = u32::try_from(self.line.flying()).unwrap_or(u32::MAX);
                let moving = time_for(body.len()).saturating_mul(together);
                question.ask(moving);
                let mut request = self
                    .request(Method::PUT, path)
                    .header(header::CONTENT_TYPE, media_type);
                if let Some(offer) = offer {
                    request = request.header(OFFER_HEADER, offer);
                }
                let body_sent = match &self.watch {
                    Some(watch) => watch.body(body.clone()),
                    None => body.clone().into(),
                };
                let request = request.body(body_sent);
                match self.send(request, patience + moving, question).await {
                    Err(StoreError::TooSlow { .. }) if flight.was_too_slow() => {}
                    Err(error) => return Err(error),
                    Ok(reply) => {
                        flight.came_through(body.len());
                        return reply.json(MAX_JSON).await;
                    }
                }
            }
        })
        .await
    }

    /// Offers and manifests.
    pub(super) async fn publish<T: DeserializeOwned>(
        &self,
        path: &str,
        envelope: &Bytes,
    ) -> Result<T, StoreError> {
        let patience = self.options.publish_timeout;
        let question = self.question(patience);
        let bounds = (patience, &question);
        self.put(path, media::ENVELOPE, envelope, None, bounds)
            .await
    }

    /// Tries again what may help, as the peer asks or with full jitter (AWS architecture blog, 2015), as long as the question may take.
    pub(super) async fn retrying<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        question: &Question,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let (shortest, longest) = self.options.pause;
        let attempt = || {
            question.ask(Duration::ZERO);
            attempt()
        };
        if let Some(watch) = &self.watch
            && !sabotage::without("retries")
        {
            let doubled = |tries: usize| shortest * 2_u32.pow(tries.min(16) as u32);
            let pause = |tries| full_jitter(doubled(tries).min(longest));
            return watch.run(self, question, attempt, pause).await;
        }
        let pauses = ExponentialBuilder::default()
            .with_min_delay(shortest)
            .with_max_delay(longest)
            .with_max_times(self.options.retries)
            .build()
            .take_while(|_| !sabotage::without("retries"));
        for pause in pauses {
            let error = match attempt().await {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let pause = pause_after(&error, full_jitter(pause));
            if !question.lasts(pause) {
                return Err(error);
            }
            tracing::debug!(peer = %self.remote, %error, "trying again");
            tokio::time::sleep(pause).await;
        }
        attempt().await
    }
}

/// How long to wait after `error`, on top of `pause`: not all who were sent away at once may come back at once.
pub(super) fn pause_after(error: &StoreError, pause: Duration) -> Duration {
    match error {
        StoreError::Busy { seconds, .. } => Duration::from_secs(*seconds) + pause,
        _ => pause,
    }
}

/// Any part of `pause`; all of it if the system has no randomness to give.
fn full_jitter(pause: Duration) -> Duration {
    getrandom::u32().map_or(pause, |random| {
        pause.mul_f64(f64::from(random) / f64::from(u32::MAX))
    })
}
