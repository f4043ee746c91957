//! Where the machine is that shows a code: at what was typed, if that is a host, else where it says in the network.

use std::{io, net::SocketAddr, str::FromStr};

use tokio::time::timeout;

use crate::{
    cli::{
        Context,
        report::{ExitCode, Failure},
        serve::discovery,
    },
    client::{AddressError, PeerAddress},
    discover::{Browser, Discovery, PATIENCE, SeenPeer, Service},
    pair::PAIRING_PORT,
    trust::is_peer_name,
};

/// Machines of one name that are listed; one of them is the right one.
const MAX_LISTED: usize = 4;

/// The machine that shows a code, as a person types it.
pub(in crate::cli) struct Inviter {
    typed: String,
    /// As a host; none if no host can be written so.
    address: Option<PeerAddress>,
    /// As the name of a peer; none if only a host can be written so.
    name: Option<String>,
}

/// Where it may be.
pub(super) struct Found {
    /// What was typed, if that is a host; none for a machine that was seen in the network.
    pub(super) host: Option<String>,
    /// Never empty for one that was seen.
    pub(super) addresses: Vec<SocketAddr>,
}

/// Whether a machine is looked for in the network by this text. Digits and dots are an address, or one that was mistyped.
pub(super) fn is_name(text: &str) -> bool {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_peer_name(text) && !is_number
}

impl FromStr for Inviter {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let name = Some(text.to_ascii_lowercase()).filter(|name| is_name(name));
        match PeerAddress::parse(text, PAIRING_PORT) {
            Err(error) if name.is_none() => Err(error),
            parsed => Ok(Self {
                typed: text.to_owned(),
                address: parsed.ok(),
                name,
            }),
        }
    }
}

impl Inviter {
    /// The host that was typed, if there is one, else the machine that has this name in the network.
    pub(super) async fn find(&self, context: &Context) -> Result<Found, Failure> {
        let unknown = match self.resolve().await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let typed = &self.typed;
        let failed = |code, what: String| {
            Failure::new(code, what).hint("type the address that the other machine shows")
        };
        let Some(name) = &self.name else {
            return Err(failed(ExitCode::Network, format!("{typed}: {unknown}")));
        };
        if discovery(context) == Discovery::Off {
            let what =
                format!("{typed}: {unknown}; looking for {name} in the network is switched off");
            return Err(failed(ExitCode::Network, what));
        }
        let seen = self.look(context).await?;
        seen.ok_or_else(|| {
            let what =
                format!("nobody in this network shows a code as {name}; as a host: {unknown}");
            failed(ExitCode::NotFound, what)
        })
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
    pub(super) async fn look(&self, context: &Context) -> Result<Option<Found>, Failure> {
        let Some(name) = &self.name else {
            return Ok(None);
        };
        if discovery(context) == Discovery::Off {
            return Ok(None);
        }
        let nowhere = |error| {
            Failure::new(
                ExitCode::Network,
                format!("cannot look for {name}: {error}"),
            )
            .hint("type the address that the other machine shows")
        };
        // Until the time is over: the first that answers need not be the only one.
        let browser = Browser::start(Service::Pairing, PATIENCE).map_err(nowhere)?;
        let seen = browser.all().await;
        let seen = seen.peers();
        let named: Vec<_> = seen.iter().filter(|peer| peer.name == *name).collect();
        match named.as_slice() {
            [] => Ok(None),
            [one] => {
                let talk = format!("{name} shows a code at {}", first_addresses(&named));
                context.output.talk(talk);
                Ok(Some(Found {
                    host: None,
                    addresses: one.addresses.clone(),
                }))
            }
            several => Err(ambiguous(name, several)),
        }
    }
}

fn ambiguous(name: &str, named: &[&SeenPeer]) -> Failure {
    let count = named.len();
    let what = format!(
        "{count} machines show a code as {name}: {}",
        first_addresses(named)
    );
    Failure::usage(what).hint("type the address that the right one shows")
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
            "anna ",
            "anna:x",
            "-",
            "a/b",
        ] {
            assert!(text.parse::<Inviter>().is_err(), "{text}");
        }
    }
}
