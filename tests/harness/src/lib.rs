//! What the harnesses share: a network that can be slow, cut or wrong, clients that load a peer, and a ledger of all that
//! the peer acknowledged.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a harness ends where something is not as it must be"
)]

pub mod ledger;
pub mod load;

/// Some number below `limit`.
pub fn rand(limit: u64) -> u64 {
    getrandom::u64().unwrap() % limit
}
