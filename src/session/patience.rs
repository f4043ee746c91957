//! Waiting for a peer that does not answer: for how long, and what is told meanwhile.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ConnectedPeer, Error, Event, Kind, Session};
use crate::client::{PeerClient, Silence, Watch};

/// For how long a peer is tried again that answers no more, unless a request says otherwise.
pub const RETRY_FOR: Duration = Duration::from_secs(60);
/// How often a peer that was never reached is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Session {
    /// Connects to the peer that is called `text`. Where it was said for how long it is waited for, it may come later.
    pub(super) async fn connect_within(
        &self,
        text: &str,
        retry_for: Option<Duration>,
    ) -> Result<ConnectedPeer, Error> {
        let (began, patience) = (Instant::now(), retry_for.unwrap_or_default());
        loop {
            let error = match self.connect(text).await {
                Err(error) if error.kind() == Kind::Network => error,
                connected => return connected,
            };
            if began.elapsed() + AGAIN >= patience {
                return Err(error);
            }
            self.tell(Event::NoAnswer {
                peer: text.trim().to_owned(),
                seconds: began.elapsed().as_secs(),
                retry_for: patience.as_secs(),
            });
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// The client of a peer that is called `name`, for a transfer: it waits while the peer is silent, and tells so.
    pub(super) fn watched(
        &self,
        client: PeerClient,
        name: &str,
        retry_for: Option<Duration>,
    ) -> PeerClient {
        let Some(patience) = retry_for.or(self.retry_for) else {
            return client;
        };
        if patience.is_zero() {
            return client.with_retries(0);
        }
        let (reporter, peer) = (Arc::clone(&self.reporter), name.trim().to_owned());
        let watch = Watch::over(&client, patience, move |silence| {
            let peer = peer.clone();
            reporter.tell(&match silence {
                Silence::Lasts(time) => Event::NoAnswer {
                    peer,
                    seconds: time.as_secs(),
                    retry_for: patience.as_secs(),
                },
                Silence::Over(time) => Event::AnswersAgain {
                    peer,
                    seconds: time.as_secs(),
                },
            });
        });
        client.with_watch(watch)
    }
}
