//! Revocations go around: members that meet take over the newer list of the two, and a serving peer asks those that it
//! knows every few minutes.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};

use super::{
    directory::{Bring, exchange_directory},
    known::{Known, no_address},
    refused::heed,
};
use crate::{
    client::PeerClient,
    id::PeerId,
    manifest::{Signer as _, Timestamp},
    name::Escaped,
    store::StoreError,
    tls::{CertsDir, Circle, CircleHandle, Taken, TlsError, ca},
    trust::{AddressBook, KnownPeer, Role, SignedBundle},
};

/// How often others are asked, give or take a half: who starts together need not ask together.
pub const ASK_EVERY: Duration = Duration::from_secs(5 * 60);
/// How many are asked in one round.
const ASKED: usize = 8;
/// How many are asked at once where all are asked.
const AT_ONCE: usize = 16;
/// How long asking all may take at the start, while connections wait for it.
pub(super) const AT_START: Duration = Duration::from_secs(2);
/// How long one may take, and asking all while this peer serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why lists were not exchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The other side did not answer as it should.
    #[error(transparent)]
    Peer(#[from] StoreError),
    /// Its list is not the circle's, or ours cannot be written.
    #[error(transparent)]
    List(#[from] TlsError),
}

/// Takes over what the revocation lists of the peer behind `client` have and ours have not, and brings it ours if it lacks
/// something. Those of an outside authority come from elsewhere to each.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_lists(
    client: &PeerClient,
    circle: &CircleHandle,
    dir: &CertsDir,
) -> Result<Taken, ExchangeError> {
    if circle.now().is_outside() {
        return Ok(Taken::Same);
    }
    let theirs = client.crl().await?;
    let taken = match &theirs {
        Some(pem) => circle.install_crl(dir, pem)?,
        None => Taken::Older,
    };
    settle_lists(dir, circle, taken);
    if circle.now().is_near_its_end(Timestamp::now()) {
        take_circle(client, circle, dir).await?;
    }
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

/// On the circle's machine: records a certificate that a member has shown, if it is on no record because it was issued after the
/// copy was made that this home is. Returns the name in it, if so, which is to be told. A failure is logged.
pub(crate) fn record_found(dir: &CertsDir, certificate: &[u8]) -> Option<String> {
    let recorded = ca::record_found(dir, certificate);
    recorded.unwrap_or_else(|error| {
        let error = error.to_string();
        tracing::error!(error = %Escaped::new(&error), "a certificate that was met is not recorded");
        None
    })
}

/// The same for a peer that serves, which tells its log.
pub(super) fn note_found(dir: &CertsDir, certificate: &[u8]) {
    if let Some(name) = record_found(dir, certificate) {
        let name = Escaped::new(&name);
        tracing::warn!(%name, "a certificate of this circle was on no record here, and is recorded now: was this home restored?");
    }
}

/// On the circle's machine: notes the newest bundle of a member and where it answered, for the directory. A peer that was forgotten
/// stays so.
fn note_bundle(dir: &CertsDir, client: &PeerClient, bundle: &SignedBundle) {
    let (book, peer) = (AddressBook::new(dir.peers()), bundle.payload().peer_id);
    let is_forgotten = || book.forgotten().is_ok_and(|all| all.contains_key(&peer));
    if !dir.ca_key().exists() || is_forgotten() {
        return;
    }
    if let Err(error) = book.learn(bundle, &client.address().to_string()) {
        let error = error.to_string();
        tracing::debug!(error = %Escaped::new(&error), "a bundle is not noted");
    }
}

/// Takes over the circle's certificate of the peer behind `client`, if that was renewed.
async fn take_circle(
    client: &PeerClient,
    circle: &CircleHandle,
    dir: &CertsDir,
) -> Result<(), ExchangeError> {
    let pem = client.circle().await?;
    if circle.install_circle(dir, &pem)? {
        let until = circle.now().not_after();
        tracing::info!(%until, "the circle's certificate was renewed");
    }
    Ok(())
}

/// Asks known peers: all of them before this one answers others, then some, round after round; and all again with a new
/// certificate, for with one that had ended nobody answered.
pub(super) struct Neighbours {
    pub(super) known: Known,
    pub(super) every: Duration,
}

impl Neighbours {
    /// Asks every known peer, side by side: a home that was restored from an older copy would let in whom they refuse. Takes
    /// no longer than `patience`, and says if none has answered.
    pub(super) async fn ask_all(&self, patience: Duration) {
        let peers = self.known.others().unwrap_or_else(|error| {
            tracing::warn!(%error, "nobody is asked for revocations");
            Vec::new()
        });
        if peers.is_empty() {
            return;
        }
        let asked = peers.iter().map(|peer| self.ask_one(peer).boxed());
        let asked: Vec<_> = asked.collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut answers = 0;
        let asking = async {
            while let Some(answer) = asked.next().await {
                answers += usize::from(answer.is_ok());
            }
        };
        // The others are asked in the rounds that follow.
        let _ = timeout(patience, asking).await;
        match answers {
            0 => tracing::warn!(
                known = peers.len(),
                "none of the known peers has answered: newer revocations are not known here yet"
            ),
            _ => tracing::debug!(answers, known = peers.len(), "asked for revocations"),
        }
    }

    pub(super) async fn run(self) {
        let mut round = 0;
        loop {
            tokio::select! {
                () = self.ask_later(round) => round += ASKED,
                () = self.known.door.renewed() => self.ask_all(PATIENCE).await,
            }
        }
    }

    /// One round, after a pause.
    async fn ask_later(&self, round: usize) {
        sleep(jittered(self.every)).await;
        match self.known.others() {
            Ok(peers) => self.ask(peers, round).await,
            Err(error) => tracing::warn!(%error, "nobody is asked for revocations"),
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
        let (mut last, us) = (no_address(peer.peer_id), door.identity().peer_id());
        for client in self.known.clients(peer) {
            let met = match exchange_lists(&client, door.circle(), door.dir()).await {
                // Nothing was asked: who answers is found out by the question who it is.
                Ok(taken) if door.circle().now().is_outside() => {
                    let listened = self.listen_to(&client, peer.peer_id, &peer.name).await;
                    listened.map(|()| taken)
                }
                met => met,
            };
            match met {
                Err(ExchangeError::Peer(error)) => {
                    if let Some(note) = heed(door.dir(), us, &peer.name, Some(&error)) {
                        tracing::error!("{}", Escaped::new(&note.meaning()));
                    }
                    last = error;
                }
                done => {
                    heed(door.dir(), us, &peer.name, None);
                    let is_asked = !door.circle().now().is_outside();
                    if is_asked && door.role_of(peer.peer_id) != Role::None {
                        self.listen_to(&client, peer.peer_id, &peer.name).await?;
                    }
                    return done;
                }
            }
        }
        Err(last.into())
    }

    /// Learns what the peer `name` knows of this one, and who it is.
    async fn listen_to(
        &self,
        client: &PeerClient,
        peer: PeerId,
        name: &str,
    ) -> Result<(), ExchangeError> {
        let (door, body) = (&self.known.door, client.peer().await?);
        let bring = match door.role_of(peer) {
            Role::Member => Bring::Yes,
            _ => Bring::No,
        };
        if let Some(bundle) = body.your_bundle {
            door.outgrow(bundle, name)?;
        }
        let bundle = SignedBundle::parse(body.bundle);
        if let Ok(bundle) = bundle
            && bundle.verify(&**door, Timestamp::now()).is_ok()
        {
            note_found(door.dir(), &bundle.payload().certificate);
            note_bundle(door.dir(), client, &bundle);
        }
        let (circle, dir) = (door.circle(), door.dir());
        exchange_directory(client, circle, dir, (body.directory, bring)).await?;
        Ok(())
    }
}

/// Between a half and one and a half of `pause`.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))
}
