//! Leaving the circle: keys, certificates and address book move aside as a whole, and nothing is lost.

mod error;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    client::PeerClient,
    config::Config,
    id::PeerId,
    manifest::{Signer as _, Timestamp},
    name::Escaped,
    session::{Error, Home, OwnStore, Session, Silent, TransferRow, store::check_there},
    store::{LocalStore, StoreError},
    tls::{self, CertsDir, Circle, Identity, TlsError, ca},
};

pub use error::LeaveError;

/// How long the circle's machine is looked for, and may take to revoke.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether a circle may end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaveRequest {
    /// The name of the circle's machine, to end the circle also while others are in it, or nobody knows whether they are.
    pub end_circle: Option<String>,
}

/// What leaving means for this home, before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The name of this peer.
    pub name: String,
    /// The peer that made the circle, as its certificate says.
    pub maker: Option<String>,
    /// Whether the circle ends: its key is here.
    pub ends_circle: bool,
    /// The others that are in it; `None` where nobody here knows, or it does not matter.
    pub others: Option<Vec<String>>,
    /// The folder that its files go to is below this one.
    pub folder: String,
    /// The peers that the settings have rules for. These stay, for whoever is called so in another circle.
    pub rules: Vec<String>,
}

/// A circle that was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftCircle {
    /// The name that this peer had in it.
    pub name: String,
    /// The id that it had.
    pub peer_id: PeerId,
    /// The peer that made the circle. Remote text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// The folder that its certificates, keys and address book are in now, as text.
    pub folder: String,
    /// Whether the circle's key is among them.
    pub ended: bool,
    /// Whether the circle's machine has revoked the certificates.
    pub revoked: bool,
    /// The peers that the settings have rules for, which count in another circle too.
    pub rules: Vec<String>,
}

/// What leaving means for `home`. Nothing is changed.
///
/// # Errors
/// Those of [`leave`], but for what a request can answer.
pub async fn departure(home: &Home, config: &Config) -> Result<Departure, Error> {
    let dir = CertsDir::new(home.certs());
    let identity = Identity::load(&dir).map_err(|error| home.explain(error))?;
    drop(check_may_leave(home, config).await?);
    let ends_circle = dir.ca_key().exists();
    let others = ends_circle.then(|| ca::others(&dir).ok()).flatten();
    Ok(Departure {
        name: identity.name().to_owned(),
        maker: Circle::maker_of(&dir),
        ends_circle,
        others,
        folder: tls::left_root(&dir).to_string_lossy().into_owned(),
        rules: rules_of(config),
    })
}

/// Leaves the circle of `home`: its `certs/` moves aside by one rename. The circle's machine is asked to revoke this member, if it
/// is reached; that it is not changes nothing.
///
/// # Errors
/// Fails, and changes nothing, if the home has no certificates, is served, something waits in it to be opened, or others are in a
/// circle that would end.
pub async fn leave(
    home: &Home,
    config: &Config,
    request: &LeaveRequest,
) -> Result<LeftCircle, Error> {
    let dir = CertsDir::new(home.certs());
    let identity = Identity::load(&dir).map_err(|error| home.explain(error))?;
    check_may_end(&dir, &identity, request)?;
    // Held until the folder has moved: nobody begins to serve meanwhile.
    let held = check_may_leave(home, config).await?;
    let (maker, ended) = (Circle::maker_of(&dir), dir.ca_key().exists());
    // Its machine is reached with the keys and the address book where they are, and asked when they have moved.
    let circle = match ended {
        true => None,
        false => timeout(PATIENCE, reach_maker(home, config)).await.ok(),
    };
    let alone = match request.end_circle {
        // Nobody joined since it was looked.
        None => tls::set_aside_alone(&dir)?,
        Some(_) => None,
    };
    let left = alone.map_or_else(|| tls::set_aside(&dir, Timestamp::now()), Ok)?;
    drop(held);
    let revoked = match circle.flatten() {
        Some(client) => timeout(PATIENCE, client.leave_circle()).await,
        None => Ok(Err(StoreError::Deleted)),
    };
    Ok(LeftCircle {
        name: identity.name().to_owned(),
        peer_id: identity.peer_id(),
        maker,
        folder: left.path().to_string_lossy().into_owned(),
        ended,
        revoked: matches!(revoked, Ok(Ok(()))),
        rules: rules_of(config),
    })
}

/// Whether `home` is of a circle without another member, which is left without a question for another one.
pub fn is_alone(home: &Home) -> bool {
    tls::is_alone(&CertsDir::new(home.certs()))
}

/// Fails if a circle would end that others are in, unless it is named.
fn check_may_end(dir: &CertsDir, identity: &Identity, request: &LeaveRequest) -> Result<(), Error> {
    let own = identity.name();
    match (&request.end_circle, dir.ca_key().exists()) {
        (Some(_), false) => Err(TlsError::NotTheCircle { path: dir.ca_key() }.into()),
        (Some(name), true) if name != own => Err(LeaveError::OtherName {
            name: name.clone(),
            own: own.to_owned(),
        }
        .into()),
        (None, true) => match ca::others(dir) {
            Ok(others) if others.is_empty() => Ok(()),
            Ok(others) => Err(LeaveError::HasMembers {
                own: own.to_owned(),
                others,
            }
            .into()),
            Err(why) => Err(LeaveError::MembersUnknown {
                own: own.to_owned(),
                why,
            }
            .into()),
        },
        _ => Ok(()),
    }
}

/// Fails if `home` is served or used, or something waits there to be opened. What is returned keeps others from its store.
pub(in crate::session) async fn check_may_leave(
    home: &Home,
    config: &Config,
) -> Result<Option<OwnStore>, Error> {
    let chunks = home.chunks();
    if let Some(holder) = LocalStore::holder(&chunks)
        && let Some(serving) = holder.serving
    {
        return Err(LeaveError::Served { serving }.into());
    }
    // Where its disk is not mounted, nobody knows what waits.
    check_there(home)?;
    if !chunks.exists() {
        return Ok(None);
    }
    let us = Session::with(home.clone(), config.clone(), Arc::new(Silent))?;
    let inbox = us.inbox()?;
    let waiting = inbox.rows().await?;
    let own = inbox.into_store();
    match (&own, waiting.is_empty()) {
        (OwnStore::Served(peer), _) => Err(LeaveError::Served {
            serving: peer.address().to_string(),
        }
        .into()),
        (_, true) => Ok(Some(own)),
        (_, false) => {
            let waiting = waiting.iter().map(named).collect();
            Err(LeaveError::Waiting { waiting }.into())
        }
    }
}

/// The peers that the settings have rules for.
pub(in crate::session) fn rules_of(config: &Config) -> Vec<String> {
    config.peers.keys().cloned().collect()
}

/// A transfer that waits, in a few words.
fn named(row: &TransferRow) -> String {
    let mut id = row.info.id.to_string();
    id.truncate(8);
    let names = row.names.as_deref().unwrap_or_default();
    let what = match names.first() {
        Some(name) => Escaped::new(name).to_string(),
        None => "what is sealed".to_owned(),
    };
    format!("{id} ({what} from {})", row.from)
}

/// The circle's machine, if it is known and answers.
async fn reach_maker(home: &Home, config: &Config) -> Option<PeerClient> {
    let silent = Arc::new(Silent);
    let us = Session::with(home.clone(), config.clone(), silent).ok()?;
    let maker = us.maker().ok()?;
    Some(us.connect(&maker).await.ok()?.client.with_retries(0))
}

impl LeftCircle {
    /// The command that revokes this peer, for the person at the circle's machine; none if it is revoked, or there is no such
    /// machine any more.
    pub fn to_revoke(&self) -> Option<String> {
        let todo = || format!("colis certs revoke {}", self.name);
        (!self.ended && !self.revoked).then(todo)
    }
}
