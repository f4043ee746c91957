//! colis.

pub mod crypto;
pub mod id;
pub mod manifest;
pub mod server;
pub mod store;
pub mod wire;
