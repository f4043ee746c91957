//! Pairing: lets a new machine join the circle by a short code, or joins one.
//!
//! The machine that lets in has an [`Inviting`], the one that joins a [`Joining`]. Neither needs a
//! [`Session`](super::Session): a machine that is new has no certificates yet. Each step is ended by dropping its future; then
//! [`Inviting::finish`] takes back what was on its way to the other machine.

mod doorstep;
mod find;
mod hosts;
mod invite;
mod join;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Error, Event, Home, Mistake, PeerRow, Reporter,
    certs::{MadePeer, OfOwnAuthority, need_own_authority},
    host_name,
};
use crate::{
    address::{DEFAULT_LISTEN, PeerAddress},
    config::Config,
    id::PeerId,
    name::LibraryError,
    pair::PairError,
    server::{self, BindError},
    store::LocalStore,
    tls::{
        self, Circle, TlsError,
        ca::{self, CertificateOptions},
    },
    trust::name_of,
};

pub use find::{Inviter, NoInviter, shown_around};
pub use hosts::ITS_INTERFACE;
pub use invite::{InviteRequest, Inviting, ShownCode};
pub use join::{JoinRequest, Joining};

pub use crate::pair::IfTaken;

/// Somebody came while a code was shown, and did not join. Without the code three of them a second are told; the others are
/// counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPaired {
    /// Where they came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// Why they did not join. It may have foreign text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Instead: how many came of whom nothing was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
}

/// A machine that was let into the circle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairedPeer {
    /// The peer that it is now.
    #[serde(flatten)]
    pub peer: PeerRow,
    /// Where it came from.
    pub from: IpAddr,
}

/// A circle that this machine has joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedCircle {
    /// The name of this peer in it.
    pub name: String,
    /// The id of this peer.
    pub peer_id: PeerId,
    /// The folder that its certificates and keys are in, as text.
    pub folder: String,
    /// The peer that let it in. Remote text.
    pub issuer: String,
    /// The folder of the circle without another member that was left for it, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// Then: the peers that the settings have rules for, which count in the circle that was joined too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Makes a circle in a home that has no certificates, for the first of two new machines to invite the other into. Returns this
/// peer, if one was made. Without a name it is called as the host is; a home that has left its circle needs one.
///
/// # Errors
/// Fails if the home belongs to a circle that was made elsewhere, if a name is given to a home that has one, or if the name is
/// none or missing.
pub fn make_circle(
    home: &Home,
    name: Option<&str>,
    reporter: &dyn Reporter,
) -> Result<Option<MadePeer>, Error> {
    let certs = home.dir();
    need_own_authority(&certs, OfOwnAuthority::Pair)?;
    match (certs.ca_key().exists(), name) {
        (true, None) => return Ok(None),
        (true, Some(_)) => return Err(Mistake::NamedAlready.into()),
        (false, _) => {}
    }
    if tls::Joining::check_place(&certs).is_err() {
        let path = certs.ca_key();
        return Err(Error::CannotInvite {
            source: TlsError::NotTheCircle { path },
            maker: Circle::maker_of(&certs),
        });
    }
    // Whoever left, and meant the circle that was left, is not to get a new one without a word.
    if name.is_none()
        && let Some(left) = home.left()
    {
        return Err(left.into());
    }
    let name = own_name(name, reporter)?;
    let identity = ca::init(&certs, &name, &CertificateOptions::default())?;
    home.keep_store();
    Ok(Some(MadePeer::of(&identity, &certs)))
}

/// Revokes the certificates that were on their way to a machine when a pairing of `home` ended, and tells their names. If
/// another pairing of this home goes on, also after `patience`, that one does it.
///
/// # Errors
/// Fails without the circle's key, or if the revocation cannot be written.
pub async fn take_back_pending(
    home: &Home,
    reporter: &dyn Reporter,
    patience: Duration,
) -> Result<(), Error> {
    let certs = home.dir();
    let revoked = tokio::task::spawn_blocking(move || ca::revoke_pending(&certs, patience)).await;
    for name in revoked??.unwrap_or_default() {
        reporter.tell(&Event::TakenBack { name });
    }
    Ok(())
}

/// The name that this machine is to have: the given one, made a name of a peer if it is none, else that of its host.
fn own_name(name: Option<&str>, reporter: &dyn Reporter) -> Result<String, Error> {
    match name {
        Some(name) => peer_name(name, reporter),
        None => host_name().ok_or_else(|| Mistake::NoName.into()),
    }
}

/// A name for a machine that a person calls `wanted`. If it is not the same, that is told.
///
/// # Errors
/// Fails if nothing of it can be in a name.
pub fn peer_name(wanted: &str, reporter: &dyn Reporter) -> Result<String, Error> {
    let bad = || Mistake::BadName {
        name: wanted.to_owned(),
    };
    let name = name_of(wanted).ok_or_else(bad)?;
    if name != wanted {
        reporter.tell(&Event::Called {
            wanted: wanted.to_owned(),
            name: name.clone(),
            taken: false,
        });
    }
    Ok(name)
}

/// The port where the peer of `home` serves, or will: at `listen`, else by its settings. It is promised to the other machine,
/// which remembers it. None if it is not known yet.
///
/// # Errors
/// Fails if this peer could not serve there now.
pub fn serving_port(
    home: &Home,
    config: &Config,
    listen: Option<SocketAddr>,
) -> Result<Option<u16>, BindError> {
    let serving = LocalStore::serving_address(&home.chunks());
    let serving = serving.and_then(|address| address.parse::<PeerAddress>().ok());
    if let Some(address) = serving {
        return Ok(Some(address.port()));
    }
    let listen = listen.or(config.listen).unwrap_or(DEFAULT_LISTEN);
    server::check_free(listen)?;
    Ok(Some(listen.port()).filter(|port| *port > 0))
}

/// The system failed us.
fn failed(error: impl std::fmt::Display) -> Error {
    PairError::Failed(LibraryError::new(error)).into()
}
