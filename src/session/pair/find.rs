//! Where the machine is that shows a code: at what was typed, if that is a host, else where it says in the network.

use std::{io, net::SocketAddr, str::FromStr, sync::Arc};

use tokio::time::timeout;

use crate::{
    address::{AddressError, PeerAddress},
    config::Config,
    discover::{Browser, DiscoverError, Discovery, PATIENCE, SeenPeer, Service},
    pair::PAIRING_PORT,
    session::{Error, Event, Kind, Mistake, Reporter, discovery, host_name},
    trust::{is_new_peer_name, name_of},
};

/// Machines of one name that are listed; one of them is the right one.
const MAX_LISTED: usize = 4;

/// The machine that shows a code, as a person types it: a host, with or without a port, or a name that it announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inviter {
    typed: String,
    /// As a host; none if no host can be written so.
    address: Option<PeerAddress>,
    /// As the name of a peer; none if only a host can be written so.
    name: Option<String>,
    /// Where it was seen in the network, if it was not typed.
    seen: Vec<SocketAddr>,
}

/// Everybody in the network who shows a code; nobody if the settings forbid to look around, or it cannot be done. Each may be
/// a liar, who then fails to know the code.
pub async fn shown_around(config: &Config) -> Vec<Inviter> {
    if discovery(config) == Discovery::Off {
        return Vec::new();
    }
    let Ok(browser) = Browser::start(Service::Pairing, PATIENCE) else {
        return Vec::new();
    };
    let seen = browser.all().await.peers();
    let seen = seen.into_iter().map(|peer| Inviter {
        typed: peer.name.clone(),
        address: None,
        name: Some(peer.name),
        seen: peer.addresses,
    });
    seen.collect()
}

impl Inviter {
    /// What was typed, or the name under which it was seen.
    pub fn called(&self) -> &str {
        &self.typed
    }

    /// Where it was seen in the network, first.
    pub fn seen_at(&self) -> Option<SocketAddr> {
        self.seen.first().copied()
    }
}

/// Where it may be.
pub(super) struct Found {
    /// What was typed, if that is a host; none for a machine that was seen in the network.
    pub(super) host: Option<String>,
    /// Never empty for one that was seen.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Whether a machine is looked for in the network by this text. A number is an address that was mistyped.
pub(super) fn is_name(text: &str) -> bool {
    is_new_peer_name(text) && !text.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for Inviter {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let name = Some(text.to_ascii_lowercase()).filter(|name| is_name(name));
        // As a person calls the machine, `Eve's Laptop`: no host is written so.
        let is_spoken = text.contains([' ', '\'', '’']);
        let name = name.or_else(|| name_of(text).filter(|name| is_spoken && is_name(name)));
        match PeerAddress::parse(text, PAIRING_PORT) {
            Err(error) if name.is_none() => Err(error),
            parsed => Ok(Self {
                typed: text.to_owned(),
                address: parsed.ok(),
                name,
                seen: Vec::new(),
            }),
        }
    }
}

/// Why no machine is found that shows a code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoInviter {
    /// Only a host can be meant, and it is not known.
    #[error("{typed}: {source}")]
    UnknownHost {
        /// As it was typed.
        typed: String,
        /// What the system said.
        source: io::Error,
    },
    /// No such host is known, and the settings forbid to look around.
    #[error("{typed}: {source}; looking for {name} in the network is switched off")]
    SwitchedOff {
        /// As it was typed.
        typed: String,
        /// The same as a name.
        name: String,
        /// What the system said of the host.
        source: io::Error,
    },
    /// No such host is known, and no machine of the network shows a code under that name.
    #[error("nobody in this network shows a code as {name}; as a host: {source}")]
    Nobody {
        /// The name.
        name: String,
        /// What the system said of the host.
        source: io::Error,
    },
    /// The network cannot be listened to.
    #[error("cannot look for {name}: {source}")]
    Network {
        /// The name.
        name: String,
        /// What keeps us from it.
        source: DiscoverError,
    },
}

impl NoInviter {
    pub(in crate::session) fn kind(&self) -> Kind {
        match self {
            Self::Nobody { .. } => Kind::NotFound,
            Self::UnknownHost { .. } | Self::SwitchedOff { .. } | Self::Network { .. } => {
                Kind::Network
            }
        }
    }
}

/// How one looks around.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) config: &'a Config,
    pub(super) reporter: &'a Arc<dyn Reporter>,
}

impl Inviter {
    /// The host that was typed, if there is one, else the machine that has this name in the network.
    pub(super) async fn find(&self, looking: Looking<'_>) -> Result<Found, Error> {
        if self.is_seen() {
            return Ok(Found {
                host: None,
                addresses: self.seen.clone(),
            });
        }
        let source = match self.resolve().await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let typed = self.typed.clone();
        let Some(name) = self.name.clone() else {
            return Err(NoInviter::UnknownHost { typed, source }.into());
        };
        if discovery(looking.config) == Discovery::Off {
            let off = NoInviter::SwitchedOff {
                typed,
                name,
                source,
            };
            return Err(off.into());
        }
        let seen = self.look(looking).await?;
        seen.ok_or_else(|| NoInviter::Nobody { name, source }.into())
    }

    /// Why nobody was found there: if it is what this machine itself is called, that.
    pub(super) fn unless_it_is_here(&self, error: Error) -> Error {
        let typed = self.typed.split('.').next().unwrap_or_default();
        let is_here = host_name().is_some_and(|own| own.eq_ignore_ascii_case(typed));
        match is_here && !self.is_seen() {
            true => Mistake::OwnHost {
                name: self.typed.clone(),
            }
            .into(),
            false => error,
        }
    }

    fn is_seen(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Names of hosts nearby are known at once or not at all; only one with a dot may be far away and worth a wait.
    async fn resolve(&self) -> io::Result<Found> {
        let no_host = || io::Error::other("no host can be called so");
        let address = self.address.as_ref().ok_or_else(no_host)?;
        let resolving = address.resolve();
        let is_near = self.name.as_ref().is_some_and(|name| !name.contains('.'));
        let addresses = match is_near {
            true => timeout(PATIENCE, resolving).await??,
            false => resolving.await?,
        };
        Ok(Found {
            host: Some(address.host()),
            addresses,
        })
    }

    /// Where a machine of this name says that it shows a code, if one does. A liar can do no more than fail to know the code.
    pub(super) async fn look(&self, looking: Looking<'_>) -> Result<Option<Found>, Error> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        if discovery(looking.config) == Discovery::Off {
            return Ok(None);
        }
        let nowhere = |source| NoInviter::Network {
            name: name.clone(),
            source,
        };
        // Until the time is over: the first that answers need not be the only one.
        let browser = Browser::start(Service::Pairing, PATIENCE).map_err(nowhere)?;
        let seen = browser.all().await;
        let seen = seen.peers();
        let named: Vec<_> = seen.iter().filter(|peer| peer.name == *name).collect();
        match named.as_slice() {
            [] => Ok(None),
            [one] => {
                looking.reporter.tell(&Event::Inviter {
                    name: name.clone(),
                    address: first_addresses(&named),
                });
                Ok(Some(Found {
                    host: None,
                    addresses: one.addresses.clone(),
                }))
            }
            several => Err(Mistake::SeveralInviters {
                name: name.clone(),
                count: several.len(),
                addresses: first_addresses(several),
            }
            .into()),
        }
    }
}

/// Where each says that it is.
fn first_addresses(named: &[&SeenPeer]) -> String {
    let first = |peer: &&SeenPeer| {
        peer.addresses
            .first()
            .map(|at| PeerAddress::from(*at).to_string())
    };
    let mut listed: Vec<_> = named.iter().take(MAX_LISTED).filter_map(first).collect();
    if named.len() > MAX_LISTED {
        listed.push("...".to_owned());
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_host_or_a_name_or_both() {
        for (text, address, name) in [
            ("anna", Some("anna:8444"), Some("anna")),
            ("Anna", Some("Anna:8444"), Some("anna")),
            ("anna.lan", Some("anna.lan:8444"), Some("anna.lan")),
            ("anna:8444", Some("anna:8444"), None),
            ("192.0.2.7", Some("192.0.2.7:8444"), None),
            ("fe80::1%eth0", Some("[fe80::1%eth0]:8444"), None),
            ("cafe::", Some("[cafe::]:8444"), None),
            ("[::1]:9", Some("[::1]:9"), None),
            ("anna-", None, Some("anna-")),
            ("anna..2", None, Some("anna..2")),
        ] {
            let inviter: Inviter = text.parse().unwrap();
            let shown = inviter.address.map(|address| address.to_string());
            assert_eq!(
                (shown.as_deref(), inviter.name.as_deref()),
                (address, name),
                "{text}"
            );
        }
        for text in [
            "",
            "1.2.3",
            "192.0.2.700",
            "7",
            "fe80::1",
            "::1:9443",
            "anna:x",
            "-",
            "a/b",
        ] {
            assert!(text.parse::<Inviter>().is_err(), "{text}");
        }
    }
}
