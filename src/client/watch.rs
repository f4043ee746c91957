//! Whether a peer answers at all. A transfer that has begun outlasts a cable that was pulled or a peer that is started again: what
//! was asked waits while the peer is silent, and is asked anew as soon as it answers.
//!
//! Whoever only has much to do is not silent: while nothing comes for a few seconds the peer is asked how it is, over a connection
//! of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::{sync::watch, task::AbortHandle, time::timeout};

use super::{PeerClient, ask::pause_after, question::Question};
use crate::store::{NetworkCause, StoreError};

/// A silence that is longer is looked into.
const QUIET: Duration = Duration::from_secs(4);
/// How long a peer may take to say how it is.
const ANSWER: Duration = Duration::from_secs(5);
/// How often a silence is told, and a peer that does not answer is asked again.
const TICK: Duration = Duration::from_secs(1);
/// The pieces of a body on its way: that the next one is wanted shows that the line moves.
const PIECE: usize = 256 << 10;

/// What is told of a peer that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It does not answer, since so long.
    Lasts(Duration),
    /// It answers again.
    Over(Duration),
}

/// Watches over one peer, until its last clone is dropped.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Watching>);

#[derive(Debug)]
struct Watching {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    /// Requests that are not answered.
    asked: AtomicUsize,
    heard: Mutex<Instant>,
    /// How long a silence may last.
    patience: Duration,
    status: watch::Sender<Status>,
}

/// How the peer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Status {
    /// It answers, for the so manieth time after a silence.
    #[default]
    There,
    /// It does not answer now.
    Silent,
    /// It was waited for long enough.
    Gone,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    /// Watches over the peer of `client` for as long as something is asked of it, and waits for `patience` if it is silent. Must be
    /// called in a runtime.
    pub fn over(
        client: &PeerClient,
        patience: Duration,
        tell: impl Fn(Silence) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            asked: AtomicUsize::new(0),
            heard: Mutex::new(Instant::now()),
            patience,
            status: watch::Sender::default(),
        });
        let client = client.clone().with_retries(0);
        let task = tokio::spawn(shared.clone().watch(client, tell));
        let task = task.abort_handle();
        Self(Arc::new(Watching { shared, task }))
    }

    /// Asks `question` by `attempt` until it is answered. What may help is asked again as often as its client says and as long as the
    /// question may take while the peer answers others, and for as long as it is waited for while it does not.
    pub(super) async fn run<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        client: &PeerClient,
        question: &Question,
        attempt: impl Fn() -> F,
        pause: impl Fn(usize) -> Duration,
    ) -> Result<T, StoreError> {
        let shared = &self.0.shared;
        let _asked = Asked::of(shared);
        let (mut tries, mut status) = (0, shared.status.subscribe());
        loop {
            let now = *status.borrow_and_update();
            let result = match now {
                Status::Gone => return Err(gone(client, shared.patience)),
                // Whether it answers is found out by others.
                Status::Silent => {
                    let _ = status.changed().await;
                    question.begin_anew();
                    continue;
                }
                Status::There => tokio::select! {
                    result = attempt() => result,
                    // What hangs in a connection that was cut is asked anew.
                    true = back(&mut status) => {
                        question.begin_anew();
                        continue;
                    }
                },
            };
            let error = match result {
                Err(error) if error.is_retryable() => error,
                result => {
                    shared.hear();
                    return result;
                }
            };
            if let StoreError::Network { .. } = &error
                && question.lasts(Duration::ZERO)
                && client.is_silent().await
            {
                shared.fall_silent();
                continue;
            }
            shared.hear();
            let pause = pause_after(&error, pause(tries));
            if tries == client.options.retries || !question.lasts(pause) {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// The bytes as a body that shows how it moves.
    pub(super) fn body(&self, bytes: Bytes) -> reqwest::Body {
        let shared = self.0.shared.clone();
        reqwest::Body::wrap(Moving { bytes, shared })
    }

    /// Something came.
    pub(super) fn hear(&self) {
        self.0.shared.hear();
    }
}

/// Ready with whether the peer answers again after a silence; with no if it is gone. While it only answers this never ends.
async fn back(status: &mut watch::Receiver<Status>) -> bool {
    let _ = status.wait_for(|now| *now != Status::There).await;
    let now = status.wait_for(|now| *now != Status::Silent).await;
    now.is_ok()
}

fn gone(client: &PeerClient, waited: Duration) -> StoreError {
    let seconds = waited.as_secs();
    StoreError::Network {
        remote: client.remote(),
        cause: NetworkCause::Silent { seconds },
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self) {
        *self.lock() = Instant::now();
    }

    fn fall_silent(&self) {
        self.status.send_if_modified(|status| {
            let is_new = *status == Status::There;
            if is_new {
                *status = Status::Silent;
            }
            is_new
        });
    }

    /// Looks each second whether something came. Never ends by itself.
    async fn watch(self: Arc<Self>, client: PeerClient, tell: impl Fn(Silence) + Send + Sync) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.asked.load(Ordering::Relaxed) == 0 {
                self.hear();
                continue;
            }
            let status = *self.status.borrow();
            if status == Status::There {
                if self.lock().elapsed() < QUIET {
                    continue;
                }
                // It may have much to do.
                if !client.is_silent().await {
                    self.hear();
                    continue;
                }
                self.fall_silent();
            }
            self.wait(&client, &tell).await;
        }
    }

    /// Waits until a peer that is silent answers, and tells how long that takes; or until it was waited for long enough.
    async fn wait(&self, client: &PeerClient, tell: &impl Fn(Silence)) {
        let (since, patience) = (*self.lock(), self.patience);
        let answers = async {
            while client.is_silent().await {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::pin!(answers);
        loop {
            tell(Silence::Lasts(since.elapsed()));
            let left = patience.saturating_sub(since.elapsed());
            tokio::select! {
                () = &mut answers => {
                    self.hear();
                    self.status.send_replace(Status::There);
                    return tell(Silence::Over(since.elapsed()));
                }
                () = tokio::time::sleep(TICK.min(left)) => {}
            }
            if since.elapsed() >= patience {
                self.status.send_replace(Status::Gone);
                return std::future::pending().await;
            }
        }
    }
}

/// A request that is not answered yet.
struct Asked<'a>(&'a Shared);

impl<'a> Asked<'a> {
    fn of(shared: &'a Shared) -> Self {
        if shared.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            shared.hear();
        }
        Self(shared)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body on its way.
struct Moving {
    bytes: Bytes,
    shared: Arc<Shared>,
}

impl Body for Moving {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        self.shared.hear();
        let length = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl PeerClient {
    /// Whether the peer does not say how it is, within a few seconds. Whatever it says, it is there.
    async fn is_silent(&self) -> bool {
        let asked = timeout(ANSWER, self.health_and_time()).await;
        matches!(asked, Err(_) | Ok(Err(StoreError::Network { .. })))
    }
}
