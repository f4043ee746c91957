//! What arrives, for programs: from the history what came before, then what comes, and nothing in between is missed.

use std::{collections::VecDeque, time::Duration};

use futures::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    task::spawn_blocking,
    time::timeout,
};

use super::{Arrival, History};

/// How often the history is looked at, for what another process of the owner has added to it.
const LOOK: Duration = Duration::from_millis(500);
/// Arrivals that are read at once: a history may be long.
const AT_ONCE: usize = 256;

/// A place among the arrivals of a home. Later ones are greater; it says nothing else, and is of use as long as the home has its
/// history.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ArrivalSeq(pub(super) u64);

impl ArrivalSeq {
    /// Before the first arrival.
    pub const START: Self = Self(0);
}

/// What a peer says to those who follow its arrivals.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// The history has one more.
    Written,
    /// The history could not be written. Only who follows now hears of it.
    Unwritten(Box<Arrival>),
}

/// The arrivals of a home, one after the other.
///
/// They are read from the history on disk: a slow reader misses none of them, and one that was not there begins where it left
/// off. Only if an arrival cannot be written there, for example on a full disk, is it told to nobody but who is following, and
/// such a reader may lag behind by 64.
pub struct Arrivals {
    history: History,
    next: ArrivalSeq,
    read: VecDeque<Arrival>,
    live: Option<Receiver<News>>,
    has_ended: bool,
}

/// The peer whose arrivals were followed has ended, and all of them were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer has ended")]
pub struct ArrivalsEnded;

impl Arrivals {
    /// Those after `after`, or from now on. With what a running peer says; without it they never end.
    pub(super) fn new(
        history: History,
        after: Option<ArrivalSeq>,
        live: Option<Receiver<News>>,
    ) -> Self {
        let next = after.unwrap_or_else(|| history.end());
        Self {
            history,
            next,
            read: VecDeque::new(),
            live,
            has_ended: false,
        }
    }

    /// Those of a peer that has ended: what the history has, and no more.
    pub(super) fn of_ended(history: History, after: Option<ArrivalSeq>) -> Self {
        Self {
            has_ended: true,
            ..Self::new(history, after, None)
        }
    }

    /// Follows the arrivals of a home of which this process serves no peer: those after `after`, or from now on. They never end.
    pub fn of(history: History, after: Option<ArrivalSeq>) -> Self {
        Self::new(history, after, None)
    }

    /// The next arrival, once it is there. A call that is dropped takes nothing.
    ///
    /// # Errors
    /// [`ArrivalsEnded`], once the peer has ended and all were told. A history that cannot be read is waited for.
    pub async fn recv(&mut self) -> Result<Arrival, ArrivalsEnded> {
        loop {
            if let Some(arrival) = self.read.pop_front() {
                return Ok(arrival);
            }
            if self.read_more().await {
                continue;
            }
            if self.has_ended {
                return Err(ArrivalsEnded);
            }
            if let Some(unwritten) = self.wait().await {
                return Ok(Arrival {
                    seq: self.next,
                    ..unwritten
                });
            }
        }
    }

    /// The next arrival, if it is there already.
    pub async fn try_recv(&mut self) -> Option<Arrival> {
        if self.read.is_empty() {
            self.read_more().await;
        }
        self.read.pop_front()
    }

    /// The same as a stream. It ends when the peer does.
    pub fn into_stream(self) -> impl Stream<Item = Arrival> + Send + 'static {
        stream::unfold(self, |mut arrivals| async {
            let arrival = arrivals.recv().await.ok()?;
            Some((arrival, arrivals))
        })
    }

    /// Whether the history had more.
    async fn read_more(&mut self) -> bool {
        let (history, next) = (self.history.clone(), self.next);
        let read = spawn_blocking(move || history.arrivals_after(next, AT_ONCE)).await;
        match read {
            Ok(Ok((arrivals, next))) => {
                self.next = next;
                self.read.extend(arrivals);
            }
            Ok(Err(error)) => tracing::debug!(%error, "the history cannot be read"),
            // Its runtime ends.
            Err(_) => self.has_ended = true,
        }
        !self.read.is_empty()
    }

    /// Waits until there may be more. Gives what only those who follow now are told.
    async fn wait(&mut self) -> Option<Arrival> {
        let Some(live) = &mut self.live else {
            tokio::time::sleep(LOOK).await;
            return None;
        };
        let mut news = match timeout(LOOK, live.recv()).await {
            Ok(Ok(news)) => news,
            Ok(Err(RecvError::Lagged(_))) | Err(_) => return None,
            Ok(Err(RecvError::Closed)) => {
                self.has_ended = true;
                return None;
            }
        };
        // One look at the history is enough for all that was written.
        while let News::Written = news {
            match live.try_recv() {
                Ok(next) => news = next,
                Err(TryRecvError::Closed) => {
                    self.has_ended = true;
                    return None;
                }
                Err(_) => return None,
            }
        }
        match news {
            News::Unwritten(arrival) => Some(*arrival),
            News::Written => None,
        }
    }
}
