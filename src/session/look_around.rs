//! Looking around in the network: who is there, and who of the known peers answers where.

use std::{net::SocketAddr, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::select_ok, stream};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Error, Mistake, PeerRow, RoleRow, Session, discovery};
use crate::{
    address::PeerAddress,
    config::Config,
    discover::{Browser, Discovery, PATIENCE, SeenPeer, Service, Table},
    id::PeerId,
};

/// How many known peers are tried at once.
const TRIED_AT_ONCE: usize = 8;
/// How long one of them may take to answer.
const ANSWER: Duration = Duration::from_secs(6);

/// A peer of the network. Anybody may have said what is told of one that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRow {
    /// Its id, or the id that it claims.
    pub peer_id: PeerId,
    /// Its name, or the name that it claims.
    pub name: String,
    /// Whether it is a peer of the address book.
    pub known: bool,
    /// Where it is said to be.
    pub addresses: Vec<String>,
    /// Where it answered; only known peers are tried.
    pub reachable: Option<String>,
    /// Why it did not answer.
    pub reason: Option<String>,
    /// Whether it claims the name of a known peer, and is another.
    pub name_taken: bool,
}

/// A known peer, and what the network says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAround {
    /// The peer.
    pub peer: PeerRow,
    /// Where it answers, or why it does not; none of this peer itself.
    pub seen: Option<SeenRow>,
}

/// Everybody who is known or is seen in the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The known peers.
    pub known: Vec<KnownAround>,
    /// The roles of peers that are not known.
    pub roles: Vec<RoleRow>,
    /// Those who are seen and are not known.
    pub unknown: Vec<SeenRow>,
}

/// Looks around for two seconds, for a home that has no certificates yet: nobody is known, and nobody is tried.
///
/// # Errors
/// Fails if that is switched off, or the network cannot be listened to.
pub async fn look_around(config: &Config) -> Result<Vec<SeenRow>, Error> {
    let seen = look(config).await?;
    let seen = seen.peers();
    Ok(seen
        .iter()
        .map(|peer| SeenRow::unknown(peer, false))
        .collect())
}

impl Session {
    /// Looks around for two seconds, and tries every known peer where it was and where it is said to be.
    ///
    /// # Errors
    /// Fails if that is switched off, or the network cannot be listened to.
    pub async fn look_around(&self) -> Result<Surroundings, Error> {
        let seen = look(&self.config).await?;
        let known = self.peer_rows()?;
        let mut tries = Vec::new();
        for peer in &known {
            tries.push(self.seen_row(peer, &seen).boxed());
        }
        let tried = stream::iter(tries).buffered(TRIED_AT_ONCE);
        let tried: Vec<_> = tried.collect().await;
        let ours = self.peer_id();
        let is_new =
            |peer: &&SeenPeer| peer.id != ours && known.iter().all(|k| k.peer_id != peer.id);
        let is_taken = |name: &str| {
            let mut known = known.iter();
            known.any(|other| other.name == name || other.alias.as_deref() == Some(name))
        };
        let seen = seen.peers();
        let unknown = seen.iter().filter(is_new);
        let unknown = unknown.map(|peer| SeenRow::unknown(peer, is_taken(&peer.name)));
        let unknown = unknown.collect();
        let known = known.into_iter().zip(tried);
        Ok(Surroundings {
            known: known
                .map(|(peer, seen)| KnownAround { peer, seen })
                .collect(),
            roles: self.roles_of_unknown()?,
            unknown,
        })
    }

    /// What is seen of a known peer; none of ourselves.
    async fn seen_row(&self, known: &PeerRow, seen: &Table) -> Option<SeenRow> {
        if known.peer_id == self.peer_id() {
            return None;
        }
        let said = seen.addresses_of(known.peer_id);
        let answer = self.try_known(known, &said).await;
        Some(SeenRow {
            peer_id: known.peer_id,
            name: known.called().to_owned(),
            known: true,
            addresses: shown(&said),
            reachable: answer.as_ref().ok().cloned(),
            reason: answer.err(),
            name_taken: false,
        })
    }

    /// Where a known peer answers, or why it does not. All its addresses are tried at once, so that one where a liar or nobody
    /// is costs no time.
    async fn try_known(&self, known: &PeerRow, said: &[SocketAddr]) -> Result<String, String> {
        let remembered = known.addresses.iter();
        let remembered = remembered.filter_map(|address| address.parse::<PeerAddress>().ok());
        let mut addresses: Vec<_> = remembered.collect();
        for address in said {
            let address = PeerAddress::from(*address);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err("no address is known, and it is not seen here".to_owned());
        }
        let expected = Some(known.peer_id);
        let tries = addresses.iter();
        let tries = tries.map(|address| self.connect_at(address, expected).boxed());
        match timeout(ANSWER, select_ok(tries)).await {
            Ok(Ok((connected, _))) => Ok(connected.client.address().to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", ANSWER.as_secs())),
        }
    }
}

impl SeenRow {
    fn unknown(peer: &SeenPeer, name_taken: bool) -> Self {
        Self {
            peer_id: peer.id,
            name: peer.name.clone(),
            known: false,
            addresses: shown(&peer.addresses),
            reachable: None,
            reason: None,
            name_taken,
        }
    }
}

/// Everybody who is seen within [`PATIENCE`].
async fn look(config: &Config) -> Result<Table, Error> {
    if discovery(config) == Discovery::Off {
        return Err(Mistake::DiscoveryOff.into());
    }
    let browser = Browser::start(Service::Peer, PATIENCE).map_err(Error::LookAround)?;
    let seen = browser.all().await;
    if seen.dropped() > 0 {
        let dropped = seen.dropped();
        tracing::debug!(dropped, cut = seen.cut(), "answers that say nothing usable");
    }
    Ok(seen)
}

fn shown(addresses: &[SocketAddr]) -> Vec<String> {
    let shown = |address: &SocketAddr| PeerAddress::from(*address).to_string();
    addresses.iter().map(shown).collect()
}
