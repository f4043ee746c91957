//! The zone of a link-local IPv6 address (RFC 4007): the interface of this machine on whose link the address is.
//!
//! Every link has the network `fe80::/10`, so such an address says nothing without its interface. People and the address
//! book call it by name, as `eth0`; sockets need its number. A zone means something on this machine only.

use std::{fmt, io, str::FromStr};

/// Longer names of interfaces are none of Linux (`IFNAMSIZ`).
const MAX_NAME: usize = 15;

/// An interface of this machine, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Zone(String);

impl Zone {
    /// The zone with this number. An interface may have gone since: then its number stands for its name.
    pub(super) fn of(scope: u32) -> Self {
        let found = interfaces().into_iter().find(|(_, index)| *index == scope);
        Self(found.map_or_else(|| scope.to_string(), |(name, _)| name))
    }

    /// The name of the interface.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The number of the interface, as sockets have it. Fails if this machine has no such interface.
    pub(super) fn scope(&self) -> io::Result<u32> {
        let all = interfaces();
        if let Some((_, index)) = all.iter().find(|(name, _)| *name == self.0) {
            return Ok(*index);
        }
        let mut names: Vec<_> = all.into_iter().map(|(name, _)| name).collect();
        names.dedup();
        let what = format!(
            "this machine has no network interface {self} (it has {})",
            names.join(", ")
        );
        Err(io::Error::new(io::ErrorKind::AddrNotAvailable, what))
    }
}

impl FromStr for Zone {
    type Err = ();

    /// A number becomes the name of the interface that has it now: numbers are given anew when a machine starts.
    fn from_str(text: &str) -> Result<Self, ()> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
        if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(allowed) {
            return Err(());
        }
        Ok(text
            .parse()
            .map_or_else(|_| Self(text.to_owned()), Self::of))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The interfaces that have an address, by name and number.
fn interfaces() -> Vec<(String, u32)> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    let numbered = all.into_iter().filter_map(|i| Some((i.index?, i.name)));
    let mut found: Vec<_> = numbered.map(|(index, name)| (name, index)).collect();
    found.sort_unstable();
    found.dedup();
    found
}
