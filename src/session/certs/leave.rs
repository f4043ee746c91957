//! Leaving the circle: keys, certificates and address book move aside as a whole, and nothing is lost.

mod error;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use crate::{
    client::PeerClient,
    config::Config,
    id::{PeerId, Short as _},
    manifest::{Signer as _, Timestamp},
    name::Escaped,
    session::{Cause, Error, Home, OwnStore, Session, Silent, TransferRow, store::check_there},
    store::{Alert, LocalStore, Rejection, StoreError},
    tls::{self, CertsDir, Circle, Identity, TlsError, ca},
};

pub use error::LeaveError;

/// How long the circle's machine is looked for, and may take to revoke.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is left alone where it asks to come back later.
const BUSY: Duration = Duration::from_secs(1);

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
    /// What the outside authority is called, where one signs.
    pub authority: Option<String>,
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
    /// What the outside authority is called that signed, where one did. It still counts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The folder that its certificates, keys and address book are in now, as text.
    pub folder: String,
    /// Whether the circle's key is among them.
    pub ended: bool,
    /// Whether the certificates are revoked.
    pub revoked: bool,
    /// Whether they were before this peer left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked_before: bool,
    /// Why the circle's machine has not revoked them, if it has not. It may have remote text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_revoked: Option<NotRevoked>,
    /// The peers that the settings have rules for, which count in another circle too.
    pub rules: Vec<String>,
}

/// Why the circle's machine has not revoked a peer that has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRevoked {
    /// Whether it answered, and did not do it.
    pub reached: bool,
    /// What failed. It may have remote text.
    pub message: String,
}

/// What came of the question to the circle's machine.
enum Asked {
    Revoked,
    RevokedBefore,
    Not(NotRevoked),
}

/// What leaving means for `home`. Nothing is changed.
///
/// # Errors
/// Those of [`leave`], but for what a request can answer.
pub async fn departure(home: &Home, config: &Config) -> Result<Departure, Error> {
    let dir = home.dir();
    let identity = Identity::load(&dir).map_err(|error| home.explain(error))?;
    drop(check_may_leave(home, config).await?);
    let ends_circle = dir.ca_key().exists();
    let others = ends_circle.then(|| ca::others(&dir).ok()).flatten();
    Ok(Departure {
        name: identity.name().to_owned(),
        maker: Circle::maker_of(&dir),
        authority: Circle::authority_of(&dir),
        ends_circle,
        others,
        folder: tls::left_root(&dir).to_string_lossy().into_owned(),
        rules: rules_of(config),
    })
}

/// Whether the circle of `home` may be left as `request` says, as far as that depends on who is in it. Nothing is changed.
///
/// # Errors
/// Fails if the home has no certificates, if others are in a circle that would end, or it is to end and is another one.
pub fn check_leave(home: &Home, request: &LeaveRequest) -> Result<(), Error> {
    let dir = home.dir();
    let identity = Identity::load(&dir).map_err(|error| home.explain(error))?;
    check_may_end(&dir, &identity, request)
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
    let dir = home.dir();
    let identity = Identity::load(&dir).map_err(|error| home.explain(error))?;
    check_may_end(&dir, &identity, request)?;
    // Held until the folder has moved: nobody begins to serve meanwhile.
    let held = check_may_leave(home, config).await?;
    let (maker, ended) = (Circle::maker_of(&dir), dir.ca_key().exists());
    // Its machine is reached with the keys and the address book where they are, and asked when they have moved.
    let authority = Circle::authority_of(&dir);
    let circle = match ended || authority.is_some() {
        true => None,
        false => Some(reach_maker(home, config).await),
    };
    let alone = match request.end_circle {
        // Nobody joined since it was looked.
        None => tls::set_aside_alone(&dir)?,
        Some(_) => None,
    };
    let left = alone.map_or_else(|| tls::set_aside(&dir, Timestamp::now()), Ok)?;
    drop(held);
    let asked = match circle {
        None => None,
        Some(Ok(client)) => Some(ask_to_revoke(&client).await),
        Some(Err(asked)) => Some(asked),
    };
    let revoked = matches!(asked, Some(Asked::Revoked | Asked::RevokedBefore));
    if revoked {
        tls::note_revoked(&left, Timestamp::now());
    }
    Ok(LeftCircle {
        name: identity.name().to_owned(),
        peer_id: identity.peer_id(),
        maker,
        authority,
        folder: left.path().to_string_lossy().into_owned(),
        ended,
        revoked,
        revoked_before: matches!(asked, Some(Asked::RevokedBefore)),
        not_revoked: match asked {
            Some(Asked::Not(why)) => Some(why),
            _ => None,
        },
        rules: rules_of(config),
    })
}

/// Whether `home` is of a circle without another member, which is left without a question for another one.
pub fn is_alone(home: &Home) -> bool {
    tls::is_alone(&home.dir())
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
    let id = row.info.id.short();
    let names = row.names.as_deref().unwrap_or_default();
    let what = match names.first() {
        Some(name) => Escaped::new(name).to_string(),
        None => "what is sealed".to_owned(),
    };
    format!("{id} ({what} from {})", row.from)
}

/// The circle's machine, if it is known and answers; else what is known without it.
async fn reach_maker(home: &Home, config: &Config) -> Result<PeerClient, Asked> {
    let reaching = async {
        let us = Session::with(home.clone(), config.clone(), Arc::new(Silent))?;
        if us.circle().now().is_key_revoked(&us.peer_id()) {
            return Ok(None);
        }
        let connected = us.connect(&us.maker()?).await?;
        Ok::<_, Error>(Some(connected.client.with_retries(0)))
    };
    match timeout(PATIENCE, reaching).await {
        Ok(Ok(Some(client))) => Ok(client),
        Ok(Ok(None)) => Err(Asked::RevokedBefore),
        Ok(Err(error)) => Err(why_not(&error)),
        Err(_) => Err(no_answer(false)),
    }
}

/// Asks once more where the answer is to come back later.
async fn ask_to_revoke(circle: &PeerClient) -> Asked {
    for is_last in [false, true] {
        match timeout(PATIENCE, circle.leave_circle()).await {
            Ok(Ok(())) => return Asked::Revoked,
            Ok(Err(StoreError::Busy { .. })) if !is_last => sleep(BUSY).await,
            Ok(Err(error)) => return why_not(&error.into()),
            Err(_) => return no_answer(true),
        }
    }
    no_answer(true)
}

fn why_not(error: &Error) -> Asked {
    if is_revoked(error) {
        return Asked::RevokedBefore;
    }
    Asked::Not(NotRevoked {
        reached: !matches!(
            error.cause(),
            Cause::NotReached | Cause::NoAddress | Cause::UnknownPeer | Cause::Other
        ),
        message: error.to_string(),
    })
}

/// Whether the other side refuses us because the circle has revoked us.
fn is_revoked(error: &Error) -> bool {
    match error {
        Error::Store(StoreError::Untrusted { cause, .. }) => {
            matches!(cause, Rejection::TheyRefusedUs(Alert::Revoked))
        }
        other => other.stands_for().is_some_and(is_revoked),
    }
}

fn no_answer(reached: bool) -> Asked {
    let message = "no answer in time".to_owned();
    Asked::Not(NotRevoked { reached, message })
}

impl LeftCircle {
    /// The command that revokes this peer, for the person at the circle's machine; none if it is revoked, or there is no such
    /// machine any more. It has the whole id: another machine may have the name by then.
    pub fn to_revoke(&self) -> Option<String> {
        let todo = || format!("colis certs revoke {}", self.peer_id);
        (!self.ended && !self.revoked && self.authority.is_none()).then(todo)
    }
}
