//! Revocations go around: members that meet take over the newer list of the two, and a serving peer asks those that it
//! knows every few minutes.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::known::{Known, no_address};
use crate::{
    client::PeerClient,
    name::Escaped,
    store::StoreError,
    tls::{CertsDir, CircleHandle, Taken, TlsError},
    trust::KnownPeer,
};

/// How often others are asked, give or take a half: who starts together need not ask together.
pub const ASK_EVERY: Duration = Duration::from_secs(5 * 60);
/// How many are asked in one round.
const ASKED: usize = 8;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why lists were not exchanged.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The other side did not answer as it should.
    #[error(transparent)]
    Peer(#[from] StoreError),
    /// Its list is not the circle's, or ours cannot be written.
    #[error(transparent)]
    List(#[from] TlsError),
}

/// Takes over what the revocation lists of the peer behind `client` have and ours have not, and brings it ours if it lacks
/// something.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_lists(
    client: &PeerClient,
    circle: &CircleHandle,
    dir: &CertsDir,
) -> Result<Taken, ExchangeError> {
    let theirs = client.crl().await?;
    let taken = match &theirs {
        Some(pem) => circle.install_crl(dir, pem)?,
        None => Taken::Older,
    };
    let ours = circle.now();
    match ours.crl_pem() {
        Some(pem) if theirs.as_deref() != Some(pem) => client.put_crl(pem).await?,
        _ => {}
    }
    Ok(taken)
}

/// Asks known peers, round after round; at once if there is no list here, which would let in whom it revokes.
pub(super) struct Neighbours {
    pub(super) known: Known,
    pub(super) every: Duration,
}

impl Neighbours {
    pub(super) async fn run(self) {
        let mut round = 0;
        if self.known.door.circle().now().crl_pem().is_some() {
            sleep(jittered(self.every)).await;
        }
        loop {
            match self.known.others() {
                Ok(peers) => self.ask(peers, round).await,
                Err(error) => tracing::warn!(%error, "nobody is asked for revocations"),
            }
            round += ASKED;
            sleep(jittered(self.every)).await;
        }
    }

    /// Asks some of `peers`, others in each round.
    async fn ask(&self, peers: Vec<KnownPeer>, round: usize) {
        let count = peers.len();
        for peer in peers.into_iter().cycle().skip(round).take(count.min(ASKED)) {
            let began = Instant::now();
            let asked = timeout(PATIENCE, self.ask_one(&peer)).await;
            let (name, elapsed) = (&peer.name, began.elapsed());
            match asked {
                Ok(Ok(taken)) => tracing::debug!(%name, ?taken, "asked for revocations"),
                Ok(Err(error)) => {
                    let error = error.to_string();
                    let cause = Escaped::new(&error);
                    tracing::debug!(%name, %cause, "not asked for revocations");
                }
                Err(_) => tracing::debug!(%name, ?elapsed, "no answer about revocations"),
            }
        }
    }

    async fn ask_one(&self, peer: &KnownPeer) -> Result<Taken, ExchangeError> {
        let door = &self.known.door;
        let mut last = no_address();
        for client in self.known.clients(peer) {
            match exchange_lists(&client, door.circle(), door.dir()).await {
                Err(ExchangeError::Peer(error)) => last = error,
                done => return done,
            }
        }
        Err(last.into())
    }
}

/// Between a half and one and a half of `pause`.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))
}
