//! The directory goes around as revocations do: members that meet take over the newer one of the two.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::{
    ExchangeError,
    stamps::{Stamp, stamps_of},
};
use crate::{
    address::{PeerAddress, is_link_local},
    client::PeerClient,
    name::Escaped,
    server::DirectoryError,
    tls::{self, BadDirectory, CertsDir, CircleHandle, Taken, TlsError, ca},
    trust::{MAX_HINTS, MovedName},
};

/// Whether a member may be brought what is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bring {
    /// It may: its role here is that of a member.
    Yes,
    /// It knows whom it deals with, and nobody else.
    No,
}

/// Takes over the directory of the peer behind `client` if its number, `theirs`, is higher than that of ours, and brings it ours
/// if that is higher. Returns the names that belong to other keys now.
///
/// # Errors
/// [`ExchangeError`].
pub async fn exchange_directory(
    client: &PeerClient,
    circle: &CircleHandle,
    dir: &CertsDir,
    (theirs, bring): (Option<u64>, Bring),
) -> Result<Vec<MovedName>, ExchangeError> {
    // A peer that says no number has none for us, and takes none.
    let Some(theirs) = theirs else {
        return Ok(Vec::new());
    };
    refresh_directory(dir, &[]);
    let ours = load(dir, circle);
    let number = ours.as_ref().map_or(0, |(number, _)| *number);
    if theirs > number {
        let envelope = client.directory().await?;
        return Ok(take(dir, circle, &envelope)?.1);
    }
    match ours {
        Some((_, envelope)) if theirs < number && bring == Bring::Yes => {
            client.put_directory(&envelope).await?;
        }
        _ => {}
    }
    Ok(Vec::new())
}

/// On the circle's machine: signs a new directory if something has changed. A failure is logged: members know each other by the
/// last one meanwhile.
pub(crate) fn refresh_directory(dir: &CertsDir, own: &[String]) {
    told(ca::refresh_directory(dir, own));
}

fn told(signed: Result<Option<ca::NewDirectory>, TlsError>) {
    match signed {
        Ok(Some(new)) => {
            tracing::info!(number = new.number, "a directory of the circle was signed");
            for name in new.left_out {
                let name = Escaped::new(&name);
                tracing::warn!(%name, "not in the directory: it is full, or the name is another member's");
            }
        }
        Ok(None) => {}
        Err(error) => {
            let error = error.to_string();
            tracing::error!(error = %Escaped::new(&error), "no directory of the circle can be signed");
        }
    }
}

/// Takes over a directory, and what it says of the peers of the address book.
fn take(
    dir: &CertsDir,
    circle: &CircleHandle,
    envelope: &[u8],
) -> Result<(Taken, Vec<MovedName>), TlsError> {
    let taken = match tls::install_directory(dir, circle, envelope) {
        Err(TlsError::BadDirectory(BadDirectory::Conflict { number })) if dir.ca_key().exists() => {
            tracing::warn!(
                number,
                "two directories have one number: one of both is signed"
            );
            told(ca::join_directory(dir, circle, envelope));
            Taken::Newer
        }
        taken => taken?,
    };
    let moved = match taken {
        Taken::Newer => {
            // The circle's machine was restored, and may know better who is no member any more.
            refresh_directory(dir, &[]);
            take_in_directory(dir, circle)
        }
        Taken::Same | Taken::Older => Vec::new(),
    };
    Ok((taken, moved))
}

/// Takes over what the directory says of the peers of the address book. Returns the names that belong to other keys now, which are
/// logged.
pub(crate) fn take_in_directory(dir: &CertsDir, circle: &CircleHandle) -> Vec<MovedName> {
    let moved = tls::take_in_directory(dir, circle);
    let moved = moved.unwrap_or_else(|error| {
        let error = error.to_string();
        tracing::warn!(error = %Escaped::new(&error), "the directory changes nothing in the address book");
        Vec::new()
    });
    for MovedName { name, from, to } in &moved {
        let name = Escaped::new(name);
        tracing::warn!(%name, %from, %to, "a name belongs to another key now, for the former is revoked");
    }
    moved
}

fn load(dir: &CertsDir, circle: &CircleHandle) -> Option<(u64, Bytes)> {
    let read = tls::load_directory(dir, &circle.now());
    let read = read.unwrap_or_else(|error| {
        let error = error.to_string();
        tracing::warn!(error = %Escaped::new(&error), "the directory cannot be used, and is fetched again");
        None
    });
    let directory = read?;
    Some((directory.payload().number, directory.envelope().clone()))
}

/// What a serving peer answers about the directory.
pub(super) struct DirectoryDesk {
    dir: CertsDir,
    circle: CircleHandle,
    /// Where this peer serves.
    own: Arc<OnceLock<Vec<String>>>,
    read: ArcSwap<Read>,
}

/// The directory, and the versions of the files that it was made of.
#[derive(Default)]
struct Read {
    stamps: Vec<Stamp>,
    directory: Option<(u64, Bytes)>,
}

impl DirectoryDesk {
    pub(super) fn new(dir: &CertsDir, circle: &CircleHandle) -> Self {
        Self {
            dir: dir.clone(),
            circle: circle.clone(),
            own: Arc::default(),
            read: ArcSwap::default(),
        }
    }

    /// From now on others can be told that this peer serves at `address`.
    pub(super) fn serves_at(&self, address: SocketAddr) {
        let _ = self.own.set(own_hints(address));
    }

    /// The directory, with what another process of this home has just written. On the circle's machine it is signed anew for that.
    pub(super) async fn now(&self) -> Option<(u64, Bytes)> {
        let of = [
            self.dir.directory(),
            self.dir.crl(),
            self.dir.peers(),
            self.dir.server_cert(),
        ];
        let there = stamps_of(&of);
        // Without the folder of certificates nothing is read: what was in use stays.
        if self.read.load().stamps != there && there.iter().skip(1).all(Option::is_some) {
            let (dir, circle, own) = (self.dir.clone(), self.circle.clone(), self.own.clone());
            let read = tokio::task::spawn_blocking(move || {
                refresh_directory(&dir, own.get().map_or(&[], Vec::as_slice));
                load(&dir, &circle)
            });
            if let Ok(directory) = read.await {
                let stamps = there;
                self.read.store(Arc::new(Read { stamps, directory }));
            }
        }
        self.read.load().directory.clone()
    }

    pub(super) async fn take(&self, envelope: &Bytes) -> Result<bool, DirectoryError> {
        let (dir, circle, envelope) = (self.dir.clone(), self.circle.clone(), envelope.clone());
        let taken = tokio::task::spawn_blocking(move || take(&dir, &circle, &envelope)).await;
        match taken.map_err(|e| DirectoryError::Failed(e.into()))? {
            Ok((taken, _)) => Ok(taken == Taken::Newer),
            Err(TlsError::BadDirectory(bad)) => Err(DirectoryError::NotOurs(bad)),
            Err(error) => Err(DirectoryError::Failed(error.into())),
        }
    }
}

/// Where others may reach a peer that listens at `address`.
fn own_hints(address: SocketAddr) -> Vec<String> {
    let mut found = vec![address.ip()];
    if address.ip().is_unspecified() {
        let own = if_addrs::get_if_addrs().unwrap_or_default();
        found = own.into_iter().map(|interface| interface.ip()).collect();
        found.retain(|ip| !ip.is_loopback() && (address.is_ipv6() || ip.is_ipv4()));
    }
    found.retain(|ip| !is_link_local(*ip));
    found.sort_by_key(IpAddr::is_ipv6);
    found.truncate(MAX_HINTS);
    let at = |ip| PeerAddress::from(SocketAddr::new(ip, address.port())).to_string();
    found.into_iter().map(at).collect()
}
