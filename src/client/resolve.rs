//! Names of hosts, as the system resolves them. A name that is not resolved fails with an error of its own.

use std::io;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

/// Asks the system.
#[derive(Debug)]
pub(super) struct SystemResolver;

/// No address has this name, or nobody could be asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Unresolved(pub(super) io::Error);

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is that of the URL.
            let addresses = lookup_host((name.as_str(), 0)).await.map_err(Unresolved)?;
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}
