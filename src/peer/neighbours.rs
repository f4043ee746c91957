//! Revocations go around: members that meet take over the newer list of the two, and a serving peer asks those that it
//! knows every few minutes.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use crate::{
    client::{ClientOptions, PeerClient},
    store::StoreError,
    tls::{self, CertsDir, CircleHandle, Expect, Identity, Seen, Taken, TlsError},
    trust::{AddressBook, KnownPeer},
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

/// Takes over the revocation list of the peer behind `client` if it is newer, and brings it ours if that is.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_lists(
    client: &PeerClient,
    circle: &CircleHandle,
    dir: &CertsDir,
) -> Result<Taken, ExchangeError> {
    let taken = match client.crl().await? {
        Some(pem) => circle.install_crl(dir, &pem)?,
        None => Taken::Older,
    };
    let ours = circle.now();
    if let (Taken::Older, Some(pem)) = (taken, ours.crl_pem()) {
        client.put_crl(pem).await?;
    }
    Ok(taken)
}

/// Asks known peers, round after round; at once if there is no list here, which would let in whom it revokes.
pub(super) struct Neighbours {
    pub(super) dir: CertsDir,
    pub(super) circle: CircleHandle,
    pub(super) identity: Arc<Identity>,
    pub(super) every: Duration,
}

impl Neighbours {
    pub(super) async fn run(self) {
        let mut round = 0;
        if self.circle.now().crl_pem().is_some() {
            sleep(jittered(self.every)).await;
        }
        loop {
            let peers = AddressBook::new(self.dir.peers()).peers();
            match peers {
                Ok(peers) => self.ask(peers, round).await,
                Err(error) => tracing::warn!(%error, "nobody is asked for revocations"),
            }
            round += ASKED;
            sleep(jittered(self.every)).await;
        }
    }

    /// Asks some of `peers`, others in each round.
    async fn ask(&self, mut peers: Vec<KnownPeer>, round: usize) {
        let circle = self.circle.now();
        peers.retain(|peer| {
            let is_other = peer.peer_id != self.identity.caller().key_id;
            is_other && !peer.addresses.is_empty() && !circle.has_revoked(&peer.certificate)
        });
        let count = peers.len();
        for peer in peers.into_iter().cycle().skip(round).take(count.min(ASKED)) {
            let began = Instant::now();
            let asked = timeout(PATIENCE, self.ask_one(&peer)).await;
            let (name, elapsed) = (&peer.name, began.elapsed());
            match asked {
                Ok(Ok(taken)) => tracing::debug!(%name, ?taken, "asked for revocations"),
                Ok(Err(error)) => {
                    let error = error.to_string();
                    let cause = crate::name::Escaped::new(&error);
                    tracing::debug!(%name, %cause, "not asked for revocations");
                }
                Err(_) => tracing::debug!(%name, ?elapsed, "no answer about revocations"),
            }
        }
    }

    async fn ask_one(&self, peer: &KnownPeer) -> Result<Taken, ExchangeError> {
        let options = ClientOptions {
            retries: 0,
            ..ClientOptions::default()
        };
        let mut last = StoreError::Network {
            reason: "no address".to_owned(),
        };
        for address in &peer.addresses {
            let Ok(address) = address.parse() else {
                continue;
            };
            let expect = Expect {
                peer: Some(peer.peer_id),
                ..Expect::default()
            };
            let config =
                tls::client_config(&self.identity, &self.circle, expect, &Seen::default())?;
            let client = PeerClient::new(address, config, options)?;
            match exchange_lists(&client, &self.circle, &self.dir).await {
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
