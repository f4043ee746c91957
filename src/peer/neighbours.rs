//! Revocations go around: members that meet take over the newer list of the two, and a serving peer asks those that it
//! knows every few minutes.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::known::{Known, no_address};
use crate::{
    client::PeerClient,
    name::Escaped,
    store::StoreError,
    tls::{CertsDir, Circle, CircleHandle, Taken, TlsError, ca},
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
    settle_lists(dir, circle, taken);
    let ours = circle.now();
    match ours.crl_pem() {
        Some(pem) if theirs.as_deref() != Some(pem) => client.put_crl(pem).await?,
        _ => {}
    }
    Ok(taken)
}

/// Reads the circle. Lists that contradict each other are merged on the circle's machine, and said elsewhere.
pub(super) fn load_circle(dir: &CertsDir) -> Result<CircleHandle, TlsError> {
    let circle = CircleHandle::new(Circle::load(dir)?);
    settle_lists(dir, &circle, Taken::Newer);
    Ok(circle)
}

/// After lists were taken over: the circle's machine signs one list if they contradict each other. Elsewhere that is said, once.
pub(super) fn settle_lists(dir: &CertsDir, circle: &CircleHandle, taken: Taken) {
    match ca::merge_lists(dir, circle) {
        Ok(true) => {
            tracing::warn!("revocation lists contradicted each other: one list of all was signed")
        }
        Ok(false) if taken == Taken::Newer => say_conflict(circle),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(%error, "revocation lists contradict each other, and no list of all can be signed")
        }
    }
}

/// Logs it if the lists in force contradict each other.
pub(super) fn say_conflict(circle: &CircleHandle) {
    if let Some(conflict) = circle.now().conflict() {
        tracing::error!("{conflict}; they are merged when the circle's machine meets a member");
    }
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
